/* Memory for the frames of a large cache: areas of many frames each, which the system can map in large
 * pages, so that finding a row costs few look-ups of addresses.
 *
 * Blocks of any size, in granules of 256 bytes; neighbours that are free are one block. Free blocks are
 * in lists by size: eight for each power of two. Source: Masmano and others, "TLSF: a new dynamic memory
 * allocator for real-time systems", 2004. Whoever uses it has a lock. */
#ifndef STRATA_TABLE_FRAME_SPACE_H
#define STRATA_TABLE_FRAME_SPACE_H

#include "core/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SPACE_GRANULE = 256, SPACE_CLASSES = 17, SPACE_SUBCLASSES = 8 };

struct frame_area;  /* Private. */
struct space_block; /* Private: a free one. */

/* Invariant: used_bytes <= area_count * area_bytes <= bytes_max. */
struct frame_space {
    const strata_allocator *allocator;
    size_t bytes_max;
    size_t area_bytes; /* Of each. */
    size_t area_count;
    size_t used_bytes;
    struct frame_area *areas;
    uint32_t classes; /* Those with a list that is not empty, a bit each; */
    uint8_t subclasses[SPACE_CLASSES];
    struct space_block *free[SPACE_CLASSES][SPACE_SUBCLASSES];
};

/* Takes no memory yet. */
void frame_space_init(struct frame_space *space, const strata_allocator *allocator,
                      size_t bytes_max);

/* All blocks are given back. */
void frame_space_release(struct frame_space *space);

/* A block of `size` > 0 bytes, aligned to 64; NULL if there is none, and none may be had. */
void *frame_space_take(struct frame_space *space, size_t size);

/* Gives back what was taken, of the same size. */
void frame_space_give(struct frame_space *space, void *block, size_t size);

/* What a block of `size` bytes takes of `used_bytes`. */
static inline size_t frame_space_size(size_t size)
{
    return (size + SPACE_GRANULE - 1) / SPACE_GRANULE * SPACE_GRANULE;
}

#endif
