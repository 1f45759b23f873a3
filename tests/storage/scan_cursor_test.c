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

/* The keys b, d, f, h in main, and a fork of it. */
static struct branch *four_keys(struct fixture *fixture)
{
    static const char *const keys[] = {"b", "d", "f", "h"};
    for (unsigned i = 0; i < 4; i++)
        fixture_put(fixture, fixture->main_branch, &fixture->storage.default_space, keys[i], "x");
    assert_int_equal(storage_branch_fork(&fixture->storage, &fixture->reader, fixture->main_branch,
                                         UINT64_MAX, "child", NULL),
                     STRATA_OK);
    return fixture_branch(fixture, "child");
}

static void open_scan(struct fixture *fixture, const struct storage_view *view, const char *first,
                      const char *end, bool reverse, struct storage_scan *out)
{
    const struct storage_scan_options options = {
        .view = *view,
        .space = &fixture->storage.default_space,
        .kind = KIND_KV,
        .bounds = {.first = text_bytes(first), .end = text_bytes(end)},
        .reverse = reverse};
    storage_scan_init(out, &fixture->storage);
    assert_int_equal(storage_scan_open(out, &fixture->reader, &options), STRATA_OK);
}

/* The key shown, or "". */
static const char *shown(const struct storage_scan *scan)
{
    static char text[16];
    memset(text, 0, sizeof(text));
    if (scan->valid)
        memcpy(text, scan->row->key.data, scan->row->key.length);
    return text;
}

static const char *next(struct fixture *fixture, struct storage_scan *scan)
{
    storage_enter(&fixture->reader);
    assert_int_equal(storage_scan_next(scan), STRATA_OK);
    const char *text = shown(scan);
    storage_leave(&fixture->reader);
    return text;
}

static const char *seek(struct fixture *fixture, struct storage_scan *scan, const char *key,
                        bool past)
{
    storage_enter(&fixture->reader);
    assert_int_equal(storage_scan_seek(scan, text_bytes(key), past), STRATA_OK);
    const char *text = shown(scan);
    storage_leave(&fixture->reader);
    return text;
}

static void a_seek_goes_both_ways(void **state)
{
    struct fixture *fixture = *state;
    struct branch *child = four_keys(fixture);
    const struct storage_view view = fixture_head(fixture, child);
    struct storage_scan scan;
    open_scan(fixture, &view, NULL, NULL, false, &scan);
    assert_string_equal(seek(fixture, &scan, "d", false), "d");
    assert_string_equal(next(fixture, &scan), "f");
    assert_string_equal(seek(fixture, &scan, "d", true), "f");
    assert_string_equal(seek(fixture, &scan, "a", true), "b");
    assert_string_equal(seek(fixture, &scan, "i", false), "");
    assert_string_equal(next(fixture, &scan), "");
    assert_string_equal(seek(fixture, &scan, NULL, false), "b");
    assert_string_equal(next(fixture, &scan), "d");
    storage_scan_release(&scan);

    open_scan(fixture, &view, NULL, NULL, true, &scan);
    assert_string_equal(next(fixture, &scan), "h");
    assert_string_equal(seek(fixture, &scan, "e", false), "d");
    assert_string_equal(seek(fixture, &scan, "d", true), "b");
    assert_string_equal(next(fixture, &scan), "");
    assert_string_equal(next(fixture, &scan), "");
    assert_string_equal(seek(fixture, &scan, "a", false), "");
    assert_string_equal(next(fixture, &scan), "");
    assert_string_equal(seek(fixture, &scan, "z", false), "h");
    storage_scan_release(&scan);
    fixture_leave_branch(fixture, child);
}

static void bounds_hold_whatever_is_sought(void **state)
{
    struct fixture *fixture = *state;
    struct branch *child = four_keys(fixture);
    const struct storage_view view = fixture_head(fixture, child);
    struct storage_scan scan;
    open_scan(fixture, &view, "c", "h", false, &scan);
    assert_string_equal(seek(fixture, &scan, "a", false), "d");
    assert_string_equal(next(fixture, &scan), "f");
    assert_string_equal(next(fixture, &scan), "");
    assert_string_equal(seek(fixture, &scan, "h", false), "");
    storage_scan_release(&scan);
    open_scan(fixture, &view, "c", "h", true, &scan);
    assert_string_equal(seek(fixture, &scan, "z", false), "f");
    assert_string_equal(next(fixture, &scan), "d");
    assert_string_equal(next(fixture, &scan), "");
    assert_string_equal(seek(fixture, &scan, "b", false), "");
    storage_scan_release(&scan);
    fixture_leave_branch(fixture, child);
}

static void the_tables_may_change_between_calls(void **state)
{
    struct fixture *fixture = *state;
    struct branch *child = four_keys(fixture);
    const struct storage_view view = fixture_head(fixture, child);
    for (unsigned reverse = 0; reverse < 2; reverse++) {
        struct storage_scan scan;
        open_scan(fixture, &view, NULL, NULL, reverse == 1, &scan);
        assert_string_equal(next(fixture, &scan), reverse ? "h" : "b");
        fixture_flush(fixture);
        assert_string_equal(next(fixture, &scan), reverse ? "f" : "d");
        fixture_put(fixture, fixture->main_branch, &fixture->storage.default_space, "e", "later");
        fixture_put(fixture, child, &fixture->storage.default_space, "e", "later");
        fixture_put(fixture, child, &fixture->storage.default_space, "f", "later");
        fixture_compact(fixture);
        assert_string_equal(next(fixture, &scan), reverse ? "d" : "f");
        fixture_compact(fixture);
        assert_string_equal(next(fixture, &scan), reverse ? "b" : "h");
        assert_string_equal(next(fixture, &scan), "");
        fixture_put(fixture, child, &fixture->storage.default_space, "z", "later");
        fixture_flush(fixture);
        /* Closed outside, when what it read is long gone. */
        storage_scan_release(&scan);
    }
    fixture_leave_branch(fixture, child);
}

static void own_writes_are_in_their_place(void **state)
{
    struct fixture *fixture = *state;
    const struct storage_space *space = &fixture->storage.default_space;
    struct branch *child = four_keys(fixture);
    struct storage_view view = fixture_head(fixture, child);
    struct storage_writes writes;
    storage_writes_init(&writes, &fixture->storage, child->id);
    fixture_add(fixture, &writes, "a", "own");
    fixture_add(fixture, &writes, "d", NULL);
    fixture_add(fixture, &writes, "f", "own");
    fixture_add(fixture, &writes, "z", "own");
    view.writes = &writes;
    view.own_cap = storage_writes_cap(&writes);
    fixture_add(fixture, &writes, "c", "too late to be seen");
    assert_string_equal(fixture_scan(fixture, &view, space, NULL, NULL, false),
                        "a=own b=x f=own h=x z=own");
    assert_string_equal(fixture_scan(fixture, &view, space, NULL, NULL, true),
                        "z=own h=x f=own b=x a=own");
    fixture_add(fixture, &writes, "", NULL);
    fixture_add(fixture, &writes, "b", "again");
    view.own_cap = storage_writes_cap(&writes);
    assert_string_equal(fixture_scan(fixture, &view, space, NULL, NULL, false), "b=again");
    assert_string_equal(fixture_scan(fixture, &view, space, NULL, NULL, true), "b=again");
    storage_writes_release(&writes);
    fixture_leave_branch(fixture, child);
}

static void a_deleted_space_ends_the_lineage(void **state)
{
    struct fixture *fixture = *state;
    struct storage_space *space = &fixture->storage.default_space;
    struct branch *child = four_keys(fixture);
    fixture_put(fixture, child, space, "a", "own");
    fixture_put(fixture, child, space, "", NULL);
    fixture_put(fixture, child, space, "c", "after");
    for (unsigned stage = 0; stage < 3; stage++) {
        struct storage_view view = fixture_head(fixture, child);
        assert_string_equal(fixture_scan(fixture, &view, space, NULL, NULL, false), "c=after");
        assert_string_equal(fixture_scan(fixture, &view, space, NULL, NULL, true), "c=after");
        view.version -= 2;
        assert_string_equal(fixture_scan(fixture, &view, space, NULL, NULL, false),
                            "a=own b=x d=x f=x h=x");
        stage == 0 ? fixture_flush(fixture) : fixture_compact(fixture);
    }
    fixture_leave_branch(fixture, child);
}

static void out_of_memory_a_scan_can_go_on_later(void **state)
{
    struct fixture *fixture = *state;
    struct branch *child = four_keys(fixture);
    fixture_flush(fixture);
    const struct storage_view view = fixture_head(fixture, child);
    struct storage_scan scan;
    open_scan(fixture, &view, NULL, NULL, false, &scan);
    static const char *const expected[] = {"b", "d", "f", "h"};
    for (unsigned i = 0; i < 4; i++) {
        strata_status status = STRATA_NO_MEMORY;
        for (uint64_t fail_at = 1; status != STRATA_OK; fail_at++) {
            fixture->counted.requests = 0;
            fixture->counted.fail_at = fail_at;
            fixture->counted.fail_from_then_on = 1;
            storage_enter(&fixture->reader);
            status = storage_scan_next(&scan);
            if (status == STRATA_OK)
                assert_string_equal(shown(&scan), expected[i]);
            storage_leave(&fixture->reader);
            fixture->counted.fail_at = 0;
            assert_true(status == STRATA_OK || status == STRATA_NO_MEMORY);
        }
        fixture_put(fixture, fixture->main_branch, &fixture->storage.default_space, "e", "later");
        fixture_flush(fixture);
    }
    storage_scan_release(&scan);
    fixture_leave_branch(fixture, child);
}

/* What the scans of a fork look up for ten rows, when its parent has written `keys` keys twice. */
static uint64_t frames_of_ten_rows(unsigned keys, bool flushed_between)
{
    struct fixture fixture;
    fixture_create_sized(&fixture, 64 << 20);
    struct storage_space *space = &fixture.storage.default_space;
    struct branch *child = NULL;
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < keys; i++) {
            char key[16];
            snprintf(key, sizeof(key), "%06u", i);
            fixture_put(&fixture, fixture.main_branch, space, key, round == 0 ? "old" : "new");
        }
        if (flushed_between || round == 1)
            fixture_flush(&fixture);
        if (round == 1)
            break;
        assert_int_equal(storage_branch_fork(&fixture.storage, &fixture.reader, fixture.main_branch,
                                             UINT64_MAX, "child", NULL),
                         STRATA_OK);
        child = fixture_branch(&fixture, "child");
    }
    const struct storage_view view = fixture_head(&fixture, child);
    uint64_t hits = 0;
    for (unsigned turn = 0; turn < 2; turn++) { /* The second finds everything in memory. */
        struct storage_scan scan;
        open_scan(&fixture, &view, NULL, NULL, false, &scan);
        const uint64_t before = cache_hits(&fixture.storage.store->cache);
        for (unsigned i = 0; i < 10; i++) {
            char key[16];
            snprintf(key, sizeof(key), "%06u", i);
            assert_string_equal(next(&fixture, &scan), key);
            assert_true(bytes_equal(scan.row->value, text_bytes("old")));
        }
        hits = cache_hits(&fixture.storage.store->cache) - before;
        storage_scan_release(&scan);
    }
    fixture_leave_branch(&fixture, child);
    fixture_destroy(&fixture);
    return hits;
}

static void a_scan_reads_no_more_however_much_the_parent_overwrote(void **state)
{
    (void)state;
    for (unsigned flushed = 0; flushed < 2; flushed++) {
        const uint64_t few = frames_of_ten_rows(1000, flushed == 1);
        const uint64_t many = frames_of_ten_rows(30000, flushed == 1);
        assert_true(many <= few + 8); /* A level of the index more. */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_seek_goes_both_ways, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bounds_hold_whatever_is_sought, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_tables_may_change_between_calls, set_up, tear_down),
        cmocka_unit_test_setup_teardown(own_writes_are_in_their_place, set_up, tear_down),
        cmocka_unit_test(a_scan_reads_no_more_however_much_the_parent_overwrote),
        cmocka_unit_test_setup_teardown(a_deleted_space_ends_the_lineage, set_up, tear_down),
        cmocka_unit_test_setup_teardown(out_of_memory_a_scan_can_go_on_later, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
