#include "core/varint.h"
#include "support.h"

static void every_width_round_trips(void **state)
{
    (void)state;
    for (unsigned shift = 0; shift < 64; shift++) {
        uint8_t encoded[VARINT_SIZE_MAX];
        uint64_t decoded = 0;
        struct bytes input = {encoded, varint_encode(UINT64_MAX >> shift, encoded)};
        assert_int_equal(varint_decode(&input, &decoded), STRATA_OK);
        assert_true(decoded == UINT64_MAX >> shift);
        assert_int_equal(input.length, 0);
    }
}

static void a_value_takes_a_byte_for_every_seven_bits(void **state)
{
    (void)state;
    static const struct {
        uint64_t value;
        size_t size;
    } cases[] = {{0, 1},
                 {1, 1},
                 {127, 1},
                 {128, 2},
                 {16383, 2},
                 {16384, 3},
                 {1u << 28, 5},
                 {(uint64_t)1 << 62, 9},
                 {UINT64_MAX >> 1, 9},
                 {UINT64_MAX, 10}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t encoded[VARINT_SIZE_MAX];
        assert_int_equal(varint_encode(cases[i].value, encoded), cases[i].size);
    }
}

static void decoding_leaves_what_follows(void **state)
{
    (void)state;
    static const uint8_t encoded[] = {0xac, 0x02, 0x05, 0xff};
    struct bytes input = {encoded, sizeof(encoded)};
    uint64_t decoded = 0;
    assert_int_equal(varint_decode(&input, &decoded), STRATA_OK);
    assert_int_equal(decoded, 300);
    assert_int_equal(varint_decode(&input, &decoded), STRATA_OK);
    assert_int_equal(decoded, 5);
    assert_ptr_equal(input.data, encoded + 3);
    assert_int_equal(input.length, 1);
}

static void malformed_input_is_corrupt_and_left_alone(void **state)
{
    (void)state;
    static const uint8_t cut_short[] = {0x80}, padded[] = {0x80, 0x00};
    static const uint8_t too_big[] = {255, 255, 255, 255, 255, 255, 255, 255, 255, 2};
    static const uint8_t too_long[] = {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1};
    const struct bytes cases[] = {
        {cut_short, 1}, {padded, 2}, {too_big, 10}, {too_long, 11}, {NULL, 0}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bytes input = cases[i];
        uint64_t decoded = 7;
        assert_int_equal(varint_decode(&input, &decoded), STRATA_CORRUPT);
        assert_ptr_equal(input.data, cases[i].data);
        assert_int_equal(input.length, cases[i].length);
        assert_int_equal(decoded, 7);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_width_round_trips),
        cmocka_unit_test(a_value_takes_a_byte_for_every_seven_bits),
        cmocka_unit_test(decoding_leaves_what_follows),
        cmocka_unit_test(malformed_input_is_corrupt_and_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
