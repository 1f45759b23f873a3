/* Frames of parts in memory, under a bound, each checked once on its way in.
 *
 * A pinned frame stays, and does not change, until it is unpinned. Replacement is CLOCK, in shards with
 * a lock each that is held for a few pointer moves and never during I/O; writers never take them.
 * Frames that do not fit beside what is pinned are read all the same and freed when unpinned.
 *
 * A small cache is a hash table, and whoever reads a frame pins it. A large one has a map of the
 * frames of each part (table/frame_map.h), which readers inside an epoch read without a lock: a frame
 * that they find there stays until they leave it, and needs a pin to stay longer. It has one shard, whose
 * lock only misses take. */
#ifndef STRATA_TABLE_CACHE_H
#define STRATA_TABLE_CACHE_H

#include "core/epoch.h"
#include "core/lock.h"
#include "format/frame.h"
#include "table/frame_space.h"

#include <stdatomic.h>

enum {
    CACHE_SHARDS = 16,
    CACHE_STRIPES = 16,
    CACHE_LARGE_BYTES_MIN = 4 << 20,
    CACHED_FRAME_ALIGNMENT = 64 /* Of the struct and of the bytes: a bucket is one cache line. */
};

#define CACHE_LISTED ((uint32_t)1 << 31)

struct frame_page; /* table/frame_map.h */

/* Private but for `frame`. */
struct cached_frame {
    struct frame frame;
    uint64_t part;
    uint32_t unit;
    uint32_t size;         /* Bytes of the block of memory that it lies in, */
    uint8_t block_offset;  /* and how far from the block's start. */
    uint8_t stripe;        /* Where its pins count. */
    bool in_space;         /* The block is one of the large cache's. */
    bool used;             /* Since the hand last came by. Under the shard's lock; small caches. */
    _Atomic uint32_t pins; /* And CACHE_LISTED; without that it goes with its last pin. */
    struct cached_frame *before, *after; /* The clock; `after`, once evicted: evicted next. */
    union {
        struct cached_frame *chain; /* Small caches: in the hash table. */
        struct frame_page *page;    /* Large ones: where it is listed; then what goes with it. */
    } in;
    uint64_t epoch; /* Of its eviction. */
};

/* Where the bytes of every cached frame lie. */
enum {
    CACHED_FRAME_BYTES = (sizeof(struct cached_frame) + CACHED_FRAME_ALIGNMENT - 1) /
                         CACHED_FRAME_ALIGNMENT * CACHED_FRAME_ALIGNMENT
};

static inline uint8_t *cached_frame_bytes(struct cached_frame *frame)
{
    return (uint8_t *)frame + CACHED_FRAME_BYTES;
}

struct cache_shard {
    struct mutex lock;
    struct cached_frame **buckets; /* Small caches. */
    size_t bucket_count;           /* A power of two. */
    struct cached_frame *hand;
    size_t frame_count; /* Listed. */
    size_t bytes;       /* Of those; small caches. */
};

/* Counters of some threads or frames, apart from those of others. */
struct cache_stripe {
    _Atomic uint64_t hits;
    _Atomic uint64_t pinned_bytes;
    uint8_t apart[48];
};

struct cache {
    const strata_allocator *allocator;
    struct epochs *epochs;
    bool large;
    const _Atomic size_t *live_bytes; /* Of all that shares the memory; NULL: nothing else does. */
    size_t live_bytes_max;            /* With more a small cache gives way. */
    size_t shard_bytes_max;
    uint32_t shard_count; /* In use. */
    struct cache_shard shards[CACHE_SHARDS];

    /* Large caches, which have one shard. Under its lock: */
    struct frame_space space;     /* Of frames listed, evicted or pinned, and the pages of maps. */
    size_t evicted_bytes;         /* What readers may still see of what is not listed any more, */
    struct cached_frame *evicted; /* and those frames, oldest first. */
    struct cached_frame *evicted_last;

    _Atomic uint64_t misses;
    struct cache_stripe stripes[CACHE_STRIPES];
};

/* `epochs` are those of the readers of a large cache, from CACHE_LARGE_BYTES_MIN on. */
STRATA_CHECKED strata_status cache_init(struct cache *cache, const strata_allocator *allocator,
                                        struct epochs *epochs, size_t bytes_max);

/* From now on a small cache holds less where others need memory: as much as `*live_bytes` is above
 * `live_bytes_max`. Before the first use. */
void cache_share(struct cache *cache, const _Atomic size_t *live_bytes, size_t live_bytes_max);

/* Drops what a small cache holds too much now. Any thread. */
void cache_yield(struct cache *cache);

/* Nothing is pinned, no reader is inside. Fine on a zeroed struct. */
void cache_destroy(struct cache *cache);

struct part; /* table/part_reader.h */

/* The frame of `part` that starts at `unit`, pinned. Inside an epoch, if the cache is large. Fails as
 * part_read_frame. */
STRATA_CHECKED strata_status cache_get(struct cache *cache, struct part *part, uint32_t unit,
                                       struct cached_frame **out);

/* A frame to look at. */
struct frame_loan {
    struct cached_frame *frame;
    bool pinned; /* Else it lasts until the epoch ends. */
};

/* The same with a pin only where there has to be one. */
STRATA_CHECKED strata_status cache_borrow(struct cache *cache, struct part *part, uint32_t unit,
                                          struct frame_loan *out);

/* NULL is fine. Any thread. */
void cache_unpin(struct cache *cache, struct cached_frame *frame);

/* A pin on a pinned frame, or on one that was found in this epoch. */
void cache_pin(struct cache *cache, struct cached_frame *frame);

static inline void cache_return(struct cache *cache, struct frame_loan loan)
{
    if (loan.pinned)
        cache_unpin(cache, loan.frame);
}

/* Makes a loan last: the pin is the caller's. */
static inline struct cached_frame *cache_keep(struct cache *cache, struct frame_loan loan)
{
    if (!loan.pinned)
        cache_pin(cache, loan.frame);
    return loan.frame;
}

/* Drops the frames of a part that is gone. A large cache has none by then: frame_map_release. */
void cache_forget(struct cache *cache, uint64_t part);

/* Notes frames found without the cache's help. Where very many threads read, some are lost. */
void cache_count_hits(struct cache *cache, uint32_t count);

/* What it may hold, as it was made. */
static inline size_t cache_bytes_max(const struct cache *cache)
{
    return cache->shard_bytes_max * cache->shard_count;
}

uint64_t cache_hits(const struct cache *cache);
uint64_t cache_misses(const struct cache *cache);
uint64_t cache_pinned_bytes(const struct cache *cache);

/* ---- for the cache and its maps ---- */

/* A block for a frame of `bytes_size` bytes of `part`, without them; NULL when out of memory. */
struct cached_frame *cached_frame_create(const strata_allocator *allocator, uint64_t part,
                                         uint32_t unit, size_t bytes_size);

/* Of one that was made so. Nobody has it pinned. NULL is fine. */
void cached_frame_free(const strata_allocator *allocator, struct cached_frame *frame);

/* Puts a frame where the hand comes by last, takes one out. Under the shard's lock. */
void cache_ring_add(struct cache_shard *shard, struct cached_frame *frame);
void cache_ring_remove(struct cache_shard *shard, struct cached_frame *frame);

/* The pin that a frame which is not listed has from its reader. */
void cache_pin_first(struct cache *cache, struct cached_frame *frame);

#endif
