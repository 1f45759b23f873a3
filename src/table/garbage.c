#include "table/garbage.h"

#include "core/memory.h"

#include <assert.h>

void garbage_init(struct garbage *garbage, const strata_allocator *allocator)
{
    assert(allocator != NULL);
    garbage->allocator = allocator;
    garbage->items = NULL;
    garbage->held = NULL;
    atomic_init(&garbage->obsolete_runs, 0);
    mutex_init(&garbage->lock);
}

void garbage_destroy(struct garbage *garbage)
{
    assert(garbage->held == NULL);
    while (garbage->items != NULL) {
        struct garbage_item *item = garbage->items;
        garbage->items = item->next;
        garbage_item_free(garbage->allocator, item);
    }
    mutex_destroy(&garbage->lock);
}

static size_t garbage_item_size(uint32_t capacity)
{
    return sizeof(struct garbage_item) + capacity * sizeof(uint64_t);
}

struct garbage_item *garbage_item_create(const strata_allocator *allocator, uint32_t capacity)
{
    struct garbage_item *item = allocate(allocator, garbage_item_size(capacity));
    if (item == NULL)
        return NULL;
    item->next = NULL;
    item->count = 0;
    item->capacity = capacity;
    return item;
}

void garbage_item_free(const strata_allocator *allocator, struct garbage_item *item)
{
    if (item != NULL)
        release(allocator, item, garbage_item_size(item->capacity));
}

void garbage_add(struct garbage *garbage, struct garbage_item *item)
{
    if (item == NULL)
        return;
    if (item->count == 0) {
        garbage_item_free(garbage->allocator, item);
        return;
    }
    assert(item->count <= item->capacity);
    mutex_lock(&garbage->lock);
    item->next = garbage->items;
    garbage->items = item;
    mutex_unlock(&garbage->lock);
}

void garbage_hold(struct garbage *garbage, struct garbage_item *item)
{
    if (item == NULL)
        return;
    mutex_lock(&garbage->lock);
    item->next = garbage->held;
    garbage->held = item;
    mutex_unlock(&garbage->lock);
}

void garbage_drop(struct garbage *garbage, struct garbage_item *item)
{
    if (item == NULL)
        return;
    mutex_lock(&garbage->lock);
    struct garbage_item **at = &garbage->held;
    while (*at != item) {
        assert(*at != NULL);
        at = &(*at)->next;
    }
    *at = item->next;
    mutex_unlock(&garbage->lock);
    garbage_add(garbage, item);
}

static void garbage_visit_items(const struct garbage_item *item, bool held,
                                void (*visit)(void *context, uint64_t number, bool held),
                                void *context)
{
    for (; item != NULL; item = item->next) {
        for (uint32_t i = 0; i < item->count; i++)
            visit(context, item->numbers[i], held);
    }
}

void garbage_visit(struct garbage *garbage,
                   void (*visit)(void *context, uint64_t number, bool held), void *context)
{
    mutex_lock(&garbage->lock);
    garbage_visit_items(garbage->items, false, visit, context);
    garbage_visit_items(garbage->held, true, visit, context);
    mutex_unlock(&garbage->lock);
}

bool garbage_take(struct garbage *garbage, uint64_t *number_out)
{
    struct garbage_item *empty = NULL;
    bool taken = false;
    mutex_lock(&garbage->lock);
    struct garbage_item *item = garbage->items;
    if (item != NULL) {
        assert(item->count > 0);
        *number_out = item->numbers[--item->count];
        taken = true;
        if (item->count == 0) {
            garbage->items = item->next;
            empty = item;
        }
    }
    mutex_unlock(&garbage->lock);
    garbage_item_free(garbage->allocator, empty);
    return taken;
}

bool garbage_return(struct garbage *garbage, uint64_t number)
{
    struct garbage_item *item = garbage_item_create(garbage->allocator, 1);
    if (item == NULL)
        return false;
    item->numbers[item->count++] = number;
    mutex_lock(&garbage->lock);
    struct garbage_item **end = &garbage->items;
    while (*end != NULL)
        end = &(*end)->next;
    *end = item;
    mutex_unlock(&garbage->lock);
    return true;
}

bool garbage_any(struct garbage *garbage)
{
    mutex_lock(&garbage->lock);
    const bool any = garbage->items != NULL;
    mutex_unlock(&garbage->lock);
    return any;
}
