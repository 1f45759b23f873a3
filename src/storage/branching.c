#include "storage/storage_inner.h"

#include <assert.h>

enum { BRANCH_STALL_WAIT_US = 30 * 1000 * 1000 };

/* ---- handles ---- */

strata_status storage_branch_open(struct storage *storage, struct store_reader *reader,
                                  const char *name, struct branch **out)
{
    struct store *store = storage->store;
    bool found = false;
    uint64_t id = 0;
    storage_enter(reader);
    const uint64_t version = atomic_load(&store->committer.visible);
    strata_status status = catalog_find_name(storage_tables(store), &store->cache, version,
                                             bytes_of(name, strlen(name)), &found, &id);
    if (status == STRATA_OK && !found)
        status = failure(STRATA_NOT_FOUND, "there is no such branch");
    struct branch *branch = NULL;
    if (status == STRATA_OK)
        status = branches_acquire(&store->branches, id, &branch);
    storage_leave(reader);
    if (branch != NULL && atomic_load(&branch->deleted)) {
        branches_release(&store->branches, branch);
        return failure(STRATA_NOT_FOUND, "the branch has just been deleted");
    }
    if (status == STRATA_OK)
        *out = branch;
    return status;
}

void storage_branch_again(struct storage *storage, struct branch *branch)
{
    branch_again(&storage->store->branches, branch);
}

void storage_branch_close(struct storage *storage, struct branch *branch)
{
    branches_release(&storage->store->branches, branch);
}

/* ---- changes: what the newest catalog allows is decided under the commit lock ---- */

struct branch_change {
    struct store *store;
    const char *name;
    const char *message;
    const char *new_name;
    uint64_t from;         /* Of a fork: the branch; 0: nothing is inherited. */
    uint64_t from_created; /* The version that created it. */
    uint64_t version;      /* What is asked for; UINT64_MAX: the newest. */
    uint64_t present_at;   /* At this version it had not been deleted. */
    uint64_t seen;         /* Up to this version, */
    uint64_t seen_head;    /* this was its head. */
    uint64_t id;           /* Of the branch concerned. */
};

static struct bytes branch_name_bytes(const char *name)
{
    const size_t length = strlen(name);
    assert(length > 0 && length <= BRANCH_NAME_SIZE_MAX);
    return bytes_of(name, length);
}

static strata_status branch_add_record(struct buffer *batch, uint64_t id,
                                       const struct branch_record *record)
{
    strata_status status = STRATA_OK;
    uint8_t key[CATALOG_ID_KEY_SIZE];
    struct buffer value;
    buffer_init(&value, batch->allocator);
    store_ordered_u64(key, id);
    TRY_OUT(branch_record_append(&value, record));
    TRY_OUT(batch_row_append(batch, &(struct batch_row){.kind = ROW_PUT,
                                                        .flags = BATCH_SYSTEM,
                                                        .space = SYSTEM_BRANCHES,
                                                        .key = bytes_of(key, sizeof(key)),
                                                        .value = buffer_view(&value)}));

out:
    buffer_release(&value);
    return status;
}

/* id 0: the name is free again. */
static strata_status branch_add_name(struct buffer *batch, const char *name, uint64_t id)
{
    uint8_t value[8];
    store_u64(value, id);
    return batch_row_append(batch, &(struct batch_row){.kind = id == 0 ? ROW_DELETE : ROW_PUT,
                                                       .flags = BATCH_SYSTEM,
                                                       .space = SYSTEM_NAMES,
                                                       .key = branch_name_bytes(name),
                                                       .value = bytes_of(value, id == 0 ? 0 : 8)});
}

static strata_status branch_add_child(struct buffer *batch, uint64_t parent, uint64_t cap,
                                      uint64_t child)
{
    uint8_t key[CATALOG_CHILD_KEY_SIZE];
    catalog_child_key(parent, cap, child, key);
    return batch_row_append(batch, &(struct batch_row){.kind = ROW_PUT,
                                                       .flags = BATCH_SYSTEM,
                                                       .space = SYSTEM_CHILDREN,
                                                       .key = bytes_of(key, sizeof(key))});
}

static strata_status branch_check_free(const struct branch_change *change,
                                       const struct tableset *set, const char *name,
                                       uint64_t version)
{
    bool taken;
    uint64_t id;
    TRY(catalog_find_name(set, &change->store->cache, version, branch_name_bytes(name), &taken,
                          &id));
    return taken ? failure(STRATA_EXISTS, "there is a branch of that name") : STRATA_OK;
}

/* The branch that the change is about. */
static strata_status branch_find_record(struct branch_change *change, const struct tableset *set,
                                        uint64_t version, struct catalog_branch *out)
{
    bool found;
    struct cache *cache = &change->store->cache;
    TRY(catalog_find_name(set, cache, version, branch_name_bytes(change->name), &found,
                          &change->id));
    if (!found)
        return failure(STRATA_NOT_FOUND, "there is no such branch");
    TRY(catalog_read_branch(set, cache, version, change->id, &found, out));
    return found ? STRATA_OK : failure(STRATA_CORRUPT, "the catalog lacks a branch that it names");
}

static struct branch_record branch_record_of(const struct catalog_branch *branch)
{
    return (struct branch_record){.flags = branch->deleted ? BRANCH_DELETED : 0,
                                  .parent = branch->parent,
                                  .cap = branch->cap,
                                  .created_version = branch->created_version,
                                  .created_us = branch->created_us,
                                  .name = branch_name_bytes(branch->name)};
}

/* The last commit of a branch in versions (above, version]; `otherwise`, if there is none. */
static strata_status head_in(struct store *store, uint64_t branch, uint64_t above, uint64_t version,
                             uint64_t otherwise, uint64_t *out)
{
    bool found;
    struct storage_log_entry entry;
    const struct log_bounds bounds = {.above = above, .version = version, .time_us = INT64_MAX};
    TRY(storage_log_own(store, branch, &bounds, &found, &entry));
    *out = found ? entry.version : otherwise;
    return STRATA_OK;
}

/* The last commit up to `version` that made `branch` what it is, but for creations; 0: none. What a
 * fork inherits ends in such a commit: no ancestor has to be asked. */
static strata_status branch_find_head(struct store *store, const struct branch *branch,
                                      uint64_t version, uint64_t *out)
{
    struct lineage at = lineage_start(branch, version);
    while (at.cap < at.branch->cap)
        lineage_up(&at);
    return head_in(store, at.branch->id, at.branch->created_version, at.cap, at.branch->cap, out);
}

/* Up to where a fork inherits: the head of what it forks. Only commits since `seen` are still to be
 * looked at here, under the lock. */
static strata_status fork_find_cap(const struct branch_change *change, uint64_t version,
                                   uint64_t *out)
{
    *out = change->seen_head;
    if (change->version != UINT64_MAX)
        return change->version < version
                   ? STRATA_OK
                   : failure(STRATA_HISTORY_UNAVAILABLE, "no commit has that version yet");
    const uint64_t created = change->from_created;
    return head_in(change->store, change->from, created > change->seen ? created : change->seen,
                   version - 1, change->seen_head, out);
}

/* Whether the branch to fork has gone since it was looked at. */
static strata_status fork_check_from(const struct branch_change *change, const struct tableset *set,
                                     uint64_t version)
{
    bool found = true;
    struct catalog_branch branch = {.deleted = false};
    if (version > change->present_at)
        TRY(catalog_read_branch(set, &change->store->cache, version, change->from, &found,
                                &branch));
    return found && !branch.deleted
               ? STRATA_OK
               : failure(STRATA_NOT_FOUND, "the branch to fork has been deleted");
}

static strata_status fork_fill(void *context, const struct tableset *set, uint64_t version,
                               int64_t time_us, struct commit_request *request)
{
    struct branch_change *change = context;
    struct branch_record record = {
        .created_version = version, .created_us = time_us, .name = branch_name_bytes(change->name)};
    TRY(branch_check_free(change, set, change->name, version - 1));
    if (change->from != 0) {
        TRY(fork_check_from(change, set, version - 1));
        record.parent = change->from;
        TRY(fork_find_cap(change, version, &record.cap));
    }
    change->id = atomic_fetch_add(&change->store->next_branch, 1);
    const char *message = change->message == NULL ? "" : change->message;
    const struct batch_header header = {.branch = change->id,
                                        .row_count = change->from != 0 ? 3 : 2,
                                        .message = bytes_of(message, strlen(message))};
    request->rows = header.row_count;
    TRY(record_begin(request->record, &header));
    TRY(branch_add_record(request->record, change->id, &record));
    TRY(branch_add_name(request->record, change->name, change->id));
    if (change->from == 0)
        return STRATA_OK;
    return branch_add_child(request->record, record.parent, record.cap, change->id);
}

static strata_status delete_fill(void *context, const struct tableset *set, uint64_t version,
                                 int64_t time_us, struct commit_request *request)
{
    struct branch_change *change = context;
    struct catalog_branch branch;
    (void)time_us;
    TRY(branch_find_record(change, set, version - 1, &branch));
    branch.deleted = true;
    const struct branch_record record = branch_record_of(&branch);
    request->rows = 2;
    TRY(record_begin(request->record,
                     &(struct batch_header){.branch = BRANCH_SYSTEM, .row_count = 2}));
    TRY(branch_add_record(request->record, change->id, &record));
    return branch_add_name(request->record, change->name, 0);
}

static void delete_applied(void *context, uint64_t version, int64_t time_us)
{
    const struct branch_change *change = context;
    (void)version, (void)time_us;
    branches_mark_deleted(&change->store->branches, change->id);
}

static strata_status rename_fill(void *context, const struct tableset *set, uint64_t version,
                                 int64_t time_us, struct commit_request *request)
{
    struct branch_change *change = context;
    struct catalog_branch branch;
    (void)time_us;
    TRY(branch_find_record(change, set, version - 1, &branch));
    TRY(branch_check_free(change, set, change->new_name, version - 1));
    struct branch_record record = branch_record_of(&branch);
    record.name = branch_name_bytes(change->new_name);
    request->rows = 3;
    TRY(record_begin(request->record,
                     &(struct batch_header){.branch = BRANCH_SYSTEM, .row_count = 3}));
    TRY(branch_add_record(request->record, change->id, &record));
    TRY(branch_add_name(request->record, change->name, 0));
    return branch_add_name(request->record, change->new_name, change->id);
}

/* Makes the commit; `request` says how it is filled in. */
static strata_status branch_commit(struct storage *storage, struct store_reader *reader,
                                   struct branch_change *change, struct commit_request *request)
{
    struct store *store = storage->store;
    struct buffer record;
    strata_commit commit;
    TRY(storage_check_writable(storage));
    buffer_init(&record, store->memory_allocator);
    request->record = &record;
    request->stall_wait_us = BRANCH_STALL_WAIT_US;
    request->context = change;
    const strata_status status =
        committer_commit(&store->committer, reader->slot, request, &commit);
    buffer_release(&record);
    return status;
}

strata_status storage_branch_fork(struct storage *storage, struct store_reader *reader,
                                  const struct branch *from, uint64_t version, const char *name,
                                  const char *message)
{
    struct store *store = storage->store;
    struct branch_change change = {.store = store,
                                   .name = name,
                                   .message = message,
                                   .from = from->id,
                                   .from_created = from->created_version,
                                   .version = version};
    struct commit_request request = {.fill = fork_fill};
    storage_enter(reader);
    change.seen = atomic_load(&store->committer.visible);
    const strata_status status = branch_find_head(
        store, from, version < change.seen ? version : change.seen, &change.seen_head);
    storage_leave(reader);
    TRY(status);
    return branch_commit(storage, reader, &change, &request);
}

/* Inside. What a fork of the present state of the branch named `from` has to know. */
static strata_status fork_look_up(struct branch_change *change, const char *from)
{
    bool found;
    struct catalog_branch branch;
    struct store *store = change->store;
    const struct tableset *set = storage_tables(store);
    change->seen = atomic_load(&store->committer.visible);
    TRY(catalog_find_name(set, &store->cache, change->seen, branch_name_bytes(from), &found,
                          &change->from));
    if (!found)
        return failure(STRATA_NOT_FOUND, "there is no such branch");
    TRY(catalog_read_branch(set, &store->cache, change->seen, change->from, &found, &branch));
    if (!found)
        return failure(STRATA_CORRUPT, "the catalog lacks a branch that it names");
    change->from_created = branch.created_version;
    change->present_at = change->seen;
    return head_in(store, branch.id, branch.created_version, change->seen, branch.cap,
                   &change->seen_head);
}

strata_status storage_branch_fork_head(struct storage *storage, struct store_reader *reader,
                                       const char *from, const char *name, const char *message)
{
    struct branch_change change = {
        .store = storage->store, .name = name, .message = message, .version = UINT64_MAX};
    struct commit_request request = {.fill = fork_fill};
    storage_enter(reader);
    const strata_status status = fork_look_up(&change, from);
    storage_leave(reader);
    TRY(status);
    return branch_commit(storage, reader, &change, &request);
}

strata_status storage_branch_create(struct storage *storage, struct store_reader *reader,
                                    const char *name, const char *message)
{
    struct branch_change change = {.store = storage->store, .name = name, .message = message};
    struct commit_request request = {.fill = fork_fill};
    return branch_commit(storage, reader, &change, &request);
}

strata_status storage_branch_delete(struct storage *storage, struct store_reader *reader,
                                    const char *name)
{
    struct branch_change change = {.store = storage->store, .name = name};
    struct commit_request request = {.fill = delete_fill, .applied = delete_applied};
    return branch_commit(storage, reader, &change, &request);
}

strata_status storage_branch_rename(struct storage *storage, struct store_reader *reader,
                                    const char *name, const char *new_name)
{
    struct branch_change change = {.store = storage->store, .name = name, .new_name = new_name};
    struct commit_request request = {.fill = rename_fill};
    if (strcmp(name, new_name) != 0)
        return branch_commit(storage, reader, &change, &request);
    struct branch *branch;
    TRY(storage_check_writable(storage));
    TRY(storage_branch_open(storage, reader, name, &branch));
    storage_branch_close(storage, branch);
    return STRATA_OK;
}

/* ---- lists ---- */

/* The first live key at or after `name` in a storage space of the system; `*found` false: none. */
static strata_status list_next(struct store *store, uint32_t space, uint64_t version,
                               const char *name, bool past, bool *found,
                               char out[BRANCH_NAME_SIZE_MAX + 1])
{
    strata_status status = STRATA_OK;
    struct scan scan;
    const size_t length = strlen(name);
    const struct level level = {.branch = BRANCH_SYSTEM, .cap = version};
    const struct scan_options options = {
        .set = storage_tables(store), .levels = &level, .level_count = 1, .space = space};
    *found = false;
    scan_init(&scan, store->memory_allocator);
    TRY_OUT(scan_open(&scan, &options));
    TRY_OUT(scan_seek(&scan, bytes_of(length == 0 ? NULL : name, length), past));
    while (scan.valid && scan.row.kind == ROW_DELETE)
        TRY_OUT(scan_next(&scan));
    *found = scan.valid;
    if (*found) {
        if (scan.row.key.length > BRANCH_NAME_SIZE_MAX) {
            status =
                failure(STRATA_CORRUPT, "the catalog has a name of %zu bytes", scan.row.key.length);
            goto out;
        }
        memcpy(out, scan.row.key.data, scan.row.key.length);
        out[scan.row.key.length] = '\0';
    }

out:
    scan_release(&scan);
    return status;
}

/* "main" needs no row, so that a scan of the names may pass it by. */
static strata_status list_consider_main(struct store *store, uint64_t version, const char *from,
                                        bool past, bool *found, char out[BRANCH_NAME_SIZE_MAX + 1])
{
    static const char name[] = "main";
    bool exists;
    uint64_t id;
    TRY(catalog_find_name(storage_tables(store), &store->cache, version, branch_name_bytes(name),
                          &exists, &id));
    if (exists)
        name_consider(name, from, past, found, out);
    return STRATA_OK;
}

/* Where a branch stands. */
static strata_status info_find_head(struct storage *storage, struct store_reader *reader,
                                    struct storage_branch_info *info)
{
    struct store *store = storage->store;
    const struct catalog_branch *record = &info->branch;
    struct branch *branch;
    struct storage_log_entry entry;
    bool found;
    uint64_t version;
    TRY(branches_acquire(&store->branches, record->id, &branch));
    const uint64_t visible = atomic_load(&store->committer.visible);
    const struct log_bounds bounds = {
        .above = record->created_version, .version = visible, .time_us = INT64_MAX};
    strata_status status = storage_log_own(store, record->id, &bounds, &found, &entry);
    version = found ? entry.version : record->cap;
    if (status == STRATA_OK && !found)
        status = storage_log_find(storage, reader, branch, version, INT64_MAX, &found, &entry);
    branches_release(&store->branches, branch);
    info->head_version = version;
    info->head_us = found ? entry.time_us : record->created_us;
    return status;
}

static strata_status info_fill(struct storage *storage, struct store_reader *reader,
                               uint64_t version, const char *name, struct storage_branch_info *out)
{
    struct store *store = storage->store;
    const struct tableset *set = storage_tables(store);
    bool found;
    uint64_t id;
    TRY(catalog_find_name(set, &store->cache, version, branch_name_bytes(name), &found, &id));
    if (found)
        TRY(catalog_read_branch(set, &store->cache, version, id, &found, &out->branch));
    if (!found)
        return failure(STRATA_CORRUPT, "the catalog lacks a branch that it names");
    out->parent[0] = '\0';
    if (out->branch.parent != 0)
        TRY(storage_branch_name(storage, reader, out->branch.parent, out->parent));
    return info_find_head(storage, reader, out);
}

strata_status storage_branch_next(struct storage *storage, struct store_reader *reader,
                                  const char *name, bool past, bool *found,
                                  struct storage_branch_info *out)
{
    struct store *store = storage->store;
    char next[BRANCH_NAME_SIZE_MAX + 1];
    storage_enter(reader);
    const uint64_t version = atomic_load(&store->committer.visible);
    strata_status status = list_next(store, SYSTEM_NAMES, version, name, past, found, next);
    if (status == STRATA_OK)
        status = list_consider_main(store, version, name, past, found, next);
    if (status == STRATA_OK && *found)
        status = info_fill(storage, reader, version, next, out);
    storage_leave(reader);
    return status;
}

/* Whether a space has a live row in the view, of any primitive. */
static strata_status space_has_rows(struct storage *storage, struct store_reader *reader,
                                    const struct storage_view *view,
                                    const struct storage_space *space, bool *out)
{
    struct storage_scan scan;
    *out = false;
    storage_scan_init(&scan, storage);
    strata_status status = storage_scan_open(
        &scan, reader,
        &(struct storage_scan_options){.view = *view, .space = space, .kind = KIND_KV});
    if (status == STRATA_OK)
        status = storage_scan_next(&scan);
    *out = scan.valid;
    storage_scan_release(&scan);
    return status;
}

/* Inside. The next name after `name` that is known in any branch. */
static strata_status space_next_name(struct storage *storage, const struct storage_view *view,
                                     const char *name, bool *found,
                                     char out[BRANCH_NAME_SIZE_MAX + 1])
{
    struct store *store = storage->store;
    const uint64_t version = atomic_load(&store->committer.visible);
    TRY(list_next(store, SYSTEM_SPACES, version, name, true, found, out));
    name_consider(storage->default_space.name, name, true, found, out);
    if (view->writes != NULL)
        storage_writes_consider(view->writes, name, found, out);
    return STRATA_OK;
}

strata_status storage_space_next(struct storage *storage, struct store_reader *reader,
                                 const struct storage_view *view,
                                 char name[BRANCH_NAME_SIZE_MAX + 1], bool *found)
{
    strata_status status = STRATA_OK;
    bool live = false;
    char next[BRANCH_NAME_SIZE_MAX + 1];
    memcpy(next, name, strlen(name) + 1);
    storage_enter(reader);
    do {
        struct storage_space *space;
        char after[BRANCH_NAME_SIZE_MAX + 1];
        memcpy(after, next, strlen(next) + 1);
        TRY_OUT(space_next_name(storage, view, after, found, next));
        if (!*found)
            break;
        TRY_OUT(storage_space_find(storage, reader, next, &space));
        TRY_OUT(space_has_rows(storage, reader, view, space, &live));
    } while (!live);
    if (*found)
        memcpy(name, next, strlen(next) + 1);

out:
    storage_leave(reader);
    return status;
}
