/* An arena whose pieces have names of 32 bits, which cost half a pointer where there are many.
 *
 * Chunks are cut into spans of 2^shift bytes, numbered in the order in which they came; a name is
 *
 *     bits [shift - 3, 32)   number of the span
 *     bits [0, shift - 3)    offset in it, in steps of 8 bytes
 *
 * and 0 names nothing, because a chunk begins with its head. So a region names 32 GiB. Pieces never
 * move and are given back as a whole. One thread takes; any thread that came by a name through an
 * acquiring load may turn it into an address meanwhile. */
#ifndef STRATA_CORE_REGION_H
#define STRATA_CORE_REGION_H

#include "core/status.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum { REGION_STEP_BITS = 3, REGION_SPANS_FIRST = 8 };

struct region_chunk; /* Private. */
struct region_spans; /* Private. */

/* Invariants: total_bytes is what was taken from the allocator; the address of every span below
 * span_count is in `bases`; used_bytes counts in the newest chunk, `chunks`. */
struct region {
    const strata_allocator *allocator;
    _Atomic(uint8_t **) bases; /* first_bases, or those of `spans`. */
    unsigned shift;
    uint32_t span_count;
    uint32_t span_capacity;
    uint32_t first_span; /* Of the newest chunk. */
    struct region_chunk *chunks;
    struct region_chunk *spare; /* Comes next; NULL: none. The last spans are its. */
    struct region_spans *spans; /* All arrays of addresses, newest first: readers may use any. */
    size_t used_bytes;
    size_t total_bytes;
    uint8_t *first_bases[REGION_SPANS_FIRST];
};

/* Does not move afterwards. The size of an ordinary chunk is the largest power of two up to
 * `chunk_bytes`, which is at least 1 KiB. */
void region_init(struct region *region, const strata_allocator *allocator, size_t chunk_bytes);
void region_release(struct region *region);

/* `size` bytes aligned to 8, not zeroed, and their name; NULL when out of memory (no message). */
void *region_take(struct region *region, size_t size, uint32_t *name);

/* Makes sure that the next takes, of together at most `size` bytes when each is rounded up to 8,
 * cannot fail. Fails with STRATA_NO_MEMORY. */
STRATA_CHECKED strata_status region_reserve(struct region *region, size_t size);

/* Gives back what was reserved and is not needed. */
void region_trim(struct region *region);

/* The piece of a name that is not 0. */
static inline void *region_at(const struct region *region, uint32_t name)
{
    /* Acquires a newer array than the one that the name came with. */
    uint8_t *const *bases = atomic_load_explicit(&region->bases, memory_order_acquire);
    const unsigned bits = region->shift - REGION_STEP_BITS;
    const size_t offset = (size_t)(name & (((uint32_t)1 << bits) - 1)) << REGION_STEP_BITS;
    return bases[name >> bits] + offset;
}

#endif
