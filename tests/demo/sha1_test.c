#include "support.h"

#include "../../docs/demo/sha1.c"

static void expect_hex(const uint8_t id[SHA1_SIZE], const char *expected)
{
    char hex[SHA1_HEX_SIZE + 1];
    sha1_to_hex(id, hex);
    assert_string_equal(hex, expected);
}

/* Source: FIPS 180-2 appendix A, and RFC 3174 section 7.3. */
static void published_vectors_hash_as_published(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned repeats;
        const char *expected;
    } cases[] = {
        {"", 1, "da39a3ee5e6b4b0d3255bfef95601890afd80709"},
        {"abc", 1, "a9993e364706816aba3e25717850c26c9cd0d89d"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
         "84983e441c3bd26ebaae4aa1f95129e5e54670f1"},
        {"a", 1000000, "34aa973cd4c4daa4f61eeb2bdbad27316534016f"},
        {"0123456701234567012345670123456701234567012345670123456701234567", 10,
         "dea356a2cddd90c7a7ecedc5ebb563934f460452"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sha1 sha1;
        uint8_t id[SHA1_SIZE];
        sha1_begin(&sha1);
        for (unsigned repeat = 0; repeat < cases[i].repeats; repeat++)
            sha1_add(&sha1, cases[i].text, strlen(cases[i].text));
        sha1_end(&sha1, id);
        expect_hex(id, cases[i].expected);
    }
}

static void how_the_bytes_are_cut_does_not_matter(void **state)
{
    (void)state;
    uint8_t data[300], whole[SHA1_SIZE], pieces[SHA1_SIZE];
    struct sha1 sha1;
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i * 7);
    for (size_t size = 0; size <= sizeof(data); size++) {
        sha1_begin(&sha1);
        sha1_add(&sha1, data, size);
        sha1_end(&sha1, whole);
        sha1_begin(&sha1);
        sha1_add(&sha1, data, size / 3);
        sha1_add(&sha1, data + size / 3, size / 2 - size / 3);
        sha1_add(&sha1, data + size / 2, size - size / 2);
        sha1_end(&sha1, pieces);
        assert_memory_equal(whole, pieces, SHA1_SIZE);
    }
}

static void git_objects_have_the_names_that_git_gives_them(void **state)
{
    (void)state;
    struct sha1 sha1;
    uint8_t id[SHA1_SIZE];
    sha1_begin_object(&sha1, "blob", 0);
    sha1_end(&sha1, id);
    expect_hex(id, "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
    sha1_begin_object(&sha1, "blob", 6);
    sha1_add(&sha1, "hello\n", 6);
    sha1_end(&sha1, id);
    expect_hex(id, "ce013625030ba8dba906f756967f9e9ca394464a");
    sha1_begin_object(&sha1, "tree", 0);
    sha1_end(&sha1, id);
    expect_hex(id, "4b825dc642cb6eb9a060e54bf8d69288fbee4904");
}

static void hex_digits_round_trip_and_others_are_refused(void **state)
{
    (void)state;
    static const char text[] = "0123456789abcdef0123456789abcdef01234567";
    uint8_t id[SHA1_SIZE];
    assert_true(sha1_from_hex(text, id));
    expect_hex(id, text);
    for (const char *bad = "gA/:` "; *bad != '\0'; bad++) {
        char changed[sizeof(text)];
        memcpy(changed, text, sizeof(text));
        changed[SHA1_HEX_SIZE - 1] = *bad;
        assert_false(sha1_from_hex(changed, id));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_vectors_hash_as_published),
        cmocka_unit_test(how_the_bytes_are_cut_does_not_matter),
        cmocka_unit_test(git_objects_have_the_names_that_git_gives_them),
        cmocka_unit_test(hex_digits_round_trip_and_others_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
