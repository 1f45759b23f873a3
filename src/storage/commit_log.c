#include "storage/storage_inner.h"

#include <assert.h>

static void log_entry_fill(struct storage_log_entry *out, uint64_t branch, uint64_t version,
                           int64_t time_us, uint64_t rows, struct bytes message)
{
    assert(message.length <= BATCH_MESSAGE_SIZE_MAX);
    out->version = version;
    out->time_us = time_us;
    out->rows = rows;
    out->branch = branch;
    if (message.length > 0)
        memcpy(out->message, message.data, message.length);
    out->message[message.length] = '\0';
}

/* The last commit inside the bounds in a memtable. */
static bool log_in_memtable(const struct memtable *memtable, uint64_t branch,
                            const struct log_bounds *bounds, struct memtable_commit *out)
{
    return commit_index_find(&memtable->commits, branch, bounds->version, bounds->time_us, out) &&
           out->version > bounds->above;
}

/* To the last packed row of the branch that begins at or before `version`; its key's version. */
static strata_status log_seek(struct source *source, uint64_t branch, uint64_t version, bool *found,
                              uint64_t *first_out)
{
    uint8_t key[KEY_PREFIX_SIZE + 8];
    assert(version < UINT64_MAX);
    key_prefix_store(key, branch, SYSTEM_LOG);
    store_ordered_u64(key + KEY_PREFIX_SIZE, version + 1);
    TRY(source_seek_before(source, bytes_of(key, sizeof(key))));
    *found = source->valid && bytes_start_with(source->row.key, bytes_of(key, KEY_PREFIX_SIZE));
    if (!*found)
        return STRATA_OK;
    if (source->row.key.length != sizeof(key))
        return failure(STRATA_CORRUPT, "a row of the log has a key of %zu bytes",
                       source->row.key.length);
    *first_out = load_ordered_u64(source->row.key.data + KEY_PREFIX_SIZE);
    return STRATA_OK;
}

/* To the last packed row of the branch that begins inside the bounds, by bisection: neither versions
 * nor times ever go back. */
static strata_status log_seek_inside(struct source *source, uint64_t branch,
                                     const struct log_bounds *bounds, bool *found)
{
    uint64_t low = 1;
    uint64_t high = bounds->version;
    uint64_t middle = high;
    uint64_t best = 0;
    while (low <= high) {
        uint64_t first = 0;
        TRY(log_seek(source, branch, middle, found, &first));
        if (!*found) {
            low = middle + 1;
        } else if (source->row.time_us > bounds->time_us) {
            high = first - 1;
        } else {
            best = first;
            if (middle == high)
                return STRATA_OK;
            low = middle + 1;
        }
        middle = low + (high - low) / 2;
    }
    *found = best > 0;
    return *found ? log_seek(source, branch, best, found, &best) : STRATA_OK;
}

/* The last of the commits packed in a row that is inside the bounds; the first one is. */
static strata_status log_unpack(const struct row *row, uint64_t branch,
                                const struct log_bounds *bounds, bool *found,
                                struct storage_log_entry *out)
{
    struct commit_packer packer = {.version = load_ordered_u64(row->key.data + KEY_PREFIX_SIZE)};
    struct bytes value = row->value;
    struct packed_commit last = {.version = 0};
    for (;;) {
        bool more;
        struct packed_commit commit;
        TRY(commit_unpack(&packer, &value, &more, &commit));
        if (!more || commit.version > bounds->version || commit.time_us > bounds->time_us)
            break;
        last = commit;
    }
    *found = last.version > bounds->above;
    if (*found)
        log_entry_fill(out, branch, last.version, last.time_us, last.rows, last.message);
    return STRATA_OK;
}

static strata_status log_in_run(struct run *run, uint64_t branch, const struct log_bounds *bounds,
                                bool *found, struct storage_log_entry *out)
{
    struct run_source rows;
    run_source_init(&rows, run);
    strata_status status = log_seek_inside(&rows.source, branch, bounds, found);
    if (status == STRATA_OK && *found)
        status = log_unpack(&rows.source.row, branch, bounds, found, out);
    source_release(&rows.source);
    return status;
}

strata_status storage_log_own(struct store *store, uint64_t branch, const struct log_bounds *bounds,
                              bool *found, struct storage_log_entry *out)
{
    const struct tableset *set = storage_tables(store);
    *found = false;
    if (bounds->above >= bounds->version)
        return STRATA_OK;
    for (uint32_t i = 0; i < set->memtable_count; i++) {
        struct memtable_commit commit;
        if (log_in_memtable(set->memtables[i], branch, bounds, &commit)) {
            log_entry_fill(out, branch, commit.version, commit.time_us, commit.rows,
                           commit.message);
            *found = true;
            return STRATA_OK;
        }
    }
    for (uint32_t i = 0; i < set->live_count && !*found; i++) {
        struct run *run = set->live[i];
        if (run->max_version <= bounds->above)
            return STRATA_OK;
        if (run->min_version < bounds->version)
            TRY(log_in_run(run, branch, bounds, found, out));
    }
    return STRATA_OK;
}

strata_status storage_log_find(struct storage *storage, struct store_reader *reader,
                               const struct branch *branch, uint64_t version, int64_t time_us,
                               bool *found, struct storage_log_entry *out)
{
    struct store *store = storage->store;
    strata_status status = STRATA_OK;
    storage_enter(reader);
    const uint64_t visible = atomic_load(&store->committer.visible);
    struct lineage at = lineage_start(branch, version < visible ? version : visible);
    *found = false;
    for (; at.branch != NULL && at.cap > 0 && !*found && status == STRATA_OK; lineage_up(&at)) {
        const struct log_bounds bounds = {.version = at.cap, .time_us = time_us};
        status = storage_log_own(store, at.branch->id, &bounds, found, out);
    }
    storage_leave(reader);
    return status;
}

strata_status storage_branch_name(struct storage *storage, struct store_reader *reader,
                                  uint64_t branch, char out[BRANCH_NAME_SIZE_MAX + 1])
{
    struct store *store = storage->store;
    struct catalog_branch record;
    bool found = false;
    storage_enter(reader);
    const uint64_t version = atomic_load(&store->committer.visible);
    const strata_status status =
        catalog_read_branch(storage_tables(store), &store->cache, version, branch, &found, &record);
    storage_leave(reader);
    TRY(status);
    out[0] = '\0';
    if (found && !record.deleted)
        memcpy(out, record.name, sizeof(record.name));
    return STRATA_OK;
}
