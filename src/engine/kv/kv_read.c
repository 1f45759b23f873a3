#include "engine/kv/kv.h"

#include <assert.h>

/* Keys read between two leavings of the epoch, so that long calls do not hold up reclaiming. */
enum { KEYS_PER_STAY = 256 };

/* A pending increment is a counter with one byte more: see storage_writes_add. */
enum { PENDING_SIZE = COUNTER_SIZE + 1 };

strata_status kv_look(struct kv_context *context)
{
    if (!context->alone)
        return STRATA_OK;
    if (atomic_load(&context->view.branch->deleted))
        return failure(STRATA_NOT_FOUND, "the branch has been deleted");
    storage_head(context->storage, &context->view.version, &context->view.time_us);
    return STRATA_OK;
}

strata_status kv_add_up(struct store_reader *reader, const struct storage_view *view,
                        const struct storage_space *space, struct bytes key, struct kv_sum *sum,
                        struct row *row)
{
    if (row->kind != ROW_COUNTER || row->value.length != PENDING_SIZE)
        return STRATA_OK;
    struct storage_view below = *view;
    struct storage_row base = {.found = false};
    below.writes = NULL;
    TRY(storage_get(reader, &below, space, KIND_KV, key, &base));
    uint64_t value = load_u64(row->value.data);
    /* That it is a counter, and that the sum fits, was checked when the increment was made. */
    if (base.found && base.row.kind == ROW_COUNTER)
        value += load_u64(base.row.value.data);
    storage_unpin(reader, &base);
    store_u64(sum->bytes, value);
    row->value = bytes_of(sum->bytes, COUNTER_SIZE);
    return STRATA_OK;
}

strata_status kv_find(struct kv_context *context, const struct storage_view *view,
                      const struct storage_space *space, struct bytes key, struct kv_sum *sum,
                      struct storage_row *out)
{
    TRY(storage_get(context->reader, view, space, KIND_KV, key, out));
    if (!out->found || out->row.from != 0)
        return STRATA_OK;
    const strata_status status = kv_add_up(context->reader, view, space, key, sum, &out->row);
    if (status != STRATA_OK)
        storage_unpin(context->reader, out);
    return status;
}

/* The view of a call that reads a single row: for its time the clock is asked only if need be. */
static inline strata_status kv_glance(const struct kv_context *context, struct storage_view *out)
{
    *out = context->view;
    if (!context->alone)
        return STRATA_OK;
    if (atomic_load_explicit(&out->branch->deleted, memory_order_acquire))
        return failure(STRATA_NOT_FOUND, "the branch has been deleted");
    out->version = storage_head_version(context->storage);
    out->time_us = STORAGE_TIME_NOW;
    return STRATA_OK;
}

/* Inside. */
static inline strata_status kv_get_inside(struct kv_context *context,
                                          const struct storage_view *view,
                                          const struct storage_space *space, struct bytes key,
                                          strata_value *out)
{
    struct kv_sum sum;
    struct storage_row row;
    TRY(kv_find(context, view, space, key, &sum, &row));
    if (!row.found)
        return STRATA_OK;
    const strata_status status = held_value_take(context->holds, context->reader, &row, out);
    if (row.pin != NULL)
        storage_unpin(context->reader, &row);
    return status;
}

strata_status kv_get(struct kv_context *context, const struct storage_space *space,
                     struct bytes key, strata_value *out)
{
    assert(out->pin[0] == NULL);
    struct storage_view view;
    TRY(kv_glance(context, &view));
    storage_enter(context->reader);
    const strata_status status = kv_get_inside(context, &view, space, key, out);
    storage_leave(context->reader);
    return status;
}

static strata_status kv_copy_row(struct kv_context *context, const struct row *row, uint64_t offset,
                                 strata_buffer *out)
{
    const uint64_t total = storage_value_size(row);
    const uint64_t left = offset < total ? total - offset : 0;
    const size_t size = left < out->capacity ? (size_t)left : out->capacity;
    if (size > 0)
        TRY(storage_value_read(context->reader, row, offset, out->data, size));
    out->size = size;
    out->total = total;
    return STRATA_OK;
}

strata_status kv_copy(struct kv_context *context, const struct storage_space *space,
                      struct bytes key, uint64_t offset, bool *found, strata_buffer *out)
{
    struct kv_sum sum;
    struct storage_row row = {.found = false};
    struct storage_view view;
    TRY(kv_glance(context, &view));
    storage_enter(context->reader);
    strata_status status = kv_find(context, &view, space, key, &sum, &row);
    if (status == STRATA_OK) {
        *found = row.found;
        if (row.found)
            status = kv_copy_row(context, &row.row, offset, out);
        storage_unpin(context->reader, &row);
    }
    storage_leave(context->reader);
    return status;
}

/* Makes a value of a row that was found, or of nothing, and lets go of the row. */
static strata_status kv_take_row(struct kv_context *context, const struct storage_space *space,
                                 struct bytes key, struct storage_row *row, strata_value *out)
{
    struct kv_sum sum;
    strata_status status = STRATA_OK;
    if (!row->found)
        return STRATA_OK;
    if (row->row.from == 0)
        status = kv_add_up(context->reader, &context->view, space, key, &sum, &row->row);
    if (status == STRATA_OK)
        status = held_value_take(context->holds, context->reader, row, out);
    storage_unpin(context->reader, row);
    return status;
}

/* Up to STORAGE_BATCH_MAX keys. Inside; the view is set. */
static strata_status kv_get_batch(struct kv_context *context, const struct storage_space *space,
                                  const strata_bytes *keys, uint32_t count, strata_value *values)
{
    struct bytes sought[STORAGE_BATCH_MAX];
    struct storage_row rows[STORAGE_BATCH_MAX];
    for (uint32_t i = 0; i < count; i++)
        sought[i] = bytes_of(keys[i].data, keys[i].size);
    strata_status status =
        storage_get_many(context->reader, &context->view, space, KIND_KV, sought, count, rows);
    if (status != STRATA_OK)
        return status;
    for (uint32_t i = 0; i < count; i++) {
        if (status == STRATA_OK)
            status = kv_take_row(context, space, sought[i], &rows[i], &values[i]);
        else
            storage_unpin(context->reader, &rows[i]);
    }
    return status;
}

/* Inside; the view is set. */
static strata_status kv_get_some(struct kv_context *context, const struct storage_space *space,
                                 const strata_bytes *keys, size_t count, strata_value *values)
{
    for (size_t at = 0; at < count; at += STORAGE_BATCH_MAX) {
        const size_t left = count - at;
        TRY(kv_get_batch(context, space, keys + at,
                         left < STORAGE_BATCH_MAX ? (uint32_t)left : STORAGE_BATCH_MAX,
                         values + at));
    }
    return STRATA_OK;
}

strata_status kv_get_many(struct kv_context *context, const struct storage_space *space,
                          const strata_bytes *keys, size_t count, strata_value *values)
{
    strata_status status = kv_look(context);
    for (size_t at = 0; at < count && status == STRATA_OK; at += KEYS_PER_STAY) {
        const size_t left = count - at;
        storage_enter(context->reader);
        status = kv_get_some(context, space, keys + at, left < KEYS_PER_STAY ? left : KEYS_PER_STAY,
                             values + at);
        storage_leave(context->reader);
    }
    for (size_t i = 0; i < count && status != STRATA_OK; i++)
        held_value_release(&values[i]);
    return status;
}

strata_status kv_exists(struct kv_context *context, const struct storage_space *space,
                        struct bytes key, bool *found)
{
    struct storage_row row = {.found = false};
    struct storage_view view;
    TRY(kv_glance(context, &view));
    storage_enter(context->reader);
    const strata_status status = storage_get(context->reader, &view, space, KIND_KV, key, &row);
    if (status == STRATA_OK) {
        *found = row.found;
        storage_unpin(context->reader, &row);
    }
    storage_leave(context->reader);
    return status;
}

/* Inside. */
static strata_status kv_get_older(struct kv_context *context, const struct storage_space *space,
                                  struct storage_history *history, uint64_t back, strata_value *out)
{
    struct kv_sum sum;
    for (uint64_t i = 0; i <= back; i++) {
        TRY(storage_history_next(history));
        if (!history->row.found)
            return STRATA_OK;
    }
    if ((row_flags(&history->row.row) & STRATA_ROW_TOMBSTONE) != 0)
        return STRATA_OK;
    TRY(kv_add_up(context->reader, &context->view, space, buffer_view(&history->key), &sum,
                  &history->row.row));
    return held_value_take(context->holds, context->reader, &history->row, out);
}

strata_status kv_getv(struct kv_context *context, const struct storage_space *space,
                      struct bytes key, uint64_t back, strata_value *out)
{
    if (back == 0)
        return kv_get(context, space, key, out);
    struct storage_history history;
    TRY(kv_look(context));
    TRY(storage_history_open(context->reader, context->storage, &context->view, space, KIND_KV, key,
                             &history));
    storage_enter(context->reader);
    const strata_status status = kv_get_older(context, space, &history, back, out);
    storage_leave(context->reader);
    storage_history_close(&history);
    return status;
}
