/* commit: synced puts by 1, 8 and 32 threads; the longest that a put takes under steady load. The
 * peers' synced puts are measured by ycsb. */
#define _POSIX_C_SOURCE 200809L

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/bench.h"
#include "common/clock.h"
#include "common/latency.h"

enum { WRITERS_MAX = 32 };

/* One thread that puts rows of its own: row first + n * stride is written by update n / own rows. */
struct writer {
    strata_txn *txn;
    pthread_t thread;
    uint64_t first, stride, rows;
    uint64_t puts_max;
    double until_s; /* 0: no matter. */
    size_t value_bytes;
    uint64_t puts;
    struct latency latency;
};

static void *writer_main(void *context)
{
    struct writer *writer = (struct writer *)context;
    uint64_t begin = clock_ns();
    while (writer->puts < writer->puts_max) {
        const uint64_t row = writer->first + writer->puts % writer->rows * writer->stride;
        row_put(writer->txn, row, writer->puts / writer->rows, writer->value_bytes);
        writer->puts++;
        const uint64_t end = clock_ns();
        latency_add(&writer->latency, end - begin);
        begin = end;
        if (writer->until_s > 0 && (double)end * 1e-9 > writer->until_s)
            break;
    }
    return NULL;
}

/* Whether each writer's newest rows are what it wrote last. */
static void writers_check(struct bench *bench, const struct writer *writers, unsigned count)
{
    enum { LOOKED_AT = 1000 };
    strata_value value = {0};
    for (unsigned i = 0; i < count; i++) {
        const struct writer *writer = &writers[i];
        const uint64_t most = writer->puts < writer->rows ? writer->puts : writer->rows;
        for (uint64_t back = 1; back <= most && back <= LOOKED_AT; back++) {
            const uint64_t number = writer->puts - back;
            const uint64_t row = writer->first + number % writer->rows * writer->stride;
            bench_check(bench, row_get(bench->main, row, number / writer->rows, &value),
                        "a row is not what was written last");
        }
    }
    strata_value_release(&value);
}

/* Runs the writers, whose limits are set, and merges what they saw. Returns the seconds. */
static double writers_run(struct bench *bench, struct writer *writers, unsigned count,
                          struct latency *latency)
{
    memset(latency, 0, sizeof(*latency));
    for (unsigned i = 0; i < count; i++) {
        must(strata_txn_auto(bench->db, "main", &writers[i].txn), "auto");
        writers[i].first = i;
        writers[i].stride = count;
    }
    const double begin = clock_seconds();
    for (unsigned i = 0; i < count; i++) {
        if (pthread_create(&writers[i].thread, NULL, writer_main, &writers[i]) != 0)
            exit(1);
    }
    for (unsigned i = 0; i < count; i++)
        pthread_join(writers[i].thread, NULL);
    const double seconds = clock_seconds() - begin;
    for (unsigned i = 0; i < count; i++) {
        strata_txn_close(writers[i].txn);
        latency_merge(latency, &writers[i].latency);
    }
    return seconds;
}

/* The median of fdatasync after 4 KiB into a file whose bytes were all written before. */
static double floor_us(const struct bench *bench, uint64_t count)
{
    static char block[4096];
    char path[700];
    struct latency latency;
    memset(&latency, 0, sizeof(latency));
    snprintf(path, sizeof(path), "%s/prewritten", bench->path);
    const int file = open(path, O_RDWR | O_CREAT, 0644);
    for (uint64_t i = 0; i < count; i++) {
        if (pwrite(file, block, sizeof(block), (off_t)(i * sizeof(block))) < 0)
            exit(1);
    }
    fsync(file);
    for (uint64_t i = 0; i < count; i++) {
        const uint64_t begin = clock_ns();
        if (pwrite(file, block, sizeof(block), (off_t)(i * sizeof(block))) < 0 ||
            fdatasync(file) != 0)
            exit(1);
        latency_add(&latency, clock_ns() - begin);
    }
    close(file);
    unlink(path);
    return latency_quantile(&latency, 0.5) * 1e-3;
}

static void synced_part(struct bench *bench)
{
    static const unsigned threads[] = {1, 8, 32};
    static struct writer writers[WRITERS_MAX];
    struct latency latency;
    const uint64_t puts = bench_size(bench, 40, 2000, 20000);
    for (size_t i = 0; i < sizeof(threads) / sizeof(threads[0]); i++) {
        bench_create(bench, UINT64_C(256) << 20, true);
        memset(writers, 0, sizeof(writers));
        for (unsigned k = 0; k < threads[i]; k++) {
            writers[k].rows = puts;
            writers[k].puts_max = puts / threads[i] + 1;
            writers[k].value_bytes = 100;
        }
        const double base = floor_us(bench, puts);
        const double seconds = writers_run(bench, writers, threads[i], &latency);
        const double p50 = latency_quantile(&latency, 0.5) * 1e-3;
        writers_check(bench, writers, threads[i]);
        bench_value(bench, "1/s", (double)latency.total / seconds, "synced puts, %u threads",
                    threads[i]);
        bench_value(bench, "us", p50, "synced put p50, %u threads", threads[i]);
        bench_value(bench, "us", latency_quantile(&latency, 0.99) * 1e-3,
                    "synced put p99, %u threads", threads[i]);
        if (threads[i] == 1) {
            bench_value(bench, "us", base, "fdatasync p50, pre-written file");
            bench_value(bench, "ratio", p50 / base, "synced put to fdatasync");
        }
        bench_close(bench);
        bench_remove(bench);
    }
}

static void stall_one(struct bench *bench, uint64_t budget_mib, size_t value_bytes)
{
    static struct writer writers[1];
    struct latency latency;
    const uint64_t bytes_max = UINT64_C(16) << 30; /* Of disk, about. */
    const double seconds_max = (double)bench_size(bench, 1, 5, 60);
    bench_create(bench, budget_mib << 20, false);
    memset(writers, 0, sizeof(writers));
    writers[0].rows = (budget_mib << 20) * 4 / (value_bytes + ROW_KEY_BYTES);
    writers[0].puts_max = bytes_max / (value_bytes + ROW_KEY_BYTES);
    writers[0].until_s = clock_seconds() + seconds_max;
    writers[0].value_bytes = value_bytes;
    const double seconds = writers_run(bench, writers, 1, &latency);
    writers_check(bench, writers, 1);
    const char *what = "steady puts";
    bench_value(bench, "1/s", (double)latency.total / seconds, "%s, %" PRIu64 " MiB, %zuB", what,
                budget_mib, value_bytes);
    bench_value(bench, "ms", latency_quantile(&latency, 0.9999) * 1e-6,
                "put p99.99, %" PRIu64 " MiB, %zuB", budget_mib, value_bytes);
    bench_value(bench, "ms", (double)latency.maximum * 1e-6, "longest put, %" PRIu64 " MiB, %zuB",
                budget_mib, value_bytes);
    bench_close(bench);
    bench_remove(bench);
}

int main(int count, char **words)
{
    struct bench bench;
    bench_begin(&bench, "commit", count, words);
    if (bench_part(&bench, "synced", "durability always, 100-byte values"))
        synced_part(&bench);
    if (bench_part(&bench, "stall", "one thread, un-synced, as fast as it goes, for 60 s")) {
        stall_one(&bench, 16, 100);
        stall_one(&bench, 16, 1024);
        stall_one(&bench, 256, 100);
        stall_one(&bench, 256, 1024);
    }
    return bench_end(&bench);
}
