/* A histogram of durations: buckets 1/32 wide of their size, so a quantile is right to 3 %. */
#ifndef STRATA_BENCH_LATENCY_H
#define STRATA_BENCH_LATENCY_H

#include <stdint.h>

enum { LATENCY_BUCKETS = 60 * 32 };

/* All zero is empty. One thread at a time. */
struct latency {
    uint64_t counts[LATENCY_BUCKETS];
    uint64_t total;
    uint64_t maximum; /* ns, exact */
};

void latency_add(struct latency *latency, uint64_t ns);
void latency_merge(struct latency *into, const struct latency *from);

/* In ns; `share` as 0.99. 0 if empty. */
double latency_quantile(const struct latency *latency, double share);

#endif
