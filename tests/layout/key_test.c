#include "layout/key.h"
#include "support.h"

static void a_prefix_gives_its_branch_and_space_back(void **state)
{
    (void)state;
    uint8_t prefix[KEY_PREFIX_SIZE];
    key_prefix_store(prefix, 0x0102030405060708u, storage_space(SPACE_LIMIT - 1, KIND_LAST));
    assert_true(key_branch(prefix) == 0x0102030405060708u);
    assert_int_equal(key_space(prefix), (SPACE_LIMIT - 1) * 16 + 15);
}

static void prefixes_sort_by_branch_then_space_then_kind(void **state)
{
    (void)state;
    static const struct {
        uint64_t branch;
        uint32_t space;
        unsigned kind;
    } rising[] = {{0, 0, 0}, {0, 0, 1},   {0, 1, 0},   {0, 1, 15},  {0, 2, 0},
                  {1, 0, 0}, {1, 255, 3}, {1, 256, 0}, {256, 0, 0}, {UINT64_MAX, 0, 0}};
    for (size_t i = 1; i < sizeof(rising) / sizeof(rising[0]); i++) {
        uint8_t lower[KEY_PREFIX_SIZE];
        uint8_t higher[KEY_PREFIX_SIZE];
        key_prefix_store(lower, rising[i - 1].branch,
                         storage_space(rising[i - 1].space, rising[i - 1].kind));
        key_prefix_store(higher, rising[i].branch, storage_space(rising[i].space, rising[i].kind));
        assert_true(memcmp(lower, higher, KEY_PREFIX_SIZE) < 0);
    }
}

static void spaces_of_the_system_lie_above_those_of_users(void **state)
{
    (void)state;
    const uint32_t highest = storage_space(SPACE_LIMIT - 1, KIND_LAST);
    assert_true(highest < (uint32_t)SYSTEM_BRANCHES);
    assert_true(SYSTEM_BRANCHES < SYSTEM_NAMES && SYSTEM_SPACES < SYSTEM_LOG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_prefix_gives_its_branch_and_space_back),
        cmocka_unit_test(prefixes_sort_by_branch_then_space_then_kind),
        cmocka_unit_test(spaces_of_the_system_lie_above_those_of_users),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
