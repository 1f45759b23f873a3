/* Runs git and reads what it prints. */
#ifndef STRATA_DEMO_GIT_PROCESS_H
#define STRATA_DEMO_GIT_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct git_process {
    pid_t pid;
    int output;        /* Of the read end of its standard output; -1: closed. */
    int64_t wait_ns;   /* Spent waiting for its output. */
    size_t line_begin; /* The unread bytes are buffer[line_begin, line_end). */
    size_t line_end;
    size_t capacity;
    char *buffer;
};

/* Starts `git -C repository arguments...`; `arguments` ends with NULL. Complains itself. Replacement
 * objects are switched off, so that every command sees the same history. */
bool git_start(const char *repository, const char *const arguments[], struct git_process *out);

/* As fast_export_read. */
int git_read(void *context, void *data, size_t capacity, size_t *size_out);

/* The next record up to `delimiter`, which becomes a NUL; NULL at the end. Lasts until the next
 * call. `failed` is set, and NULL returned, after a complaint. */
char *git_record(struct git_process *process, char delimiter, size_t *size_out, bool *failed);

/* Stops reading and waits for the end. False, with a complaint, if git failed. An empty struct is
 * fine. */
bool git_finish(struct git_process *process);

/* The same where it no longer matters what becomes of it. */
void git_abandon(struct git_process *process);

#endif
