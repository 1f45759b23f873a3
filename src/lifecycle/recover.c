#include "lifecycle/store.h"

#include "layout/key.h"
#include "layout/names.h"

#include <assert.h>

/* Counters that the catalog's rows move: numbers once given are not given again. */
static strata_status recover_numbers(struct store *store, struct bytes batch)
{
    struct batch_header header;
    TRY(batch_header_take(&batch, &header));
    for (uint64_t i = 0; i < header.row_count; i++) {
        struct batch_row row;
        TRY(batch_row_take(&batch, &row));
        if ((row.flags & BATCH_SYSTEM) == 0)
            continue;
        if (row.space == SYSTEM_BRANCHES && row.key.length == CATALOG_ID_KEY_SIZE) {
            const uint64_t id = load_ordered_u64(row.key.data);
            if (id >= atomic_load(&store->next_branch))
                atomic_store(&store->next_branch, id + 1);
        } else if (row.space == SYSTEM_SPACES && row.value.length == CATALOG_SPACE_SIZE) {
            const uint32_t number = load_u32(row.value.data);
            if (number >= atomic_load(&store->next_space))
                atomic_store(&store->next_space, number + 1);
        }
    }
    return STRATA_OK;
}

/* Moves full memtables out of memory while the log is still being read. A crash meanwhile only means
 * that more of it is in tables already. */
static strata_status recover_make_room(struct store *store, uint64_t charge)
{
    if (store->read_only)
        return STRATA_OK;
    const struct memtable *active = atomic_load(&store->tables.current)->memtables[0];
    if (atomic_load(&active->last_version) < active->first_version ||
        atomic_load(&active->charge) + charge <= store->profile.memtable_charge_max)
        return STRATA_OK;
    return store_flush_all(store);
}

static strata_status recover_record(void *context, const struct wal_record *record)
{
    struct store *store = context;
    const strata_progress *progress = store->options.progress;
    TRY(recover_make_room(store, record->payload.length * 2 + 128));
    TRY(committer_replay(&store->committer, record));
    TRY(recover_numbers(store, record->payload));
    store->report.replayed_commits++;
    if (progress != NULL && store->report.replayed_commits % 1024 == 0 &&
        progress->report(progress->context, "recover", store->report.replayed_commits, 0) != 0)
        return failure(STRATA_INTERRUPTED, "recovery was interrupted");
    return STRATA_OK;
}

static void recover_report(struct store *store, const struct wal_tail *tail, uint64_t flushed)
{
    strata_report *report = &store->report;
    const uint64_t durable = tail->durable_version > flushed ? tail->durable_version : flushed;
    const uint64_t head = atomic_load(&store->committer.visible);
    const int64_t now = store->options.clock->wall_us(store->options.clock->context);
    const int64_t last = atomic_load(&store->committer.visible_us);
    report->last_durable_version = durable;
    report->unconfirmed_commits = head > durable ? head - durable : 0;
    report->unknown_commits = tail->unknown_commits;
    report->clock_behind_us = last > now ? last - now : 0;
    if (tail->lost_end > 0) {
        report->health = STRATA_DEGRADED;
        report->lost_first_version = tail->last_version + 1;
        report->lost_end_version = tail->lost_end;
        strncpy(report->lost_object, tail->lost_object, sizeof(report->lost_object) - 1);
    }
}

strata_status store_recover(struct store *store, struct wal_tail *tail)
{
    const uint64_t flushed = store->flushed_version;
    TRY(wal_read(&(struct wal_reading){.backend = store->backend,
                                       .allocator = store->memory_allocator,
                                       .identity = &store->identity,
                                       .first_number = atomic_load(&store->first_wal),
                                       .first_version = flushed + 1,
                                       .apply = recover_record,
                                       .context = store},
                 tail));
    assert(tail->last_version == atomic_load(&store->committer.visible));
    if (!store->log_empty && tail->last_number < atomic_load(&store->first_wal)) {
        layout_wal_name(atomic_load(&store->first_wal), tail->lost_object);
        tail->lost_end = UINT64_MAX; /* Nobody knows. */
    }
    recover_report(store, tail, flushed);
    if (tail->lost_end == 0)
        return STRATA_OK;
    const strata_status status =
        failure_at(STRATA_DATA_LOSS, tail->lost_object, 0,
                   "commits from version %llu on, known to be durable, are gone from %s",
                   (unsigned long long)store->report.lost_first_version, tail->lost_object);
    return store->options.lossy ? STRATA_OK : status;
}
