/* Values in pieces: of every size, with conditions, dropped and failing, and larger than memory. */
#include "api/scene.h"

#include <stdlib.h>

static const strata_bytes K = {"key", 3};

static strata_status write_pieces(strata_txn *txn, const unsigned char *bytes, size_t size,
                                  size_t piece, const strata_kv_put_options *options)
{
    strata_kv_writer *writer = NULL;
    expect_ok(strata_kv_write_open(txn, NULL, K, options, &writer));
    for (size_t at = 0; at < size; at += piece)
        expect_ok(strata_kv_write_append(
            writer, strata_view(bytes + at, size - at < piece ? size - at : piece)));
    return strata_kv_write_close(writer, 1);
}

static void check_value(strata_txn *txn, const unsigned char *bytes, size_t size)
{
    unsigned char *read = malloc(size + 1);
    strata_buffer buffer = {.data = read, .capacity = size + 1};
    expect_ok(strata_kv_copy(txn, NULL, K, 0, &buffer));
    assert_int_equal(buffer.size, size);
    assert_int_equal(buffer.total, size);
    assert_memory_equal(read, bytes, size);
    free(read);
}

static void pieces_become_one_value(void **state)
{
    struct scene *scene = *state;
    enum { SIZE_MAX_USED = 400000 };
    static const size_t sizes[] = {0, 1, 256, 65535, 65536, 65537, 131072, 400000};
    static const size_t pieces[] = {1000, 65536, 65537, 400000};
    unsigned char *bytes = malloc(SIZE_MAX_USED);
    for (unsigned i = 0; i < 8 * 4; i++) {
        const size_t size = sizes[i % 8], piece = pieces[i / 8];
        fill_bytes(bytes, size, i);
        expect_ok(write_pieces(scene->txn, bytes, size, piece, NULL));
        assert_int_equal(strata_txn_version(scene->txn), i + 1);
        check_value(scene->txn, bytes, size);
    }
    free(bytes);
}

static void a_transaction_holds_what_its_writers_wrote(void **state)
{
    struct scene *scene = *state;
    enum { SIZE = 100000 };
    unsigned char *bytes = malloc(SIZE);
    uint32_t mark = 0;
    fill_bytes(bytes, SIZE, 1);
    strata_txn *txn = begin(scene);
    expect_ok(write_pieces(txn, bytes, SIZE, 7000, NULL));
    check_value(txn, bytes, SIZE);
    assert_string_equal(keys_of(scene->txn, NULL, NULL), "");
    expect_ok(strata_txn_mark(txn, &mark));
    expect_ok(strata_kv_put(txn, NULL, K, strata_text("short")));
    expect_ok(strata_txn_undo(txn, mark));
    check_value(txn, bytes, SIZE);
    expect_ok(strata_txn_commit(txn, NULL));
    strata_txn_close(txn);
    check_value(scene->txn, bytes, SIZE);
    scene_reopen(scene);
    check_value(scene->txn, bytes, SIZE);
    strata_error_message();
    expect_ok(strata_check(scene->db, NULL, NULL, NULL));
    free(bytes);
}

static void what_is_dropped_leaves_nothing(void **state)
{
    struct scene *scene = *state;
    enum { SIZE = 100000 };
    unsigned char *bytes = malloc(SIZE);
    strata_kv_writer *writer = NULL;
    strata_metric removed;
    fill_bytes(bytes, SIZE, 1);
    for (int i = 0; i < 3; i++) {
        strata_txn *txn = begin(scene);
        expect_ok(strata_kv_write_open(i == 0 ? scene->txn : txn, NULL, K, NULL, &writer));
        expect_ok(strata_kv_write_append(writer, strata_view(bytes, SIZE)));
        if (i == 0)
            expect_ok(strata_kv_write_close(writer, 0));
        if (i == 1) {
            expect_ok(strata_kv_write_close(writer, 1));
        }
        if (i == 2) {
            strata_txn_reset(txn);
            expect(strata_kv_write_append(writer, strata_text("x")), STRATA_CLOSED);
            expect(strata_kv_write_close(writer, 1), STRATA_CLOSED);
        }
        strata_txn_close(txn);
        expect(strata_kv_exists(scene->txn, NULL, K), STRATA_NOT_FOUND);
    }
    while (strata_maintain(scene->db, 1000000, NULL) == STRATA_OK)
        continue;
    expect_ok(strata_metric_find(scene->db, "objects.removed", &removed));
    assert_true(removed.value >= 3);
    expect_ok(strata_kv_write_close(NULL, 1));
    free(bytes);
}

static void the_condition_is_judged_at_close(void **state)
{
    struct scene *scene = *state;
    enum { SIZE = 100000 };
    unsigned char *bytes = malloc(SIZE);
    strata_kv_writer *writer = NULL;
    fill_bytes(bytes, SIZE, 1);
    strata_kv_put_options options = {.size = sizeof(options), .condition = STRATA_IF_ABSENT};
    expect_ok(strata_kv_write_open(scene->txn, NULL, K, &options, &writer));
    expect_ok(strata_kv_write_append(writer, strata_view(bytes, SIZE)));
    expect_ok(strata_kv_put(scene->txn, NULL, K, strata_text("first")));
    expect(strata_kv_write_close(writer, 1), STRATA_CONFLICT);
    assert_string_equal(get(scene->txn, "key"), "first");
    /* What it wrote goes, though another long value is committed before that. */
    strata_metric removed;
    expect_ok(strata_kv_put(scene->txn, NULL, strata_text("long"), strata_view(bytes, SIZE)));
    while (strata_maintain(scene->db, 1000000, NULL) == STRATA_OK)
        continue;
    expect_ok(strata_metric_find(scene->db, "objects.removed", &removed));
    assert_true(removed.value == 1);
    char expected[] = "first";
    options.condition = STRATA_IF_VALUE;
    options.expected_value = strata_text(expected);
    options.ttl_us = 1000;
    expect_ok(strata_kv_write_open(scene->txn, NULL, K, &options, &writer));
    expected[0] = 'x'; /* It was copied. */
    expect_ok(strata_kv_write_append(writer, strata_view(bytes, SIZE)));
    expect_ok(strata_kv_write_close(writer, 1));
    check_value(scene->txn, bytes, SIZE);
    scene_pass(scene, 1000);
    expect(strata_kv_exists(scene->txn, NULL, K), STRATA_NOT_FOUND);
    options.remove = 1;
    options.ttl_us = 0;
    expect_invalid(strata_kv_write_open(scene->txn, NULL, K, &options, &writer), "remove");
    free(bytes);
}

static void a_failed_append_fails_the_close(void **state)
{
    struct scene *scene = *state;
    enum { SIZE = 300000 };
    unsigned char *bytes = malloc(SIZE);
    strata_kv_writer *writer = NULL;
    fill_bytes(bytes, SIZE, 1);
    expect_ok(strata_kv_write_open(scene->txn, NULL, K, NULL, &writer));
    scene->heap.fail_at = scene->heap.requests + 1;
    scene->heap.fail_from_then_on = 1;
    expect(strata_kv_write_append(writer, strata_view(bytes, SIZE)), STRATA_NO_MEMORY);
    scene->heap.fail_at = 0;
    expect(strata_kv_write_append(writer, strata_view(bytes, 1)), STRATA_NO_MEMORY);
    expect(strata_kv_write_close(writer, 1), STRATA_NO_MEMORY);
    expect(strata_kv_exists(scene->txn, NULL, K), STRATA_NOT_FOUND);
    free(bytes);
}

/* More than the whole budget goes in and comes out again, and the heap never exceeds the budget. */
static void a_value_larger_than_memory_streams(void **state)
{
    struct scene *scene = *state;
    enum { PIECE = 1 << 20, PIECES = 256, STEP = 1 << 14 };
    unsigned char *bytes = malloc(PIECE), *read = malloc(PIECE);
    strata_kv_writer *writer = NULL;
    expect_ok(strata_kv_write_open(scene->txn, NULL, K, NULL, &writer));
    for (unsigned i = 0; i < PIECES; i++) {
        fill_bytes(bytes, PIECE, i);
        for (unsigned at = 0; at < PIECE; at += STEP)
            expect_ok(strata_kv_write_append(writer, strata_view(bytes + at, STEP)));
    }
    expect_ok(strata_kv_write_close(writer, 1));
    for (unsigned i = 0; i < PIECES; i++) {
        strata_buffer buffer = {.data = read, .capacity = PIECE};
        fill_bytes(bytes, PIECE, i);
        expect_ok(strata_kv_copy(scene->txn, NULL, K, (uint64_t)i * PIECE, &buffer));
        assert_int_equal(buffer.size, PIECE);
        assert_int_equal(buffer.total, (uint64_t)PIECES * PIECE);
        assert_memory_equal(read, bytes, PIECE);
    }
    strata_value value = {0};
    expect(strata_kv_get(scene->txn, NULL, K, &value), STRATA_TOO_BIG);
    expect_ok(strata_compact(scene->db, NULL));
    assert_true(scene->heap.bytes_peak <= 1 << 20);
    free(bytes);
    free(read);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(pieces_become_one_value, scene_set_up, scene_tear_down),
        cmocka_unit_test_setup_teardown(a_transaction_holds_what_its_writers_wrote,
                                        scene_set_up_folder, scene_tear_down),
        cmocka_unit_test_setup_teardown(what_is_dropped_leaves_nothing, scene_set_up_folder,
                                        scene_tear_down),
        cmocka_unit_test_setup_teardown(the_condition_is_judged_at_close, scene_set_up,
                                        scene_tear_down),
        cmocka_unit_test_setup_teardown(a_failed_append_fails_the_close, scene_set_up,
                                        scene_tear_down),
        cmocka_unit_test_setup_teardown(a_value_larger_than_memory_streams,
                                        scene_set_up_small_folder, scene_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
