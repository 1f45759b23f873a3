#include "engine/database/transaction.h"

#include "engine/database/cursor.h"

#include <assert.h>

enum { STALL_WAIT_DEFAULT_US = 30 * 1000 * 1000, SINCE_STEP_US = 1000 * 1000 };

/* ---- the version that a reader shows ---- */

/* `since_us` is exact to a second, which spares most renewals the lock. */
static void reader_show(struct store_reader *reader, uint64_t version, int64_t now_us)
{
    if (now_us - reader->since_us > SINCE_STEP_US || now_us < reader->since_us) {
        mutex_lock(&reader->store->readers_lock);
        reader->since_us = now_us;
        mutex_unlock(&reader->store->readers_lock);
    }
    atomic_store(&reader->version, version);
}

void transaction_show_version(strata_txn *txn)
{
    if (txn->kind != TXN_AUTO)
        return;
    const uint64_t version = cursors_oldest_version(txn->cursors);
    if (version == 0)
        atomic_store(&txn->reader.version, 0);
    else if (atomic_load(&txn->reader.version) != version)
        reader_show(&txn->reader, version, txn->kv.view.time_us);
}

/* ---- life ---- */

static void transaction_free(strata_txn *txn)
{
    strata *db = txn->db;
    const strata_allocator *allocator = database_allocator(db);
    cursor_free_spare(txn);
    if (txn->message != NULL)
        release(allocator, txn->message, strlen(txn->message) + 1);
    if (txn->kv.view.branch != NULL)
        storage_branch_close(&db->storage, txn->kv.view.branch);
    if (txn->kind != TXN_SNAPSHOT)
        storage_writes_release(&txn->writes);
    buffer_release(&txn->scratch);
    buffer_release(&txn->marks);
    store_reader_close(&txn->reader);
    release(allocator, txn, sizeof(*txn));
    atomic_fetch_sub(&db->txn_count, 1);
}

/* One without a branch. */
static strata_status transaction_create(strata *db, enum txn_kind kind, const char *label,
                                        strata_txn **out)
{
    const strata_allocator *allocator = database_allocator(db);
    strata_txn *txn = allocate_zeroed(allocator, sizeof(*txn));
    if (txn == NULL)
        return failure(STRATA_NO_MEMORY, "no memory for a transaction");
    const strata_status status = store_reader_open(db->storage.store, label, &txn->reader);
    if (status != STRATA_OK) {
        release(allocator, txn, sizeof(*txn));
        return status;
    }
    txn->db = db;
    txn->kind = kind;
    buffer_init(&txn->scratch, allocator);
    buffer_init(&txn->marks, allocator);
    storage_writes_init(&txn->writes, &db->storage, BRANCH_MAIN);
    txn->kv = (struct kv_context){.storage = &db->storage,
                                  .holds = &db->holds,
                                  .reader = &txn->reader,
                                  .alone = kind == TXN_AUTO,
                                  .scratch = &txn->scratch};
    atomic_fetch_add(&db->txn_count, 1);
    *out = txn;
    return STRATA_OK;
}

/* Makes the branch, whose handle it takes over, the one it works on. */
static void transaction_attach(strata_txn *txn, struct branch *branch)
{
    struct kv_context *kv = &txn->kv;
    kv->view.branch = branch;
    if (txn->kind == TXN_SNAPSHOT)
        return;
    storage_writes_init(&txn->writes, &txn->db->storage, branch->id);
    kv->writes = &txn->writes;
    kv->commit.branch = branch;
    kv->commit.message = txn->message;
}

/* A view of the present head. */
static void transaction_take_head(strata_txn *txn)
{
    struct storage_view *view = &txn->kv.view;
    storage_head(&txn->db->storage, &view->version, &view->time_us);
    if (txn->kind == TXN_BEGIN) {
        view->writes = &txn->writes;
        view->own_cap = storage_writes_cap(&txn->writes);
        txn->kv.commit.since = view->version;
    }
    reader_show(&txn->reader, view->version, view->time_us);
    txn->ended = false;
}

strata_status transaction_auto(strata *db, const char *branch, strata_txn **out)
{
    strata_txn *txn;
    struct branch *handle;
    TRY(transaction_create(db, TXN_AUTO, "", &txn));
    const strata_status status = storage_branch_open(&db->storage, &txn->reader, branch, &handle);
    if (status != STRATA_OK) {
        transaction_free(txn);
        return status;
    }
    transaction_attach(txn, handle);
    txn->kv.commit.sync = db->always;
    txn->kv.commit.stall_wait_us = STALL_WAIT_DEFAULT_US;
    *out = txn;
    return STRATA_OK;
}

strata_status transaction_begin(strata *db, const char *branch, const struct txn_settings *settings,
                                strata_txn **out)
{
    struct branch *handle;
    strata_txn *txn = NULL;
    strata_status status = STRATA_OK;
    TRY(transaction_create(db, TXN_BEGIN, settings->label, &txn));
    if (settings->message != NULL) {
        txn->message = allocate_text(database_allocator(db), settings->message);
        if (txn->message == NULL)
            TRY_OUT(failure(STRATA_NO_MEMORY, "no memory for the message of a commit"));
    }
    TRY_OUT(storage_branch_open(&db->storage, &txn->reader, branch, &handle));
    transaction_attach(txn, handle);
    txn->kv.commit.check = true;
    txn->kv.commit.sync = settings->sync;
    txn->kv.commit.stall_wait_us = settings->stall_wait_us;
    transaction_take_head(txn);
    *out = txn;
    txn = NULL; /* The caller's now. */
out:
    if (txn != NULL)
        transaction_free(txn);
    return status;
}

strata_status transaction_snapshot(strata *db, const strata_point *point, strata_txn **out)
{
    strata_txn *txn;
    struct point_target target;
    TRY(transaction_create(db, TXN_SNAPSHOT, "", &txn));
    const strata_status status = point_find(&db->storage, &txn->reader, point, &target);
    if (status != STRATA_OK) {
        transaction_free(txn);
        return status;
    }
    transaction_attach(txn, target.branch);
    txn->fixed = !target.head;
    txn->kv.view.version = point->version != 0 ? point->version : target.version;
    txn->kv.view.time_us = target.as_of_us;
    atomic_store(&txn->reader.version, txn->kv.view.version);
    *out = txn;
    return STRATA_OK;
}

/* ---- ending and beginning again ---- */

/* Ends what is open on it and forgets its writes, unless a commit took them. */
static void transaction_end(strata_txn *txn)
{
    cursors_end(txn->cursors);
    writers_end(txn->writers);
    if (txn->kind == TXN_BEGIN && !txn->ended)
        storage_writes_clear(&txn->writes, false);
    buffer_truncate(&txn->marks, 0);
    atomic_store(&txn->reader.version, 0);
    txn->ended = txn->kind != TXN_AUTO;
}

strata_status transaction_commit(strata_txn *txn, strata_commit *out)
{
    strata_commit commit = {0};
    assert(txn->kind == TXN_BEGIN && !txn->ended);
    const int64_t start_us = database_monotonic(txn->db);
    strata_status status = storage_commit(&txn->writes, &txn->reader, &txn->kv.commit, &commit);
    status = kv_settle_objects(&txn->writes, status);
    txn->ended = true;
    transaction_end(txn);
    if (status != STRATA_OK)
        return status;
    latency_add(&txn->db->commits, (uint64_t)(database_monotonic(txn->db) - start_us));
    if (commit.version != 0)
        txn->kv.last = commit;
    *out = commit;
    return STRATA_OK;
}

strata_status transaction_renew(strata_txn *txn)
{
    transaction_end(txn);
    if (txn->fixed) {
        reader_show(&txn->reader, txn->kv.view.version, txn->reader.since_us);
        txn->ended = false;
        return STRATA_OK;
    }
    if (atomic_load(&txn->kv.view.branch->deleted))
        return failure(STRATA_NOT_FOUND, "the branch has been deleted");
    if (txn->kind != TXN_AUTO)
        transaction_take_head(txn);
    return STRATA_OK;
}

void transaction_reset(strata_txn *txn)
{
    transaction_end(txn);
}

void transaction_close(strata_txn *txn)
{
    transaction_end(txn);
    cursors_detach(txn->cursors);
    writers_detach(txn->writers);
    transaction_free(txn);
}

uint64_t transaction_version(const strata_txn *txn)
{
    return txn->kind == TXN_AUTO ? txn->kv.last.version : txn->kv.view.version;
}

/* ---- marks ---- */

strata_status transaction_mark(strata_txn *txn, uint32_t *out)
{
    const struct txn_mark mark = {.count = txn->writes.count};
    const size_t number = txn->marks.length / sizeof(mark);
    if (number >= UINT32_MAX)
        return failure(STRATA_TOO_BIG, "a transaction has fewer marks");
    TRY(buffer_append(&txn->marks, bytes_of(&mark, sizeof(mark))));
    *out = (uint32_t)number;
    return STRATA_OK;
}

strata_status transaction_undo(strata_txn *txn, uint32_t mark)
{
    struct txn_mark to;
    const size_t at = (size_t)mark * sizeof(to);
    if (mark >= txn->marks.length / sizeof(to))
        return failure(STRATA_INVALID, "the transaction has no mark %u", mark);
    memcpy(&to, txn->marks.data + at, sizeof(to));
    TRY(storage_writes_undo(&txn->writes, to.count));
    txn->kv.view.own_cap = storage_writes_cap(&txn->writes);
    buffer_truncate(&txn->marks, at + sizeof(to)); /* Those made later are gone. */
    return STRATA_OK;
}
