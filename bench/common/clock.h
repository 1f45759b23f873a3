/* Time, and the processor's share in it. */
#ifndef STRATA_BENCH_CLOCK_H
#define STRATA_BENCH_CLOCK_H

#include <stdint.h>

uint64_t clock_ns(void); /* Monotonic. */
double clock_seconds(void);
double clock_cpu_seconds(void);        /* Of all threads of this process, ended ones too. */
double clock_thread_cpu_seconds(void); /* Of the calling thread. */
void clock_sleep_ms(unsigned milliseconds);

#endif
