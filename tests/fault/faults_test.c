/* Every single failure: of each operation of the backend, of each request for memory, and of a disk
 * that is full at any size. */
#include "fault/fault_run.h"
#include "simdisk/sim_random.h"

#include "support.h"

#include <errno.h>
#include <stdio.h>

static const char script[] = "4pCf3pdafkvCp2iD2paMp3tyx2p.+pC2mwp3pyR2py";

/* The address sanitizer makes a run several times slower: it gets a third of the faults, all others all. */
#ifdef __SANITIZE_ADDRESS__
enum { SHARE = 3 };
#else
enum { SHARE = 1 };
#endif

/* Runs take every stride-th fault, so that a slow build finishes; 1 takes all. */
enum {
    ALLOCATION_RUNS = 1500 / SHARE,
    OPERATION_RUNS = 3000 / SHARE,
    LIMIT_RUNS = 150 / SHARE,
    SCRIPTS = 120 / SHARE
};

/* A ring so small that the script fills it several times. */
enum { RING_BYTES = 8192 };

static struct fault_result measure(uint64_t ring_bytes)
{
    const struct fault_plan plan = {.script = script, .seed = 21, .ring_bytes = ring_bytes};
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

static void fail_each_operation(uint64_t ring_bytes)
{
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
    const uint64_t operations = measure(ring_bytes).operations;
    const uint64_t stride = stride_of(operations, OPERATION_RUNS / kind_count);
    uint64_t runs = 0, failed = 0;
    for (uint64_t at = 1; at <= operations; at += stride) {
        for (size_t i = 0; i < kind_count; i++) {
            struct fault_plan plan = {.script = script, .seed = 21, .ring_bytes = ring_bytes};
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

static void any_operation_of_the_backend_may_fail(void **state)
{
    (void)state;
    fail_each_operation(0);
}

/* Making it, and copying from it. */
static void any_operation_may_fail_with_a_ring(void **state)
{
    (void)state;
    fail_each_operation(RING_BYTES);
}

static void any_request_for_memory_may_fail(void **state)
{
    (void)state;
    const uint64_t allocations = measure(0).allocations;
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

static void fill_the_disk(uint64_t ring_bytes)
{
    const uint64_t peak = measure(ring_bytes).peak;
    uint64_t failed = 0;
    for (uint64_t i = 1; i <= LIMIT_RUNS; i++) {
        const struct fault_plan plan = {.script = script,
                                        .seed = 21,
                                        .limit = 1 + peak * i / LIMIT_RUNS,
                                        .ring_bytes = ring_bytes};
        struct fault_result result;
        if (!fault_run(&plan, &result))
            fail_msg("disk of %llu bytes: %s", (unsigned long long)plan.limit, result.why);
        failed += result.failed;
    }
    print_message("full at %d sizes up to %llu bytes, %llu calls failed\n", LIMIT_RUNS,
                  (unsigned long long)peak, (unsigned long long)failed);
    assert_true(failed > 0);
}

static void the_disk_may_be_full_at_any_size(void **state)
{
    (void)state;
    fill_the_disk(0);
    fill_the_disk(RING_BYTES);
}

static void draw_script(uint64_t *random, char *out, size_t length)
{
    static const char letters[] = "pppkkkddttaamxiefFnDrCCCMM....++yvwgRhl";
    for (size_t i = 0; i < length; i++)
        out[i] = letters[sim_below(random, sizeof(letters) - 1)];
    out[length] = '\0';
}

/* One fault at a random place of a random script. */
static void draw_plan(uint64_t seed, char *text, size_t length, struct fault_plan *out)
{
    static const int errors[] = {EIO, ENOSPC};
    uint64_t random = seed;
    draw_script(&random, text, length);
    *out = (struct fault_plan){
        .script = text, .seed = seed, .ring_bytes = sim_below(&random, 2) == 0 ? 0 : RING_BYTES};
    const uint64_t kind = sim_below(&random, 3);
    if (kind == 0) {
        out->allocation = 1 + sim_below(&random, 700);
        out->allocations_after_too = sim_below(&random, 2) == 0;
        return;
    }
    out->fault = (struct sim_fault){
        .operation = 1 + sim_below(&random, 250),
        .forever = sim_below(&random, 3) == 0,
        .error = errors[sim_below(&random, 2)],
        .effect = sim_below(&random, 2) == 0 ? STRATA_EFFECT_NONE : STRATA_EFFECT_UNKNOWN,
        .seed = seed,
    };
    if (kind == 2)
        out->fault.kinds = 1u << SIM_SYNC | 1u << SIM_SYNC_NAMES | 1u << SIM_APPEND;
}

/* STRATA_SEED replays one seed; STRATA_SEEDS sets how many there are. */
static void a_fault_may_strike_any_script(void **state)
{
    (void)state;
    enum { LENGTH = 45 };
    const char *one = getenv("STRATA_SEED"), *many = getenv("STRATA_SEEDS");
    const uint64_t first = one != NULL ? strtoull(one, NULL, 10) : 1;
    const uint64_t count = one != NULL ? 1 : (many != NULL ? strtoull(many, NULL, 10) : SCRIPTS);
    uint64_t failed = 0;
    for (uint64_t seed = first; seed < first + count; seed++) {
        char text[LENGTH + 1];
        struct fault_plan plan;
        struct fault_result result;
        draw_plan(seed, text, LENGTH, &plan);
        if (!fault_run(&plan, &result))
            fail_msg("seed %llu, script %s: %s", (unsigned long long)seed, text, result.why);
        failed += result.failed;
    }
    print_message("%llu scripts, %llu calls failed\n", (unsigned long long)count,
                  (unsigned long long)failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_operation_of_the_backend_may_fail),
        cmocka_unit_test(any_operation_may_fail_with_a_ring),
        cmocka_unit_test(any_request_for_memory_may_fail),
        cmocka_unit_test(the_disk_may_be_full_at_any_size),
        cmocka_unit_test(a_fault_may_strike_any_script),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
