#include "core/memory.h"
#include "support.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

static void counts_are_the_sizes_asked_for(void **state)
{
    (void)state;
    struct memory memory;
    memory_init(&memory, NULL);
    void *small = allocate(&memory.allocator, 10);
    void *large = allocate(&memory.allocator, 1000);
    assert_int_equal(memory.live_bytes, 1010);
    release(&memory.allocator, large, 1000);
    assert_int_equal(memory.live_bytes, 10);
    assert_int_equal(memory.peak_bytes, 1010);

    small = memory.allocator.resize(memory.allocator.context, small, 10, 400);
    assert_int_equal(memory.live_bytes, 400);
    small = memory.allocator.resize(memory.allocator.context, small, 400, 4);
    assert_int_equal(memory.live_bytes, 4);
    release(&memory.allocator, small, 4);
    assert_int_equal(memory.live_bytes, 0);
    assert_int_equal(memory.peak_bytes, 1010);
}

static void every_byte_comes_from_the_base(void **state)
{
    (void)state;
    struct test_heap counted;
    const strata_allocator base = test_heap_init(&counted);
    struct memory memory;
    memory_init(&memory, &base);
    void *block = allocate(&memory.allocator, 123);
    assert_int_equal(counted.bytes, 123);
    assert_int_equal(counted.bytes, memory.live_bytes);
    release(&memory.allocator, block, 123);
    test_heap_assert_empty(&counted);
}

static void a_refused_request_counts_nothing(void **state)
{
    (void)state;
    struct test_heap counted;
    const strata_allocator base = test_heap_init(&counted);
    struct memory memory;
    memory_init(&memory, &base);
    void *block = allocate(&memory.allocator, 8);
    counted.fail_at = 2;
    counted.fail_from_then_on = 1;
    assert_null(allocate(&memory.allocator, 100));
    assert_null(allocate_zeroed(&memory.allocator, 100));
    assert_null(allocate_text(&memory.allocator, "text"));
    assert_null(memory.allocator.resize(memory.allocator.context, block, 8, 80));
    assert_int_equal(memory.live_bytes, 8);
    assert_int_equal(memory.peak_bytes, 8);
    release(&memory.allocator, block, 8);
    test_heap_assert_empty(&counted);
}

static void more_than_the_most_is_refused(void **state)
{
    (void)state;
    struct test_heap counted;
    const strata_allocator base = test_heap_init(&counted);
    struct memory memory;
    memory_init(&memory, &base);
    memory.live_bytes_max = 100;
    void *block = allocate(&memory.allocator, 90);
    assert_null(allocate(&memory.allocator, 11));
    assert_null(memory.allocator.resize(memory.allocator.context, block, 90, 101));
    assert_int_equal(memory.live_bytes, 90);
    assert_int_equal(memory.peak_bytes, 90);
    assert_int_equal(counted.bytes_peak, 90);
    block = memory.allocator.resize(memory.allocator.context, block, 90, 100);
    assert_non_null(block);
    block = memory.allocator.resize(memory.allocator.context, block, 100, 20);
    release(&memory.allocator, block, 20);
    test_heap_assert_empty(&counted);
}

static void mapped_blocks_keep_their_bytes_when_resized(void **state)
{
    (void)state;
    static const size_t sizes[] = {1000,    131071,  131072,  400000, 131073,
                                   2097151, 2097152, 4000000, 150000, 10};
    struct memory memory;
    memory_init(&memory, NULL);
    memory_map_large_blocks(&memory);
    uint8_t *block = NULL;
    size_t size = 0;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        const size_t kept = size < sizes[i] ? size : sizes[i];
        block = memory.allocator.resize(memory.allocator.context, block, size, sizes[i]);
        assert_non_null(block);
        for (size_t j = 0; j < kept; j += 997)
            assert_int_equal(block[j], (uint8_t)(j * 31));
        size = sizes[i];
        for (size_t j = 0; j < size; j += 997)
            block[j] = (uint8_t)(j * 31);
        assert_int_equal(memory.live_bytes, size);
    }
    release(&memory.allocator, block, size);
    assert_int_equal(memory.live_bytes, 0);
}

static size_t resident_bytes(void)
{
    unsigned long all = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL)
        return 0;
    assert_int_equal(fscanf(file, "%lu %lu", &all, &resident), 2);
    fclose(file);
    return resident * 4096;
}

/* As flushes and merges do: blocks that come and go between others that stay. */
static void mapped_blocks_are_gone_when_they_are_freed(void **state)
{
    (void)state;
    enum { BLOCKS = 40, LARGE = 200000, SMALL = 100 };
    struct memory memory;
    void *large[BLOCKS], *small[BLOCKS];
    memory_init(&memory, NULL);
    memory_map_large_blocks(&memory);
    const size_t before = resident_bytes();
    for (int i = 0; i < BLOCKS; i++) {
        large[i] = allocate(&memory.allocator, LARGE);
        memset(large[i], 1, LARGE);
        small[i] = allocate(&memory.allocator, SMALL);
    }
    for (int i = 0; i < BLOCKS; i++)
        release(&memory.allocator, large[i], LARGE);
    assert_true(resident_bytes() < before + (1 << 20));
    for (int i = 0; i < BLOCKS; i++)
        release(&memory.allocator, small[i], SMALL);
}

static void zeroed_memory_is_zero(void **state)
{
    (void)state;
    static const uint8_t zeros[256];
    uint8_t *block = allocate_zeroed(&heap, sizeof(zeros));
    assert_memory_equal(block, zeros, sizeof(zeros));
    release(&heap, block, sizeof(zeros));
}

static void text_is_copied_with_its_end(void **state)
{
    (void)state;
    struct test_heap counted;
    const strata_allocator allocator = test_heap_init(&counted);
    char *copy = allocate_text(&allocator, "main");
    assert_string_equal(copy, "main");
    release(&allocator, copy, strlen(copy) + 1);
    char *empty = allocate_text(&allocator, "");
    assert_string_equal(empty, "");
    release(&allocator, empty, 1);
    test_heap_assert_empty(&counted);
}

static void releasing_nothing_is_fine(void **state)
{
    (void)state;
    release(&no_heap, NULL, 0);
    release(&no_heap, NULL, 10);
}

enum { THREADS = 3, ROUNDS = 2000, BLOCK_SIZE = 64 };

static void *allocate_and_release(void *context)
{
    struct memory *memory = context;
    for (int round = 0; round < ROUNDS; round++)
        release(&memory->allocator, allocate(&memory->allocator, BLOCK_SIZE), BLOCK_SIZE);
    return NULL;
}

static void run_threads(void *(*body)(void *), struct memory *memory)
{
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, body, memory), 0);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

static void counts_hold_with_many_threads(void **state)
{
    (void)state;
    struct memory memory;
    memory_init(&memory, NULL);
    run_threads(allocate_and_release, &memory);
    assert_int_equal(memory.live_bytes, 0);
    assert_in_range(memory.peak_bytes, BLOCK_SIZE, THREADS * BLOCK_SIZE);
}

enum { KEPT_SIZE = 4096 };

static void a_freed_block_is_kept_for_the_next(void **state)
{
    (void)state;
    struct test_heap counted;
    const strata_allocator base = test_heap_init(&counted);
    struct memory memory;
    memory_init(&memory, &base);
    memory_keep(&memory, KEPT_SIZE);
    void *first = allocate(&memory.allocator, KEPT_SIZE);
    void *second = allocate(&memory.allocator, KEPT_SIZE);
    release(&memory.allocator, first, KEPT_SIZE);
    assert_int_equal(memory.live_bytes, KEPT_SIZE);
    assert_int_equal(memory.kept_bytes, KEPT_SIZE);
    assert_int_equal(counted.bytes, 2 * KEPT_SIZE);
    assert_ptr_equal(allocate(&memory.allocator, KEPT_SIZE), first);
    assert_int_equal(counted.requests, 2);
    assert_int_equal(memory.kept_bytes, 0);
    release(&memory.allocator, first, KEPT_SIZE);
    release(&memory.allocator, second, KEPT_SIZE);
    memory_trim(&memory);
    assert_int_equal(memory.kept_bytes, 0);
    test_heap_assert_empty(&counted);
    memory_destroy(&memory);
}

static void what_is_kept_gives_way(void **state)
{
    (void)state;
    struct test_heap counted;
    const strata_allocator base = test_heap_init(&counted);
    struct memory memory;
    memory_init(&memory, &base);
    memory_keep(&memory, KEPT_SIZE);
    void *blocks[4];
    for (size_t i = 0; i < 4; i++)
        blocks[i] = allocate(&memory.allocator, KEPT_SIZE);
    for (size_t i = 0; i < 4; i++)
        release(&memory.allocator, blocks[i], KEPT_SIZE);
    void *other = allocate(&memory.allocator, KEPT_SIZE + 1);
    assert_int_equal(memory.kept_bytes, 2 * KEPT_SIZE);
    assert_int_equal(counted.bytes_peak, 4 * KEPT_SIZE);
    assert_int_equal(counted.bytes, 3 * KEPT_SIZE + 1);

    /* Also where the base says no. */
    counted.fail_at = counted.requests + 1;
    void *more = allocate(&memory.allocator, 10);
    assert_non_null(more);
    assert_int_equal(memory.kept_bytes, 0);
    counted.fail_at = counted.requests + 1;
    assert_null(allocate(&memory.allocator, 10));
    release(&memory.allocator, more, 10);
    release(&memory.allocator, other, KEPT_SIZE + 1);
    assert_int_equal(memory.live_bytes, 0);
    memory_destroy(&memory);
    test_heap_assert_empty(&counted);
}

/* Of two sizes, one of which is kept; at most HELD at a time. */
static void *churn_memory(void *context)
{
    enum { HELD = 16 };
    struct memory *memory = context;
    void *blocks[HELD] = {0};
    size_t sizes[HELD];
    uint32_t draw = 1;
    for (int round = 0; round < 4000; round++) {
        draw = draw * 1664525 + 1013904223;
        const size_t i = draw >> 20 & (HELD - 1);
        if (blocks[i] != NULL) {
            release(&memory->allocator, blocks[i], sizes[i]);
            blocks[i] = NULL;
        } else {
            sizes[i] = (draw >> 28) < 8 ? KEPT_SIZE : 3000;
            blocks[i] = allocate(&memory->allocator, sizes[i]);
            memset(blocks[i], round, sizes[i]);
        }
    }
    for (size_t i = 0; i < HELD; i++)
        release(&memory->allocator, blocks[i], sizes[i]);
    return NULL;
}

static void keeping_never_raises_the_peak(void **state)
{
    (void)state;
    struct test_heap counted;
    const strata_allocator base = test_heap_init(&counted);
    struct memory memory;
    memory_init(&memory, &base);
    memory_keep(&memory, KEPT_SIZE);
    run_threads(churn_memory, &memory);
    assert_int_equal(memory.live_bytes, 0);
    assert_true(counted.bytes == memory.kept_bytes);
    assert_true(memory.kept_bytes <= memory.peak_bytes);
    assert_true(counted.bytes_peak <= memory.peak_bytes);
    memory_destroy(&memory);
    test_heap_assert_empty(&counted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_are_the_sizes_asked_for),
        cmocka_unit_test(every_byte_comes_from_the_base),
        cmocka_unit_test(a_refused_request_counts_nothing),
        cmocka_unit_test(more_than_the_most_is_refused),
        cmocka_unit_test(mapped_blocks_keep_their_bytes_when_resized),
        cmocka_unit_test(mapped_blocks_are_gone_when_they_are_freed),
        cmocka_unit_test(zeroed_memory_is_zero),
        cmocka_unit_test(text_is_copied_with_its_end),
        cmocka_unit_test(releasing_nothing_is_fine),
        cmocka_unit_test(counts_hold_with_many_threads),
        cmocka_unit_test(a_freed_block_is_kept_for_the_next),
        cmocka_unit_test(what_is_kept_gives_way),
        cmocka_unit_test(keeping_never_raises_the_peak),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
