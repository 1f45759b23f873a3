#include "table/cache.h"

#include "core/memory.h"
#include "table/frame_map.h"
#include "table/part_reader.h"

#include <assert.h>

/* Below this size, sixteen shards would be too small to hold a few large frames each. */
enum { CACHE_SHARDED_BYTES_MIN = 1024 * 1024, CACHE_BUCKETS_MIN = 16 };

static_assert(CACHE_STRIPES <= UINT8_MAX, "a frame can name its stripe");
static_assert(CACHED_FRAME_ALIGNMENT <= UINT8_MAX, "and where its block begins");

/* ---- frames ---- */

struct cached_frame *cached_frame_create(const strata_allocator *allocator, uint64_t part,
                                         uint32_t unit, size_t bytes_size)
{
    assert(bytes_size > 0);
    const size_t size = CACHED_FRAME_ALIGNMENT - 1 + CACHED_FRAME_BYTES + bytes_size;
    uint8_t *block = allocate(allocator, size);
    if (block == NULL)
        return NULL;
    const size_t past = (uintptr_t)block % CACHED_FRAME_ALIGNMENT;
    const size_t offset = past == 0 ? 0 : CACHED_FRAME_ALIGNMENT - past;
    void *aligned = block + offset;
    struct cached_frame *frame = aligned;
    *frame = (struct cached_frame){.part = part,
                                   .unit = unit,
                                   .size = (uint32_t)size,
                                   .block_offset = (uint8_t)offset,
                                   .stripe = (uint8_t)(unit % CACHE_STRIPES)};
    atomic_init(&frame->pins, 0);
    return frame;
}

void cached_frame_free(const strata_allocator *allocator, struct cached_frame *frame)
{
    if (frame == NULL)
        return;
    assert(!frame->in_space);
    assert((atomic_load_explicit(&frame->pins, memory_order_relaxed) & ~CACHE_LISTED) == 0);
    release(allocator, (uint8_t *)frame - frame->block_offset, frame->size);
}

void cache_ring_add(struct cache_shard *shard, struct cached_frame *frame)
{
    assert((shard->hand == NULL) == (shard->frame_count == 0));
    assert((atomic_load_explicit(&frame->pins, memory_order_relaxed) & CACHE_LISTED) != 0);
    if (shard->hand == NULL) {
        frame->before = frame->after = frame;
        shard->hand = frame;
    } else {
        frame->after = shard->hand;
        frame->before = shard->hand->before;
        frame->before->after = frame;
        frame->after->before = frame;
    }
    shard->frame_count++;
}

void cache_ring_remove(struct cache_shard *shard, struct cached_frame *frame)
{
    assert(shard->frame_count > 0);
    if (shard->hand == frame)
        shard->hand = frame->after == frame ? NULL : frame->after;
    frame->before->after = frame->after;
    frame->after->before = frame->before;
    shard->frame_count--;
    assert((shard->hand == NULL) == (shard->frame_count == 0));
}

/* ---- pins ---- */

void cache_pin_first(struct cache *cache, struct cached_frame *frame)
{
    assert(atomic_load_explicit(&frame->pins, memory_order_relaxed) == 0);
    atomic_store_explicit(&frame->pins, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&cache->stripes[frame->stripe].pinned_bytes, frame->size,
                              memory_order_relaxed);
}

/* A first or further pin; something else keeps the frame meanwhile. Returns whether it is the first. */
static bool cache_add_pin(struct cache *cache, struct cached_frame *frame)
{
    assert(frame->size > 0);
    const uint32_t before = atomic_fetch_add_explicit(&frame->pins, 1, memory_order_relaxed);
    if ((before & ~CACHE_LISTED) > 0)
        return false;
    atomic_fetch_add_explicit(&cache->stripes[frame->stripe].pinned_bytes, frame->size,
                              memory_order_relaxed);
    return true;
}

void cache_pin(struct cache *cache, struct cached_frame *frame)
{
    const bool first = cache_add_pin(cache, frame);
    assert(cache->large || !first);
    (void)first;
}

/* Of a frame of a small cache, under the lock, which is what keeps a frame without pins. */
static void cache_pin_found(struct cache *cache, struct cached_frame *frame)
{
    (void)cache_add_pin(cache, frame);
    frame->used = true;
}

void cache_unpin(struct cache *cache, struct cached_frame *frame)
{
    if (frame == NULL)
        return;
    /* Once the pin is gone a listed frame may be freed at any moment. */
    const uint32_t size = frame->size;
    struct cache_stripe *stripe = &cache->stripes[frame->stripe];
    const uint32_t before = atomic_fetch_sub_explicit(&frame->pins, 1, memory_order_acq_rel);
    assert((before & ~CACHE_LISTED) > 0);
    if ((before & ~CACHE_LISTED) > 1)
        return;
    const uint64_t pinned =
        atomic_fetch_sub_explicit(&stripe->pinned_bytes, size, memory_order_relaxed);
    assert(pinned >= size);
    (void)pinned;
    if ((before & CACHE_LISTED) != 0)
        return;
    if (frame->in_space)
        frame_map_give_back(cache, frame);
    else
        cached_frame_free(cache->allocator, frame);
}

/* ---- counters ---- */

/* Which stripe this thread counts in: 0 if it has none yet. */
static _Thread_local uint32_t cache_stripe_taken;
static _Atomic uint32_t cache_stripes_given;

/* Threads that share a stripe may lose each other's counts: no matter, and a locked addition would
 * cost as much as the rest of a hit. */
void cache_count_hits(struct cache *cache, uint32_t count)
{
    if (cache_stripe_taken == 0)
        cache_stripe_taken = 1 + atomic_fetch_add(&cache_stripes_given, 1) % CACHE_STRIPES;
    _Atomic uint64_t *hits = &cache->stripes[cache_stripe_taken - 1].hits;
    const uint64_t before = atomic_load_explicit(hits, memory_order_relaxed);
    atomic_store_explicit(hits, before + count, memory_order_relaxed);
}

uint64_t cache_hits(const struct cache *cache)
{
    uint64_t hits = 0;
    for (unsigned i = 0; i < CACHE_STRIPES; i++)
        hits += atomic_load_explicit(&cache->stripes[i].hits, memory_order_relaxed);
    return hits;
}

uint64_t cache_misses(const struct cache *cache)
{
    return atomic_load_explicit(&cache->misses, memory_order_relaxed);
}

uint64_t cache_pinned_bytes(const struct cache *cache)
{
    uint64_t bytes = 0;
    for (unsigned i = 0; i < CACHE_STRIPES; i++)
        bytes += atomic_load_explicit(&cache->stripes[i].pinned_bytes, memory_order_relaxed);
    return bytes;
}

/* ---- small caches ---- */

static uint64_t cache_hash(uint64_t part, uint32_t unit)
{
    const uint64_t mixed = (part * 0x9e3779b97f4a7c15u ^ unit) * 0xbf58476d1ce4e5b9u;
    return mixed ^ mixed >> 32;
}

/* The low bits choose the shard, the others the bucket. */
static struct cache_shard *cache_shard_of(struct cache *cache, uint64_t hash)
{
    assert(cache->shard_count > 0);
    assert(cache->shard_count <= CACHE_SHARDS);
    return &cache->shards[hash % cache->shard_count];
}

static struct cached_frame **cache_bucket_of(const struct cache_shard *shard, uint64_t hash)
{
    assert(shard->bucket_count > 0);
    return &shard->buckets[hash / CACHE_SHARDS & (shard->bucket_count - 1)];
}

static void cache_shard_check(const struct cache_shard *shard)
{
    assert((shard->bucket_count & (shard->bucket_count - 1)) == 0);
    assert((shard->hand == NULL) == (shard->frame_count == 0));
    assert((shard->bytes == 0) == (shard->frame_count == 0));
    (void)shard;
}

/* Enough buckets that full chains of the smallest frames are short. */
static size_t cache_bucket_count(size_t shard_bytes_max)
{
    size_t count = CACHE_BUCKETS_MIN;
    while (count < shard_bytes_max / FRAME_UNIT_SIZE_MIN)
        count *= 2;
    return count;
}

strata_status cache_init(struct cache *cache, const strata_allocator *allocator,
                         struct epochs *epochs, size_t bytes_max)
{
    assert(allocator != NULL);
    assert(epochs != NULL);

    *cache = (struct cache){.allocator = allocator, .epochs = epochs};
    cache->large = bytes_max >= CACHE_LARGE_BYTES_MIN;
    cache->shard_count = cache->large || bytes_max < CACHE_SHARDED_BYTES_MIN ? 1 : CACHE_SHARDS;
    cache->shard_bytes_max = bytes_max / cache->shard_count;
    for (unsigned i = 0; i < CACHE_SHARDS; i++)
        mutex_init(&cache->shards[i].lock);
    if (cache->large) {
        frame_space_init(&cache->space, allocator, bytes_max);
        return STRATA_OK;
    }
    const size_t bucket_count = cache_bucket_count(cache->shard_bytes_max);
    for (unsigned i = 0; i < cache->shard_count; i++) {
        struct cache_shard *shard = &cache->shards[i];
        const size_t size = bucket_count * sizeof(shard->buckets[0]);
        shard->buckets = allocate_zeroed(allocator, size);
        if (shard->buckets == NULL) {
            cache_destroy(cache);
            return failure(STRATA_NO_MEMORY, "no memory for a cache of %zu bytes", bytes_max);
        }
        shard->bucket_count = bucket_count;
        cache_shard_check(shard);
    }
    return STRATA_OK;
}

/* Puts the frame into the table. Under the lock. */
static void cache_link(struct cache_shard *shard, struct cached_frame *frame, uint64_t hash)
{
    assert(frame->frame.bytes.length <= frame->size);
    cache_shard_check(shard);
    struct cached_frame **bucket = cache_bucket_of(shard, hash);
    frame->in.chain = *bucket;
    *bucket = frame;
    frame->used = false;
    cache_ring_add(shard, frame);
    shard->bytes += frame->size;
    cache_shard_check(shard);
}

/* Under the lock. */
static void cache_unlink(struct cache_shard *shard, struct cached_frame *frame)
{
    assert(shard->bytes >= frame->size);
    cache_shard_check(shard);
    struct cached_frame **link = cache_bucket_of(shard, cache_hash(frame->part, frame->unit));
    while (*link != frame)
        link = &(*link)->in.chain;
    *link = frame->in.chain;
    cache_ring_remove(shard, frame);
    shard->bytes -= frame->size;
    cache_shard_check(shard);
}

/* Under the lock. */
static struct cached_frame *cache_lookup(const struct cache_shard *shard, uint64_t hash,
                                         uint64_t part, uint32_t unit)
{
    assert(shard->buckets != NULL);
    struct cached_frame *frame = *cache_bucket_of(shard, hash);
    while (frame != NULL && (frame->unit != unit || frame->part != part))
        frame = frame->in.chain;
    return frame;
}

static void cache_destroy_small(struct cache *cache, struct cache_shard *shard)
{
    while (shard->hand != NULL) {
        struct cached_frame *frame = shard->hand;
        assert(atomic_load(&frame->pins) == CACHE_LISTED);
        cache_unlink(shard, frame);
        cached_frame_free(cache->allocator, frame);
    }
    release(cache->allocator, shard->buckets, shard->bucket_count * sizeof(shard->buckets[0]));
}

void cache_destroy(struct cache *cache)
{
    if (cache->allocator == NULL)
        return;
    if (cache->large)
        frame_map_end(cache);
    for (unsigned i = 0; i < CACHE_SHARDS; i++) {
        struct cache_shard *shard = &cache->shards[i];
        cache_destroy_small(cache, shard);
        mutex_destroy(&shard->lock);
    }
    *cache = (struct cache){0};
}

/* What a shard may hold now: what others lack is taken from it. Under the lock. */
static size_t cache_shard_limit(const struct cache *cache, const struct cache_shard *shard)
{
    if (cache->live_bytes == NULL)
        return cache->shard_bytes_max;
    const size_t live = atomic_load_explicit(cache->live_bytes, memory_order_relaxed);
    if (live <= cache->live_bytes_max)
        return cache->shard_bytes_max;
    const size_t lacking = (live - cache->live_bytes_max) / cache->shard_count + 1;
    const size_t held =
        shard->bytes < cache->shard_bytes_max ? shard->bytes : cache->shard_bytes_max;
    return held > lacking ? held - lacking : 0;
}

/* Drops frames to `dropped` until the shard holds `bytes_max` bytes, or what is pinned. Each frame is
 * looked at twice at most: the first look may only clear `used`. Under the lock. */
static void cache_shrink(struct cache_shard *shard, size_t bytes_max, struct cached_frame **dropped)
{
    size_t looks = 2 * shard->frame_count;
    while (shard->bytes > bytes_max && looks > 0) {
        looks--;
        struct cached_frame *frame = shard->hand;
        shard->hand = frame->after;
        if (frame->used) {
            frame->used = false;
            continue;
        }
        uint32_t unpinned = CACHE_LISTED;
        if (!atomic_compare_exchange_strong_explicit(&frame->pins, &unpinned, 0,
                                                     memory_order_acq_rel, memory_order_relaxed))
            continue;
        cache_unlink(shard, frame);
        frame->in.chain = *dropped;
        *dropped = frame;
    }
}

/* Whether `shard` has room for a frame of `size` bytes, which is in memory already, after dropping others
 * to `dropped` as need be. Under the lock. */
static bool cache_make_room(const struct cache *cache, struct cache_shard *shard, size_t size,
                            struct cached_frame **dropped)
{
    assert(size > 0);
    if (size > cache->shard_bytes_max)
        return false;
    const size_t limit = cache_shard_limit(cache, shard);
    const size_t most =
        limit < cache->shard_bytes_max - size ? limit : cache->shard_bytes_max - size;
    cache_shrink(shard, most, dropped);
    return shard->bytes <= most;
}

/* Gives `fresh`, or the frame that another thread listed meanwhile, a pin. What is left over goes to
 * `dropped`. Under the lock. */
static struct cached_frame *cache_settle(struct cache *cache, struct cache_shard *shard,
                                         struct cached_frame *fresh, struct cached_frame **dropped)
{
    assert(fresh->size > 0);
    assert(atomic_load_explicit(&fresh->pins, memory_order_relaxed) == 0);
    const uint64_t hash = cache_hash(fresh->part, fresh->unit);
    struct cached_frame *listed = cache_lookup(shard, hash, fresh->part, fresh->unit);
    if (listed != NULL) {
        fresh->in.chain = *dropped;
        *dropped = fresh;
        cache_pin_found(cache, listed);
        return listed;
    }
    if (cache_make_room(cache, shard, fresh->size, dropped)) {
        atomic_store_explicit(&fresh->pins, CACHE_LISTED, memory_order_relaxed);
        cache_pin_found(cache, fresh);
        cache_link(shard, fresh, hash);
    } else {
        cache_pin_first(cache, fresh);
    }
    return fresh;
}

static void cache_free_chain(const struct cache *cache, struct cached_frame *frame)
{
    while (frame != NULL) {
        struct cached_frame *chain = frame->in.chain;
        cached_frame_free(cache->allocator, frame);
        frame = chain;
    }
}

/* cache_get of a small cache. */
static strata_status cache_get_small(struct cache *cache, struct part *part, uint32_t unit,
                                     struct cached_frame **out)
{
    assert(part->store->cache == cache);
    const uint64_t number = part->info.number;
    const uint64_t hash = cache_hash(number, unit);
    struct cache_shard *shard = cache_shard_of(cache, hash);
    mutex_lock(&shard->lock);
    struct cached_frame *found = cache_lookup(shard, hash, number, unit);
    if (found != NULL)
        cache_pin_found(cache, found);
    mutex_unlock(&shard->lock);
    if (found != NULL) {
        cache_count_hits(cache, 1);
        *out = found;
        return STRATA_OK;
    }

    atomic_fetch_add_explicit(&cache->misses, 1, memory_order_relaxed);
    struct cached_frame *fresh, *dropped = NULL;
    TRY(part_read_frame(part, unit, &fresh));
    mutex_lock(&shard->lock);
    *out = cache_settle(cache, shard, fresh, &dropped);
    mutex_unlock(&shard->lock);
    cache_free_chain(cache, dropped);
    return STRATA_OK;
}

void cache_share(struct cache *cache, const _Atomic size_t *live_bytes, size_t live_bytes_max)
{
    assert(cache->allocator != NULL);
    cache->live_bytes = live_bytes;
    cache->live_bytes_max = live_bytes_max;
}

void cache_yield(struct cache *cache)
{
    if (cache->large || cache->live_bytes == NULL ||
        atomic_load_explicit(cache->live_bytes, memory_order_relaxed) <= cache->live_bytes_max)
        return;
    for (unsigned i = 0; i < cache->shard_count; i++) {
        struct cache_shard *shard = &cache->shards[i];
        struct cached_frame *dropped = NULL;
        mutex_lock(&shard->lock);
        cache_shrink(shard, cache_shard_limit(cache, shard), &dropped);
        mutex_unlock(&shard->lock);
        cache_free_chain(cache, dropped);
    }
}

strata_status cache_borrow(struct cache *cache, struct part *part, uint32_t unit,
                           struct frame_loan *out)
{
    assert(cache->allocator != NULL);
    if (cache->large)
        return frame_map_borrow(cache, part, unit, out);
    out->pinned = true;
    return cache_get_small(cache, part, unit, &out->frame);
}

strata_status cache_get(struct cache *cache, struct part *part, uint32_t unit,
                        struct cached_frame **out)
{
    struct frame_loan loan;
    TRY(cache_borrow(cache, part, unit, &loan));
    *out = cache_keep(cache, loan);
    return STRATA_OK;
}

/* Takes a frame of a part that is gone out of the table; one that is pinned goes with its last pin,
 * the others to `dropped`. Under the lock. */
static void cache_take_out(struct cache_shard *shard, struct cached_frame *frame,
                           struct cached_frame **dropped)
{
    assert(frame->after != NULL);
    cache_unlink(shard, frame);
    const uint32_t before =
        atomic_fetch_and_explicit(&frame->pins, ~CACHE_LISTED, memory_order_acq_rel);
    assert((before & CACHE_LISTED) != 0);
    if (before != CACHE_LISTED)
        return;
    frame->in.chain = *dropped;
    *dropped = frame;
}

void cache_forget(struct cache *cache, uint64_t part)
{
    assert(cache->allocator != NULL);
    if (cache->large)
        return;
    for (unsigned i = 0; i < cache->shard_count; i++) {
        struct cache_shard *shard = &cache->shards[i];
        struct cached_frame *dropped = NULL;
        mutex_lock(&shard->lock);
        struct cached_frame *frame = shard->hand;
        for (size_t left = shard->frame_count; left > 0; left--) {
            struct cached_frame *after = frame->after;
            if (frame->part == part)
                cache_take_out(shard, frame, &dropped);
            frame = after;
        }
        mutex_unlock(&shard->lock);
        cache_free_chain(cache, dropped);
    }
}
