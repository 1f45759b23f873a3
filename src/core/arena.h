/* Memory that is taken in small pieces and given back as a whole. Pieces never move. */
#ifndef STRATA_CORE_ARENA_H
#define STRATA_CORE_ARENA_H

#include "core/status.h"

#include <stddef.h>

/* Invariant: total_bytes is what the chunks took from the allocator. One thread at a time. */
struct arena {
    const strata_allocator *allocator;
    struct arena_chunk *chunks; /* Newest first. */
    size_t chunk_bytes;         /* Of an ordinary chunk; larger pieces get one of their own. */
    size_t used_bytes;          /* In the newest chunk. */
    size_t total_bytes;
};

void arena_init(struct arena *arena, const strata_allocator *allocator, size_t chunk_bytes);
void arena_release(struct arena *arena);

/* `size` bytes aligned for any 8-byte type, or NULL when out of memory (no message). Not zeroed. */
void *arena_take(struct arena *arena, size_t size);

#endif
