#include "engine/database/database.h"

#include "core/process.h"
#include "engine/database/point.h"

#include <assert.h>

enum { VISIBLE_POLL_US = 1000 };

uint64_t database_default_budget(void)
{
    const uint64_t most = (uint64_t)256 << 20, least = (uint64_t)1 << 20;
    const uint64_t main_memory = process_main_memory();
    const uint64_t quarter = main_memory / 4;
    if (main_memory == 0)
        return most;
    return quarter > most ? most : quarter < least ? least : quarter;
}

/* ---- open and close ---- */

static void database_free(strata *db)
{
    struct memory memory;
    memory_init(&memory, &db->memory.base);
    while (db->spaces != NULL) {
        struct strata_space *space = db->spaces;
        db->spaces = space->next;
        release(&memory.allocator, space, sizeof(*space));
    }
    mutex_destroy(&db->spaces_lock);
    release(&memory.allocator, db, sizeof(*db));
}

strata_status database_open(const struct store_options *options, strata **out)
{
    struct memory memory;
    memory_init(&memory, options->allocator);
    strata *db = allocate_zeroed(&memory.allocator, sizeof(*db));
    if (db == NULL)
        return failure(STRATA_NO_MEMORY, "no memory for a database");
    memory_init(&db->memory, options->allocator);
    db->clock = *options->clock;
    db->process = process_generation();
    db->always = options->always;
    mutex_init(&db->spaces_lock);
    const strata_status status = storage_open(options, &db->storage);
    if (status != STRATA_OK) {
        database_free(db);
        return status;
    }
    value_holds_init(&db->holds, db->storage.store);
    db->default_space =
        (struct strata_space){.db = db, .interned = &db->storage.default_space, .next = NULL};
    *out = db;
    return STRATA_OK;
}

strata_status database_close(strata *db)
{
    const uint64_t txns = atomic_load(&db->txn_count);
    const uint64_t cursors = atomic_load(&db->cursor_count);
    const uint64_t writers = atomic_load(&db->writer_count);
    const uint64_t values = value_holds_count(&db->holds);
    if (txns + cursors + writers + values > 0)
        return failure(STRATA_BUSY,
                       "still open: transactions %llu, cursors %llu, writers %llu, held values "
                       "%llu",
                       (unsigned long long)txns, (unsigned long long)cursors,
                       (unsigned long long)writers, (unsigned long long)values);
    const strata_status status = storage_close(&db->storage);
    if (status != STRATA_BUSY)
        database_free(db);
    return status;
}

/* ---- spaces ---- */

static strata_status space_create(strata *db, struct storage_space *interned, strata_space **out)
{
    struct strata_space *space = allocate(&db->memory.allocator, sizeof(*space));
    if (space == NULL)
        return failure(STRATA_NO_MEMORY, "no memory for a space");
    *space = (struct strata_space){.db = db, .interned = interned, .next = db->spaces};
    db->spaces = space;
    *out = space;
    return STRATA_OK;
}

strata_status database_space(strata *db, const char *name, strata_space **out)
{
    struct store_reader reader;
    struct storage_space *interned = NULL;
    TRY(store_reader_open(db->storage.store, "", &reader));
    strata_status status = storage_space_find(&db->storage, &reader, name, &interned);
    store_reader_close(&reader);
    if (status != STRATA_OK)
        return status;
    if (interned == db->default_space.interned) {
        *out = &db->default_space;
        return STRATA_OK;
    }
    mutex_lock(&db->spaces_lock);
    struct strata_space *space = db->spaces;
    while (space != NULL && space->interned != interned)
        space = space->next;
    if (space != NULL)
        *out = space;
    else
        status = space_create(db, interned, out);
    mutex_unlock(&db->spaces_lock);
    return status;
}

/* ---- what is durable ---- */

void database_watermarks(const strata *db, uint64_t *visible_out, uint64_t *durable_out)
{
    const struct store *store = db->storage.store;
    const uint64_t durable = store->logged ? atomic_load(&store->wal.durable_version) : UINT64_MAX;
    const uint64_t visible = atomic_load(&store->committer.visible);
    *visible_out = visible;
    *durable_out = durable < visible ? durable : visible;
}

/* Waits for other threads to commit up to `version`. */
static strata_status wait_visible(strata *db, uint64_t version, int64_t until_us)
{
    uint64_t visible, durable;
    for (;;) {
        database_watermarks(db, &visible, &durable);
        if (visible >= version)
            return STRATA_OK;
        const int64_t now_us = database_monotonic(db);
        if (now_us >= until_us)
            return failure(STRATA_TIMEOUT, "version %llu has not been committed in time",
                           (unsigned long long)version);
        const int64_t slice_us = now_us + VISIBLE_POLL_US;
        db->clock.wait(db->clock.context, slice_us < until_us ? slice_us : until_us, NULL);
    }
}

strata_status database_wait_durable(strata *db, uint64_t version, int64_t wait_us)
{
    uint64_t visible, durable;
    database_watermarks(db, &visible, &durable);
    if (version <= durable)
        return STRATA_OK;
    if (version > visible && wait_us == 0)
        return failure(STRATA_HISTORY_UNAVAILABLE, "version %llu is beyond the newest, %llu",
                       (unsigned long long)version, (unsigned long long)visible);
    if (wait_us == 0)
        return failure(STRATA_TIMEOUT, "version %llu is not durable yet",
                       (unsigned long long)version);
    const int64_t now_us = database_monotonic(db);
    TRY(wait_visible(db, version, wait_us < INT64_MAX - now_us ? now_us + wait_us : INT64_MAX));
    return store_sync(db->storage.store);
}

/* ---- calls of the storage with a reader of their own ---- */

/* The end of a change to the branches: in a database that always syncs, durable. */
static strata_status branch_changed(strata *db, struct store_reader *reader, strata_status status)
{
    store_reader_close(reader);
    return status == STRATA_OK && db->always ? store_sync(db->storage.store) : status;
}

strata_status database_fork(strata *db, const strata_point *from, const char *name,
                            const char *message)
{
    struct store_reader reader;
    struct point_target target = {.branch = NULL};
    TRY(store_reader_open(db->storage.store, "", &reader));
    if (point_is_head(from))
        return branch_changed(
            db, &reader,
            storage_branch_fork_head(&db->storage, &reader, point_branch(from), name, message));
    strata_status status = point_find(&db->storage, &reader, from, &target);
    if (status == STRATA_OK)
        status = storage_branch_fork(&db->storage, &reader, target.branch, target.version, name,
                                     message);
    if (target.branch != NULL)
        storage_branch_close(&db->storage, target.branch);
    return branch_changed(db, &reader, status);
}

strata_status database_create_branch(strata *db, const char *name, const char *message)
{
    struct store_reader reader;
    TRY(store_reader_open(db->storage.store, "", &reader));
    const strata_status status = storage_branch_create(&db->storage, &reader, name, message);
    return branch_changed(db, &reader, status);
}

strata_status database_delete_branch(strata *db, const char *name)
{
    struct store_reader reader;
    TRY(store_reader_open(db->storage.store, "", &reader));
    const strata_status status = storage_branch_delete(&db->storage, &reader, name);
    return branch_changed(db, &reader, status);
}

strata_status database_rename_branch(strata *db, const char *name, const char *new_name)
{
    struct store_reader reader;
    TRY(store_reader_open(db->storage.store, "", &reader));
    const strata_status status = storage_branch_rename(&db->storage, &reader, name, new_name);
    return branch_changed(db, &reader, status);
}

strata_status database_check(strata *db, const strata_progress *progress,
                             void (*found)(void *context, const strata_finding *finding),
                             void *context)
{
    struct store_reader reader;
    TRY(store_reader_open(db->storage.store, "check", &reader));
    const strata_status status =
        store_check(db->storage.store, reader.slot, progress, found, context);
    store_reader_close(&reader);
    return status;
}
