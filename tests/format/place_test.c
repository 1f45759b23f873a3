#include "format/place.h"
#include "support.h"

static const struct identity here = {
    .uuid = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, .incarnation = 77};

static void every_part_of_a_place_changes_its_seed(void **state)
{
    (void)state;
    const uint64_t seed = place_seed(&here, FAMILY_TABLE, 5, 4096);
    assert_true(seed == place_seed(&here, FAMILY_TABLE, 5, 4096));
    assert_true(seed != place_seed(&here, FAMILY_WAL, 5, 4096));
    assert_true(seed != place_seed(&here, FAMILY_TABLE, 6, 4096));
    assert_true(seed != place_seed(&here, FAMILY_TABLE, 5, 8192));
    assert_true(seed != place_seed(&here, FAMILY_TABLE, 4096, 5));

    struct identity other = here;
    other.incarnation++;
    assert_true(seed != place_seed(&other, FAMILY_TABLE, 5, 4096));
    for (size_t i = 0; i < UUID_SIZE; i++) {
        other = here;
        other.uuid[i] ^= 1;
        assert_true(seed != place_seed(&other, FAMILY_TABLE, 5, 4096));
    }
}

/* Fixed answers, so that hosts of either byte order and any word size agree. */
static void seeds_and_checksums_are_the_same_on_every_host(void **state)
{
    (void)state;
    const uint64_t seed = place_seed(&here, FAMILY_TABLE, 5, 4096);
    uint8_t bytes[300];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)i;
    assert_true(seed == 0x491b122c71f95e60u);
    assert_true(place_checksum(bytes_of(bytes, 8), seed) == 0xe94726e6ba50830eu);
    assert_true(place_checksum(bytes_of(bytes, sizeof(bytes)), seed) == 0xd18caf232c0c9985u);
}

static void checksum_covers_all_but_itself(void **state)
{
    (void)state;
    uint8_t bytes[64] = {0};
    const struct bytes all = bytes_of(bytes, sizeof(bytes));
    const uint64_t checksum = place_checksum(all, 1);
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] ^= 1;
        assert_true((place_checksum(all, 1) == checksum) == (i < 8));
        bytes[i] ^= 1;
    }
    assert_true(place_checksum(all, 2) != checksum);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_part_of_a_place_changes_its_seed),
        cmocka_unit_test(seeds_and_checksums_are_the_same_on_every_host),
        cmocka_unit_test(checksum_covers_all_but_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
