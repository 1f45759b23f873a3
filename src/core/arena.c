#include "core/arena.h"
#include "core/memory.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

enum { ARENA_ALIGNMENT = 8 };

/* Followed by its pieces. */
struct arena_chunk {
    _Alignas(8) struct arena_chunk *next;
    size_t size; /* Of the whole chunk, this head included. */
};

enum { ARENA_HEAD_SIZE = sizeof(struct arena_chunk) };
static_assert(ARENA_HEAD_SIZE % ARENA_ALIGNMENT == 0, "pieces follow the head aligned");

static void arena_check(const struct arena *arena)
{
    assert(arena->allocator != NULL);
    assert((arena->chunks == NULL) == (arena->total_bytes == 0));
    assert(arena->chunks == NULL || arena->used_bytes <= arena->chunks->size);
    (void)arena;
}

void arena_init(struct arena *arena, const strata_allocator *allocator, size_t chunk_bytes)
{
    assert(allocator != NULL);
    assert(chunk_bytes > ARENA_HEAD_SIZE);
    *arena = (struct arena){.allocator = allocator, .chunk_bytes = chunk_bytes};
}

static struct arena_chunk *arena_chunk_create(struct arena *arena, size_t size)
{
    struct arena_chunk *chunk = allocate(arena->allocator, size);
    if (chunk == NULL)
        return NULL;
    chunk->next = NULL;
    chunk->size = size;
    arena->total_bytes += size;
    return chunk;
}

void arena_release(struct arena *arena)
{
    struct arena_chunk *next = NULL;
    for (struct arena_chunk *chunk = arena->chunks; chunk != NULL; chunk = next) {
        next = chunk->next;
        arena->total_bytes -= chunk->size;
        release(arena->allocator, chunk, chunk->size);
    }
    arena->chunks = NULL;
    arena->used_bytes = 0;
    assert(arena->total_bytes == 0);
}

/* A piece too large for an ordinary chunk gets its own, behind the newest, which stays in use. */
static void *take_large(struct arena *arena, size_t size)
{
    struct arena_chunk *chunk = arena_chunk_create(arena, ARENA_HEAD_SIZE + size);
    if (chunk == NULL)
        return NULL;
    if (arena->chunks == NULL) {
        arena->chunks = chunk;
        arena->used_bytes = chunk->size;
    } else {
        chunk->next = arena->chunks->next;
        arena->chunks->next = chunk;
    }
    arena_check(arena);
    return (uint8_t *)chunk + ARENA_HEAD_SIZE;
}

void *arena_take(struct arena *arena, size_t size)
{
    arena_check(arena);
    if (size > SIZE_MAX - ARENA_HEAD_SIZE - ARENA_ALIGNMENT)
        return NULL;
    const size_t rounded = (size + ARENA_ALIGNMENT - 1) / ARENA_ALIGNMENT * ARENA_ALIGNMENT;

    const bool fits = arena->chunks != NULL && rounded <= arena->chunks->size - arena->used_bytes;
    if (!fits) {
        if (rounded > arena->chunk_bytes - ARENA_HEAD_SIZE)
            return take_large(arena, rounded);
        struct arena_chunk *chunk = arena_chunk_create(arena, arena->chunk_bytes);
        if (chunk == NULL)
            return NULL;
        chunk->next = arena->chunks;
        arena->chunks = chunk;
        arena->used_bytes = ARENA_HEAD_SIZE;
    }
    void *piece = (uint8_t *)arena->chunks + arena->used_bytes;
    arena->used_bytes += rounded;
    arena_check(arena);
    return piece;
}
