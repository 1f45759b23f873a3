/* Frames of parts in memory, under a bound, each checked once on its way in.
 *
 * A pinned frame stays, and does not change, until it is unpinned. Sixteen shards (one, if small), each with a lock
 * that is held for a few pointer moves and never during I/O; writers never take them. Replacement is
 * CLOCK. Frames that do not fit beside what is pinned are read all the same and freed when unpinned.
 */
#ifndef STRATA_TABLE_CACHE_H
#define STRATA_TABLE_CACHE_H

#include "core/lock.h"
#include "format/frame.h"

#include <stdatomic.h>

enum { CACHE_SHARDS = 16 };

#define CACHE_LISTED ((uint32_t)1 << 31)

/* Private but for `frame`. */
struct cached_frame {
    struct frame frame;
    uint64_t part;
    uint32_t unit;
    uint32_t size; /* Bytes of this block of memory. */
    _Atomic uint32_t
        pins;  /* And CACHE_LISTED, if it is in the table; else it goes with its last pin. */
    bool used; /* Since the hand last came by. Guarded by the shard's lock. */
    struct cached_frame *chain;
    struct cached_frame *before, *after; /* The clock. */
};

struct cache_shard {
    struct mutex lock;
    struct cached_frame **buckets;
    size_t bucket_count; /* A power of two. */
    struct cached_frame *hand;
    size_t frame_count;
    size_t bytes; /* Of the frames listed. */
};

struct cache {
    const strata_allocator *allocator;
    size_t shard_bytes_max;
    uint32_t shard_count; /* In use. */
    struct cache_shard shards[CACHE_SHARDS];
    _Atomic uint64_t hits;
    _Atomic uint64_t misses;
    _Atomic uint64_t pinned_bytes;
};

STRATA_CHECKED strata_status cache_init(struct cache *cache, const strata_allocator *allocator,
                                        size_t bytes_max);

/* Nothing is pinned. Fine on a zeroed struct. */
void cache_destroy(struct cache *cache);

struct part; /* table/part_reader.h */

/* The frame of `part` that starts at `unit`, pinned. Fails as part_read_frame. */
STRATA_CHECKED strata_status cache_get(struct cache *cache, struct part *part, uint32_t unit,
                                       struct cached_frame **out);

/* NULL is fine. Any thread. */
void cache_unpin(struct cache *cache, struct cached_frame *frame);

/* Another pin on a pinned frame. */
void cache_pin(struct cache *cache, struct cached_frame *frame);

/* Drops the frames of a part that is gone. */
void cache_forget(struct cache *cache, uint64_t part);

#endif
