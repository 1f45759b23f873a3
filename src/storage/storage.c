#include "storage/storage_inner.h"

#include <assert.h>

static const char default_space_name[] = "default";

static strata_status spaces_look_up(struct storage *storage, struct store_reader *reader,
                                    const char *name, bool *found, uint32_t *number_out,
                                    bool *deletions_out)
{
    struct store *store = storage->store;
    storage_enter(reader);
    const uint64_t version = atomic_load(&store->committer.visible);
    const strata_status status =
        catalog_find_space(storage_tables(store), &store->cache, version,
                           bytes_of(name, strlen(name)), found, number_out, deletions_out);
    storage_leave(reader);
    return status;
}

/* What the catalog knows of the default space: its number is fixed. */
static strata_status spaces_open_default(struct storage *storage)
{
    struct storage_space *space = &storage->default_space;
    struct store_reader reader;
    uint32_t number;
    bool found = false;
    bool deletions = false;
    memcpy(space->name, default_space_name, sizeof(default_space_name));
    TRY(store_reader_open(storage->store, NULL, &reader));
    const strata_status status =
        spaces_look_up(storage, &reader, default_space_name, &found, &number, &deletions);
    store_reader_close(&reader);
    atomic_store(&space->number, SPACE_DEFAULT);
    atomic_store(&space->deletions, found && deletions);
    atomic_store(&space->registered, true);
    return status;
}

strata_status storage_open(const struct store_options *options, struct storage *out)
{
    struct store *store;
    TRY(store_open(options, &store));
    memset(out, 0, sizeof(*out));
    out->store = store;
    mutex_init(&out->spaces_lock);
    mutex_init(&out->batch_lock);
    const strata_status status = spaces_open_default(out);
    if (status != STRATA_OK) {
        strata_error error;
        failure_save(&error);
        mutex_destroy(&out->spaces_lock);
        mutex_destroy(&out->batch_lock);
        store_free(store);
        return failure_restore(&error);
    }
    return STRATA_OK;
}

strata_status storage_close(struct storage *storage)
{
    struct store *store = storage->store;
    const uint32_t handles = atomic_load(&store->handle_count);
    if (handles > 0)
        return failure(STRATA_BUSY, "%u transactions or cursors are open", handles);
    while (storage->spaces != NULL) {
        struct storage_space *space = storage->spaces;
        storage->spaces = space->next;
        release(store->memory_allocator, space, sizeof(*space));
    }
    mutex_destroy(&storage->spaces_lock);
    mutex_destroy(&storage->batch_lock);
    storage->store = NULL;
    return store_close(store);
}

/* The lock is held. */
static struct storage_space *spaces_find(const struct storage *storage, const char *name)
{
    struct storage_space *space = storage->spaces;
    while (space != NULL && strcmp(space->name, name) != 0)
        space = space->next;
    return space;
}

/* The space of that name, made if it is new here. */
static strata_status spaces_intern(struct storage *storage, const char *name,
                                   struct storage_space **out)
{
    const size_t length = strlen(name);
    assert(length > 0 && length <= BRANCH_NAME_SIZE_MAX);
    mutex_lock(&storage->spaces_lock);
    struct storage_space *space = spaces_find(storage, name);
    if (space == NULL) {
        space = allocate_zeroed(storage->store->memory_allocator, sizeof(*space));
        if (space != NULL) {
            memcpy(space->name, name, length + 1);
            space->next = storage->spaces;
            storage->spaces = space;
        }
    }
    mutex_unlock(&storage->spaces_lock);
    if (space == NULL)
        return failure(STRATA_NO_MEMORY, "no memory for a space");
    *out = space;
    return STRATA_OK;
}

strata_status storage_space_find(struct storage *storage, struct store_reader *reader,
                                 const char *name, struct storage_space **out)
{
    struct storage_space *space;
    if (strcmp(name, default_space_name) == 0) {
        *out = &storage->default_space;
        return STRATA_OK;
    }
    TRY(spaces_intern(storage, name, &space));
    if (atomic_load(&space->number) == 0) {
        bool found, deletions;
        uint32_t number;
        TRY(spaces_look_up(storage, reader, name, &found, &number, &deletions));
        mutex_lock(&storage->spaces_lock);
        /* Whoever gave it a number meanwhile looked before it was in the catalog. */
        if (found && atomic_load(&space->number) == 0) {
            atomic_store(&space->deletions, deletions);
            atomic_store(&space->registered, true);
            atomic_store(&space->number, number);
        }
        mutex_unlock(&storage->spaces_lock);
    }
    *out = space;
    return STRATA_OK;
}

void name_consider(const char *name, const char *from, bool past, bool *found,
                   char out[BRANCH_NAME_SIZE_MAX + 1])
{
    const int order = strcmp(name, from);
    if (order < 0 || (order == 0 && past) || (*found && strcmp(name, out) >= 0))
        return;
    *found = true;
    memcpy(out, name, strlen(name) + 1);
}

strata_status storage_check_writable(const struct storage *storage)
{
    if (!storage->store->read_only)
        return STRATA_OK;
    const strata_status status = failure(STRATA_READ_ONLY, "the database is open for reading only");
    failure_outcome(STRATA_NOT_COMMITTED, 0);
    return status;
}
