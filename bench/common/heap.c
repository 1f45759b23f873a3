#include "heap.h"

#include <stdlib.h>

static void live_grow(struct heap *heap, uint64_t bytes)
{
    const uint64_t now = atomic_fetch_add(&heap->live_bytes, bytes) + bytes;
    uint64_t most = atomic_load(&heap->peak_bytes);
    while (now > most && !atomic_compare_exchange_weak(&heap->peak_bytes, &most, now))
        continue;
}

static void *heap_resize(void *context, void *block, size_t old_size, size_t new_size)
{
    struct heap *heap = (struct heap *)context;
    const size_t held = block == NULL ? 0 : old_size;
    if (new_size == 0) {
        free(block);
        atomic_fetch_sub(&heap->live_bytes, held);
        return NULL;
    }
    void *resized = realloc(block, new_size);
    if (resized == NULL)
        return NULL;
    if (new_size > held)
        live_grow(heap, new_size - held);
    else
        atomic_fetch_sub(&heap->live_bytes, held - new_size);
    return resized;
}

void heap_init(struct heap *heap)
{
    atomic_init(&heap->live_bytes, 0);
    atomic_init(&heap->peak_bytes, 0);
    heap->allocator = (strata_allocator){heap, heap_resize};
}
