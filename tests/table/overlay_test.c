#include "table/overlay.h"

#include "core/memory.h"
#include "core/random.h"
#include "layout/key.h"
#include "support.h"

#include <stdio.h>

enum { BRANCH = 7, SPACE = 33, KEYS = 2000 };

/* Even numbers are there. */
static struct bytes numbered_key(unsigned number, uint8_t to[32])
{
    key_prefix_store(to, BRANCH, SPACE);
    const int length = snprintf((char *)to + KEY_PREFIX_SIZE, 32 - KEY_PREFIX_SIZE, "%06u", number);
    return bytes_of(to, KEY_PREFIX_SIZE + (size_t)length);
}

static struct bytes user_key(struct bytes storage_key)
{
    return bytes_after(storage_key, KEY_PREFIX_SIZE);
}

static struct overlay *filled(const strata_allocator *allocator, unsigned count)
{
    struct overlay_builder builder;
    struct overlay *overlay;
    overlay_builder_init(&builder, allocator);
    for (unsigned round = 0; round < 2; round++) {
        overlay_builder_clear(&builder);
        for (unsigned i = 0; i < count; i++) {
            uint8_t key[32];
            const struct row row = {.key = user_key(numbered_key(2 * i, key)),
                                    .value = bytes_of("value", i % 6),
                                    .from = 1000 + i,
                                    .to = i % 3 == 0 ? 5000 : 0,
                                    .time_us = i,
                                    .kind = i % 6 == 0 ? ROW_DELETE : ROW_PUT};
            assert_int_equal(overlay_builder_add(&builder, &row), STRATA_OK);
        }
    }
    const size_t size = overlay_builder_size(&builder);
    assert_int_equal(overlay_build(&builder, BRANCH, SPACE, &overlay), STRATA_OK);
    assert_int_equal(overlay->size, size);
    overlay_builder_release(&builder);
    return overlay;
}

static void check_row(const struct row *row, unsigned i)
{
    uint8_t key[32];
    assert_true(bytes_equal(row->key, numbered_key(2 * i, key)));
    assert_true(bytes_equal(row->value, bytes_of("value", i % 6)));
    assert_int_equal(row->from, 1000 + i);
    assert_int_equal(row->to, 0);
    assert_int_equal(row->time_us, i);
}

static void every_row_is_found_and_no_other(void **state)
{
    (void)state;
    struct test_heap counted;
    const strata_allocator allocator = test_heap_init(&counted);
    static const unsigned counts[] = {0, 1, 2, 9, KEYS};
    for (size_t c = 0; c < sizeof(counts) / sizeof(counts[0]); c++) {
        struct overlay *overlay = filled(&allocator, counts[c]);
        assert_int_equal(overlay->row_count, counts[c]);
        for (unsigned number = 0; number < 2 * counts[c] + 2; number++) {
            uint8_t bytes[32];
            const struct bytes key = user_key(numbered_key(number, bytes));
            const struct row *row = overlay_find(overlay, key, overlay_hash(key));
            if (number % 2 == 0 && number / 2 < counts[c])
                check_row(row, number / 2);
            else
                assert_null(row);
        }
        overlay_destroy(overlay);
    }
    overlay_destroy(NULL);
    test_heap_assert_empty(&counted);
}

/* Where `source` should stand: on row `at`, or on none if that is not one. */
static void check_stands(const struct source *source, int at)
{
    assert_int_equal(source->valid, at >= 0 && at < KEYS);
    if (source->valid)
        check_row(&source->row, (unsigned)at);
}

static void a_source_goes_both_ways(void **state)
{
    (void)state;
    struct test_heap counted;
    const strata_allocator allocator = test_heap_init(&counted);
    struct overlay *overlay = filled(&allocator, KEYS);
    struct overlay_source self;
    struct source *source = &self.source;
    struct random random = {.state = 5};
    overlay_source_init(&self, overlay);
    for (unsigned i = 0; i < 3000; i++) {
        const int number = (int)(random_next(&random) % (2 * KEYS));
        const uint64_t from = 1000 + (uint64_t)number / 2 - random_next(&random) % 2;
        uint8_t bytes[32];
        const struct bytes key = numbered_key((unsigned)number, bytes);
        const int here = (number + 1) / 2;
        assert_int_equal(source_seek_visible(source, key, 0), STRATA_OK);
        check_stands(source, here);
        assert_int_equal(source_seek_before(source, key), STRATA_OK);
        check_stands(source, here - 1);
        if (source->valid) {
            assert_int_equal(source_previous(source), STRATA_OK);
            check_stands(source, here - 2);
        }
        assert_int_equal(source_seek(source, key, from), STRATA_OK);
        const int found = number % 2 == 0 && 1000 + (uint64_t)here > from ? here + 1 : here;
        check_stands(source, found);
        if (source->valid) {
            assert_int_equal(i % 2 == 0 ? source_next(source) : source_next_visible(source, 0),
                             STRATA_OK);
            check_stands(source, found + 1);
        }
        source_release(source);
        assert_false(source->valid);
    }
    overlay_destroy(overlay);
    test_heap_assert_empty(&counted);
}

static void without_memory_nothing_is_left(void **state)
{
    (void)state;
    struct test_heap counted;
    const strata_allocator allocator = test_heap_init(&counted);
    uint8_t bytes[32];
    const struct row row = {.key = user_key(numbered_key(1, bytes)), .from = 1, .kind = ROW_PUT};
    struct overlay_builder builder;
    struct overlay *overlay;
    overlay_builder_init(&builder, &allocator);
    strata_status status = STRATA_NO_MEMORY;
    for (uint64_t fail_at = 1; status != STRATA_OK; fail_at++) {
        counted.requests = 0;
        counted.fail_at = fail_at;
        overlay_builder_clear(&builder);
        status = overlay_builder_add(&builder, &row);
        if (status == STRATA_OK)
            status = overlay_build(&builder, BRANCH, SPACE, &overlay);
        assert_true(status == STRATA_OK || status == STRATA_NO_MEMORY);
    }
    assert_int_equal(overlay->row_count, 1);
    overlay_destroy(overlay);
    overlay_builder_release(&builder);
    test_heap_assert_empty(&counted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_is_found_and_no_other),
        cmocka_unit_test(a_source_goes_both_ways),
        cmocka_unit_test(without_memory_nothing_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
