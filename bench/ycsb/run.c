#define _XOPEN_SOURCE 700 /* mkdtemp, nftw, barriers */

#include "run.h"

#include <errno.h>
#include <ftw.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- One thread ---- */

struct worker {
    const struct engine *engine;
    void *session;
    pthread_t thread;
    pthread_barrier_t *start;
    struct operation *operations;
    uint64_t operation_count;
    size_t value_bytes;
    bool exact; /* The model knows which update a read must find. */
    bool failed;
    uint64_t hits, rows_scanned, wrong;
    char value[VALUE_BYTES_MAX];
};

struct scan_check {
    struct worker *worker;
    const char *before; /* Keys must come after this one, or be it in the first row. */
    char key[KEY_BYTES];
    unsigned rows;
};

static void scan_row_check(void *context, struct bytes key, struct bytes value)
{
    struct scan_check *check = (struct scan_check *)context;
    const bool whole = key.size == KEY_BYTES;
    const int order = whole ? memcmp(key.data, check->before, KEY_BYTES) : -1;
    const bool right =
        (order > 0 || (order == 0 && check->rows == 0)) &&
        value_is_of((const char *)key.data, VALUE_ANY_UPDATE, check->worker->value_bytes, value);
    check->worker->wrong += !right;
    check->rows++;
    if (whole) {
        memcpy(check->key, key.data, KEY_BYTES);
        check->before = check->key;
    }
}

static int scan_do(struct worker *worker, const struct operation *operation)
{
    struct scan_check check = {.worker = worker, .before = operation->key};
    const struct visitor visitor = {scan_row_check, &check};
    const int status = worker->engine->scan(
        worker->session, (struct bytes){operation->key, KEY_BYTES}, operation->scan_rows, &visitor);
    /* The first row is there: it is one of the model's. */
    worker->wrong += check.rows == 0 || check.rows > operation->scan_rows;
    worker->rows_scanned += check.rows;
    return status;
}

static int read_do(struct worker *worker, const struct operation *operation)
{
    struct bytes value = {NULL, 0};
    const int found =
        worker->engine->get(worker->session, (struct bytes){operation->key, KEY_BYTES}, &value);
    if (found < 0)
        return -1;
    const uint64_t update = worker->exact ? operation->read_update : VALUE_ANY_UPDATE;
    worker->hits += found == 1;
    worker->wrong += found == 0 || !value_is_of(operation->key, update, worker->value_bytes, value);
    return 0;
}

static int write_do(struct worker *worker, const struct operation *operation)
{
    value_fill(operation->key, operation->write_update, worker->value, worker->value_bytes);
    return worker->engine->put(worker->session, (struct bytes){operation->key, KEY_BYTES},
                               (struct bytes){worker->value, worker->value_bytes});
}

static int operation_do(struct worker *worker, const struct operation *operation)
{
    switch ((enum operation_kind)operation->kind) {
    case OPERATION_READ:
        return read_do(worker, operation);
    case OPERATION_UPDATE:
    case OPERATION_INSERT:
        return write_do(worker, operation);
    case OPERATION_SCAN:
        return scan_do(worker, operation);
    case OPERATION_MODIFY:
        if (read_do(worker, operation) != 0)
            return -1;
        return write_do(worker, operation);
    }
    return -1;
}

static void *worker_main(void *context)
{
    struct worker *worker = (struct worker *)context;
    pthread_barrier_wait(worker->start);
    for (uint64_t i = 0; i < worker->operation_count && !worker->failed; i++)
        worker->failed = operation_do(worker, &worker->operations[i]) != 0;
    return NULL;
}

/* ---- One phase ---- */

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static double cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

struct phase {
    const struct engine *engine;
    const struct plan *plan;
    void *database;
    struct model *model;
    struct worker *workers; /* [plan->threads] */
};

/* Draws the operations and opens the sessions, none of which is measured. */
static int workers_prepare(struct phase *phase, char workload, uint64_t count,
                           pthread_barrier_t *start)
{
    const unsigned threads = phase->plan->threads;
    for (unsigned i = 0; i < threads; i++) {
        struct worker *worker = &phase->workers[i];
        memset(worker, 0, sizeof(*worker));
        worker->engine = phase->engine;
        worker->start = start;
        worker->value_bytes = phase->plan->value_bytes;
        worker->exact = threads == 1;
        worker->operations =
            operations_create(phase->model, workload, count, i, threads, &worker->operation_count);
        if (worker->operations == NULL ||
            phase->engine->session_open(phase->database, &worker->session) != 0)
            return -1;
        if (pthread_create(&worker->thread, NULL, worker_main, worker) != 0)
            return -1;
    }
    return 0;
}

/* A failure ends the process, so nothing is cleaned up after one. */
static int phase_run(struct phase *phase, char workload, uint64_t count, struct phase_result *out)
{
    pthread_barrier_t start;
    *out = (struct phase_result){.operations = count};
    pthread_barrier_init(&start, NULL, phase->plan->threads + 1);
    if (workers_prepare(phase, workload, count, &start) != 0)
        return -1;

    const double cpu_begin = cpu_seconds(), wall_begin = seconds_now();
    pthread_barrier_wait(&start);
    for (unsigned i = 0; i < phase->plan->threads; i++)
        pthread_join(phase->workers[i].thread, NULL);
    const double wall_end = seconds_now();
    for (unsigned i = 0; i < phase->plan->threads; i++)
        phase->engine->session_close(phase->workers[i].session);
    if (phase->engine->settle(phase->database) != 0)
        return -1;
    out->cpu_s = cpu_seconds() - cpu_begin;
    out->wall_s = wall_end - wall_begin;
    out->settle_s = seconds_now() - wall_end;

    bool failed = false;
    for (unsigned i = 0; i < phase->plan->threads; i++) {
        const struct worker *worker = &phase->workers[i];
        out->hits += worker->hits;
        out->rows_scanned += worker->rows_scanned;
        out->wrong += worker->wrong;
        failed = failed || worker->failed;
        free(worker->operations);
    }
    pthread_barrier_destroy(&start);
    return failed ? -1 : 0;
}

/* ---- One run ---- */

static struct settings settings_of(const struct plan *plan, const char *folder, bool synced)
{
    return (struct settings){
        .folder = folder,
        .budget_bytes = plan->budget_bytes,
        .data_bytes = (plan->rows + plan->operations) * (KEY_BYTES + plan->value_bytes),
        .synced = synced,
        .threads = plan->threads,
    };
}

void run_describe(const struct engine *engine, const struct plan *plan, char *out, size_t capacity)
{
    const struct settings settings = settings_of(plan, "", plan->synced);
    engine->describe(&settings, out, capacity);
}

/* Fills the database without measuring, and opens it again as the plan wants it. */
static int rows_prepare(struct phase *phase, const char *folder)
{
    struct phase_result ignored;
    struct settings settings = settings_of(phase->plan, folder, false);
    if (phase->engine->open(&settings, &phase->database) != 0 ||
        phase_run(phase, 'L', phase->plan->rows, &ignored) != 0 ||
        phase->engine->close(phase->database) != 0)
        return -1;
    settings.synced = phase->plan->synced;
    return phase->engine->open(&settings, &phase->database);
}

static int phases_run(const struct engine *engine, const struct plan *plan, const char *folder,
                      struct run_result *out)
{
    static struct worker workers[THREADS_MAX];
    const uint64_t rows_max = plan->rows + plan->operations * strlen(plan->workloads) + 1;
    struct phase phase = {.engine = engine, .plan = plan, .workers = workers};
    const struct settings settings = settings_of(plan, folder, plan->synced);
    const bool load_is_measured = !plan->synced && plan->workloads[0] == 'L';
    phase.model = model_create(rows_max, plan->seed);
    if (phase.model == NULL)
        return -1;
    const int opened =
        load_is_measured ? engine->open(&settings, &phase.database) : rows_prepare(&phase, folder);
    if (opened != 0)
        return -1;
    for (size_t i = 0; plan->workloads[i] != '\0'; i++) {
        const uint64_t count = i == 0 && load_is_measured ? plan->rows : plan->operations;
        if (phase_run(&phase, plan->workloads[i], count, &out->phases[i]) != 0)
            return -1;
    }
    model_destroy(phase.model);
    return engine->close(phase.database);
}

static uint64_t disk_bytes;

static int file_count(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)path;
    (void)walk;
    if (type == FTW_F)
        disk_bytes += (uint64_t)status->st_blocks * 512;
    return 0;
}

static int file_remove(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)type;
    (void)walk;
    return remove(path);
}

/* In the child: runs and hands the result over. */
static int child_main(const struct engine *engine, const struct plan *plan, const char *folder,
                      int pipe_end)
{
    struct run_result result = {0};
    struct rusage usage;
    if (phases_run(engine, plan, folder, &result) != 0)
        return 1;
    getrusage(RUSAGE_SELF, &usage);
    result.memory_bytes = (uint64_t)usage.ru_maxrss * 1024;
    nftw(folder, file_count, 16, FTW_PHYS);
    result.disk_bytes = disk_bytes;
    return write(pipe_end, &result, sizeof(result)) == (ssize_t)sizeof(result) ? 0 : 1;
}

int run(const struct engine *engine, const struct plan *plan, struct run_result *out)
{
    char folder[512];
    int ends[2], status = -1;
    snprintf(folder, sizeof(folder), "%s/ycsb-%s-XXXXXX", plan->parent_folder, engine->name);
    if (mkdtemp(folder) == NULL || pipe(ends) != 0) {
        fprintf(stderr, "%s: %s\n", folder, strerror(errno));
        return -1;
    }
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0)
        _exit(child_main(engine, plan, folder, ends[1]));
    close(ends[1]);
    const bool whole = child > 0 && read(ends[0], out, sizeof(*out)) == (ssize_t)sizeof(*out);
    close(ends[0]);
    if (child > 0)
        waitpid(child, &status, 0);
    nftw(folder, file_remove, 16, FTW_DEPTH | FTW_PHYS);
    if (!whole || status != 0) {
        fprintf(stderr, "%s did not get through (exit status %d)\n", engine->name, status);
        return -1;
    }
    return 0;
}
