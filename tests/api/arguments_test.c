/* Every public call with what it does not take: NULL, nothing, too much, the wrong kind, what is over,
 * and from the child of a fork. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "api/scene.h"

#include <sys/wait.h>
#include <unistd.h>

static const strata_bytes K = {"key", 3};
static const strata_bytes NONE = {NULL, 0};
static const strata_bytes NOWHERE = {NULL, 1};

static void null_handles_are_refused(void **state)
{
    (void)state;
    strata *db = NULL;
    strata_txn *txn = NULL;
    strata_cursor *cursor = NULL;
    strata_space *space = NULL;
    strata_value value = {0};
    strata_buffer buffer = {0};
    strata_point point = strata_head(NULL);
    strata_kv_writer *writer = NULL;
    uint64_t number = 0;
    strata_metric metric;
    strata_footprint footprint = {.size = sizeof(footprint)};
    expect_invalid(strata_point_resolve(NULL, point, &point), "db");
    expect_invalid(strata_txn_auto(NULL, "main", &txn), "db");
    expect_invalid(strata_txn_begin(NULL, "main", NULL, &txn), "db");
    expect_invalid(strata_txn_snapshot(NULL, point, &txn), "db");
    expect_invalid(strata_txn_commit(NULL, NULL), "txn");
    expect_invalid(strata_txn_renew(NULL), "txn");
    expect_invalid(strata_txn_mark(NULL, &(uint32_t){0}), "txn");
    expect_invalid(strata_txn_undo(NULL, 0), "txn");
    expect_invalid(strata_space_open(NULL, "x", &space), "db");
    expect_invalid(strata_space_delete(NULL, NULL), "txn");
    expect_invalid(strata_cursor_seek(NULL, K), "cursor");
    expect_invalid(strata_cursor_keep(NULL, &value), "cursor");
    expect_invalid(strata_space_list(NULL, &cursor), "txn");
    expect_invalid(strata_name_next(NULL, &(const char *){NULL}), "cursor");
    expect_invalid(strata_kv_get(NULL, NULL, K, &value), "txn");
    expect_invalid(strata_kv_copy(NULL, NULL, K, 0, &buffer), "txn");
    expect_invalid(strata_kv_get_many(NULL, NULL, &K, 1, &value), "txn");
    expect_invalid(strata_kv_exists(NULL, NULL, K), "txn");
    expect_invalid(strata_kv_getv(NULL, NULL, K, 0, &value), "txn");
    expect_invalid(strata_kv_put(NULL, NULL, K, K), "txn");
    expect_invalid(strata_kv_delete(NULL, NULL, K), "txn");
    expect_invalid(strata_kv_put_with(NULL, NULL, K, K, NULL), "txn");
    expect_invalid(strata_kv_put_many(NULL, NULL, NULL, 0), "txn");
    expect_invalid(strata_kv_write_open(NULL, NULL, K, NULL, &writer), "txn");
    expect_invalid(strata_kv_write_append(NULL, K), "writer");
    expect_invalid(strata_kv_increment(NULL, NULL, K, 1, NULL), "txn");
    expect_invalid(strata_kv_scan(NULL, NULL, NULL, &cursor), "txn");
    expect_invalid(strata_kv_history(NULL, NULL, K, &cursor), "txn");
    expect_invalid(strata_kv_next(NULL, &(strata_row){.version = 0}), "cursor");
    expect_invalid(strata_kv_count(NULL, NULL, NULL, &number), "txn");
    expect_invalid(strata_branch_fork(NULL, point, "x", NULL), "db");
    expect_invalid(strata_branch_create(NULL, "x", NULL), "db");
    expect_invalid(strata_branch_delete(NULL, "x"), "db");
    expect_invalid(strata_branch_rename(NULL, "x", "y"), "db");
    expect_invalid(strata_branch_list(NULL, NULL, &cursor), "db");
    expect_invalid(strata_branch_next(NULL, &(strata_branch_info){0}), "cursor");
    expect_invalid(strata_log_open(NULL, point, &cursor), "db");
    expect_invalid(strata_log_next(NULL, &(strata_log_entry){0}), "cursor");
    expect_invalid(strata_sync(NULL), "db");
    expect_invalid(strata_wait_durable(NULL, 1, 0), "db");
    expect_invalid(strata_maintain(NULL, 0, NULL), "db");
    expect_invalid(strata_checkpoint(NULL), "db");
    expect_invalid(strata_compact(NULL, NULL), "db");
    expect_invalid(strata_check(NULL, NULL, NULL, NULL), "db");
    expect_invalid(strata_metric_get(NULL, 0, &metric), "db");
    expect_invalid(strata_metric_find(NULL, "x", &metric), "db");
    expect_invalid(strata_footprint_get(NULL, &footprint), "db");
    expect_invalid(strata_open(NULL, NULL, &db), "path");
    expect_invalid(strata_open("", NULL, &db), "path");
    expect_invalid(strata_open(":memory:", NULL, NULL), "out");
    expect_invalid(strata_point_parse(NULL, (char[256]){0}, &point), "text");
    expect_invalid(strata_point_parse("main", NULL, &point), "name");
    expect_invalid(strata_point_parse("main", (char[256]){0}, NULL), "out");
    /* These are fine. */
    expect_ok(strata_close(NULL));
    expect_ok(strata_kv_write_close(NULL, 1));
    strata_txn_reset(NULL);
    strata_txn_close(NULL);
    strata_space_close(NULL);
    strata_cursor_close(NULL);
    strata_value_release(NULL);
    assert_int_equal(strata_txn_version(NULL), 0);
    uint64_t visible = 7, durable = 7;
    strata_watermarks(NULL, &visible, &durable);
    assert_int_equal(visible + durable, 0);
}

static void null_results_are_refused(void **state)
{
    struct scene *scene = *state;
    strata_cursor *cursor = NULL;
    put(scene->txn, "key", "value");
    expect_invalid(strata_open_report(scene->db, NULL), "out");
    expect_invalid(strata_open_report(scene->db, &(strata_report){.size = 8}), "size");
    expect_invalid(strata_point_resolve(scene->db, strata_head(NULL), NULL), "out");
    expect_invalid(strata_txn_auto(scene->db, "main", NULL), "out");
    expect_invalid(strata_txn_begin(scene->db, "main", NULL, NULL), "out");
    expect_invalid(strata_txn_snapshot(scene->db, strata_head(NULL), NULL), "out");
    expect_invalid(strata_space_open(scene->db, "x", NULL), "out");
    expect_invalid(strata_space_list(scene->txn, NULL), "out");
    expect_invalid(strata_kv_get(scene->txn, NULL, K, NULL), "out");
    expect_invalid(strata_kv_getv(scene->txn, NULL, K, 0, NULL), "out");
    expect_invalid(strata_kv_copy(scene->txn, NULL, K, 0, NULL), "out");
    expect_invalid(strata_kv_copy(scene->txn, NULL, K, 0, &(strata_buffer){.capacity = 1}), "out");
    expect_invalid(strata_kv_get_many(scene->txn, NULL, &K, 1, NULL), "values");
    expect_invalid(strata_kv_get_many(scene->txn, NULL, NULL, 1, &(strata_value){0}), "keys");
    expect_invalid(strata_kv_scan(scene->txn, NULL, NULL, NULL), "out");
    expect_invalid(strata_kv_history(scene->txn, NULL, K, NULL), "out");
    expect_invalid(strata_kv_count(scene->txn, NULL, NULL, NULL), "out");
    expect_invalid(strata_kv_write_open(scene->txn, NULL, K, NULL, NULL), "out");
    expect_invalid(strata_kv_put_many(scene->txn, NULL, NULL, 1), "writes");
    expect_invalid(strata_branch_list(scene->db, NULL, NULL), "out");
    expect_invalid(strata_log_open(scene->db, strata_head(NULL), NULL), "out");
    expect_invalid(strata_metric_get(scene->db, 0, NULL), "out");
    expect_invalid(strata_metric_find(scene->db, "commit.count", NULL), "out");
    expect_invalid(strata_metric_find(scene->db, NULL, &(strata_metric){0}), "name");
    expect_invalid(strata_footprint_get(scene->db, NULL), "out");
    expect_invalid(strata_footprint_get(scene->db, &(strata_footprint){.size = 4}), "size");
    expect_ok(strata_kv_scan(scene->txn, NULL, NULL, &cursor));
    expect_invalid(strata_kv_next(cursor, NULL), "out");
    expect_invalid(strata_cursor_keep(cursor, NULL), "out");
    strata_cursor_close(cursor);
    strata_txn *txn = begin(scene);
    expect_invalid(strata_txn_mark(txn, NULL), "out");
    strata_txn_close(txn);
    /* The size of the caller's struct is what counts. */
    struct {
        strata_footprint footprint;
        uint64_t more;
    } newer = {.footprint = {.size = sizeof(newer)}, .more = 7};
    expect_ok(strata_footprint_get(scene->db, &newer.footprint));
    assert_int_equal(newer.footprint.size, sizeof(newer));
    assert_int_equal(newer.more, 0);
}

static void keys_and_values_have_limits(void **state)
{
    struct scene *scene = *state;
    static const char bytes[16385];
    const strata_bytes bad[] = {NONE, NOWHERE, {bytes, 0}, {bytes, sizeof(bytes)}};
    for (int i = 0; i < 4; i++) {
        const strata_status wanted = i == 3 ? STRATA_TOO_BIG : STRATA_INVALID;
        const strata_kv_write write = {.key = bad[i]};
        strata_value value = {0};
        strata_buffer buffer = {0};
        strata_cursor *cursor = NULL;
        strata_kv_writer *writer = NULL;
        expect(strata_kv_get(scene->txn, NULL, bad[i], &value), wanted);
        expect(strata_kv_getv(scene->txn, NULL, bad[i], 0, &value), wanted);
        expect(strata_kv_copy(scene->txn, NULL, bad[i], 0, &buffer), wanted);
        expect(strata_kv_get_many(scene->txn, NULL, &bad[i], 1, &value), wanted);
        expect(strata_kv_exists(scene->txn, NULL, bad[i]), wanted);
        expect(strata_kv_put(scene->txn, NULL, bad[i], K), wanted);
        expect(strata_kv_put_with(scene->txn, NULL, bad[i], K, NULL), wanted);
        expect(strata_kv_put_many(scene->txn, NULL, &write, 1), wanted);
        expect(strata_kv_delete(scene->txn, NULL, bad[i]), wanted);
        expect(strata_kv_increment(scene->txn, NULL, bad[i], 1, NULL), wanted);
        expect(strata_kv_history(scene->txn, NULL, bad[i], &cursor), wanted);
        expect(strata_kv_write_open(scene->txn, NULL, bad[i], NULL, &writer), wanted);
        expect_ok(strata_kv_scan(scene->txn, NULL, NULL, &cursor));
        expect(strata_cursor_seek(cursor, bad[i]), wanted);
        strata_cursor_close(cursor);
    }
    expect_invalid(strata_kv_put(scene->txn, NULL, K, NOWHERE), "value");
    expect(strata_kv_put(scene->txn, NULL, K, strata_view(bytes, ((size_t)1 << 30) + 1)),
           STRATA_TOO_BIG);
    strata_kv_writer *writer = NULL;
    expect_ok(strata_kv_write_open(scene->txn, NULL, K, NULL, &writer));
    expect_invalid(strata_kv_write_append(writer, NOWHERE), "piece");
    expect_ok(strata_kv_write_append(writer, NONE));
    expect(strata_kv_write_append(writer, strata_view(bytes, ((size_t)1 << 30) + 1)),
           STRATA_TOO_BIG);
    expect(strata_kv_write_close(writer, 1), STRATA_TOO_BIG);
    expect(strata_kv_exists(scene->txn, NULL, K), STRATA_NOT_FOUND);
}

static void names_are_checked(void **state)
{
    struct scene *scene = *state;
    char longest[300];
    memset(longest, 'n', sizeof(longest));
    longest[256] = '\0';
    static const struct {
        const char *name, *said;
    } bad[] = {
        {NULL, "NULL"},           {"", "empty"},
        {"-x", "dash"},           {"a@b", "byte 2"},
        {"a\nb", "byte 2"},       {"\x7f", "byte 1"},
        {"a\x80", "byte 2"},      {"\xc0\x80", "byte 1"},
        {"\xc1\xbf", "byte 1"},   {"\xed\xa0\x80", "byte 1"},
        {"\xe0\x80\x80", "byte"}, {"\xf0\x80\x80\x80", "byte"},
        {"\xf4\x90\x80\x80", ""}, {"\xf8\x88\x80\x80\x80", "byte 1"},
        {"\xc3", "byte 1"},       {"\xe2\x82", "byte 1"},
        {"\xc2\x85", "byte 1"},
    };
    strata_txn *txn = NULL;
    strata_space *space = NULL;
    strata_cursor *cursor = NULL;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const char *name = bad[i].name, *said = bad[i].said;
        expect_invalid(strata_txn_auto(scene->db, name, &txn), said);
        expect_invalid(strata_txn_begin(scene->db, name, NULL, &txn), said);
        expect_invalid(strata_space_open(scene->db, name, &space), said);
        expect_invalid(strata_branch_create(scene->db, name, NULL), said);
        expect_invalid(strata_branch_delete(scene->db, name), said);
        expect_invalid(strata_branch_rename(scene->db, name, "x"), said);
        expect_invalid(strata_branch_rename(scene->db, "main", name), said);
        expect_invalid(strata_branch_fork(scene->db, strata_head("main"), name, NULL), said);
        if (name != NULL) {
            expect_invalid(strata_branch_fork(scene->db, strata_head(name), "x", NULL), said);
            expect_invalid(strata_txn_snapshot(scene->db, strata_head(name), &txn), said);
            expect_invalid(strata_log_open(scene->db, strata_head(name), &cursor), said);
        }
        if (name != NULL && name[0] != '\0')
            expect_invalid(strata_branch_list(scene->db, name, &cursor), said);
    }
    expect(strata_branch_create(scene->db, longest, NULL), STRATA_TOO_BIG);
    expect(strata_space_open(scene->db, longest, &space), STRATA_TOO_BIG);
    longest[255] = '\0';
    expect_ok(strata_branch_create(scene->db, longest, NULL));
    expect_ok(strata_space_open(scene->db, longest, &space));
    assert_string_equal(strata_space_name(space), longest);
    static const char *const good[] = {
        "a-b", "\xc3\xa9t\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x8c\xb3", "a b", "~!#$%^&*()"};
    for (int i = 0; i < 6; i++) {
        expect_ok(strata_branch_create(scene->db, good[i], NULL));
        expect_ok(strata_txn_auto(scene->db, good[i], &txn));
        strata_txn_close(txn);
    }
}

static void cursors_are_read_by_their_own_calls(void **state)
{
    struct scene *scene = *state;
    strata_cursor *cursors[5] = {NULL};
    expect_ok(strata_kv_scan(scene->txn, NULL, NULL, &cursors[0]));
    expect_ok(strata_kv_history(scene->txn, NULL, K, &cursors[1]));
    expect_ok(strata_space_list(scene->txn, &cursors[2]));
    expect_ok(strata_branch_list(scene->db, NULL, &cursors[3]));
    expect_ok(strata_log_open(scene->db, strata_head(NULL), &cursors[4]));
    for (int i = 0; i < 5; i++) {
        strata_row row;
        strata_branch_info info;
        strata_log_entry entry;
        strata_value value = {0};
        const char *name;
        if (i > 1)
            expect_invalid(strata_kv_next(cursors[i], &row), "kind");
        if (i > 0)
            expect_invalid(strata_cursor_seek(cursors[i], K), "kind");
        if (i > 1)
            expect_invalid(strata_cursor_keep(cursors[i], &value), "kind");
        if (i != 2)
            expect_invalid(strata_name_next(cursors[i], &name), "kind");
        if (i != 3)
            expect_invalid(strata_branch_next(cursors[i], &info), "kind");
        if (i != 4)
            expect_invalid(strata_log_next(cursors[i], &entry), "kind");
    }
    expect_invalid(strata_name_next(cursors[2], NULL), "out");
    expect_invalid(strata_branch_next(cursors[3], NULL), "out");
    expect_invalid(strata_log_next(cursors[4], NULL), "out");
    for (int i = 0; i < 5; i++)
        strata_cursor_close(cursors[i]);
}

static void a_space_of_another_database_is_refused(void **state)
{
    struct scene *scene = *state, other;
    strata_space *space = NULL;
    strata_value value = {0};
    scene_open(&other, false, 0);
    expect_ok(strata_space_open(other.db, "x", &space));
    expect_invalid(strata_kv_get(scene->txn, space, K, &value), "another database");
    expect_invalid(strata_kv_put(scene->txn, space, K, K), "another database");
    scene_close(&other);
}

/* Exits with the number of the first call that did not give STRATA_CLOSED. */
static int use_in_child(struct scene *scene, strata_txn *txn, strata_cursor *cursor,
                        strata_kv_writer *writer, strata_value *value)
{
    strata_row row;
    strata_value other = {0};
    strata_txn *opened = NULL;
    const strata_status statuses[] = {
        strata_kv_get(txn, NULL, K, &other),
        strata_kv_put(txn, NULL, K, K),
        strata_txn_commit(txn, NULL),
        strata_txn_renew(txn),
        strata_kv_next(cursor, &row),
        strata_kv_write_append(writer, K),
        strata_kv_write_close(writer, 1),
        strata_txn_auto(scene->db, "main", &opened),
        strata_sync(scene->db),
        strata_close(scene->db),
    };
    strata_value_release(value);
    strata_cursor_close(cursor);
    strata_txn_reset(txn);
    strata_txn_close(txn);
    for (int i = 0; i < (int)(sizeof(statuses) / sizeof(statuses[0])); i++) {
        if (statuses[i] != STRATA_CLOSED)
            return i + 1;
    }
    return 0;
}

static void the_child_of_a_fork_gets_closed(void **state)
{
    struct scene *scene = *state;
    static const char bytes[1000];
    strata_cursor *cursor = NULL;
    strata_kv_writer *writer = NULL;
    strata_value value = {0};
    int how = -1;
    expect_ok(strata_kv_put(scene->txn, NULL, K, strata_view(bytes, sizeof(bytes))));
    strata_txn *txn = begin(scene);
    expect_ok(strata_kv_scan(txn, NULL, NULL, &cursor));
    expect_ok(strata_kv_write_open(txn, NULL, K, NULL, &writer));
    expect_ok(strata_kv_get(txn, NULL, K, &value));
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(use_in_child(scene, txn, cursor, writer, &value));
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFEXITED(how));
    assert_int_equal(WEXITSTATUS(how), 0);
    strata_value_release(&value);
    expect_ok(strata_kv_write_close(writer, 0));
    strata_cursor_close(cursor);
    strata_txn_close(txn);
}

#define SCENE_TEST(name) cmocka_unit_test_setup_teardown(name, scene_set_up, scene_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(null_handles_are_refused),
        SCENE_TEST(null_results_are_refused),
        SCENE_TEST(keys_and_values_have_limits),
        SCENE_TEST(names_are_checked),
        SCENE_TEST(cursors_are_read_by_their_own_calls),
        SCENE_TEST(a_space_of_another_database_is_refused),
        SCENE_TEST(the_child_of_a_fork_gets_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
