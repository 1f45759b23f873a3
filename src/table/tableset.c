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

/* Buckets are of use as far as they stay in memory: those of the newest runs, as long as they take half
 * of the cache together. A key in a run behind them costs one read of a leaf then, by its index, which
 * is small; by its buckets it would mostly be two. */
static void tableset_choose_index(struct tableset *set)
{
    const uint32_t count = set->live_count + set->history_count;
    uint64_t left = count == 0 ? 0 : cache_bytes_max(set->live[0]->store->cache) / 2;
    for (uint32_t i = 0; i < count; i++) { /* history follows live in memory. */
        struct run *run = set->live[i];
        const uint64_t bytes = run->rows * BUCKET_SIZE / BUCKET_FILL;
        const bool by_index = bytes > left;
        for (uint32_t j = 0; j < run->part_count; j++)
            atomic_store_explicit(&run->parts[j]->by_index, by_index, memory_order_relaxed);
        left = by_index ? 0 : left - bytes;
    }
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
    tableset_choose_index(set);
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

/* Of a set that has runs. */
static struct cache *tableset_cache(const struct tableset *set)
{
    assert(set->live_count + set->history_count > 0);
    return set->live[0]->store->cache; /* history follows live in memory. */
}

/* Live runs whose buckets are fetched while the memtables are searched. */
enum { TABLESET_PROBES = 8 };

/* The newest row at or below `cap` in memtables. Their hash tables are fetched side by side. */
static bool tableset_find_in_memory(const struct tableset *set, struct bytes key, uint64_t hash,
                                    uint64_t cap, struct found_row *out)
{
    for (uint32_t i = 1; i < set->memtable_count; i++)
        memtable_prefetch(set->memtables[i], hash);
    for (uint32_t i = 0; i < set->memtable_count && !out->found; i++)
        out->found = memtable_find(set->memtables[i], key, hash, cap, &out->row);
    return out->found;
}

/* Finds `key` in the live runs, the first of which have been probed. */
static strata_status tableset_find_live(const struct tableset *set, const struct run_probe *probes,
                                        struct bytes key, uint64_t hash, uint64_t cap,
                                        struct found_row *out, bool *newer)
{
    for (uint32_t i = 0; i < set->live_count && !out->found; i++) {
        if (i < TABLESET_PROBES)
            TRY(run_find_probed(&probes[i], key, hash, cap, out, newer));
        else
            TRY(run_find(set->live[i], key, hash, cap, out, newer));
    }
    return STRATA_OK;
}

/* Memtables and live runs; `*newer` as of part_find, of the runs. */
static strata_status tableset_find_latest(const struct tableset *set, struct bytes key,
                                          uint64_t hash, uint64_t cap, struct found_row *out,
                                          bool *newer)
{
    struct run_probe probes[TABLESET_PROBES];
    *out = (struct found_row){.found = false};
    for (uint32_t i = 0; i < set->live_count && i < TABLESET_PROBES; i++)
        run_probe_begin(&probes[i], set->live[i], key, hash);
    if (tableset_find_in_memory(set, key, hash, cap, out))
        return STRATA_OK;
    return tableset_find_live(set, probes, key, hash, cap, out, newer);
}

/* Of two rows of one key, in history or not, keeps the newer one in `out`. */
static void tableset_take_newer(struct cache *cache, struct found_row *out,
                                const struct found_row *other)
{
    assert(other->found);
    const bool takes = !out->found || other->row.from > out->row.from;
    cache_unpin(cache, takes ? out->pin : other->pin);
    if (takes)
        *out = *other;
}

/* The newest history row at or below `cap` that covers it. */
static strata_status tableset_find_history(const struct tableset *set, struct bytes key,
                                           uint64_t hash, uint64_t cap, struct found_row *out)
{
    for (uint32_t i = 0; i < set->history_count; i++) {
        struct run *run = set->history[i];
        if (run->min_from > cap || run->max_to <= cap)
            continue;
        bool newer = false;
        struct found_row found;
        TRY(run_find(run, key, hash, cap, &found, &newer));
        if (!found.found)
            continue;
        if (found.row.to == 0 || cap < found.row.to)
            tableset_take_newer(run->store->cache, out, &found);
        else
            cache_unpin(run->store->cache, found.pin);
    }
    return STRATA_OK;
}

strata_status tableset_find(const struct tableset *set, struct bytes key, uint64_t cap,
                            struct found_row *out)
{
    const uint64_t hash = hash64(key, 0);
    bool newer = false;
    TRY(tableset_find_latest(set, key, hash, cap, out, &newer));
    /* Only a row that was passed over, or one that ended in a deletion, can have left anything in
     * history that is visible at `cap`. */
    if ((out->found && !newer) || cap >= set->history_max_to)
        return STRATA_OK;
    const strata_status status = tableset_find_history(set, key, hash, cap, out);
    if (status != STRATA_OK) {
        cache_unpin(tableset_cache(set), out->pin);
        *out = (struct found_row){.found = false};
    }
    return status;
}

/* What a batch is about. */
struct batch {
    const struct tableset *set;
    const struct bytes *keys;
    const uint64_t *hashes;
    uint32_t count;
    uint64_t cap;
    struct found_row *out;
    struct run_probe probes[TABLESET_BATCH_MAX]; /* Of those not found so far. */
    bool newer[TABLESET_BATCH_MAX];
};

static void batch_begin_run(struct batch *batch, struct run *run)
{
    for (uint32_t i = 0; i < batch->count; i++) {
        if (!batch->out[i].found)
            run_probe_begin(&batch->probes[i], run, batch->keys[i], batch->hashes[i]);
    }
}

/* Goes on in a run where all have begun. */
static strata_status batch_find_in_run(struct batch *batch)
{
    for (uint32_t i = 0; i < batch->count; i++) {
        if (!batch->out[i].found)
            part_probe_row(&batch->probes[i].part, batch->hashes[i]);
    }
    for (uint32_t i = 0; i < batch->count; i++) {
        if (!batch->out[i].found)
            TRY(run_find_probed(&batch->probes[i], batch->keys[i], batch->hashes[i], batch->cap,
                                &batch->out[i], &batch->newer[i]));
    }
    return STRATA_OK;
}

static strata_status batch_find(struct batch *batch)
{
    const struct tableset *set = batch->set;
    if (set->live_count > 0)
        batch_begin_run(batch, set->live[0]);
    for (uint32_t i = 0; i < batch->count; i++)
        memtable_prefetch(set->memtables[0], batch->hashes[i]);
    for (uint32_t i = 0; i < batch->count; i++)
        (void)tableset_find_in_memory(set, batch->keys[i], batch->hashes[i], batch->cap,
                                      &batch->out[i]);
    for (uint32_t i = 0; i < set->live_count; i++) {
        if (i > 0)
            batch_begin_run(batch, set->live[i]);
        TRY(batch_find_in_run(batch));
    }
    for (uint32_t i = 0; i < batch->count; i++) {
        const bool settled = batch->out[i].found && !batch->newer[i];
        if (!settled && batch->cap < set->history_max_to)
            TRY(tableset_find_history(set, batch->keys[i], batch->hashes[i], batch->cap,
                                      &batch->out[i]));
    }
    return STRATA_OK;
}

strata_status tableset_find_batch(const struct tableset *set, const struct bytes *keys,
                                  const uint64_t *hashes, uint32_t count, uint64_t cap,
                                  struct found_row *out)
{
    assert(count <= TABLESET_BATCH_MAX);
    struct batch batch = {
        .set = set, .keys = keys, .hashes = hashes, .count = count, .cap = cap, .out = out};
    for (uint32_t i = 0; i < count; i++)
        out[i] = (struct found_row){.found = false};
    const strata_status status = batch_find(&batch);
    for (uint32_t i = 0; i < count && status != STRATA_OK; i++) {
        if (out[i].pin != NULL)
            cache_unpin(tableset_cache(set), out[i].pin);
        out[i] = (struct found_row){.found = false};
    }
    return status;
}

/* The newest row of `key` in a run, if it is newer than `since`; `*found`: there is any row of it. */
static strata_status run_changed(struct run *run, struct bytes key, uint64_t hash, uint64_t since,
                                 bool *found, bool *out)
{
    bool newer = false;
    struct found_row row;
    TRY(run_find(run, key, hash, UINT64_MAX, &row, &newer));
    *found = row.found;
    if (row.found) {
        *out = row.row.from > since;
        cache_unpin(run->store->cache, row.pin);
    }
    return STRATA_OK;
}

strata_status tableset_changed(const struct tableset *set, struct bytes key, uint64_t since,
                               bool *out)
{
    const uint64_t hash = hash64(key, 0);
    struct row row;
    bool found = false;
    *out = false;
    for (uint32_t i = 0; i < set->memtable_count; i++) {
        const struct memtable *memtable = set->memtables[i];
        if (atomic_load(&memtable->last_version) <= since)
            return STRATA_OK;
        if (memtable_find(memtable, key, hash, UINT64_MAX, &row)) {
            *out = row.from > since;
            return STRATA_OK;
        }
    }
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
        bool newer = false;
        struct found_row found;
        const strata_status status = run_find(run, key, hash, cap, &found, &newer);
        if (status != STRATA_OK) {
            cache_unpin(run->store->cache, out->pin);
            *out = (struct found_row){.found = false};
            return status;
        }
        if (found.found)
            tableset_take_newer(run->store->cache, out, &found);
    }
    return STRATA_OK;
}

strata_status tableset_find_version(const struct tableset *set, struct bytes key, uint64_t cap,
                                    struct found_row *out)
{
    const uint64_t hash = hash64(key, 0);
    bool newer = false;
    TRY(tableset_find_latest(set, key, hash, cap, out, &newer));
    if (out->found && !newer)
        return STRATA_OK; /* The newest row of all in memtables and runs. */
    return tableset_version_in_history(set, key, hash, cap, out);
}
