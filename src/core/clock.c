#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif

#include "core/clock.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>

enum { WAIT_SLICE_US = 10000 };

static int64_t clock_read_us(clockid_t id)
{
    struct timespec now = {0};
    const int error = clock_gettime(id, &now);
    assert(error == 0);
    (void)error;
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t system_wall_us(void *context)
{
    (void)context;
    return clock_read_us(CLOCK_REALTIME);
}

static int64_t system_monotonic_us(void *context)
{
    (void)context;
    return clock_read_us(CLOCK_MONOTONIC);
}

static bool is_woken(const volatile int32_t *wake)
{
    return wake != NULL && __atomic_load_n(wake, __ATOMIC_ACQUIRE) != 0;
}

static void system_wait(void *context, int64_t until_us, const volatile int32_t *wake)
{
    for (;;) {
        const int64_t now_us = system_monotonic_us(context);
        if (now_us >= until_us || is_woken(wake))
            return;
        const int64_t left_us = until_us - now_us;
        const int64_t slice_us = left_us < WAIT_SLICE_US ? left_us : WAIT_SLICE_US;
        assert(slice_us > 0);
        const struct timespec slice = {.tv_nsec = (long)slice_us * 1000};
        (void)nanosleep(&slice, NULL); /* Cut short by a signal: the loop looks again. */
    }
}

const strata_clock *clock_system(void)
{
    static const strata_clock clock = {
        .wall_us = system_wall_us, .monotonic_us = system_monotonic_us, .wait = system_wait};
    return &clock;
}

static int clock_year_days(int year)
{
    const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return leap ? 366 : 365;
}

static int clock_month_days(int year, int month)
{
    static const int days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    assert(month >= 1 && month <= 12);
    return days[month - 1] + (month == 2 && clock_year_days(year) == 366);
}

void clock_text(int64_t wall_us, char out[CLOCK_TEXT_SIZE])
{
    const int64_t seconds = wall_us / 1000000;
    const int64_t day_seconds = 86400;
    const int64_t days_end = 2932897; /* Of 10000-01-01, from 1970-01-01 on. */
    if (wall_us < 0 || seconds / day_seconds >= days_end) {
        snprintf(out, CLOCK_TEXT_SIZE, "an unknown time");
        return;
    }
    int days = (int)(seconds / day_seconds);
    const int second = (int)(seconds % day_seconds);
    int year = 1970, month = 1;
    for (; days >= clock_year_days(year); year++)
        days -= clock_year_days(year);
    for (; days >= clock_month_days(year, month); month++)
        days -= clock_month_days(year, month);
    snprintf(out, CLOCK_TEXT_SIZE, "%04u-%02u-%02uT%02u:%02u:%02uZ", (unsigned)year % 10000,
             (unsigned)month % 100, (unsigned)(days + 1) % 100, (unsigned)second / 3600 % 100,
             (unsigned)second / 60 % 60, (unsigned)second % 60);
}
