#include "storage/storage_inner.h"

#include <assert.h>

strata_status lookup_key_init(struct lookup_key *key, const strata_allocator *allocator,
                              uint32_t space, struct bytes user_key)
{
    assert(user_key.length <= USER_KEY_SIZE_MAX);
    key->allocator = allocator;
    key->bytes = key->near;
    key->length = KEY_PREFIX_SIZE + user_key.length;
    if (key->length > sizeof(key->near)) {
        key->bytes = allocate(allocator, key->length);
        if (key->bytes == NULL)
            return failure(STRATA_NO_MEMORY, "no memory for a key of %zu bytes", user_key.length);
    }
    key_prefix_store(key->bytes, BRANCH_SYSTEM, space);
    if (user_key.length > 0)
        memcpy(key->bytes + KEY_PREFIX_SIZE, user_key.data, user_key.length);
    return STRATA_OK;
}

void lookup_key_release(struct lookup_key *key)
{
    if (key->bytes != key->near)
        release(key->allocator, key->bytes, key->length);
}

void storage_head(const struct storage *storage, uint64_t *version_out, int64_t *time_us_out)
{
    const struct store *store = storage->store;
    const strata_clock *clock = store->options.clock;
    /* In this order: the time is set before the version, and never goes back. */
    *version_out = atomic_load(&store->committer.visible);
    const int64_t commit_us = atomic_load(&store->committer.visible_us);
    const int64_t now_us = clock->wall_us(clock->context);
    *time_us_out = now_us > commit_us ? now_us : commit_us;
}

strata_status storage_floor(struct store *store, uint64_t branch, uint32_t space, uint64_t cap,
                            uint64_t *out)
{
    struct found_row found;
    uint8_t key[KEY_PREFIX_SIZE];
    key_prefix_store(key, branch, space);
    TRY(tableset_find(storage_tables(store), bytes_of(key, sizeof(key)), cap, &found));
    *out = found.found ? found.row.from : 0;
    cache_unpin(&store->cache, found.pin);
    return STRATA_OK;
}

uint64_t storage_own_floor(const struct storage_view *view, uint32_t space)
{
    const struct storage_writes *writes = view->writes;
    struct row row;
    uint8_t key[KEY_PREFIX_SIZE];
    if (writes == NULL || writes->memtable == NULL || !writes->deletions)
        return 0;
    key_prefix_store(key, writes->branch, space);
    return memtable_find(writes->memtable, bytes_of(key, sizeof(key)), view->own_cap, &row)
               ? row.from
               : 0;
}

/* Whether the transaction's own writes say what `key` is; `out` is filled in if it is there. */
static bool get_own(const struct storage_view *view, uint32_t space, struct lookup_key *key,
                    struct storage_row *out)
{
    const struct storage_writes *writes = view->writes;
    struct row row;
    if (writes == NULL || writes->memtable == NULL)
        return false;
    assert(writes->branch == view->branch->id);
    const uint64_t floor = storage_own_floor(view, space);
    if (!memtable_find(writes->memtable, lookup_key_in(key, writes->branch), view->own_cap, &row))
        return floor > 0;
    if (row.from >= floor && row_is_live(&row, view->time_us)) {
        *out = (struct storage_row){.found = true, .row = row};
        out->row.key = (struct bytes){0};
        out->row.from = 0;
    }
    return true;
}

/* The nearest branch that has a row of the key decides. */
static strata_status get_committed(struct store *store, const struct storage_view *view,
                                   uint32_t space, bool deletions, struct lookup_key *key,
                                   struct storage_row *out)
{
    const struct tableset *set = storage_tables(store);
    struct lineage at = lineage_start(view->branch, view->version);
    for (; at.branch != NULL && at.cap > 0; lineage_up(&at)) {
        uint64_t floor = 0;
        struct found_row found;
        if (deletions)
            TRY(storage_floor(store, at.branch->id, space, at.cap, &floor));
        TRY(tableset_find(set, lookup_key_in(key, at.branch->id), at.cap, &found));
        if (found.found) {
            if (found.row.from >= floor && row_is_live(&found.row, view->time_us)) {
                *out = (struct storage_row){.found = true, .row = found.row, .pin = found.pin};
                out->row.key = (struct bytes){0};
            } else {
                cache_unpin(&store->cache, found.pin);
            }
            return STRATA_OK;
        }
        if (floor > 0)
            return STRATA_OK;
    }
    return STRATA_OK;
}

strata_status storage_get(struct store_reader *reader, const struct storage_view *view,
                          const struct storage_space *space, unsigned kind, struct bytes key,
                          struct storage_row *out)
{
    struct lookup_key lookup;
    strata_status status = STRATA_OK;
    const uint32_t number = atomic_load(&space->number);
    out->found = false;
    out->pin = NULL;
    if (number == 0)
        return STRATA_OK;
    const uint32_t within = storage_space(number, kind);
    TRY(lookup_key_init(&lookup, reader->store->memory_allocator, within, key));
    if (!get_own(view, within, &lookup, out))
        status = get_committed(reader->store, view, within, atomic_load(&space->deletions), &lookup,
                               out);
    lookup_key_release(&lookup);
    return status;
}

void storage_unpin(struct store_reader *reader, struct storage_row *row)
{
    cache_unpin(&reader->store->cache, row->pin);
    row->pin = NULL;
}

uint64_t storage_value_size(const struct row *row)
{
    if (row->kind == ROW_VALUE_REFERENCE)
        return value_reference_load(row->value).size;
    return row->value.length;
}

strata_status storage_value_read(struct store_reader *reader, const struct row *row,
                                 uint64_t offset, void *to, size_t size)
{
    struct store *store = reader->store;
    assert(offset <= storage_value_size(row) && size <= storage_value_size(row) - offset);
    if (size == 0)
        return STRATA_OK;
    if (row->kind == ROW_VALUE_REFERENCE)
        return value_file_read(store->backend, store->memory_allocator, &store->identity,
                               value_reference_load(row->value), offset, to, size);
    memcpy(to, row->value.data + offset, size);
    return STRATA_OK;
}
