#include "engine/database/latency.h"

#include "support.h"

static void an_empty_histogram_is_zero(void **state)
{
    (void)state;
    static struct latency latency;
    struct latency_summary summary;
    latency_summarize(&latency, &summary);
    assert_int_equal(summary.samples, 0);
    assert_true(summary.mean == 0 && summary.p50 == 0 && summary.maximum == 0);
}

static void percentiles_are_within_an_eighth(void **state)
{
    (void)state;
    static struct latency latency;
    struct latency_summary summary;
    for (uint64_t us = 1; us <= 10000; us++)
        latency_add(&latency, us);
    latency_summarize(&latency, &summary);
    assert_int_equal(summary.samples, 10000);
    assert_true(summary.mean == 5000.5);
    assert_true(summary.maximum == 10000);
    assert_true(summary.p50 > 5000 * 0.85 && summary.p50 < 5000 * 1.15);
    assert_true(summary.p99 > 9900 * 0.85 && summary.p99 < 9900 * 1.15);
    assert_true(summary.p999 > 9990 * 0.85 && summary.p999 < 9990 * 1.15);
}

static void times_of_any_length_are_counted(void **state)
{
    (void)state;
    static struct latency latency;
    struct latency_summary summary;
    latency_add(&latency, 0);
    latency_summarize(&latency, &summary);
    assert_true(summary.p50 == 0);
    latency_add(&latency, UINT64_MAX);
    for (unsigned shift = 0; shift < 64; shift++)
        latency_add(&latency, (uint64_t)1 << shift);
    latency_summarize(&latency, &summary);
    assert_int_equal(summary.samples, 66);
    assert_true(summary.maximum > 1e19);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_histogram_is_zero),
        cmocka_unit_test(percentiles_are_within_an_eighth),
        cmocka_unit_test(times_of_any_length_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
