/* Branches: forks at heads, versions and times, deep lines of them, names, deletion, the log. */
#include "api/scene.h"

#include <stdio.h>

static strata_txn *auto_on(const struct scene *scene, const char *branch)
{
    strata_txn *txn = NULL;
    expect_ok(strata_txn_auto(scene->db, branch, &txn));
    return txn;
}

static void fork_at(const struct scene *scene, strata_point from, const char *name)
{
    expect_ok(strata_branch_fork(scene->db, from, name, NULL));
}

static const char *get_on(const struct scene *scene, const char *branch, const char *key)
{
    strata_txn *txn = auto_on(scene, branch);
    const char *value = get(txn, key);
    strata_txn_close(txn);
    return value;
}

static void a_fork_starts_as_its_parent_and_goes_its_own_way(void **state)
{
    struct scene *scene = *state;
    put(scene->txn, "a", "1");
    put(scene->txn, "b", "1");
    strata_txn *open = begin(scene);
    put(open, "c", "1");
    fork_at(scene, strata_head("main"), "child");
    expect_ok(strata_txn_commit(open, NULL));
    strata_txn_close(open);
    strata_txn *child = auto_on(scene, "child");
    assert_string_equal(keys_of(child, NULL, NULL), "a b ");
    put(child, "a", "2");
    expect_ok(strata_kv_delete(child, NULL, strata_text("b")));
    put(scene->txn, "a", "3");
    assert_string_equal(get(child, "a"), "2");
    assert_string_equal(get(scene->txn, "a"), "3");
    assert_string_equal(keys_of(child, NULL, NULL), "a ");
    assert_string_equal(keys_of(scene->txn, NULL, NULL), "a b c ");
    expect_ok(strata_compact(scene->db, NULL));
    assert_string_equal(keys_of(child, NULL, NULL), "a ");
    assert_string_equal(keys_of(scene->txn, NULL, NULL), "a b c ");
    strata_txn_close(child);
}

static void a_fork_can_start_in_the_past(void **state)
{
    struct scene *scene = *state;
    static const char *const values[] = {"1", "2", "3"};
    for (int i = 0; i < 3; i++) {
        put(scene->txn, "a", values[i]);
        scene_pass(scene, 10);
    }
    fork_at(scene, strata_at_version("main", 2), "two");
    fork_at(scene, strata_at_time("main", SCENE_START_US + 9), "one");
    fork_at(scene, strata_at_time("main", SCENE_START_US - 1), "none");
    fork_at(scene, strata_at_version("two", 1), "of-two");
    assert_string_equal(get_on(scene, "two", "a"), "2");
    assert_string_equal(get_on(scene, "one", "a"), "1");
    assert_null(get_on(scene, "none", "a"));
    assert_string_equal(get_on(scene, "of-two", "a"), "1");
    expect(strata_branch_fork(scene->db, strata_at_version("main", 99), "x", NULL),
           STRATA_HISTORY_UNAVAILABLE);
    expect(strata_branch_fork(scene->db, strata_head("none-such"), "x", NULL), STRATA_NOT_FOUND);
    expect(strata_branch_fork(scene->db, strata_at_tag("tag"), "x", NULL), STRATA_NOT_FOUND);
    expect(strata_branch_fork(scene->db, strata_head("main"), "two", NULL), STRATA_EXISTS);
    expect(strata_branch_fork(scene->db, strata_head("main"), "main", NULL), STRATA_EXISTS);
}

static void lines_of_many_forks_read_right(void **state)
{
    struct scene *scene = *state;
    enum { DEPTH = 64 };
    char name[16] = "main", child[16], key[16];
    for (int i = 0; i < DEPTH; i++) {
        strata_txn *txn = auto_on(scene, name);
        snprintf(key, sizeof(key), "k%02d", i);
        put(txn, key, name);
        put(txn, "shared", name);
        strata_txn_close(txn);
        snprintf(child, sizeof(child), "b%02d", i);
        fork_at(scene, strata_head(name), child);
        memcpy(name, child, sizeof(name));
        if (i % 20 == 10)
            expect_ok(strata_checkpoint(scene->db));
    }
    for (int round = 0; round < 2; round++) {
        strata_txn *txn = auto_on(scene, name);
        uint64_t count = 0;
        strata_cursor *cursor = NULL;
        strata_row row;
        expect_ok(strata_kv_count(txn, NULL, NULL, &count));
        assert_int_equal(count, DEPTH + 1);
        assert_string_equal(get(txn, "shared"), "b62");
        assert_string_equal(get(txn, "k00"), "main");
        assert_string_equal(get(txn, "k63"), "b62");
        expect_ok(strata_kv_history(txn, NULL, strata_text("shared"), &cursor));
        for (int i = 0; i < DEPTH; i++)
            expect_ok(strata_kv_next(cursor, &row));
        expect(strata_kv_next(cursor, &row), STRATA_DONE);
        strata_cursor_close(cursor);
        strata_txn_close(txn);
        assert_string_equal(get_on(scene, "b10", "shared"), "b10");
        expect_ok(strata_compact(scene->db, NULL));
    }
}

static void a_branch_is_empty_before_its_creation(void **state)
{
    struct scene *scene = *state;
    put(scene->txn, "a", "1");
    expect_ok(strata_branch_create(scene->db, "empty", NULL));
    strata_txn *txn = auto_on(scene, "empty");
    assert_string_equal(keys_of(txn, NULL, NULL), "");
    put(txn, "b", "1");
    strata_txn_close(txn);
    strata_txn *before = snapshot(scene, strata_at_version("empty", 1));
    assert_string_equal(keys_of(before, NULL, NULL), "");
    strata_txn_close(before);
    before = snapshot(scene, strata_at_time("empty", 1));
    assert_string_equal(keys_of(before, NULL, NULL), "");
    strata_txn_close(before);
    fork_at(scene, strata_head("empty"), "child");
    before = snapshot(scene, strata_at_version("child", 2));
    assert_string_equal(keys_of(before, NULL, NULL), "");
    strata_txn_close(before);
}

static void a_deleted_branch_is_gone_but_not_for_its_readers(void **state)
{
    struct scene *scene = *state;
    strata_value value = {0};
    put(scene->txn, "a", "1");
    fork_at(scene, strata_head("main"), "parent");
    strata_txn *parent = auto_on(scene, "parent");
    put(parent, "b", "2");
    fork_at(scene, strata_head("parent"), "child");
    strata_txn *still = snapshot(scene, strata_head("parent"));
    strata_txn *writing = NULL;
    strata_cursor *cursor = NULL;
    strata_row row;
    expect_ok(strata_txn_begin(scene->db, "parent", NULL, &writing));
    put(writing, "c", "3");
    expect_ok(strata_kv_scan(parent, NULL, NULL, &cursor));
    expect_ok(strata_branch_delete(scene->db, "parent"));
    expect(strata_branch_delete(scene->db, "parent"), STRATA_NOT_FOUND);
    expect(strata_kv_get(parent, NULL, strata_text("a"), &value), STRATA_NOT_FOUND);
    expect(strata_kv_put(parent, NULL, strata_text("a"), strata_text("x")), STRATA_NOT_FOUND);
    expect(strata_kv_delete(parent, NULL, strata_text("a")), STRATA_NOT_FOUND);
    expect(strata_kv_increment(parent, NULL, strata_text("n"), 1, NULL), STRATA_NOT_FOUND);
    expect(strata_kv_put_many(parent, NULL, &(strata_kv_write){.key = strata_text("a")}, 1),
           STRATA_NOT_FOUND);
    expect(strata_txn_renew(parent), STRATA_NOT_FOUND);
    expect(strata_txn_auto(scene->db, "parent", &(strata_txn *){NULL}), STRATA_NOT_FOUND);
    expect(strata_txn_commit(writing, NULL), STRATA_CONFLICT);
    expect(strata_txn_renew(writing), STRATA_NOT_FOUND);
    expect_ok(strata_compact(scene->db, NULL));
    assert_string_equal(keys_of(still, NULL, NULL), "a b ");
    assert_string_equal(get_on(scene, "child", "b"), "2");
    expect(strata_kv_next(cursor, &row), STRATA_CLOSED);
    strata_cursor_close(cursor);
    strata_txn_close(parent);
    strata_txn_close(still);
    strata_txn_close(writing);
    /* The name is free at once. */
    expect_ok(strata_branch_create(scene->db, "parent", NULL));
    assert_null(get_on(scene, "parent", "a"));
    assert_string_equal(get_on(scene, "child", "b"), "2");
}

static void handles_follow_a_renamed_branch(void **state)
{
    struct scene *scene = *state;
    fork_at(scene, strata_head("main"), "old");
    strata_txn *txn = auto_on(scene, "old");
    expect_ok(strata_branch_rename(scene->db, "old", "new"));
    put(txn, "a", "1");
    assert_string_equal(get_on(scene, "new", "a"), "1");
    expect(strata_txn_auto(scene->db, "old", &(strata_txn *){NULL}), STRATA_NOT_FOUND);
    expect(strata_branch_rename(scene->db, "old", "x"), STRATA_NOT_FOUND);
    expect(strata_branch_rename(scene->db, "new", "main"), STRATA_EXISTS);
    expect_ok(strata_branch_rename(scene->db, "new", "new"));
    expect_ok(strata_branch_rename(scene->db, "main", "trunk"));
    assert_string_equal(get_on(scene, "new", "a"), "1");
    expect_ok(strata_branch_rename(scene->db, "new", "main"));
    strata_txn_close(txn);
}

static void branches_are_listed_by_name(void **state)
{
    struct scene *scene = *state;
    strata_cursor *cursor = NULL;
    strata_branch_info info;
    put(scene->txn, "a", "1");
    scene_pass(scene, 10);
    fork_at(scene, strata_head("main"), "x/two");
    fork_at(scene, strata_head("x/two"), "x/one");
    fork_at(scene, strata_head("x/two"), "aaa");
    strata_txn *txn = auto_on(scene, "x/one");
    put(txn, "b", "1");
    strata_txn_close(txn);
    static const struct {
        const char *name, *parent;
        uint64_t fork, head;
    } wanted[] = {{"aaa", "x/two", 1, 1},
                  {"main", NULL, 0, 1},
                  {"x/one", "x/two", 1, 5},
                  {"x/two", "main", 1, 1}};
    expect_ok(strata_branch_list(scene->db, NULL, &cursor));
    for (int i = 0; i < 4; i++) {
        expect_ok(strata_branch_next(cursor, &info));
        assert_string_equal(info.name, wanted[i].name);
        assert_int_equal(info.parent != NULL, wanted[i].parent != NULL);
        if (info.parent != NULL)
            assert_string_equal(info.parent, wanted[i].parent);
        assert_int_equal(info.fork_version, wanted[i].fork);
        assert_int_equal(info.head_version, wanted[i].head);
        assert_int_equal(info.floor_version, 0);
    }
    expect(strata_branch_next(cursor, &info), STRATA_DONE);
    expect(strata_branch_next(cursor, &info), STRATA_DONE);
    strata_cursor_close(cursor);
    expect_ok(strata_branch_delete(scene->db, "x/two"));
    expect_ok(strata_branch_list(scene->db, "x/", &cursor));
    expect_ok(strata_branch_next(cursor, &info));
    assert_string_equal(info.name, "x/one");
    assert_null(info.parent);
    assert_int_equal(info.created_us, SCENE_START_US + 10);
    expect(strata_branch_next(cursor, &info), STRATA_DONE);
    strata_cursor_close(cursor);
}

static void the_log_shows_commits_through_the_ancestors(void **state)
{
    struct scene *scene = *state;
    const strata_branch_options forked = {.size = sizeof(forked), .message = "try it"};
    const strata_txn_options said = {.size = sizeof(said), .message = "two keys"};
    strata_cursor *cursor = NULL;
    strata_log_entry entry;
    put(scene->txn, "a", "1");
    scene_pass(scene, 10);
    expect_ok(strata_branch_fork(scene->db, strata_head("main"), "child", &forked));
    put(scene->txn, "a", "not the child's");
    strata_txn *txn = NULL;
    expect_ok(strata_txn_begin(scene->db, "child", &said, &txn));
    put(txn, "b", "1");
    put(txn, "c", "1");
    expect_ok(strata_txn_commit(txn, NULL));
    strata_txn_close(txn);
    static const struct {
        uint64_t version, rows;
        const char *branch, *message;
    } wanted[] = {{4, 2, "child", "two keys"}, {2, 0, "child", "try it"}, {1, 1, "main", NULL}};
    for (int round = 0; round < 2; round++) {
        expect_ok(strata_log_open(scene->db, strata_head("child"), &cursor));
        for (int i = 0; i < 3; i++) {
            expect_ok(strata_log_next(cursor, &entry));
            assert_int_equal(entry.version, wanted[i].version);
            if (wanted[i].rows > 0)
                assert_int_equal(entry.rows, wanted[i].rows);
            assert_string_equal(entry.branch, wanted[i].branch);
            assert_int_equal(entry.message != NULL, wanted[i].message != NULL);
            if (entry.message != NULL)
                assert_string_equal(entry.message, wanted[i].message);
            assert_null(entry.name);
            assert_null(entry.metadata.data);
            assert_int_equal(entry.merged_version, 0);
        }
        expect(strata_log_next(cursor, &entry), STRATA_DONE);
        expect(strata_log_next(cursor, &entry), STRATA_DONE);
        strata_cursor_close(cursor);
        expect_ok(strata_log_open(scene->db, strata_at_version("child", 3), &cursor));
        expect_ok(strata_log_next(cursor, &entry));
        assert_int_equal(entry.version, 2);
        strata_cursor_close(cursor);
        expect_ok(strata_checkpoint(scene->db));
    }
    expect_ok(strata_log_open(scene->db, strata_at_time("child", SCENE_START_US), &cursor));
    expect_ok(strata_log_next(cursor, &entry));
    assert_int_equal(entry.version, 1);
    assert_int_equal(entry.time_us, SCENE_START_US);
    strata_cursor_close(cursor);
}

static void resolve(struct scene *scene, strata_point point, uint64_t version, int64_t time_us)
{
    strata_point found = strata_head(NULL);
    expect_ok(strata_point_resolve(scene->db, point, &found));
    assert_int_equal(found.version, version);
    assert_int_equal(found.time_us, time_us);
    assert_ptr_equal(found.branch, point.branch);
    assert_null(found.tag);
}

static void a_point_means_the_last_commit_at_or_before_it(void **state)
{
    struct scene *scene = *state;
    const int64_t start = SCENE_START_US;
    resolve(scene, strata_head("main"), 0, 0);
    resolve(scene, strata_head(NULL), 0, 0);
    put(scene->txn, "a", "1");
    put(scene->txn, "a", "2"); /* At the same time. */
    scene_pass(scene, 10);
    fork_at(scene, strata_head("main"), "child");
    scene_pass(scene, 10);
    put(scene->txn, "a", "4");
    resolve(scene, strata_head("main"), 4, start + 20);
    resolve(scene, strata_head(NULL), 4, start + 20);
    resolve(scene, strata_at_version("main", 3), 2, start);
    resolve(scene, strata_at_version("main", 2), 2, start);
    resolve(scene, strata_at_version("main", 1), 1, start);
    resolve(scene, strata_at_time("main", start), 2, start);
    resolve(scene, strata_at_time("main", start + 19), 2, start);
    resolve(scene, strata_at_time("main", start + 20), 4, start + 20);
    resolve(scene, strata_at_time("main", INT64_MAX), 4, start + 20);
    resolve(scene, strata_at_time("main", start - 1), 0, 0);
    resolve(scene, strata_at_time("main", -5), 0, 0);
    resolve(scene, strata_at_version("child", 2), 2, start);
    resolve(scene, strata_head("child"), 3, start + 10);
    strata_point point = strata_at_version("main", 5);
    expect(strata_point_resolve(scene->db, point, &point), STRATA_HISTORY_UNAVAILABLE);
    expect(strata_point_resolve(scene->db, strata_head("x"), &point), STRATA_NOT_FOUND);
    expect(strata_point_resolve(scene->db, strata_at_tag("x"), &point), STRATA_NOT_FOUND);
    point.time_us = 1;
    expect_invalid(strata_point_resolve(scene->db, point, &point), "more than one");
    point = strata_at_tag("x");
    point.version = 1;
    expect_invalid(strata_point_resolve(scene->db, point, &point), "more than one");
    point = strata_at_tag("x");
    point.branch = "main";
    expect_invalid(strata_point_resolve(scene->db, point, &point), "both");
}

static void snapshots_are_taken_at_points(void **state)
{
    struct scene *scene = *state;
    put(scene->txn, "a", "1");
    scene_pass(scene, 10);
    put(scene->txn, "a", "2");
    strata_txn *txn = snapshot(scene, strata_at_version("main", 1));
    assert_string_equal(get(txn, "a"), "1");
    assert_int_equal(strata_txn_version(txn), 1);
    strata_txn_close(txn);
    txn = snapshot(scene, strata_at_time(NULL, SCENE_START_US + 9));
    assert_string_equal(get(txn, "a"), "1");
    assert_int_equal(strata_txn_version(txn), 1);
    expect_ok(strata_txn_renew(txn));
    assert_string_equal(get(txn, "a"), "1");
    strata_txn_close(txn);
    expect(strata_txn_snapshot(scene->db, strata_at_version("main", 3), &txn),
           STRATA_HISTORY_UNAVAILABLE);
}

#define SCENE_TEST(name) cmocka_unit_test_setup_teardown(name, scene_set_up, scene_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(a_fork_starts_as_its_parent_and_goes_its_own_way),
        SCENE_TEST(a_fork_can_start_in_the_past),
        SCENE_TEST(lines_of_many_forks_read_right),
        SCENE_TEST(a_branch_is_empty_before_its_creation),
        SCENE_TEST(a_deleted_branch_is_gone_but_not_for_its_readers),
        SCENE_TEST(handles_follow_a_renamed_branch),
        SCENE_TEST(branches_are_listed_by_name),
        SCENE_TEST(the_log_shows_commits_through_the_ancestors),
        SCENE_TEST(a_point_means_the_last_commit_at_or_before_it),
        SCENE_TEST(snapshots_are_taken_at_points),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
