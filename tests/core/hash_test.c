#include "core/hash.h"
#include "support.h"

/* Checksums on disk hang on these values: they may never change. */
static void values_are_those_of_xxh3(void **state)
{
    (void)state;
    assert_true(hash64(bytes_of("", 0), 0) == 0x2d06800538d394c2u);
    assert_true(hash64(bytes_of("abc", 3), 0) == 0x78af5f94892f3950u);
    assert_true(hash64(bytes_of(NULL, 0), 0) == hash64(bytes_of("", 0), 0));
}

static void the_seed_matters_at_every_length(void **state)
{
    (void)state;
    uint8_t data[1024] = {0};
    for (size_t length = 0; length <= sizeof(data); length += 31) {
        const struct bytes bytes = bytes_of(data, length);
        assert_true(hash64(bytes, 1) != hash64(bytes, 2));
        assert_true(hash64(bytes, 1) == hash64(bytes, 1));
    }
}

static void a_pair_hashes_as_its_concatenation(void **state)
{
    (void)state;
    uint8_t data[2000];
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i * 7 + i / 256);
    static const size_t lengths[] = {0,   1,   3,   8,   12,  16,   17,   128,  129, 240,
                                     241, 500, 511, 512, 513, 1000, 1024, 1025, 2000};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        const struct bytes whole = bytes_of(data, lengths[i]);
        for (size_t cut = 0; cut <= whole.length; cut++) {
            const uint64_t pair = hash64_pair(bytes_of(data, cut), bytes_after(whole, cut));
            assert_true(pair == hash64(whole, 0));
        }
    }
    assert_true(hash64_pair(bytes_of(NULL, 0), bytes_of(NULL, 0)) == hash64(bytes_of("", 0), 0));
    assert_true(hash64_pair(bytes_of(NULL, 0), bytes_of(data, 900)) ==
                hash64(bytes_of(data, 900), 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_those_of_xxh3),
        cmocka_unit_test(the_seed_matters_at_every_length),
        cmocka_unit_test(a_pair_hashes_as_its_concatenation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
