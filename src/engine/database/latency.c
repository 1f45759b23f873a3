#include "engine/database/latency.h"

/* Class of 0 to 7: the number itself; above, four classes to each power of two. */
static unsigned latency_class(uint64_t us)
{
    if (us < 8)
        return (unsigned)us;
    unsigned power = 3;
    while (us >> power >= 2)
        power++;
    const unsigned class = 8 + (power - 3) * 4 + (unsigned)(us >> (power - 2) & 3);
    return class < LATENCY_CLASSES ? class : LATENCY_CLASSES - 1;
}

/* The middle of a class. */
static double latency_of_class(unsigned class)
{
    if (class < 8)
        return (double)class;
    const unsigned power = 3 + (class - 8) / 4;
    const double quarter = (double)((uint64_t)1 << power) / 4;
    return quarter * (4 + (class - 8) % 4 + 0.5);
}

void latency_add(struct latency *latency, uint64_t us)
{
    atomic_fetch_add_explicit(&latency->classes[latency_class(us)], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&latency->sum_us, us, memory_order_relaxed);
    uint64_t maximum = atomic_load_explicit(&latency->maximum_us, memory_order_relaxed);
    while (maximum < us &&
           !atomic_compare_exchange_weak_explicit(&latency->maximum_us, &maximum, us,
                                                  memory_order_relaxed, memory_order_relaxed))
        continue;
}

/* The value that `rank` samples of the counts are at or below. */
static double latency_at(const uint64_t counts[LATENCY_CLASSES], uint64_t rank)
{
    uint64_t seen = 0;
    for (unsigned i = 0; i < LATENCY_CLASSES; i++) {
        seen += counts[i];
        if (seen >= rank)
            return latency_of_class(i);
    }
    return 0;
}

void latency_summarize(const struct latency *latency, struct latency_summary *out)
{
    uint64_t counts[LATENCY_CLASSES];
    *out = (struct latency_summary){.samples = 0};
    for (unsigned i = 0; i < LATENCY_CLASSES; i++) {
        counts[i] = atomic_load_explicit(&latency->classes[i], memory_order_relaxed);
        out->samples += counts[i];
    }
    if (out->samples == 0)
        return;
    const uint64_t samples = out->samples;
    out->mean =
        (double)atomic_load_explicit(&latency->sum_us, memory_order_relaxed) / (double)samples;
    out->maximum = (double)atomic_load_explicit(&latency->maximum_us, memory_order_relaxed);
    out->p50 = latency_at(counts, samples - samples / 2);
    out->p99 = latency_at(counts, samples - samples / 100);
    out->p999 = latency_at(counts, samples - samples / 1000);
}
