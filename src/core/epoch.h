/* Safe reclamation for readers that take no lock.
 *
 * A reader owns a slot. It enters before it loads a shared pointer and leaves after it last used
 * what the pointer led to. A writer unlinks a thing, retires it, and frees it when every reader that
 * was inside at that moment has left. Source: Fraser, "Practical lock-freedom", 2004. */
#ifndef STRATA_CORE_EPOCH_H
#define STRATA_CORE_EPOCH_H

#include "core/lock.h"
#include "core/status.h"

#include <stdatomic.h>

enum { EPOCH_SLOTS_PER_BLOCK = 32, EPOCH_COUNTS = 3 };

/* In a cache line of its own. */
struct epoch_slot {
    _Alignas(64) _Atomic uint64_t epoch; /* 0: outside. */
    _Atomic uint32_t taken;
    uint32_t depth; /* Nested enters; the owner's. */
    uint32_t
        counts[EPOCH_COUNTS]; /* The owner's to count with; the next owner goes on from there. */
};

struct epoch_block {
    struct epoch_slot slots[EPOCH_SLOTS_PER_BLOCK];
    _Atomic(struct epoch_block *) next;
    void *memory; /* What the allocator gave; the block inside is aligned to 64. */
};

/* A thing waiting to be freed; embed it, `free_thing` gets its address back. */
struct epoch_retired {
    struct epoch_retired *next;
    uint64_t epoch;
    void (*free_thing)(struct epoch_retired *retired, void *context);
    void *context;
};

struct epochs {
    const strata_allocator *allocator;
    _Atomic uint64_t current; /* From 1. */
    _Atomic(struct epoch_block *) blocks;
    struct mutex lock; /* Guards the list of retired things and the taking of blocks. */
    struct epoch_retired *retired;
};

void epochs_init(struct epochs *epochs, const strata_allocator *allocator);

/* Frees everything retired. No reader may be inside. */
void epochs_destroy(struct epochs *epochs);

/* A slot for one reader at a time, e.g. for a handle. Lock-free once blocks exist. */
STRATA_CHECKED strata_status epoch_slot_take(struct epochs *epochs, struct epoch_slot **out);
void epoch_slot_give(struct epoch_slot *slot);

/* Nestable. Two ordered writes of the slot's own line, nothing shared is written. */
void epoch_enter(struct epochs *epochs, struct epoch_slot *slot);
void epoch_leave(struct epoch_slot *slot);

/* `retired` is unlinked already and will be freed by a later epoch_reclaim. */
void epoch_retire(struct epochs *epochs, struct epoch_retired *retired);

/* Frees what no reader can see any more. Returns whether something is still waiting. */
bool epoch_reclaim(struct epochs *epochs);

/* For lists of their own, of things unlinked: they may be freed once epoch_oldest is above the number
 * that epoch_advance gave after they were unlinked. */
uint64_t epoch_advance(struct epochs *epochs);

/* The epoch of the reader that has been inside longest; UINT64_MAX if nobody is. */
uint64_t epoch_oldest(const struct epochs *epochs);

#endif
