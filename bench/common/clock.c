#define _POSIX_C_SOURCE 200809L

#include "clock.h"

#include <time.h>

static uint64_t time_of(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t clock_ns(void)
{
    return time_of(CLOCK_MONOTONIC);
}

double clock_seconds(void)
{
    return (double)clock_ns() * 1e-9;
}

double clock_cpu_seconds(void)
{
    return (double)time_of(CLOCK_PROCESS_CPUTIME_ID) * 1e-9;
}

double clock_thread_cpu_seconds(void)
{
    return (double)time_of(CLOCK_THREAD_CPUTIME_ID) * 1e-9;
}

void clock_sleep_ms(unsigned milliseconds)
{
    const struct timespec pause = {.tv_sec = (time_t)(milliseconds / 1000),
                                   .tv_nsec = (long)(milliseconds % 1000) * 1000000};
    nanosleep(&pause, NULL);
}
