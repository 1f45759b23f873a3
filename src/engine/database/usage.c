#include "engine/database/usage.h"

uint64_t database_memory(const strata *db)
{
    const struct store *store = db->storage.store;
    /* The struct of the store is taken before its memory can count. */
    return sizeof(*store) + atomic_load(&store->memory.live_bytes) +
           atomic_load(&db->memory.live_bytes) + sizeof(*db);
}

static void usage_add_runs(struct run *const *runs, uint32_t count, uint64_t *bytes_out,
                           uint32_t *objects_out)
{
    for (uint32_t i = 0; i < count; i++) {
        *bytes_out += runs[i]->bytes;
        if (runs[i]->remains != NULL)
            *objects_out += runs[i]->remains->count;
    }
}

strata_status database_usage(struct store *store, struct database_usage *out)
{
    struct database_usage usage = {.live_bytes = 0};
    struct epoch_slot *slot;
    TRY(epoch_slot_take(&store->epochs, &slot));
    epoch_enter(&store->epochs, slot);
    const struct tableset *set = atomic_load(&store->tables.current);
    usage.live_runs = set->live_count;
    usage.history_runs = set->history_count;
    usage_add_runs(set->live, set->live_count, &usage.live_bytes, &usage.objects);
    usage_add_runs(set->history, set->history_count, &usage.history_bytes, &usage.objects);
    for (uint32_t i = 0; i < set->memtable_count; i++) {
        usage.memtable_bytes += memtable_memory(set->memtables[i]);
        if (i > 0)
            usage.backlog_bytes += atomic_load(&set->memtables[i]->charge);
    }
    epoch_leave(slot);
    epoch_slot_give(slot);
    *out = usage;
    return STRATA_OK;
}

strata_status database_footprint(strata *db, strata_footprint *out)
{
    struct store *store = db->storage.store;
    struct database_usage usage;
    TRY(database_usage(store, &usage));
    const uint32_t size = out->size;
    *out = (strata_footprint){.size = size,
                              .file_count = usage.objects,
                              .live_bytes = usage.live_bytes,
                              .history_bytes = usage.history_bytes,
                              .memory_bytes = database_memory(db),
                              .held_value_bytes = atomic_load(&store->held_bytes)};
    out->oldest_reader_version =
        store_oldest_reader(store, &out->oldest_reader_us, out->oldest_reader_label);
    if (store->logged) {
        out->log_bytes = wal_bytes(&store->wal);
        mutex_lock(&store->wal.sync_lock);
        out->file_count += store->wal.segment_count;
        mutex_unlock(&store->wal.sync_lock);
    }
    return STRATA_OK;
}
