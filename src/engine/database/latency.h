/* How long things take, counted in classes whose bounds lie a quarter of a power of two apart. */
#ifndef STRATA_ENGINE_DATABASE_LATENCY_H
#define STRATA_ENGINE_DATABASE_LATENCY_H

#include <stdatomic.h>
#include <stdint.h>

enum { LATENCY_CLASSES = 160 };

/* Any thread. */
struct latency {
    _Atomic uint64_t classes[LATENCY_CLASSES];
    _Atomic uint64_t sum_us;
    _Atomic uint64_t maximum_us;
};

void latency_add(struct latency *latency, uint64_t us);

/* What a histogram comes to; all 0 without samples. */
struct latency_summary {
    uint64_t samples;
    double mean, p50, p99, p999, maximum;
};

void latency_summarize(const struct latency *latency, struct latency_summary *out);

#endif
