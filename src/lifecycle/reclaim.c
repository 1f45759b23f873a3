/* Giving back: retired sets, removed objects, old log segments and manifests, orphans of a crash. */
#include "lifecycle/objects.h"

#include "layout/names.h"

#include <assert.h>

enum { RETIRED_TRY_US = 1000, TRIM_US = 10 * 1000 * 1000 };

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

int64_t store_trim_at(struct store *store)
{
    const uint64_t visible = atomic_load(&store->committer.visible);
    if (atomic_load(&store->memory.kept_bytes) == 0)
        return STRATA_FOREVER;
    if (atomic_exchange(&store->quiet_version, visible) != visible)
        atomic_store(&store->quiet_since_us, reclaim_now(store));
    return atomic_load(&store->quiet_since_us) + TRIM_US;
}

/* Whether memory is kept for memtables that nobody fills. */
static bool memory_idle(struct store *store)
{
    return store_trim_at(store) <= reclaim_now(store);
}

bool store_reclaim_due(struct store *store)
{
    /* Once a publication has failed for good, what is not needed may be needed after all. */
    if (store->read_only || atomic_load(&store->committer.halted))
        return false;
    return garbage_any(&store->garbage) || (store->logged && atomic_load(&store->old_logs)) ||
           atomic_load(&store->old_manifests) ||
           (atomic_load(&store->orphans_below) > 0 && orphans_certain(store)) ||
           (sets_retired(store) && reclaim_now(store) >= atomic_load(&store->retired_try_us)) ||
           memory_idle(store);
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

static strata_status orphans_remove(struct store *store, const struct object_page *page)
{
    for (uint32_t i = 0; i < page->count; i++) {
        if (page->uses[i] == 0)
            TRY(reclaim_object(store, page->numbers[i]));
    }
    return STRATA_OK;
}

/* Looks through one folder, or so much of it as one step takes: what lies below the watermark of the
 * last crash and is listed nowhere was on its way when it happened. */
static strata_status reclaim_orphans(struct store *store, struct epoch_slot *slot)
{
    strata_status status = STRATA_OK;
    struct object_page *page = allocate(store->memory_allocator, sizeof(*page));
    if (page == NULL)
        return failure(STRATA_NO_MEMORY, "no memory to look for orphans");
    epoch_enter(&store->epochs, slot);
    const struct tableset *set = atomic_load(&store->tables.current);
    if (!orphans_certain(store))
        goto out;
    page->from = store->orphan_next;
    page->below = atomic_load(&store->orphans_below);
    TRY_OUT(object_page_fill(page, store, store->orphan_folder));
    if (page->count > 0)
        TRY_OUT(object_page_note_set(page, set, NULL));
    TRY_OUT(orphans_remove(store, page));
    if (page->more) {
        store->orphan_next = page->numbers[page->count - 1] + 1;
    } else {
        store->orphan_next = 0;
        store->orphan_folder++;
    }
    if (store->orphan_folder == LAYOUT_TABLE_FOLDERS)
        atomic_store(&store->orphans_below, 0);

out:
    epoch_leave(slot);
    release(store->memory_allocator, page, sizeof(*page));
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
    if (memory_idle(store))
        memory_trim(&store->memory);
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
