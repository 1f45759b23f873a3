#include "core/clock.h"
#include "core/lock.h"
#include "support.h"

static int64_t now_us(void)
{
    const strata_clock *clock = clock_system();
    return clock->monotonic_us(clock->context);
}

static void monotonic_time_never_goes_back(void **state)
{
    (void)state;
    int64_t before_us = now_us();
    for (int i = 0; i < 10000; i++) {
        const int64_t us = now_us();
        assert_true(us >= before_us);
        before_us = us;
    }
}

static void wall_time_is_of_this_century(void **state)
{
    (void)state;
    const strata_clock *clock = clock_system();
    const int64_t year_2020_us = (int64_t)1577836800 * 1000000;
    assert_true(clock->wall_us(clock->context) > year_2020_us);
}

static void a_wait_lasts_until_its_time(void **state)
{
    (void)state;
    const strata_clock *clock = clock_system();
    const int32_t wake = 0;
    const int64_t until_us = now_us() + 25000;
    clock->wait(clock->context, until_us, &wake);
    assert_true(now_us() >= until_us);
    clock->wait(clock->context, now_us() + 1000, NULL);
    clock->wait(clock->context, 0, &wake);
    clock->wait(clock->context, INT64_MIN, &wake);
}

static void set_wake(void *context)
{
    int32_t *wake = context;
    const strata_clock *clock = clock_system();
    clock->wait(clock->context, now_us() + 5000, NULL);
    __atomic_store_n(wake, 1, __ATOMIC_RELEASE);
}

static void a_wake_ends_the_longest_wait(void **state)
{
    (void)state;
    const strata_clock *clock = clock_system();
    int32_t wake = 0;
    struct thread thread;
    assert_int_equal(thread_start(&thread, set_wake, &wake), STRATA_OK);
    clock->wait(clock->context, STRATA_FOREVER, &wake);
    thread_join(&thread);
    clock->wait(clock->context, INT64_MAX, &wake);
}

static void a_time_is_shown_as_a_date(void **state)
{
    (void)state;
    static const struct {
        int64_t us;
        const char *text;
    } cases[] = {
        {0, "1970-01-01T00:00:00Z"},
        {(int64_t)951782399 * 1000000 + 999999, "2000-02-28T23:59:59Z"},
        {(int64_t)951782400 * 1000000, "2000-02-29T00:00:00Z"},
        {1795175121524071, "2026-11-20T11:45:21Z"},
        {(int64_t)4107542400 * 1000000, "2100-03-01T00:00:00Z"},
        {(int64_t)253402300799 * 1000000, "9999-12-31T23:59:59Z"},
        {(int64_t)253402300800 * 1000000, "an unknown time"},
        {-1, "an unknown time"},
        {INT64_MAX, "an unknown time"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[CLOCK_TEXT_SIZE];
        clock_text(cases[i].us, text);
        assert_string_equal(text, cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(monotonic_time_never_goes_back),
        cmocka_unit_test(wall_time_is_of_this_century),
        cmocka_unit_test(a_wait_lasts_until_its_time),
        cmocka_unit_test(a_wake_ends_the_longest_wait),
        cmocka_unit_test(a_time_is_shown_as_a_date),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
