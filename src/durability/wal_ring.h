/* The ring: the newest records of the active segment, in memory that outlives the process.
 *
 * What belongs at offset o of the segment lies at o modulo the ring's size, which is at least twice
 * what the segment lacks: bytes are overwritten only when the segment has them. Never synced, and
 * never the only place of anything that was called durable. For this folder only. */
#ifndef STRATA_DURABILITY_WAL_RING_H
#define STRATA_DURABILITY_WAL_RING_H

#include "backend/backend.h"

/* The most that the segment may lack. */
static inline uint64_t wal_ring_half(const struct ring *ring)
{
    return ring->size / 2;
}

/* Stores a record that belongs at `offset`; at most half the ring. */
void wal_ring_put(const struct ring *ring, uint64_t offset, struct bytes record);

/* Appends to the segment what it lacks up to `end`. After a failure it takes no further append. */
STRATA_CHECKED strata_status wal_ring_copy(const struct ring *ring, struct object *segment,
                                           uint64_t end);

#endif
