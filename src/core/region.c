#include "core/region.h"
#include "core/memory.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

enum { REGION_STEP = 1 << REGION_STEP_BITS, REGION_SHIFT_MIN = 10, REGION_SHIFT_MAX = 26 };

/* Followed by its pieces. */
struct region_chunk {
    _Alignas(8) struct region_chunk *next;
    size_t size; /* Of the whole chunk, this head included. */
};

enum { REGION_HEAD_SIZE = sizeof(struct region_chunk) };
static_assert(REGION_HEAD_SIZE % REGION_STEP == 0, "pieces follow the head aligned");

/* Addresses of spans. One that was outgrown stays for its readers. */
struct region_spans {
    struct region_spans *older;
    size_t size;
    uint8_t *bases[];
};

static void region_check(const struct region *region)
{
    assert(region->allocator != NULL);
    assert(region->chunks == NULL || region->total_bytes >= region->chunks->size);
    assert(region->chunks == NULL || region->used_bytes <= region->chunks->size);
    assert(region->chunks != NULL || region->spare == NULL);
    assert(region->span_count <= region->span_capacity);
    (void)region;
}

void region_init(struct region *region, const strata_allocator *allocator, size_t chunk_bytes)
{
    assert(allocator != NULL);
    assert(chunk_bytes >= (size_t)1 << REGION_SHIFT_MIN);
    *region = (struct region){
        .allocator = allocator, .shift = REGION_SHIFT_MIN, .span_capacity = REGION_SPANS_FIRST};
    while (region->shift < REGION_SHIFT_MAX && chunk_bytes >> (region->shift + 1) > 0)
        region->shift++;
    atomic_init(&region->bases, region->first_bases);
    region_check(region);
}

static void region_chunk_release(struct region *region, struct region_chunk *chunk)
{
    region->total_bytes -= chunk->size;
    release(region->allocator, chunk, chunk->size);
}

void region_release(struct region *region)
{
    region_check(region);
    region_trim(region);
    struct region_chunk *next = NULL;
    for (struct region_chunk *chunk = region->chunks; chunk != NULL; chunk = next) {
        next = chunk->next;
        region_chunk_release(region, chunk);
    }
    struct region_spans *older = NULL;
    for (struct region_spans *spans = region->spans; spans != NULL; spans = older) {
        older = spans->older;
        region->total_bytes -= spans->size;
        release(region->allocator, spans, spans->size);
    }
    assert(region->total_bytes == 0);
    region->chunks = NULL;
    region->spans = NULL;
}

static uint32_t region_span_count(const struct region *region, size_t size)
{
    return (uint32_t)(((size - 1) >> region->shift) + 1);
}

/* Room in the array of addresses for `count` spans in all. */
static bool region_grow_spans(struct region *region, uint32_t count)
{
    if (count <= region->span_capacity)
        return true;
    const unsigned bits = region->shift - REGION_STEP_BITS;
    if (count > UINT32_MAX >> bits || count > UINT32_MAX / 2)
        return false;
    uint32_t capacity = region->span_capacity;
    while (capacity < count)
        capacity *= 2;
    const size_t size = sizeof(struct region_spans) + (size_t)capacity * sizeof(uint8_t *);
    struct region_spans *spans = allocate(region->allocator, size);
    if (spans == NULL)
        return false;
    spans->older = region->spans;
    spans->size = size;
    uint8_t **bases = atomic_load_explicit(&region->bases, memory_order_relaxed);
    memcpy(spans->bases, bases, region->span_count * sizeof(*bases));
    region->spans = spans;
    region->span_capacity = capacity;
    region->total_bytes += size;
    atomic_store_explicit(&region->bases, spans->bases, memory_order_release);
    return true;
}

/* A chunk of at least `size` bytes, with spans; NULL when out of memory or of names. */
static struct region_chunk *region_chunk_create(struct region *region, size_t size)
{
    const size_t ordinary = (size_t)1 << region->shift;
    const size_t taken = size > ordinary ? size : ordinary;
    const uint64_t spans = (uint64_t)region->span_count + ((taken - 1) >> region->shift) + 1;
    if (spans > UINT32_MAX || !region_grow_spans(region, (uint32_t)spans))
        return NULL;
    struct region_chunk *chunk = allocate(region->allocator, taken);
    if (chunk == NULL)
        return NULL;
    chunk->next = NULL;
    chunk->size = taken;
    uint8_t **bases = atomic_load_explicit(&region->bases, memory_order_relaxed);
    for (size_t at = 0; at < taken; at += ordinary)
        bases[region->span_count++] = (uint8_t *)chunk + at;
    region->total_bytes += taken;
    return chunk;
}

/* The newest chunk from now on. */
static void region_begin_chunk(struct region *region, struct region_chunk *chunk,
                               uint32_t first_span)
{
    chunk->next = region->chunks;
    region->chunks = chunk;
    region->first_span = first_span;
    region->used_bytes = REGION_HEAD_SIZE;
}

static uint32_t region_name(const struct region *region, uint32_t first_span, size_t offset)
{
    assert(offset % REGION_STEP == 0);
    return (first_span << (region->shift - REGION_STEP_BITS)) +
           (uint32_t)(offset >> REGION_STEP_BITS);
}

/* A piece too large for an ordinary chunk gets its own, behind the newest, which stays in use. */
static void *region_take_large(struct region *region, size_t size, uint32_t *name)
{
    const uint32_t first_span = region->span_count;
    /* A spare chunk owns the last spans until it is in use. */
    assert(region->spare == NULL);
    struct region_chunk *chunk = region_chunk_create(region, REGION_HEAD_SIZE + size);
    if (chunk == NULL)
        return NULL;
    if (region->chunks == NULL) {
        region_begin_chunk(region, chunk, first_span);
        region->used_bytes = chunk->size;
    } else {
        chunk->next = region->chunks->next;
        region->chunks->next = chunk;
    }
    *name = region_name(region, first_span, REGION_HEAD_SIZE);
    return (uint8_t *)chunk + REGION_HEAD_SIZE;
}

static bool region_fits(const struct region *region, size_t size)
{
    return region->chunks != NULL && size <= region->chunks->size - region->used_bytes;
}

/* Makes the spare chunk the newest. */
static void region_use_spare(struct region *region)
{
    struct region_chunk *spare = region->spare;
    region->spare = NULL;
    region_begin_chunk(region, spare, region->span_count - region_span_count(region, spare->size));
}

void *region_take(struct region *region, size_t size, uint32_t *name)
{
    region_check(region);
    if (size > SIZE_MAX / 2)
        return NULL;
    const size_t rounded = (size + REGION_STEP - 1) / REGION_STEP * REGION_STEP;
    if (!region_fits(region, rounded) && region->spare != NULL)
        region_use_spare(region);
    if (!region_fits(region, rounded)) {
        if (rounded > ((size_t)1 << region->shift) - REGION_HEAD_SIZE)
            return region_take_large(region, rounded, name);
        const uint32_t first_span = region->span_count;
        struct region_chunk *chunk = region_chunk_create(region, REGION_HEAD_SIZE + rounded);
        if (chunk == NULL)
            return NULL;
        region_begin_chunk(region, chunk, first_span);
    }
    *name = region_name(region, region->first_span, region->used_bytes);
    void *piece = (uint8_t *)region->chunks + region->used_bytes;
    region->used_bytes += rounded;
    region_check(region);
    return piece;
}

void region_trim(struct region *region)
{
    region_check(region);
    if (region->spare == NULL)
        return;
    region->span_count -= region_span_count(region, region->spare->size);
    region_chunk_release(region, region->spare);
    region->spare = NULL;
}

strata_status region_reserve(struct region *region, size_t size)
{
    region_check(region);
    if (region_fits(region, size) ||
        (region->spare != NULL && size <= region->spare->size - REGION_HEAD_SIZE))
        return STRATA_OK;
    if (size > SIZE_MAX / 2)
        return failure(STRATA_NO_MEMORY, "no memory for %zu bytes", size);
    region_trim(region);
    const uint32_t first_span = region->span_count;
    struct region_chunk *chunk = region_chunk_create(region, REGION_HEAD_SIZE + size);
    if (chunk == NULL)
        return failure(STRATA_NO_MEMORY, "no memory for %zu bytes", size);
    if (region->chunks == NULL)
        region_begin_chunk(region, chunk, first_span);
    else
        region->spare = chunk;
    region_check(region);
    return STRATA_OK;
}
