/* What memory alone costs on this machine: a chain of loads, each of which waits for the one before, and
 * the least that engines do with rows in memory: a get is a load of a hash bucket and then of the row, a
 * put copies the row into a log and into a table, a scan finds a row and reads on. No engine is below
 * that, whatever its code. CPU ns, medians of rounds. And what fresh memory costs when it is first
 * touched, which on some virtual machines is far more than filling it. */
#define _GNU_SOURCE

#include "common/clock.h"
#include "common/mix.h"
#include "core/random.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    LINE = 64,
    LOADS = 2000000,
    GETS = 500000,
    SCANS = 50000,
    SCAN_ROWS = 50,
    ROUNDS = 5,
    HUGE = 2 << 20,
    HEAD = 16,
    KEY = 24
};

static uint64_t sink; /* So that nothing is left out. */

static uint8_t *memory_take(size_t size, bool huge)
{
    void *block =
        mmap(NULL, size + HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    uint8_t *aligned = (uint8_t *)(((uintptr_t)block + HUGE - 1) & ~(uintptr_t)(HUGE - 1));
    (void)madvise(aligned, size, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    return aligned; /* Stays until the end of the program. */
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *times)
{
    qsort(times, ROUNDS, sizeof(*times), by_size);
    return times[ROUNDS / 2];
}

static double since(double begun, double count)
{
    return (clock_thread_cpu_seconds() - begun) * 1e9 / count;
}

/* ---- chains ---- */

static void measure_chain(size_t mib, bool huge)
{
    const uint64_t lines = ((uint64_t)mib << 20) / LINE;
    uint8_t *memory = memory_take(mib << 20, huge);
    double times[ROUNDS];
    /* One cycle over all lines: a full period generator modulo a power of two. */
    for (uint64_t i = 0; i < lines; i++)
        *(uint64_t *)(void *)(memory + i * LINE) =
            (i * UINT64_C(0x5851f42d4c957f2d) + UINT64_C(0x9e3779b1)) & (lines - 1);
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t at = round;
        const double begun = clock_thread_cpu_seconds();
        for (unsigned i = 0; i < LOADS; i++)
            at = *(const uint64_t *)(const void *)(memory + at * LINE);
        times[round] = since(begun, LOADS);
        sink += at;
    }
    printf("load that waits, %4zu MiB, %s%10.1f\n", mib, huge ? "large pages" : "4 KiB pages",
           median(times));
}

/* ---- rows ---- */

struct rows {
    uint64_t count;
    size_t size; /* Of a row with its head and key. */
    uint8_t *buckets;
    uint8_t *rows;
    uint64_t *picks;
};

/* Which rows are read: Zipfian, 0.99, anywhere. Source: Gray et al., "Quickly generating billion-record
 * synthetic databases", 1994. */
static void rows_pick(struct rows *rows)
{
    const double theta = 0.99, items = (double)rows->count;
    double zeta = 0;
    struct random random = {.state = 1};
    for (uint64_t i = 1; i <= rows->count; i++)
        zeta += 1 / pow((double)i, theta);
    const double eta = (1 - pow(2 / items, 1 - theta)) / (1 - (1 + pow(0.5, theta)) / zeta);
    for (unsigned i = 0; i < GETS; i++) {
        const double u = (double)(random_next(&random) >> 11) / (double)(UINT64_C(1) << 53);
        const double rank = u * zeta < 1 ? 0 : items * pow(eta * u - eta + 1, 1 / (1 - theta));
        rows->picks[i] = mixed((uint64_t)rank) % rows->count;
    }
}

static struct rows rows_make(uint64_t count, size_t value)
{
    struct rows rows = {.count = count, .size = HEAD + KEY + value};
    rows.buckets = memory_take(count * 8 + LINE, true);
    rows.rows = memory_take(count * rows.size, true);
    rows.picks = malloc(GETS * sizeof(*rows.picks));
    if (rows.picks == NULL)
        exit(1);
    for (uint64_t i = 0; i < count; i++) {
        memcpy(rows.buckets + mixed(i) % count * 8, &i, sizeof(i));
        memset(rows.rows + i * rows.size, (int)(i % 128), rows.size);
    }
    rows_pick(&rows);
    return rows;
}

/* Eight bytes, of which the highest bit is never set, as only the one who waits for them knows: `before`
 * goes into the next address, so that each step waits for the one before, as calls do that lie apart. */
static inline uint64_t load(const uint8_t *from)
{
    uint64_t value;
    memcpy(&value, from, sizeof(value));
    return value;
}

static inline uint8_t *rows_bucket(const struct rows *rows, uint64_t pick, uint64_t before)
{
    return rows->buckets + mixed(pick + (before >> 63)) % rows->count * 8;
}

/* Where the row lies, by a load that has to come first. */
static inline const uint8_t *rows_find(const struct rows *rows, uint64_t pick, uint64_t before)
{
    const uint64_t found = load(rows_bucket(rows, pick, before));
    return rows->rows + (pick + (found >> 63)) * rows->size;
}

static void measure_gets(const struct rows *rows)
{
    double times[ROUNDS];
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t before = 0;
        const double begun = clock_thread_cpu_seconds();
        for (unsigned i = 0; i < GETS; i++) {
            const uint8_t *row = rows_find(rows, rows->picks[i], before);
            before = load(row + HEAD) | load(row + rows->size - sizeof(uint64_t));
        }
        times[round] = since(begun, GETS);
        sink += before;
    }
    printf("get%48.1f\n", median(times));
}

static void measure_scans(const struct rows *rows)
{
    double times[ROUNDS];
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t before = 0;
        const double begun = clock_thread_cpu_seconds();
        for (unsigned i = 0; i < SCANS; i++) {
            const uint64_t pick = rows->picks[i] % (rows->count - SCAN_ROWS);
            const uint8_t *row = rows_find(rows, pick, before);
            for (unsigned j = 0; j < SCAN_ROWS; j++, row += rows->size)
                before |= load(row) | load(row + HEAD + KEY);
        }
        times[round] = since(begun, SCANS);
        sink += before;
    }
    printf("scan of %d rows%36.1f\n", SCAN_ROWS, median(times));
}

/* Into a log and a table; the bucket is loaded, then changed. Memory that was used before. */
static void measure_puts(const struct rows *rows)
{
    const size_t room = (size_t)64 << 20;
    uint8_t *log = memory_take(room, true), *table = memory_take(room, true);
    uint8_t row[2048] = {1};
    double times[ROUNDS];
    memset(log, 1, room);
    memset(table, 1, room);
    for (unsigned round = 0; round < ROUNDS; round++) {
        size_t at = 0;
        uint64_t before = 0;
        const double begun = clock_thread_cpu_seconds();
        for (unsigned i = 0; i < GETS; i++) {
            uint8_t *bucket = rows_bucket(rows, rows->picks[i], before);
            memcpy(log + at, row, rows->size);
            memcpy(table + at, row, rows->size);
            before = load(bucket);
            bucket[0] = (uint8_t)(before + 1);
            at = at + 2 * rows->size < room ? at + rows->size : 0;
        }
        times[round] = since(begun, GETS);
        sink += log[at] + table[at];
    }
    printf("put%48.1f\n", median(times));
}

static void measure_rows(uint64_t count, size_t value)
{
    const struct rows rows = rows_make(count, value);
    printf("\n%" PRIu64 " rows of %d + %zu bytes, CPU ns\n", count, KEY, value);
    measure_gets(&rows);
    measure_puts(&rows);
    measure_scans(&rows);
    free(rows.picks);
}

/* ---- fresh memory ---- */

static void measure_touch(bool huge)
{
    const size_t size = (size_t)512 << 20;
    double first = 0, again = 0;
    for (unsigned i = 0; i < 2; i++) {
        if (i == 0)
            clock_sleep_ms(4000); /* What is free may have gone back to the machine's host. */
        uint8_t *memory = memory_take(size, huge);
        const double begun = clock_thread_cpu_seconds();
        for (size_t at = 0; at < size; at += 4096)
            memory[at] = 1;
        *(i == 0 ? &first : &again) = since(begun, (double)(size >> 20)) / 1000;
        (void)munmap(memory, size);
    }
    printf("first touch of a MiB, %s, us%12.1f, freed just before%10.1f\n",
           huge ? "large pages" : "4 KiB pages", first, again);
}

int main(int count, char **words)
{
    const uint64_t share = count > 1 ? strtoull(words[1], NULL, 10) : 1;
    static const size_t sizes[] = {1, 8, 64, 512};
    if (share == 0 || count > 2) {
        fprintf(stderr,
                "usage: floor_memory [N]\n  N: of 2,000,000 and 1,000,000 rows an Nth (1)\n");
        return 2;
    }
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        measure_chain(sizes[i], false);
        measure_chain(sizes[i], true);
    }
    measure_rows(2000000 / share, 100);
    measure_rows(1000000 / share, 1024);
    printf("\n");
    measure_touch(false);
    measure_touch(true);
    printf("(%" PRIu64 ")\n", sink % 10);
    return 0;
}
