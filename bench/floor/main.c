/* What reading one settled run costs, on the layers below the boundary: gets, misses, short scans and
 * batches of random rows, in CPU ns, everything cached. Prints medians of alternating rounds. */
#define _POSIX_C_SOURCE 200809L

#include "backend/memory_backend.h"
#include "common/mix.h"
#include "core/hash.h"
#include "core/memory.h"
#include "core/random.h"
#include "layout/key.h"
#include "table/rewrite.h"
#include "table/scan.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    USER_KEY_SIZE = 24,
    KEY_SIZE = KEY_PREFIX_SIZE + USER_KEY_SIZE,
    VALUE_SIZE = 100,
    SCAN_ROWS = 50,
    BATCH_KEYS = 16,
    ROUNDS_MAX = 31,
    GETS = 400000,
    SCANS = 40000
};

struct floor {
    struct memory memory;
    const strata_backend *backend;
    struct epochs epochs;
    struct epoch_slot *slot;
    struct garbage garbage;
    struct cache cache;
    struct part_store store;
    struct tables tables;
    struct random random;
    uint64_t rows;
    uint64_t next_number;
    uint64_t sum; /* So that nothing is left out. */
};

static void must(strata_status status)
{
    if (status == STRATA_OK)
        return;
    fprintf(stderr, "floor: %s\n", strata_error_message());
    exit(1);
}

static void must_hold(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "floor: %s\n", what);
    exit(1);
}

static int64_t cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Keys are spread evenly, in order; those with `beside` lie between them. */
static struct bytes floor_key(const struct floor *floor, uint64_t row, bool beside,
                              uint8_t to[KEY_SIZE])
{
    const uint64_t step = UINT64_MAX / floor->rows;
    uint64_t number = row * step + mixed(row) % (step - 1) + beside;
    key_prefix_store(to, BRANCH_MAIN, storage_space(SPACE_DEFAULT, KIND_KV));
    memcpy(to + KEY_PREFIX_SIZE, "user", 4);
    for (unsigned i = USER_KEY_SIZE; i > 4; i--) {
        to[KEY_PREFIX_SIZE + i - 1] = (uint8_t)('0' + number % 10);
        number /= 10;
    }
    return bytes_of(to, KEY_SIZE);
}

static strata_status floor_take_number(void *context, uint64_t *out)
{
    struct floor *floor = context;
    *out = ++floor->next_number;
    return STRATA_OK;
}

static void floor_fill(struct floor *floor, struct run_output *output)
{
    uint8_t key[KEY_SIZE], value[VALUE_SIZE];
    memset(value, 'v', sizeof(value));
    for (uint64_t i = 0; i < floor->rows; i++) {
        store_u64(value, i);
        const uint64_t version = 1 + mixed(i) % floor->rows;
        must(run_output_add(output, &(struct row){.key = floor_key(floor, i, false, key),
                                                  .value = bytes_of(value, sizeof(value)),
                                                  .from = version,
                                                  .time_us = (int64_t)(1700000000000000 + version),
                                                  .kind = ROW_PUT}));
        must(run_output_keep(output)); /* The value changes. */
    }
    must(run_output_finish(output));
}

static void floor_install(struct floor *floor, const struct run_output *output)
{
    struct memtable *memtable;
    struct run *run;
    struct tableset *set;
    const struct manifest_run info = {.id = 1,
                                      .role = ROLE_LIVE,
                                      .max_version = floor->rows,
                                      .part_count = output->part_count,
                                      .parts = output->parts};
    must(run_create(&floor->store, &floor->garbage, &info, &run));
    must(memtable_create(&floor->memory.allocator, 65536, floor->rows + 1, &memtable));
    must(tableset_create(
        &floor->tables,
        &(struct tableset_parts){
            .memtable_count = 1, .memtables = &memtable, .live_count = 1, .live = &run},
        &set));
    mutex_lock(&floor->tables.install_lock);
    tables_install(&floor->tables, set, NULL);
    mutex_unlock(&floor->tables.install_lock);
    memtable_drop(memtable);
    run_drop(run);
}

static void floor_open(struct floor *floor, uint64_t rows)
{
    *floor = (struct floor){.rows = rows, .random = {.state = 7}};
    memory_init(&floor->memory, NULL);
    const strata_allocator *allocator = &floor->memory.allocator;
    must(memory_backend_create(allocator, &floor->backend));
    epochs_init(&floor->epochs, allocator);
    must(epoch_slot_take(&floor->epochs, &floor->slot));
    garbage_init(&floor->garbage, allocator);
    must(cache_init(&floor->cache, allocator, &floor->epochs, (size_t)rows * 256 + (64 << 20)));
    tables_init(&floor->tables, allocator, &floor->epochs, &floor->garbage);
    floor->store = (struct part_store){
        .backend = floor->backend, .allocator = allocator, .cache = &floor->cache};
    const struct output_options options = {.part = {.backend = floor->backend,
                                                    .allocator = allocator,
                                                    .unit_size = 4096,
                                                    .frame_size = 16384,
                                                    .with_buckets = true},
                                           .part_bytes_max = 64 << 20,
                                           .number_context = floor,
                                           .take_number = floor_take_number};
    struct arena arena;
    struct run_output output;
    arena_init(&arena, allocator, 4096);
    run_output_init(&output, &options, ROLE_LIVE, &arena);
    floor_fill(floor, &output);
    floor_install(floor, &output);
    run_output_release(&output);
    arena_release(&arena);
}

static void floor_close(struct floor *floor)
{
    epoch_slot_give(floor->slot);
    tables_destroy(&floor->tables);
    epochs_destroy(&floor->epochs);
    garbage_destroy(&floor->garbage);
    cache_destroy(&floor->cache);
    memory_backend_destroy(floor->backend);
}

static const struct tableset *floor_set(struct floor *floor)
{
    return atomic_load(&floor->tables.current);
}

/* Each of these returns how many ns one operation took. */

static double measure_gets(struct floor *floor, bool beside)
{
    uint8_t key[KEY_SIZE], value[VALUE_SIZE];
    const int64_t begun = cpu_ns();
    for (unsigned i = 0; i < GETS; i++) {
        const uint64_t row = random_next(&floor->random) % floor->rows;
        const struct bytes sought = floor_key(floor, row, beside, key);
        struct found_row found;
        epoch_enter(&floor->epochs, floor->slot);
        must(tableset_find(floor_set(floor), sought, UINT64_MAX - 1, &found));
        must_hold(found.found != beside, "a get found what it should not, or not what it should");
        if (found.found) {
            memcpy(value, found.row.value.data, VALUE_SIZE);
            floor->sum += value[i % VALUE_SIZE];
        }
        cache_unpin(&floor->cache, found.pin);
        epoch_leave(floor->slot);
    }
    return (double)(cpu_ns() - begun) / GETS;
}

static double measure_hits(struct floor *floor)
{
    return measure_gets(floor, false);
}

static double measure_misses(struct floor *floor)
{
    return measure_gets(floor, true);
}

/* A key of batches of sixteen. */
static double measure_batches(struct floor *floor)
{
    uint8_t storage[BATCH_KEYS][KEY_SIZE], value[VALUE_SIZE];
    struct bytes keys[BATCH_KEYS];
    uint64_t hashes[BATCH_KEYS];
    struct found_row found[BATCH_KEYS];
    const int64_t begun = cpu_ns();
    for (unsigned i = 0; i < GETS; i += BATCH_KEYS) {
        for (unsigned j = 0; j < BATCH_KEYS; j++) {
            const uint64_t row = random_next(&floor->random) % floor->rows;
            keys[j] = floor_key(floor, row, false, storage[j]);
            hashes[j] = hash64(keys[j], 0);
        }
        epoch_enter(&floor->epochs, floor->slot);
        must(
            tableset_find_batch(floor_set(floor), keys, hashes, BATCH_KEYS, UINT64_MAX - 1, found));
        for (unsigned j = 0; j < BATCH_KEYS; j++) {
            must_hold(found[j].found, "a batch did not find a row");
            memcpy(value, found[j].row.value.data, VALUE_SIZE);
            floor->sum += value[i % VALUE_SIZE];
            cache_unpin(&floor->cache, found[j].pin);
        }
        epoch_leave(floor->slot);
    }
    return (double)(cpu_ns() - begun) / GETS;
}

static double measure_keys(struct floor *floor)
{
    uint8_t key[KEY_SIZE];
    const int64_t begun = cpu_ns();
    for (unsigned i = 0; i < GETS; i++) {
        const uint64_t row = random_next(&floor->random) % floor->rows;
        floor->sum += hash64(floor_key(floor, row, false, key), 0) & 1;
    }
    return (double)(cpu_ns() - begun) / GETS;
}

static double measure_run(struct floor *floor, unsigned rows)
{
    uint8_t key[KEY_SIZE];
    const int64_t begun = cpu_ns();
    for (unsigned i = 0; i < SCANS; i++) {
        const uint64_t row = random_next(&floor->random) % floor->rows;
        struct run_source source;
        epoch_enter(&floor->epochs, floor->slot);
        run_source_init(&source, floor_set(floor)->live[0]);
        must(
            source_seek_visible(&source.source, floor_key(floor, row, false, key), UINT64_MAX - 1));
        must_hold(source.source.valid, "a seek found nothing");
        for (unsigned n = 1;; n++) {
            floor->sum += source.source.row.value.data[0];
            if (n == rows)
                break;
            must(source_next_visible(&source.source, UINT64_MAX - 1));
            if (!source.source.valid)
                break;
        }
        source_release(&source.source);
        epoch_leave(floor->slot);
    }
    return (double)(cpu_ns() - begun) / SCANS;
}

static double measure_seek(struct floor *floor)
{
    return measure_run(floor, 1);
}

static double measure_run_scan(struct floor *floor)
{
    return measure_run(floor, SCAN_ROWS);
}

static double measure_run_row(struct floor *floor)
{
    struct run_source source;
    uint64_t rows = 0;
    const int64_t begun = cpu_ns();
    epoch_enter(&floor->epochs, floor->slot);
    run_source_init(&source, floor_set(floor)->live[0]);
    must(source_seek_visible(&source.source, (struct bytes){0}, UINT64_MAX - 1));
    for (; source.source.valid; rows++) {
        floor->sum += source.source.row.value.data[0];
        must(source_next_visible(&source.source, UINT64_MAX - 1));
    }
    source_release(&source.source);
    epoch_leave(floor->slot);
    must_hold(rows == floor->rows, "a scan of all rows lost some");
    return (double)(cpu_ns() - begun) / (double)rows;
}

/* As measure_run_scan, through a scan of one level. */
static double measure_scan(struct floor *floor)
{
    uint8_t key[KEY_SIZE];
    const struct level level = {.branch = BRANCH_MAIN, .cap = UINT64_MAX >> 2};
    struct scan scan;
    scan_init(&scan, &floor->memory.allocator);
    const int64_t begun = cpu_ns();
    for (unsigned i = 0; i < SCANS; i++) {
        const uint64_t row = random_next(&floor->random) % floor->rows;
        epoch_enter(&floor->epochs, floor->slot);
        const struct scan_options options = {.set = floor_set(floor),
                                             .levels = &level,
                                             .level_count = 1,
                                             .space = storage_space(SPACE_DEFAULT, KIND_KV)};
        must(scan_open(&scan, &options));
        must(scan_seek(&scan, bytes_after(floor_key(floor, row, false, key), KEY_PREFIX_SIZE),
                       false));
        for (unsigned n = 1; scan.valid; n++) {
            floor->sum += scan.row.value.data[0];
            if (n == SCAN_ROWS)
                break;
            must(scan_next(&scan));
        }
        scan_close(&scan);
        epoch_leave(floor->slot);
    }
    scan_release(&scan);
    return (double)(cpu_ns() - begun) / SCANS;
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        double (*measure)(struct floor *floor);
    } works[] = {
        {"a key made and hashed", measure_keys},
        {"get, present", measure_hits},
        {"get, absent", measure_misses},
        {"get, one of sixteen", measure_batches},
        {"seek", measure_seek},
        {"seek and 50 rows", measure_run_scan},
        {"the same through a scan", measure_scan},
        {"a row of all", measure_run_row},
    };
    enum { WORKS = sizeof(works) / sizeof(works[0]) };
    static double times[WORKS][ROUNDS_MAX];
    const uint64_t rows = argc > 1 ? strtoull(argv[1], NULL, 10) : 2000000;
    const unsigned long given = argc > 2 ? strtoul(argv[2], NULL, 10) : 5;
    const unsigned rounds = given == 0 ? 1 : given < ROUNDS_MAX ? (unsigned)given : ROUNDS_MAX;
    struct floor floor;
    must_hold(rows >= 1000, "a thousand rows at least");
    floor_open(&floor, rows);
    floor.sum += (uint64_t)measure_run_row(&floor) + (uint64_t)measure_hits(&floor);
    for (unsigned round = 0; round < rounds; round++) {
        for (unsigned i = 0; i < WORKS; i++)
            times[i][round] = works[i].measure(&floor);
    }
    printf("%" PRIu64 " rows of %d + %d bytes, CPU ns (median, least)\n", rows, USER_KEY_SIZE,
           VALUE_SIZE);
    for (unsigned i = 0; i < WORKS; i++) {
        qsort(times[i], rounds, sizeof(double), by_size);
        printf("%-28s%10.1f%10.1f\n", works[i].name, times[i][rounds / 2], times[i][0]);
    }
    printf("(%" PRIu64 ")\n", floor.sum);
    floor_close(&floor);
    return 0;
}
