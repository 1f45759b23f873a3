/* The frames of one part that a large cache holds, by the unit that they start at.
 *
 * An array of pages, each of slots for 512 units; a page is there while a frame of its units is. A
 * slot is the frame's address, and in its low bits what readers want to know before they touch the
 * frame. Readers are inside an epoch and take no lock: pages and frames that are taken out are freed
 * when they have left. Changes are made under the lock of the cache. */
#ifndef STRATA_TABLE_FRAME_MAP_H
#define STRATA_TABLE_FRAME_MAP_H

#include "table/cache.h"

#include <assert.h>

enum { FRAME_PAGE_UNITS = 512 };

/* The low bits of a slot. */
enum {
    SLOT_USED = 1,    /* Since the hand last came by. */
    SLOT_ROWS = 2,    /* A frame of rows. */
    SLOT_BUCKETS = 4, /* A frame with all buckets that its part has in that unit. */
    SLOT_UNITS = 8,   /* Times its units; 0 of them if they are more than SLOT_UNITS_MAX. */
    SLOT_UNITS_MAX = 7,
    SLOT_BITS = CACHED_FRAME_ALIGNMENT - 1
};
static_assert(SLOT_UNITS * SLOT_UNITS_MAX + SLOT_UNITS - 1 == SLOT_BITS, "all bits are in use");

struct part; /* table/part_reader.h */

struct frame_page {
    _Atomic uintptr_t slots[FRAME_PAGE_UNITS];
    _Atomic(struct frame_page *) *link; /* Where the map has it. */
    uint32_t count;                     /* Of frames. */
};

struct frame_map {
    _Atomic(struct frame_page *) *pages; /* NULL: the cache is small. */
    uint32_t page_count;
};

/* For a part of `units` units, empty; none at all if the cache is small. */
STRATA_CHECKED strata_status frame_map_init(struct frame_map *map, const struct cache *cache,
                                            uint64_t units);

/* Drops the frames of a part that no reader can find any more. Fine on a zeroed map. */
void frame_map_release(struct frame_map *map, struct cache *cache);

/* The slot of `unit`, 0 if the frame is not there. Inside an epoch. */
static inline uintptr_t frame_map_slot(const struct frame_map *map, uint32_t unit)
{
    const uint32_t index = unit / FRAME_PAGE_UNITS;
    if (index >= map->page_count)
        return 0;
    struct frame_page *page = atomic_load_explicit(&map->pages[index], memory_order_acquire);
    if (page == NULL)
        return 0;
    return atomic_load_explicit(&page->slots[unit % FRAME_PAGE_UNITS], memory_order_acquire);
}

static inline struct cached_frame *slot_frame(uintptr_t slot)
{
    return (struct cached_frame *)(slot & ~(uintptr_t)SLOT_BITS);
}

/* The units of its frame, 0 if they are many. */
static inline uint32_t slot_units(uintptr_t slot)
{
    return (uint32_t)(slot & SLOT_BITS) / SLOT_UNITS;
}

/* Has fetched what a search in the frame at `unit` will read, if it is there. */
void frame_map_prefetch(const struct part *part, uint32_t unit);

/* Marks a slot that was found without SLOT_USED. */
void frame_map_use(struct frame_map *map, uint32_t unit, uintptr_t slot);

/* The frame of `part`, which is ready, at `unit`; reads it if it is not there. Inside an epoch. */
STRATA_CHECKED strata_status frame_map_borrow(struct cache *cache, struct part *part, uint32_t unit,
                                              struct frame_loan *out);

/* Lists a copy of a frame of `part` that has been read and checked, unless it is there. False if that would
 * take more than is free. */
bool frame_map_offer(struct cache *cache, struct part *part, uint32_t unit,
                     const struct frame *frame);

/* Gives back the memory of a frame that was evicted while it was pinned, with its last pin. */
void frame_map_give_back(struct cache *cache, struct cached_frame *frame);

/* Drops all that a large cache has. No reader is left. */
void frame_map_end(struct cache *cache);

#endif
