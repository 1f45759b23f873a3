/* What the files of a store take: against the disk itself, in every state. */
#include "lifecycle/lab.h"

#include "layout/names.h"
#include "lifecycle/footprint.h"
#include "lifecycle/objects.h"

#include <stdio.h>

static void count_file(void *context, const char *name, uint64_t size)
{
    (void)name, (void)size;
    ++*(uint32_t *)context;
}

/* The footprint, which has to say what the disk says. */
static struct footprint measured(struct lab *lab)
{
    struct footprint footprint;
    uint32_t files = 0;
    if (store_footprint(lab->store, &footprint) != STRATA_OK)
        fail_msg("footprint: %s", strata_error_message());
    simdisk_each(lab->disk, count_file, &files);
    assert_int_equal(footprint.file_count, files);
    assert_int_equal(footprint.live + footprint.history + footprint.derived + footprint.pinned +
                         footprint.dead + footprint.log + footprint.other,
                     simdisk_used(lab->disk));
    return footprint;
}

static void fill_keys(struct lab *lab, uint64_t branch, unsigned count, char with)
{
    for (unsigned i = 0; i < count; i++) {
        char key[32];
        snprintf(key, sizeof(key), "key-%05u", i);
        lab_put_filled(lab, branch, key, 400, with);
    }
}

/* An object of ten bytes that nothing refers to. */
static uint64_t leave_object(struct lab *lab)
{
    uint64_t number;
    struct object object;
    char name[LAYOUT_NAME_SIZE];
    assert_int_equal(store_take_number(lab->store, &number), STRATA_OK);
    layout_table_name(number, name);
    assert_int_equal(object_create(lab->store->backend, name, 0, &object), STRATA_OK);
    assert_int_equal(object_append(&object, bytes_of("on its way", 10)), STRATA_OK);
    object_close(&object);
    return number;
}

static void a_new_store_is_log_and_manifests(void **state)
{
    (void)state;
    struct lab lab;
    lab_create(&lab);
    lab_open(&lab);
    const struct footprint footprint = measured(&lab);
    assert_true(footprint.log > 0);
    assert_true(footprint.other > 0);
    assert_int_equal(footprint.log + footprint.other, simdisk_used(lab.disk));
    lab_destroy(&lab);
}

static void flushes_and_merges_move_bytes_and_lose_none(void **state)
{
    (void)state;
    struct lab lab;
    lab_create(&lab);
    lab.options.memory_budget = 32 << 20; /* With buckets. */
    lab_open(&lab);
    for (unsigned round = 0; round < 3; round++) {
        fill_keys(&lab, BRANCH_MAIN, 200, (char)('a' + round));
        (void)measured(&lab);
        lab_flush(&lab);
        (void)measured(&lab);
    }
    const struct footprint flushed = measured(&lab);
    assert_true(flushed.live >= 3 * 200 * 400);
    assert_true(flushed.derived > 0);
    lab_compact(&lab);
    (void)measured(&lab);
    lab_settle(&lab);
    const struct footprint merged = measured(&lab);
    assert_in_range(merged.live, 200 * 400, 2 * 200 * 400);
    assert_in_range(merged.history, 2 * 200 * 400, 3 * 200 * 400);
    assert_in_range(merged.derived, 1, flushed.derived);
    assert_int_equal(merged.pinned, 0);
    assert_int_equal(merged.dead, 0);
    lab_close(&lab);
    lab_open(&lab);
    assert_int_equal(measured(&lab).live, merged.live);
    assert_int_equal(measured(&lab).derived, merged.derived);
    lab_destroy(&lab);
}

static void large_values_are_live_as_long_as_a_live_row_refers_to_them(void **state)
{
    (void)state;
    enum { VALUE = 100000 };
    struct lab lab;
    lab_create(&lab);
    lab_open(&lab);
    lab_put_filled(&lab, BRANCH_MAIN, "a", VALUE, 'a');
    assert_in_range(measured(&lab).live, VALUE, VALUE + 8192);
    lab_flush(&lab);
    lab_settle(&lab);
    assert_in_range(measured(&lab).live, VALUE, VALUE + 65536);
    assert_int_equal(measured(&lab).history, 0);
    lab_put(&lab, BRANCH_MAIN, "a", "small");
    lab_compact(&lab);
    lab_settle(&lab);
    assert_in_range(measured(&lab).live, 1, 65536);
    assert_in_range(measured(&lab).history, VALUE, VALUE + 65536);
    lab_destroy(&lab);
}

static void a_value_that_no_row_refers_to_yet_is_something_else(void **state)
{
    (void)state;
    struct lab lab;
    lab_create(&lab);
    lab_open(&lab);
    const struct footprint before = measured(&lab);
    const uint64_t number = leave_object(&lab);
    assert_true(measured(&lab).other >= before.other + 10);
    store_discard_object(lab.store, number);
    assert_int_equal(measured(&lab).dead, 10);
    lab_settle(&lab);
    assert_int_equal(measured(&lab).dead, 0);
    lab_destroy(&lab);
}

static void what_a_reader_holds_is_pinned_and_then_dead(void **state)
{
    (void)state;
    struct lab lab;
    lab_create(&lab);
    lab_open(&lab);
    for (unsigned round = 0; round < 2; round++) {
        fill_keys(&lab, BRANCH_MAIN, 100, (char)('a' + round));
        lab_flush(&lab);
    }
    lab_settle(&lab);
    const struct footprint before = measured(&lab);
    assert_int_equal(before.pinned + before.dead, 0);
    struct epoch_slot *reader;
    assert_int_equal(epoch_slot_take(&lab.store->epochs, &reader), STRATA_OK);
    epoch_enter(&lab.store->epochs, reader);
    lab_compact(&lab);
    const struct footprint held = measured(&lab);
    assert_int_equal(held.pinned, before.live + before.derived);
    assert_int_equal(held.dead, 0);
    epoch_leave(reader);
    epoch_slot_give(reader);
    const struct footprint left = measured(&lab);
    assert_int_equal(left.pinned, 0);
    assert_int_equal(left.dead, held.pinned);
    lab_settle(&lab);
    assert_int_equal(measured(&lab).dead, 0);
    lab_destroy(&lab);
}

static void rows_of_a_deleted_branch_count_until_a_merge_drops_them(void **state)
{
    (void)state;
    struct lab lab;
    lab_create(&lab);
    lab_open(&lab);
    const uint64_t fork = lab_fork(&lab, 2, BRANCH_MAIN, 0);
    fill_keys(&lab, 2, 100, 'x');
    lab_put_filled(&lab, 2, "large", 100000, 'x');
    lab_flush(&lab);
    assert_true(measured(&lab).live > 140000);
    (void)lab_delete_branch(&lab, 2, BRANCH_MAIN, fork - 1);
    assert_int_equal(store_sync(lab.store), STRATA_OK);
    assert_true(measured(&lab).live > 140000);
    lab_compact(&lab);
    (void)measured(&lab);
    lab_settle(&lab);
    const struct footprint after = measured(&lab);
    assert_true(after.live + after.history < 65536);
    assert_int_equal(after.dead + after.pinned, 0);
    lab_destroy(&lab);
}

static void what_a_crash_left_is_dead(void **state)
{
    (void)state;
    struct lab lab;
    lab_create(&lab);
    lab_open(&lab);
    fill_keys(&lab, BRANCH_MAIN, 50, 'a');
    lab_put_filled(&lab, BRANCH_MAIN, "lost", 100000, 'l');
    lab_crash(&lab, true);
    lab_open(&lab);
    (void)measured(&lab);
    lab_settle(&lab);
    assert_int_equal(measured(&lab).dead, 0);

    fill_keys(&lab, BRANCH_MAIN, 50, 'b');
    assert_int_equal(store_sync(lab.store), STRATA_OK);
    (void)leave_object(&lab);
    lab_crash(&lab, false);
    lab_open(&lab);
    assert_int_equal(measured(&lab).dead, 10);
    lab_settle(&lab);
    assert_int_equal(measured(&lab).dead, 0);
    lab_destroy(&lab);
}

static void more_objects_than_a_page_holds_are_counted(void **state)
{
    (void)state;
    struct lab lab;
    char key[32];
    lab_create(&lab);
    lab_open(&lab);
    for (unsigned i = 0; i < OBJECTS_PER_PAGE + 60; i++) {
        snprintf(key, sizeof(key), "value-%u", i);
        lab_put_filled(&lab, BRANCH_MAIN, key, 65600, 'v');
    }
    assert_true(measured(&lab).live >= (OBJECTS_PER_PAGE + 60) * (uint64_t)65600);
    lab_compact(&lab);
    assert_true(measured(&lab).live >= (OBJECTS_PER_PAGE + 60) * (uint64_t)65600);
    lab_destroy(&lab);
}

struct found_table {
    char name[64];
    uint64_t size;
};

static void find_largest(void *context, const char *name, uint64_t size)
{
    struct found_table *found = context;
    if (strncmp(name, "tables/", 7) == 0 && size > found->size) {
        found->size = size;
        snprintf(found->name, sizeof(found->name), "%s", name);
    }
}

static void a_damaged_part_still_counts(void **state)
{
    (void)state;
    struct lab lab;
    struct found_table found = {.size = 0};
    lab_create(&lab);
    lab_open(&lab);
    fill_keys(&lab, BRANCH_MAIN, 100, 'a');
    lab_flush(&lab);
    lab_settle(&lab);
    lab_close(&lab);
    simdisk_each(lab.disk, find_largest, &found);
    assert_true(simdisk_poke(lab.disk, found.name, found.size - 4096 + 100, "damage", 6));
    lab_open(&lab);
    assert_true(measured(&lab).live >= found.size);
    lab_destroy(&lab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_store_is_log_and_manifests),
        cmocka_unit_test(flushes_and_merges_move_bytes_and_lose_none),
        cmocka_unit_test(large_values_are_live_as_long_as_a_live_row_refers_to_them),
        cmocka_unit_test(a_value_that_no_row_refers_to_yet_is_something_else),
        cmocka_unit_test(what_a_reader_holds_is_pinned_and_then_dead),
        cmocka_unit_test(rows_of_a_deleted_branch_count_until_a_merge_drops_them),
        cmocka_unit_test(what_a_crash_left_is_dead),
        cmocka_unit_test(more_objects_than_a_page_holds_are_counted),
        cmocka_unit_test(a_damaged_part_still_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
