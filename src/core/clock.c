#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif

#include "core/clock.h"

#include <assert.h>
#include <stdbool.h>
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
