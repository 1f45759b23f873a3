#include "engine/kv/kv.h"

#include <assert.h>

/* ---- turns ---- */

/* A write with fewer bytes than that needs no turn. */
enum { TURN_BYTES_MIN = 4096 };

/* What is written is in memory up to three times. Small budgets have room for one batch or large value of
 * an auto handle on its way, and the next one waits. Returns whether the turn is to be ended. */
static bool turn_begin(struct kv_context *context, size_t bytes)
{
    struct storage *storage = context->storage;
    if (!storage->store->profile.one_batch || context->in_turn || bytes < TURN_BYTES_MIN)
        return false;
    mutex_lock(&storage->batch_lock);
    context->in_turn = true;
    return true;
}

static void turn_end(struct kv_context *context, bool begun)
{
    if (!begun)
        return;
    buffer_release(context->scratch);
    if (context->alone)
        buffer_release(&context->writes->record);
    context->in_turn = false;
    mutex_unlock(&context->storage->batch_lock);
}

/* ---- objects of long values ---- */

strata_status kv_note_object(struct kv_context *context, uint64_t object)
{
    return buffer_append_u64(&context->writes->values, object);
}

strata_status kv_settle_objects(struct storage_writes *writes, strata_status status)
{
    if (status == STRATA_OK) {
        storage_writes_clear(writes, true);
        return status;
    }
    /* A commit of unknown outcome may be there, and need them. */
    strata_error error;
    failure_save(&error);
    storage_writes_clear(writes, error.outcome == STRATA_COMMIT_UNKNOWN);
    return failure_restore(&error);
}

static strata_status value_write_all(struct value_writer *writer, struct bytes value,
                                     struct value_reference *out)
{
    TRY(value_writer_append(writer, value));
    return value_writer_finish(writer, true, out);
}

/* Writes a long value to an object, which is noted. It is synced whatever the commit is: a later sync
 * of the log alone makes the commit durable that refers to it. */
static strata_status value_write_object(struct kv_context *context, struct bytes value,
                                        struct value_reference *out)
{
    struct value_writer writer = {.allocator = NULL};
    TRY(buffer_reserve(&context->writes->values, sizeof(uint64_t)));
    TRY(storage_value_open(context->storage, &writer));
    const strata_status noted = kv_note_object(context, writer.number);
    assert(noted == STRATA_OK); /* Reserved. */
    (void)noted;
    const strata_status status = value_write_all(&writer, value, out);
    value_writer_release(&writer);
    return status;
}

/* ---- commits of one write ---- */

strata_status kv_commit_one(struct kv_context *context, struct storage_write *write,
                            strata_status (*decide)(void *context, const struct storage_view *view,
                                                    struct storage_write *write),
                            void *decide_context)
{
    strata_commit commit;
    const strata_status status =
        storage_commit_one(context->storage, context->reader, write, decide, decide_context,
                           &context->commit, context->scratch, &commit);
    if (status == STRATA_OK) {
        context->last = commit;
        return status;
    }
    if (status != STRATA_CONFLICT || !atomic_load(&context->view.branch->deleted))
        return status;
    (void)failure(STRATA_NOT_FOUND, "the branch has been deleted");
    failure_outcome(STRATA_NOT_COMMITTED, 0);
    return STRATA_NOT_FOUND;
}

static strata_status write_decide(void *context, const struct storage_view *view,
                                  struct storage_write *write)
{
    struct kv_judgement *judgement = context;
    TRY(kv_judge(judgement, view, write->space, write->key));
    if (judgement->verdict == KV_REFUSED)
        return kv_refused();
    if (judgement->verdict == KV_NOTHING)
        return failure(STRATA_DONE, "there is nothing to delete");
    return STRATA_OK;
}

/* ---- one write ---- */

strata_status kv_add_write(struct kv_context *context, const struct storage_write *write)
{
    TRY(storage_writes_add(context->writes, write, context->view.time_us));
    context->view.own_cap = storage_writes_cap(context->writes);
    return STRATA_OK;
}

/* Judges against what a read sees now. On an auto handle it may have to be done again under the
 * commit lock, with what is read here in the cache. */
static strata_status write_judge(struct kv_judgement *judgement, const struct storage_write *write)
{
    struct kv_context *context = judgement->context;
    judgement->verdict = KV_WRITE;
    if (!kv_judgement_needed(judgement) &&
        !(context->alone && atomic_load(&context->view.branch->deleted)))
        return STRATA_OK;
    storage_enter(context->reader);
    strata_status status = kv_look(context);
    if (status == STRATA_OK)
        status = kv_judge(judgement, &context->view, write->space, write->key);
    storage_leave(context->reader);
    return status;
}

/* Makes `write` one by reference if its value is long. */
static strata_status write_place_value(struct kv_context *context, struct storage_write *write,
                                       uint8_t bytes[VALUE_REFERENCE_SIZE])
{
    struct value_reference reference;
    if (write->row != ROW_PUT || write->value.length <= kv_inline_size_max(context))
        return STRATA_OK;
    TRY(value_write_object(context, write->value, &reference));
    value_reference_store(bytes, reference);
    write->row = ROW_VALUE_REFERENCE;
    write->value = bytes_of(bytes, VALUE_REFERENCE_SIZE);
    return STRATA_OK;
}

/* As a commit of its own. */
static strata_status write_alone(struct kv_judgement *judgement, struct storage_write *write)
{
    const bool decide = kv_judgement_needed(judgement);
    const strata_status status =
        kv_commit_one(judgement->context, write, decide ? write_decide : NULL, judgement);
    return status == STRATA_DONE ? STRATA_OK : status;
}

/* Makes the write if it is to be made. */
static strata_status write_judged(struct kv_judgement *judgement, struct storage_write *write)
{
    struct kv_context *context = judgement->context;
    uint8_t reference[VALUE_REFERENCE_SIZE];
    TRY(write_judge(judgement, write));
    if (judgement->verdict == KV_REFUSED)
        return kv_refused();
    if (judgement->verdict == KV_NOTHING)
        return STRATA_OK;
    TRY(write_place_value(context, write, reference));
    return context->alone ? write_alone(judgement, write) : kv_add_write(context, write);
}

static strata_status write_one(struct kv_judgement *judgement, struct storage_write *write)
{
    struct kv_context *context = judgement->context;
    const bool turn = turn_begin(context, write->value.length);
    strata_status status = write_judged(judgement, write);
    if (context->alone && context->writes->values.length > 0)
        status = kv_settle_objects(context->writes, status);
    turn_end(context, turn);
    return status;
}

static struct storage_write write_of(struct storage_space *space, struct bytes key,
                                     const strata_kv_put_options *options)
{
    struct storage_write write = {
        .space = space, .kind = KIND_KV, .row = ROW_PUT, .key = key, .flags = 0};
    if (options == NULL)
        return write;
    if (options->remove != 0)
        write.row = ROW_DELETE;
    if (options->ttl_us != 0) {
        write.flags = BATCH_LIVES;
        write.expires_us = options->ttl_us;
    } else if (options->expires_us != 0) {
        write.flags = BATCH_EXPIRES;
        write.expires_us = options->expires_us;
    }
    return write;
}

strata_status kv_put(struct kv_context *context, struct storage_space *space, struct bytes key,
                     struct bytes value, const strata_kv_put_options *options)
{
    struct storage_write write = write_of(space, key, options);
    struct kv_judgement judgement = {
        .context = context, .options = options, .remove = write.row == ROW_DELETE};
    if (write.row == ROW_PUT)
        write.value = value;
    return write_one(&judgement, &write);
}

strata_status kv_put_reference(struct kv_context *context, struct storage_space *space,
                               struct bytes key, struct value_reference reference,
                               const strata_kv_put_options *options)
{
    uint8_t bytes[VALUE_REFERENCE_SIZE];
    struct storage_write write = write_of(space, key, options);
    struct kv_judgement judgement = {.context = context, .options = options};
    assert(write.row == ROW_PUT);
    value_reference_store(bytes, reference);
    write.row = ROW_VALUE_REFERENCE;
    write.value = bytes_of(bytes, sizeof(bytes));
    return write_one(&judgement, &write);
}

strata_status kv_delete_all(struct kv_context *context, struct storage_space *space)
{
    struct storage_write write = {
        .space = space, .kind = KIND_KV, .row = ROW_RANGE_DELETE, .flags = 0};
    if (atomic_load(&space->number) == 0)
        return STRATA_OK; /* It has never had a row in any branch. */
    if (context->alone)
        return kv_commit_one(context, &write, NULL, NULL);
    return kv_add_write(context, &write);
}

/* ---- many writes ---- */

static strata_status write_each(struct kv_context *context, struct storage_space *space,
                                const strata_kv_write *writes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const strata_kv_put_options options = {
            .size = sizeof(options), .ttl_us = writes[i].ttl_us, .remove = writes[i].remove};
        TRY(kv_put(context, space, bytes_of(writes[i].key.data, writes[i].key.size),
                   bytes_of(writes[i].value.data, writes[i].value.size), &options));
    }
    return STRATA_OK;
}

/* One commit of an auto handle, as a transaction at the present head that nothing clashes with. */
static strata_status write_many_alone(struct kv_context *context, struct storage_space *space,
                                      const strata_kv_write *writes, size_t count)
{
    strata_commit commit = {0};
    storage_enter(context->reader);
    const strata_status looked = kv_look(context);
    storage_leave(context->reader);
    if (looked != STRATA_OK)
        return looked;
    struct kv_context whole = *context;
    whole.alone = false;
    whole.view.writes = context->writes;
    whole.view.own_cap = storage_writes_cap(context->writes);
    strata_status status = write_each(&whole, space, writes, count);
    if (status == STRATA_OK)
        status = storage_commit(context->writes, context->reader, &context->commit, &commit);
    if (status == STRATA_CONFLICT && atomic_load(&context->view.branch->deleted)) {
        status = failure(STRATA_NOT_FOUND, "the branch has been deleted");
        failure_outcome(STRATA_NOT_COMMITTED, 0);
    }
    if (status == STRATA_OK && commit.version != 0)
        context->last = commit;
    return kv_settle_objects(context->writes, status);
}

strata_status kv_put_many(struct kv_context *context, struct storage_space *space,
                          const strata_kv_write *writes, size_t count)
{
    if (count == 0)
        return STRATA_OK;
    if (context->alone) {
        const bool turn = turn_begin(context, SIZE_MAX);
        const strata_status status = write_many_alone(context, space, writes, count);
        turn_end(context, turn);
        return status;
    }
    const uint64_t before = context->writes->count;
    const strata_status status = write_each(context, space, writes, count);
    if (status == STRATA_OK)
        return status;
    strata_error error;
    failure_save(&error);
    TRY(storage_writes_undo(context->writes, before));
    context->view.own_cap = storage_writes_cap(context->writes);
    return failure_restore(&error);
}
