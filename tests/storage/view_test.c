#include "storage/storage_fixture.h"

#include <stdio.h>

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    fixture_create(fixture);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    fixture_destroy(*state);
    free(*state);
    return 0;
}

static struct storage_space *default_space(struct fixture *fixture)
{
    return &fixture->storage.default_space;
}

static struct branch *forked(struct fixture *fixture, const struct branch *from, const char *name)
{
    assert_int_equal(
        storage_branch_fork(&fixture->storage, &fixture->reader, from, UINT64_MAX, name, NULL),
        STRATA_OK);
    return fixture_branch(fixture, name);
}

static void a_view_shows_the_version_it_names(void **state)
{
    struct fixture *fixture = *state;
    struct storage_space *space = default_space(fixture);
    for (int round = 0; round < 2; round++) {
        struct storage_view view = fixture_head(fixture, fixture->main_branch);
        const uint64_t base = view.version;
        fixture_put(fixture, fixture->main_branch, space, "a", "one");
        fixture_put(fixture, fixture->main_branch, space, "a", "two");
        fixture_put(fixture, fixture->main_branch, space, "a", NULL);
        fixture_put(fixture, fixture->main_branch, space, "a", "three");
        const char *expected[] = {"one", "two", NULL, "three"};
        for (unsigned stage = 0; stage < 3; stage++) {
            for (unsigned i = 0; i < 4; i++) {
                view.version = base + 1 + i;
                const char *found = fixture_get(fixture, &view, space, "a");
                if (expected[i] == NULL)
                    assert_null(found);
                else
                    assert_string_equal(found, expected[i]);
            }
            if (stage == 0)
                fixture_flush(fixture);
            else
                fixture_compact(fixture);
        }
    }
}

static void the_nearest_branch_decides(void **state)
{
    struct fixture *fixture = *state;
    struct storage_space *space = default_space(fixture);
    fixture_put(fixture, fixture->main_branch, space, "a", "main");
    fixture_put(fixture, fixture->main_branch, space, "b", "main");
    struct branch *child = forked(fixture, fixture->main_branch, "child");
    struct branch *grandchild = forked(fixture, child, "grandchild");
    fixture_put(fixture, fixture->main_branch, space, "a", "later");
    fixture_put(fixture, child, space, "b", "later");
    fixture_put(fixture, grandchild, space, "c", "own");
    fixture_put(fixture, grandchild, space, "a", NULL);
    for (unsigned stage = 0; stage < 3; stage++) {
        struct storage_view view = fixture_head(fixture, child);
        assert_string_equal(fixture_get(fixture, &view, space, "a"), "main");
        assert_string_equal(fixture_get(fixture, &view, space, "b"), "later");
        assert_null(fixture_get(fixture, &view, space, "c"));
        view.branch = grandchild;
        assert_null(fixture_get(fixture, &view, space, "a"));
        assert_string_equal(fixture_get(fixture, &view, space, "b"), "main");
        assert_string_equal(fixture_get(fixture, &view, space, "c"), "own");
        stage == 0 ? fixture_flush(fixture) : fixture_compact(fixture);
    }
    fixture_leave_branch(fixture, child);
    fixture_leave_branch(fixture, grandchild);
}

static void a_deleted_space_hides_what_came_before(void **state)
{
    struct fixture *fixture = *state;
    struct storage_space *space = fixture_space(fixture, "notes");
    fixture_put(fixture, fixture->main_branch, space, "a", "old");
    fixture_put(fixture, fixture->main_branch, space, "b", "old");
    struct branch *child = forked(fixture, fixture->main_branch, "child");
    const uint64_t version = fixture_put(fixture, child, space, "", NULL);
    fixture_put(fixture, child, space, "b", "new");
    fixture_put(fixture, fixture->main_branch, default_space(fixture), "a", "other space");
    for (unsigned stage = 0; stage < 4; stage++) {
        space = fixture_space(fixture, "notes");
        assert_true(atomic_load(&space->deletions));
        struct storage_view view = fixture_head(fixture, child);
        assert_null(fixture_get(fixture, &view, space, "a"));
        assert_string_equal(fixture_get(fixture, &view, space, "b"), "new");
        view.version = version;
        assert_null(fixture_get(fixture, &view, space, "b"));
        view.version = version - 1;
        assert_string_equal(fixture_get(fixture, &view, space, "a"), "old");
        view = fixture_head(fixture, fixture->main_branch);
        assert_string_equal(fixture_get(fixture, &view, space, "a"), "old");
        assert_string_equal(fixture_get(fixture, &view, default_space(fixture), "a"),
                            "other space");
        fixture_leave_branch(fixture, child);
        if (stage == 0)
            fixture_crash(fixture);
        else if (stage == 1)
            fixture_compact(fixture);
        else
            fixture_close(fixture), fixture_open(fixture);
        child = fixture_branch(fixture, "child");
    }
    fixture_leave_branch(fixture, child);
}

static void the_deletion_of_the_default_space_survives_reopening(void **state)
{
    struct fixture *fixture = *state;
    fixture_put(fixture, fixture->main_branch, default_space(fixture), "a", "old");
    fixture_put(fixture, fixture->main_branch, default_space(fixture), "", NULL);
    fixture_crash(fixture);
    struct storage_view view = fixture_head(fixture, fixture->main_branch);
    assert_null(fixture_get(fixture, &view, default_space(fixture), "a"));
    fixture_close(fixture);
    fixture_open(fixture);
    view = fixture_head(fixture, fixture->main_branch);
    assert_null(fixture_get(fixture, &view, default_space(fixture), "a"));
}

static void rows_expire(void **state)
{
    struct fixture *fixture = *state;
    strata_commit commit;
    struct storage_write write = fixture_write(fixture, "a", "x");
    write.flags = BATCH_LIVES;
    write.expires_us = 50;
    assert_int_equal(fixture_commit_one(fixture, fixture->main_branch, &write, &commit), STRATA_OK);
    struct branch *child = forked(fixture, fixture->main_branch, "child");
    for (unsigned stage = 0; stage < 2; stage++) {
        struct storage_view view = fixture_head(fixture, child);
        view.time_us = commit.time_us + 49;
        assert_string_equal(fixture_get(fixture, &view, default_space(fixture), "a"), "x");
        view.time_us = commit.time_us + 50;
        assert_null(fixture_get(fixture, &view, default_space(fixture), "a"));
        fixture_flush(fixture);
    }
    fixture_leave_branch(fixture, child);
}

static void own_writes_come_first(void **state)
{
    struct fixture *fixture = *state;
    struct storage_space *space = default_space(fixture);
    struct storage_row row;
    fixture_put(fixture, fixture->main_branch, space, "a", "committed");
    fixture_put(fixture, fixture->main_branch, space, "b", "committed");
    fixture_put(fixture, fixture->main_branch, space, "c", "committed");
    struct storage_view view = fixture_head(fixture, fixture->main_branch);
    view.writes = &fixture->writes;
    fixture_add(fixture, &fixture->writes, "a", "own");
    fixture_add(fixture, &fixture->writes, "b", NULL);
    view.own_cap = storage_writes_cap(&fixture->writes);
    fixture_add(fixture, &fixture->writes, "a", "unseen");
    assert_string_equal(fixture_get(fixture, &view, space, "a"), "own");
    assert_null(fixture_get(fixture, &view, space, "b"));
    assert_string_equal(fixture_get(fixture, &view, space, "c"), "committed");
    storage_enter(&fixture->reader);
    assert_int_equal(storage_get(&fixture->reader, &view, space, KIND_KV, text_bytes("a"), &row),
                     STRATA_OK);
    assert_int_equal(row.row.from, 0);
    storage_unpin(&fixture->reader, &row);
    storage_leave(&fixture->reader);

    fixture_add(fixture, &fixture->writes, "", NULL);
    fixture_add(fixture, &fixture->writes, "b", "again");
    view.own_cap = storage_writes_cap(&fixture->writes);
    assert_null(fixture_get(fixture, &view, space, "a"));
    assert_string_equal(fixture_get(fixture, &view, space, "b"), "again");
    assert_null(fixture_get(fixture, &view, space, "c"));
}

static void keys_of_every_size_are_found(void **state)
{
    struct fixture *fixture = *state;
    static char key[USER_KEY_SIZE_MAX + 1];
    const size_t sizes[] = {1, 243, 244, 245, 1000, USER_KEY_SIZE_MAX};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        memset(key, 'k', sizes[i]);
        key[sizes[i]] = '\0';
        fixture_put(fixture, fixture->main_branch, default_space(fixture), key, "x");
        const struct storage_view view = fixture_head(fixture, fixture->main_branch);
        assert_string_equal(fixture_get(fixture, &view, default_space(fixture), key), "x");
        fixture_flush(fixture);
        assert_string_equal(fixture_get(fixture, &view, default_space(fixture), key), "x");
    }
}

static void a_space_nobody_wrote_to_is_empty(void **state)
{
    struct fixture *fixture = *state;
    const struct storage_space *space = fixture_space(fixture, "nothing");
    const struct storage_view view = fixture_head(fixture, fixture->main_branch);
    assert_null(fixture_get(fixture, &view, space, "a"));
    assert_string_equal(fixture_scan(fixture, &view, space, NULL, NULL, false), "");
    assert_string_equal(fixture_history(fixture, &view, space, "a"), "");
    assert_int_equal(atomic_load(&space->number), 0);
}

static void long_values_are_read_in_pieces(void **state)
{
    struct fixture *fixture = *state;
    struct value_writer writer;
    struct value_reference reference;
    strata_commit commit;
    struct storage_row row;
    uint8_t bytes[VALUE_REFERENCE_SIZE], piece[3000], read[3000];
    assert_int_equal(storage_value_open(&fixture->storage, &writer), STRATA_OK);
    for (unsigned i = 0; i < 40; i++) {
        memset(piece, (int)i, sizeof(piece));
        assert_int_equal(value_writer_append(&writer, bytes_of(piece, sizeof(piece))), STRATA_OK);
    }
    assert_int_equal(value_writer_finish(&writer, false, &reference), STRATA_OK);
    value_writer_release(&writer);
    value_reference_store(bytes, reference);
    struct storage_write write = fixture_write(fixture, "long", "");
    write.row = ROW_VALUE_REFERENCE;
    write.value = bytes_of(bytes, sizeof(bytes));
    assert_int_equal(fixture_commit_one(fixture, fixture->main_branch, &write, &commit), STRATA_OK);
    const struct storage_view view = fixture_head(fixture, fixture->main_branch);
    storage_enter(&fixture->reader);
    assert_int_equal(storage_get(&fixture->reader, &view, default_space(fixture), KIND_KV,
                                 text_bytes("long"), &row),
                     STRATA_OK);
    assert_true(row.found);
    assert_int_equal(storage_value_size(&row.row), 40 * sizeof(piece));
    assert_int_equal(
        storage_value_read(&fixture->reader, &row.row, 17 * sizeof(piece), read, sizeof(read)),
        STRATA_OK);
    memset(piece, 17, sizeof(piece));
    assert_memory_equal(read, piece, sizeof(piece));
    storage_unpin(&fixture->reader, &row);
    storage_leave(&fixture->reader);
}

static void reads_take_no_memory_once_warm(void **state)
{
    struct fixture *fixture = *state;
    struct storage_space *space = default_space(fixture);
    fixture_put(fixture, fixture->main_branch, space, "a", "in a table");
    fixture_flush(fixture);
    struct branch *child = forked(fixture, fixture->main_branch, "child");
    fixture_put(fixture, child, space, "b", "in memory");
    const struct storage_view view = fixture_head(fixture, child);
    uint64_t before = 0;
    for (unsigned i = 0; i < 20; i++) {
        if (i == 4)
            before = fixture->counted.requests;
        assert_string_equal(fixture_get(fixture, &view, space, "a"), "in a table");
        assert_string_equal(fixture_get(fixture, &view, space, "b"), "in memory");
        assert_null(fixture_get(fixture, &view, space, "c"));
    }
    assert_int_equal(fixture->counted.requests, before);
    fixture_leave_branch(fixture, child);
}

/* Of a key of many versions, in history runs. */
static void a_read_of_the_past_looks_at_few_frames(void **state)
{
    enum { VERSIONS = 20000, FRAMES_MAX = 12 };
    (void)state;
    struct fixture fixture;
    fixture_create_sized(&fixture, 64 << 20);
    struct storage_space *space = default_space(&fixture);
    char value[16];
    fixture_put(&fixture, fixture.main_branch, space, "a", "before");
    const uint64_t first = fixture_head(&fixture, fixture.main_branch).version + 1;
    for (unsigned i = 0; i < VERSIONS; i++) {
        snprintf(value, sizeof(value), "%u", i);
        fixture_put(&fixture, fixture.main_branch, space, "b", value);
    }
    fixture_put(&fixture, fixture.main_branch, space, "c", "behind");
    fixture_compact(&fixture);
    struct storage_view view = fixture_head(&fixture, fixture.main_branch);
    for (unsigned round = 0; round < 2; round++) { /* The second finds all in memory. */
        for (unsigned i = 0; i < VERSIONS; i += 61) {
            const uint64_t before = cache_hits(&fixture.storage.store->cache);
            view.version = first + i;
            snprintf(value, sizeof(value), "%u", i);
            assert_string_equal(fixture_get(&fixture, &view, space, "b"), value);
            assert_true(round == 0 ||
                        cache_hits(&fixture.storage.store->cache) - before <= FRAMES_MAX);
        }
    }
    view.version = first - 1;
    assert_null(fixture_get(&fixture, &view, space, "b"));
    fixture_destroy(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_view_shows_the_version_it_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_nearest_branch_decides, set_up, tear_down),
        cmocka_unit_test(a_read_of_the_past_looks_at_few_frames),
        cmocka_unit_test_setup_teardown(a_deleted_space_hides_what_came_before, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_deletion_of_the_default_space_survives_reopening,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(rows_expire, set_up, tear_down),
        cmocka_unit_test_setup_teardown(own_writes_come_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(keys_of_every_size_are_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_space_nobody_wrote_to_is_empty, set_up, tear_down),
        cmocka_unit_test_setup_teardown(long_values_are_read_in_pieces, set_up, tear_down),
        cmocka_unit_test_setup_teardown(reads_take_no_memory_once_warm, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
