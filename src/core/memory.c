#define _GNU_SOURCE

#include "core/memory.h"

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* What is as large as a huge page is asked to lie in such: an access at random into a memory of 4 KiB
 * pages waits twice, for the page's address first. */
enum { HUGE_PAGE_SIZE = 2 << 20, MAPPED_SIZE_MIN = 128 << 10 };

/* The context of an allocator that maps blocks of MAPPED_SIZE_MIN and more. */
static const char maps_large_blocks;

static bool system_maps(const void *context, size_t size)
{
#ifdef MAP_ANONYMOUS
    return context == &maps_large_blocks && size >= MAPPED_SIZE_MIN && size < HUGE_PAGE_SIZE;
#else
    (void)context, (void)size;
    return false;
#endif
}

static void *system_map(size_t size)
{
#ifdef MAP_ANONYMOUS
    void *block = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return block == MAP_FAILED ? NULL : block;
#else
    return malloc(size);
#endif
}

static void *system_allocate(size_t size)
{
    void *block = NULL;
    if (size < HUGE_PAGE_SIZE)
        return malloc(size);
    if (posix_memalign(&block, HUGE_PAGE_SIZE, size) != 0)
        return NULL;
#ifdef MADV_HUGEPAGE
    /* A wish: what the system says to it makes no difference. */
    (void)madvise(block, size, MADV_HUGEPAGE);
#endif
    return block;
}

static void *system_resize(void *context, void *block, size_t old_size, size_t new_size)
{
    const bool was_mapped = system_maps(context, old_size);
    const bool is_mapped = system_maps(context, new_size);
    void *resized = NULL;
    if (block != NULL && new_size > 0 && !was_mapped && !is_mapped)
        return realloc(block, new_size);
    if (new_size > 0) {
        resized = is_mapped ? system_map(new_size) : system_allocate(new_size);
        if (resized == NULL)
            return NULL;
        if (block != NULL)
            memcpy(resized, block, old_size < new_size ? old_size : new_size);
    }
    if (was_mapped && block != NULL)
        (void)munmap(block, old_size);
    else
        free(block);
    return resized;
}

static void raise_peak(struct memory *memory, size_t live_bytes)
{
    size_t peak = atomic_load_explicit(&memory->peak_bytes, memory_order_relaxed);
    while (peak < live_bytes &&
           !atomic_compare_exchange_weak_explicit(&memory->peak_bytes, &peak, live_bytes,
                                                  memory_order_relaxed, memory_order_relaxed))
        continue;
}

static void count_less(struct memory *memory, size_t size)
{
    (void)atomic_fetch_sub_explicit(&memory->live_bytes, size, memory_order_relaxed);
}

/* Counts `size` more bytes, unless that would be too many. */
static bool count_more(struct memory *memory, size_t size, size_t *live_out)
{
    const size_t before =
        atomic_fetch_add_explicit(&memory->live_bytes, size, memory_order_relaxed);
    *live_out = before + size;
    if (before + size <= memory->live_bytes_max)
        return true;
    count_less(memory, size);
    return false;
}

static void *counted_resize(void *context, void *block, size_t old_size, size_t new_size)
{
    struct memory *memory = context;
    const size_t more = new_size > old_size ? new_size - old_size : 0;
    size_t live_bytes = 0;
    assert(block != NULL || old_size == 0);
    assert(block == NULL || old_size > 0);

    if (more > 0 && !count_more(memory, more, &live_bytes))
        return NULL;
    void *resized = memory->base.resize(memory->base.context, block, old_size, new_size);
    if (resized == NULL && new_size > 0) {
        count_less(memory, more);
        return NULL;
    }
    if (more > 0)
        raise_peak(memory, live_bytes);
    else
        count_less(memory, old_size - new_size);
    return resized;
}

void memory_init(struct memory *memory, const strata_allocator *base)
{
    assert(memory != NULL);
    assert(base == NULL || base->resize != NULL);

    memory->allocator = (strata_allocator){.context = memory, .resize = counted_resize};
    memory->base = base != NULL ? *base : (strata_allocator){.resize = system_resize};
    memory->live_bytes_max = SIZE_MAX;
    atomic_init(&memory->live_bytes, 0);
    atomic_init(&memory->peak_bytes, 0);
}

void memory_map_large_blocks(struct memory *memory)
{
    assert(atomic_load(&memory->live_bytes) == 0);
    if (memory->base.resize == system_resize)
        memory->base.context = (void *)(uintptr_t)&maps_large_blocks;
}

void *allocate(const strata_allocator *allocator, size_t size)
{
    assert(size > 0);
    return allocator->resize(allocator->context, NULL, 0, size);
}

void *allocate_zeroed(const strata_allocator *allocator, size_t size)
{
    void *block = allocate(allocator, size);
    if (block != NULL)
        memset(block, 0, size);
    return block;
}

void release(const strata_allocator *allocator, void *block, size_t size)
{
    if (block == NULL)
        return;
    assert(size > 0);
    allocator->resize(allocator->context, block, size, 0);
}

char *allocate_text(const strata_allocator *allocator, const char *text)
{
    assert(text != NULL);
    const size_t size = strlen(text) + 1;
    char *copy = allocate(allocator, size);
    if (copy != NULL)
        memcpy(copy, text, size);
    return copy;
}
