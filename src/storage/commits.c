#include "storage/storage_inner.h"

#include "core/hash.h"

#include <assert.h>

/* ---- what a commit is made of ---- */

strata_status record_begin(struct buffer *record, const struct batch_header *header)
{
    uint8_t *room;
    buffer_truncate(record, 0);
    TRY(buffer_extend(record, WAL_RECORD_HEADER_SIZE, &room));
    memset(room, 0, WAL_RECORD_HEADER_SIZE);
    return batch_header_append(record, header);
}

static struct batch_header commit_header(const struct storage_commit_options *options,
                                         uint64_t rows)
{
    const char *message = options->message == NULL ? "" : options->message;
    return (struct batch_header){.branch = options->branch->id,
                                 .row_count = rows,
                                 .message = bytes_of(message, strlen(message))};
}

/* The catalog rows of new spaces, and of those that were deleted for the first time. They are written
 * under the commit lock: a space's last row must say whatever any commit before it has made true. */
struct space_rows {
    struct storage *storage;
    struct own_space *spaces;
    size_t count;
};

static strata_status space_rows_append(struct space_rows *rows, struct buffer *record)
{
    for (size_t i = 0; i < rows->count; i++) {
        struct own_space *own = &rows->spaces[i];
        uint8_t value[CATALOG_SPACE_SIZE];
        own->deletions = atomic_load(&own->space->deletions);
        catalog_space_value(atomic_load(&own->space->number), own->deletions, value);
        const char *name = own->space->name;
        TRY(batch_row_append(record, &(struct batch_row){.kind = ROW_PUT,
                                                         .flags = BATCH_SYSTEM,
                                                         .space = SYSTEM_SPACES,
                                                         .key = bytes_of(name, strlen(name)),
                                                         .value = bytes_of(value, sizeof(value))}));
    }
    return STRATA_OK;
}

static strata_status space_rows_fill(void *context, const struct tableset *set, uint64_t version,
                                     int64_t time_us, struct commit_request *request)
{
    (void)set, (void)version, (void)time_us;
    return space_rows_append(context, request->record);
}

static void space_rows_applied(void *context, uint64_t version, int64_t time_us)
{
    struct space_rows *rows = context;
    (void)version, (void)time_us;
    mutex_lock(&rows->storage->spaces_lock);
    for (size_t i = 0; i < rows->count; i++) {
        struct storage_space *space = rows->spaces[i].space;
        if (rows->spaces[i].deletions == atomic_load(&space->deletions))
            atomic_store(&space->registered, true);
    }
    mutex_unlock(&rows->storage->spaces_lock);
}

/* Of spaces that others registered meanwhile no row is needed any more. */
static struct space_rows own_space_rows(struct storage_writes *writes)
{
    size_t count;
    size_t kept = 0;
    struct own_space *spaces = own_spaces(&writes->spaces, &count);
    for (size_t i = 0; i < count; i++) {
        if (!atomic_load(&spaces[i].space->registered))
            spaces[kept++] = spaces[i];
    }
    buffer_truncate(&writes->spaces, kept * sizeof(*spaces));
    return (struct space_rows){.storage = writes->storage, .spaces = spaces, .count = kept};
}

/* The newest write of every key, in key order, but for those that a later deletion of their space
 * covers. */
struct own_walk {
    struct memtable_source rows;
    struct bytes last; /* The key seen last. */
    uint64_t floor;    /* Writes of the space numbered below it are covered. */
};

static strata_status own_walk_start(struct own_walk *walk, const struct storage_writes *writes)
{
    *walk = (struct own_walk){.floor = 0};
    memtable_source_init(&walk->rows, writes->memtable);
    return source_seek(&walk->rows.source, (struct bytes){0}, UINT64_MAX);
}

/* `*out` NULL at the end; else valid until the next call. */
static strata_status own_walk_next(struct own_walk *walk, const struct row **out)
{
    struct source *source = &walk->rows.source;
    if (walk->last.length > 0)
        TRY(source_next(source));
    while (source->valid) {
        const struct row *row = &source->row;
        const bool older = bytes_equal(row->key, walk->last);
        if (walk->last.length == 0 || memcmp(row->key.data, walk->last.data, KEY_PREFIX_SIZE) != 0)
            walk->floor = 0;
        walk->last = row->key;
        if (!older && row->kind == ROW_RANGE_DELETE)
            walk->floor = row->from;
        if (!older && row->from >= walk->floor) {
            *out = row;
            return STRATA_OK;
        }
        TRY(source_next(source));
    }
    *out = NULL;
    return STRATA_OK;
}

/* The time to live of an own write, 0 if it has none. */
static int64_t own_lives_us(const struct storage_writes *writes, uint64_t number)
{
    size_t low = 0, high;
    const struct own_life *lives = own_lives(writes, &high);
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (lives[middle].number == number)
            return lives[middle].lives_us;
        if (lives[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return 0;
}

static struct batch_row own_batch_row(const struct storage_writes *writes, const struct row *row)
{
    const int64_t lives_us = row->expires_us == 0 ? 0 : own_lives_us(writes, row->from);
    struct batch_row batch = {.kind = row->kind,
                              .space = key_space(row->key.data),
                              .key = bytes_after(row->key, KEY_PREFIX_SIZE),
                              .value = row->value,
                              .expires_us = row->expires_us};
    if (lives_us > 0) {
        batch.flags |= BATCH_LIVES;
        batch.expires_us = lives_us;
    } else if (row->expires_us != 0) {
        batch.flags |= BATCH_EXPIRES;
    }
    if (row->kind == ROW_COUNTER && row->value.length == INCREMENT_SIZE) {
        batch.flags |= BATCH_INCREMENT;
        batch.value.length = COUNTER_SIZE;
    }
    return batch;
}

static uint64_t batch_row_user_bytes(const struct batch_row *row)
{
    const uint64_t value = row->kind == ROW_VALUE_REFERENCE ? value_reference_load(row->value).size
                                                            : row->value.length;
    return row->key.length + value;
}

/* What is known of a batch once it is encoded. */
struct own_batch {
    uint64_t rows; /* Without those of the catalog. */
    uint64_t user_bytes;
    bool increments;
};

static strata_status own_count(const struct storage_writes *writes, struct own_batch *out)
{
    struct own_walk walk;
    const struct row *row;
    *out = (struct own_batch){.rows = 0};
    TRY(own_walk_start(&walk, writes));
    for (;;) {
        TRY(own_walk_next(&walk, &row));
        if (row == NULL)
            return STRATA_OK;
        const struct batch_row batch_row = own_batch_row(writes, row);
        out->rows++;
        out->user_bytes += batch_row_user_bytes(&batch_row);
        out->increments = out->increments || (batch_row.flags & BATCH_INCREMENT) != 0;
    }
}

static strata_status own_encode(struct storage_writes *writes)
{
    struct own_walk walk;
    const struct row *row;
    TRY(own_walk_start(&walk, writes));
    for (;;) {
        TRY(own_walk_next(&walk, &row));
        if (row == NULL)
            return STRATA_OK;
        const struct batch_row batch_row = own_batch_row(writes, row);
        TRY(batch_row_append(&writes->record, &batch_row));
        if (row->kind == ROW_VALUE_REFERENCE)
            own_values_mark(writes, row->value);
    }
}

strata_status storage_commit(struct storage_writes *writes, struct store_reader *reader,
                             const struct storage_commit_options *options, strata_commit *out)
{
    struct store *store = writes->storage->store;
    struct own_batch batch = {.rows = 0};
    if (writes->memtable != NULL)
        TRY(own_count(writes, &batch));
    if (batch.rows == 0) {
        own_values_discard(writes);
        *out = (strata_commit){.version = 0};
        return STRATA_OK;
    }
    TRY(storage_check_writable(writes->storage));
    struct space_rows names = own_space_rows(writes);
    const struct batch_header header = commit_header(options, batch.rows + names.count);
    struct commit_request request = {.branch = options->branch,
                                     .record = &writes->record,
                                     .rows = header.row_count,
                                     .user_bytes = batch.user_bytes,
                                     .since = options->since,
                                     .check = options->check,
                                     .increments = batch.increments,
                                     .sync = options->sync,
                                     .stall_wait_us = options->stall_wait_us,
                                     .context = &names};
    if (names.count > 0) {
        request.fill = space_rows_fill;
        request.applied = space_rows_applied;
    }
    TRY(record_begin(&writes->record, &header));
    strata_status status = own_encode(writes);
    if (status == STRATA_OK)
        status = committer_commit(&store->committer, reader->slot, &request, out);
    if (status != STRATA_OK) {
        own_values_unmark(writes);
        return status;
    }
    own_values_discard(writes); /* What was overwritten before it could be committed. */
    return STRATA_OK;
}

/* ---- one write that is a commit ---- */

enum { SINGLE_KEY_SIZE = 256 };

struct single_commit {
    const struct storage_commit_options *options;
    struct storage_write write;
    strata_status (*decide)(void *context, const struct storage_view *view,
                            struct storage_write *write);
    void *context;
    struct own_space space;
    struct space_rows names;
    struct batch_row row;
    uint8_t key[SINGLE_KEY_SIZE]; /* Its storage key, if that is short and there are no others. */
};

/* What the write is in a batch. */
static void single_describe(struct single_commit *single, struct commit_request *request)
{
    const struct storage_write *write = &single->write;
    const uint32_t number = atomic_load_explicit(&write->space->number, memory_order_acquire);
    single->row = (struct batch_row){.kind = write->row,
                                     .flags = write->flags,
                                     .space = storage_space(number, write->kind),
                                     .key = write->key,
                                     .value = write->value,
                                     .expires_us = write->expires_us};
    request->user_bytes = batch_row_user_bytes(&single->row);
    request->rows = 1 + single->names.count;
    request->increments = (write->flags & BATCH_INCREMENT) != 0;
}

static strata_status single_encode(struct single_commit *single, struct commit_request *request)
{
    const struct batch_header header = commit_header(single->options, request->rows);
    TRY(record_begin(request->record, &header));
    return batch_row_append(request->record, &single->row);
}

/* Spares the commit, which holds the lock, to decode the row and to put its storage key together. */
static bool single_offer_row(struct single_commit *single, struct commit_request *request)
{
    const struct bytes key = single->row.key;
    if (request->rows != 1 || request->increments ||
        key.length > SINGLE_KEY_SIZE - KEY_PREFIX_SIZE || single->options->message != NULL)
        return false;
    key_prefix_store(single->key, request->branch->id, single->row.space);
    if (key.length > 0)
        memcpy(single->key + KEY_PREFIX_SIZE, key.data, key.length);
    request->row = &single->row;
    request->storage_key = bytes_of(single->key, KEY_PREFIX_SIZE + key.length);
    request->key_hash = hash64(request->storage_key, 0);
    return true;
}

static strata_status single_fill(void *context, const struct tableset *set, uint64_t version,
                                 int64_t time_us, struct commit_request *request)
{
    struct single_commit *single = context;
    (void)set;
    if (single->decide != NULL) {
        const struct storage_view view = {
            .branch = request->branch, .version = version - 1, .time_us = time_us};
        TRY(single->decide(single->context, &view, &single->write));
        single_describe(single, request);
        TRY(single_encode(single, request));
    }
    return space_rows_append(&single->names, request->record);
}

static void single_applied(void *context, uint64_t version, int64_t time_us)
{
    struct single_commit *single = context;
    space_rows_applied(&single->names, version, time_us);
}

/* What can be done before the commit lock is taken. */
static strata_status single_prepare(struct single_commit *single, struct store_reader *reader,
                                    struct commit_request *request)
{
    struct storage *storage = single->names.storage;
    bool unregistered;
    TRY(storage_check_writable(storage));
    TRY(space_claim(storage, single->write.space, single->write.row == ROW_RANGE_DELETE,
                    &unregistered));
    if (unregistered) {
        single->space.space = single->write.space;
        single->names.spaces = &single->space;
        single->names.count = 1;
    }
    if (unregistered || single->decide != NULL)
        request->fill = single_fill;
    if (unregistered)
        request->applied = single_applied;
    if (single->decide == NULL) {
        single_describe(single, request);
        if (single_offer_row(single, request))
            committer_expect(&storage->store->committer, reader->slot, request->key_hash);
        return single_encode(single, request);
    }
    /* Only its size counts yet. */
    uint8_t *room;
    request->rows = 1 + single->names.count;
    buffer_truncate(request->record, 0);
    return buffer_extend(
        request->record,
        WAL_RECORD_HEADER_SIZE + single->write.key.length + single->write.value.length, &room);
}

strata_status storage_commit_one(struct storage *storage, struct store_reader *reader,
                                 const struct storage_write *write,
                                 strata_status (*decide)(void *context,
                                                         const struct storage_view *view,
                                                         struct storage_write *write),
                                 void *context, const struct storage_commit_options *options,
                                 struct buffer *scratch, strata_commit *out)
{
    struct store *store = storage->store;
    struct single_commit single; /* Not all of it is zeroed, for it is long. */
    single.options = options;
    single.write = *write;
    single.decide = decide;
    single.context = context;
    single.space = (struct own_space){.space = NULL};
    single.names = (struct space_rows){.storage = storage};
    struct commit_request request = {.branch = options->branch,
                                     .record = scratch,
                                     .since = options->since,
                                     .check = options->check,
                                     .sync = options->sync,
                                     .stall_wait_us = options->stall_wait_us,
                                     .context = &single};
    TRY(single_prepare(&single, reader, &request));
    return committer_commit(&store->committer, reader->slot, &request, out);
}
