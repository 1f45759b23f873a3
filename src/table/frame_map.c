#include "table/frame_map.h"

#include "core/memory.h"
#include "core/plant.h"
#include "core/prefetch.h"
#include "table/part_reader.h"

#include <assert.h>

/* Of what the cache may hold, this part is kept free of listed frames, so that there is room for new ones
 * while readers may still see those evicted last; and each eviction makes a part of that free. Evicted
 * frames that cannot go yet are never more than the last part. */
enum { RESERVE_SHARE = 16, BATCH_SHARE = 64, EVICTED_SHARE = 4 };

/* How many frames one eviction looks at before it takes those in use as well. */
enum { EVICTION_LOOKS_MAX = 64 };

/* So much of heads and offsets is fetched before a search. */
enum { HEADS_FETCHED_MAX = 24 * CACHED_FRAME_ALIGNMENT };

strata_status frame_map_init(struct frame_map *map, const struct cache *cache, uint64_t units)
{
    assert(map->pages == NULL);
    assert(units <= UINT32_MAX);
    if (!cache->large)
        return STRATA_OK;
    const uint32_t count = (uint32_t)((units + FRAME_PAGE_UNITS - 1) / FRAME_PAGE_UNITS);
    map->pages = allocate(cache->allocator, count * sizeof(map->pages[0]));
    if (map->pages == NULL)
        return failure(STRATA_NO_MEMORY, "no memory for a map of %u pages", count);
    for (uint32_t i = 0; i < count; i++)
        atomic_init(&map->pages[i], NULL);
    map->page_count = count;
    return STRATA_OK;
}

static struct cache_shard *map_shard(struct cache *cache)
{
    assert(cache->large);
    return &cache->shards[0];
}

void frame_map_use(struct frame_map *map, uint32_t unit, uintptr_t slot)
{
    struct frame_page *page =
        atomic_load_explicit(&map->pages[unit / FRAME_PAGE_UNITS], memory_order_acquire);
    /* Whatever else may have happened to the slot meanwhile, nothing is lost. */
    if (page != NULL)
        (void)atomic_compare_exchange_strong_explicit(&page->slots[unit % FRAME_PAGE_UNITS], &slot,
                                                      slot | SLOT_USED, memory_order_relaxed,
                                                      memory_order_relaxed);
}

void frame_map_prefetch(const struct part *part, uint32_t unit)
{
    const uintptr_t slot = frame_map_slot(&part->frames, unit);
    if (slot == 0)
        return;
    struct cached_frame *frame = slot_frame(slot);
    const uint8_t *bytes = cached_frame_bytes(frame);
    prefetch(frame);
    prefetch(&frame->frame.heads);
    prefetch(bytes);
    const uint8_t *heads = bytes + (size_t)slot_units(slot) * part->info.unit_size;
    if (heads == bytes)
        return;
    const uint32_t size =
        part->leaf_heads_size < HEADS_FETCHED_MAX ? part->leaf_heads_size : HEADS_FETCHED_MAX;
    for (uint32_t at = 0; at < size; at += CACHED_FRAME_ALIGNMENT)
        prefetch(heads + at);
}

/* ---- taking frames out: under the lock ---- */

static size_t evicted_size(const struct cached_frame *frame)
{
    return frame_space_size(frame->size) +
           (frame->in.page != NULL ? frame_space_size(sizeof(struct frame_page)) : 0);
}

/* Takes a frame out of its map and off the clock. If its page has no other, that goes with it. */
static void map_unlist(struct cache *cache, struct cached_frame *frame)
{
    struct frame_page *page = frame->in.page;
    assert(page != NULL);
    assert(page->count > 0);
    cache_ring_remove(map_shard(cache), frame);
    atomic_store_explicit(&page->slots[frame->unit % FRAME_PAGE_UNITS], 0, memory_order_release);
    frame->in.page = NULL;
    if (--page->count == 0) {
        atomic_store_explicit(page->link, NULL, memory_order_release);
        frame->in.page = page;
    }
}

/* Frees what was unlisted and nobody sees any more, but for what is pinned. */
static void map_let_go(struct cache *cache, struct cached_frame *frame)
{
    assert(frame->in_space);
    if (frame->in.page != NULL)
        frame_space_give(&cache->space, frame->in.page, sizeof(struct frame_page));
    frame->in.page = NULL;
    const uint32_t before =
        atomic_fetch_and_explicit(&frame->pins, ~CACHE_LISTED, memory_order_acq_rel);
    assert((before & CACHE_LISTED) != 0);
    if (before == CACHE_LISTED)
        frame_space_give(&cache->space, frame, frame->size);
}

/* Frees the frames that were evicted before the epoch `oldest`, which no reader is left to see. */
static void map_reclaim(struct cache *cache, uint64_t oldest)
{
#if STRATA_PLANT == 18
    oldest = UINT64_MAX;
#endif
    while (cache->evicted != NULL && cache->evicted->epoch < oldest) {
        struct cached_frame *frame = cache->evicted;
        assert(cache->evicted_bytes >= evicted_size(frame));
        cache->evicted = frame->after;
        cache->evicted_bytes -= evicted_size(frame);
        map_let_go(cache, frame);
    }
    if (cache->evicted == NULL)
        cache->evicted_last = NULL;
}

/* The next frame to evict, or NULL if the hand came by none that could go. */
static struct cached_frame *map_choose(struct cache_shard *shard, unsigned *looks)
{
    while (shard->hand != NULL && *looks < 2 * EVICTION_LOOKS_MAX) {
        struct cached_frame *frame = shard->hand;
        _Atomic uintptr_t *slot = &frame->in.page->slots[frame->unit % FRAME_PAGE_UNITS];
        const bool tired = ++*looks > EVICTION_LOOKS_MAX;
        shard->hand = frame->after;
        if ((atomic_load_explicit(&frame->pins, memory_order_relaxed) & ~CACHE_LISTED) > 0)
            continue;
        if ((atomic_load_explicit(slot, memory_order_relaxed) & SLOT_USED) == 0 || tired)
            return frame;
        atomic_fetch_and_explicit(slot, ~(uintptr_t)SLOT_USED, memory_order_relaxed);
    }
    return NULL;
}

/* Evicts frames of `bytes` or a little more, or as many as can go. */
static void map_evict(struct cache *cache, size_t bytes)
{
    struct cached_frame *first = NULL, *last = NULL;
    const size_t before = cache->evicted_bytes;
    unsigned looks = 0;
    while (cache->evicted_bytes - before < bytes) {
        struct cached_frame *frame = map_choose(map_shard(cache), &looks);
        if (frame == NULL)
            break;
        map_unlist(cache, frame);
        cache->evicted_bytes += evicted_size(frame);
        frame->after = NULL;
        if (first == NULL)
            first = frame;
        else
            last->after = frame;
        last = frame;
    }
    if (first == NULL)
        return;
    const uint64_t epoch = epoch_advance(cache->epochs);
    for (struct cached_frame *frame = first; frame != NULL; frame = frame->after)
        frame->epoch = epoch;
    if (cache->evicted == NULL)
        cache->evicted = first;
    else
        cache->evicted_last->after = first;
    cache->evicted_last = last;
}

/* Keeps the reserve. */
static void map_make_room(struct cache *cache)
{
    const size_t most = cache->space.bytes_max;
    const size_t full = most - most / RESERVE_SHARE;
    if (cache->space.used_bytes > full && cache->evicted != NULL)
        map_reclaim(cache, epoch_oldest(cache->epochs));
    const size_t listed = cache->space.used_bytes - cache->evicted_bytes;
    if (listed > full)
        map_evict(cache, listed - full + most / BATCH_SHARE);
}

/* A block of the cache's memory; NULL if there is none now, and then there will soon be. */
static void *map_take(struct cache *cache, size_t size)
{
    map_make_room(cache);
    void *block = frame_space_take(&cache->space, size);
    if (block != NULL)
        return block;
    /* What is free is in small pieces, or readers that have been inside for long hold it up. */
    if (cache->evicted != NULL)
        map_reclaim(cache, epoch_oldest(cache->epochs));
    block = frame_space_take(&cache->space, size);
    if (block == NULL && cache->evicted_bytes < cache->space.bytes_max / EVICTED_SHARE)
        map_evict(cache, 2 * size);
    return block;
}

void frame_map_give_back(struct cache *cache, struct cached_frame *frame)
{
    struct cache_shard *shard = map_shard(cache);
    mutex_lock(&shard->lock);
    frame_space_give(&cache->space, frame, frame->size);
    mutex_unlock(&shard->lock);
}

/* ---- listing ---- */

/* What a slot says of a frame. */
static uintptr_t map_tags(const struct part *part, const struct cached_frame *frame)
{
    const uint32_t units = frame->frame.units;
    if (frame->frame.kind == FRAME_ROWS || frame->frame.kind == FRAME_INDEX)
        return (frame->frame.kind == FRAME_ROWS ? SLOT_ROWS : 0) |
               (units <= SLOT_UNITS_MAX ? units * SLOT_UNITS : 0);
    if (frame->frame.kind != FRAME_BUCKETS || frame->unit < part->bucket_unit)
        return 0;
    const uint64_t per_unit = buckets_per_unit(part->info.unit_size);
    const uint64_t before = (frame->unit - part->bucket_unit) * per_unit;
    if (before >= part->bucket_count)
        return 0;
    const uint64_t left = part->bucket_count - before;
    const uint64_t here = left < per_unit ? left : per_unit;
    return frame->frame.used >= BUCKETS_OFFSET + here * BUCKET_SIZE ? SLOT_BUCKETS : 0;
}

/* The page of `unit`, which is made if there is none; NULL when out of memory. Under the lock. */
static struct frame_page *map_page(struct cache *cache, struct frame_map *map, uint32_t unit)
{
    _Atomic(struct frame_page *) *link = &map->pages[unit / FRAME_PAGE_UNITS];
    struct frame_page *page = atomic_load_explicit(link, memory_order_relaxed);
    if (page != NULL)
        return page;
    page = map_take(cache, sizeof(*page));
    if (page == NULL)
        return NULL;
    for (unsigned i = 0; i < FRAME_PAGE_UNITS; i++)
        atomic_init(&page->slots[i], 0);
    page->link = link;
    page->count = 0;
    atomic_store_explicit(link, page, memory_order_release);
    return page;
}

static size_t map_heads_size(const struct frame *frame)
{
    return frame->row_count < FRAME_HEADED_ROWS_MIN
               ? 0
               : frame_heads_size((enum frame_kind)frame->kind, frame->row_count);
}

/* A block for a copy of `fresh`; NULL if the frame is listed by now, or there is no room. */
static struct cached_frame *map_take_copy(struct cache *cache, struct part *part,
                                          const struct cached_frame *fresh)
{
    const struct frame *frame = &fresh->frame;
    const size_t size = CACHED_FRAME_BYTES + frame->bytes.length + map_heads_size(frame);
    struct cache_shard *shard = map_shard(cache);
    struct cached_frame *copy = NULL;
    mutex_lock(&shard->lock);
    if (frame_map_slot(&part->frames, fresh->unit) == 0)
        copy = map_take(cache, size);
    mutex_unlock(&shard->lock);
    if (copy != NULL)
        *copy = (struct cached_frame){.frame = *frame,
                                      .part = fresh->part,
                                      .unit = fresh->unit,
                                      .size = (uint32_t)size,
                                      .stripe = fresh->stripe,
                                      .in_space = true};
    return copy;
}

static void map_fill_copy(struct cached_frame *copy, const struct cached_frame *fresh)
{
    const struct frame *frame = &fresh->frame;
    uint8_t *bytes = cached_frame_bytes(copy);
    atomic_init(&copy->pins, CACHE_LISTED);
    memcpy(bytes, frame->bytes.data, frame->bytes.length);
    frame_move(&copy->frame, bytes);
    if (map_heads_size(frame) > 0)
        frame_add_heads(&copy->frame, bytes + frame->bytes.length);
}

/* Lists `copy`, if it is not NULL, there is memory, and no other thread has done so meanwhile; else
 * gives it back. Returns what is listed, or NULL. */
static struct cached_frame *map_list(struct cache *cache, struct part *part, uint32_t unit,
                                     struct cached_frame *copy)
{
    struct cache_shard *shard = map_shard(cache);
    mutex_lock(&shard->lock);
    const uintptr_t slot = frame_map_slot(&part->frames, unit);
    struct frame_page *page =
        slot != 0 || copy == NULL ? NULL : map_page(cache, &part->frames, unit);
    struct cached_frame *listed = slot != 0 ? slot_frame(slot) : NULL;
    if (page != NULL) {
        listed = copy;
        copy->in.page = page;
        page->count++;
        cache_ring_add(shard, copy);
        atomic_store_explicit(&page->slots[unit % FRAME_PAGE_UNITS],
                              (uintptr_t)copy | map_tags(part, copy), memory_order_release);
    } else if (copy != NULL) {
        frame_space_give(&cache->space, copy, copy->size);
    }
    mutex_unlock(&shard->lock);
    return listed;
}

/* Reads the frame, and lists it if there is room. */
static strata_status map_load(struct cache *cache, struct part *part, uint32_t unit,
                              struct frame_loan *out)
{
    struct cached_frame *fresh;
    atomic_fetch_add_explicit(&cache->misses, 1, memory_order_relaxed);
    TRY(part_read_frame(part, unit, &fresh));
    struct cached_frame *copy = map_take_copy(cache, part, fresh);
    if (copy != NULL)
        map_fill_copy(copy, fresh);
    struct cached_frame *listed = map_list(cache, part, unit, copy);
    if (listed != NULL) {
        cached_frame_free(cache->allocator, fresh);
        *out = (struct frame_loan){.frame = listed};
    } else {
        cache_pin_first(cache, fresh);
        *out = (struct frame_loan){.frame = fresh, .pinned = true};
    }
    return STRATA_OK;
}

/* Whether frames of a few units more fit in without one having to go. Under the lock. */
static bool map_has_room(const struct cache *cache, size_t size)
{
    const size_t most = cache->space.bytes_max;
    return cache->space.used_bytes + size + sizeof(struct frame_page) <=
           most - 2 * (most / RESERVE_SHARE);
}

bool frame_map_offer(struct cache *cache, struct part *part, uint32_t unit,
                     const struct frame *frame)
{
    const struct cached_frame fresh = {.frame = *frame,
                                       .part = part->info.number,
                                       .unit = unit,
                                       .stripe = (uint8_t)(unit % CACHE_STRIPES)};
    struct cache_shard *shard = map_shard(cache);
    mutex_lock(&shard->lock);
    const bool has_room = map_has_room(cache, frame->bytes.length + map_heads_size(frame));
    mutex_unlock(&shard->lock);
    if (!has_room)
        return false;
    struct cached_frame *copy = map_take_copy(cache, part, &fresh);
    if (copy == NULL)
        return true; /* It is there. */
    map_fill_copy(copy, &fresh);
    (void)map_list(cache, part, unit, copy);
    return true;
}

strata_status frame_map_borrow(struct cache *cache, struct part *part, uint32_t unit,
                               struct frame_loan *out)
{
    assert(part->store->cache == cache);
    assert(part->frames.pages != NULL);
    const uintptr_t slot = frame_map_slot(&part->frames, unit);
    if (slot == 0)
        return map_load(cache, part, unit, out);
    if ((slot & SLOT_USED) == 0)
        frame_map_use(&part->frames, unit, slot);
    cache_count_hits(cache, 1);
    *out = (struct frame_loan){.frame = slot_frame(slot)};
    return STRATA_OK;
}

/* ---- the end ---- */

/* With the last of its frames the page goes. */
static void map_release_page(struct cache *cache, struct frame_page *page)
{
    uint32_t left = page->count;
    for (unsigned i = 0; left > 0; i++) {
        assert(i < FRAME_PAGE_UNITS);
        const uintptr_t slot = atomic_load_explicit(&page->slots[i], memory_order_relaxed);
        if (slot == 0)
            continue;
        left--;
        map_unlist(cache, slot_frame(slot));
        map_let_go(cache, slot_frame(slot));
    }
}

void frame_map_release(struct frame_map *map, struct cache *cache)
{
    if (map->pages == NULL)
        return;
    struct cache_shard *shard = map_shard(cache);
    for (uint32_t i = 0; i < map->page_count; i++) {
        mutex_lock(&shard->lock);
        struct frame_page *page = atomic_load_explicit(&map->pages[i], memory_order_relaxed);
        if (page != NULL)
            map_release_page(cache, page);
        mutex_unlock(&shard->lock);
    }
    release(cache->allocator, map->pages, map->page_count * sizeof(map->pages[0]));
    *map = (struct frame_map){.pages = NULL};
}

void frame_map_end(struct cache *cache)
{
    struct cache_shard *shard = map_shard(cache);
    while (shard->hand != NULL) {
        struct cached_frame *frame = shard->hand;
        assert(atomic_load(&frame->pins) == CACHE_LISTED);
        map_unlist(cache, frame);
        map_let_go(cache, frame);
    }
    map_reclaim(cache, UINT64_MAX);
    assert(cache->evicted == NULL);
    frame_space_release(&cache->space);
}
