/* What the memtable costs on its own: CPU ns per operation of one thread, median of some rounds.
 *
 *     cmake -S . -B build/bench -DSTRATA_BENCH=ON && cmake --build build/bench --target memtable_floor
 *     build/bench/bin/memtable_floor [KEYS [ROUNDS]]
 *
 * Keys of 24 bytes in random order, values of 100 bytes. */
#define _POSIX_C_SOURCE 200809L

#include "core/hash.h"
#include "core/memory.h"
#include "core/random.h"
#include "layout/key.h"
#include "table/memtable.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    KEY_SIZE = KEY_PREFIX_SIZE + 24,
    VALUE_SIZE = 100,
    CHUNK_SIZE = 2 << 20,
    ROUNDS_MAX = 99,
    STEP_COUNT = 10
};

static const char *const step_names[STEP_COUNT] = {
    "insert new key",
    "insert version",
    "get hit",
    "get miss",
    "iterate rows",
    "iterate visible",
    "seek + 50 visible",
    "insert new ascending",
    "of these, making a key",
    "bytes per row of one version",
};

struct bench {
    uint64_t keys;
    struct random random;
    struct memory memory;
    struct memtable *memtable;
    uint64_t version;
    uint64_t found;
};

static uint64_t cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void must(bool sound)
{
    if (!sound)
        exit(1);
}

static struct bytes make_key(uint64_t number, uint8_t key[KEY_SIZE])
{
    key_prefix_store(key, BRANCH_MAIN, storage_space(SPACE_DEFAULT, KIND_KV));
    memcpy(key + KEY_PREFIX_SIZE, "user", 4);
    for (unsigned at = KEY_SIZE; at > KEY_PREFIX_SIZE + 4; at--) {
        key[at - 1] = (uint8_t)('0' + number % 10);
        number /= 10;
    }
    return bytes_of(key, KEY_SIZE);
}

/* Key number i: scattered, as YCSB does it, unless `ascending`. */
static uint64_t scattered(uint64_t i)
{
    struct random mix = {.state = i};
    return random_next(&mix);
}

static void insert(struct bench *bench, uint64_t number)
{
    static const uint8_t value[VALUE_SIZE] = {'v'};
    uint8_t key[KEY_SIZE];
    const struct row row = {.key = make_key(number, key),
                            .value = bytes_of(value, sizeof(value)),
                            .from = ++bench->version,
                            .time_us = 1,
                            .kind = ROW_PUT};
    must(memtable_reserve(bench->memtable, 1, KEY_SIZE + VALUE_SIZE, 0) == STRATA_OK);
    memtable_insert(bench->memtable, &row);
}

static void open_memtable(struct bench *bench)
{
    bench->version = 0;
    must(memtable_create(&bench->memory.allocator, CHUNK_SIZE, 1, &bench->memtable) == STRATA_OK);
}

static void insert_all(struct bench *bench, bool ascending)
{
    for (uint64_t i = 0; i < bench->keys; i++)
        insert(bench, ascending ? i : scattered(i));
}

static void insert_versions(struct bench *bench)
{
    for (uint64_t i = 0; i < bench->keys; i++)
        insert(bench, scattered(random_next(&bench->random) % bench->keys));
}

/* Keys of which none is there if `first` is not below the number of keys. */
static void get_all(struct bench *bench, uint64_t first)
{
    for (uint64_t i = 0; i < bench->keys; i++) {
        uint8_t key[KEY_SIZE];
        struct row row;
        const struct bytes wanted =
            make_key(scattered(first + random_next(&bench->random) % bench->keys), key);
        if (memtable_find(bench->memtable, wanted, hash64(wanted, 0), UINT64_MAX, &row))
            bench->found += row.value.data[VALUE_SIZE - 1] == 0;
    }
}

static uint64_t iterate(struct bench *bench, bool visible)
{
    struct memtable_source rows;
    uint64_t count = 0;
    memtable_source_init(&rows, bench->memtable);
    must((visible ? source_seek_visible(&rows.source, (struct bytes){0}, bench->version)
                  : source_seek(&rows.source, (struct bytes){0}, UINT64_MAX)) == STRATA_OK);
    for (; rows.source.valid; count++) {
        bench->found += rows.source.row.value.data[0] == 'v';
        must((visible ? source_next_visible(&rows.source, bench->version)
                      : source_next(&rows.source)) == STRATA_OK);
    }
    return count;
}

static void scan_all(struct bench *bench)
{
    struct memtable_source rows;
    memtable_source_init(&rows, bench->memtable);
    for (uint64_t i = 0; i < bench->keys / 50; i++) {
        uint8_t key[KEY_SIZE];
        const struct bytes from =
            make_key(scattered(random_next(&bench->random) % bench->keys), key);
        must(source_seek_visible(&rows.source, from, bench->version) == STRATA_OK);
        for (unsigned j = 0; j < 50 && rows.source.valid; j++) {
            bench->found += rows.source.row.value.data[0] == 'v';
            must(source_next_visible(&rows.source, bench->version) == STRATA_OK);
        }
    }
}

/* Runs one step; returns the number of operations. */
static uint64_t run_step(struct bench *bench, unsigned step)
{
    switch (step) {
    case 0:
    case 7:
        insert_all(bench, step == 7);
        return bench->keys;
    case 1:
        insert_versions(bench);
        return bench->keys;
    case 2:
    case 3:
        get_all(bench, step == 2 ? 0 : bench->keys);
        return bench->keys;
    case 4:
    case 5:
        return iterate(bench, step == 5);
    case 6:
        scan_all(bench);
        return bench->keys / 50;
    default:
        for (uint64_t i = 0; i < bench->keys; i++) {
            uint8_t key[KEY_SIZE];
            bench->found += hash64(make_key(scattered(i), key), 0) == 0;
        }
        return bench->keys;
    }
}

static int by_value(const void *a, const void *b)
{
    const double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

int main(int argc, char **argv)
{
    static double results[STEP_COUNT][ROUNDS_MAX];
    struct bench bench = {.keys = argc > 1 ? strtoull(argv[1], NULL, 10) : 500000};
    const unsigned rounds = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) % ROUNDS_MAX : 5;
    memory_init(&bench.memory, NULL);
    bench.random.state = 1;
    for (unsigned round = 0; round < rounds; round++) {
        open_memtable(&bench);
        for (unsigned step = 0; step < STEP_COUNT - 1; step++) {
            if (step == 7) {
                memtable_drop(bench.memtable);
                open_memtable(&bench);
            }
            const uint64_t start = cpu_ns();
            const uint64_t operations = run_step(&bench, step);
            results[step][round] = (double)(cpu_ns() - start) / (double)operations;
            if (step == 0)
                results[STEP_COUNT - 1][round] =
                    (double)memtable_memory(bench.memtable) / (double)bench.keys;
        }
        memtable_drop(bench.memtable);
    }
    printf("%" PRIu64 " keys, charge of a row %d; found %" PRIu64 "\n", bench.keys,
           KEY_SIZE + VALUE_SIZE + 64, bench.found);
    for (unsigned step = 0; step < STEP_COUNT; step++) {
        qsort(results[step], rounds, sizeof(double), by_value);
        printf("%-30s %8.1f   (least %.1f)\n", step_names[step], results[step][rounds / 2],
               results[step][0]);
    }
    return 0;
}
