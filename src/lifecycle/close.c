#include "lifecycle/store.h"

#include "backend/local.h"
#include "backend/memory_backend.h"
#include "layout/names.h"

#include <assert.h>

/* A close does the merges that are due only if they are this small. */
enum { CLOSE_MERGE_BYTES = 8 << 20 };

void store_cancel_job(struct store *store, enum job_kind kind)
{
    struct job *job = &store->jobs[kind];
    mutex_lock(&store->jobs_lock);
    while (job->claimed)
        condition_wait(&store->jobs_changed, &store->jobs_lock, 1000);
    store_end_job(store, job, true);
    mutex_unlock(&store->jobs_lock);
}

void store_free(struct store *store)
{
    const strata_allocator base = store->memory.base;
    store_stop_threads(store);
    for (enum job_kind kind = JOB_SYNC; kind < JOB_COUNT; kind++)
        store_end_job(store, &store->jobs[kind], true);
    if (store->policy_slot != NULL)
        epoch_slot_give(store->policy_slot);
    while (epoch_reclaim(&store->epochs))
        ;
    tables_destroy(&store->tables);
    epochs_destroy(&store->epochs);
    branches_destroy(&store->branches);
    garbage_destroy(&store->garbage);
    cache_destroy(&store->cache);
    wal_close(&store->wal);
    committer_destroy(&store->committer);
    arena_release(&store->published_arena);
    condition_destroy(&store->jobs_changed);
    mutex_destroy(&store->readers_lock);
    mutex_destroy(&store->value_lock);
    mutex_destroy(&store->jobs_lock);
    mutex_destroy(&store->publish_lock);
    if (store->locked)
        store->backend->unlock(store->backend->context);
    if (store->own_is_memory)
        memory_backend_destroy(store->own_backend);
    else
        local_backend_destroy(store->own_backend);
    memory_destroy(&store->memory);
    release(&base, store, sizeof(*store));
}

/* Merges small enough not to keep the caller waiting: many short sessions must not pile up runs. */
static strata_status close_merge(struct store *store, struct epoch_slot *slot)
{
    store_cancel_job(store, JOB_MERGE);
    epoch_enter(&store->epochs, slot);
    const struct tableset *set = atomic_load(&store->tables.current);
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < set->live_count; i++)
        bytes += set->live[i]->bytes;
    epoch_leave(slot);
    return bytes <= CLOSE_MERGE_BYTES ? store_drain(store, slot, JOB_MERGE) : STRATA_OK;
}

/* Everything is in tables: the log is over. */
static strata_status close_log(struct store *store)
{
    struct wal *wal = &store->wal;
    const uint32_t count = wal->segment_count;
    const bool ring = wal->ring.bytes != NULL;
    TRY(store_publish(store, &(struct store_change){.next_log = wal->last_number + 1}));
    store->logged = false;
    store->committer.wal = NULL;
    wal_drop_spare(wal);
    wal_close(wal);
    for (uint32_t i = 0; i < count; i++) {
        char name[LAYOUT_NAME_SIZE];
        layout_wal_name(wal->segments[i].number, name);
        TRY(backend_remove(store->backend, name));
    }
    return ring ? backend_remove(store->backend, LAYOUT_WAL_RING) : STRATA_OK;
}

static strata_status close_reclaim(struct store *store, struct epoch_slot *slot)
{
    while (store_reclaim_due(store))
        TRY(store_reclaim_step(store, slot));
    return STRATA_OK;
}

/* Whatever fails here loses nothing: the log is synced first and stays until it is not needed. It
 * stays, too, if objects are left: the next open looks for orphans where there is a log. */
static void close_tidily(struct store *store, struct epoch_slot *slot)
{
    if (store_flush_all(store) != STRATA_OK)
        return;
    if (close_merge(store, slot) != STRATA_OK)
        return;
    if (close_reclaim(store, slot) != STRATA_OK || atomic_load(&store->untidy) ||
        atomic_load(&store->orphans_below) > 0)
        return;
    if (close_log(store) == STRATA_OK)
        (void)close_reclaim(store, slot);
}

/* A store may be halted with nothing to lose: then there is nothing to tell. */
static strata_status close_sync(struct store *store)
{
    const uint64_t visible = atomic_load(&store->committer.visible);
    return atomic_load(&store->wal.durable_version) < visible ? store_sync(store) : STRATA_OK;
}

strata_status store_close(struct store *store)
{
    strata_status status = STRATA_OK;
    struct epoch_slot *slot;
    if (atomic_load(&store->handle_count) > 0)
        return failure(STRATA_BUSY, "%u transactions or cursors are open",
                       atomic_load(&store->handle_count));
    store_stop_threads(store);
    if (store->logged) {
        status = close_sync(store);
        if (status == STRATA_OK && epoch_slot_take(&store->epochs, &slot) == STRATA_OK) {
            close_tidily(store, slot);
            epoch_slot_give(slot);
        } else if (status != STRATA_OK) {
            status = failure(STRATA_IO, "commits since the last sync may not be durable");
        }
    }
    strata_error error;
    if (status != STRATA_OK)
        failure_save(&error);
    store_free(store);
    return status == STRATA_OK ? STRATA_OK : failure_restore(&error);
}
