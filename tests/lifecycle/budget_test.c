/* The memory budget, counted by the heap. The simulated disk has a heap of its own. */
#include "lifecycle/lab.h"

#include "core/random.h"
#include "layout/key.h"

#include <stdio.h>

enum { BUDGET = 1 << 20 };

static void open_counted(struct lab *lab)
{
    lab_create(lab);
    lab_open(lab);
}

static void check_peak(struct lab *lab, const char *what)
{
    const uint64_t peak = atomic_load(&lab->counted.bytes_peak);
    print_message("%s: peak %llu KiB\n", what, (unsigned long long)(peak >> 10));
    assert_true(peak <= lab->options.memory_budget);
}

static void small_rows_stay_within_it(void **state)
{
    (void)state;
    struct lab lab;
    struct random random = {.state = 1};
    open_counted(&lab);
    for (unsigned i = 0; i < 30000; i++)
        lab_put_numbered(&lab, BRANCH_MAIN, random_next(&random) % 5000, 8);
    check_peak(&lab, "small rows");
    lab_compact(&lab);
    check_peak(&lab, "compacted");
    lab_destroy(&lab);
}

static void large_rows_stay_within_it(void **state)
{
    (void)state;
    struct lab lab;
    struct random random = {.state = 2};
    open_counted(&lab);
    for (unsigned i = 0; i < 1500; i++)
        lab_put_numbered(&lab, BRANCH_MAIN, random_next(&random) % 300,
                         100 + random_next(&random) % 20000);
    check_peak(&lab, "large rows");
    lab_compact(&lab);
    check_peak(&lab, "compacted");
    lab_destroy(&lab);
}

static void long_keys_stay_within_it(void **state)
{
    (void)state;
    struct lab lab;
    open_counted(&lab);
    static char key[USER_KEY_SIZE_MAX + 1];
    memset(key, 'k', USER_KEY_SIZE_MAX);
    for (unsigned i = 0; i < 300; i++) {
        snprintf(key + USER_KEY_SIZE_MAX - 8, 9, "%08u", i * 7919 % 300);
        lab_put(&lab, BRANCH_MAIN, key, "v");
    }
    check_peak(&lab, "long keys");
    lab_compact(&lab);
    check_peak(&lab, "compacted");
    lab_destroy(&lab);
}

static void forks_and_flushes_stay_within_it(void **state)
{
    (void)state;
    struct lab lab;
    open_counted(&lab);
    for (uint64_t i = 2; i < 2000; i++) {
        const uint64_t parent = i < 10 ? BRANCH_MAIN : i / 2;
        lab_fork(&lab, i, parent, atomic_load(&lab.store->committer.visible));
        lab_put_numbered(&lab, i, i, 20);
        if (i % 8 == 0)
            lab_delete_branch(&lab, i / 2 + 2, (i / 2 + 2) / 2, 1);
        if (i % 16 == 0)
            lab_flush(&lab);
    }
    check_peak(&lab, "forks");
    lab_compact(&lab);
    check_peak(&lab, "compacted");
    lab_destroy(&lab);
}

static void flushing_after_every_write_stays_within_it(void **state)
{
    (void)state;
    struct lab lab;
    open_counted(&lab);
    for (unsigned i = 0; i < 600; i++) {
        lab_put_numbered(&lab, BRANCH_MAIN, i % 50, 100);
        lab_flush(&lab);
        assert_true(lab_live_runs(&lab) <= 12);
    }
    check_peak(&lab, "flushes");
    lab_destroy(&lab);
}

static void reading_a_long_log_stays_within_it(void **state)
{
    (void)state;
    struct lab lab;
    lab_create(&lab);
    lab.options.memory_budget = 64 << 20;
    lab_open(&lab);
    for (unsigned i = 0; i < 12000; i++)
        lab_put_numbered(&lab, BRANCH_MAIN, i * 7919 % 12000, 500);
    assert_int_equal(store_sync(lab.store), STRATA_OK);
    lab_crash(&lab, true);
    lab.options.memory_budget = BUDGET;
    lab.counted.bytes_peak = 0;
    lab_open(&lab);
    check_peak(&lab, "recovery");
    assert_true(lab_live_runs(&lab) <= 12);
    char key[32];
    for (unsigned i = 0; i < 12000; i += 97) {
        snprintf(key, sizeof(key), "key-%08u", i);
        assert_non_null(lab_get(&lab, BRANCH_MAIN, key, UINT64_MAX));
    }
    lab_settle(&lab);
    check_peak(&lab, "settled");
    lab_destroy(&lab);
}

static void scans_stay_within_it(void **state)
{
    (void)state;
    struct lab lab;
    open_counted(&lab);
    for (unsigned i = 0; i < 9000; i++)
        lab_put_numbered(&lab, BRANCH_MAIN, i * 7919 % 3000, 200);
    const struct level level = {.branch = BRANCH_MAIN, .cap = UINT64_MAX};
    struct scan scans[2];
    unsigned rows = 0;
    epoch_enter(&lab.store->epochs, lab.slot);
    for (unsigned i = 0; i < 2; i++) {
        const struct scan_options options = {.set = atomic_load(&lab.store->tables.current),
                                             .levels = &level,
                                             .level_count = 1,
                                             .space = storage_space(SPACE_DEFAULT, KIND_KV),
                                             .reverse = i == 1};
        scan_init(&scans[i], lab.store->memory_allocator);
        assert_int_equal(scan_open(&scans[i], &options), STRATA_OK);
        assert_int_equal(scan_seek(&scans[i], (struct bytes){0}, false), STRATA_OK);
    }
    while (scans[0].valid && scans[1].valid) {
        rows++;
        assert_int_equal(scan_next(&scans[0]), STRATA_OK);
        assert_int_equal(scan_next(&scans[1]), STRATA_OK);
    }
    assert_int_equal(rows, 3000);
    scan_release(&scans[0]);
    scan_release(&scans[1]);
    epoch_leave(lab.slot);
    check_peak(&lab, "scans");
    lab_destroy(&lab);
}

/* From 16 MiB on the cache is a large one. */
static void a_large_cache_stays_within_it(void **state)
{
    (void)state;
    struct lab lab;
    struct random random = {.state = 3};
    char key[32];
    lab_create(&lab);
    lab.options.memory_budget = 16 << 20;
    lab_open(&lab);
    assert_true(lab.store->cache.large);
    for (unsigned i = 0; i < 40000; i++) {
        lab_put_numbered(&lab, BRANCH_MAIN, random_next(&random) % 30000,
                         i % 500 == 0 ? 60000 : 400 + random_next(&random) % 1000);
        snprintf(key, sizeof(key), "key-%08u", (unsigned)(random_next(&random) % 30000));
        (void)lab_get(&lab, BRANCH_MAIN, key, UINT64_MAX);
    }
    assert_true(cache_misses(&lab.store->cache) > 1000);
    check_peak(&lab, "large cache");
    lab_compact(&lab);
    for (unsigned i = 0; i < 30000; i++) {
        snprintf(key, sizeof(key), "key-%08u", (unsigned)(random_next(&random) % 30000));
        (void)lab_get(&lab, BRANCH_MAIN, key, UINT64_MAX);
    }
    check_peak(&lab, "compacted");
    lab_destroy(&lab);
}

static void chunks_of_memtables_are_kept_within_it(void **state)
{
    (void)state;
    struct lab lab;
    strata_work work;
    lab_create(&lab);
    lab.options.memory_budget = 24 << 20;
    lab_open(&lab);
    struct memory *memory = &lab.store->memory;
    const size_t chunk = lab.store->profile.memtable_chunk;
    for (unsigned i = 0; i < 6000; i++)
        lab_put_numbered(&lab, BRANCH_MAIN, i % 2000, 1000);
    lab_flush(&lab);
    lab_settle(&lab);
    const size_t kept = memory->kept_bytes;
    assert_true(kept >= 4 * chunk);

    /* The next memtable is made of them. */
    const size_t held = memory->live_bytes + kept;
    for (unsigned i = 0; i < 1500; i++)
        lab_put_numbered(&lab, BRANCH_MAIN, i, 1000);
    assert_true(memory->kept_bytes <= kept - 4 * chunk);
    assert_in_range(memory->live_bytes + memory->kept_bytes, 0, held + chunk);

    /* Who writes no more does not keep them for ever. */
    lab_flush(&lab);
    lab_settle(&lab);
    assert_int_equal(store_maintain(lab.store, 0, &work), STRATA_DONE);
    assert_true(memory->kept_bytes > 0);
    assert_true(work.idle_us > 0 && work.idle_us < STRATA_FOREVER);
    lab.monotonic_us += work.idle_us;
    lab_settle(&lab);
    assert_int_equal(memory->kept_bytes, 0);
    check_peak(&lab, "kept chunks");
    lab_destroy(&lab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks_of_memtables_are_kept_within_it),
        cmocka_unit_test(small_rows_stay_within_it),
        cmocka_unit_test(large_rows_stay_within_it),
        cmocka_unit_test(long_keys_stay_within_it),
        cmocka_unit_test(forks_and_flushes_stay_within_it),
        cmocka_unit_test(flushing_after_every_write_stays_within_it),
        cmocka_unit_test(reading_a_long_log_stays_within_it),
        cmocka_unit_test(scans_stay_within_it),
        cmocka_unit_test(a_large_cache_stays_within_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
