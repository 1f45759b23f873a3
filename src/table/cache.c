#include "table/cache.h"

#include "core/memory.h"
#include "table/part_reader.h"

#include <assert.h>

/* Below this size, sixteen shards would be too small to hold a few large frames each. */
enum { CACHE_SHARDED_BYTES_MIN = 1024 * 1024, CACHE_BUCKETS_MIN = 16 };

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

strata_status cache_init(struct cache *cache, const strata_allocator *allocator, size_t bytes_max)
{
    assert(allocator != NULL);

    *cache = (struct cache){.allocator = allocator};
    cache->shard_count = bytes_max < CACHE_SHARDED_BYTES_MIN ? 1 : CACHE_SHARDS;
    cache->shard_bytes_max = bytes_max / cache->shard_count;
    const size_t bucket_count = cache_bucket_count(cache->shard_bytes_max);
    for (unsigned i = 0; i < CACHE_SHARDS; i++)
        mutex_init(&cache->shards[i].lock);
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

static void cached_frame_free(const struct cache *cache, struct cached_frame *frame)
{
    assert((atomic_load_explicit(&frame->pins, memory_order_relaxed) & ~CACHE_LISTED) == 0);
    release(cache->allocator, frame, frame->size);
}

/* Puts the frame into the table, where the hand comes by last. Under the lock. */
static void cache_link(struct cache_shard *shard, struct cached_frame *frame, uint64_t hash)
{
    assert(frame->frame.bytes.length <= frame->size);
    assert((atomic_load_explicit(&frame->pins, memory_order_relaxed) & CACHE_LISTED) != 0);
    cache_shard_check(shard);
    struct cached_frame **bucket = cache_bucket_of(shard, hash);
    frame->chain = *bucket;
    *bucket = frame;
    if (shard->hand == NULL) {
        frame->before = frame->after = frame;
        shard->hand = frame;
    } else {
        frame->after = shard->hand;
        frame->before = shard->hand->before;
        frame->before->after = frame;
        frame->after->before = frame;
    }
    frame->used = false;
    shard->frame_count++;
    shard->bytes += frame->size;
    cache_shard_check(shard);
}

/* Under the lock. */
static void cache_unlink(struct cache_shard *shard, struct cached_frame *frame)
{
    assert(shard->frame_count > 0);
    assert(shard->bytes >= frame->size);
    cache_shard_check(shard);
    struct cached_frame **link = cache_bucket_of(shard, cache_hash(frame->part, frame->unit));
    while (*link != frame)
        link = &(*link)->chain;
    *link = frame->chain;
    if (shard->hand == frame)
        shard->hand = frame->after == frame ? NULL : frame->after;
    frame->before->after = frame->after;
    frame->after->before = frame->before;
    shard->frame_count--;
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
        frame = frame->chain;
    return frame;
}

void cache_destroy(struct cache *cache)
{
    if (cache->allocator == NULL)
        return;
    for (unsigned i = 0; i < CACHE_SHARDS; i++) {
        struct cache_shard *shard = &cache->shards[i];
        while (shard->hand != NULL) {
            struct cached_frame *frame = shard->hand;
            assert(atomic_load(&frame->pins) == CACHE_LISTED);
            cache_unlink(shard, frame);
            cached_frame_free(cache, frame);
        }
        release(cache->allocator, shard->buckets, shard->bucket_count * sizeof(shard->buckets[0]));
        mutex_destroy(&shard->lock);
    }
    *cache = (struct cache){0};
}

void cache_pin(struct cache *cache, struct cached_frame *frame)
{
    const uint32_t before = atomic_fetch_add_explicit(&frame->pins, 1, memory_order_relaxed);
    assert((before & ~CACHE_LISTED) > 0);
    (void)before, (void)cache;
}

/* A first or further pin. Under the lock, which is what keeps a frame without pins. */
static void cache_pin_found(struct cache *cache, struct cached_frame *frame)
{
    assert(frame->size > 0);
    const uint32_t before = atomic_fetch_add_explicit(&frame->pins, 1, memory_order_relaxed);
    if ((before & ~CACHE_LISTED) == 0)
        atomic_fetch_add_explicit(&cache->pinned_bytes, frame->size, memory_order_relaxed);
    frame->used = true;
}

void cache_unpin(struct cache *cache, struct cached_frame *frame)
{
    if (frame == NULL)
        return;
    /* Once the pin is gone a listed frame may be freed at any moment. */
    const uint32_t size = frame->size;
    const uint32_t before = atomic_fetch_sub_explicit(&frame->pins, 1, memory_order_acq_rel);
    assert((before & ~CACHE_LISTED) > 0);
    if ((before & ~CACHE_LISTED) > 1)
        return;
    const uint64_t pinned =
        atomic_fetch_sub_explicit(&cache->pinned_bytes, size, memory_order_relaxed);
    assert(pinned >= size);
    (void)pinned;
    if ((before & CACHE_LISTED) == 0)
        cached_frame_free(cache, frame);
}

/* Whether `shard` has room for `size` bytes, after dropping frames to `dropped` as need be. Each
 * frame is looked at twice at most: the first look may only clear `used`. Under the lock. */
static bool cache_make_room(const struct cache *cache, struct cache_shard *shard, size_t size,
                            struct cached_frame **dropped)
{
    assert(size > 0);
    if (size > cache->shard_bytes_max)
        return false;
    size_t looks = 2 * shard->frame_count;
    while (shard->bytes > cache->shard_bytes_max - size && looks > 0) {
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
        frame->chain = *dropped;
        *dropped = frame;
    }
    return shard->bytes <= cache->shard_bytes_max - size;
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
        fresh->chain = *dropped;
        *dropped = fresh;
        cache_pin_found(cache, listed);
        return listed;
    }
    if (cache_make_room(cache, shard, fresh->size, dropped)) {
        atomic_store_explicit(&fresh->pins, CACHE_LISTED, memory_order_relaxed);
        cache_pin_found(cache, fresh);
        cache_link(shard, fresh, hash);
    } else {
        cache_pin_found(cache, fresh);
    }
    return fresh;
}

static void cache_free_chain(const struct cache *cache, struct cached_frame *frame)
{
    while (frame != NULL) {
        struct cached_frame *chain = frame->chain;
        cached_frame_free(cache, frame);
        frame = chain;
    }
}

strata_status cache_get(struct cache *cache, struct part *part, uint32_t unit,
                        struct cached_frame **out)
{
    assert(cache->allocator != NULL);
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
        atomic_fetch_add_explicit(&cache->hits, 1, memory_order_relaxed);
        *out = found;
        return STRATA_OK;
    }

    atomic_fetch_add_explicit(&cache->misses, 1, memory_order_relaxed);
    struct cached_frame *fresh = NULL, *dropped = NULL;
    TRY(part_read_frame(part, unit, &fresh));
    assert(fresh->part == number && fresh->unit == unit);
    mutex_lock(&shard->lock);
    *out = cache_settle(cache, shard, fresh, &dropped);
    mutex_unlock(&shard->lock);
    cache_free_chain(cache, dropped);
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
    frame->chain = *dropped;
    *dropped = frame;
}

void cache_forget(struct cache *cache, uint64_t part)
{
    assert(cache->allocator != NULL);
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
