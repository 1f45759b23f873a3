#include "commit/committer.h"
#include "commit/batch_state.h"

#include "core/memory.h"
#include "core/plant.h"
#include "layout/key.h"

#include <assert.h>

enum { FILL_CHARGE = 4096 };

strata_status committer_init(struct committer *committer, const strata_allocator *allocator)
{
    *committer = (struct committer){.allocator = allocator};
    mutex_init(&committer->lock);
    buffer_init(&committer->key, allocator);
    return buffer_reserve(&committer->key, STORAGE_KEY_SIZE_MAX);
}

void committer_destroy(struct committer *committer)
{
    buffer_release(&committer->key);
    mutex_destroy(&committer->lock);
}

void committer_halt(struct committer *committer)
{
    mutex_lock(&committer->lock);
    if (!atomic_load(&committer->halted)) {
        failure_save(&committer->halt_error);
        committer->halt_error.status = STRATA_HALTED;
        committer->halt_error.retry = STRATA_RETRY_REOPEN;
        atomic_store(&committer->halted, true);
    }
    mutex_unlock(&committer->lock);
}

strata_status committer_check(const struct committer *committer)
{
    if (!atomic_load(&committer->halted))
        return STRATA_OK;
    (void)failure_restore(&committer->halt_error);
    failure_outcome(STRATA_NOT_COMMITTED, 0);
    return STRATA_HALTED;
}

int64_t batch_row_expiry(const struct batch_row *row, int64_t commit_us)
{
    if ((row->flags & BATCH_LIVES) == 0)
        return row->expires_us;
    return row->expires_us > INT64_MAX - commit_us ? INT64_MAX : commit_us + row->expires_us;
}

static struct bytes request_batch(const struct commit_request *request)
{
    return bytes_after(buffer_view(request->record), WAL_RECORD_HEADER_SIZE);
}

/* At least what a request that is still to be filled may come to. */
static uint64_t request_charge(const struct commit_request *request)
{
    const uint64_t charge = request->record->length + (request->rows + 1) * (KEY_PREFIX_SIZE + 64);
    return request->fill != NULL ? charge + FILL_CHARGE : charge;
}

/* Written by the holder of the lock alone: no need to add in one step. */
static void commit_count_up(_Atomic uint64_t *counter, uint64_t by)
{
    const uint64_t before = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, before + by, memory_order_relaxed);
}

/* Inserts the only row of a batch; room was reserved. */
static void commit_apply_row(struct memtable *memtable, const struct commit_request *request,
                             struct memtable_seat *seat, uint64_t version, int64_t time_us)
{
    const struct batch_row *row = request->row;
    assert(request->rows == 1 && (row->flags & (BATCH_SYSTEM | BATCH_INCREMENT)) == 0);
    memtable_insert_at(memtable,
                       &(struct row){.key = request->storage_key,
                                     .value = row->value,
                                     .from = version,
                                     .time_us = time_us,
                                     .expires_us = batch_row_expiry(row, time_us),
                                     .kind = row->kind},
                       seat);
    memtable_add_commit(memtable, &(struct memtable_commit){.version = version,
                                                            .time_us = time_us,
                                                            .branch = request->branch->id,
                                                            .rows = 1});
}

/* Inserts the rows of a batch; room was reserved. */
static strata_status commit_apply(struct memtable *memtable, struct bytes batch, uint64_t version,
                                  int64_t time_us, struct buffer *key)
{
    struct batch_header header;
    uint64_t user_rows = 0;
    TRY(batch_header_take(&batch, &header));
    for (uint64_t i = 0; i < header.row_count; i++) {
        struct batch_row row;
        TRY(batch_row_take(&batch, &row));
        TRY(batch_storage_key(header.branch, &row, key));
        memtable_insert(memtable, &(struct row){.key = buffer_view(key),
                                                .value = row.value,
                                                .from = version,
                                                .time_us = time_us,
                                                .expires_us = batch_row_expiry(&row, time_us),
                                                .kind = row.kind});
        user_rows += (row.flags & BATCH_SYSTEM) == 0;
    }
    memtable_add_commit(memtable, &(struct memtable_commit){.version = version,
                                                            .time_us = time_us,
                                                            .branch = header.branch,
                                                            .rows = (uint32_t)user_rows,
                                                            .message = header.message});
    return STRATA_OK;
}

strata_status committer_freeze(struct committer *committer, size_t chunk_bytes)
{
    strata_status status = STRATA_OK;
    struct memtable *fresh = NULL;
    struct memtable **memtables = NULL;
    struct tableset *set = NULL;
    struct tables *tables = committer->tables;
    mutex_lock(&tables->install_lock);
    const struct tableset *old = atomic_load(&tables->current);
    const uint32_t count = old->memtable_count + 1;
    TRY_OUT(memtable_create(committer->allocator, chunk_bytes, atomic_load(&committer->visible) + 1,
                            &fresh));
    memtables = allocate(committer->allocator, count * sizeof(*memtables));
    if (memtables == NULL) {
        status = failure(STRATA_NO_MEMORY, "no memory for another memtable");
        goto out;
    }
    memtables[0] = fresh;
    memcpy(memtables + 1, old->memtables, old->memtable_count * sizeof(*memtables));
    TRY_OUT(tableset_create(tables,
                            &(struct tableset_parts){.memtable_count = count,
                                                     .live_count = old->live_count,
                                                     .history_count = old->history_count,
                                                     .memtables = memtables,
                                                     .live = old->live,
                                                     .history = old->history},
                            &set));
    if (committer->wal != NULL)
        TRY_OUT(wal_rotate(committer->wal));
    memtable_freeze(old->memtables[0]);
    tables_install(tables, set, NULL);
    committer->active = fresh;
    set = NULL;

out:
    tableset_discard(set);
    if (memtables != NULL)
        release(committer->allocator, memtables, count * sizeof(*memtables));
    if (fresh != NULL)
        memtable_drop(fresh);
    mutex_unlock(&tables->install_lock);
    return status;
}

/* Makes room in the memtable. The lock is held, and may be let go of; the epoch is not held, so that
 * what makes room can be freed. */
static strata_status commit_room(struct committer *committer, const struct commit_request *request)
{
    const uint64_t charge = request_charge(request);
    const uint64_t present = atomic_load_explicit(&committer->active->charge, memory_order_relaxed);
    if (present + charge <= committer->memtable_charge_max)
        return STRATA_OK;
    TRY(committer->make_room(committer->room_context, charge, request->stall_wait_us));
    return committer_check(committer);
}

/* First committer wins. */
static strata_status commit_check(struct committer *committer, const struct tableset *set,
                                  const struct commit_request *request)
{
    bool changed;
    TRY(batch_changed(set, request_batch(request), request->since, &committer->key, &changed));
    if (!changed)
        return STRATA_OK;
    atomic_fetch_add(&committer->conflict_count, 1);
    return failure(STRATA_CONFLICT, "another commit wrote one of the keys first");
}

/* Steps before a version is taken: what can go wrong without a trace. The lock is held, and the epoch
 * if the request looks at the present rows: then `set` is not NULL. */
static strata_status commit_prepare(struct committer *committer, const struct tableset *set,
                                    struct commit_request *request, int64_t now_us)
{
    if (request->branch != NULL && atomic_load(&request->branch->deleted))
        return failure(STRATA_CONFLICT, "the branch has been deleted");
    if (request->check)
        TRY(commit_check(committer, set, request));
    if (request->increments)
        TRY(batch_resolve_increments(set, committer->cache, request->branch,
                                     atomic_load(&committer->visible), now_us, &committer->key,
                                     request->record));
    return memtable_reserve(committer->active, request->rows,
                            request->record->length + request->rows * KEY_PREFIX_SIZE,
                            BATCH_MESSAGE_SIZE_MAX);
}

static int64_t commit_time(struct committer *committer)
{
    const int64_t now = committer->clock->wall_us(committer->clock->context);
    const int64_t last = atomic_load_explicit(&committer->visible_us, memory_order_relaxed);
#if STRATA_PLANT == 16
    return now;
#endif
    return now > last ? now : last;
}

/* Rows become visible with their version: whoever reads it, with acquire order, finds them and the
 * time. */
static void commit_publish(struct committer *committer, uint64_t version, int64_t time_us)
{
    atomic_store_explicit(&committer->visible_us, time_us, memory_order_relaxed);
    atomic_store_explicit(&committer->visible, version, memory_order_release);
}

/* The lock is held and the request is sound. */
static strata_status commit_append(struct committer *committer, struct commit_request *request,
                                   int64_t time_us, strata_commit *out)
{
    const uint64_t version = atomic_load_explicit(&committer->visible, memory_order_relaxed) + 1;
    const size_t batch_end = request->record->length;
    struct memtable_seat seat;
    if (request->row != NULL) /* What it fetches comes while the log takes the record. */
        memtable_approach(committer->active, request->storage_key.length, request->key_hash, &seat);
    if (committer->wal != NULL)
        TRY(wal_append(committer->wal, version, time_us, request->record));
    buffer_truncate(request->record, batch_end);
    strata_status status = STRATA_OK;
    if (request->row != NULL)
        commit_apply_row(committer->active, request, &seat, version, time_us);
    else
        status = commit_apply(committer->active, request_batch(request), version, time_us,
                              &committer->key);
    assert(status == STRATA_OK); /* Encoded here, and reserved. */
    (void)status;
    commit_publish(committer, version, time_us);
    commit_count_up(&committer->commit_count, 1);
    commit_count_up(&committer->user_bytes, request->user_bytes);
    if (request->applied != NULL)
        request->applied(request->context, version, time_us);
    *out = (strata_commit){.version = version, .time_us = time_us};
    return STRATA_OK;
}

/* Under the lock, when there is room. One time serves all of it. */
static strata_status commit_inside(struct committer *committer, const struct tableset *set,
                                   struct commit_request *request, strata_commit *out)
{
    const int64_t time_us = commit_time(committer);
    strata_status status = STRATA_OK;
    if (request->fill != NULL)
        status = request->fill(request->context, set, atomic_load(&committer->visible) + 1, time_us,
                               request);
    if (status == STRATA_OK)
        status = commit_prepare(committer, set, request, time_us);
    if (status == STRATA_OK)
        return commit_append(committer, request, time_us, out);
    failure_outcome(STRATA_NOT_COMMITTED, 0);
    return status;
}

static strata_status commit_locked(struct committer *committer, struct epoch_slot *slot,
                                   struct commit_request *request, strata_commit *out)
{
    TRY(committer_check(committer));
    strata_status status = commit_room(committer, request);
    if (status != STRATA_OK) {
        failure_outcome(STRATA_NOT_COMMITTED, 0);
        return status;
    }
    /* The active memtable stays while the lock is held; what else the set has may go. */
    if (!request->check && !request->increments && request->fill == NULL)
        return commit_inside(committer, NULL, request, out);
    epoch_enter(committer->epochs, slot);
    status = commit_inside(committer, atomic_load(&committer->tables->current), request, out);
    epoch_leave(slot);
    return status;
}

void committer_expect(struct committer *committer, struct epoch_slot *slot, uint64_t key_hash)
{
    epoch_enter(committer->epochs, slot);
    const struct tableset *set = atomic_load(&committer->tables->current);
    memtable_prefetch(set->memtables[0], key_hash);
    epoch_leave(slot);
}

strata_status committer_commit(struct committer *committer, struct epoch_slot *slot,
                               struct commit_request *request, strata_commit *out)
{
    mutex_lock(&committer->lock);
    strata_status status = commit_locked(committer, slot, request, out);
    mutex_unlock(&committer->lock);

    if (status == STRATA_OK && committer->committed != NULL)
        committer->committed(committer->room_context);
    if (status == STRATA_HALTED && !atomic_load(&committer->halted))
        committer_halt(committer);
    if (status == STRATA_OK && request->sync && committer->wal != NULL) {
        status = wal_sync(committer->wal, out->version);
        if (status != STRATA_OK) {
            committer_halt(committer);
            failure_outcome(STRATA_COMMIT_UNKNOWN, out->version);
        }
    }
    return status;
}

strata_status committer_replay(struct committer *committer, const struct wal_record *record)
{
    strata_status status = STRATA_OK;
    struct buffer key;
    struct bytes batch = record->payload;
    struct batch_header header;
    buffer_init(&key, committer->allocator);
    TRY_OUT(batch_header_take(&batch, &header));
    /* A first pass finds damage before anything is inserted. */
    struct bytes rest = batch;
    for (uint64_t i = 0; i < header.row_count; i++) {
        struct batch_row row;
        TRY_OUT(batch_row_take(&rest, &row));
        if ((row.flags & BATCH_INCREMENT) != 0) {
            status = failure(STRATA_CORRUPT, "a commit of the log holds an increment");
            goto out;
        }
    }
    TRY_OUT(memtable_reserve(committer->active, (size_t)header.row_count,
                             record->payload.length + (size_t)header.row_count * KEY_PREFIX_SIZE,
                             BATCH_MESSAGE_SIZE_MAX));
    TRY_OUT(buffer_reserve(&key, KEY_PREFIX_SIZE + USER_KEY_SIZE_MAX));
    TRY_OUT(
        commit_apply(committer->active, record->payload, record->version, record->time_us, &key));
    commit_publish(committer, record->version, record->time_us);

out:
    buffer_release(&key);
    return status;
}
