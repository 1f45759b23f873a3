#define _XOPEN_SOURCE 700 /* barriers */

#include "run.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/latency.h"
#include "common/process.h"

/* Drawn at once: a long workload is run slice by slice. */
enum { SLICE_OPERATIONS = 1000000, SAMPLE_EVERY = 8 };

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
    unsigned sample_every; /* Of so many operations the time of one is taken. */
    struct latency *latency;
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
    case OPERATION_BATCH:
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

/* Reads up to BATCH_MAX rows at once. */
static int batch_do(struct worker *worker, const struct operation *operations, size_t count)
{
    struct bytes keys[BATCH_MAX] = {{NULL, 0}}, values[BATCH_MAX] = {{NULL, 0}};
    for (size_t i = 0; i < count; i++)
        keys[i] = (struct bytes){operations[i].key, KEY_BYTES};
    if (worker->engine->get_many(worker->session, keys, count, values) != 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        const uint64_t update = worker->exact ? operations[i].read_update : VALUE_ANY_UPDATE;
        const bool found = values[i].data != NULL;
        worker->hits += found;
        worker->wrong +=
            !found || !value_is_of(operations[i].key, update, worker->value_bytes, values[i]);
    }
    return 0;
}

/* Operation `index`, with those that go together with it; returns the next one's index. */
static uint64_t step_do(struct worker *worker, uint64_t index)
{
    const struct operation *operations = worker->operations;
    if (worker->engine->get_many == NULL || operations[index].kind != OPERATION_BATCH) {
        worker->failed = operation_do(worker, &operations[index]) != 0;
        return index + 1;
    }
    uint64_t end = index + 1;
    while (end < worker->operation_count && end - index < BATCH_MAX)
        end++;
    worker->failed = batch_do(worker, operations + index, (size_t)(end - index)) != 0;
    return end;
}

static void *worker_main(void *context)
{
    struct worker *worker = (struct worker *)context;
    unsigned until_sample = 1;
    pthread_barrier_wait(worker->start);
    for (uint64_t i = 0; i < worker->operation_count && !worker->failed;) {
        if (--until_sample > 0) {
            i = step_do(worker, i);
            continue;
        }
        until_sample = worker->sample_every;
        const uint64_t begin = clock_ns();
        i = step_do(worker, i);
        latency_add(worker->latency, clock_ns() - begin);
    }
    return NULL;
}

/* ---- One phase ---- */

struct phase {
    const struct engine *engine;
    const struct plan *plan;
    void *database;
    struct model *model;
    struct worker *workers; /* [plan->threads] */
    const char *group;      /* The control group to join once the rows are there; may be empty. */
};

/* Draws the operations and opens the sessions, none of which is measured. */
static int workers_prepare(struct phase *phase, char workload, uint64_t count,
                           pthread_barrier_t *start)
{
    static struct latency latencies[THREADS_MAX];
    const unsigned threads = phase->plan->threads;
    for (unsigned i = 0; i < threads; i++) {
        struct worker *worker = &phase->workers[i];
        memset(worker, 0, sizeof(*worker));
        memset(&latencies[i], 0, sizeof(latencies[i]));
        worker->engine = phase->engine;
        worker->start = start;
        worker->value_bytes = phase->plan->value_bytes;
        worker->exact = threads == 1;
        worker->sample_every = phase->plan->synced ? 1 : SAMPLE_EVERY;
        worker->latency = &latencies[i];
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

/* Adds what the workers found to `out`. */
static int workers_collect(struct phase *phase, struct latency *latency, struct phase_result *out)
{
    bool failed = false;
    for (unsigned i = 0; i < phase->plan->threads; i++) {
        const struct worker *worker = &phase->workers[i];
        phase->engine->session_close(worker->session);
        latency_merge(latency, worker->latency);
        out->hits += worker->hits;
        out->rows_scanned += worker->rows_scanned;
        out->wrong += worker->wrong;
        failed = failed || worker->failed;
        free(worker->operations);
    }
    return failed ? -1 : 0;
}

static int slice_run(struct phase *phase, char workload, uint64_t count, struct latency *latency,
                     struct phase_result *out)
{
    pthread_barrier_t start;
    pthread_barrier_init(&start, NULL, phase->plan->threads + 1);
    if (workers_prepare(phase, workload, count, &start) != 0)
        return -1;
    const double begin = clock_seconds();
    pthread_barrier_wait(&start);
    for (unsigned i = 0; i < phase->plan->threads; i++)
        pthread_join(phase->workers[i].thread, NULL);
    out->wall_s += clock_seconds() - begin;
    pthread_barrier_destroy(&start);
    return workers_collect(phase, latency, out);
}

static uint64_t own_write_bytes(const struct phase *phase)
{
    const struct engine *engine = phase->engine;
    return engine->own_write_bytes == NULL ? 0 : engine->own_write_bytes(phase->database);
}

/* A failure ends the process, so nothing is cleaned up after one. This thread only draws, opens and
 * collects before it settles, so its time until then is not the engine's. */
static int phase_run(struct phase *phase, char workload, uint64_t count, const char *folder,
                     struct phase_result *out)
{
    static struct latency latency;
    struct process_io io_begin, io;
    memset(&latency, 0, sizeof(latency));
    *out = (struct phase_result){.operations = count};
    if (workload == 'S' && phase->engine->rest(phase->database) != 0)
        return -1;

    process_io_read(&io_begin);
    const uint64_t own_begin = own_write_bytes(phase), reads_begin = disk_reads(folder);
    const double cpu_begin = clock_cpu_seconds(), drawing_begin = clock_thread_cpu_seconds();
    for (uint64_t done = 0; done < count; done += SLICE_OPERATIONS) {
        const uint64_t slice = count - done < SLICE_OPERATIONS ? count - done : SLICE_OPERATIONS;
        if (slice_run(phase, workload, slice, &latency, out) != 0)
            return -1;
    }
    const double drawing = clock_thread_cpu_seconds() - drawing_begin;
    const double settle_begin = clock_seconds();
    out->device_reads = disk_reads(folder) - reads_begin;
    if (phase->engine->settle(phase->database) != 0)
        return -1;
    out->cpu_s = clock_cpu_seconds() - cpu_begin - drawing;
    out->settle_s = clock_seconds() - settle_begin;
    process_io_since(&io_begin, &io);
    out->write_bytes = io.device_write_bytes;
    out->own_write_bytes = own_write_bytes(phase) - own_begin;
    out->p50_ns = latency_quantile(&latency, 0.5);
    out->p99_ns = latency_quantile(&latency, 0.99);
    out->p999_ns = latency_quantile(&latency, 0.999);
    out->most_ns = (double)latency.maximum;
    return 0;
}

/* ---- One run ---- */

static uint64_t operations_of(const struct plan *plan, char workload)
{
    const uint64_t written =
        (plan->value_bytes + KEY_BYTES) * (unsigned)workload_write_share(workload);
    const uint64_t wanted = written == 0 ? 0 : plan->write_bytes * 100 / written;
    return wanted > plan->operations ? wanted : plan->operations;
}

/* Whether the first workload brings the rows. Else they are there before it. */
static bool load_is_measured(const struct plan *plan)
{
    return !plan->synced && !plan->tight && plan->workloads[0] == 'L';
}

/* Operations of the workload at `index`. */
static uint64_t operations_at(const struct plan *plan, size_t index)
{
    return index == 0 && load_is_measured(plan) ? plan->rows
                                                : operations_of(plan, plan->workloads[index]);
}

static uint64_t rows_at_most(const struct plan *plan)
{
    uint64_t rows = load_is_measured(plan) ? 1 : plan->rows + 1;
    for (size_t i = 0; plan->workloads[i] != '\0'; i++) {
        if (strchr("LDE", plan->workloads[i]) != NULL)
            rows += operations_at(plan, i);
    }
    return rows;
}

static struct settings settings_of(const struct plan *plan, const char *folder, bool synced)
{
    return (struct settings){
        .folder = folder,
        .budget_bytes = plan->budget_bytes,
        .data_bytes = rows_at_most(plan) * (KEY_BYTES + plan->value_bytes),
        .value_bytes = plan->value_bytes,
        .synced = synced,
        .threads = plan->threads,
        .tight = plan->tight,
    };
}

void run_describe(const struct engine *engine, const struct plan *plan, char *out, size_t capacity)
{
    const struct settings settings = settings_of(plan, "", plan->synced);
    engine->describe(&settings, out, capacity);
}

/* Fills the database without measuring, and opens it again as the plan wants it. Where memory is
 * to be tight, what the loading left in the page cache would not count. */
static int rows_prepare(struct phase *phase, const char *folder)
{
    struct phase_result ignored;
    struct settings settings = settings_of(phase->plan, folder, false);
    if (phase->engine->open(&settings, &phase->database) != 0 ||
        phase_run(phase, 'L', phase->plan->rows, folder, &ignored) != 0 ||
        phase->engine->rest(phase->database) != 0 || phase->engine->close(phase->database) != 0)
        return -1;
    if (phase->group[0] != '\0') {
        folder_forget(folder);
        if (memory_group_join(phase->group) != 0)
            return -1;
    }
    settings.synced = phase->plan->synced;
    return phase->engine->open(&settings, &phase->database);
}

static int phases_run(const struct engine *engine, const struct plan *plan, const char *folder,
                      const char *group, struct run_result *out)
{
    static struct worker workers[THREADS_MAX];
    struct phase phase = {.engine = engine, .plan = plan, .workers = workers, .group = group};
    const struct settings settings = settings_of(plan, folder, plan->synced);
    phase.model = model_create(rows_at_most(plan), plan->seed);
    if (phase.model == NULL)
        return -1;
    const int opened = load_is_measured(plan) ? engine->open(&settings, &phase.database)
                                              : rows_prepare(&phase, folder);
    if (opened != 0)
        return -1;
    for (size_t i = 0; plan->workloads[i] != '\0'; i++) {
        if (phase_run(&phase, plan->workloads[i], operations_at(plan, i), folder,
                      &out->phases[i]) != 0)
            return -1;
    }
    if (engine->heap_peak_bytes != NULL)
        out->heap_peak_bytes = engine->heap_peak_bytes(phase.database);
    model_destroy(phase.model);
    return engine->close(phase.database);
}

/* Bytes that the benchmark itself holds at most: the model and one slice of operations. */
static uint64_t harness_bytes(const struct plan *plan)
{
    uint64_t slice = 0;
    for (size_t i = 0; plan->workloads[i] != '\0'; i++) {
        const uint64_t count = operations_of(plan, plan->workloads[i]);
        slice = count > slice ? count : slice;
    }
    slice = plan->rows > slice ? plan->rows : slice;
    slice = slice < SLICE_OPERATIONS ? slice : SLICE_OPERATIONS;
    return rows_at_most(plan) * sizeof(uint32_t) + slice * sizeof(struct operation);
}

/* In the child: runs and hands the result over. */
static int child_main(const struct engine *engine, const struct plan *plan, const char *folder,
                      const char *group, int pipe_end)
{
    struct run_result result = {0};
    process_resident_peak_reset();
    const uint64_t before = process_resident_bytes() + harness_bytes(plan);
    if (phases_run(engine, plan, folder, group, &result) != 0)
        return 1;
    const uint64_t peak = process_resident_peak_bytes();
    result.memory_bytes = peak > before ? peak - before : 0;
    result.disk_bytes = folder_measure(folder).bytes;
    return write(pipe_end, &result, sizeof(result)) == (ssize_t)sizeof(result) ? 0 : 1;
}

/* Room beyond the budget for code, stacks and files' metadata. */
enum { TIGHT_SLACK_BYTES = 8 << 20 };

static int group_make(const struct plan *plan, char *out, size_t capacity)
{
    out[0] = '\0';
    if (!plan->tight)
        return 0;
    const uint64_t limit =
        plan->budget_bytes + plan->budget_bytes / 4 + harness_bytes(plan) + TIGHT_SLACK_BYTES;
    if (memory_group_make(limit, out, capacity) == 0)
        return 0;
    fprintf(stderr, "no control group for memory can be made here\n");
    return -1;
}

int run(const struct engine *engine, const struct plan *plan, struct run_result *out)
{
    char folder[512], name[64], group[1024];
    int ends[2], status = -1;
    snprintf(name, sizeof(name), "ycsb-%s", engine->name);
    if (folder_make(plan->parent_folder, name, folder, sizeof(folder)) != 0)
        return -1;
    if (group_make(plan, group, sizeof(group)) != 0 || pipe(ends) != 0) {
        folder_remove(folder);
        return -1;
    }
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0)
        _exit(child_main(engine, plan, folder, group, ends[1]));
    close(ends[1]);
    const bool whole = child > 0 && read(ends[0], out, sizeof(*out)) == (ssize_t)sizeof(*out);
    close(ends[0]);
    if (child > 0)
        waitpid(child, &status, 0);
    memory_group_remove(group);
    folder_remove(folder);
    if (!whole || status != 0) {
        fprintf(stderr, "%s did not get through (exit status %d)\n", engine->name, status);
        return -1;
    }
    return 0;
}
