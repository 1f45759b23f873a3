/* What there is to read: the memtables and runs at one moment, newest first.
 *
 * Immutable once installed. Readers find the current one through `struct tables` inside an epoch;
 * whoever changes it installs a new one and retires the old. */
#ifndef STRATA_TABLE_TABLESET_H
#define STRATA_TABLE_TABLESET_H

#include "core/epoch.h"
#include "table/memtable.h"
#include "table/run.h"

/* Invariants: memtables and live runs hold disjoint ranges of versions, newest first, memtables above
 * all runs; memtables[0] takes the writes. Holds a reference to each. */
struct tableset {
    struct epoch_retired retired;
    const strata_allocator *allocator;
    struct garbage *garbage;
    struct garbage_item *remains; /* Value objects that only this set and older ones need. */
    uint64_t generation;
    uint64_t history_max_to; /* Of all history runs: reads at or above it skip them. */
    uint32_t memtable_count;
    uint32_t live_count;
    uint32_t history_count;
    struct memtable **memtables;
    struct run **live;
    struct run **history;
};

/* What a new set is made of. */
struct tableset_parts {
    uint32_t memtable_count;
    uint32_t live_count;
    uint32_t history_count;
    struct memtable *const *memtables;
    struct run *const *live;
    struct run *const *history;
};

struct tables {
    const strata_allocator *allocator;
    struct epochs *epochs;
    struct garbage *garbage;
    /* Held from reading the current set to installing its successor; or else `generation` says whether
     * there has been another one since. */
    struct mutex install_lock;
    _Atomic(struct tableset *) current;
    _Atomic uint64_t generation; /* Of the current set. */
};

void tables_init(struct tables *tables, const strata_allocator *allocator, struct epochs *epochs,
                 struct garbage *garbage);

/* Frees the current set. No reader is left. */
void tables_destroy(struct tables *tables);

/* Makes a set, acquiring what is in it. */
STRATA_CHECKED strata_status tableset_create(struct tables *tables,
                                             const struct tableset_parts *parts,
                                             struct tableset **out);

/* Of a set that was never installed. NULL is fine. */
void tableset_discard(struct tableset *set);

/* Cannot fail. The caller holds install_lock. `remains` goes with the old set; NULL is fine. */
void tables_install(struct tables *tables, struct tableset *set, struct garbage_item *remains);

/* The row of `key` that is visible at `cap`, deletions too. Inside an epoch; the caller unpins. */
STRATA_CHECKED strata_status tableset_find(const struct tableset *set, struct bytes key,
                                           uint64_t cap, struct found_row *out);

enum { TABLESET_BATCH_MAX = 16 };

/* tableset_find for `count` <= TABLESET_BATCH_MAX keys at once, whose cache misses overlap. hashes[i] is
 * hash64(keys[i], 0). On failure nothing is held. */
STRATA_CHECKED strata_status tableset_find_batch(const struct tableset *set,
                                                 const struct bytes *keys, const uint64_t *hashes,
                                                 uint32_t count, uint64_t cap,
                                                 struct found_row *out);

/* The newest row of `key` with `from` <= cap, whether or not another displaced it by then. Inside an
 * epoch. */
STRATA_CHECKED strata_status tableset_find_version(const struct tableset *set, struct bytes key,
                                                   uint64_t cap, struct found_row *out);

/* Whether there is a row of `key` with `from` > since; looks only where there may be one. */
STRATA_CHECKED strata_status tableset_changed(const struct tableset *set, struct bytes key,
                                              uint64_t since, bool *out);

/* The number of sources that scans of the set need at most. */
static inline uint32_t tableset_source_count(const struct tableset *set)
{
    return set->memtable_count + set->live_count + set->history_count;
}

#endif
