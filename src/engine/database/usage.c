#include "engine/database/usage.h"

uint64_t database_memory(const strata *db)
{
    const struct store *store = db->storage.store;
    /* The struct of the store is taken before its memory can count; the log's ring is no heap. */
    return sizeof(*store) + atomic_load(&store->memory.live_bytes) +
           atomic_load(&store->memory.kept_bytes) + store->wal.ring.size +
           atomic_load(&db->memory.live_bytes) + sizeof(*db);
}

strata_status database_usage(struct store *store, struct database_usage *out)
{
    struct database_usage usage = {.memtable_bytes = 0};
    struct epoch_slot *slot;
    TRY(epoch_slot_take(&store->epochs, &slot));
    epoch_enter(&store->epochs, slot);
    const struct tableset *set = atomic_load(&store->tables.current);
    usage.live_runs = set->live_count;
    usage.history_runs = set->history_count;
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
    struct footprint files;
    TRY(store_footprint(store, &files));
    const uint32_t size = out->size;
    *out = (strata_footprint){.size = size,
                              .file_count = files.file_count,
                              .live_bytes = files.live,
                              .history_bytes = files.history,
                              .derived_bytes = files.derived,
                              .pinned_bytes = files.pinned,
                              .dead_bytes = files.dead,
                              .log_bytes = files.log,
                              .memory_bytes = database_memory(db),
                              .held_value_bytes = value_holds_bytes(&db->holds),
                              .other_bytes = files.other};
    out->oldest_reader_version =
        store_oldest_reader(store, &out->oldest_reader_us, out->oldest_reader_label);
    return STRATA_OK;
}
