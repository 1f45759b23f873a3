/* Table objects that no manifest lists any more: read still by somebody, or to be removed. */
#ifndef STRATA_TABLE_GARBAGE_H
#define STRATA_TABLE_GARBAGE_H

#include "core/lock.h"
#include "core/status.h"

#include <stdatomic.h>

/* Numbers of table objects. Made while failing is still possible, handed over when it is not. */
struct garbage_item {
    struct garbage_item *next;
    uint32_t count;
    uint32_t capacity;
    uint64_t numbers[];
};

struct garbage {
    const strata_allocator *allocator;
    struct mutex lock;
    struct garbage_item *items;     /* To be removed. */
    struct garbage_item *held;      /* To be handed over when their last reader has left. */
    _Atomic uint32_t obsolete_runs; /* Whose objects somebody may still read. */
};

void garbage_init(struct garbage *garbage, const strata_allocator *allocator);
void garbage_destroy(struct garbage *garbage);

/* NULL when out of memory. */
struct garbage_item *garbage_item_create(const strata_allocator *allocator, uint32_t capacity);
void garbage_item_free(const strata_allocator *allocator, struct garbage_item *item);

/* Hands the item over. NULL is fine. Any thread. */
void garbage_add(struct garbage *garbage, struct garbage_item *item);

/* Makes an item known whose objects may still be read: garbage_drop hands it over, once. NULL is fine,
 * to both. Any thread. */
void garbage_hold(struct garbage *garbage, struct garbage_item *item);
void garbage_drop(struct garbage *garbage, struct garbage_item *item);

/* Calls `visit` with every number, under the lock. `held`: it may still be read. */
void garbage_visit(struct garbage *garbage,
                   void (*visit)(void *context, uint64_t number, bool held), void *context);

/* Takes one number off; false if there is none. */
bool garbage_take(struct garbage *garbage, uint64_t *number_out);

/* Puts a number back behind all others; false when out of memory. */
bool garbage_return(struct garbage *garbage, uint64_t number);

/* Whether there is a number to take. */
bool garbage_any(struct garbage *garbage);

#endif
