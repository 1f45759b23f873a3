#include "core/epoch.h"
#include "core/memory.h"

#include <assert.h>

/* Why nobody frees what a reader sees. All operations on `current`, and those on slots and on the
 * list of blocks that are marked below, are sequentially consistent, so they have one order.
 *
 * A reader (1) writes the epoch into its slot, then (2) reads `current` again. A writer unlinks,
 * then (3) raises `current` in epoch_advance, then (4) reads all slots in epoch_oldest.
 *
 * - If (2) comes after (3) it reads what (3) wrote, so the unlinking happened before all that the
 *   reader reads next: it cannot find the thing.
 * - If (2) comes before (3) then (1) comes before (4), which therefore sees the slot, with an epoch
 *   no later than that of the thing: it is kept.
 *
 * That the slot may hold an epoch older than what (2) read only keeps things longer. */

enum { CACHE_LINE_SIZE = 64 };
static_assert(sizeof(struct epoch_slot) == CACHE_LINE_SIZE, "a slot fills its line");

/* What the allocator is asked for: its blocks are aligned to less than a line. */
enum { BLOCK_MEMORY_SIZE = sizeof(struct epoch_block) + CACHE_LINE_SIZE - 1 };

void epochs_init(struct epochs *epochs, const strata_allocator *allocator)
{
    assert(allocator != NULL);
    epochs->allocator = allocator;
    atomic_init(&epochs->current, 1);
    atomic_init(&epochs->blocks, NULL);
    mutex_init(&epochs->lock);
    epochs->retired = NULL;
}

uint64_t epoch_oldest(const struct epochs *epochs)
{
    uint64_t oldest = UINT64_MAX;
    const struct epoch_block *block = atomic_load(&epochs->blocks); /* (4), with the next. */
    for (; block != NULL; block = atomic_load(&block->next)) {
        for (size_t i = 0; i < EPOCH_SLOTS_PER_BLOCK; i++) {
            const uint64_t epoch = atomic_load(&block->slots[i].epoch);
            if (epoch != 0 && epoch < oldest)
                oldest = epoch;
        }
    }
    return oldest;
}

static void free_retired(struct epoch_retired *retired)
{
    while (retired != NULL) {
        struct epoch_retired *next = retired->next; /* Gone with the thing it is part of. */
        retired->free_thing(retired, retired->context);
        retired = next;
    }
}

void epochs_destroy(struct epochs *epochs)
{
    assert(epoch_oldest(epochs) == UINT64_MAX);
    /* A thing may retire another while it is freed. */
    while (epochs->retired != NULL) {
        struct epoch_retired *retired = epochs->retired;
        epochs->retired = NULL;
        free_retired(retired);
    }

    struct epoch_block *block = atomic_load(&epochs->blocks);
    while (block != NULL) {
        struct epoch_block *next = atomic_load(&block->next);
        release(epochs->allocator, block->memory, BLOCK_MEMORY_SIZE);
        block = next;
    }
    atomic_store(&epochs->blocks, NULL);
    mutex_destroy(&epochs->lock);
}

static struct epoch_slot *take_free_slot(struct epochs *epochs)
{
    struct epoch_block *block = atomic_load(&epochs->blocks);
    for (; block != NULL; block = atomic_load(&block->next)) {
        for (size_t i = 0; i < EPOCH_SLOTS_PER_BLOCK; i++) {
            struct epoch_slot *slot = &block->slots[i];
            uint32_t taken = atomic_load_explicit(&slot->taken, memory_order_relaxed);
            /* Acquires what the slot's last owner left behind. */
            if (taken == 0 && atomic_compare_exchange_strong(&slot->taken, &taken, 1))
                return slot;
        }
    }
    return NULL;
}

static struct epoch_block *block_create(const strata_allocator *allocator)
{
    uint8_t *memory = allocate_zeroed(allocator, BLOCK_MEMORY_SIZE);
    if (memory == NULL)
        return NULL;
    const size_t past_line = (uintptr_t)memory % CACHE_LINE_SIZE;
    void *aligned = past_line == 0 ? memory : memory + (CACHE_LINE_SIZE - past_line);
    struct epoch_block *block = aligned;
    block->memory = memory;
    return block;
}

strata_status epoch_slot_take(struct epochs *epochs, struct epoch_slot **out)
{
    struct epoch_slot *slot = take_free_slot(epochs);
    if (slot == NULL) {
        struct epoch_block *block = block_create(epochs->allocator);
        if (block == NULL)
            return failure(STRATA_NO_MEMORY, "no memory for a reader's slot");
        slot = &block->slots[0];
        atomic_store(&slot->taken, 1);
        mutex_lock(&epochs->lock);
        atomic_store(&block->next, atomic_load(&epochs->blocks));
        atomic_store(&epochs->blocks, block); /* Ordered before the slot's first enter. */
        mutex_unlock(&epochs->lock);
    }
    assert(slot->depth == 0);
    assert(atomic_load(&slot->epoch) == 0);
    *out = slot;
    return STRATA_OK;
}

void epoch_slot_give(struct epoch_slot *slot)
{
    if (slot == NULL)
        return;
    assert(slot->depth == 0);
    assert(atomic_load(&slot->epoch) == 0);
    atomic_store_explicit(&slot->taken, 0, memory_order_release);
}

void epoch_enter(struct epochs *epochs, struct epoch_slot *slot)
{
    assert(atomic_load_explicit(&slot->taken, memory_order_relaxed) == 1);
    if (slot->depth++ > 0)
        return;
    const uint64_t epoch = atomic_load(&epochs->current);
    atomic_store(&slot->epoch, epoch);                        /* (1) */
    const uint64_t confirmed = atomic_load(&epochs->current); /* (2) */
    assert(confirmed >= epoch);
    (void)confirmed;
}

void epoch_leave(struct epoch_slot *slot)
{
    assert(slot->depth > 0);
    if (--slot->depth == 0)
        atomic_store_explicit(&slot->epoch, 0, memory_order_release);
}

uint64_t epoch_advance(struct epochs *epochs)
{
    return atomic_fetch_add(&epochs->current, 1); /* (3) */
}

void epoch_retire(struct epochs *epochs, struct epoch_retired *retired)
{
    assert(retired->free_thing != NULL);
    mutex_lock(&epochs->lock);
    retired->epoch = epoch_advance(epochs);
    assert(epochs->retired == NULL || epochs->retired->epoch < retired->epoch);
    retired->next = epochs->retired;
    epochs->retired = retired;
    mutex_unlock(&epochs->lock);
}

bool epoch_reclaim(struct epochs *epochs)
{
    mutex_lock(&epochs->lock);
    /* Newest first, so all that can go is at the end. */
    struct epoch_retired **link = &epochs->retired;
    if (*link != NULL) {
        const uint64_t oldest = epoch_oldest(epochs);
        while (*link != NULL && (*link)->epoch >= oldest)
            link = &(*link)->next;
    }
    struct epoch_retired *unseen = *link;
    *link = NULL;
    const bool waiting = epochs->retired != NULL;
    mutex_unlock(&epochs->lock);

    free_retired(unseen);
    return waiting;
}
