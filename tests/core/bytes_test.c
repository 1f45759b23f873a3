#include "core/bytes.h"
#include "support.h"

static struct bytes text(const char *from)
{
    return bytes_of(from, strlen(from));
}

static void order_is_that_of_memcmp_with_prefixes_first(void **state)
{
    (void)state;
    static const char *const rising[] = {"", "a", "a!", "aa", "ab", "b", "\x80", "\xff"};
    const size_t count = sizeof(rising) / sizeof(rising[0]);
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < count; j++) {
            const int order = bytes_compare(text(rising[i]), text(rising[j]));
            assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
            assert_int_equal(bytes_equal(text(rising[i]), text(rising[j])), i == j);
        }
    }
}

static void an_empty_run_may_be_null(void **state)
{
    (void)state;
    const struct bytes none = {NULL, 0};
    assert_int_equal(bytes_compare(none, none), 0);
    assert_true(bytes_compare(none, text("a")) < 0);
    assert_true(bytes_equal(none, text("")));
    assert_true(bytes_start_with(text("a"), none));
    assert_true(bytes_start_with(none, none));
    assert_null(bytes_after(none, 0).data);
}

static void a_prefix_and_what_follows_it(void **state)
{
    (void)state;
    assert_true(bytes_start_with(text("strata"), text("str")));
    assert_true(bytes_start_with(text("strata"), text("strata")));
    assert_false(bytes_start_with(text("str"), text("strata")));
    assert_false(bytes_start_with(text("strata"), text("tr")));
    assert_true(bytes_equal(bytes_after(text("strata"), 3), text("ata")));
    assert_int_equal(bytes_after(text("strata"), 6).length, 0);
}

static void integers_are_little_endian_at_any_alignment(void **state)
{
    (void)state;
    uint8_t at[9];
    store_u64(at + 1, 0x8877665544332211u);
    for (size_t i = 1; i < sizeof(at); i++)
        assert_int_equal(at[i], 0x11 * i);
    assert_true(load_u64(at + 1) == 0x8877665544332211u);
    assert_int_equal(load_u32(at + 1), 0x44332211u);
    assert_int_equal(load_u16(at + 1), 0x2211u);
    store_u32(at + 3, 0xfffefdfcu);
    assert_int_equal(load_u32(at + 3), 0xfffefdfcu);
    store_u16(at + 5, 0xabcdu);
    assert_int_equal(load_u16(at + 5), 0xabcdu);
}

static void ordered_integers_sort_as_bytes_as_they_do_as_numbers(void **state)
{
    (void)state;
    static const uint64_t rising[] = {
        0, 1, 255, 256, 65535, 65536, UINT32_MAX, (uint64_t)1 << 32, UINT64_MAX - 1, UINT64_MAX};
    for (size_t i = 1; i < sizeof(rising) / sizeof(rising[0]); i++) {
        uint8_t lower[8];
        uint8_t higher[8];
        store_ordered_u64(lower, rising[i - 1]);
        store_ordered_u64(higher, rising[i]);
        assert_true(memcmp(lower, higher, sizeof(lower)) < 0);
        assert_true(load_ordered_u64(higher) == rising[i]);
        store_ordered_u32(higher, (uint32_t)rising[i]);
        assert_int_equal(load_ordered_u32(higher), (uint32_t)rising[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_is_that_of_memcmp_with_prefixes_first),
        cmocka_unit_test(an_empty_run_may_be_null),
        cmocka_unit_test(a_prefix_and_what_follows_it),
        cmocka_unit_test(integers_are_little_endian_at_any_alignment),
        cmocka_unit_test(ordered_integers_sort_as_bytes_as_they_do_as_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
