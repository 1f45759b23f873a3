/* Giving back: retired sets, removed objects, old log segments and manifests, orphans of a crash. */
#include "lifecycle/store.h"

#include "layout/names.h"

#include <assert.h>

enum { ORPHANS_PER_STEP = 512, RETIRED_TRY_US = 1000 };

static int64_t reclaim_now(const struct store *store)
{
    return store->options.clock->monotonic_us(store->options.clock->context);
}

/* Whether sets that are not in use any more wait for readers to leave. */
static bool sets_retired(struct store *store)
{
    mutex_lock(&store->epochs.lock);
    const bool retired = store->epochs.retired != NULL;
    mutex_unlock(&store->epochs.lock);
    return retired;
}

/* Whether what the present set does not list is read by nobody: only then is it an orphan. */
static bool orphans_certain(struct store *store)
{
    return !sets_retired(store) && atomic_load(&store->garbage.obsolete_runs) == 0;
}

bool store_reclaim_due(struct store *store)
{
    /* Once a publication has failed for good, what is not needed may be needed after all. */
    if (store->read_only || atomic_load(&store->committer.halted))
        return false;
    return garbage_any(&store->garbage) || (store->logged && atomic_load(&store->old_logs)) ||
           atomic_load(&store->old_manifests) ||
           (atomic_load(&store->orphans_below) > 0 && orphans_certain(store)) ||
           (sets_retired(store) && reclaim_now(store) >= atomic_load(&store->retired_try_us));
}

void store_discard_object(struct store *store, uint64_t number)
{
    struct garbage_item *item = garbage_item_create(store->memory_allocator, 1);
    if (item == NULL) {
        atomic_store(&store->untidy, true);
        return;
    }
    item->numbers[item->count++] = number;
    garbage_add(&store->garbage, item);
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

static strata_status reclaim_garbage(struct store *store, uint64_t number)
{
    const strata_status status = reclaim_object(store, number);
    if (status != STRATA_OK && !garbage_return(&store->garbage, number))
        atomic_store(&store->untidy, true);
    return status;
}

/* ---- orphans ---- */

/* The lowest numbers of one folder from `from` on, in order. */
struct orphans {
    uint64_t from;
    uint64_t below;
    uint64_t numbers[ORPHANS_PER_STEP];
    bool known[ORPHANS_PER_STEP]; /* Something lists it. */
    uint32_t count;
    uint32_t known_count;
    bool more; /* The folder has higher ones. */
};

/* Where `number` is, or would be. */
static uint32_t orphan_place(const struct orphans *orphans, uint64_t number)
{
    uint32_t low = 0;
    uint32_t high = orphans->count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (orphans->numbers[middle] < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int orphan_found(void *context, const char *name, uint64_t size)
{
    struct orphans *orphans = context;
    uint64_t number;
    (void)size;
    if (!layout_parse_table(name, &number) || number < orphans->from || number >= orphans->below)
        return 0;
    const uint32_t at = orphan_place(orphans, number);
    if (orphans->count == ORPHANS_PER_STEP) {
        orphans->more = true;
        if (at == ORPHANS_PER_STEP)
            return 0;
        orphans->count--;
    }
    memmove(orphans->numbers + at + 1, orphans->numbers + at,
            (orphans->count - at) * sizeof(orphans->numbers[0]));
    orphans->numbers[at] = number;
    orphans->count++;
    return 0;
}

static void orphan_known(struct orphans *orphans, uint64_t number)
{
    const uint32_t at = orphan_place(orphans, number);
    if (at == orphans->count || orphans->numbers[at] != number || orphans->known[at])
        return;
    orphans->known[at] = true;
    orphans->known_count++;
}

static bool orphans_left(const struct orphans *orphans)
{
    return orphans->known_count < orphans->count;
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
    for (uint32_t i = 0; i < run_count; i++) {
        for (uint32_t j = 0; j < runs[i]->part_count && orphans_left(orphans); j++)
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

static strata_status orphans_known_to_set(struct orphans *orphans, const struct tableset *set)
{
    TRY(orphans_known_to_runs(orphans, set->live, set->live_count + set->history_count));
    for (uint32_t i = 0; i < set->memtable_count && orphans_left(orphans); i++)
        TRY(orphans_known_to_memtable(orphans, set->memtables[i]));
    return STRATA_OK;
}

static strata_status orphans_remove(struct store *store, const struct orphans *orphans)
{
    for (uint32_t i = 0; i < orphans->count; i++) {
        if (!orphans->known[i])
            TRY(reclaim_object(store, orphans->numbers[i]));
    }
    return STRATA_OK;
}

/* Looks through one folder, or so much of it as one step takes: what lies below the watermark of the
 * last crash and is listed nowhere was on its way when it happened. */
static strata_status reclaim_orphans(struct store *store, struct epoch_slot *slot)
{
    strata_status status = STRATA_OK;
    char folder[LAYOUT_NAME_SIZE];
    struct orphans *orphans = allocate_zeroed(store->memory_allocator, sizeof(*orphans));
    if (orphans == NULL)
        return failure(STRATA_NO_MEMORY, "no memory to look for orphans");
    epoch_enter(&store->epochs, slot);
    const struct tableset *set = atomic_load(&store->tables.current);
    if (!orphans_certain(store))
        goto out;
    orphans->from = store->orphan_next;
    orphans->below = atomic_load(&store->orphans_below);
    layout_table_folder_at(store->orphan_folder, folder);
    TRY_OUT(backend_list(store->backend, folder, orphan_found, orphans));
    if (orphans->count > 0)
        TRY_OUT(orphans_known_to_set(orphans, set));
    TRY_OUT(orphans_remove(store, orphans));
    if (orphans->more) {
        store->orphan_next = orphans->numbers[orphans->count - 1] + 1;
    } else {
        store->orphan_next = 0;
        store->orphan_folder++;
    }
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
    if (epoch_reclaim(&store->epochs))
        atomic_store(&store->retired_try_us, reclaim_now(store) + RETIRED_TRY_US);
    if (garbage_take(&store->garbage, &number))
        return reclaim_garbage(store, number);
    if (atomic_load(&store->old_logs) && store->logged)
        return reclaim_log(store);
    if (atomic_load(&store->old_manifests))
        return reclaim_manifest(store);
    if (atomic_load(&store->orphans_below) > 0)
        return reclaim_orphans(store, slot);
    return STRATA_OK;
}
