/* strata-git-history: loads the whole history of a git repository into a database, one commit for
 * each of git's, and proves that every one of them can be read back.
 *
 * Each line of first parents is a branch: see git_graph.h. A file is a key of the space "default":
 * see file_value.h. The space "git" has one more row per commit, its id with the text of git's
 * commit object; a merge is a commit on the branch of its first parent, and its other parents are
 * named there. */
#define _XOPEN_SOURCE 700

#include "commit_map.h"
#include "git_process.h"
#include "load.h"
#include "report.h"
#include "verify.h"

#include <errno.h>
#include <ftw.h>
#include <inttypes.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { EXIT_USAGE = 2, TEMPORARY_PATH_SIZE = 4096 };

struct request {
    struct verify_request verify;
    const char *verify_text; /* "all" or a number. */
    bool verify_only;
};

static const char usage_text[] =
    "usage: strata-git-history REPO DIR [--budget SIZE] [--map FILE] [--verify all|N]\n"
    "                          [--verify-only]\n"
    "\n"
    "Loads the whole history of the git repository REPO into a new database in DIR, and verifies "
    "it\n"
    "in a new process.\n"
    "\n"
    "  --budget SIZE   memory for the database, such as 1MiB; default: the library's\n"
    "  --map FILE      writes a line per commit: id, branch, version, with tabs between\n"
    "  --verify all    compares every commit with git (the default)\n"
    "  --verify N      compares N commits, chosen at random, always the same\n"
    "  --verify-only   loads nothing; DIR and the FILE of --map are of an earlier run\n"
    "\n"
    "Exit: 0 all as in git, 1 differences, 2 usage, 3 error.\n";

/* ---- Arguments ----------------------------------------------------------------------------- */

static bool parse_verify(const char *text, struct request *request)
{
    char *end;
    request->verify_text = text;
    request->verify.commit_count = 0;
    if (strcmp(text, "all") == 0)
        return true;
    if (text[0] < '0' || text[0] > '9')
        return complain("--verify %s: neither all nor a number", text);
    request->verify.commit_count = strtoull(text, &end, 10);
    if (*end != '\0' || request->verify.commit_count == 0)
        return complain("--verify %s: neither all nor a number from 1", text);
    return true;
}

static bool parse_option(int count, char **arguments, int *at, struct request *request)
{
    const char *name = arguments[*at];
    if (strcmp(name, "--verify-only") == 0) {
        request->verify_only = true;
        return true;
    }
    if (strcmp(name, "--budget") != 0 && strcmp(name, "--map") != 0 &&
        strcmp(name, "--verify") != 0)
        return complain("%s: no such option; --help lists them", name);
    if (*at + 1 >= count)
        return complain("%s needs a value", name);
    const char *value = arguments[++*at];
    if (strcmp(name, "--verify") == 0)
        return parse_verify(value, request);
    if (strcmp(name, "--map") == 0) {
        request->verify.map = value;
        return true;
    }
    strata_open_options options = {.size = sizeof(options)};
    request->verify.budget = value;
    return history_parse_budget(value, &options);
}

static bool parse_arguments(int count, char **arguments, struct request *request)
{
    const char *places[2] = {NULL, NULL};
    size_t place_count = 0;
    bool options_ended = false;
    for (int at = 1; at < count; at++) {
        if (!options_ended && strcmp(arguments[at], "--") == 0) {
            options_ended = true;
        } else if (!options_ended && arguments[at][0] == '-') {
            if (!parse_option(count, arguments, &at, request))
                return false;
        } else if (place_count == 2) {
            return complain("%s: REPO and DIR are enough", arguments[at]);
        } else {
            places[place_count++] = arguments[at];
        }
    }
    if (place_count < 2)
        return complain("REPO and DIR are needed; --help says more");
    if (request->verify_only && request->verify.map == NULL)
        return complain("--verify-only needs --map");
    request->verify.repository = places[0];
    request->verify.folder = places[1];
    return true;
}

/* ---- Numbers ------------------------------------------------------------------------------- */

static uint64_t folder_bytes;

static int add_file_size(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)path, (void)kind, (void)place;
    folder_bytes += (uint64_t)status->st_blocks * 512;
    return 0;
}

/* Blocks on disk of everything in the folder. */
static uint64_t disk_usage(const char *folder)
{
    folder_bytes = 0;
    return nftw(folder, add_file_size, 16, FTW_PHYS) == 0 ? folder_bytes : 0;
}

/* Packs and loose objects. */
static uint64_t git_size(const char *repository)
{
    static const char *const arguments[] = {"count-objects", "-v", NULL};
    struct git_process git;
    bool failed = false;
    uint64_t kibibytes = 0;
    char *record;
    size_t size;
    if (!git_start(repository, arguments, &git))
        return 0;
    while ((record = git_record(&git, '\n', &size, &failed)) != NULL) {
        uint64_t value;
        if (sscanf(record, "size: %" SCNu64, &value) == 1 ||
            sscanf(record, "size-pack: %" SCNu64, &value) == 1)
            kibibytes += value;
    }
    return git_finish(&git) ? kibibytes * 1024 : 0;
}

static int compare_samples(const void *left, const void *right)
{
    const uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

static void print_forks(const char *which, uint32_t *samples, uint64_t fork_count)
{
    const size_t count =
        fork_count < HISTORY_FORK_SAMPLES ? (size_t)fork_count : HISTORY_FORK_SAMPLES;
    if (count == 0)
        return;
    qsort(samples, count, sizeof(samples[0]), compare_samples);
    printf("           %s %s: p50 %.1f us, p99 %.1f us\n", which, thousands(count),
           samples[count / 2] / 1000.0, samples[count * 99 / 100] / 1000.0);
}

static double ratio(uint64_t part, uint64_t whole)
{
    return whole > 0 ? (double)part / (double)whole : 0;
}

struct load_times {
    int64_t git_ns; /* Waiting for git: listing commits, and the stream. */
    int64_t all_ns;
};

static void print_totals(const struct request *request, struct history_totals *totals,
                         const struct load_times *times)
{
    const uint64_t disk = disk_usage(request->verify.folder);
    const uint64_t pack = git_size(request->verify.repository);
    printf("commits    %s\n", thousands(totals->commits));
    printf("forks      %s\n", thousands(totals->forks));
    print_forks("first", totals->first_fork_ns, totals->forks);
    print_forks("last", totals->last_fork_ns, totals->forks);
    printf("rows       %s (%s puts, %s deletes)\n", thousands(totals->puts + totals->deletes),
           thousands(totals->puts), thousands(totals->deletes));
    printf("flushes    %.0f, merges %.0f\n", totals->flushes, totals->merges);
    printf("time       %.2f s in libstrata (not synced: standard durability), %.2f s in git, "
           "%.2f s in all\n",
           (double)totals->library_ns / 1e9, (double)times->git_ns / 1e9,
           (double)times->all_ns / 1e9);
    printf("bytes      %s on disk; rows written %s (ratio %.2f); git's objects %s (ratio %.2f)\n",
           thousands(disk), thousands(totals->raw_bytes), ratio(disk, totals->raw_bytes),
           thousands(pack), ratio(disk, pack));
}

/* ---- Load and verify ----------------------------------------------------------------------- */

static bool load_and_close(const struct request *request, struct git_graph *graph,
                           struct history *history)
{
    struct load_times times = {0};
    const int64_t began_ns = now_ns();
    if (!git_graph_read(request->verify.repository, graph))
        return false;
    const int64_t listed_ns = now_ns() - began_ns;
    bool loaded = history_open(history, request->verify.folder, request->verify.budget) &&
                  load_history(request->verify.repository, graph, history, &times.git_ns);
    loaded = history_close(history) && loaded;
    if (!loaded)
        return false;
    times.git_ns += listed_ns;
    times.all_ns = now_ns() - began_ns;
    print_totals(request, &history->totals, &times);
    return commit_map_write(request->verify.map, graph);
}

static bool load(const struct request *request)
{
    struct git_graph graph = {0};
    struct history *history = calloc(1, sizeof(struct history));
    if (history == NULL)
        return complain("no memory to load");
    const bool loaded = load_and_close(request, &graph, history);
    git_graph_release(&graph);
    free(history);
    return loaded;
}

/* Runs this program again, so that nothing this process holds in memory can help. */
static int verify_in_new_process(const struct request *request, const char *program)
{
    const struct verify_request *verify = &request->verify;
    const char *words[] = {program, "--verify-only",    "--verify",    request->verify_text,
                           "--map", verify->map,        "--budget",    verify->budget,
                           "--",    verify->repository, verify->folder};
    char *arguments[sizeof(words) / sizeof(words[0]) + 1];
    size_t count = 0;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        /* Without a budget its two words are left out. posix_spawn wants memory of ours. */
        const bool left_out = verify->budget == NULL && (i == 6 || i == 7);
        if (!left_out)
            arguments[count++] = strdup(words[i]);
    }
    arguments[count] = NULL;
    pid_t pid;
    int status = 0, result = VERDICT_ERROR;
    (void)fflush(stdout);
    int error = posix_spawn(&pid, "/proc/self/exe", NULL, NULL, arguments, environ);
    if (error != 0)
        error = posix_spawnp(&pid, program, NULL, NULL, arguments, environ);
    if (error != 0)
        (void)complain("%s does not start again: %s", program, strerror(error));
    else if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
        (void)complain("the verification was ended from outside");
    else
        result = WEXITSTATUS(status);
    while (count > 0)
        free(arguments[--count]);
    return result;
}

static int load_and_verify(struct request *request, const char *program)
{
    char path[TEMPORARY_PATH_SIZE];
    const bool own_map = request->verify.map == NULL;
    if (own_map) {
        const char *folder = getenv("TMPDIR");
        (void)snprintf(path, sizeof(path), "%s/strata-git-map-XXXXXX",
                       folder != NULL && folder[0] != '\0' ? folder : "/tmp");
        const int file = mkstemp(path);
        if (file < 0) {
            (void)complain("no temporary file %s: %s", path, strerror(errno));
            return VERDICT_ERROR;
        }
        (void)close(file);
        request->verify.map = path;
    }
    const int result = load(request) ? verify_in_new_process(request, program) : VERDICT_ERROR;
    if (own_map)
        (void)unlink(path);
    return result;
}

int main(int argument_count, char **arguments)
{
    struct request request = {.verify_text = "all"};
    for (int i = 1; i < argument_count && strcmp(arguments[i], "--") != 0; i++)
        if (strcmp(arguments[i], "--help") == 0)
            return fputs(usage_text, stdout) < 0 ? VERDICT_ERROR : 0;
    if (!parse_arguments(argument_count, arguments, &request))
        return EXIT_USAGE;
    if (request.verify_only)
        return (int)verify_history(&request.verify);
    return load_and_verify(&request, arguments[0]);
}
