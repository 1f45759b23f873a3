#include "core/random.h"
#include "support.h"

/* The published test values of splitmix64 for this seed. */
static void the_sequence_is_that_of_splitmix64(void **state)
{
    (void)state;
    static const uint64_t expected[] = {6457827717110365317u, 3203168211198807973u,
                                        9817491932198370423u, 4593380528125082431u,
                                        16408922859458223821u};
    struct random random = {.state = 1234567};
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
        assert_true(random_next(&random) == expected[i]);
}

static void a_seed_replays_its_sequence(void **state)
{
    (void)state;
    struct random first = {.state = 42};
    struct random second = {.state = 42};
    for (int i = 0; i < 1000; i++)
        assert_true(random_next(&first) == random_next(&second));
}

static void system_seeds_differ_and_are_not_zero(void **state)
{
    (void)state;
    const uint64_t first = random_system_seed();
    const uint64_t second = random_system_seed();
    assert_true(first != 0 && second != 0);
    assert_true(first != second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sequence_is_that_of_splitmix64),
        cmocka_unit_test(a_seed_replays_its_sequence),
        cmocka_unit_test(system_seeds_differ_and_are_not_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
