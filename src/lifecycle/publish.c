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

/* Whether a new run is listed before another of its role, as in a manifest. */
static bool change_precedes(const struct run *run, const struct run *other)
{
    return run->max_version > other->max_version ||
           (run->max_version == other->max_version && run->id > other->id);
}

/* The runs of one role after a change, newest first: of two runs of history that end at one version, the
 * one made last. `out` has room for all of them. */
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
        for (; at > 0 && change_precedes(run, out[at - 1]); at--)
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

/* What a change leads to. */
struct publication {
    struct run **runs; /* [run_capacity]: live ones, then history. */
    uint32_t run_capacity;
    uint32_t live_count;
    uint32_t history_count;
    struct tableset *set;
    uint64_t generation; /* Of the set that it was made from. */
};

/* The set that shows a change: its runs, under the memtables that there are now. install_lock is
 * held. */
static strata_status publish_make_set(struct store *store, const struct store_change *change,
                                      struct publication *publication)
{
    const struct tableset *present = atomic_load(&store->tables.current);
    const size_t bytes = present->memtable_count * sizeof(struct memtable *);
    struct memtable **memtables = allocate(store->memory_allocator, bytes);
    if (memtables == NULL)
        return failure(STRATA_NO_MEMORY, "no memory to list %u memtables", present->memtable_count);
    struct tableset_parts parts = {.memtables = memtables,
                                   .live = publication->runs,
                                   .live_count = publication->live_count,
                                   .history = publication->runs + publication->live_count,
                                   .history_count = publication->history_count};
    for (uint32_t i = 0; i < present->memtable_count; i++) {
        if (present->memtables[i] != change->memtable)
            memtables[parts.memtable_count++] = present->memtables[i];
    }
    const strata_status status = tableset_create(&store->tables, &parts, &publication->set);
    publication->generation = atomic_load(&store->tables.generation);
    release(store->memory_allocator, memtables, bytes);
    return status;
}

/* Lists the runs after a change, and makes the set. */
static strata_status publish_choose(struct store *store, const struct store_change *change,
                                    struct publication *publication)
{
    strata_status status = STRATA_OK;
    mutex_lock(&store->tables.install_lock);
    const struct tableset *present = atomic_load(&store->tables.current);
    const uint32_t capacity =
        present->live_count + present->history_count + change->added_count + 1;
    publication->runs = allocate(store->memory_allocator, capacity * sizeof(struct run *));
    if (publication->runs == NULL) {
        status = failure(STRATA_NO_MEMORY, "no memory to publish %u runs", capacity);
        goto out;
    }
    publication->run_capacity = capacity;
    publication->live_count =
        change_runs(change, present->live, present->live_count, ROLE_LIVE, publication->runs);
    publication->history_count =
        change_runs(change, present->history, present->history_count, ROLE_HISTORY,
                    publication->runs + publication->live_count);
    status = publish_make_set(store, change, publication);

out:
    mutex_unlock(&store->tables.install_lock);
    return status;
}

/* What follows from a published change. Only where a memtable was frozen meanwhile is there a request
 * for memory, of another set: without that the store has to stop, since what is durable cannot be
 * shown. */
static strata_status publish_install(struct store *store, const struct store_change *change,
                                     struct publication *publication,
                                     const struct manifest *manifest, const struct arena *arena)
{
    mutex_lock(&store->tables.install_lock);
    if (atomic_load(&store->tables.generation) != publication->generation) {
        tableset_discard(publication->set);
        publication->set = NULL;
        if (publish_make_set(store, change, publication) != STRATA_OK) {
            mutex_unlock(&store->tables.install_lock);
            return failure(STRATA_HALTED, "no memory to show what has been published");
        }
    }
    for (uint32_t i = 0; i < change->removed_count; i++)
        run_retire(change->removed[i]);
    store_note_pressure(store, publication->set);
    tables_install(&store->tables, publication->set, change->values);
    publication->set = NULL;
    mutex_unlock(&store->tables.install_lock);
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
    return STRATA_OK;
}

/* publish_lock is held: nobody else changes the runs. install_lock is not held while the manifest is
 * written, since commits wait for it. */
static strata_status publish_locked(struct store *store, const struct store_change *change)
{
    strata_status status = STRATA_OK;
    struct publication publication = {.runs = NULL};
    struct manifest manifest;
    struct arena arena;
    arena_init(&arena, store->memory_allocator, 1024);
    TRY_OUT(publish_choose(store, change, &publication));
    TRY_OUT(publish_describe(store, change, publication.runs,
                             publication.live_count + publication.history_count, &arena,
                             &manifest));
    TRY_OUT(publish_write(store, &manifest));
    status = publish_install(store, change, &publication, &manifest, &arena);
    if (status == STRATA_OK)
        arena = (struct arena){.allocator = NULL}; /* Handed over. */

out:
    tableset_discard(publication.set);
    if (publication.runs != NULL)
        release(store->memory_allocator, publication.runs,
                publication.run_capacity * sizeof(struct run *));
    if (arena.allocator != NULL)
        arena_release(&arena);
    return status;
}

strata_status store_publish(struct store *store, const struct store_change *change)
{
    mutex_lock(&store->publish_lock);
    const strata_status status = publish_locked(store, change);
    mutex_unlock(&store->publish_lock);
    if (status == STRATA_HALTED)
        committer_halt(&store->committer);
    return status;
}
