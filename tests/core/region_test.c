#include "core/region.h"
#include "core/random.h"
#include "support.h"

#include <string.h>

enum { CHUNK = 1024, PIECES = 3000 };

struct piece {
    uint32_t name;
    size_t size;
};

/* Of various sizes, some of them larger than a chunk. */
static size_t piece_size(struct random *random)
{
    const uint64_t draw = random_next(random);
    return draw % 50 == 0 ? 1 + draw / 50 % 5000 : 1 + draw % 120;
}

static void names_lead_to_pieces_that_keep_their_content(void **state)
{
    (void)state;
    struct test_heap counted;
    const strata_allocator allocator = test_heap_init(&counted);
    struct random random = {.state = 1};
    struct region region;
    static struct piece pieces[PIECES];
    region_init(&region, &allocator, CHUNK);
    for (size_t i = 0; i < PIECES; i++) {
        pieces[i].size = piece_size(&random);
        uint8_t *piece = region_take(&region, pieces[i].size, &pieces[i].name);
        assert_non_null(piece);
        assert_int_equal((uintptr_t)piece % 8, 0);
        assert_int_not_equal(pieces[i].name, 0);
        assert_ptr_equal(region_at(&region, pieces[i].name), piece);
        memset(piece, (int)(i % 251), pieces[i].size);
        assert_true(region.total_bytes == counted.bytes);
    }
    for (size_t i = 0; i < PIECES; i++) {
        const uint8_t *piece = region_at(&region, pieces[i].name);
        for (size_t j = 0; j < pieces[i].size; j++)
            assert_int_equal(piece[j], i % 251);
    }
    region_release(&region);
    test_heap_assert_empty(&counted);
}

static void what_is_reserved_cannot_fail(void **state)
{
    (void)state;
    struct test_heap counted;
    const strata_allocator allocator = test_heap_init(&counted);
    struct random random = {.state = 2};
    struct region region;
    region_init(&region, &allocator, CHUNK);
    counted.fail_from_then_on = 1;
    for (unsigned round = 0; round < 2000; round++) {
        size_t sizes[20], total = 0;
        const size_t count = random_next(&random) % 20;
        for (size_t i = 0; i < count; i++) {
            sizes[i] = piece_size(&random);
            total += (sizes[i] + 7) / 8 * 8;
        }
        assert_int_equal(region_reserve(&region, total), STRATA_OK);
        counted.fail_at = 1;
        for (size_t i = 0; i < count; i++) {
            uint32_t name;
            uint8_t *piece = region_take(&region, sizes[i], &name);
            assert_non_null(piece);
            assert_ptr_equal(region_at(&region, name), piece);
            memset(piece, 1, sizes[i]);
        }
        counted.fail_at = 0;
        if (round % 10 == 0)
            region_trim(&region);
        assert_true(region.total_bytes == counted.bytes);
    }
    region_release(&region);
    test_heap_assert_empty(&counted);
}

static void what_is_reserved_does_not_end_the_chunk_in_use(void **state)
{
    (void)state;
    struct region region;
    uint32_t first, second, third;
    region_init(&region, &heap, CHUNK);
    const uint8_t *before = region_take(&region, 16, &first);
    assert_int_equal(region_reserve(&region, 1000), STRATA_OK);
    assert_ptr_equal(region_take(&region, 16, &second), before + 16);
    assert_int_equal(second, first + 2);
    region_trim(&region);
    assert_ptr_equal(region_take(&region, 16, &third), before + 32);
    region_release(&region);
}

static void a_refused_request_is_told(void **state)
{
    (void)state;
    struct test_heap counted;
    const strata_allocator allocator = test_heap_init(&counted);
    for (uint64_t fail_at = 1; fail_at < 40; fail_at++) {
        struct region region;
        unsigned refused = 0;
        region_init(&region, &allocator, CHUNK);
        counted.requests = 0;
        counted.fail_at = fail_at;
        for (unsigned i = 0; i < 60; i++) {
            uint32_t name;
            const strata_status status = region_reserve(&region, 700);
            refused += status != STRATA_OK;
            if (status == STRATA_OK)
                assert_non_null(region_take(&region, 700, &name));
            assert_true(region.total_bytes == counted.bytes);
        }
        assert_int_equal(refused, 1);
        counted.fail_at = 0;
        region_release(&region);
        test_heap_assert_empty(&counted);
    }
    struct region region;
    uint32_t name;
    region_init(&region, &no_heap, CHUNK);
    assert_null(region_take(&region, 1, &name));
    assert_int_equal(region_reserve(&region, SIZE_MAX), STRATA_NO_MEMORY);
    region_release(&region);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_lead_to_pieces_that_keep_their_content),
        cmocka_unit_test(what_is_reserved_cannot_fail),
        cmocka_unit_test(what_is_reserved_does_not_end_the_chunk_in_use),
        cmocka_unit_test(a_refused_request_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
