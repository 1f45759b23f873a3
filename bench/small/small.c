/* small: everything in 16 MiB and in 1 MiB, with answers checked and memory held to the budget. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/bench.h"
#include "common/clock.h"
#include "common/latency.h"
#include "common/process.h"

/* Code, the C library and what its heap keeps; and the stacks of the background threads. */
enum { RESIDENT_BEYOND_MAX = (1024 + 768) << 10 };

enum { VALUE_BYTES = 100, SCAN_ROWS = 50, FORKS = 100, DONE = 1 };

struct profile {
    const char *name;
    uint64_t budget_bytes;
    uint64_t rows, operations;
    uint32_t *newest; /* [rows]: the update that wrote each. */
};

/* CPU ns per operation, since `begin`, of all threads. */
static void cost_report(struct bench *bench, const struct profile *profile, const char *what,
                        double begin, uint64_t operations)
{
    bench_settle(bench);
    bench_value(bench, "ns", (clock_cpu_seconds() - begin) * 1e9 / (double)operations,
                "%s, CPU, %s", what, profile->name);
}

static void load_do(struct bench *bench, const struct profile *profile)
{
    const double begin = clock_cpu_seconds();
    for (uint64_t row = 0; row < profile->rows; row++)
        row_put(bench->main, row, 0, VALUE_BYTES);
    cost_report(bench, profile, "load", begin, profile->rows);
}

static void half_updates_do(struct bench *bench, const struct profile *profile)
{
    strata_value value = {0};
    uint64_t state = 1, wrong = 0;
    const double begin = clock_cpu_seconds();
    for (uint64_t i = 0; i < profile->operations; i++) {
        const uint64_t row = row_random(&state) % profile->rows;
        if (i % 2 == 0)
            row_put(bench->main, row, ++profile->newest[row], VALUE_BYTES);
        else
            wrong += !row_get(bench->main, row, profile->newest[row], &value);
    }
    strata_value_release(&value);
    cost_report(bench, profile, "A", begin, profile->operations);
    bench_check(bench, wrong == 0, "reads among updates were wrong");
}

static void scans_do(struct bench *bench, const struct profile *profile)
{
    uint64_t state = 2, wrong = 0;
    const uint64_t count = profile->operations / 20;
    const double begin = clock_cpu_seconds();
    for (uint64_t i = 0; i < count; i++) {
        const uint64_t row = row_random(&state) % profile->rows;
        if (i % 20 == 0)
            row_put(bench->main, row, ++profile->newest[row], VALUE_BYTES);
        else
            wrong += row_scan(bench->main, row, SCAN_ROWS, 0, UINT64_MAX) == 0;
    }
    cost_report(bench, profile, "E", begin, count);
    bench_check(bench, wrong == 0, "scans were wrong");
}

static void forks_do(struct bench *bench, const struct profile *profile)
{
    char name[32];
    strata_value value = {0};
    uint64_t wrong = 0;
    const double begin = clock_cpu_seconds();
    for (uint64_t i = 0; i < FORKS; i++) {
        snprintf(name, sizeof(name), "fork-%" PRIu64, i);
        must(strata_branch_fork(bench->db, strata_head("main"), name, NULL), "fork");
        strata_txn *txn = bench_branch(bench, "fork", i);
        row_put(txn, i, 1000000 + i, VALUE_BYTES);
        wrong += !row_get(txn, i, 1000000 + i, &value);
        wrong += !row_get(txn, i + FORKS, profile->newest[i + FORKS], &value);
        strata_txn_close(txn);
        wrong += !row_get(bench->main, i, profile->newest[i], &value);
    }
    strata_value_release(&value);
    cost_report(bench, profile, "fork, write and read", begin, FORKS);
    bench_check(bench, wrong == 0, "reads on forks were wrong");
}

/* As of the end of the load every row was as the load wrote it. */
static void history_do(struct bench *bench, const struct profile *profile, uint64_t loaded)
{
    strata_value value = {0};
    uint64_t state = 3, wrong = 0;
    strata_txn *moment = bench_snapshot(bench, loaded);
    const uint64_t count = profile->operations / 20;
    const double begin = clock_cpu_seconds();
    for (uint64_t i = 0; i < count; i++)
        wrong += !row_get(moment, row_random(&state) % profile->rows, 0, &value);
    strata_value_release(&value);
    strata_txn_close(moment);
    cost_report(bench, profile, "as-of get", begin, count);
    bench_check(bench, wrong == 0, "reads of the past were wrong");
}

static void everything_check(struct bench *bench, const struct profile *profile)
{
    strata_value value = {0};
    uint64_t wrong = 0;
    for (uint64_t row = 0; row < profile->rows; row++)
        wrong += !row_get(bench->main, row, profile->newest[row], &value);
    strata_value_release(&value);
    bench_check(bench, wrong == 0, "rows are wrong after the reopening");
}

static void memory_report(struct bench *bench, const struct profile *profile, const char *when)
{
    const uint64_t peak = process_resident_peak_bytes();
    const double grown =
        peak > bench->resident_before ? (double)(peak - bench->resident_before) : 0;
    const double budget = (double)bench->budget_bytes;
    bench_value(bench, "MiB", grown / (1 << 20), "resident memory grown, %s, %s", when,
                profile->name);
    bench_value(bench, "MiB", (grown - budget) / (1 << 20), "resident beyond the budget, %s, %s",
                when, profile->name);
    bench_check(bench, grown <= budget + RESIDENT_BEYOND_MAX,
                "resident memory grew by more than the budget, 1 MiB and the stacks of threads");
    bench_value(bench, "MiB", (double)bench_heap_peak(bench) / (1 << 20), "heap, most live, %s, %s",
                when, profile->name);
}

static void profile_run(struct bench *bench, struct profile *profile)
{
    const uint64_t faults = bench->faults;
    struct process_io before, io;
    profile->newest = malloc(profile->rows * sizeof(*profile->newest));
    if (profile->newest == NULL)
        exit(1);
    memset(profile->newest, 0, profile->rows * sizeof(*profile->newest));
    process_io_read(&before);
    bench->library_heap = true; /* As a program has it: what it keeps of freed blocks counts. */
    bench_create(bench, profile->budget_bytes, false);
    load_do(bench, profile);
    const uint64_t loaded = strata_txn_version(bench->main);
    half_updates_do(bench, profile);
    scans_do(bench, profile);
    forks_do(bench, profile);
    history_do(bench, profile, loaded);
    const double user = bench_metric(bench, "write.user_bytes");
    memory_report(bench, profile, "work");
    process_io_since(&before, &io);
    bench_value(bench, "ratio", (double)io.device_write_bytes / user,
                "bytes written per logical byte, %s", profile->name);
    bench_close(bench);

    const double begin = clock_seconds();
    bench_open(bench, false);
    bench_value(bench, "ms", (clock_seconds() - begin) * 1e3, "reopening, %s", profile->name);
    everything_check(bench, profile);
    memory_report(bench, profile, "reopening");
    bench_close(bench);
    bench_remove(bench);
    bench_value(bench, "done", bench->faults == faults ? DONE : 0, "all answers right, %s",
                profile->name);
    bench->library_heap = false;
    free(profile->newest);
}

static void empty_part(struct bench *bench)
{
    bench_create(bench, UINT64_C(16) << 20, false);
    bench_close(bench);
    bench_value(bench, "KiB", (double)folder_measure(bench->path).bytes / 1024,
                "an empty database on disk");
    bench_remove(bench);
}

int main(int count, char **words)
{
    struct bench bench;
    bench_begin(&bench, "small", count, words);
    struct profile floor_profile = {.name = "1 MiB",
                                    .budget_bytes = UINT64_C(1) << 20,
                                    .rows = bench_size(&bench, 2000, 100000, 100000),
                                    .operations = bench_size(&bench, 2000, 50000, 100000)};
    struct profile small_profile = {.name = "16 MiB",
                                    .budget_bytes = UINT64_C(16) << 20,
                                    .rows = bench_size(&bench, 5000, 200000, 1000000),
                                    .operations = bench_size(&bench, 5000, 200000, 1000000)};
    if (bench_part(&bench, "1MiB", "100,000 keys in 1 MiB"))
        profile_run(&bench, &floor_profile);
    if (bench_part(&bench, "16MiB", "1,000,000 keys in 16 MiB"))
        profile_run(&bench, &small_profile);
    bench_missing(&bench, "armhf text, all five primitives", "only key-value is built");
    if (bench_part(&bench, "empty", "a clean close of an empty database"))
        empty_part(&bench);
    return bench_end(&bench);
}
