#define _POSIX_C_SOURCE 200809L

#include "git_process.h"

#include "report.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { ARGUMENTS_MAX = 32, RECORD_SIZE_MAX = 1 << 20 };

static bool git_spawn(char *const arguments[], struct git_process *process, const int ends[2])
{
    posix_spawn_file_actions_t actions;
    if (posix_spawn_file_actions_init(&actions) != 0)
        return complain("no memory to start git");
    int error = posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    if (error == 0)
        error = posix_spawnp(&process->pid, "git", &actions, NULL, arguments, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    if (error != 0)
        return complain("git does not start: %s", strerror(error));
    return true;
}

bool git_start(const char *repository, const char *const arguments[], struct git_process *out)
{
    char *all[ARGUMENTS_MAX + 5];
    size_t count = 0;
    int ends[2];
    /* posix_spawn takes pointers that it promises not to write through. */
    union {
        const char *read_only;
        char *argument;
    } word;
    const char *const first[] = {"git", "--no-replace-objects", "-C", repository};
    for (size_t i = 0; i < sizeof(first) / sizeof(first[0]); i++) {
        word.read_only = first[i];
        all[count++] = word.argument;
    }
    for (size_t i = 0; arguments[i] != NULL && i < ARGUMENTS_MAX; i++) {
        word.read_only = arguments[i];
        all[count++] = word.argument;
    }
    all[count] = NULL;

    *out = (struct git_process){.output = -1};
    if (pipe(ends) != 0)
        return complain("no pipe: %s", strerror(errno));
    (void)fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    (void)fcntl(ends[1], F_SETFD, FD_CLOEXEC);
    const bool started = git_spawn(all, out, ends);
    (void)close(ends[1]);
    if (!started) {
        (void)close(ends[0]);
        return false;
    }
    out->output = ends[0];
    return true;
}

int git_read(void *context, void *data, size_t capacity, size_t *size_out)
{
    struct git_process *process = context;
    const int64_t began_ns = now_ns();
    ssize_t size;
    do {
        size = read(process->output, data, capacity);
    } while (size < 0 && errno == EINTR);
    process->wait_ns += now_ns() - began_ns;
    if (size < 0)
        return -1;
    *size_out = (size_t)size;
    return 0;
}

/* Makes room and reads once; `size_out` 0 is the end. */
static bool git_read_more(struct git_process *process, size_t *size_out)
{
    if (process->line_begin > 0) {
        memmove(process->buffer, process->buffer + process->line_begin,
                process->line_end - process->line_begin);
        process->line_end -= process->line_begin;
        process->line_begin = 0;
    }
    if (process->line_end + 1 >= process->capacity) {
        const size_t capacity = process->capacity > 0 ? process->capacity * 2 : 65536;
        if (capacity > RECORD_SIZE_MAX)
            return complain("git prints a line of over %d bytes", RECORD_SIZE_MAX / 2);
        char *grown = realloc(process->buffer, capacity);
        if (grown == NULL)
            return complain("no memory for a line of git's");
        process->buffer = grown;
        process->capacity = capacity;
    }
    if (git_read(process, process->buffer + process->line_end,
                 process->capacity - process->line_end - 1, size_out) != 0)
        return complain("git's output cannot be read: %s", strerror(errno));
    process->line_end += *size_out;
    return true;
}

char *git_record(struct git_process *process, char delimiter, size_t *size_out, bool *failed)
{
    size_t searched = 0;
    for (;;) {
        const size_t available = process->line_end - process->line_begin;
        if (available > searched) {
            char *begin = process->buffer + process->line_begin;
            char *end = memchr(begin + searched, delimiter, available - searched);
            if (end != NULL) {
                *end = '\0';
                *size_out = (size_t)(end - begin);
                process->line_begin += *size_out + 1;
                return begin;
            }
        }
        searched = available;
        size_t size = 0;
        if (!git_read_more(process, &size)) {
            *failed = true;
            return NULL;
        }
        if (size == 0)
            return NULL;
    }
}

bool git_finish(struct git_process *process)
{
    int status = 0;
    const pid_t pid = process->pid;
    if (process->output >= 0 && pid > 0)
        (void)close(process->output);
    free(process->buffer);
    *process = (struct git_process){.output = -1};
    if (pid <= 0)
        return true;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return complain("git is lost: %s", strerror(errno));
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return complain("git failed");
    return true;
}

void git_abandon(struct git_process *process)
{
    const pid_t pid = process->pid;
    if (process->output >= 0 && pid > 0)
        (void)close(process->output);
    free(process->buffer);
    *process = (struct git_process){.output = -1};
    if (pid <= 0)
        return;
    (void)kill(pid, SIGTERM);
    while (waitpid(pid, NULL, 0) < 0)
        if (errno != EINTR)
            return;
}
