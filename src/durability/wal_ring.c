#include "durability/wal_ring.h"

#include <assert.h>

/* How much of [offset, offset + size) lies before the ring's end. */
static size_t ring_piece(const struct ring *ring, uint64_t offset, uint64_t size)
{
    const uint64_t left = ring->size - offset % ring->size;
    return (size_t)(size < left ? size : left);
}

void wal_ring_put(const struct ring *ring, uint64_t offset, struct bytes record)
{
    assert(record.length <= wal_ring_half(ring));
    const size_t first = ring_piece(ring, offset, record.length);
    memcpy(ring->bytes + offset % ring->size, record.data, first);
    if (first < record.length)
        memcpy(ring->bytes, record.data + first, record.length - first);
}

strata_status wal_ring_copy(const struct ring *ring, struct object *segment, uint64_t end)
{
    assert(segment->appended <= end);
    assert(end - segment->appended <= ring->size);
    while (segment->appended < end) {
        const uint64_t offset = segment->appended;
        const size_t piece = ring_piece(ring, offset, end - offset);
        TRY(object_append(segment, bytes_of(ring->bytes + offset % ring->size, piece)));
    }
    return STRATA_OK;
}
