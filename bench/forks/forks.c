/* forks: what a fork costs, and what reads cost on forks and beside them. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/alternate.h"
#include "common/clock.h"
#include "common/latency.h"
#include "common/process.h"

enum { VALUE_BYTES = 100, SCAN_ROWS = 50, ROUNDS = 7, ROWS_OF_ANCESTOR = 10 };

static const uint64_t BUDGET_BYTES = UINT64_C(1) << 30;

static void fork_one(const struct bench *bench, const char *from, uint64_t from_number,
                     const char *to, uint64_t number)
{
    char parent[64], name[64];
    snprintf(parent, sizeof(parent), "%s-%" PRIu64, from, from_number);
    snprintf(name, sizeof(name), "%s-%" PRIu64, to, number);
    const bool root = strcmp(from, "main") == 0;
    must(strata_branch_fork(bench->db, strata_head(root ? "main" : parent), name, NULL), "fork");
}

/* `count` forks, of main or, with `chain`, each of the one before. */
static void forks_measure(struct bench *bench, const char *branches, uint64_t count, bool chain,
                          const char *name)
{
    struct latency latency;
    memset(&latency, 0, sizeof(latency));
    const double flushed = bench_metric(bench, "flush.bytes") + bench_metric(bench, "merge.bytes");
    const double cpu_begin = clock_cpu_seconds();
    for (uint64_t i = 0; i < count; i++) {
        const uint64_t begin = clock_ns();
        if (chain && i > 0)
            fork_one(bench, branches, i - 1, branches, i);
        else
            fork_one(bench, "main", 0, branches, i);
        latency_add(&latency, clock_ns() - begin);
    }
    const double cpu = clock_cpu_seconds() - cpu_begin;
    const double tables = bench_metric(bench, "flush.bytes") + bench_metric(bench, "merge.bytes");
    bench_value(bench, "us", cpu * 1e6 / (double)count, "fork CPU, %s", name);
    bench_value(bench, "us", latency_quantile(&latency, 0.5) * 1e-3, "fork p50, %s", name);
    bench_value(bench, "us", latency_quantile(&latency, 0.99) * 1e-3, "fork p99, %s", name);
    bench_value(bench, "bytes", tables - flushed, "table bytes written by forks, %s", name);
}

static void sizes_part(struct bench *bench)
{
    const uint64_t sizes[] = {1000, bench_size(bench, 5000, 300000, 100000000)};
    for (size_t i = 0; i < 2; i++) {
        /* The full size with the least values, since only the number of rows counts. */
        const size_t value = bench->scale == SCALE_FULL ? ROW_VALUE_BYTES_MIN : VALUE_BYTES;
        strata_value held = {0};
        bench_create(bench, BUDGET_BYTES, false);
        rows_load(bench, 0, sizes[i], value);
        bench_settle(bench);
        forks_measure(bench, "size", bench_size(bench, 20, 1000, 1000), false,
                      i == 0 ? "few rows" : "many rows");
        strata_txn *fork = bench_branch(bench, "size", 7);
        bench_check(bench, row_get(fork, sizes[i] / 2, 0, &held), "a fork lacks a row");
        strata_value_release(&held);
        strata_txn_close(fork);
        bench_close(bench);
        bench_remove(bench);
    }
}

/* Forks of forks, each of which writes a few rows. */
static void chain_make(struct bench *bench, uint64_t depth, uint64_t rows)
{
    for (uint64_t i = 0; i < depth; i++) {
        fork_one(bench, i == 0 ? "main" : "chain", i - 1, "chain", i);
        strata_txn *txn = bench_branch(bench, "chain", i);
        for (uint64_t row = 0; row < ROWS_OF_ANCESTOR; row++)
            row_put(txn, (i * ROWS_OF_ANCESTOR + row) % rows, i + 1, VALUE_BYTES);
        strata_txn_close(txn);
    }
}

static void depth_part(struct bench *bench)
{
    const uint64_t rows = bench_size(bench, 2000, 50000, 1000000);
    const uint64_t deepest = bench_size(bench, 64, 1000, 1000);
    const uint64_t depths[] = {0, 1, 16, 64, deepest};
    const size_t ways = deepest > 64 ? 5 : 4;
    struct reader readers[5];
    double gets[5], scans[5];
    bench_create(bench, BUDGET_BYTES, false);
    rows_load(bench, 0, rows, VALUE_BYTES);
    chain_make(bench, deepest, rows);
    bench_settle(bench);
    for (size_t i = 0; i < ways; i++) {
        readers[i] = (struct reader){
            .txn = depths[i] == 0 ? bench->main : bench_branch(bench, "chain", depths[i] - 1),
            .rows = rows,
            .update = READER_ANY_UPDATE,
            .only = READER_EVERY_ROW};
    }
    alternate(bench, readers, ways, bench_size(bench, 200, 20000, 200000), ROUNDS, gets);
    for (size_t i = 0; i < ways; i++)
        readers[i].scan = SCAN_ROWS;
    alternate(bench, readers, ways, bench_size(bench, 20, 2000, 10000), ROUNDS, scans);
    bench_value(bench, "ns", gets[0], "get on the root");
    bench_value(bench, "ns", scans[0], "scan on the root");
    for (size_t i = 1; i < ways; i++) {
        bench_value(bench, "ratio", gets[i] / gets[0], "get at depth %" PRIu64, depths[i]);
        bench_value(bench, "ratio", scans[i] / scans[0], "scan at depth %" PRIu64, depths[i]);
        strata_txn_close(readers[i].txn);
    }
    forks_measure(bench, "deep", bench_size(bench, 20, 1000, 1000), true, "depth 1 to 1000");
    bench_close(bench);
    bench_remove(bench);
}

/* The parent overwrites all rows after the forks were made. */
static void overwritten_part(struct bench *bench)
{
    const uint64_t rows = bench_size(bench, 1000, 20000, 200000);
    double scans[2];
    bench_create(bench, BUDGET_BYTES, false);
    rows_load(bench, 0, rows, VALUE_BYTES);
    chain_make(bench, 16, rows);
    for (uint64_t row = 0; row < rows; row++)
        row_put(bench->main, row, 1000, VALUE_BYTES);
    bench_settle(bench);
    struct reader readers[2] = {{.txn = bench->main,
                                 .rows = rows,
                                 .update = 1000,
                                 .only = READER_EVERY_ROW,
                                 .scan = SCAN_ROWS},
                                {.txn = bench_branch(bench, "chain", 15),
                                 .rows = rows,
                                 .update_last = 16,
                                 .only = READER_EVERY_ROW,
                                 .scan = SCAN_ROWS}};
    alternate(bench, readers, 2, bench_size(bench, 20, 2000, 10000), ROUNDS, scans);
    bench_value(bench, "ratio", scans[1] / scans[0],
                "scan at depth 16, parent overwrote the range");
    strata_txn_close(readers[1].txn);
    bench_close(bench);
    bench_remove(bench);
}

/* Reads on main before and after there are forks that wrote. Both are read in one run, so the
 * database without forks is a second one. */
static void beside_part(struct bench *bench)
{
    const uint64_t rows = bench_size(bench, 1000, 50000, 1000000);
    const uint64_t few = bench_size(bench, 50, 1000, 1000);
    const uint64_t many = bench_size(bench, 100, 10000, 100000);
    struct bench alone = *bench;
    alone.faults = 0;
    double gets[2], scans[2];
    bench_create(&alone, BUDGET_BYTES / 2, false);
    rows_load(&alone, 0, rows, VALUE_BYTES);
    bench_settle(&alone);
    bench_create(bench, BUDGET_BYTES / 2, false);
    rows_load(bench, 0, rows, VALUE_BYTES);
    for (uint64_t count = 0, next = few; next <= many;
         count = next, next = next < many ? many : many + 1) {
        for (uint64_t i = count; i < next; i++) {
            fork_one(bench, "main", 0, "beside", i);
            strata_txn *txn = bench_branch(bench, "beside", i);
            row_put(txn, i % rows, i + 1, VALUE_BYTES);
            strata_txn_close(txn);
        }
        bench_settle(bench);
        struct reader readers[2] = {
            {.txn = alone.main, .rows = rows, .update = 0, .only = READER_EVERY_ROW},
            {.txn = bench->main, .rows = rows, .update = 0, .only = READER_EVERY_ROW}};
        alternate(bench, readers, 2, bench_size(bench, 200, 20000, 200000), ROUNDS, gets);
        readers[0].scan = readers[1].scan = SCAN_ROWS;
        alternate(bench, readers, 2, bench_size(bench, 20, 2000, 10000), ROUNDS, scans);
        const char *name = next == few ? "1000" : "100000";
        bench_value(bench, "ratio", gets[1] / gets[0], "get on main beside %s forks", name);
        bench_value(bench, "ratio", scans[1] / scans[0], "scan on main beside %s forks", name);
    }
    forks_measure(bench, "late", bench_size(bench, 20, 1000, 1000), false, "100000 branches");
    bench_close(&alone);
    bench_remove(&alone);
    bench->faults += alone.faults;
    bench_close(bench);
    bench_remove(bench);
}

static void million_part(struct bench *bench)
{
    const uint64_t count = bench_size(bench, 200, 20000, 1000000);
    strata_value value = {0};
    struct process_io before, io;
    bench_create(bench, BUDGET_BYTES, false);
    rows_load(bench, 0, 1000, VALUE_BYTES);
    forks_measure(bench, "many", count, false, "up to 1000000 branches");
    bench_close(bench);
    process_io_read(&before);
    const double begin = clock_seconds();
    bench_open(bench, false);
    bench_value(bench, "ms", (clock_seconds() - begin) * 1e3, "open with 1000000 branches");
    process_io_since(&before, &io);
    bench_value(bench, "bytes", (double)io.read_bytes, "bytes read to open 1000000 branches");
    forks_measure(bench, "more", bench_size(bench, 20, 1000, 1000), false, "1000000 branches");
    uint64_t state = 1;
    const double cpu = clock_thread_cpu_seconds();
    const uint64_t reads = bench_size(bench, 20, 1000, 1000);
    for (uint64_t i = 0; i < reads; i++) {
        strata_txn *txn = bench_branch(bench, "many", row_random(&state) % count);
        bench_check(bench, row_get(txn, i % 1000, 0, &value), "a branch lacks a row");
        strata_txn_close(txn);
    }
    bench_value(bench, "us", (clock_thread_cpu_seconds() - cpu) * 1e6 / (double)reads,
                "first get on one of 1000000 branches");
    strata_value_release(&value);
    bench_close(bench);
    bench_remove(bench);
}

int main(int count, char **words)
{
    struct bench bench;
    bench_begin(&bench, "forks", count, words);
    if (bench_part(&bench, "sizes", "1,000 forks of main, of 10^3 and 10^8 rows"))
        sizes_part(&bench);
    if (bench_part(&bench, "depth",
                   "reads at depth 1, 16, 64, 1,000; 10 rows written on each level"))
        depth_part(&bench);
    if (bench_part(&bench, "overwritten", "scans at depth 16 of what the parent overwrote"))
        overwritten_part(&bench);
    if (bench_part(&bench, "beside", "reads on main beside forks that wrote"))
        beside_part(&bench);
    if (bench_part(&bench, "million", "open, fork and get with 1,000,000 branches"))
        million_part(&bench);
    return bench_end(&bench);
}
