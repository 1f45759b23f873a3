/* The footprint against the folder of the database, as its caller can see it. */
#ifndef _XOPEN_SOURCE
#define _XOPEN_SOURCE 700
#endif

#include "api/scene.h"

#include <ftw.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/stat.h>

enum { LARGE = 100000, KEYS = 300 };

static uint64_t folder_bytes;
static uint64_t ring_bytes;
static uint32_t folder_files;

static int add_file(const char *path, const struct stat *attributes, int type, struct FTW *place)
{
    (void)place;
    if (type == FTW_F && strstr(path, "/locks/") == NULL) {
        folder_bytes += (uint64_t)attributes->st_size;
        if (strstr(path, "/wal/ring") != NULL)
            ring_bytes = (uint64_t)attributes->st_size;
        folder_files++;
    }
    return 0;
}

static uint64_t sum_of(const strata_footprint *footprint)
{
    return footprint->live_bytes + footprint->history_bytes + footprint->derived_bytes +
           footprint->pinned_bytes + footprint->dead_bytes + footprint->log_bytes +
           footprint->other_bytes;
}

static strata_footprint measured(struct scene *scene)
{
    strata_footprint footprint = {.size = sizeof(footprint)};
    expect_ok(strata_footprint_get(scene->db, &footprint));
    folder_bytes = ring_bytes = 0;
    folder_files = 0;
    assert_int_equal(nftw(scene->path, add_file, 8, FTW_PHYS), 0);
    assert_int_equal(sum_of(&footprint), folder_bytes);
    assert_int_equal(footprint.file_count, folder_files);
    /* The log's ring is memory too, of the page cache. */
    assert_int_equal(footprint.memory_bytes, scene->heap.bytes + ring_bytes);
    return footprint;
}

static void fill(strata_txn *txn, const char *value)
{
    char key[16];
    for (int i = 0; i < KEYS; i++) {
        snprintf(key, sizeof(key), "key%d", i);
        put(txn, key, value);
    }
}

static void put_large(strata_txn *txn, const char *key)
{
    static unsigned char bytes[LARGE];
    fill_bytes(bytes, sizeof(bytes), 7);
    expect_ok(strata_kv_put(txn, NULL, strata_text(key), strata_view(bytes, sizeof(bytes))));
}

static void it_adds_up_from_the_first_open_to_the_last(void **state)
{
    struct scene *scene = *state;
    assert_true(measured(scene).log_bytes > 0);
    fill(scene->txn, "a value that takes some room on the disk");
    put_large(scene->txn, "large");
    assert_true(measured(scene).live_bytes >= LARGE);
    expect_ok(strata_checkpoint(scene->db));
    (void)measured(scene);
    fill(scene->txn, "another");
    put(scene->txn, "large", "small by now");
    expect_ok(strata_checkpoint(scene->db));
    (void)measured(scene);
    expect_ok(strata_compact(scene->db, NULL));
    const strata_footprint merged = measured(scene);
    assert_true(merged.history_bytes >= LARGE);
    assert_true(merged.live_bytes < LARGE);
    assert_true(merged.derived_bytes > 0);
    scene_reopen(scene);
    (void)measured(scene);
    scene->options.mode = STRATA_OPEN_READ_ONLY;
    scene_reopen(scene);
    assert_int_equal(measured(scene).history_bytes, merged.history_bytes);
}

static void it_adds_up_while_values_snapshots_and_cursors_are_held(void **state)
{
    struct scene *scene = *state;
    strata_value value = {0};
    strata_cursor *cursor = NULL;
    strata_kv_writer *writer = NULL;
    strata_row row;
    fill(scene->txn, "first");
    put_large(scene->txn, "large");
    expect_ok(strata_checkpoint(scene->db));
    strata_txn *txn = snapshot(scene, strata_head("main"));
    expect_ok(strata_kv_get(txn, NULL, strata_text("large"), &value));
    expect_ok(strata_kv_scan(txn, NULL, NULL, &cursor));
    expect_ok(strata_kv_next(cursor, &row));
    expect_ok(strata_kv_write_open(scene->txn, NULL, strata_text("on its way"), NULL, &writer));
    expect_ok(strata_kv_write_append(writer, strata_view(value.data, value.size)));
    (void)measured(scene);
    fill(scene->txn, "second");
    expect_ok(strata_kv_delete(scene->txn, NULL, strata_text("large")));
    expect_ok(strata_compact(scene->db, NULL));
    const strata_footprint held = measured(scene);
    assert_true(held.held_value_bytes >= LARGE);
    assert_true(held.other_bytes >= 65536);
    assert_int_equal(held.oldest_reader_version, KEYS + 1);
    expect_ok(strata_kv_write_close(writer, 0));
    (void)measured(scene);
    strata_value_release(&value);
    strata_cursor_close(cursor);
    strata_txn_close(txn);
    while (strata_maintain(scene->db, 1000000, NULL) == STRATA_OK)
        (void)measured(scene);
    const strata_footprint after = measured(scene);
    assert_int_equal(after.pinned_bytes + after.dead_bytes, 0);
}

static void it_adds_up_when_a_branch_goes(void **state)
{
    struct scene *scene = *state;
    strata_txn *txn = NULL;
    expect_ok(strata_branch_fork(scene->db, strata_head("main"), "try", NULL));
    expect_ok(strata_txn_auto(scene->db, "try", &txn));
    fill(txn, "only here");
    put_large(txn, "large");
    strata_txn_close(txn);
    expect_ok(strata_checkpoint(scene->db));
    const strata_footprint before = measured(scene);
    expect_ok(strata_branch_delete(scene->db, "try"));
    expect_ok(strata_sync(scene->db));
    assert_true(measured(scene).live_bytes >= LARGE);
    expect_ok(strata_compact(scene->db, NULL));
    (void)measured(scene);
    while (strata_maintain(scene->db, 1000000, NULL) == STRATA_OK)
        (void)measured(scene);
    const strata_footprint after = measured(scene);
    assert_true(before.live_bytes >= LARGE);
    assert_true(after.live_bytes + after.history_bytes < LARGE);
    assert_int_equal(after.pinned_bytes + after.dead_bytes, 0);
}

static void a_caller_of_the_first_version_gets_what_it_knows(void **state)
{
    struct scene *scene = *state;
    union {
        strata_footprint footprint;
        unsigned char bytes[sizeof(strata_footprint)];
    } older;
    const size_t first_size = offsetof(strata_footprint, other_bytes);
    memset(&older, 0xa5, sizeof(older));
    older.footprint.size = (uint32_t)first_size;
    expect_ok(strata_footprint_get(scene->db, &older.footprint));
    assert_int_equal(older.footprint.size, first_size);
    assert_true(older.footprint.memory_bytes > 0);
    for (size_t i = first_size; i < sizeof(older.bytes); i++)
        assert_int_equal(older.bytes[i], 0xa5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_adds_up_from_the_first_open_to_the_last,
                                        scene_set_up_folder, scene_tear_down),
        cmocka_unit_test_setup_teardown(it_adds_up_while_values_snapshots_and_cursors_are_held,
                                        scene_set_up_folder, scene_tear_down),
        cmocka_unit_test_setup_teardown(it_adds_up_when_a_branch_goes, scene_set_up_folder,
                                        scene_tear_down),
        cmocka_unit_test_setup_teardown(a_caller_of_the_first_version_gets_what_it_knows,
                                        scene_set_up_folder, scene_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
