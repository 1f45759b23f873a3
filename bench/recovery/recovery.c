/* recovery: what an open reads and writes after a clean close and after a crash, against the size
 * of the data, of its history, and the number of branches. */
#define _POSIX_C_SOURCE 200809L

#include <inttypes.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/bench.h"
#include "common/clock.h"
#include "common/process.h"

enum { VALUE_BYTES = 100, TAIL_PUTS = 1000, SCRATCH_ROWS = 1000 };

static const uint64_t BUDGET_BYTES = UINT64_C(64) << 20;

struct shape {
    const char *name;
    uint64_t rows, versions, branches;
};

/* What one open took. */
struct opening {
    double ms;
    struct process_io io;
};

/* Makes the database and, with `crash`, ends the process without closing it. The newest commits
 * then lie in the log alone, as many for each shape. */
static void shape_make(struct bench *bench, const struct shape *shape, bool crash)
{
    char name[32];
    bench_open(bench, false);
    rows_load(bench, 0, shape->rows, VALUE_BYTES);
    for (uint64_t update = 1; update < shape->versions; update++) {
        for (uint64_t row = 0; row < shape->rows; row++)
            row_put(bench->main, row, update, VALUE_BYTES);
    }
    for (uint64_t i = 1; i < shape->branches; i++) {
        snprintf(name, sizeof(name), "b-%" PRIu64, i);
        must(strata_branch_fork(bench->db, strata_head("main"), name, NULL), "fork");
    }
    /* A segment of the log goes as a whole, so every shape fills some with the same rows. */
    for (uint64_t i = 0; i < bench_size(bench, 1000, 150000, 150000); i++)
        row_put(bench->main, shape->rows + i % SCRATCH_ROWS, i, VALUE_BYTES);
    bench_settle(bench);
    for (uint64_t i = 0; i < TAIL_PUTS; i++)
        row_put(bench->main, i % shape->rows, shape->versions + i / shape->rows, VALUE_BYTES);
    if (crash)
        _exit(0);
    bench_close(bench);
}

/* In a process of its own, so that a crash can be one. */
static void shape_make_apart(struct bench *bench, const struct shape *shape, bool crash)
{
    int status = -1;
    if (folder_make(bench->folder, bench->name, bench->path, sizeof(bench->path)) != 0)
        exit(1);
    bench->budget_bytes = BUDGET_BYTES;
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
        shape_make(bench, shape, crash);
        fflush(NULL);
        _exit(bench->faults > 0);
    }
    if (child > 0)
        waitpid(child, &status, 0);
    bench_check(bench, status == 0, "the database was not made");
}

static void shape_check(struct bench *bench, const struct shape *shape)
{
    strata_value value = {0};
    uint64_t state = 1;
    for (uint64_t i = 0; i < 200; i++) {
        const uint64_t row = row_random(&state) % shape->rows;
        uint64_t update = shape->versions - 1;
        if (row < TAIL_PUTS) /* Written by the tail, once or more. */
            update = shape->versions + (TAIL_PUTS - 1 - row) / shape->rows;
        bench_check(bench, row_get(bench->main, row, update, &value), "a row is not what it was");
    }
    if (shape->branches > 1) {
        strata_txn *txn = bench_branch(bench, "b", shape->branches - 1);
        bench_check(bench, row_get(txn, 0, shape->versions - 1, &value), "a branch lacks a row");
        strata_txn_close(txn);
    }
    strata_value_release(&value);
}

static struct opening shape_open(struct bench *bench, const struct shape *shape, bool crash)
{
    struct opening opening;
    struct process_io before;
    shape_make_apart(bench, shape, crash);
    bench->alone = true;
    process_io_read(&before);
    const double begin = clock_seconds();
    bench_open(bench, false);
    opening.ms = (clock_seconds() - begin) * 1e3;
    process_io_since(&before, &opening.io);
    bench->alone = false;
    shape_check(bench, shape);
    bench_close(bench);
    bench_remove(bench);
    return opening;
}

/* Figures of `shape`, and how many times those of the least one they are. */
static void shape_report(struct bench *bench, const struct shape *shape, bool crash,
                         const struct opening *opening, const struct opening *least)
{
    const char *after = crash ? "crash" : "close";
    const uint64_t operations = opening->io.read_calls + opening->io.write_calls;
    const uint64_t least_operations = least->io.read_calls + least->io.write_calls;
    const uint64_t bytes = opening->io.read_bytes + opening->io.write_bytes;
    const uint64_t least_bytes = least->io.read_bytes + least->io.write_bytes;
    bench_value(bench, "ms", opening->ms, "open after a %s, %s", after, shape->name);
    bench_value(bench, "count", (double)operations, "operations after a %s, %s", after,
                shape->name);
    bench_value(bench, "bytes", (double)bytes, "bytes after a %s, %s", after, shape->name);
    if (opening == least)
        return;
    bench_value(bench, "ratio", (double)operations / (double)least_operations,
                "operations after a %s, %s to least", after, shape->name);
    bench_value(bench, "ratio", (double)bytes / (double)least_bytes,
                "bytes after a %s, %s to least", after, shape->name);
}

int main(int count, char **words)
{
    enum { SHAPES = 4 };
    struct bench bench;
    bench_begin(&bench, "recovery", count, words);
    const uint64_t rows = bench_size(&bench, 200, 2000, 20000);
    const struct shape shapes[SHAPES] = {
        {"least", rows, 1, 1},
        {"100x rows", rows * 100, 1, 1},
        {"100x versions", rows, 100, 1},
        {"10000 branches", rows, 1, bench_size(&bench, 100, 2000, 10000)},
    };
    for (int crash = 0; crash < 2; crash++) {
        struct opening openings[SHAPES];
        if (!bench_part(&bench, crash ? "crash" : "close", "operations, bytes and time of an open"))
            continue;
        for (size_t i = 0; i < SHAPES; i++) {
            openings[i] = shape_open(&bench, &shapes[i], crash);
            shape_report(&bench, &shapes[i], crash, &openings[i], &openings[0]);
        }
    }
    return bench_end(&bench);
}
