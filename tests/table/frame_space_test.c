#include "table/frame_space.h"

#include "core/random.h"
#include "support.h"

enum { BLOCKS_MAX = 3000 };

/* A block that was taken, full of a byte of its own. */
struct taken {
    uint8_t *block;
    size_t size;
    uint8_t fill;
};

static struct taken blocks[BLOCKS_MAX];

static bool take_block(struct frame_space *space, struct random *random, size_t size_max,
                       struct taken *out)
{
    out->size = 1 + (size_t)(random_next(random) % size_max);
    out->fill = (uint8_t)random_next(random);
    out->block = frame_space_take(space, out->size);
    if (out->block == NULL)
        return false;
    assert_int_equal((uintptr_t)out->block % 64, 0);
    memset(out->block, out->fill, out->size);
    return true;
}

static void give_block(struct frame_space *space, struct taken *block)
{
    for (size_t i = 0; i < block->size; i++)
        assert_int_equal(block->block[i], block->fill);
    frame_space_give(space, block->block, block->size);
    block->block = NULL;
}

static void check_space(const struct frame_space *space, const struct test_heap *heap_used)
{
    assert_true(space->used_bytes <= space->area_count * space->area_bytes);
    assert_true(space->area_count * space->area_bytes <= space->bytes_max);
    assert_true(heap_used->bytes == space->area_count * space->area_bytes);
}

/* Takes and gives at random: nothing overlaps, nothing is lost. */
static void churn_space(uint64_t seed, size_t bytes_max, size_t size_max)
{
    struct test_heap counted;
    const strata_allocator allocator = test_heap_init(&counted);
    struct frame_space space;
    struct random random = {.state = seed};
    size_t used = 0, count = 0;
    bool refused = false;
    frame_space_init(&space, &allocator, bytes_max);
    for (unsigned round = 0; round < 20000; round++) {
        const bool grow = random_next(&random) % 5 < (round / 2500 % 2 == 0 ? 4 : 1);
        if (grow && count < BLOCKS_MAX) {
            if (take_block(&space, &random, size_max, &blocks[count]))
                used += frame_space_size(blocks[count++].size);
            else
                refused = true;
        } else if (count > 0) {
            const size_t at = (size_t)(random_next(&random) % count);
            used -= frame_space_size(blocks[at].size);
            give_block(&space, &blocks[at]);
            blocks[at] = blocks[--count];
        }
        assert_true(space.used_bytes == used);
        check_space(&space, &counted);
    }
    assert_true(refused);
    while (count > 0)
        give_block(&space, &blocks[--count]);
    assert_int_equal(space.area_count, 1);
    frame_space_release(&space);
    test_heap_assert_empty(&counted);
}

static void blocks_of_all_sizes_come_and_go(void **state)
{
    (void)state;
    churn_space(1, 4 << 20, 20000);
    churn_space(2, 4 << 20, 90000);
    churn_space(3, 1 << 20, 3000);
}

static void what_was_given_back_is_one_piece_again(void **state)
{
    (void)state;
    struct test_heap counted;
    const strata_allocator allocator = test_heap_init(&counted);
    struct frame_space space;
    void *small[64];
    frame_space_init(&space, &allocator, SPACE_GRANULE * 1024);
    void *large = frame_space_take(&space, 100 * 1024);
    assert_non_null(large);
    frame_space_give(&space, large, 100 * 1024);
    for (unsigned round = 0; round < 3; round++) {
        for (size_t i = 0; i < 64; i++) {
            small[i] = frame_space_take(&space, 1500);
            assert_non_null(small[i]);
        }
        /* From the front, from the back, every other one. */
        for (size_t i = 0; i < 64; i++) {
            const size_t at = round == 0 ? i : round == 1 ? 63 - i : i * 2 % 64 + i / 32;
            frame_space_give(&space, small[at], 1500);
        }
        assert_true(space.used_bytes == 0);
        large = frame_space_take(&space, 128 * 1024);
        assert_non_null(large);
        frame_space_give(&space, large, 128 * 1024);
    }
    assert_null(frame_space_take(&space, 200 * 1024));
    frame_space_release(&space);
    test_heap_assert_empty(&counted);
}

static void without_memory_there_is_no_block(void **state)
{
    (void)state;
    struct test_heap counted;
    const strata_allocator allocator = test_heap_init(&counted);
    struct frame_space space;
    frame_space_init(&space, &allocator, 1 << 20);
    counted.fail_at = counted.requests + 1;
    assert_null(frame_space_take(&space, 100));
    void *block = frame_space_take(&space, 100);
    assert_non_null(block);
    frame_space_give(&space, block, 100);
    frame_space_release(&space);
    test_heap_assert_empty(&counted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_of_all_sizes_come_and_go),
        cmocka_unit_test(what_was_given_back_is_one_piece_again),
        cmocka_unit_test(without_memory_there_is_no_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
