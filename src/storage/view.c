#include "storage/storage_inner.h"

#include "core/hash.h"

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

/* The clock's time, or that of the newest commit if later. */
static int64_t time_now(const struct store *store)
{
    const strata_clock *clock = store->options.clock;
    const int64_t commit_us = atomic_load(&store->committer.visible_us);
    const int64_t now_us = clock->wall_us(clock->context);
    return now_us > commit_us ? now_us : commit_us;
}

void storage_head(const struct storage *storage, uint64_t *version_out, int64_t *time_us_out)
{
    /* In this order: the time is set before the version, and never goes back. */
    *version_out = storage_head_version(storage);
    *time_us_out = time_now(storage->store);
}

/* Whether a row says that the key is there at the time of the view. */
static inline bool view_shows(const struct store *store, const struct storage_view *view,
                              const struct row *row)
{
    if (row->expires_us == 0 || view->time_us != STORAGE_TIME_NOW)
        return row_is_live(row, view->time_us);
    return row_is_live(row, time_now(store));
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
    return own_find(writes, bytes_of(key, sizeof(key)), view->own_cap, &row) ? row.from : 0;
}

/* Whether the transaction's own writes say what `key` is; `out` is filled in if it is there. */
static bool get_own(const struct store *store, const struct storage_view *view, uint32_t space,
                    struct lookup_key *key, struct storage_row *out)
{
    const struct storage_writes *writes = view->writes;
    struct row row;
    if (writes == NULL || writes->memtable == NULL)
        return false;
    assert(writes->branch == view->branch->id);
    const uint64_t floor = storage_own_floor(view, space);
    if (!own_find(writes, lookup_key_in(key, writes->branch), view->own_cap, &row))
        return floor > 0;
    if (row.from >= floor && view_shows(store, view, &row)) {
        *out = (struct storage_row){.found = true, .row = row};
        out->row.key = (struct bytes){0};
        out->row.from = 0;
    }
    return true;
}

/* Shows what the nearest branch that has a row of the key has. */
static void get_show(struct store *store, const struct storage_view *view, uint64_t floor,
                     const struct found_row *found, struct storage_row *out)
{
    assert(found->found);
    if (found->row.from < floor || !view_shows(store, view, &found->row)) {
        cache_unpin(&store->cache, found->pin);
        return;
    }
    *out = storage_row_of(found);
    out->row.key = (struct bytes){0};
}

/* Walks the lineage: the nearest branch that has a row of the key decides. */
static strata_status find_walking(struct store *store, const struct tableset *set,
                                  const struct storage_view *view, uint32_t space, bool deletions,
                                  struct lookup_key *key, struct found_row *out)
{
    struct lineage at = lineage_start(view->branch, view->version);
    for (; at.branch != NULL && at.cap > 0; lineage_up(&at)) {
        uint64_t floor = 0;
        if (deletions)
            TRY(storage_floor(store, at.branch->id, space, at.cap, &floor));
        TRY(tableset_find(set, lookup_key_in(key, at.branch->id), at.cap, out));
        if (out->found && out->row.from < floor) {
            cache_unpin(&store->cache, out->pin);
            *out = (struct found_row){.found = false};
            return STRATA_OK;
        }
        if (out->found || floor > 0)
            return STRATA_OK;
    }
    return STRATA_OK;
}

/* In the rows of a fork's own: in memtables and, as `fork` says, an overlay or the runs. */
static strata_status find_own(const struct tableset *set, const struct fork_view *fork,
                              uint64_t version, struct bytes storage_key, uint64_t hash,
                              struct found_row *out)
{
    if (fork->own == NULL)
        return tableset_find(set, storage_key, version, out);
    const uint64_t key_hash = hash64(storage_key, 0);
    for (uint32_t i = 0; i < set->memtable_count && !out->found; i++)
        out->found = memtable_find(set->memtables[i], storage_key, key_hash, version, &out->row);
    if (out->found)
        return STRATA_OK;
    const struct row *row =
        overlay_find(fork->own, bytes_after(storage_key, KEY_PREFIX_SIZE), hash);
    if (row != NULL)
        *out = (struct found_row){.found = true, .row = *row};
    return STRATA_OK;
}

/* The same as find_walking by the short way. */
static strata_status find_forked(const struct tableset *set, const struct fork_view *fork,
                                 const struct storage_view *view, struct lookup_key *key,
                                 struct found_row *out)
{
    const struct inheritance *inherited = fork->inherited;
    const struct bytes own_key = lookup_key_in(key, view->branch->id);
    const struct bytes user_key = bytes_after(own_key, KEY_PREFIX_SIZE);
    const uint64_t hash = overlay_hash(user_key);
    TRY(find_own(set, fork, view->version, own_key, hash, out));
    if (out->found)
        return STRATA_OK;
    const struct row *row =
        inherited->overlay == NULL ? NULL : overlay_find(inherited->overlay, user_key, hash);
    /* A branch that comes before that of the row has seen nothing as old. */
    for (uint32_t i = 0; i < inherited->level_count; i++) {
        const struct level *level = &inherited->levels[i];
        if (row != NULL && level->cap < row->from)
            break;
        TRY(tableset_find(set, lookup_key_in(key, level->branch), level->cap, out));
        if (out->found)
            return STRATA_OK;
    }
    if (row != NULL)
        *out = (struct found_row){.found = true, .row = *row};
    return STRATA_OK;
}

const struct fork_view *storage_fork_view(struct store *store, const struct tableset *set,
                                          const struct storage_view *view,
                                          const struct storage_space *space, uint32_t within,
                                          int32_t weight)
{
    if (view->branch->parent == NULL || atomic_load(&space->deletions))
        return NULL;
    return fork_view_of(&store->branches.fork_views, view->branch, set, within, view->version,
                        weight);
}

static strata_status get_committed(struct store_reader *reader, const struct storage_view *view,
                                   const struct storage_space *space, uint32_t within,
                                   struct lookup_key *key, struct storage_row *out)
{
    struct store *store = reader->store;
    const struct tableset *set = storage_tables(store);
    const struct fork_view *fork =
        storage_fork_view(store, set, view, space, within, FORK_VIEW_GET);
    struct found_row found = {.found = false};
    if (fork != NULL)
        TRY(find_forked(set, fork, view, key, &found));
    else
        TRY(find_walking(store, set, view, within, atomic_load(&space->deletions), key, &found));
    if (fork == NULL || fork->own == NULL || fork->inherited->level_count > 0)
        store_count_gets(store, reader->slot, 1, view->version, found.found ? found.row.from : 0);
    if (found.found && view_shows(store, view, &found.row)) {
        *out = storage_row_of(&found);
        out->row.key = (struct bytes){0};
    } else if (found.found) {
        cache_unpin(&store->cache, found.pin);
    }
    return STRATA_OK;
}

strata_status storage_get(struct store_reader *reader, const struct storage_view *view,
                          const struct storage_space *space, unsigned kind, struct bytes key,
                          struct storage_row *out)
{
    struct store *store = reader->store;
    struct lookup_key lookup;
    strata_status status = STRATA_OK;
    const uint32_t number = atomic_load_explicit(&space->number, memory_order_acquire);
    *out = (struct storage_row){.found = false};
    if (number == 0)
        return STRATA_OK;
    const uint32_t within = storage_space(number, kind);
    TRY(lookup_key_init(&lookup, store->memory_allocator, within, key));
    if (!get_own(store, view, within, &lookup, out))
        status = get_committed(reader, view, space, within, &lookup, out);
    lookup_key_release(&lookup);
    return status;
}

/* Keys on their way up the branches. */
struct get_batch {
    struct store *store;
    const struct storage_view *view;
    uint32_t space;
    struct storage_row *out;
    struct lookup_key lookups[STORAGE_BATCH_MAX];
    uint32_t open[STORAGE_BATCH_MAX]; /* Those not decided yet, by their number. */
    uint32_t open_count;
};

/* Looks for the keys that are open in one branch. */
static strata_status get_many_at(struct get_batch *batch, struct lineage at, bool deletions)
{
    uint64_t floor = 0;
    uint32_t left = 0;
    struct bytes keys[STORAGE_BATCH_MAX];
    uint64_t hashes[STORAGE_BATCH_MAX];
    struct found_row found[STORAGE_BATCH_MAX];
    if (deletions)
        TRY(storage_floor(batch->store, at.branch->id, batch->space, at.cap, &floor));
    for (uint32_t i = 0; i < batch->open_count; i++) {
        keys[i] = lookup_key_in(&batch->lookups[batch->open[i]], at.branch->id);
        hashes[i] = hash64(keys[i], 0);
    }
    TRY(tableset_find_batch(storage_tables(batch->store), keys, hashes, batch->open_count, at.cap,
                            found));
    for (uint32_t i = 0; i < batch->open_count; i++) {
        if (found[i].found)
            get_show(batch->store, batch->view, floor, &found[i], &batch->out[batch->open[i]]);
        else if (floor == 0)
            batch->open[left++] = batch->open[i];
    }
    batch->open_count = left;
    return STRATA_OK;
}

/* Readies keys [0, count) and looks for them among own writes. */
static strata_status get_many_begin(struct get_batch *batch, const struct bytes *keys,
                                    uint32_t count, uint32_t *readied)
{
    for (*readied = 0; *readied < count; ++*readied) {
        struct lookup_key *lookup = &batch->lookups[*readied];
        TRY(lookup_key_init(lookup, batch->store->memory_allocator, batch->space, keys[*readied]));
        if (!get_own(batch->store, batch->view, batch->space, lookup, &batch->out[*readied]))
            batch->open[batch->open_count++] = *readied;
    }
    return STRATA_OK;
}

/* One by one: what a fork inherits is looked up by its view. */
static strata_status get_each(struct store_reader *reader, const struct storage_view *view,
                              const struct storage_space *space, unsigned kind,
                              const struct bytes *keys, uint32_t count, struct storage_row *out)
{
    strata_status status = STRATA_OK;
    uint32_t got = 0;
    for (; got < count && status == STRATA_OK; got++)
        status = storage_get(reader, view, space, kind, keys[got], &out[got]);
    for (uint32_t i = 0; i < got && status != STRATA_OK; i++) {
        storage_unpin(reader, &out[i]);
        out[i].found = false;
    }
    return status;
}

strata_status storage_get_many(struct store_reader *reader, const struct storage_view *view,
                               const struct storage_space *space, unsigned kind,
                               const struct bytes *keys, uint32_t count, struct storage_row *out)
{
    struct get_batch batch;
    const uint32_t number = atomic_load(&space->number);
    const bool deletions = atomic_load(&space->deletions);
    uint32_t readied = 0;
    assert(count <= STORAGE_BATCH_MAX);
    for (uint32_t i = 0; i < count; i++)
        out[i] = (struct storage_row){.found = false};
    if (number == 0)
        return STRATA_OK;
    if (view->branch->parent != NULL)
        return get_each(reader, view, space, kind, keys, count, out);
    batch.store = reader->store;
    batch.view = view;
    batch.space = storage_space(number, kind);
    batch.out = out;
    batch.open_count = 0;
    strata_status status = get_many_begin(&batch, keys, count, &readied);
    struct lineage at = lineage_start(view->branch, view->version);
    for (; status == STRATA_OK && at.branch != NULL && at.cap > 0 && batch.open_count > 0;
         lineage_up(&at))
        status = get_many_at(&batch, at, deletions);
    for (uint32_t i = 0; i < readied; i++)
        lookup_key_release(&batch.lookups[i]);
    store_count_gets(reader->store, reader->slot, count, view->version,
                     count > 0 && out[0].found ? out[0].row.from : 0);
    for (uint32_t i = 0; i < count && status != STRATA_OK; i++) {
        storage_unpin(reader, &out[i]);
        out[i].found = false;
    }
    return status;
}

void storage_unpin(struct store_reader *reader, struct storage_row *row)
{
    cache_unpin(&reader->store->cache, row->pin);
    row->pin = row->frame = NULL;
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
    if (row->kind != ROW_VALUE_REFERENCE) {
        memcpy(to, row->value.data + offset, size);
        return STRATA_OK;
    }
    const bool one = store->profile.one_batch;
    if (one)
        mutex_lock(&store->value_lock);
    const strata_status status =
        value_file_read(store->backend, store->memory_allocator, &store->identity,
                        value_reference_load(row->value), offset, to, size);
    if (one)
        mutex_unlock(&store->value_lock);
    return status;
}
