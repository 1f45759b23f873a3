/* space: bytes written for each byte of keys and values, and bytes kept. */
#include <inttypes.h>
#include <stdlib.h>

#include "common/bench.h"
#include "common/process.h"

static void footprint_check(struct bench *bench, double logical, const char *name)
{
    const struct folder_size size = folder_measure(bench->path);
    const uint64_t files_max = 64 + size.bytes / (32u << 20);
    const uint64_t least = UINT64_C(4) << 20;
    const uint64_t log_max = 2 * bench->budget_bytes > least ? 2 * bench->budget_bytes : least;
    bench_value(bench, "ratio", (double)size.bytes / logical, "disk to all versions, %s", name);
    bench_value(bench, "ratio", (double)size.files / (double)files_max, "files to limit, %s", name);
    bench_value(bench, "ratio", (double)size.log_bytes / (double)log_max, "log to limit, %s", name);
}

static void amplification(struct bench *bench, size_t value_bytes)
{
    const uint64_t budget = bench_size(bench, 4, 8, 32) << 20;
    const uint64_t row_bytes = value_bytes + ROW_KEY_BYTES;
    const uint64_t rows = budget * bench_size(bench, 2, 10, 10) / row_bytes;
    const uint64_t updates = rows * bench_size(bench, 1, 1, 3);
    uint32_t *newest = calloc(rows, sizeof(*newest));
    struct process_io before, io;
    strata_value value = {0};
    uint64_t state = 1;
    char name[64];
    if (newest == NULL)
        exit(1);
    snprintf(name, sizeof(name), "%zuB keep-all", value_bytes);
    bench_create(bench, budget, false);
    rows_load(bench, 0, rows, value_bytes);
    bench_settle(bench);

    process_io_read(&before);
    const double own = bench_metric(bench, "wal.bytes") + bench_metric(bench, "flush.bytes") +
                       bench_metric(bench, "merge.bytes");
    for (uint64_t i = 0; i < updates; i++) {
        const uint64_t row = row_random(&state) % rows;
        row_put(bench->main, row, ++newest[row], value_bytes);
    }
    footprint_check(bench, (double)((rows + updates) * row_bytes), name);
    bench_settle(bench);
    process_io_since(&before, &io);
    const double own_written = bench_metric(bench, "wal.bytes") +
                               bench_metric(bench, "flush.bytes") +
                               bench_metric(bench, "merge.bytes") - own;
    const double logical = (double)(updates * row_bytes);
    bench_value(bench, "ratio", own_written / logical, "write amplification, %s", name);
    bench_value(bench, "ratio", (double)io.device_write_bytes / logical,
                "write amplification as the system counts, %s", name);
    bench_rest(bench);
    snprintf(name, sizeof(name), "%zuB keep-all, compacted", value_bytes);
    footprint_check(bench, (double)((rows + updates) * row_bytes), name);

    for (uint64_t i = 0; i < 2000; i++) {
        const uint64_t row = row_random(&state) % rows;
        bench_check(bench, row_get(bench->main, row, newest[row], &value), "a row is not newest");
    }
    strata_value_release(&value);
    bench_close(bench);
    bench_remove(bench);
    free(newest);
}

int main(int count, char **words)
{
    struct bench bench;
    bench_begin(&bench, "space", count, words);
    if (bench_part(&bench, "100B", "uniform updates, data ten times the budget, 100-byte values"))
        amplification(&bench, 100);
    if (bench_part(&bench, "1024B", "uniform updates, data ten times the budget, 1 KiB values"))
        amplification(&bench, 1024);
    bench_missing(&bench, "write amplification, 100B latest-only", "strata.h has no retention");
    bench_missing(&bench, "write amplification, 1024B latest-only", "strata.h has no retention");
    bench_missing(&bench, "space, latest-only", "strata.h has no retention");
    return bench_end(&bench);
}
