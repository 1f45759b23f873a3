#include "core/arena.h"
#include "support.h"

#include <string.h>

enum { CHUNK = 1024, PIECES = 500 };

static void pieces_are_aligned_and_keep_their_content(void **state)
{
    (void)state;
    struct test_heap counted;
    const strata_allocator allocator = test_heap_init(&counted);
    struct arena arena;
    arena_init(&arena, &allocator, CHUNK);
    uint8_t *pieces[PIECES];
    for (size_t i = 0; i < PIECES; i++) {
        pieces[i] = arena_take(&arena, i % 97 + 1);
        assert_non_null(pieces[i]);
        assert_int_equal((uintptr_t)pieces[i] % 8, 0);
        memset(pieces[i], (int)(i % 251), i % 97 + 1);
    }
    for (size_t i = 0; i < PIECES; i++) {
        for (size_t j = 0; j < i % 97 + 1; j++)
            assert_int_equal(pieces[i][j], i % 251);
    }
    assert_int_equal(arena.total_bytes, counted.bytes);
    arena_release(&arena);
    test_heap_assert_empty(&counted);
}

static void a_large_piece_gets_a_chunk_of_its_own(void **state)
{
    (void)state;
    struct test_heap counted;
    const strata_allocator allocator = test_heap_init(&counted);
    struct arena arena;
    arena_init(&arena, &allocator, CHUNK);
    uint8_t *before = arena_take(&arena, 16);
    uint8_t *large = arena_take(&arena, 100 * CHUNK);
    uint8_t *after = arena_take(&arena, 16);
    assert_non_null(large);
    memset(large, 1, (size_t)100 * CHUNK);
    /* The ordinary chunk is still the one in use. */
    assert_ptr_equal(after, before + 16);
    assert_int_equal(counted.blocks, 2);
    arena_release(&arena);
    test_heap_assert_empty(&counted);
}

static void a_large_piece_may_come_first(void **state)
{
    (void)state;
    struct test_heap counted;
    const strata_allocator allocator = test_heap_init(&counted);
    struct arena arena;
    arena_init(&arena, &allocator, CHUNK);
    assert_non_null(arena_take(&arena, 2 * CHUNK));
    assert_non_null(arena_take(&arena, 8));
    assert_non_null(arena_take(&arena, 2 * CHUNK));
    assert_int_equal(counted.bytes, arena.total_bytes);
    arena_release(&arena);
    test_heap_assert_empty(&counted);
}

static void a_piece_of_no_bytes_is_not_null(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, &heap, CHUNK);
    assert_non_null(arena_take(&arena, 0));
    arena_release(&arena);
}

static void no_memory_gives_null_and_changes_nothing(void **state)
{
    (void)state;
    struct test_heap counted;
    for (uint64_t fail_at = 1; fail_at <= 20; fail_at++) {
        const strata_allocator allocator = test_heap_init(&counted);
        counted.fail_at = fail_at;
        struct arena arena;
        arena_init(&arena, &allocator, CHUNK);
        int refused = 0;
        for (size_t i = 0; i < 100; i++) {
            const size_t bytes = arena.total_bytes;
            const void *piece = arena_take(&arena, i % 10 == 9 ? 2 * CHUNK : 100);
            refused += piece == NULL;
            assert_true(piece != NULL || arena.total_bytes == bytes);
        }
        assert_int_equal(refused, 1);
        assert_int_equal(arena.total_bytes, counted.bytes);
        arena_release(&arena);
        test_heap_assert_empty(&counted);
    }
}

static void a_size_beyond_all_memory_is_refused(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, &no_heap, CHUNK);
    assert_null(arena_take(&arena, SIZE_MAX));
    assert_null(arena_take(&arena, SIZE_MAX - 20));
    assert_null(arena_take(&arena, SIZE_MAX - 24));
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_aligned_and_keep_their_content),
        cmocka_unit_test(a_large_piece_gets_a_chunk_of_its_own),
        cmocka_unit_test(a_large_piece_may_come_first),
        cmocka_unit_test(a_piece_of_no_bytes_is_not_null),
        cmocka_unit_test(no_memory_gives_null_and_changes_nothing),
        cmocka_unit_test(a_size_beyond_all_memory_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
