/* Transactions of the three kinds: isolation, conflicts, marks, renewing, and how they end. */
#include "api/scene.h"

#include <stdio.h>

static void writes_are_seen_by_their_transaction_until_the_commit(void **state)
{
    struct scene *scene = *state;
    strata_commit commit = {0, 0};
    put(scene->txn, "a", "1");
    strata_txn *txn = begin(scene);
    put(txn, "a", "2");
    put(txn, "b", "2");
    assert_string_equal(get(txn, "a"), "2");
    assert_string_equal(keys_of(txn, NULL, NULL), "a b ");
    assert_string_equal(get(scene->txn, "a"), "1");
    assert_null(get(scene->txn, "b"));
    strata_value value = {0};
    expect_ok(strata_kv_get(txn, NULL, strata_text("b"), &value));
    assert_int_equal(value.version, 0);
    scene_pass(scene, 5);
    expect_ok(strata_txn_commit(txn, &commit));
    assert_int_equal(commit.version, 2);
    assert_int_equal(commit.time_us, SCENE_START_US + 5);
    assert_string_equal(get(scene->txn, "b"), "2");
    /* It has ended. */
    expect(strata_kv_get(txn, NULL, strata_text("b"), &value), STRATA_CLOSED);
    expect(strata_kv_put(txn, NULL, strata_text("b"), strata_text("v")), STRATA_CLOSED);
    expect(strata_txn_commit(txn, &commit), STRATA_CLOSED);
    strata_txn_close(txn);
}

static void a_transaction_sees_one_moment(void **state)
{
    struct scene *scene = *state;
    put(scene->txn, "a", "1");
    strata_txn *txn = begin(scene), *still = snapshot(scene, strata_head("main"));
    put(scene->txn, "a", "2");
    put(scene->txn, "b", "2");
    assert_string_equal(get(txn, "a"), "1");
    assert_string_equal(keys_of(txn, NULL, NULL), "a ");
    assert_int_equal(strata_txn_version(txn), 1);
    assert_int_equal(strata_txn_version(still), 1);
    expect_ok(strata_txn_renew(txn));
    assert_string_equal(get(txn, "a"), "2");
    assert_int_equal(strata_txn_version(txn), 3);
    assert_string_equal(get(still, "a"), "1");
    expect_ok(strata_txn_renew(still));
    assert_string_equal(get(still, "a"), "2");
    strata_txn_close(still);
    strata_txn_close(txn);
}

static void the_first_committer_wins(void **state)
{
    struct scene *scene = *state;
    strata_error error = {.size = sizeof(error)};
    strata_txn *first = begin(scene), *second = begin(scene), *third = begin(scene);
    put(first, "a", "1");
    put(second, "a", "2");
    put(third, "b", "3");
    expect_ok(strata_txn_commit(first, NULL));
    expect(strata_txn_commit(second, NULL), STRATA_CONFLICT);
    strata_error_detail(&error);
    assert_int_equal(error.status, STRATA_CONFLICT);
    assert_int_equal(error.retry, STRATA_RETRY_NOW);
    assert_int_equal(error.outcome, STRATA_NOT_COMMITTED);
    expect_ok(strata_txn_commit(third, NULL));
    assert_string_equal(get(scene->txn, "a"), "1");
    expect(strata_kv_exists(second, NULL, strata_text("a")), STRATA_CLOSED);
    expect_ok(strata_txn_renew(second));
    put(second, "a", "2");
    expect_ok(strata_txn_commit(second, NULL));
    assert_string_equal(get(scene->txn, "a"), "2");
    strata_txn_close(first);
    strata_txn_close(second);
    strata_txn_close(third);
}

static void a_deletion_and_a_flush_conflict_as_well(void **state)
{
    struct scene *scene = *state;
    put(scene->txn, "a", "1");
    strata_txn *txn = begin(scene);
    put(txn, "a", "2");
    expect_ok(strata_kv_delete(scene->txn, NULL, strata_text("a")));
    expect_ok(strata_checkpoint(scene->db));
    expect_ok(strata_compact(scene->db, NULL));
    expect(strata_txn_commit(txn, NULL), STRATA_CONFLICT);
    strata_txn_close(txn);
}

/* A merge has moved the deletion to history, where the only trace of it is. */
static void a_deletion_conflicts_with_that_of_the_whole_space(void **state)
{
    struct scene *scene = *state;
    put(scene->txn, "a", "1");
    put(scene->txn, "b", "1");
    strata_txn *txn = begin(scene);
    expect_ok(strata_space_delete(txn, NULL));
    expect_ok(strata_kv_delete(scene->txn, NULL, strata_text("a")));
    expect_ok(strata_checkpoint(scene->db));
    expect_ok(strata_compact(scene->db, NULL));
    expect(strata_txn_commit(txn, NULL), STRATA_CONFLICT);
    expect_ok(strata_txn_renew(txn));
    expect_ok(strata_space_delete(txn, NULL));
    expect_ok(strata_txn_commit(txn, NULL));
    strata_txn_close(txn);
}

static void an_auto_write_never_conflicts(void **state)
{
    struct scene *scene = *state;
    strata_txn *other = NULL;
    expect_ok(strata_txn_auto(scene->db, "main", &other));
    for (int i = 0; i < 10; i++) {
        put(scene->txn, "a", "1");
        put(other, "a", "2");
    }
    assert_int_equal(strata_txn_version(other), 20);
    assert_int_equal(strata_txn_version(scene->txn), 19);
    strata_txn_close(other);
}

static void a_commit_without_writes_makes_no_version(void **state)
{
    struct scene *scene = *state;
    strata_commit commit = {9, 9};
    strata_txn *txn = begin(scene);
    expect_ok(strata_txn_commit(txn, &commit));
    assert_int_equal(commit.version, 0);
    expect_ok(strata_txn_renew(txn));
    expect_ok(strata_txn_commit(txn, NULL));
    strata_txn_close(txn);
}

static void marks_nest(void **state)
{
    struct scene *scene = *state;
    uint32_t first = 0, second = 0, third = 0;
    strata_txn *txn = begin(scene);
    expect_ok(strata_txn_mark(txn, &first));
    put(txn, "a", "1");
    expect_ok(strata_txn_mark(txn, &second));
    put(txn, "a", "2");
    put(txn, "b", "2");
    expect_ok(strata_txn_mark(txn, &third));
    expect_ok(strata_kv_delete(txn, NULL, strata_text("a")));
    assert_string_equal(keys_of(txn, NULL, NULL), "b ");
    expect_ok(strata_txn_undo(txn, third));
    assert_string_equal(get(txn, "a"), "2");
    expect_ok(strata_txn_undo(txn, second));
    assert_string_equal(keys_of(txn, NULL, NULL), "a ");
    assert_string_equal(get(txn, "a"), "1");
    expect_invalid(strata_txn_undo(txn, third), "mark");
    put(txn, "c", "3");
    expect_ok(strata_txn_undo(txn, second));
    assert_string_equal(keys_of(txn, NULL, NULL), "a ");
    expect_ok(strata_txn_undo(txn, first));
    assert_string_equal(keys_of(txn, NULL, NULL), "");
    put(txn, "d", "4");
    expect_ok(strata_txn_commit(txn, NULL));
    assert_string_equal(keys_of(scene->txn, NULL, NULL), "d ");
    expect_ok(strata_txn_renew(txn));
    expect_invalid(strata_txn_undo(txn, first), "mark");
    strata_txn_close(txn);
}

static void marks_are_for_write_transactions(void **state)
{
    struct scene *scene = *state;
    uint32_t mark = 0;
    strata_txn *still = snapshot(scene, strata_head("main"));
    expect_invalid(strata_txn_mark(scene->txn, &mark), "strata_txn_begin");
    expect_invalid(strata_txn_undo(scene->txn, 0), "strata_txn_begin");
    expect_invalid(strata_txn_mark(still, &mark), "strata_txn_begin");
    expect_invalid(strata_txn_commit(scene->txn, NULL), "strata_txn_begin");
    expect_invalid(strata_txn_commit(still, NULL), "strata_txn_begin");
    strata_txn_close(still);
}

static void a_snapshot_takes_no_writes(void **state)
{
    struct scene *scene = *state;
    const strata_bytes key = strata_text("a");
    const strata_kv_write write = {.key = key};
    strata_kv_writer *writer = NULL;
    strata_txn *still = snapshot(scene, strata_head("main"));
    expect(strata_kv_put(still, NULL, key, key), STRATA_READ_ONLY);
    expect(strata_kv_delete(still, NULL, key), STRATA_READ_ONLY);
    expect(strata_kv_put_with(still, NULL, key, key, NULL), STRATA_READ_ONLY);
    expect(strata_kv_put_many(still, NULL, &write, 1), STRATA_READ_ONLY);
    expect(strata_kv_increment(still, NULL, key, 1, NULL), STRATA_READ_ONLY);
    expect(strata_kv_write_open(still, NULL, key, NULL, &writer), STRATA_READ_ONLY);
    expect(strata_space_delete(still, NULL), STRATA_READ_ONLY);
    strata_txn_close(still);
}

static void a_reset_transaction_waits_for_its_renewal(void **state)
{
    struct scene *scene = *state;
    put(scene->txn, "a", "1");
    strata_txn *txn = begin(scene), *still = snapshot(scene, strata_head("main"));
    strata_txn *fixed = snapshot(scene, strata_at_version("main", 1));
    put(txn, "a", "2");
    strata_txn_reset(txn);
    strata_txn_reset(still);
    strata_txn_reset(fixed);
    strata_value value = {0};
    expect(strata_kv_get(txn, NULL, strata_text("a"), &value), STRATA_CLOSED);
    expect(strata_kv_get(still, NULL, strata_text("a"), &value), STRATA_CLOSED);
    put(scene->txn, "a", "3");
    strata_footprint footprint = {.size = sizeof(footprint)};
    expect_ok(strata_footprint_get(scene->db, &footprint));
    assert_int_equal(footprint.oldest_reader_version, 0);
    expect_ok(strata_txn_renew(txn));
    expect_ok(strata_txn_renew(still));
    expect_ok(strata_txn_renew(fixed));
    assert_string_equal(get(txn, "a"), "3");
    assert_string_equal(get(still, "a"), "3");
    assert_string_equal(get(fixed, "a"), "1");
    expect_ok(strata_footprint_get(scene->db, &footprint));
    assert_int_equal(footprint.oldest_reader_version, 1);
    strata_txn_close(txn);
    strata_txn_close(still);
    strata_txn_close(fixed);
    strata_txn_reset(scene->txn);
    assert_string_equal(get(scene->txn, "a"), "3");
}

static void cursors_end_with_their_transaction(void **state)
{
    struct scene *scene = *state;
    strata_cursor *scan = NULL, *history = NULL, *unread = NULL;
    strata_row row;
    strata_value value = {0};
    put(scene->txn, "a", "1");
    for (int i = 0; i < 4; i++) {
        strata_txn *txn = i == 3 ? NULL : begin(scene);
        if (i == 3)
            expect_ok(strata_txn_auto(scene->db, "main", &txn));
        expect_ok(strata_kv_scan(txn, NULL, NULL, &scan));
        expect_ok(strata_kv_history(txn, NULL, strata_text("a"), &history));
        expect_ok(strata_kv_scan(txn, NULL, NULL, &unread));
        expect_ok(strata_kv_next(scan, &row));
        expect_ok(strata_kv_next(history, &row));
        if (i == 0)
            expect_ok(strata_txn_commit(txn, NULL));
        if (i == 1)
            expect_ok(strata_txn_renew(txn));
        if (i == 2)
            strata_txn_reset(txn);
        if (i == 3) {
            strata_txn_close(txn);
            txn = NULL;
        }
        expect(strata_kv_next(scan, &row), STRATA_CLOSED);
        expect(strata_kv_next(history, &row), STRATA_CLOSED);
        expect(strata_kv_next(unread, &row), STRATA_CLOSED);
        expect(strata_cursor_seek(scan, strata_text("a")), STRATA_CLOSED);
        expect(strata_cursor_keep(scan, &value), STRATA_CLOSED);
        strata_cursor_close(history);
        strata_txn_close(txn);
        strata_cursor_close(unread);
        strata_cursor_close(scan);
    }
}

static void a_cursor_sees_what_was_written_before_it(void **state)
{
    struct scene *scene = *state;
    strata_cursor *cursor = NULL;
    strata_row row;
    uint32_t mark = 0;
    put(scene->txn, "a", "1");
    put(scene->txn, "c", "1");
    strata_txn *txn = begin(scene);
    put(txn, "b", "1");
    expect_ok(strata_txn_mark(txn, &mark));
    put(txn, "d", "1");
    expect_ok(strata_kv_scan(txn, NULL, NULL, &cursor));
    put(txn, "bb", "2");
    put(txn, "c", "2");
    expect_ok(strata_kv_next(cursor, &row));
    expect_ok(strata_kv_delete(txn, NULL, strata_text("b")));
    expect_ok(strata_kv_next(cursor, &row));
    assert_memory_equal(row.key.data, "b", row.key.size);
    expect_ok(strata_kv_next(cursor, &row));
    assert_memory_equal(row.key.data, "c", row.key.size);
    assert_memory_equal(row.value.data, "1", row.value.size);
    expect_ok(strata_txn_undo(txn, mark));
    expect_ok(strata_kv_next(cursor, &row));
    assert_memory_equal(row.key.data, "d", row.key.size);
    expect(strata_kv_next(cursor, &row), STRATA_DONE);
    strata_cursor_close(cursor);
    assert_string_equal(keys_of(txn, NULL, NULL), "a b c ");
    strata_txn_close(txn);
}

static void deleting_while_scanning_is_safe(void **state)
{
    struct scene *scene = *state;
    strata_cursor *cursor = NULL;
    strata_row row;
    uint64_t count = 0, left = 1;
    char key[16];
    for (int i = 0; i < 500; i++) {
        snprintf(key, sizeof(key), "k%03d", i);
        put(scene->txn, key, "v");
    }
    expect_ok(strata_kv_scan(scene->txn, NULL, NULL, &cursor));
    strata_status status;
    while ((status = strata_kv_next(cursor, &row)) == STRATA_OK) {
        expect_ok(strata_kv_delete(scene->txn, NULL, row.key));
        if (++count % 100 == 0)
            expect_ok(strata_checkpoint(scene->db));
    }
    expect(status, STRATA_DONE);
    strata_cursor_close(cursor);
    assert_int_equal(count, 500);
    expect_ok(strata_kv_count(scene->txn, NULL, NULL, &left));
    assert_int_equal(left, 0);
}

static void a_snapshot_is_stable_across_flush_and_compact(void **state)
{
    struct scene *scene = *state;
    char key[16], value[16], wanted[2048] = "";
    for (int i = 0; i < 200; i++) {
        snprintf(key, sizeof(key), "k%03d", i);
        put(scene->txn, key, "old");
        snprintf(wanted + i * 5, 6, "k%03u ", (unsigned)i % 1000);
    }
    strata_txn *still = snapshot(scene, strata_head("main"));
    strata_cursor *cursor = NULL;
    strata_row row;
    expect_ok(strata_kv_scan(still, NULL, NULL, &cursor));
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 200; i++) {
            snprintf(key, sizeof(key), "k%03d", i + round * 10);
            snprintf(value, sizeof(value), "new%d", round);
            if (i % 5 == round)
                expect_ok(strata_kv_delete(scene->txn, NULL, strata_text(key)));
            else
                put(scene->txn, key, value);
        }
        for (int i = 0; i < 20; i++) {
            expect_ok(strata_kv_next(cursor, &row));
            assert_memory_equal(row.key.data, wanted + (round * 20 + i) * 5, 4);
            assert_memory_equal(row.value.data, "old", 3);
        }
        assert_string_equal(keys_of(still, NULL, NULL), wanted);
        expect_ok(round == 0 ? strata_checkpoint(scene->db) : strata_compact(scene->db, NULL));
        assert_string_equal(keys_of(still, NULL, NULL), wanted);
        assert_string_equal(get(still, "k000"), "old");
    }
    strata_cursor_close(cursor);
    strata_txn_close(still);
}

static void close_counts_what_is_open(void **state)
{
    struct scene *scene = *state;
    strata_cursor *cursor = NULL, *branches = NULL;
    strata_kv_writer *writer = NULL;
    strata_value value = {0};
    char bytes[1000] = "";
    expect_ok(strata_kv_put(scene->txn, NULL, strata_text("a"), strata_view(bytes, 1000)));
    strata_txn *txn = begin(scene);
    expect_ok(strata_kv_scan(txn, NULL, NULL, &cursor));
    expect_ok(strata_branch_list(scene->db, NULL, &branches));
    expect_ok(strata_kv_write_open(txn, NULL, strata_text("b"), NULL, &writer));
    expect_ok(strata_kv_get(txn, NULL, strata_text("a"), &value));
    expect(strata_close(scene->db), STRATA_BUSY);
    assert_string_equal(strata_error_message(),
                        "still open: transactions 2, cursors 2, writers 1, held values 1");
    strata_txn_close(txn);
    expect(strata_close(scene->db), STRATA_BUSY);
    assert_string_equal(strata_error_message(),
                        "still open: transactions 1, cursors 2, writers 1, held values 1");
    strata_cursor_close(cursor);
    strata_cursor_close(branches);
    expect_ok(strata_kv_write_close(writer, 0));
    expect(strata_close(scene->db), STRATA_BUSY);
    assert_int_equal(value.size, 1000);
    assert_memory_equal(value.data, bytes, 1000);
    strata_value_release(&value);
    assert_string_equal(keys_of(scene->txn, NULL, NULL), "a ");
}

static void messages_and_labels_are_valid_utf8(void **state)
{
    struct scene *scene = *state;
    static const char *const bad[] = {
        "\xff", "a\xc3", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "line\n\x80"};
    strata_txn *txn = NULL;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const strata_txn_options said = {.size = sizeof(said), .message = bad[i]};
        const strata_txn_options named = {.size = sizeof(named), .label = bad[i]};
        const strata_branch_options forked = {.size = sizeof(forked), .message = bad[i]};
        expect_invalid(strata_txn_begin(scene->db, "main", &said, &txn), "message");
        expect_invalid(strata_txn_begin(scene->db, "main", &named, &txn), "label");
        expect_invalid(strata_branch_fork(scene->db, strata_head("main"), "b", &forked), "message");
        expect_invalid(strata_branch_create(scene->db, "b", &forked), "message");
    }
    const strata_txn_options good = {.size = sizeof(good),
                                     .label = "thirty ASCII bytes, then two: \xc3\xa4",
                                     .message = "gr\xc3\xbc\xc3\x9f"
                                                "e\n\n\tand \xf0\x9f\x8c\xb3"};
    strata_footprint footprint = {.size = sizeof(footprint)};
    put(scene->txn, "a", "1");
    expect_ok(strata_txn_begin(scene->db, "main", &good, &txn));
    expect_ok(strata_footprint_get(scene->db, &footprint));
    assert_string_equal(footprint.oldest_reader_label, "thirty ASCII bytes, then two: ");
    strata_txn_close(txn);
}

static void the_oldest_reader_is_named(void **state)
{
    struct scene *scene = *state;
    const strata_txn_options options = {.size = sizeof(options),
                                        .label = "a label of more than thirty-one bytes"};
    strata_footprint footprint = {.size = sizeof(footprint)};
    strata_txn *txn = NULL;
    put(scene->txn, "a", "1");
    scene_pass(scene, 70);
    expect_ok(strata_txn_begin(scene->db, "main", &options, &txn));
    put(scene->txn, "a", "2");
    strata_txn *later = begin(scene);
    expect_ok(strata_footprint_get(scene->db, &footprint));
    assert_int_equal(footprint.oldest_reader_version, 1);
    assert_int_equal(footprint.oldest_reader_us, SCENE_START_US + 70);
    assert_string_equal(footprint.oldest_reader_label, "a label of more than thirty-one");
    scene_pass(scene, 5000000);
    expect_ok(strata_txn_renew(txn));
    strata_txn_close(later);
    expect_ok(strata_footprint_get(scene->db, &footprint));
    assert_int_equal(footprint.oldest_reader_version, 2);
    assert_int_equal(footprint.oldest_reader_us, SCENE_START_US + 5000070);
    strata_txn_close(txn);
    /* An auto handle reads nothing for long, but for its cursors. */
    strata_cursor *cursor = NULL;
    expect_ok(strata_footprint_get(scene->db, &footprint));
    assert_int_equal(footprint.oldest_reader_version, 0);
    expect_ok(strata_kv_scan(scene->txn, NULL, NULL, &cursor));
    put(scene->txn, "a", "3");
    expect_ok(strata_footprint_get(scene->db, &footprint));
    assert_int_equal(footprint.oldest_reader_version, 2);
    strata_cursor_close(cursor);
    expect_ok(strata_footprint_get(scene->db, &footprint));
    assert_int_equal(footprint.oldest_reader_version, 0);
}

static void renewing_allocates_nothing(void **state)
{
    struct scene *scene = *state;
    strata_value value = {0};
    put(scene->txn, "a", "1");
    strata_txn *txn = begin(scene), *still = snapshot(scene, strata_head("main"));
    expect_ok(strata_kv_get(scene->txn, NULL, strata_text("a"), &value));
    expect_ok(strata_kv_get(still, NULL, strata_text("a"), &value));
    const uint64_t requests = scene->heap.requests;
    for (int i = 0; i < 100; i++) {
        expect_ok(strata_txn_renew(txn));
        expect_ok(strata_txn_renew(still));
        expect_ok(strata_kv_get(scene->txn, NULL, strata_text("a"), &value));
        expect_ok(strata_kv_get(still, NULL, strata_text("a"), &value));
        expect_ok(strata_kv_exists(txn, NULL, strata_text("a")));
    }
    assert_int_equal(scene->heap.requests, requests);
    strata_txn_close(txn);
    strata_txn_close(still);
}

static void a_transaction_too_large_is_told_so(void **state)
{
    struct scene *scene = *state;
    static const char bytes[1000];
    char key[16];
    strata_status status = STRATA_OK;
    strata_txn *txn = begin(scene);
    for (int i = 0; i < 10000 && status == STRATA_OK; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        status = strata_kv_put(txn, NULL, strata_text(key), strata_view(bytes, 1000));
    }
    expect(status, STRATA_TOO_BIG);
    expect_ok(strata_txn_commit(txn, NULL));
    strata_txn_close(txn);
}

#define SCENE_TEST(name) cmocka_unit_test_setup_teardown(name, scene_set_up, scene_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(writes_are_seen_by_their_transaction_until_the_commit),
        SCENE_TEST(a_transaction_sees_one_moment),
        SCENE_TEST(the_first_committer_wins),
        SCENE_TEST(a_deletion_and_a_flush_conflict_as_well),
        SCENE_TEST(a_deletion_conflicts_with_that_of_the_whole_space),
        SCENE_TEST(an_auto_write_never_conflicts),
        SCENE_TEST(a_commit_without_writes_makes_no_version),
        SCENE_TEST(marks_nest),
        SCENE_TEST(marks_are_for_write_transactions),
        SCENE_TEST(a_snapshot_takes_no_writes),
        SCENE_TEST(a_reset_transaction_waits_for_its_renewal),
        SCENE_TEST(cursors_end_with_their_transaction),
        SCENE_TEST(a_cursor_sees_what_was_written_before_it),
        SCENE_TEST(deleting_while_scanning_is_safe),
        SCENE_TEST(a_snapshot_is_stable_across_flush_and_compact),
        SCENE_TEST(close_counts_what_is_open),
        SCENE_TEST(the_oldest_reader_is_named),
        SCENE_TEST(messages_and_labels_are_valid_utf8),
        SCENE_TEST(renewing_allocates_nothing),
        cmocka_unit_test_setup_teardown(a_transaction_too_large_is_told_so, scene_set_up_small,
                                        scene_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
