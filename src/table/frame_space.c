#include "table/frame_space.h"

#include "core/memory.h"

#include <assert.h>
#include <string.h>

enum {
    SPACE_ALIGNMENT = 64,
    SPACE_LOOKS_MAX = 16,
    SPACE_AREAS = 8, /* About so many areas, of a size within these bounds. */
    SPACE_AREA_BYTES_MIN = 256 * 1024,
    SPACE_AREA_BYTES_MAX = 32 * 1024 * 1024
};
static_assert(SPACE_AREA_BYTES_MAX / SPACE_GRANULE <= 1 << (SPACE_CLASSES + 2),
              "there is a class for a whole area");

/* At the beginning of an area's memory; then a bit for each granule, set if it is in use; then, aligned
 * to granules, these. */
struct frame_area {
    struct frame_area *next;
    uint8_t *first;
    size_t granule_count;
    size_t used_count;
    uint8_t used[];
};

/* A free block. The last eight bytes of its memory are its number of granules as well. */
struct space_block {
    struct frame_area *area;
    size_t granules;
    struct space_block *next, *previous;
};
static_assert(sizeof(struct space_block) + sizeof(size_t) <= SPACE_GRANULE,
              "the smallest block has room for what says that it is free");

void frame_space_init(struct frame_space *space, const strata_allocator *allocator,
                      size_t bytes_max)
{
    assert(allocator != NULL);
    *space = (struct frame_space){.allocator = allocator, .bytes_max = bytes_max};
    const size_t bytes = bytes_max / SPACE_AREAS;
    space->area_bytes = bytes < SPACE_AREA_BYTES_MIN   ? SPACE_AREA_BYTES_MIN
                        : bytes < SPACE_AREA_BYTES_MAX ? bytes
                                                       : SPACE_AREA_BYTES_MAX;
}

/* ---- lists of free blocks ---- */

/* The list for blocks of so many granules: below eight one each, above by the three bits that follow the
 * first. */
static void space_class(size_t granules, unsigned *class, unsigned *subclass)
{
    assert(granules > 0);
    if (granules < SPACE_SUBCLASSES) {
        *class = 0;
        *subclass = (unsigned)granules;
        return;
    }
    const unsigned bits = 63 - (unsigned)__builtin_clzll(granules);
    *class = bits - 2;
    *subclass = (unsigned)(granules >> (bits - 3)) & (SPACE_SUBCLASSES - 1);
    assert(*class < SPACE_CLASSES);
}

static size_t *space_block_end(struct space_block *block)
{
    void *end = (uint8_t *)block + block->granules * SPACE_GRANULE - sizeof(size_t);
    return end;
}

static void space_link(struct frame_space *space, struct space_block *block)
{
    unsigned class, subclass;
    space_class(block->granules, &class, &subclass);
    struct space_block **list = &space->free[class][subclass];
    block->previous = NULL;
    block->next = *list;
    if (*list != NULL)
        (*list)->previous = block;
    *list = block;
    *space_block_end(block) = block->granules;
    space->classes |= (uint32_t)1 << class;
    space->subclasses[class] |= (uint8_t)(1u << subclass);
}

static void space_unlink(struct frame_space *space, struct space_block *block)
{
    unsigned class, subclass;
    space_class(block->granules, &class, &subclass);
    struct space_block **list = &space->free[class][subclass];
    if (block->next != NULL)
        block->next->previous = block->previous;
    if (block->previous != NULL)
        block->previous->next = block->next;
    else
        *list = block->next;
    if (*list != NULL)
        return;
    space->subclasses[class] &= (uint8_t) ~(1u << subclass);
    if (space->subclasses[class] == 0)
        space->classes &= ~((uint32_t)1 << class);
}

/* A block of so many granules or more, or NULL: one of the list for that size, if a short look finds
 * one, else one of a list whose blocks all are larger. */
static struct space_block *space_fit(const struct frame_space *space, size_t granules)
{
    unsigned class, subclass;
    space_class(granules, &class, &subclass);
    struct space_block *block = space->free[class][subclass];
    for (unsigned looks = 0; block != NULL && looks < SPACE_LOOKS_MAX; looks++) {
        if (block->granules >= granules)
            return block;
        block = block->next;
    }
    uint32_t larger = (uint32_t)space->subclasses[class] >> subclass >> 1 << subclass << 1;
    if (larger == 0) {
        const uint32_t classes = space->classes >> class >> 1 << class << 1;
        if (classes == 0)
            return NULL;
        class = (unsigned)__builtin_ctz(classes);
        larger = space->subclasses[class];
    }
    return space->free[class][__builtin_ctz(larger)];
}

/* ---- areas ---- */

static void area_mark(struct frame_area *area, const uint8_t *from, size_t granules, bool used)
{
    const size_t first = (size_t)(from - area->first) / SPACE_GRANULE;
    assert(first + granules <= area->granule_count);
    /* Only the ends are ever asked for. */
    const size_t ends[2] = {first, first + granules - 1};
    for (unsigned i = 0; i < 2; i++) {
        const uint8_t bit = (uint8_t)(1u << ends[i] % 8);
        if (used)
            area->used[ends[i] / 8] |= bit;
        else
            area->used[ends[i] / 8] &= (uint8_t)~bit;
    }
}

/* Whether a granule that begins or ends a block is free. */
static bool area_is_free(const struct frame_area *area, size_t granule)
{
    assert(granule < area->granule_count);
    return (area->used[granule / 8] >> granule % 8 & 1) == 0;
}

static void area_add_free(struct frame_space *space, struct frame_area *area, uint8_t *from,
                          size_t granules)
{
    void *at = from;
    struct space_block *block = at;
    *block = (struct space_block){.area = area, .granules = granules};
    area_mark(area, from, granules, false);
    space_link(space, block);
}

static bool space_add_area(struct frame_space *space)
{
    if (space->area_bytes > space->bytes_max - space->area_count * space->area_bytes)
        return false;
    uint8_t *memory = allocate(space->allocator, space->area_bytes);
    if (memory == NULL)
        return false;
    const size_t bitmap = space->area_bytes / SPACE_GRANULE / 8 + 1;
    const uintptr_t begin = (uintptr_t)memory + sizeof(struct frame_area) + bitmap;
    const size_t past = begin % SPACE_ALIGNMENT;
    void *at = memory;
    struct frame_area *area = at;
    *area = (struct frame_area){.next = space->areas};
    memset(area->used, 0, bitmap);
    area->first =
        memory + sizeof(struct frame_area) + bitmap + (past == 0 ? 0 : SPACE_ALIGNMENT - past);
    area->granule_count = (space->area_bytes - (size_t)(area->first - memory)) / SPACE_GRANULE;
    space->areas = area;
    space->area_count++;
    area_add_free(space, area, area->first, area->granule_count);
    return true;
}

/* Gives an area back whose only block has been taken off its list. */
static void space_drop_area(struct frame_space *space, struct frame_area *area)
{
    assert(area->used_count == 0);
    struct frame_area **link = &space->areas;
    while (*link != area)
        link = &(*link)->next;
    *link = area->next;
    space->area_count--;
    release(space->allocator, area, space->area_bytes);
}

void frame_space_release(struct frame_space *space)
{
    assert(space->used_bytes == 0);
    while (space->areas != NULL)
        space_drop_area(space, space->areas);
}

/* ---- blocks ---- */

/* The area of a block in use, looked for among a few. */
static struct frame_area *space_area_of(const struct frame_space *space, const uint8_t *block)
{
    struct frame_area *area = space->areas;
    while ((uintptr_t)block - (uintptr_t)area >= space->area_bytes)
        area = area->next;
    return area;
}

void *frame_space_take(struct frame_space *space, size_t size)
{
    assert(size > 0);
    if (size > space->area_bytes / 2)
        return NULL;
    const size_t granules = frame_space_size(size) / SPACE_GRANULE;
    struct space_block *block = space_fit(space, granules);
    if (block == NULL && space_add_area(space))
        block = space_fit(space, granules);
    if (block == NULL)
        return NULL;
    assert(block->granules >= granules);
    space_unlink(space, block);
    struct frame_area *area = block->area;
    uint8_t *taken = (uint8_t *)block;
    const size_t left = block->granules - granules;
    if (left > 0)
        area_add_free(space, area, taken + granules * SPACE_GRANULE, left);
    area_mark(area, taken, granules, true);
    area->used_count += granules;
    space->used_bytes += granules * SPACE_GRANULE;
    return taken;
}

void frame_space_give(struct frame_space *space, void *block, size_t size)
{
    uint8_t *from = block;
    struct frame_area *area = space_area_of(space, from);
    size_t granules = frame_space_size(size) / SPACE_GRANULE;
    assert(area->used_count >= granules);
    assert((size_t)(from - area->first) % SPACE_GRANULE == 0);
    area->used_count -= granules;
    space->used_bytes -= granules * SPACE_GRANULE;
#ifndef NDEBUG
    memset(from, 0xdd, granules * SPACE_GRANULE); /* Whoever still reads it will notice. */
#endif
    const size_t first = (size_t)(from - area->first) / SPACE_GRANULE;
    if (first + granules < area->granule_count && area_is_free(area, first + granules)) {
        void *behind = from + granules * SPACE_GRANULE;
        struct space_block *after = behind;
        space_unlink(space, after);
        granules += after->granules;
    }
    if (first > 0 && area_is_free(area, first - 1)) {
        size_t before;
        memcpy(&before, from - sizeof(before), sizeof(before));
        from -= before * SPACE_GRANULE;
        void *in_front = from;
        space_unlink(space, in_front);
        granules += before;
    }
    if (area->used_count == 0 && space->area_count > 1)
        space_drop_area(space, area);
    else
        area_add_free(space, area, from, granules);
}
