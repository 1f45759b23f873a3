/* Giving back: retired sets, removed objects, old log segments and manifests, orphans of a crash. */
#include "lifecycle/store.h"

#include "layout/names.h"

#include <assert.h>

enum { ORPHANS_PER_STEP = 512 };

bool store_reclaim_due(struct store *store)
{
    if (store->read_only)
        return false;
    mutex_lock(&store->epochs.lock);
    const bool retired = store->epochs.retired != NULL;
    mutex_unlock(&store->epochs.lock);
    mutex_lock(&store->garbage.lock);
    const bool garbage = store->garbage.items != NULL;
    mutex_unlock(&store->garbage.lock);
    return retired || garbage || atomic_load(&store->orphans_below) > 0 ||
           (store->logged && atomic_load(&store->old_logs)) || atomic_load(&store->old_manifests);
}

static strata_status reclaim_object(struct store *store, uint64_t number)
{
    char name[LAYOUT_NAME_SIZE];
    layout_table_name(number, name);
    cache_forget(&store->cache, number);
    TRY(backend_remove(store->backend, name));
    atomic_fetch_add(&store->counters.objects_removed, 1);
    return STRATA_OK;
}

/* ---- orphans ---- */

/* Numbers that nothing is known to list so far, in one folder. */
struct orphans {
    uint64_t below;
    uint64_t numbers[ORPHANS_PER_STEP];
    uint32_t count;
};

static int orphan_found(void *context, const char *name, uint64_t size)
{
    struct orphans *orphans = context;
    uint64_t number;
    (void)size;
    if (!layout_parse_table(name, &number) || number >= orphans->below)
        return 0;
    orphans->numbers[orphans->count++] = number;
    return orphans->count == ORPHANS_PER_STEP;
}

static void orphan_known(struct orphans *orphans, uint64_t number)
{
    for (uint32_t i = 0; i < orphans->count; i++) {
        if (orphans->numbers[i] == number) {
            orphans->numbers[i] = orphans->numbers[--orphans->count];
            return;
        }
    }
}

static strata_status orphan_value(void *context, uint64_t object, uint64_t live_bytes)
{
    (void)live_bytes;
    orphan_known(context, object);
    return STRATA_OK;
}

static strata_status orphans_known_to_runs(struct orphans *orphans, struct run *const *runs,
                                           uint32_t run_count)
{
    for (uint32_t i = 0; i < run_count; i++) {
        for (uint32_t j = 0; j < runs[i]->part_count; j++) {
            struct part *part = runs[i]->parts[j];
            orphan_known(orphans, part->info.number);
            for (uint32_t k = 0; k < part->info.artifact_count; k++)
                orphan_known(orphans, part->info.artifacts[k].number);
        }
    }
    for (uint32_t i = 0; i < run_count && orphans->count > 0; i++) {
        for (uint32_t j = 0; j < runs[i]->part_count; j++)
            TRY(part_values(runs[i]->parts[j], orphan_value, orphans));
    }
    return STRATA_OK;
}

static strata_status orphans_known_to_memtable(struct orphans *orphans,
                                               const struct memtable *memtable)
{
    struct memtable_source rows;
    memtable_source_init(&rows, memtable);
    TRY(source_seek(&rows.source, (struct bytes){0}, UINT64_MAX));
    while (rows.source.valid) {
        if (rows.source.row.kind == ROW_VALUE_REFERENCE)
            orphan_known(orphans, value_reference_load(rows.source.row.value).object);
        TRY(source_next(&rows.source));
    }
    return STRATA_OK;
}

/* Looks through one folder: what lies below the watermark of the last crash and is listed nowhere
 * was on its way when it happened. */
static strata_status reclaim_orphans(struct store *store, struct epoch_slot *slot)
{
    strata_status status = STRATA_OK;
    char folder[LAYOUT_NAME_SIZE];
    struct orphans *orphans = allocate(store->memory_allocator, sizeof(*orphans));
    if (orphans == NULL)
        return failure(STRATA_NO_MEMORY, "no memory to look for orphans");
    orphans->below = atomic_load(&store->orphans_below);
    orphans->count = 0;
    layout_table_folder_at(store->orphan_folder, folder);
    epoch_enter(&store->epochs, slot);
    const struct tableset *set = atomic_load(&store->tables.current);
    TRY_OUT(backend_list(store->backend, folder, orphan_found, orphans));
    const bool whole = orphans->count < ORPHANS_PER_STEP;
    if (orphans->count > 0) {
        TRY_OUT(orphans_known_to_runs(orphans, set->live, set->live_count + set->history_count));
        for (uint32_t i = 0; i < set->memtable_count && orphans->count > 0; i++)
            TRY_OUT(orphans_known_to_memtable(orphans, set->memtables[i]));
    }
    const bool progress = orphans->count > 0;
    while (orphans->count > 0)
        TRY_OUT(reclaim_object(store, orphans->numbers[--orphans->count]));
    if (whole || !progress)
        store->orphan_folder++;
    if (store->orphan_folder == LAYOUT_TABLE_FOLDERS)
        atomic_store(&store->orphans_below, 0);

out:
    epoch_leave(slot);
    release(store->memory_allocator, orphans, sizeof(*orphans));
    return status;
}

static strata_status reclaim_log(struct store *store)
{
    bool more = false;
    TRY(wal_drop_step(&store->wal, atomic_load(&store->first_wal), &more));
    atomic_store(&store->old_logs, more);
    return STRATA_OK;
}

static strata_status reclaim_manifest(struct store *store)
{
    bool more = false;
    mutex_lock(&store->publish_lock);
    const strata_status status = manifests_drop_step(&store->manifests, &more);
    if (status == STRATA_OK)
        atomic_store(&store->old_manifests, more);
    mutex_unlock(&store->publish_lock);
    return status;
}

strata_status store_reclaim_step(struct store *store, struct epoch_slot *slot)
{
    uint64_t number;
    (void)epoch_reclaim(&store->epochs);
    if (garbage_take(&store->garbage, &number))
        return reclaim_object(store, number);
    if (atomic_load(&store->old_logs) && store->logged)
        return reclaim_log(store);
    if (atomic_load(&store->old_manifests))
        return reclaim_manifest(store);
    if (atomic_load(&store->orphans_below) > 0)
        return reclaim_orphans(store, slot);
    return STRATA_OK;
}
