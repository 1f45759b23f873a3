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

/* ---- what is kept ---- */

/* In place of what the last user wrote. */
struct memory_block {
    struct memory_block *next;
};

/* In this order, as below: whoever adds up both meanwhile may count a block twice, but not miss it. */
static void keep_block(struct memory *memory, void *freed)
{
    struct memory_block *block = freed;
#ifndef NDEBUG
    /* Whoever still reads it, or trusts that new memory is zero, shall notice. */
    memset(freed, 0xDB, memory->keep_size);
#endif
    mutex_lock(&memory->lock);
    block->next = memory->kept;
    memory->kept = block;
    atomic_fetch_add(&memory->kept_bytes, memory->keep_size);
    atomic_fetch_sub(&memory->live_bytes, memory->keep_size);
    mutex_unlock(&memory->lock);
}

/* A block that was kept, counted as live; NULL if there is none. */
static void *reuse_block(struct memory *memory)
{
    mutex_lock(&memory->lock);
    struct memory_block *block = memory->kept;
    if (block != NULL) {
        memory->kept = block->next;
        atomic_fetch_add(&memory->live_bytes, memory->keep_size);
        atomic_fetch_sub(&memory->kept_bytes, memory->keep_size);
    }
    mutex_unlock(&memory->lock);
    return block;
}

/* Gives back blocks until no more than `most` bytes are live and kept. */
static void give_back_blocks(struct memory *memory, size_t most)
{
    mutex_lock(&memory->lock);
    while (memory->kept != NULL &&
           atomic_load(&memory->live_bytes) + atomic_load(&memory->kept_bytes) > most) {
        struct memory_block *block = memory->kept;
        memory->kept = block->next;
        memory->base.resize(memory->base.context, block, memory->keep_size, 0);
        atomic_fetch_sub(&memory->kept_bytes, memory->keep_size);
    }
    mutex_unlock(&memory->lock);
}

/* ---- counting ---- */

static void count_less(struct memory *memory, size_t size)
{
    (void)atomic_fetch_sub(&memory->live_bytes, size);
}

/* Counts `size` more bytes, unless that would be too many. */
static bool count_more(struct memory *memory, size_t size, size_t *live_out)
{
    *live_out = atomic_fetch_add(&memory->live_bytes, size) + size;
    if (*live_out <= memory->live_bytes_max)
        return true;
    count_less(memory, size);
    return false;
}

/* More memory from the base, counted before it is there. What is kept gives way, all of it if that is
 * what it takes. */
static void *resize_up(struct memory *memory, void *block, size_t old_size, size_t new_size)
{
    size_t live_bytes;
    if (!count_more(memory, new_size - old_size, &live_bytes))
        return NULL;
    const bool keeps = atomic_load(&memory->kept_bytes) > 0;
    if (keeps)
        give_back_blocks(memory, atomic_load(&memory->peak_bytes));
    void *resized = memory->base.resize(memory->base.context, block, old_size, new_size);
    if (resized == NULL && keeps) {
        memory_trim(memory);
        resized = memory->base.resize(memory->base.context, block, old_size, new_size);
    }
    if (resized == NULL)
        count_less(memory, new_size - old_size);
    else
        raise_peak(memory, live_bytes);
    return resized;
}

static void *counted_resize(void *context, void *block, size_t old_size, size_t new_size)
{
    struct memory *memory = context;
    assert(block != NULL || old_size == 0);
    assert(block == NULL || old_size > 0);
    assert(old_size > 0 || new_size > 0);

    if (new_size == 0 && old_size == memory->keep_size) {
        keep_block(memory, block);
        return NULL;
    }
    if (old_size == 0 && new_size == memory->keep_size) {
        void *kept = reuse_block(memory);
        if (kept != NULL)
            return kept;
    }
    if (new_size > old_size)
        return resize_up(memory, block, old_size, new_size);
    void *resized = memory->base.resize(memory->base.context, block, old_size, new_size);
    if (resized != NULL || new_size == 0)
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
    atomic_init(&memory->kept_bytes, 0);
    memory->keep_size = 0;
    memory->kept = NULL;
}

void memory_destroy(struct memory *memory)
{
    assert(atomic_load(&memory->live_bytes) == 0);
    memory_trim(memory);
    if (memory->keep_size > 0)
        mutex_destroy(&memory->lock);
    memory->keep_size = 0;
}

void memory_keep(struct memory *memory, size_t size)
{
    assert(size >= sizeof(struct memory_block));
    assert(memory->keep_size == 0 && atomic_load(&memory->live_bytes) == 0);
    mutex_init(&memory->lock);
    memory->keep_size = size;
}

void memory_trim(struct memory *memory)
{
    if (memory->keep_size > 0)
        give_back_blocks(memory, 0);
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
