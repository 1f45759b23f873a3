#include "commit/batch_state.h"

#include "format/wal_record.h"
#include "layout/key.h"

#include <assert.h>

strata_status batch_storage_key(uint64_t branch, const struct batch_row *row, struct buffer *key)
{
    uint8_t *to;
    buffer_truncate(key, 0);
    TRY(buffer_extend(key, KEY_PREFIX_SIZE + row->key.length, &to));
    key_prefix_store(to, (row->flags & BATCH_SYSTEM) != 0 ? BRANCH_SYSTEM : branch, row->space);
    if (row->key.length > 0)
        memcpy(to + KEY_PREFIX_SIZE, row->key.data, row->key.length);
    return STRATA_OK;
}

/* ---- conflicts ---- */

/* Whether a source has a row above `since` that begins with `prefix`. */
static strata_status source_changed(struct source *source, struct bytes prefix, uint64_t since,
                                    bool *out)
{
    strata_status status = source_seek(source, prefix, UINT64_MAX);
    while (status == STRATA_OK && source->valid && !*out &&
           bytes_start_with(source->row.key, prefix)) {
        *out = source->row.from > since;
        status = source_next(source);
    }
    source_release(source);
    return status;
}

/* The same of those of the runs that may have one. */
static strata_status runs_changed(struct run *const *runs, uint32_t count, struct bytes prefix,
                                  uint64_t since, bool *out)
{
    for (uint32_t i = 0; i < count && !*out; i++) {
        struct run_source rows;
        if (runs[i]->max_version <= since)
            continue;
        run_source_init(&rows, runs[i]);
        TRY(source_changed(&rows.source, prefix, since, out));
    }
    return STRATA_OK;
}

/* Whether any row of a storage space was written after `since`: looks through what is newer only. */
static strata_status space_changed(const struct tableset *set, struct bytes prefix, uint64_t since,
                                   bool *out)
{
    assert(prefix.length == KEY_PREFIX_SIZE);
    *out = false;
    for (uint32_t i = 0; i < set->memtable_count && !*out; i++) {
        struct memtable_source rows;
        if (atomic_load(&set->memtables[i]->last_version) <= since)
            return STRATA_OK;
        memtable_source_init(&rows, set->memtables[i]);
        TRY(source_changed(&rows.source, prefix, since, out));
    }
    if (!*out)
        TRY(runs_changed(set->live, set->live_count, prefix, since, out));
    /* A deletion that a merge took out of the live runs is in history. */
    if (!*out)
        TRY(runs_changed(set->history, set->history_count, prefix, since, out));
    return STRATA_OK;
}

strata_status batch_changed(const struct tableset *set, struct bytes batch, uint64_t since,
                            struct buffer *key, bool *out)
{
    struct batch_header header;
    uint32_t known_space = 0; /* Whose deletion has been looked for. */
    *out = false;
    TRY(batch_header_take(&batch, &header));
    for (uint64_t i = 0; i < header.row_count && !*out; i++) {
        struct batch_row row;
        TRY(batch_row_take(&batch, &row));
        if ((row.flags & BATCH_SYSTEM) != 0)
            continue;
        TRY(batch_storage_key(header.branch, &row, key));
        const struct bytes storage_key = buffer_view(key);
        const struct bytes prefix = bytes_of(storage_key.data, KEY_PREFIX_SIZE);
        if (row.kind == ROW_RANGE_DELETE) {
            TRY(space_changed(set, prefix, since, out));
            continue;
        }
        if ((row.flags & BATCH_INCREMENT) == 0)
            TRY(tableset_changed(set, storage_key, since, out));
        if (!*out && row.space != known_space)
            TRY(tableset_changed(set, prefix, since, out));
        known_space = row.space;
    }
    return STRATA_OK;
}

/* ---- increments ---- */

/* From which version on rows of the storage space count at one level: 0 if it was never deleted. */
static strata_status level_floor(const struct tableset *set, struct cache *cache, uint64_t branch,
                                 uint32_t space, uint64_t cap, uint64_t *out)
{
    uint8_t prefix[KEY_PREFIX_SIZE];
    struct found_row found;
    key_prefix_store(prefix, branch, space);
    TRY(tableset_find(set, bytes_of(prefix, sizeof(prefix)), cap, &found));
    *out = found.found ? found.row.from : 0;
    cache_unpin(cache, found.pin);
    return STRATA_OK;
}

static strata_status counter_of(const struct found_row *found, uint64_t floor, int64_t now_us,
                                int64_t *out)
{
    const struct row *row = &found->row;
    if (row->from < floor || row->kind == ROW_DELETE ||
        (row->expires_us != 0 && row->expires_us <= now_us))
        return STRATA_OK;
    if (row->kind != ROW_COUNTER)
        return failure(STRATA_MISMATCH, "an increment meets a value that is no counter");
    *out = (int64_t)load_u64(row->value.data);
    return STRATA_OK;
}

/* The counter that an increment adds to: of the nearest level that has the key. */
static strata_status find_counter(const struct tableset *set, struct cache *cache,
                                  struct lineage at, const struct batch_row *increment,
                                  int64_t now_us, struct buffer *key, int64_t *out)
{
    for (*out = 0; at.branch != NULL; lineage_up(&at)) {
        struct found_row found;
        uint64_t floor;
        TRY(level_floor(set, cache, at.branch->id, increment->space, at.cap, &floor));
        TRY(batch_storage_key(at.branch->id, increment, key));
        TRY(tableset_find(set, buffer_view(key), at.cap, &found));
        if (found.found) {
            const strata_status status = counter_of(&found, floor, now_us, out);
            cache_unpin(cache, found.pin);
            return status;
        }
        if (floor > 0)
            return STRATA_OK;
    }
    return STRATA_OK;
}

strata_status batch_resolve_increments(const struct tableset *set, struct cache *cache,
                                       const struct branch *branch, uint64_t version,
                                       int64_t now_us, struct buffer *key, struct buffer *record)
{
    struct bytes batch = bytes_after(buffer_view(record), WAL_RECORD_HEADER_SIZE);
    struct batch_header header;
    TRY(batch_header_take(&batch, &header));
    for (uint64_t i = 0; i < header.row_count; i++) {
        uint8_t *head = record->data + (record->length - batch.length);
        struct batch_row row;
        int64_t value;
        TRY(batch_row_take(&batch, &row));
        if ((row.flags & BATCH_INCREMENT) == 0)
            continue;
        TRY(find_counter(set, cache, lineage_start(branch, version), &row, now_us, key, &value));
        const int64_t delta = (int64_t)load_u64(row.value.data);
        if (delta > 0 ? value > INT64_MAX - delta : value < INT64_MIN - delta)
            return failure(STRATA_INVALID, "an increment overflows its counter");
        store_u64(record->data + (row.value.data - record->data), (uint64_t)(value + delta));
        *head &= (uint8_t)~BATCH_INCREMENT;
    }
    return STRATA_OK;
}
