#include "table/tableset.h"

#include "core/hash.h"
#include "core/memory.h"
#include "core/plant.h"
#include "layout/key.h"

#include <assert.h>

void tables_init(struct tables *tables, const strata_allocator *allocator, struct epochs *epochs,
                 struct garbage *garbage)
{
    assert(allocator != NULL);
    *tables = (struct tables){.allocator = allocator, .epochs = epochs, .garbage = garbage};
    mutex_init(&tables->install_lock);
}

void tables_destroy(struct tables *tables)
{
    tableset_discard(atomic_load(&tables->current));
    atomic_store(&tables->current, NULL);
    mutex_destroy(&tables->install_lock);
}

static size_t tableset_size(uint32_t memtable_count, uint32_t run_count)
{
    return sizeof(struct tableset) + memtable_count * sizeof(struct memtable *) +
           run_count * sizeof(struct run *);
}

strata_status tableset_create(struct tables *tables, const struct tableset_parts *parts,
                              struct tableset **out)
{
    const uint32_t run_count = parts->live_count + parts->history_count;
    struct tableset *set =
        allocate_zeroed(tables->allocator, tableset_size(parts->memtable_count, run_count));
    if (set == NULL)
        return failure(STRATA_NO_MEMORY, "no memory for a list of %u runs", run_count);
    set->allocator = tables->allocator;
    set->garbage = tables->garbage;
    set->memtable_count = parts->memtable_count;
    set->live_count = parts->live_count;
    set->history_count = parts->history_count;
    set->memtables = (struct memtable **)(set + 1);
    set->live = (struct run **)(set->memtables + parts->memtable_count);
    set->history = set->live + parts->live_count;
    for (uint32_t i = 0; i < parts->memtable_count; i++) {
        set->memtables[i] = parts->memtables[i];
        memtable_acquire(set->memtables[i]);
    }
    for (uint32_t i = 0; i < parts->live_count; i++) {
        set->live[i] = parts->live[i];
        run_acquire(set->live[i]);
        assert(i == 0 || set->live[i - 1]->min_version >= set->live[i]->max_version);
    }
    for (uint32_t i = 0; i < parts->history_count; i++) {
        set->history[i] = parts->history[i];
        run_acquire(set->history[i]);
        if (set->history[i]->max_to > set->history_max_to)
            set->history_max_to = set->history[i]->max_to;
    }
    *out = set;
    return STRATA_OK;
}

void tableset_discard(struct tableset *set)
{
    if (set == NULL)
        return;
    const uint32_t run_count = set->live_count + set->history_count;
    for (uint32_t i = 0; i < set->memtable_count; i++)
        memtable_drop(set->memtables[i]);
    for (uint32_t i = 0; i < run_count; i++)
        run_drop(set->live[i]); /* history follows live in memory. */
    garbage_drop(set->garbage, set->remains);
    release(set->allocator, set, tableset_size(set->memtable_count, run_count));
}

static void tableset_free(struct epoch_retired *retired, void *context)
{
    (void)context;
    tableset_discard((struct tableset *)retired);
}

void tables_install(struct tables *tables, struct tableset *set, struct garbage_item *remains)
{
    assert(set->memtable_count > 0);
    struct tableset *old = atomic_load(&tables->current);
    set->generation = atomic_load(&tables->generation) + 1;
    atomic_store(&tables->current, set);
    atomic_store(&tables->generation, set->generation);
    if (old == NULL) {
        garbage_add(tables->garbage, remains);
        return;
    }
    assert(old->remains == NULL);
    garbage_hold(tables->garbage, remains);
    old->remains = remains;
    old->retired.free_thing = tableset_free;
    old->retired.context = tables;
#if STRATA_PLANT == 11
    tableset_discard(old);
#else
    epoch_retire(tables->epochs, &old->retired);
#endif
}

/* The newest history row at or below `cap` that covers it. */
static strata_status tableset_find_history(const struct tableset *set, struct bytes key,
                                           uint64_t hash, uint64_t cap, struct found_row *out)
{
    for (uint32_t i = 0; i < set->history_count; i++) {
        struct run *run = set->history[i];
        if (run->min_from > cap || run->max_to <= cap)
            continue;
        bool found;
        bool newer = false;
        struct row row;
        struct cached_frame *pin = NULL;
        TRY(run_find(run, key, hash, cap, &found, &row, &pin, &newer));
        if (!found)
            continue;
        const bool covers = row.to == 0 || cap < row.to;
        if (covers && (!out->found || row.from > out->row.from)) {
            if (out->found)
                cache_unpin(run->store->cache, out->pin);
            *out = (struct found_row){.found = true, .row = row, .pin = pin};
        } else {
            cache_unpin(run->store->cache, pin);
        }
    }
    return STRATA_OK;
}

strata_status tableset_find(const struct tableset *set, struct bytes key, uint64_t cap,
                            struct found_row *out)
{
    *out = (struct found_row){.found = false};
    for (uint32_t i = 0; i < set->memtable_count; i++) {
        if (memtable_find(set->memtables[i], key, cap, &out->row)) {
            out->found = true;
            return STRATA_OK;
        }
    }
    if (set->live_count + set->history_count == 0)
        return STRATA_OK;

    const uint64_t hash = hash64(key, 0);
    bool newer = false;
    for (uint32_t i = 0; i < set->live_count && !out->found; i++)
        TRY(run_find(set->live[i], key, hash, cap, &out->found, &out->row, &out->pin, &newer));
    /* Only a row that was passed over, or one that ended in a deletion, can have left anything in
     * history that is visible at `cap`. */
    if ((newer || !out->found) && cap < set->history_max_to) {
        const strata_status status = tableset_find_history(set, key, hash, cap, out);
        if (status != STRATA_OK) {
            if (out->pin != NULL)
                cache_unpin(set->history[0]->store->cache, out->pin);
            *out = (struct found_row){.found = false};
            return status;
        }
    }
    return STRATA_OK;
}

/* The newest row of `key` in a run, if it is newer than `since`; `*found`: there is any row of it. */
static strata_status run_changed(struct run *run, struct bytes key, uint64_t hash, uint64_t since,
                                 bool *found, bool *out)
{
    bool newer = false;
    struct row row;
    struct cached_frame *pin = NULL;
    TRY(run_find(run, key, hash, UINT64_MAX, found, &row, &pin, &newer));
    if (*found) {
        *out = row.from > since;
        cache_unpin(run->store->cache, pin);
    }
    return STRATA_OK;
}

strata_status tableset_changed(const struct tableset *set, struct bytes key, uint64_t since,
                               bool *out)
{
    struct row row;
    bool found = false;
    *out = false;
    for (uint32_t i = 0; i < set->memtable_count; i++) {
        const struct memtable *memtable = set->memtables[i];
        if (atomic_load(&memtable->last_version) <= since)
            return STRATA_OK;
        if (memtable_find(memtable, key, UINT64_MAX, &row)) {
            *out = row.from > since;
            return STRATA_OK;
        }
    }
    const uint64_t hash = hash64(key, 0);
    for (uint32_t i = 0; i < set->live_count && set->live[i]->max_version > since && !found; i++)
        TRY(run_changed(set->live[i], key, hash, since, &found, out));
    /* A deletion that a merge took out of the live runs is in history. */
    for (uint32_t i = 0; i < set->history_count && !found && !*out; i++) {
        bool here = false;
        if (set->history[i]->max_version > since)
            TRY(run_changed(set->history[i], key, hash, since, &here, out));
    }
    return STRATA_OK;
}

/* As tableset_find_version, in history: takes the place of what `out` has, if it is newer. */
static strata_status tableset_version_in_history(const struct tableset *set, struct bytes key,
                                                 uint64_t hash, uint64_t cap, struct found_row *out)
{
    for (uint32_t i = 0; i < set->history_count; i++) {
        struct run *run = set->history[i];
        if (run->min_from > cap || (out->found && run->max_version <= out->row.from))
            continue;
        bool found;
        bool newer = false;
        struct row row;
        struct cached_frame *pin = NULL;
        const strata_status status = run_find(run, key, hash, cap, &found, &row, &pin, &newer);
        if (status != STRATA_OK) {
            cache_unpin(run->store->cache, out->pin);
            *out = (struct found_row){.found = false};
            return status;
        }
        if (!found)
            continue;
        if (!out->found || row.from > out->row.from) {
            cache_unpin(run->store->cache, out->pin);
            *out = (struct found_row){.found = true, .row = row, .pin = pin};
        } else {
            cache_unpin(run->store->cache, pin);
        }
    }
    return STRATA_OK;
}

strata_status tableset_find_version(const struct tableset *set, struct bytes key, uint64_t cap,
                                    struct found_row *out)
{
    *out = (struct found_row){.found = false};
    for (uint32_t i = 0; i < set->memtable_count; i++) {
        if (memtable_find(set->memtables[i], key, cap, &out->row)) {
            out->found = true;
            return STRATA_OK;
        }
    }
    const uint64_t hash = hash64(key, 0);
    bool newer = false;
    for (uint32_t i = 0; i < set->live_count && !out->found; i++)
        TRY(run_find(set->live[i], key, hash, cap, &out->found, &out->row, &out->pin, &newer));
    if (out->found && !newer)
        return STRATA_OK; /* The newest row of all in runs. */
    return tableset_version_in_history(set, key, hash, cap, out);
}
