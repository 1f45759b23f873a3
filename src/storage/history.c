#include "storage/storage_inner.h"

#include <assert.h>

strata_status storage_history_open(struct store_reader *reader, struct storage *storage,
                                   const struct storage_view *view,
                                   const struct storage_space *space, unsigned kind,
                                   struct bytes key, struct storage_history *out)
{
    const uint32_t number = atomic_load(&space->number);
    *out = (struct storage_history){.reader = reader,
                                    .view = *view,
                                    .storage_space = number == 0 ? 0 : storage_space(number, kind),
                                    .deletions = atomic_load(&space->deletions),
                                    .at = lineage_start(view->branch, view->version),
                                    .below = UINT64_MAX,
                                    .found_in = BRANCH_SYSTEM};
    buffer_init(&out->key, storage->store->memory_allocator);
    versions_init(&out->versions, storage->store->memory_allocator);
    if (number == 0) {
        out->at.branch = NULL;
        out->own_shown = true;
    }
    const strata_status status = buffer_append(&out->key, key);
    if (status != STRATA_OK)
        storage_history_close(out);
    return status;
}

void storage_history_close(struct storage_history *history)
{
    if (history->reader == NULL)
        return;
    storage_unpin(history->reader, &history->row);
    buffer_release(&history->key);
    versions_release(&history->versions);
    *history = (struct storage_history){.reader = NULL};
}

/* The largest version below `below` that may be seen at `at`. */
static uint64_t history_cap(struct lineage at, uint64_t below)
{
    return at.cap < below ? at.cap : below - 1;
}

/* What follows the first version found in a branch: `*out` is NULL if nothing does. */
static strata_status history_walk(struct storage_history *history, const struct tableset *set,
                                  struct bytes key, uint64_t cap, const struct row **out)
{
    struct versions *versions = &history->versions;
    strata_status status = STRATA_OK;
    if (!versions->open || history->generation != set->generation ||
        !bytes_equal(buffer_view(&versions->key), key)) {
        versions_close(versions);
        history->generation = set->generation;
        status = versions_open(versions, set, key);
    }
    if (status == STRATA_OK)
        status = versions_find(versions, cap, out);
    if (status != STRATA_OK)
        versions_close(versions);
    return status;
}

/* The newest row of `key` at `at` that is still to come. The first one in a branch is quickly looked
 * up, or not there; those that follow are walked through. */
static strata_status history_find(struct storage_history *history, struct lineage at,
                                  struct bytes key, struct found_row *out)
{
    const struct tableset *set = storage_tables(history->reader->store);
    const uint64_t cap = history_cap(at, history->below);
    const struct row *row = NULL;
    *out = (struct found_row){.found = false};
    if (cap == 0)
        return STRATA_OK;
    if (history->found_in != at.branch->id) {
        TRY(tableset_find_version(set, key, cap, out));
        if (out->found)
            history->found_in = at.branch->id;
        return STRATA_OK;
    }
    TRY(history_walk(history, set, key, cap, &row));
    if (row != NULL)
        *out = (struct found_row){.found = true, .row = *row};
    return STRATA_OK;
}

/* A deletion of the whole space. */
struct history_deletion {
    uint64_t version; /* 0: none. */
    int64_t time_us;
    struct lineage at;
};

/* The oldest deletion of the space at `at` with a version below `below` and above that of the row it
 * would hide. */
static strata_status history_find_deletion(const struct storage_history *history, struct lineage at,
                                           uint64_t above, struct history_deletion *out)
{
    uint8_t key[KEY_PREFIX_SIZE];
    uint64_t below = history->below;
    key_prefix_store(key, at.branch->id, history->storage_space);
    for (;;) {
        struct found_row found = {.found = false};
        const uint64_t cap = history_cap(at, below);
        if (cap > 0)
            TRY(tableset_find_version(storage_tables(history->reader->store),
                                      bytes_of(key, sizeof(key)), cap, &found));
        cache_unpin(&history->reader->store->cache, found.pin);
        if (!found.found || found.row.from <= above)
            return STRATA_OK;
        *out = (struct history_deletion){
            .version = found.row.from, .time_us = found.row.time_us, .at = at};
        below = found.row.from;
    }
}

/* The next committed row, wherever it is, and the oldest deletion of the space that came after it. */
static strata_status history_look(struct storage_history *history, struct lookup_key *key,
                                  struct found_row *row, struct lineage *row_at,
                                  struct history_deletion *deletion)
{
    struct lineage at = history->at;
    row->found = false;
    *deletion = (struct history_deletion){.version = 0};
    for (; at.branch != NULL; lineage_up(&at)) {
        TRY(history_find(history, at, lookup_key_in(key, at.branch->id), row));
        if (history->deletions) {
            const strata_status status =
                history_find_deletion(history, at, row->found ? row->row.from : 0, deletion);
            if (status != STRATA_OK) {
                cache_unpin(&history->reader->store->cache, row->pin);
                return status;
            }
        }
        if (row->found) {
            *row_at = at;
            return STRATA_OK;
        }
    }
    return STRATA_OK;
}

static void history_show_deletion(struct storage_history *history, uint64_t version,
                                  int64_t time_us)
{
    history->row = (struct storage_row){
        .found = true, .row = {.kind = ROW_DELETE, .from = version, .time_us = time_us}};
}

static strata_status history_show_committed(struct storage_history *history, struct lookup_key *key)
{
    struct found_row row;
    struct lineage row_at = {.branch = NULL};
    struct history_deletion deletion;
    TRY(history_look(history, key, &row, &row_at, &deletion));
    if (!row.found) {
        history->at.branch = NULL;
        return STRATA_OK;
    }
    /* A deletion of the space is one of the key only if the key was there. */
    const bool present = row.row.kind != ROW_DELETE;
    if (present && (deletion.version > 0 || history->own_deleted)) {
        if (deletion.version > 0) {
            history->at = deletion.at;
            history->below = deletion.version;
        }
        history_show_deletion(history, deletion.version,
                              deletion.version > 0 ? deletion.time_us : history->view.time_us);
        cache_unpin(&history->reader->store->cache, row.pin);
    } else {
        history->at = row_at;
        history->below = row.row.from;
        history->row = storage_row_of(&row);
        history->row.row.key = (struct bytes){0};
    }
    history->own_deleted = false;
    return STRATA_OK;
}

/* The newest own write, if there is one that a deletion of the space does not cover. */
static void history_show_own(struct storage_history *history, struct lookup_key *key)
{
    const struct storage_view *view = &history->view;
    const struct storage_writes *writes = view->writes;
    struct row row;
    history->own_shown = true;
    if (writes == NULL || writes->memtable == NULL)
        return;
    const uint64_t floor = storage_own_floor(view, history->storage_space);
    const bool found = own_find(writes, lookup_key_in(key, writes->branch), view->own_cap, &row);
    if (found && row.from >= floor) {
        history->row = (struct storage_row){.found = true, .row = row};
        history->row.row.key = (struct bytes){0};
        history->row.row.from = 0;
    } else if (floor > 0) {
        history->own_deleted = true;
    }
}

strata_status storage_history_next(struct storage_history *history)
{
    struct lookup_key key;
    strata_status status = STRATA_OK;
    storage_unpin(history->reader, &history->row);
    history->row.found = false;
    TRY(lookup_key_init(&key, history->reader->store->memory_allocator, history->storage_space,
                        buffer_view(&history->key)));
    if (!history->own_shown)
        history_show_own(history, &key);
    if (!history->row.found && history->at.branch != NULL)
        status = history_show_committed(history, &key);
    lookup_key_release(&key);
    return status;
}
