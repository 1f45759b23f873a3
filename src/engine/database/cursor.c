#include "engine/database/cursor.h"

#include <assert.h>

/* ---- the lists of a transaction ---- */

static void cursor_link(strata_cursor *cursor, strata_txn *txn)
{
    cursor->txn = txn;
    cursor->of_txn = true;
    cursor->after = txn->cursors;
    if (cursor->after != NULL)
        cursor->after->before = cursor;
    txn->cursors = cursor;
    transaction_show_version(txn);
}

static void cursor_unlink(strata_cursor *cursor)
{
    if (cursor->txn == NULL)
        return;
    if (cursor->before != NULL)
        cursor->before->after = cursor->after;
    else
        cursor->txn->cursors = cursor->after;
    if (cursor->after != NULL)
        cursor->after->before = cursor->before;
    transaction_show_version(cursor->txn);
}

static strata_status cursor_create(strata *db, enum cursor_kind kind, strata_cursor **out)
{
    strata_cursor *cursor = allocate_zeroed(database_allocator(db), sizeof(*cursor));
    if (cursor == NULL)
        return failure(STRATA_NO_MEMORY, "no memory for a cursor");
    cursor->db = db;
    cursor->kind = kind;
    atomic_fetch_add_explicit(&db->cursor_count, 1, memory_order_relaxed);
    *out = cursor;
    return STRATA_OK;
}

static void cursor_free(strata_cursor *cursor)
{
    strata *db = cursor->db;
    release(database_allocator(db), cursor, sizeof(*cursor));
    atomic_fetch_sub_explicit(&db->cursor_count, 1, memory_order_relaxed);
}

/* ---- the spare one: a closed scan that the next takes over, with its memory ---- */

static strata_status cursor_take_spare(strata_txn *txn, strata_cursor **out)
{
    strata_cursor *cursor = txn->spare;
    if (cursor == NULL) {
        TRY(cursor_create(txn->db, CURSOR_SCAN, &cursor));
        kv_scan_init(&cursor->of.scan, &txn->kv);
    } else {
        txn->spare = NULL;
        atomic_fetch_add_explicit(&txn->db->cursor_count, 1, memory_order_relaxed);
    }
    *out = cursor;
    return STRATA_OK;
}

/* Of a scan that is open, or could not be. */
static void cursor_put_aside(strata_txn *txn, strata_cursor *cursor)
{
    assert(cursor->kind == CURSOR_SCAN && !cursor->ended);
    if (txn->spare != NULL) {
        kv_scan_release(&cursor->of.scan);
        cursor_free(cursor);
        return;
    }
    kv_scan_close(&cursor->of.scan);
    cursor->txn = NULL;
    cursor->before = cursor->after = NULL;
    txn->spare = cursor;
    atomic_fetch_sub_explicit(&txn->db->cursor_count, 1, memory_order_relaxed);
}

void cursor_free_spare(strata_txn *txn)
{
    strata_cursor *cursor = txn->spare;
    if (cursor == NULL)
        return;
    txn->spare = NULL;
    kv_scan_release(&cursor->of.scan);
    release(database_allocator(txn->db), cursor, sizeof(*cursor));
}

/* Lets go of everything but the struct. */
static void cursor_end(strata_cursor *cursor)
{
    if (cursor->ended)
        return;
    switch (cursor->kind) {
    case CURSOR_SCAN:
        kv_scan_release(&cursor->of.scan);
        break;
    case CURSOR_HISTORY:
        kv_history_close(&cursor->of.history);
        break;
    case CURSOR_NAMES:
        storage_branch_close(&cursor->db->storage, cursor->of.names.view.branch);
        break;
    case CURSOR_BRANCHES:
        store_reader_close(&cursor->of.branches.reader);
        break;
    case CURSOR_LOG:
        storage_branch_close(&cursor->db->storage, cursor->of.log.branch);
        store_reader_close(&cursor->of.log.reader);
        break;
    }
    cursor->ended = true;
}

void cursor_destroy(strata_cursor *cursor)
{
    strata_txn *txn = cursor->txn;
    cursor_unlink(cursor);
    if (txn != NULL && cursor->kind == CURSOR_SCAN && !cursor->ended) {
        cursor_put_aside(txn, cursor);
        return;
    }
    cursor_end(cursor);
    cursor_free(cursor);
}

void cursors_end(strata_cursor *first)
{
    for (strata_cursor *cursor = first; cursor != NULL; cursor = cursor->after)
        cursor_end(cursor);
}

void cursors_detach(strata_cursor *first)
{
    strata_cursor *cursor = first;
    while (cursor != NULL) {
        strata_cursor *next = cursor->after;
        cursor->txn = NULL;
        cursor->before = cursor->after = NULL;
        cursor = next;
    }
}

static uint64_t cursor_version(const strata_cursor *cursor)
{
    if (cursor->ended)
        return 0;
    if (cursor->kind == CURSOR_SCAN)
        return cursor->of.scan.scan.view.version;
    return cursor->kind == CURSOR_HISTORY ? cursor->of.history.view.version
                                          : cursor->of.names.view.version;
}

uint64_t cursors_oldest_version(const strata_cursor *first)
{
    uint64_t oldest = 0;
    for (const strata_cursor *cursor = first; cursor != NULL; cursor = cursor->after) {
        const uint64_t version = cursor_version(cursor);
        if (version != 0 && (oldest == 0 || version < oldest))
            oldest = version;
    }
    return oldest;
}

/* ---- cursors of a transaction ---- */

strata_status cursor_scan(strata_txn *txn, const struct storage_space *space,
                          const strata_scan_options *options, strata_cursor **out)
{
    strata_cursor *cursor;
    TRY(cursor_take_spare(txn, &cursor));
    const strata_status status = kv_scan_open(&cursor->of.scan, space, options);
    if (status != STRATA_OK) {
        cursor_put_aside(txn, cursor);
        return status;
    }
    cursor_link(cursor, txn);
    *out = cursor;
    return STRATA_OK;
}

strata_status cursor_history(strata_txn *txn, const struct storage_space *space, struct bytes key,
                             strata_cursor **out)
{
    strata_cursor *cursor;
    TRY(cursor_create(txn->db, CURSOR_HISTORY, &cursor));
    const strata_status status = kv_history_open(&txn->kv, space, key, &cursor->of.history);
    if (status != STRATA_OK) {
        cursor_free(cursor);
        return status;
    }
    cursor_link(cursor, txn);
    *out = cursor;
    return STRATA_OK;
}

strata_status cursor_names(strata_txn *txn, strata_cursor **out)
{
    strata_cursor *cursor;
    TRY(cursor_create(txn->db, CURSOR_NAMES, &cursor));
    const strata_status status = kv_look(&txn->kv);
    if (status != STRATA_OK) {
        cursor_free(cursor);
        return status;
    }
    cursor->of.names.view = txn->kv.view;
    storage_branch_again(&txn->db->storage, txn->kv.view.branch);
    cursor_link(cursor, txn);
    *out = cursor;
    return STRATA_OK;
}

strata_status cursor_next_name(strata_cursor *cursor)
{
    bool found = false;
    if (cursor->done)
        return STRATA_OK;
    struct name_cursor *names = &cursor->of.names;
    TRY(storage_space_next(&cursor->db->storage, &cursor->txn->reader, &names->view, names->name,
                           &found));
    cursor->done = !found;
    return STRATA_OK;
}

/* ---- writers ---- */

strata_status writer_create(strata_txn *txn, struct storage_space *space, struct bytes key,
                            const strata_kv_put_options *options, strata_kv_writer **out)
{
    const strata_allocator *allocator = database_allocator(txn->db);
    strata_kv_writer *writer = allocate_zeroed(allocator, sizeof(*writer));
    if (writer == NULL)
        return failure(STRATA_NO_MEMORY, "no memory for a writer");
    const strata_status status = kv_writer_open(&txn->kv, space, key, options, &writer->of);
    if (status != STRATA_OK) {
        release(allocator, writer, sizeof(*writer));
        return status;
    }
    writer->db = txn->db;
    writer->txn = txn;
    writer->after = txn->writers;
    if (writer->after != NULL)
        writer->after->before = writer;
    txn->writers = writer;
    atomic_fetch_add(&txn->db->writer_count, 1);
    *out = writer;
    return STRATA_OK;
}

void writer_destroy(strata_kv_writer *writer)
{
    strata *db = writer->db;
    kv_writer_release(&writer->of);
    if (writer->before != NULL)
        writer->before->after = writer->after;
    else if (writer->txn != NULL)
        writer->txn->writers = writer->after;
    if (writer->after != NULL)
        writer->after->before = writer->before;
    release(database_allocator(db), writer, sizeof(*writer));
    atomic_fetch_sub(&db->writer_count, 1);
}

void writers_end(strata_kv_writer *first)
{
    for (strata_kv_writer *writer = first; writer != NULL; writer = writer->after) {
        kv_writer_release(&writer->of);
        writer->ended = true;
    }
}

void writers_detach(strata_kv_writer *first)
{
    strata_kv_writer *writer = first;
    while (writer != NULL) {
        strata_kv_writer *next = writer->after;
        writer->txn = NULL;
        writer->before = writer->after = NULL;
        writer = next;
    }
}

/* ---- cursors of the database ---- */

strata_status cursor_branches(strata *db, const char *prefix, strata_cursor **out)
{
    strata_cursor *cursor;
    TRY(cursor_create(db, CURSOR_BRANCHES, &cursor));
    struct branch_cursor *branches = &cursor->of.branches;
    const strata_status status = store_reader_open(db->storage.store, "", &branches->reader);
    if (status != STRATA_OK) {
        cursor_free(cursor);
        return status;
    }
    assert(strlen(prefix) <= BRANCH_NAME_SIZE_MAX);
    memcpy(branches->prefix, prefix, strlen(prefix) + 1);
    *out = cursor;
    return STRATA_OK;
}

strata_status cursor_next_branch(strata_cursor *cursor)
{
    struct branch_cursor *branches = &cursor->of.branches;
    bool found = false;
    if (cursor->done)
        return STRATA_OK;
    const char *from = branches->started ? branches->last : branches->prefix;
    TRY(storage_branch_next(&cursor->db->storage, &branches->reader, from, branches->started,
                            &found, &branches->info));
    const char *name = branches->info.branch.name;
    if (!found || strncmp(name, branches->prefix, strlen(branches->prefix)) != 0) {
        cursor->done = true;
        return STRATA_OK;
    }
    branches->started = true;
    memcpy(branches->last, name, strlen(name) + 1);
    return STRATA_OK;
}

strata_status cursor_log(strata *db, const strata_point *from, strata_cursor **out)
{
    strata_cursor *cursor;
    struct point_target target;
    TRY(cursor_create(db, CURSOR_LOG, &cursor));
    struct log_cursor *log = &cursor->of.log;
    strata_status status = store_reader_open(db->storage.store, "", &log->reader);
    if (status == STRATA_OK) {
        status = point_find(&db->storage, &log->reader, from, &target);
        if (status != STRATA_OK)
            store_reader_close(&log->reader);
    }
    if (status != STRATA_OK) {
        cursor_free(cursor);
        return status;
    }
    log->branch = target.branch;
    log->version = target.version;
    atomic_store(&log->reader.version, target.version);
    *out = cursor;
    return STRATA_OK;
}

strata_status cursor_next_commit(strata_cursor *cursor)
{
    struct log_cursor *log = &cursor->of.log;
    bool found = false;
    if (cursor->done)
        return STRATA_OK;
    if (log->version > 0)
        TRY(storage_log_find(&cursor->db->storage, &log->reader, log->branch, log->version,
                             INT64_MAX, &found, &log->entry));
    cursor->done = !found;
    if (!found)
        return STRATA_OK;
    TRY(storage_branch_name(&cursor->db->storage, &log->reader, log->entry.branch, log->name));
    log->version = log->entry.version - 1;
    return STRATA_OK;
}
