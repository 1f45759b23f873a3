#include "lifecycle/lab.h"

#include "layout/names.h"

#include <stdio.h>

/* Bytes enough that reading the log again has to flush on the way. */
static void fill(struct lab *lab, uint64_t branch, unsigned first, unsigned count)
{
    for (unsigned i = first; i < first + count; i++) {
        char key[32];
        snprintf(key, sizeof(key), "key-%05u", i);
        lab_put_filled(lab, branch, key, 1000, (char)('a' + i % 26));
    }
}

static void check_filled(struct lab *lab, uint64_t branch, unsigned first, unsigned count)
{
    for (unsigned i = first; i < first + count; i++) {
        char key[32];
        snprintf(key, sizeof(key), "key-%05u", i);
        const char *value = lab_get(lab, branch, key, UINT64_MAX);
        assert_non_null(value);
        assert_int_equal(value[0], 'a' + i % 26);
    }
}

/* Two memtables full in the log, read by a store with a quarter of the budget. */
static void leave_a_long_log(struct lab *lab)
{
    lab->options.memory_budget = 8 << 20;
    lab_open(lab);
    fill(lab, BRANCH_MAIN, 0, 700);
    assert_int_equal(store_sync(lab->store), STRATA_OK);
    lab_crash(lab, true);
    lab->options.memory_budget = 1 << 20;
}

static void what_is_written_after_a_recovery_that_flushed_is_no_orphan(void **state)
{
    (void)state;
    struct lab lab;
    lab_create(&lab);
    leave_a_long_log(&lab);
    lab_open(&lab);
    assert_true(lab_live_runs(&lab) > 0);

    /* A table on its way, which nothing lists yet, while orphans are looked for. */
    lab_put_filled(&lab, BRANCH_MAIN, "z", 100000, 'z');
    fill(&lab, BRANCH_MAIN, 700, 1);
    struct job *flush = &lab.store->jobs[JOB_FLUSH];
    mutex_lock(&lab.store->committer.lock);
    assert_int_equal(committer_freeze(&lab.store->committer, lab.store->profile.memtable_chunk),
                     STRATA_OK);
    mutex_unlock(&lab.store->committer.lock);
    do {
        bool did;
        assert_int_equal(store_step(lab.store, lab.slot, &did), STRATA_OK);
        assert_true(did);
    } while (flush->rewrite.live.numbers.length == 0);
    while (store_reclaim_due(lab.store))
        assert_int_equal(store_reclaim_step(lab.store, lab.slot), STRATA_OK);
    lab_flush(&lab);
    check_filled(&lab, BRANCH_MAIN, 0, 701);
    lab_settle(&lab);
    assert_int_equal(lab_table_objects(&lab), lab_listed_objects(&lab));
    lab_close(&lab);
    lab_open(&lab);
    check_filled(&lab, BRANCH_MAIN, 0, 701);
    assert_string_not_equal(lab_get(&lab, BRANCH_MAIN, "z", UINT64_MAX), "");
    lab_destroy(&lab);
}

/* Crashes in the middle of flushes, whose objects nothing lists then. */
static void leave_orphans(struct lab *lab, unsigned rounds)
{
    for (unsigned i = 0; i < rounds; i++) {
        lab_open(lab);
        fill(lab, BRANCH_MAIN, i * 10, 10);
        assert_int_equal(store_sync(lab->store), STRATA_OK);
        const struct job *flush = &lab->store->jobs[JOB_FLUSH];
        mutex_lock(&lab->store->committer.lock);
        assert_int_equal(
            committer_freeze(&lab->store->committer, lab->store->profile.memtable_chunk),
            STRATA_OK);
        mutex_unlock(&lab->store->committer.lock);
        do {
            bool did;
            assert_int_equal(store_step(lab->store, lab->slot, &did), STRATA_OK);
        } while (flush->rewrite.stage < 3);
        lab_crash(lab, false);
    }
}

static void orphans_of_crashes_are_removed_and_values_of_the_log_are_not(void **state)
{
    (void)state;
    struct lab lab;
    lab_create(&lab);
    leave_orphans(&lab, 5);
    lab_open(&lab);
    lab_put_filled(&lab, BRANCH_MAIN, "long", 70000, 'l');
    assert_int_equal(store_sync(lab.store), STRATA_OK);
    lab_crash(&lab, true);
    lab_open(&lab);
    assert_true(lab_table_objects(&lab) > lab_listed_objects(&lab) + 1);
    lab_settle(&lab);
    assert_int_equal(lab_table_objects(&lab), lab_listed_objects(&lab));
    assert_int_equal(lab_get(&lab, BRANCH_MAIN, "long", UINT64_MAX)[0], 'l');
    check_filled(&lab, BRANCH_MAIN, 0, 50);
    lab_destroy(&lab);
}

static void a_close_right_after_a_crash_forgets_no_orphan(void **state)
{
    (void)state;
    struct lab lab;
    lab_create(&lab);
    leave_orphans(&lab, 3);
    lab_open(&lab);
    assert_true(lab_table_objects(&lab) > lab_listed_objects(&lab));
    lab_close(&lab);
    lab_open(&lab);
    lab_settle(&lab);
    assert_int_equal(lab_table_objects(&lab), lab_listed_objects(&lab));
    check_filled(&lab, BRANCH_MAIN, 0, 30);
    lab_destroy(&lab);
}

/* Puts objects that nothing lists, as a crash would, beside those of a folder. */
static void strew(struct lab *lab, uint64_t first, unsigned count)
{
    const strata_backend *backend = simdisk_backend(lab->disk);
    for (unsigned i = 0; i < count; i++) {
        char name[LAYOUT_NAME_SIZE];
        struct object object;
        layout_table_name(first + i, name);
        assert_int_equal(object_create(backend, name, 0, &object), STRATA_OK);
        object_close(&object);
    }
}

static void orphans_behind_many_living_objects_are_found(void **state)
{
    (void)state;
    struct lab lab;
    lab_create(&lab);
    lab_open(&lab);
    /* More living values in one folder than one look takes. */
    for (unsigned i = 0; i < 600; i++) {
        char key[32];
        snprintf(key, sizeof(key), "key-%05u", i);
        lab_put_filled(&lab, BRANCH_MAIN, key, INLINE_VALUE_SIZE_MAX, 'v');
    }
    lab_flush(&lab);
    lab_settle(&lab);
    const uint64_t next = atomic_load(&lab.store->next_object);
    assert_true(next < 950);
    lab_crash(&lab, false);
    strew(&lab, next, 40);
    lab_open(&lab);
    lab_settle(&lab);
    assert_int_equal(lab_table_objects(&lab), lab_listed_objects(&lab));
    lab_destroy(&lab);
}

static void numbers_of_objects_are_never_used_again(void **state)
{
    (void)state;
    struct lab lab;
    uint64_t highest = 0;
    lab_create(&lab);
    for (unsigned i = 0; i < 12; i++) {
        uint64_t number;
        lab_open(&lab);
        for (unsigned j = 0; j < i % 3 + 1; j++) {
            assert_int_equal(store_take_number(lab.store, &number), STRATA_OK);
            assert_true(number > highest);
            highest = number;
        }
        if (i == 5) { /* Past what one manifest sets aside. */
            for (unsigned j = 0; j < OBJECT_NUMBERS_RESERVED; j++)
                assert_int_equal(store_take_number(lab.store, &number), STRATA_OK);
            assert_true(number >= highest + OBJECT_NUMBERS_RESERVED);
            highest = number;
        }
        fill(&lab, BRANCH_MAIN, i, 1);
        if (i % 4 == 1)
            lab_flush(&lab);
        highest = atomic_load(&lab.store->next_object) - 1;
        if (i % 4 == 3)
            lab_close(&lab);
        else
            lab_crash(&lab, i % 2 == 0);
    }
    lab_destroy(&lab);
}

static void a_crash_during_a_recovery_that_flushes_loses_nothing(void **state)
{
    (void)state;
    struct lab lab;
    lab_create(&lab);
    leave_a_long_log(&lab);
    for (uint64_t at = 1;; at += 7) {
        simdisk_fail(lab.disk, (struct sim_fault){.operation = simdisk_operations(lab.disk) + at,
                                                  .forever = true,
                                                  .error = 5,
                                                  .effect = STRATA_EFFECT_UNKNOWN,
                                                  .seed = at});
        const strata_status status = lab_try_open(&lab);
        simdisk_fail(lab.disk, (struct sim_fault){0});
        lab_crash(&lab, at % 2 == 0);
        if (status == STRATA_OK)
            break;
        assert_true(at < 10000);
    }
    lab_open(&lab);
    check_filled(&lab, BRANCH_MAIN, 0, 700);
    lab_destroy(&lab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_after_a_recovery_that_flushed_is_no_orphan),
        cmocka_unit_test(orphans_of_crashes_are_removed_and_values_of_the_log_are_not),
        cmocka_unit_test(a_close_right_after_a_crash_forgets_no_orphan),
        cmocka_unit_test(orphans_behind_many_living_objects_are_found),
        cmocka_unit_test(numbers_of_objects_are_never_used_again),
        cmocka_unit_test(a_crash_during_a_recovery_that_flushes_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
