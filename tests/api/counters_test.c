/* Counters: alone, in transactions, blind and read. */
#include "api/scene.h"

static const strata_bytes N = {"n", 1};

/* What the counter "n" shows; fails if it is none. */
static int64_t counted(strata_txn *txn)
{
    strata_value value = {0};
    expect_ok(strata_kv_get(txn, NULL, N, &value));
    assert_int_equal(value.size, 8);
    assert_int_equal(value.flags, STRATA_ROW_COUNTER);
    int64_t number;
    memcpy(&number, value.data, sizeof(number));
    return number;
}

static int64_t counted_by_scan(strata_txn *txn)
{
    strata_cursor *cursor = NULL;
    strata_row row;
    int64_t number;
    expect_ok(strata_kv_scan(txn, NULL, NULL, &cursor));
    expect_ok(strata_kv_next(cursor, &row));
    assert_int_equal(row.value.size, 8);
    assert_int_equal(row.flags, STRATA_ROW_COUNTER);
    memcpy(&number, row.value.data, sizeof(number));
    expect(strata_kv_next(cursor, &row), STRATA_DONE);
    strata_cursor_close(cursor);
    return number;
}

static int64_t add(strata_txn *txn, int64_t delta)
{
    int64_t sum = 0;
    expect_ok(strata_kv_increment(txn, NULL, N, delta, &sum));
    return sum;
}

static void add_blindly(strata_txn *txn, int64_t delta)
{
    expect_ok(strata_kv_increment(txn, NULL, N, delta, NULL));
}

static void a_counter_adds_up(void **state)
{
    struct scene *scene = *state;
    add_blindly(scene->txn, 5);
    assert_int_equal(add(scene->txn, -7), -2);
    add_blindly(scene->txn, 10);
    assert_int_equal(counted(scene->txn), 8);
    expect_ok(strata_checkpoint(scene->db));
    add_blindly(scene->txn, 1);
    assert_int_equal(counted(scene->txn), 9);
    assert_int_equal(add(scene->txn, 0), 9);
    expect_ok(strata_kv_delete(scene->txn, NULL, N));
    add_blindly(scene->txn, 3);
    assert_int_equal(counted(scene->txn), 3);
}

static void what_is_no_counter_is_a_mismatch(void **state)
{
    struct scene *scene = *state;
    int64_t sum = 77;
    put(scene->txn, "n", "12345678");
    expect(strata_kv_increment(scene->txn, NULL, N, 1, NULL), STRATA_MISMATCH);
    expect(strata_kv_increment(scene->txn, NULL, N, 1, &sum), STRATA_MISMATCH);
    strata_txn *txn = begin(scene);
    expect(strata_kv_increment(txn, NULL, N, 1, NULL), STRATA_MISMATCH);
    expect(strata_kv_increment(txn, NULL, N, 1, &sum), STRATA_MISMATCH);
    expect_ok(strata_kv_delete(txn, NULL, N));
    add_blindly(txn, 4);
    assert_int_equal(counted(txn), 4);
    put(txn, "n", "plain");
    expect(strata_kv_increment(txn, NULL, N, 1, NULL), STRATA_MISMATCH);
    strata_txn_close(txn);
    assert_int_equal(sum, 77);
    /* A put makes it plain bytes again. */
    expect_ok(strata_kv_delete(scene->txn, NULL, N));
    add_blindly(scene->txn, 1);
    put(scene->txn, "n", "plain");
    assert_string_equal(get(scene->txn, "n"), "plain");
}

static void an_overflow_is_refused(void **state)
{
    struct scene *scene = *state;
    int64_t sum = 0;
    add_blindly(scene->txn, INT64_MAX - 1);
    expect(strata_kv_increment(scene->txn, NULL, N, 2, NULL), STRATA_INVALID);
    expect(strata_kv_increment(scene->txn, NULL, N, 2, &sum), STRATA_INVALID);
    assert_int_equal(add(scene->txn, 1), INT64_MAX);
    strata_txn *txn = begin(scene);
    expect(strata_kv_increment(txn, NULL, N, 1, NULL), STRATA_INVALID);
    add_blindly(txn, -1);
    add_blindly(txn, 1);
    expect(strata_kv_increment(txn, NULL, N, 1, &sum), STRATA_INVALID);
    assert_true(counted(txn) == INT64_MAX);
    expect_ok(strata_txn_commit(txn, NULL));
    strata_txn_close(txn);
    expect_ok(strata_kv_delete(scene->txn, NULL, N));
    add_blindly(scene->txn, INT64_MIN);
    expect(strata_kv_increment(scene->txn, NULL, N, -1, NULL), STRATA_INVALID);
    assert_true(counted(scene->txn) == INT64_MIN);
}

static void a_transaction_sees_its_own_sums(void **state)
{
    struct scene *scene = *state;
    uint32_t mark = 0;
    add_blindly(scene->txn, 100);
    strata_txn *txn = begin(scene);
    add_blindly(txn, 1);
    assert_int_equal(counted(txn), 101);
    assert_int_equal(counted_by_scan(txn), 101);
    add_blindly(txn, 2);
    assert_int_equal(counted(txn), 103);
    expect_ok(strata_txn_mark(txn, &mark));
    assert_int_equal(add(txn, 4), 107);
    add_blindly(txn, 8);
    assert_int_equal(counted(txn), 115);
    expect_ok(strata_txn_undo(txn, mark));
    assert_int_equal(counted(txn), 103);
    strata_value value = {0};
    expect_ok(strata_kv_getv(txn, NULL, N, 0, &value));
    strata_buffer buffer = {.data = &(int64_t){0}, .capacity = 8};
    expect_ok(strata_kv_copy(txn, NULL, N, 0, &buffer));
    assert_memory_equal(buffer.data, value.data, 8);
    strata_cursor *cursor = NULL;
    strata_row row;
    expect_ok(strata_kv_history(txn, NULL, N, &cursor));
    expect_ok(strata_kv_next(cursor, &row));
    assert_memory_equal(buffer.data, row.value.data, 8);
    strata_cursor_close(cursor);
    expect_ok(strata_txn_commit(txn, NULL));
    assert_int_equal(counted(scene->txn), 103);
    strata_txn_close(txn);
}

static void blind_additions_do_not_conflict(void **state)
{
    struct scene *scene = *state;
    strata_txn *txn = begin(scene), *other = begin(scene), *reading = begin(scene);
    add_blindly(txn, 1);
    add_blindly(txn, 10);
    add_blindly(other, 100);
    assert_int_equal(add(reading, 1000), 1000);
    expect_ok(strata_txn_commit(txn, NULL));
    expect_ok(strata_txn_commit(other, NULL));
    expect(strata_txn_commit(reading, NULL), STRATA_CONFLICT);
    assert_int_equal(counted(scene->txn), 111);
    strata_txn_close(txn);
    strata_txn_close(other);
    strata_txn_close(reading);
}

static void an_addition_after_an_own_write_counts_from_it(void **state)
{
    struct scene *scene = *state;
    add_blindly(scene->txn, 50);
    strata_txn *txn = begin(scene);
    expect_ok(strata_kv_delete(txn, NULL, N));
    add_blindly(txn, 1);
    add_blindly(txn, 2);
    assert_int_equal(counted(txn), 3);
    expect_ok(strata_txn_commit(txn, NULL));
    assert_int_equal(counted(scene->txn), 3);

    expect_ok(strata_txn_renew(txn));
    assert_int_equal(add(txn, 5), 8);
    add_blindly(txn, 2);
    assert_int_equal(counted(txn), 10);
    expect_ok(strata_txn_commit(txn, NULL));
    assert_int_equal(counted(scene->txn), 10);

    expect_ok(strata_txn_renew(txn));
    expect_ok(strata_space_delete(txn, NULL));
    add_blindly(txn, 7);
    assert_int_equal(counted(txn), 7);
    expect_ok(strata_txn_commit(txn, NULL));
    assert_int_equal(counted(scene->txn), 7);
    strata_txn_close(txn);
}

static void a_counter_starts_over_after_its_space_was_deleted(void **state)
{
    struct scene *scene = *state;
    add_blindly(scene->txn, 50);
    expect_ok(strata_space_delete(scene->txn, NULL));
    add_blindly(scene->txn, 1);
    assert_int_equal(counted(scene->txn), 1);
    expect_ok(strata_space_delete(scene->txn, NULL));
    strata_txn *txn = begin(scene);
    add_blindly(txn, 2);
    assert_int_equal(counted(txn), 2);
    expect_ok(strata_txn_commit(txn, NULL));
    strata_txn_close(txn);
    assert_int_equal(counted(scene->txn), 2);
}

static void a_branch_counts_on_from_its_parent(void **state)
{
    struct scene *scene = *state;
    strata_txn *child = NULL;
    add_blindly(scene->txn, 50);
    expect_ok(strata_branch_fork(scene->db, strata_head("main"), "child", NULL));
    expect_ok(strata_txn_auto(scene->db, "child", &child));
    add_blindly(scene->txn, 1);
    add_blindly(child, 10);
    assert_int_equal(add(child, 1), 61);
    assert_int_equal(counted(scene->txn), 51);
    strata_txn_close(child);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_counter_adds_up, scene_set_up, scene_tear_down),
        cmocka_unit_test_setup_teardown(what_is_no_counter_is_a_mismatch, scene_set_up,
                                        scene_tear_down),
        cmocka_unit_test_setup_teardown(an_overflow_is_refused, scene_set_up, scene_tear_down),
        cmocka_unit_test_setup_teardown(a_transaction_sees_its_own_sums, scene_set_up,
                                        scene_tear_down),
        cmocka_unit_test_setup_teardown(blind_additions_do_not_conflict, scene_set_up,
                                        scene_tear_down),
        cmocka_unit_test_setup_teardown(an_addition_after_an_own_write_counts_from_it, scene_set_up,
                                        scene_tear_down),
        cmocka_unit_test_setup_teardown(a_counter_starts_over_after_its_space_was_deleted,
                                        scene_set_up, scene_tear_down),
        cmocka_unit_test_setup_teardown(a_branch_counts_on_from_its_parent, scene_set_up,
                                        scene_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
