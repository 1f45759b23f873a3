/* The long crash run.
 *
 *     sweep [--quick] [--seed N] [--only WORKLOAD] [--replay WORKLOAD:POINT] [--states-per-point N]
 *           [--ring BYTES] [--jobs N]
 *
 * Prints one line a workload and the totals, without a ring for the log and then with one, or only as
 * --ring says (0: without); the exit status is 1 if there was a violation. The same arguments give
 * the same output but for the times. Workloads run side by side, a process each, as
 * many as there are processors unless --jobs says otherwise. */
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif

#include "crash/sweeper.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { JOBS_MAX = 64 };

struct arguments {
    struct sweep_options options;
    const struct workload *only;
    long ring_bytes; /* -1: both. */
    unsigned jobs;
};

/* One workload in a process of its own, which writes its result to a pipe. */
struct sweep_job {
    const struct workload *workload;
    pid_t process;
    int pipe; /* To read from. */
};

static int usage(void)
{
    fprintf(stderr, "usage: sweep [--quick] [--seed N] [--only WORKLOAD] "
                    "[--replay WORKLOAD:POINT] [--states-per-point N] [--ring BYTES] [--jobs N]\n");
    return 2;
}

static bool parse_replay(const char *text, struct arguments *out)
{
    const char *colon = strchr(text, ':');
    const size_t size = colon == NULL ? strlen(text) : (size_t)(colon - text);
    out->only = workload_find(text, size);
    if (colon != NULL)
        out->options.only_point = strtol(colon + 1, NULL, 10);
    return out->only != NULL;
}

static bool parse(int count, char **texts, struct arguments *out)
{
    const long processors = sysconf(_SC_NPROCESSORS_ONLN);
    out->jobs = processors < 1 ? 1 : processors > JOBS_MAX ? JOBS_MAX : (unsigned)processors;
    out->options = sweep_full(1);
    out->ring_bytes = -1;
    for (int i = 1; i < count; i++) {
        if (strcmp(texts[i], "--quick") == 0)
            out->options = sweep_quick(out->options.seed);
    }
    for (int i = 1; i < count; i++) {
        const char *value = i + 1 < count ? texts[i + 1] : "";
        if (strcmp(texts[i], "--quick") == 0)
            continue;
        if (strcmp(texts[i], "--seed") == 0)
            out->options.seed = strtoull(value, NULL, 10);
        else if (strcmp(texts[i], "--states-per-point") == 0)
            out->options.states_per_point = (unsigned)strtoul(value, NULL, 10);
        else if (strcmp(texts[i], "--jobs") == 0)
            out->jobs = (unsigned)strtoul(value, NULL, 10);
        else if (strcmp(texts[i], "--ring") == 0)
            out->ring_bytes = strtol(value, NULL, 10);
        else if (strcmp(texts[i], "--replay") != 0 && strcmp(texts[i], "--only") != 0)
            return false;
        else if (!parse_replay(value, out))
            return false;
        i++;
    }
    return out->jobs > 0 && out->jobs <= JOBS_MAX;
}

static void job_run(const struct workload *workload, const struct sweep_options *options, int to)
{
    struct sweep_result result;
    sweep_workload(workload, options, &result);
    fflush(NULL);
    const bool told = write(to, &result, sizeof(result)) == (ssize_t)sizeof(result);
    _exit(told ? 0 : 1);
}

static void job_start(struct sweep_job *job, const struct workload *workload,
                      const struct sweep_options *options)
{
    int ends[2];
    *job = (struct sweep_job){.workload = workload};
    fflush(NULL);
    const bool piped = pipe(ends) == 0;
    job->process = piped ? fork() : -1;
    if (job->process < 0) {
        perror("sweep");
        exit(2);
    }
    if (job->process == 0)
        job_run(workload, options, ends[1]);
    (void)close(ends[1]);
    job->pipe = ends[0];
}

/* A process that died counts as a violation. */
static void job_end(struct sweep_job *job, struct sweep_result *out)
{
    int ended = 0;
    const bool told = read(job->pipe, out, sizeof(*out)) == (ssize_t)sizeof(*out);
    const bool waited = waitpid(job->process, &ended, 0) == job->process;
    (void)close(job->pipe);
    if (told && waited && WIFEXITED(ended) && WEXITSTATUS(ended) == 0)
        return;
    printf("%s: the process died\n", job->workload->name);
    *out = (struct sweep_result){.violations = 1};
}

static void print_line(const char *name, const struct sweep_result *result)
{
    printf("%-14s %10llu %8llu %10llu %10llu %10llu %10llu\n", name,
           (unsigned long long)result->operations, (unsigned long long)result->points,
           (unsigned long long)result->subsets, (unsigned long long)result->states,
           (unsigned long long)result->compound, (unsigned long long)result->violations);
    fflush(stdout);
}

static void add_result(struct sweep_result *total, const struct sweep_result *result)
{
    total->operations += result->operations;
    total->points += result->points;
    total->subsets += result->subsets;
    total->states += result->states;
    total->compound += result->compound;
    total->violations += result->violations;
}

/* Starts them in order and tells of them in order. */
static void sweep_with(const struct arguments *arguments, uint64_t ring_bytes,
                       struct sweep_result *total)
{
    struct sweep_job jobs[WORKLOAD_COUNT];
    struct sweep_options options = arguments->options;
    size_t started = 0, ended = 0, chosen = 0;
    const struct workload *list[WORKLOAD_COUNT];
    options.ring_bytes = ring_bytes;
    printf("%-14s %10s %8s %10s %10s %10s %10s\n",
           ring_bytes == 0 ? "without a ring" : "with a ring", "operations", "points", "subsets",
           "states", "compound", "violations");
    for (size_t i = 0; i < WORKLOAD_COUNT; i++) {
        if (arguments->only == NULL || arguments->only == &workloads[i])
            list[chosen++] = &workloads[i];
    }
    while (ended < chosen) {
        struct sweep_result result;
        for (; started < chosen && started - ended < arguments->jobs; started++)
            job_start(&jobs[started], list[started], &options);
        job_end(&jobs[ended], &result);
        print_line(jobs[ended].workload->name, &result);
        add_result(total, &result);
        ended++;
    }
}

int main(int count, char **texts)
{
    struct arguments arguments = {.only = NULL};
    if (!parse(count, texts, &arguments))
        return usage();
    struct sweep_result total = {0};
    const time_t start = time(NULL);
    printf("seed %llu, at most %u survivors a crash point\n",
           (unsigned long long)arguments.options.seed, arguments.options.states_per_point);
    if (arguments.ring_bytes <= 0)
        sweep_with(&arguments, 0, &total);
    if (arguments.ring_bytes != 0)
        sweep_with(&arguments,
                   arguments.ring_bytes < 0 ? SWEEP_RING_BYTES : (uint64_t)arguments.ring_bytes,
                   &total);
    print_line("total", &total);
    printf("%llu states, %llu of a second crash, %llu violations, %ld seconds\n",
           (unsigned long long)total.states, (unsigned long long)total.compound,
           (unsigned long long)total.violations, (long)(time(NULL) - start));
    return total.violations == 0 ? 0 : 1;
}
