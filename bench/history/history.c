/* history: what old versions cost the reads of new ones, and what it costs to read them. */
#include <inttypes.h>
#include <stdlib.h>

#include "common/alternate.h"
#include "common/clock.h"

enum { VALUE_BYTES = 100, SCAN_ROWS = 50, ROUNDS = 7, MOMENTS = 64 };

static const uint64_t BUDGET_BYTES = UINT64_C(1) << 30;

/* Rows [0, rows), each written `versions` times, in rounds over all of them. */
static void versions_make(struct bench *bench, uint64_t rows, uint64_t versions)
{
    bench_create(bench, BUDGET_BYTES / 4, false);
    for (uint64_t update = 0; update < versions; update++) {
        for (uint64_t row = 0; row < rows; row++)
            row_put(bench->main, row, update, VALUE_BYTES);
    }
    bench_settle(bench);
}

static void latest_part(struct bench *bench)
{
    enum { DATABASES = 3 };
    static const uint64_t versions[DATABASES] = {1, 10, 100};
    const uint64_t rows = bench_size(bench, 500, 10000, 100000);
    struct bench databases[DATABASES];
    struct reader readers[DATABASES];
    double gets[DATABASES], scans[DATABASES];
    for (size_t i = 0; i < DATABASES; i++) {
        databases[i] = *bench;
        databases[i].faults = 0;
        versions_make(&databases[i], rows, versions[i]);
        readers[i] = (struct reader){.txn = databases[i].main,
                                     .rows = rows,
                                     .update = versions[i] - 1,
                                     .only = READER_EVERY_ROW};
    }
    for (size_t rest = 0; rest < 2; rest++) {
        const char *when = rest == 0 ? "flushed" : "compacted";
        for (size_t i = 0; i < DATABASES; i++) {
            if (rest == 1)
                bench_rest(&databases[i]);
            readers[i].scan = 0;
        }
        alternate(bench, readers, DATABASES, bench_size(bench, 200, 20000, 200000), ROUNDS, gets);
        for (size_t i = 0; i < DATABASES; i++)
            readers[i].scan = SCAN_ROWS;
        alternate(bench, readers, DATABASES, bench_size(bench, 20, 2000, 10000), ROUNDS, scans);
        bench_value(bench, "ns", gets[0], "latest get, 1 version, %s", when);
        bench_value(bench, "ns", scans[0], "latest scan, 1 version, %s", when);
        for (size_t i = 1; i < DATABASES; i++) {
            bench_value(bench, "ratio", gets[i] / gets[0], "latest get, %" PRIu64 " versions, %s",
                        versions[i], when);
            bench_value(bench, "ratio", scans[i] / scans[0],
                        "latest scan, %" PRIu64 " versions, %s", versions[i], when);
        }
    }
    for (size_t i = 0; i < DATABASES; i++) {
        bench_close(&databases[i]);
        bench_remove(&databases[i]);
        bench->faults += databases[i].faults;
    }
}

/* One key of many versions among others of one. */
static void deep_reads(struct bench *bench, uint64_t rows, uint64_t depth, uint64_t first_version,
                       const char *when)
{
    strata_txn *moments[MOMENTS];
    double ns[3];
    const uint64_t step = depth / MOMENTS;
    for (uint64_t i = 0; i < MOMENTS; i++)
        moments[i] = bench_snapshot(bench, first_version + i * step);
    const struct reader readers[3] = {
        {.txn = bench->main, .rows = rows, .update = 0, .only = READER_EVERY_ROW},
        {.txn = bench->main, .update = depth, .only = rows},
        {.only = rows,
         .moments = moments,
         .moment_count = MOMENTS,
         .moment_first = 1,
         .moment_step = step}};
    alternate(bench, readers, 3, bench_size(bench, 200, 20000, 100000), ROUNDS, ns);
    bench_value(bench, "ns", ns[0], "latest get of any key, %s", when);
    bench_value(bench, "ns", ns[1], "latest get of the deep key, %s", when);
    bench_value(bench, "ns", ns[2], "as-of get in 100000 versions, %s", when);
    bench_value(bench, "ratio", ns[2] / ns[1], "as-of get in 100000 versions to latest, %s", when);
    for (uint64_t i = 0; i < MOMENTS; i++)
        strata_txn_close(moments[i]);
}

/* With a budget that lets all of it stay in the memtable at first. */
static void deep_part(struct bench *bench)
{
    const uint64_t rows = bench_size(bench, 200, 10000, 100000);
    const uint64_t depth = bench_size(bench, 1280, 100000, 100000);
    bench_create(bench, BUDGET_BYTES, false);
    rows_load(bench, 0, rows, VALUE_BYTES);
    bench_settle(bench);
    row_put(bench->main, rows, 1, VALUE_BYTES);
    const uint64_t first_version = strata_txn_version(bench->main);
    for (uint64_t update = 2; update <= depth; update++)
        row_put(bench->main, rows, update, VALUE_BYTES);
    deep_reads(bench, rows, depth, first_version, "memtable");
    bench_settle(bench);
    bench_rest(bench);
    deep_reads(bench, rows, depth, first_version, "history runs");
    bench_close(bench);
    bench_remove(bench);
}

/* Opening a moment, and scans as of it. */
static void moments_part(struct bench *bench)
{
    const uint64_t rows = bench_size(bench, 500, 10000, 100000);
    const uint64_t versions = bench_size(bench, 4, 20, 20);
    const uint64_t count = bench_size(bench, 20, 1000, 10000);
    uint64_t state = 1, last = 0;
    double scans[2];
    versions_make(bench, rows, versions);
    must(strata_kv_put(bench->main, NULL, strata_text("last"), strata_text("")), "put");
    last = strata_txn_version(bench->main);
    bench_rest(bench);
    const double begin = clock_thread_cpu_seconds();
    for (uint64_t i = 0; i < count; i++)
        strata_txn_close(bench_snapshot(bench, 1 + row_random(&state) % last));
    bench_value(bench, "us", (clock_thread_cpu_seconds() - begin) * 1e6 / (double)count,
                "opening a moment");
    strata_txn *middle = bench_snapshot(bench, last / 2);
    const struct reader readers[2] = {{.txn = bench_snapshot(bench, last),
                                       .rows = rows,
                                       .update = versions - 1,
                                       .only = READER_EVERY_ROW,
                                       .scan = SCAN_ROWS},
                                      {.txn = middle,
                                       .rows = rows,
                                       .update = versions / 2 - 1,
                                       .update_last = versions / 2,
                                       .only = READER_EVERY_ROW,
                                       .scan = SCAN_ROWS}};
    /* The row put last sorts before the others, so no scan meets it. */
    alternate(bench, readers, 2, bench_size(bench, 20, 1000, 5000), ROUNDS, scans);
    bench_value(bench, "ns", scans[0], "scan of 50 rows as of the last commit");
    bench_value(bench, "ns", scans[1], "scan of 50 rows as of half the commits");
    strata_txn_close(readers[0].txn);
    strata_txn_close(middle);
    bench_close(bench);
    bench_remove(bench);
}

int main(int count, char **words)
{
    struct bench bench;
    bench_begin(&bench, "history", count, words);
    if (bench_part(&bench, "latest", "reads of the newest rows with 1, 10, 100 versions of each"))
        latest_part(&bench);
    if (bench_part(&bench, "deep", "reads in a key of 100,000 versions"))
        deep_part(&bench);
    if (bench_part(&bench, "moments", "opening moments, scans as of them"))
        moments_part(&bench);
    bench_missing(&bench, "diff of 1000 changes in 10000000 rows", "strata.h has no diff");
    bench_missing(&bench, "merge of k changes", "strata.h has no merge");
    return bench_end(&bench);
}
