#include "support.h"

#include "../../docs/demo/branch_name.c"
#include "../../docs/demo/sha1.c"

static void expect_name(const char *ref, const char *expected)
{
    char name[BRANCH_NAME_SIZE];
    branch_name_of_ref(ref, name);
    assert_string_equal(name, expected);
}

static void heads_lose_their_prefix_and_other_refs_keep_theirs(void **state)
{
    (void)state;
    expect_name("refs/heads/main", "main");
    expect_name("refs/heads/topic/one", "topic/one");
    expect_name("refs/tags/v1", "refs/tags/v1");
    expect_name("refs/remotes/origin/main", "refs/remotes/origin/main");
}

static void what_a_name_may_not_hold_is_escaped(void **state)
{
    (void)state;
    expect_name("refs/heads/a@b%c", "a%40b%25c");
    expect_name("refs/heads/-x-", "%2Dx-");
    expect_name("refs/heads/\x7f\x01", "%7F%01");
    expect_name("refs/heads/\xc3\xa4", "\xc3\xa4");
    expect_name("refs/heads/\xc2\x85", "%C2%85");        /* A control character. */
    expect_name("refs/heads/\xc3(", "%C3(");             /* Cut short. */
    expect_name("refs/heads/x\xe2\x82", "x%E2%82");      /* The same at the end. */
    expect_name("refs/heads/\xc0\xaf", "%C0%AF");        /* Too long a form. */
    expect_name("refs/heads/\xed\xa0\x80", "%ED%A0%80"); /* A surrogate. */
    expect_name("refs/heads/\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80");
    expect_name("refs/heads/\xf5\x80\x80\x80", "%F5%80%80%80");
}

static void a_head_never_looks_like_another_kind(void **state)
{
    (void)state;
    expect_name("refs/heads/refs/tags/v1", "refs%2Ftags/v1");
    expect_name("refs/heads/x-0123456789ab", "x%2D0123456789ab");
    expect_name("refs/heads/x-0123456789abc", "x%2D0123456789abc");
    expect_name("refs/heads/x-0123456789a", "x-0123456789a");
    expect_name("refs/heads/x-0123456789ag", "x-0123456789ag");
    expect_name("refs/heads/x-", "x-");
}

static void long_names_fit_and_stay_different(void **state)
{
    (void)state;
    static const char *const units[] = {"a", "@", "\xc3\xa4", "\xf0\x9f\x98\x80"};
    for (size_t unit = 0; unit < sizeof(units) / sizeof(units[0]); unit++) {
        char ref[2048] = "refs/heads/", last[BRANCH_NAME_SIZE] = "";
        for (size_t i = 0; i < 300; i++) {
            char name[BRANCH_NAME_SIZE];
            strncat(ref, units[unit], sizeof(ref) - strlen(ref) - 1);
            branch_name_of_ref(ref, name);
            assert_true(strlen(name) < BRANCH_NAME_SIZE);
            assert_string_not_equal(name, last);
            memcpy(last, name, sizeof(last));
        }
        assert_non_null(strstr(last, "%~"));
    }
}

static void a_line_without_a_ref_has_the_digits_of_its_first_commit(void **state)
{
    (void)state;
    uint8_t id[SHA1_SIZE];
    char name[BRANCH_NAME_SIZE];
    assert_true(sha1_from_hex("0123456789abcdef0123456789abcdef01234567", id));
    branch_name_of_line(id, BRANCH_LINE_DIGITS, name);
    assert_string_equal(name, "x-0123456789ab");
    branch_name_of_line(id, SHA1_HEX_SIZE, name);
    assert_string_equal(name, "x-0123456789abcdef0123456789abcdef01234567");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heads_lose_their_prefix_and_other_refs_keep_theirs),
        cmocka_unit_test(what_a_name_may_not_hold_is_escaped),
        cmocka_unit_test(a_head_never_looks_like_another_kind),
        cmocka_unit_test(long_names_fit_and_stay_different),
        cmocka_unit_test(a_line_without_a_ref_has_the_digits_of_its_first_commit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
