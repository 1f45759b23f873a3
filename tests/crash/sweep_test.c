/* The crash sweep in small; the large one is the program `sweep`. */
#include "crash/sweeper.h"

#include "support.h"

#include <string.h>

/* Half of them with a ring for the log: the large sweep has all of them both ways. */
static void sweep_all(size_t first)
{
    for (size_t i = first; i < WORKLOAD_COUNT; i += 2) {
        struct sweep_options options = sweep_quick(11 + i);
        options.ring_bytes = first == 0 ? 0 : SWEEP_RING_BYTES;
        struct sweep_result result;
        sweep_workload(&workloads[i], &options, &result);
        print_message("%-14s %llu points, %llu states, %llu of a second crash\n", workloads[i].name,
                      (unsigned long long)result.points, (unsigned long long)result.states,
                      (unsigned long long)result.compound);
        assert_string_equal(result.why, "");
        assert_int_equal(result.violations, 0);
        assert_true(result.points > 0 && result.states > 0);
    }
}

static void every_state_after_a_crash_is_a_prefix_with_all_that_was_durable(void **state)
{
    (void)state;
    sweep_all(0);
}

static void every_state_after_a_crash_with_a_ring_is_such_a_prefix(void **state)
{
    (void)state;
    sweep_all(1);
}

/* The line where two lists of operations part, to be found in a debugger or a failing test's log. */
static void print_first_difference(const char *left, const char *right)
{
    size_t line = 0;
    for (size_t i = 0; left[i] != '\0' && left[i] == right[i]; i++) {
        if (left[i] == '\n')
            line = i + 1;
    }
    print_message("first: %.*s\nsecond: %.*s\n", (int)strcspn(left + line, "\n"), left + line,
                  (int)strcspn(right + line, "\n"), right + line);
}

static void the_same_seed_gives_the_same_backend_operations(void **state)
{
    (void)state;
    for (size_t i = 0; i < WORKLOAD_COUNT; i++) {
        char *lists[2] = {NULL, NULL};
        uint64_t hashes[2];
        struct sweep_options options = sweep_quick(3);
        options.ring_bytes = i % 2 == 0 ? 0 : SWEEP_RING_BYTES;
        for (size_t run = 0; run < 2; run++) {
            char why[400] = "";
            hashes[run] = sweep_record(&workloads[i], &options, &lists[run], why);
            assert_string_equal(why, "");
        }
        if (hashes[0] != hashes[1])
            print_first_difference(lists[0], lists[1]);
        assert_true(hashes[0] == hashes[1]);
        free(lists[0]);
        free(lists[1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_seed_gives_the_same_backend_operations),
        cmocka_unit_test(every_state_after_a_crash_is_a_prefix_with_all_that_was_durable),
        cmocka_unit_test(every_state_after_a_crash_with_a_ring_is_such_a_prefix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
