/* Every single failure: of each operation of the backend, of each request for memory, and of a disk
 * that is full at any size. */
#include "fault/fault_run.h"

#include "support.h"

#include <errno.h>
#include <stdio.h>

static const char script[] = "4pCf3pdafkvCp2iD2paMp3tyx2p.+pC2mwp";

/* Runs take every stride-th fault, so that a slow build finishes; 1 takes all. */
enum { ALLOCATION_RUNS = 1500, OPERATION_RUNS = 3000, LIMIT_RUNS = 150 };

static struct fault_result measure(void)
{
    const struct fault_plan plan = {.script = script, .seed = 21};
    struct fault_result result;
    if (!fault_run(&plan, &result))
        fail_msg("without faults: %s", result.why);
    assert_int_equal(result.failed, 0);
    return result;
}

static uint64_t stride_of(uint64_t count, uint64_t runs)
{
    return count <= runs ? 1 : (count + runs - 1) / runs;
}

static void any_operation_of_the_backend_may_fail(void **state)
{
    (void)state;
    static const struct {
        int error;
        int effect;
        bool forever;
    } kinds[] = {
        {EIO, STRATA_EFFECT_UNKNOWN, false},    {EIO, STRATA_EFFECT_UNKNOWN, true},
        {EIO, STRATA_EFFECT_NONE, false},       {ENOSPC, STRATA_EFFECT_NONE, false},
        {ENOSPC, STRATA_EFFECT_UNKNOWN, false}, {ENOSPC, STRATA_EFFECT_NONE, true},
    };
    const size_t kind_count = sizeof(kinds) / sizeof(kinds[0]);
    const uint64_t operations = measure().operations;
    const uint64_t stride = stride_of(operations, OPERATION_RUNS / kind_count);
    uint64_t runs = 0, failed = 0;
    for (uint64_t at = 1; at <= operations; at += stride) {
        for (size_t i = 0; i < kind_count; i++) {
            struct fault_plan plan = {.script = script, .seed = 21};
            plan.fault = (struct sim_fault){.operation = at,
                                            .forever = kinds[i].forever,
                                            .error = kinds[i].error,
                                            .effect = kinds[i].effect,
                                            .seed = at};
            struct fault_result result;
            if (!fault_run(&plan, &result))
                fail_msg("operation %llu, kind %zu: %s", (unsigned long long)at, i, result.why);
            assert_true(result.injected > 0);
            failed += result.failed;
            runs++;
        }
    }
    print_message("%llu runs over %llu operations, %llu calls failed\n", (unsigned long long)runs,
                  (unsigned long long)operations, (unsigned long long)failed);
    assert_true(failed > 0);
}

static void any_request_for_memory_may_fail(void **state)
{
    (void)state;
    const uint64_t allocations = measure().allocations;
    const uint64_t stride = stride_of(allocations, ALLOCATION_RUNS / 2);
    uint64_t failed = 0;
    for (uint64_t at = 1; at <= allocations; at += stride) {
        for (int after = 0; after < 2; after++) {
            const struct fault_plan plan = {.script = script,
                                            .seed = 21,
                                            .allocation = at,
                                            .allocations_after_too = after != 0};
            struct fault_result result;
            if (!fault_run(&plan, &result))
                fail_msg("request %llu%s: %s", (unsigned long long)at,
                         after != 0 ? " and later" : "", result.why);
            failed += result.failed;
        }
    }
    print_message("%llu requests, every %llu, %llu calls failed\n", (unsigned long long)allocations,
                  (unsigned long long)stride, (unsigned long long)failed);
    assert_true(failed > 0);
}

static void the_disk_may_be_full_at_any_size(void **state)
{
    (void)state;
    const uint64_t peak = measure().peak;
    uint64_t failed = 0;
    for (uint64_t i = 1; i <= LIMIT_RUNS; i++) {
        const struct fault_plan plan = {
            .script = script, .seed = 21, .limit = 1 + peak * i / LIMIT_RUNS};
        struct fault_result result;
        if (!fault_run(&plan, &result))
            fail_msg("disk of %llu bytes: %s", (unsigned long long)plan.limit, result.why);
        failed += result.failed;
    }
    print_message("full at %d sizes up to %llu bytes, %llu calls failed\n", LIMIT_RUNS,
                  (unsigned long long)peak, (unsigned long long)failed);
    assert_true(failed > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_operation_of_the_backend_may_fail),
        cmocka_unit_test(any_request_for_memory_may_fail),
        cmocka_unit_test(the_disk_may_be_full_at_any_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
