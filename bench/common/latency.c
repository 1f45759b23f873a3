#include "latency.h"

/* Below 64 a bucket is one nanosecond; above, each power of two has 32. */
static unsigned bucket_of(uint64_t ns)
{
    unsigned shift = 0;
    while (ns >> shift >= 64)
        shift++;
    const unsigned bucket = shift * 32 + (unsigned)(ns >> shift);
    return bucket < LATENCY_BUCKETS ? bucket : LATENCY_BUCKETS - 1;
}

static double bucket_middle(unsigned bucket)
{
    if (bucket < 64)
        return bucket;
    const unsigned shift = bucket / 32 - 1;
    return ((double)(bucket - shift * 32) + 0.5) * (double)(UINT64_C(1) << shift);
}

void latency_add(struct latency *latency, uint64_t ns)
{
    latency->counts[bucket_of(ns)]++;
    latency->total++;
    if (ns > latency->maximum)
        latency->maximum = ns;
}

void latency_merge(struct latency *into, const struct latency *from)
{
    for (unsigned i = 0; i < LATENCY_BUCKETS; i++)
        into->counts[i] += from->counts[i];
    into->total += from->total;
    if (from->maximum > into->maximum)
        into->maximum = from->maximum;
}

double latency_quantile(const struct latency *latency, double share)
{
    const double wanted = share * (double)latency->total;
    uint64_t seen = 0;
    for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
        seen += latency->counts[i];
        if (latency->counts[i] > 0 && (double)seen >= wanted) {
            const double middle = bucket_middle(i);
            return middle < (double)latency->maximum ? middle : (double)latency->maximum;
        }
    }
    return 0;
}
