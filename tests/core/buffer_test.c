#include "core/buffer.h"
#include "core/varint.h"
#include "support.h"

static void appends_follow_each_other(void **state)
{
    (void)state;
    struct test_heap counted;
    const strata_allocator allocator = test_heap_init(&counted);
    struct buffer buffer;
    buffer_init(&buffer, &allocator);
    assert_int_equal(buffer_append_u8(&buffer, 0x11), STRATA_OK);
    assert_int_equal(buffer_append_u32(&buffer, 0x55443322), STRATA_OK);
    assert_int_equal(buffer_append_u64(&buffer, 0xddccbbaa99887766u), STRATA_OK);
    assert_int_equal(buffer_append(&buffer, bytes_of("key", 3)), STRATA_OK);
    assert_int_equal(buffer_append_varint(&buffer, 300), STRATA_OK);
    static const uint8_t expected[] = {0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99,
                                       0xaa, 0xbb, 0xcc, 0xdd, 'k',  'e',  'y',  0xac, 0x02};
    assert_true(bytes_equal(buffer_view(&buffer), bytes_of(expected, sizeof(expected))));
    buffer_release(&buffer);
    test_heap_assert_empty(&counted);
}

static void content_survives_growth(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer, &heap);
    for (uint32_t i = 0; i < 10000; i++)
        assert_int_equal(buffer_append_u32(&buffer, i), STRATA_OK);
    assert_int_equal(buffer.length, 40000);
    for (uint32_t i = 0; i < 10000; i++)
        assert_int_equal(load_u32(buffer.data + (size_t)i * 4), i);
    buffer_release(&buffer);
}

static void growth_is_geometric(void **state)
{
    (void)state;
    struct test_heap counted;
    const strata_allocator allocator = test_heap_init(&counted);
    struct buffer buffer;
    buffer_init(&buffer, &allocator);
    for (uint32_t i = 0; i < 100000; i++)
        assert_int_equal(buffer_append_u8(&buffer, 1), STRATA_OK);
    assert_in_range(counted.requests, 1, 20);
    buffer_release(&buffer);
    test_heap_assert_empty(&counted);
}

static void appending_nothing_needs_no_memory(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer, &no_heap);
    uint8_t *at = NULL;
    assert_int_equal(buffer_append(&buffer, bytes_of(NULL, 0)), STRATA_OK);
    assert_int_equal(buffer_extend(&buffer, 0, &at), STRATA_OK);
    assert_int_equal(buffer_reserve(&buffer, 0), STRATA_OK);
    assert_null(buffer_view(&buffer).data);
    assert_int_equal(buffer_view(&buffer).length, 0);
    buffer_release(&buffer);
}

static void no_memory_leaves_the_buffer_unchanged(void **state)
{
    (void)state;
    struct test_heap counted;
    const strata_allocator allocator = test_heap_init(&counted);
    struct buffer buffer;
    buffer_init(&buffer, &allocator);
    assert_int_equal(buffer_append(&buffer, bytes_of("abc", 3)), STRATA_OK);
    counted.fail_at = counted.requests + 1;
    counted.fail_from_then_on = 1;

    uint8_t *at = NULL;
    const size_t capacity = buffer.capacity;
    assert_int_equal(buffer_extend(&buffer, 1000, &at), STRATA_NO_MEMORY);
    assert_string_equal(strata_error_message(), "no memory for a buffer of 1003 bytes");
    assert_null(at);
    assert_int_equal(buffer_reserve(&buffer, 1000), STRATA_NO_MEMORY);
    assert_int_equal(buffer.capacity, capacity);
    assert_true(bytes_equal(buffer_view(&buffer), bytes_of("abc", 3)));
    buffer_release(&buffer);
    test_heap_assert_empty(&counted);
}

static strata_status fill(struct buffer *buffer)
{
    for (uint32_t i = 0; i < 200; i++) {
        TRY(buffer_append_u8(buffer, (uint8_t)i));
        TRY(buffer_append_u32(buffer, i));
        TRY(buffer_append_u64(buffer, i));
        TRY(buffer_append_varint(buffer, UINT64_MAX));
        TRY(buffer_append(buffer, bytes_of("0123456789", 10)));
    }
    return STRATA_OK;
}

static void every_refused_request_is_reported_and_nothing_leaks(void **state)
{
    (void)state;
    struct test_heap counted;
    for (uint64_t fail_at = 1;; fail_at++) {
        const strata_allocator allocator = test_heap_init(&counted);
        counted.fail_at = fail_at;
        struct buffer buffer;
        buffer_init(&buffer, &allocator);
        const strata_status status = fill(&buffer);
        const int ended = counted.requests < fail_at;
        assert_int_equal(status, ended ? STRATA_OK : STRATA_NO_MEMORY);
        buffer_release(&buffer);
        test_heap_assert_empty(&counted);
        if (ended)
            break;
    }
}

static void a_size_beyond_all_memory_is_refused(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer, &heap);
    uint8_t *at = NULL;
    assert_int_equal(buffer_append_u8(&buffer, 1), STRATA_OK);
    assert_int_equal(buffer_extend(&buffer, SIZE_MAX, &at), STRATA_NO_MEMORY);
    assert_int_equal(buffer.length, 1);
    buffer_release(&buffer);
}

static void appends_into_a_reservation_cannot_fail(void **state)
{
    (void)state;
    struct test_heap counted;
    const strata_allocator allocator = test_heap_init(&counted);
    struct buffer buffer;
    buffer_init(&buffer, &allocator);
    assert_int_equal(buffer_reserve(&buffer, 1000), STRATA_OK);
    const uint8_t *data = buffer.data;
    counted.fail_at = 2;
    counted.fail_from_then_on = 1;
    for (int i = 0; i < 1000; i++)
        assert_int_equal(buffer_append_u8(&buffer, 9), STRATA_OK);
    assert_ptr_equal(buffer.data, data);
    buffer_release(&buffer);
    test_heap_assert_empty(&counted);
}

static void truncation_keeps_the_capacity(void **state)
{
    (void)state;
    struct buffer buffer;
    buffer_init(&buffer, &heap);
    assert_int_equal(buffer_append(&buffer, bytes_of("abcdef", 6)), STRATA_OK);
    const size_t capacity = buffer.capacity;
    buffer_truncate(&buffer, 2);
    assert_true(bytes_equal(buffer_view(&buffer), bytes_of("ab", 2)));
    buffer_truncate(&buffer, 0);
    assert_int_equal(buffer.capacity, capacity);
    buffer_release(&buffer);
    assert_int_equal(buffer.capacity, 0);
    buffer_release(&buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends_follow_each_other),
        cmocka_unit_test(content_survives_growth),
        cmocka_unit_test(growth_is_geometric),
        cmocka_unit_test(appending_nothing_needs_no_memory),
        cmocka_unit_test(no_memory_leaves_the_buffer_unchanged),
        cmocka_unit_test(every_refused_request_is_reported_and_nothing_leaks),
        cmocka_unit_test(a_size_beyond_all_memory_is_refused),
        cmocka_unit_test(appends_into_a_reservation_cannot_fail),
        cmocka_unit_test(truncation_keeps_the_capacity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
