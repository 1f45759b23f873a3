#include "format/value_object.h"

#include "format/hostile.h"
#include "format/place.h"
#include "support.h"

enum { SEED = 11, INDEX = 3 };

static uint8_t block[VALUE_BLOCK_SIZE];

static size_t seal_sample(uint32_t used)
{
    for (uint32_t i = 0; i < used; i++)
        block[VALUE_BLOCK_HEADER_SIZE + i] = (uint8_t)(i * 7);
    value_block_seal(block, INDEX, used, SEED);
    return VALUE_BLOCK_HEADER_SIZE + used;
}

static void blocks_of_every_fill_round_trip(void **state)
{
    (void)state;
    static const uint32_t fills[] = {1, 2, 1000, VALUE_BLOCK_PAYLOAD - 1, VALUE_BLOCK_PAYLOAD};
    for (size_t i = 0; i < sizeof(fills) / sizeof(fills[0]); i++) {
        const struct bytes sealed = bytes_of(block, seal_sample(fills[i]));
        struct bytes value;
        assert_int_equal(value_block_open(sealed, INDEX, fills[i], SEED, &value), STRATA_OK);
        assert_int_equal(value.length, fills[i]);
        for (uint32_t at = 0; at < fills[i]; at++)
            assert_true(value.data[at] == (uint8_t)(at * 7));
    }
    assert_true(value_block_offset(INDEX) == 3 * 65536);
}

static void a_block_is_taken_only_in_its_own_place(void **state)
{
    (void)state;
    const size_t size = seal_sample(100);
    struct bytes value;
    assert_int_equal(value_block_open(bytes_of(block, size), INDEX, 100, SEED + 1, &value),
                     STRATA_CORRUPT);
    assert_int_equal(value_block_open(bytes_of(block, size), INDEX + 1, 100, SEED, &value),
                     STRATA_CORRUPT);
    assert_int_equal(value_block_open(bytes_of(block, size), INDEX, 99, SEED, &value),
                     STRATA_CORRUPT);
    assert_int_equal(value_block_open(bytes_of(block, size), INDEX, 101, SEED, &value),
                     STRATA_CORRUPT);
}

static bool block_accepts(void *context, struct bytes bytes)
{
    (void)context;
    struct bytes value;
    return value_block_open(bytes, INDEX, 300, SEED, &value) == STRATA_OK;
}

static void every_changed_or_missing_byte_is_noticed(void **state)
{
    (void)state;
    const struct bytes sealed = bytes_of(block, seal_sample(300));
    assert_changes_are_refused(sealed, block_accepts, NULL);
    assert_cuts_are_refused(sealed, block_accepts, NULL);
}

static void rules_hold_even_under_a_right_checksum(void **state)
{
    (void)state;
    for (size_t at = 8; at < VALUE_BLOCK_HEADER_SIZE; at++) {
        const struct bytes sealed = bytes_of(block, seal_sample(300));
        block[at] ^= 0x40;
        store_u64(block, place_checksum(sealed, SEED));
        struct bytes value;
        assert_int_equal(value_block_open(sealed, INDEX, 300, SEED, &value),
                         at == 13 ? STRATA_UNSUPPORTED : STRATA_CORRUPT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_of_every_fill_round_trip),
        cmocka_unit_test(a_block_is_taken_only_in_its_own_place),
        cmocka_unit_test(every_changed_or_missing_byte_is_noticed),
        cmocka_unit_test(rules_hold_even_under_a_right_checksum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
