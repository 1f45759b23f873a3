/* The allocator that a benchmark gives to libstrata, to hold it to its budget. */
#ifndef STRATA_BENCH_HEAP_H
#define STRATA_BENCH_HEAP_H

#include <stdatomic.h>
#include <stdint.h>

#include "strata.h"

/* All zero but for the allocator, which heap_init fills in. Counts the bytes that are live; any
 * thread. Stays where it is while it is in use. */
struct heap {
    strata_allocator allocator;
    _Atomic uint64_t live_bytes, peak_bytes;
};

void heap_init(struct heap *heap);

#endif
