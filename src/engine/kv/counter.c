#include "engine/kv/kv.h"

#include <assert.h>

static strata_status counter_add(int64_t value, int64_t delta, int64_t *out)
{
    const bool over = delta > 0 ? value > INT64_MAX - delta : value < INT64_MIN - delta;
    if (over)
        return failure(STRATA_INVALID, "the increment takes the counter beyond 64 bits");
    *out = value + delta;
    return STRATA_OK;
}

/* What the live row of `key` in `view` counts. Inside. */
static strata_status counter_read(struct kv_context *context, const struct storage_view *view,
                                  const struct storage_space *space, struct bytes key,
                                  struct storage_row *row, int64_t *out)
{
    struct kv_sum sum;
    strata_status status = STRATA_OK;
    TRY(kv_find(context, view, space, key, &sum, row));
    *out = 0;
    if (row->found && row->row.kind == ROW_COUNTER)
        *out = (int64_t)load_u64(row->row.value.data);
    else if (row->found)
        status = failure(STRATA_MISMATCH, "the key holds a value that is no counter");
    storage_unpin(context->reader, row);
    return status;
}

/* ---- on an auto handle ---- */

struct counter_step {
    struct kv_context *context;
    int64_t delta;
    int64_t sum;
    uint8_t bytes[COUNTER_SIZE];
};

static strata_status counter_decide(void *context, const struct storage_view *view,
                                    struct storage_write *write)
{
    struct counter_step *step = context;
    struct storage_row row = {.found = false};
    int64_t value;
    TRY(counter_read(step->context, view, write->space, write->key, &row, &value));
    TRY(counter_add(value, step->delta, &step->sum));
    store_u64(step->bytes, (uint64_t)step->sum);
    write->value = bytes_of(step->bytes, COUNTER_SIZE);
    return STRATA_OK;
}

static strata_status increment_alone(struct kv_context *context, struct storage_write *write,
                                     int64_t delta, bool blind, int64_t *sum_out)
{
    struct counter_step step = {.context = context, .delta = delta};
    store_u64(step.bytes, (uint64_t)delta);
    write->value = bytes_of(step.bytes, COUNTER_SIZE);
    if (blind) {
        write->flags = BATCH_INCREMENT;
        return kv_commit_one(context, write, NULL, NULL);
    }
    TRY(kv_commit_one(context, write, counter_decide, &step));
    *sum_out = step.sum;
    return STRATA_OK;
}

/* ---- in a transaction ---- */

/* Whether the transaction has written the key, deletions too. `row` is what its reads find. Inside. */
static strata_status counter_own(struct kv_context *context, const struct storage_space *space,
                                 struct bytes key, const struct storage_row *row, bool *out)
{
    *out = context->writes->deletions || (row->found && row->row.from == 0);
    if (*out || row->found || context->writes->count == 0)
        return STRATA_OK;
    struct storage_history history;
    TRY(storage_history_open(context->reader, context->storage, &context->view, space, KIND_KV, key,
                             &history));
    const strata_status status = storage_history_next(&history);
    *out = status == STRATA_OK && history.row.found && history.row.row.from == 0;
    storage_history_close(&history);
    return status;
}

/* Whether `row` of the transaction's own is an increment whose base is not known yet, and of what. */
static strata_status counter_pending(struct kv_context *context, const struct storage_space *space,
                                     struct bytes key, bool *out, int64_t *delta)
{
    struct storage_row row = {.found = false};
    TRY(storage_get(context->reader, &context->view, space, KIND_KV, key, &row));
    *out = row.found && row.row.from == 0 && row.row.kind == ROW_COUNTER &&
           row.row.value.length > COUNTER_SIZE;
    if (*out)
        *delta = (int64_t)load_u64(row.row.value.data);
    storage_unpin(context->reader, &row);
    return STRATA_OK;
}

/* Finds out what to write: `write->flags` and the number, and the sum that reads will see. Inside. */
static strata_status counter_plan(struct kv_context *context, struct storage_write *write,
                                  int64_t delta, bool blind, int64_t *number_out, int64_t *sum_out)
{
    struct storage_row row = {.found = false};
    int64_t value, pending_delta = 0;
    bool own, pending = false;
    TRY(counter_read(context, &context->view, write->space, write->key, &row, &value));
    TRY(counter_add(value, delta, sum_out));
    *number_out = *sum_out;
    if (!blind)
        return STRATA_OK;
    TRY(counter_own(context, write->space, write->key, &row, &own));
    if (own)
        TRY(counter_pending(context, write->space, write->key, &pending, &pending_delta));
    if (own && !pending)
        return STRATA_OK;
    write->flags = BATCH_INCREMENT;
    return counter_add(pending_delta, delta, number_out);
}

static strata_status increment_own(struct kv_context *context, struct storage_write *write,
                                   int64_t delta, bool blind, int64_t *sum_out)
{
    int64_t number;
    uint8_t bytes[COUNTER_SIZE];
    storage_enter(context->reader);
    const strata_status status = counter_plan(context, write, delta, blind, &number, sum_out);
    storage_leave(context->reader);
    if (status != STRATA_OK)
        return status;
    store_u64(bytes, (uint64_t)number);
    write->value = bytes_of(bytes, COUNTER_SIZE);
    return kv_add_write(context, write);
}

strata_status kv_increment(struct kv_context *context, struct storage_space *space,
                           struct bytes key, int64_t delta, int64_t *out)
{
    struct storage_write write = {
        .space = space, .kind = KIND_KV, .row = ROW_COUNTER, .key = key, .flags = 0};
    const bool blind = out == NULL; /* Left to the commit: it never conflicts. */
    int64_t sum = 0;
    if (context->alone)
        TRY(increment_alone(context, &write, delta, blind, &sum));
    else
        TRY(increment_own(context, &write, delta, blind, &sum));
    if (out != NULL)
        *out = sum;
    return STRATA_OK;
}
