#include "lifecycle/store.h"

#include "core/plant.h"

#include <assert.h>

strata_status store_take_number(void *context, uint64_t *out)
{
    struct store *store = context;
    for (;;) {
        uint64_t number = atomic_load(&store->next_object);
        while (number < atomic_load(&store->reserved_object)) {
            if (atomic_compare_exchange_weak(&store->next_object, &number, number + 1)) {
                *out = number;
                return STRATA_OK;
            }
        }
#if STRATA_PLANT == 12
        atomic_fetch_add(&store->reserved_object, OBJECT_NUMBERS_RESERVED);
        continue;
#endif
        /* A number may be used only below the watermark of a durable manifest: then whatever a
         * crash leaves behind is known to be ours, and the number is never given out again. */
        TRY(store_publish(store, &(struct store_change){.removed_count = 0}));
    }
}

static bool change_removes(const struct store_change *change, const struct run *run)
{
    for (uint32_t i = 0; i < change->removed_count; i++) {
        if (change->removed[i] == run)
            return true;
    }
    return false;
}

/* The runs of one role after a change, newest first, as in a manifest: of two runs of history that end
 * at one version, the one made last. `out` has room for all of them. */
static uint32_t change_runs(const struct store_change *change, struct run *const *present,
                            uint32_t present_count, enum part_role role, struct run **out)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < present_count; i++) {
        if (!change_removes(change, present[i]))
            out[count++] = present[i];
    }
    for (uint32_t i = 0; i < change->added_count; i++) {
        struct run *run = change->added[i];
        if (run->role != role)
            continue;
        uint32_t at = count;
        for (; at > 0 && out[at - 1]->max_version <= run->max_version; at--)
            out[at] = out[at - 1];
        out[at] = run;
        count++;
    }
    return count;
}

/* Describes the database as it will be. */
static strata_status publish_describe(struct store *store, const struct store_change *change,
                                      struct run *const *runs, uint32_t run_count,
                                      struct arena *arena, struct manifest *out)
{
    struct manifest_run *described = arena_take(arena, (run_count + 1) * sizeof(*described));
    if (described == NULL)
        return failure(STRATA_NO_MEMORY, "no memory for a manifest of %u runs", run_count);
    for (uint32_t i = 0; i < run_count; i++)
        TRY(run_describe(runs[i], arena, &described[i]));
    const uint64_t next = atomic_load(&store->next_object);
    *out = (struct manifest){
        .identity = store->identity,
        .flushed_version = store->flushed_version,
        .flushed_time_us = store->flushed_time_us,
        .next_object = next + OBJECT_NUMBERS_RESERVED,
        .next_branch = atomic_load(&store->next_branch),
        .next_space = atomic_load(&store->next_space),
        .created_us = store->created_us,
        .run_count = run_count,
        .runs = described,
    };
    if (change->memtable != NULL) {
        out->flushed_version = atomic_load(&change->memtable->last_version);
        out->flushed_time_us = change->flushed_time_us;
    }
    out->first_wal = store->logged ? wal_first_needed(&store->wal, out->flushed_version)
                                   : atomic_load(&store->first_wal);
    if (change->next_log > 0)
        out->first_wal = change->next_log;
    /* While the log is still being read, it stays as it was. */
    out->log_empty = change->next_log > 0 || (!store->logged && store->log_empty);
    return STRATA_OK;
}

static strata_status publish_write(struct store *store, struct manifest *manifest)
{
    if (store->options.cache)
        return STRATA_OK;
    const struct manifest *previous = store->published.number == 0 ? NULL : &store->published;
    const strata_status status = manifests_publish(&store->manifests, previous, manifest);
    if (status == STRATA_OK && store->logged)
        atomic_store(&store->wal.manifest, manifest->number);
    return status;
}

/* What follows from a published change. Cannot fail. The locks are held. */
static void publish_install(struct store *store, const struct store_change *change,
                            struct tableset *set, const struct manifest *manifest,
                            const struct arena *arena)
{
    for (uint32_t i = 0; i < change->removed_count; i++)
        run_retire(change->removed[i]);
    tables_install(&store->tables, set, change->values);
    arena_release(&store->published_arena);
    store->published_arena = *arena;
    store->published = *manifest;
    store->flushed_version = manifest->flushed_version;
    store->flushed_time_us = manifest->flushed_time_us;
    atomic_store(&store->first_wal, manifest->first_wal);
    store->log_empty = manifest->log_empty;
    atomic_store(&store->reserved_object, manifest->next_object);
    atomic_store(&store->old_logs, true);
    atomic_store(&store->old_manifests, !store->options.cache);
}

/* Both locks are held. `lists` has room for all memtables, then for all runs. */
static strata_status publish_locked(struct store *store, const struct store_change *change,
                                    const struct tableset *old, void **lists)
{
    strata_status status = STRATA_OK;
    struct tableset *set = NULL;
    struct manifest manifest;
    struct arena arena;
    struct memtable **memtables = (struct memtable **)lists;
    struct run **runs = (struct run **)(lists + old->memtable_count);
    struct tableset_parts parts = {.memtables = memtables, .live = runs};
    arena_init(&arena, store->memory_allocator, 1024);
    for (uint32_t i = 0; i < old->memtable_count; i++) {
        if (old->memtables[i] != change->memtable)
            memtables[parts.memtable_count++] = old->memtables[i];
    }
    parts.live_count = change_runs(change, old->live, old->live_count, ROLE_LIVE, runs);
    parts.history = runs + parts.live_count;
    parts.history_count = change_runs(change, old->history, old->history_count, ROLE_HISTORY,
                                      runs + parts.live_count);
    TRY_OUT(tableset_create(&store->tables, &parts, &set));
    TRY_OUT(publish_describe(store, change, runs, parts.live_count + parts.history_count, &arena,
                             &manifest));
    TRY_OUT(publish_write(store, &manifest));
    publish_install(store, change, set, &manifest, &arena);
    return STRATA_OK;

out:
    tableset_discard(set);
    arena_release(&arena);
    return status;
}

strata_status store_publish(struct store *store, const struct store_change *change)
{
    mutex_lock(&store->publish_lock);
    mutex_lock(&store->tables.install_lock);
    const struct tableset *old = atomic_load(&store->tables.current);
    const uint32_t count =
        old->memtable_count + old->live_count + old->history_count + change->added_count;
    strata_status status;
    void **lists = allocate(store->memory_allocator, count * sizeof(*lists));
    if (lists == NULL)
        status = failure(STRATA_NO_MEMORY, "no memory to publish %u runs", count);
    else
        status = publish_locked(store, change, old, lists);
    if (lists != NULL)
        release(store->memory_allocator, lists, count * sizeof(*lists));
    mutex_unlock(&store->tables.install_lock);
    mutex_unlock(&store->publish_lock);
    if (status == STRATA_HALTED)
        committer_halt(&store->committer);
    return status;
}
