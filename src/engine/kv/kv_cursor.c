#include "engine/kv/kv_cursor.h"

#include <assert.h>

/* Rows counted between two leavings of the epoch; room for values that is kept from row to row. */
enum { ROWS_PER_STAY = 256, KEPT_VALUE_BYTES = INLINE_VALUE_SIZE_MAX };

/* ---- the row shown ---- */

static void shown_init(struct kv_shown *shown, const strata_allocator *allocator)
{
    *shown = (struct kv_shown){.present = false};
    buffer_init(&shown->key, allocator);
    buffer_init(&shown->value, allocator);
}

static void shown_release(struct kv_shown *shown)
{
    buffer_release(&shown->key);
    buffer_release(&shown->value);
    shown->present = false;
}

static void shown_forget(struct kv_shown *shown)
{
    shown->present = false;
    buffer_truncate(&shown->key, 0);
    buffer_truncate(&shown->value, 0);
    if (shown->value.capacity > KEPT_VALUE_BYTES)
        buffer_release(&shown->value);
}

/* Inside. */
static strata_status shown_copy_value(struct kv_shown *shown, struct kv_context *context,
                                      const struct row *row)
{
    const uint64_t size = storage_value_size(row);
    if (size > INLINE_VALUE_SIZE_MAX && size > held_value_size_max(context->holds))
        return failure(STRATA_TOO_BIG,
                       "a value of %llu bytes cannot be shown: scan keys only and read it in "
                       "pieces with strata_kv_copy",
                       (unsigned long long)size);
    uint8_t *to;
    /* One byte more: an empty value is not absent. */
    TRY(buffer_extend(&shown->value, (size_t)size + 1, &to));
    if (size > 0)
        TRY(storage_value_read(context->reader, row, 0, to, (size_t)size));
    shown->row.value = strata_view(to, (size_t)size);
    return STRATA_OK;
}

/* Inside. */
static strata_status shown_copy(struct kv_shown *shown, struct kv_context *context,
                                struct bytes key, const struct row *row, bool with_value)
{
    const uint32_t flags = row_flags(row);
    shown->row = (strata_row){.version = row->from,
                              .time_us = row->time_us,
                              .expires_us = row->expires_us,
                              .flags = flags};
    TRY(buffer_append(&shown->key, key));
    shown->row.key = strata_view(shown->key.data, shown->key.length);
    if (with_value && (flags & STRATA_ROW_TOMBSTONE) == 0)
        TRY(shown_copy_value(shown, context, row));
    shown->present = true;
    return STRATA_OK;
}

/* ---- bounds ---- */

/* Makes `key`, of a key or prefix, the least that is greater than all that begin with it; empty if
 * there is none. */
static void bytes_past_prefix(struct buffer *key)
{
    while (key->length > 0 && key->data[key->length - 1] == UINT8_MAX)
        buffer_truncate(key, key->length - 1);
    if (key->length > 0)
        key->data[key->length - 1]++;
}

static strata_status bytes_set(struct buffer *to, struct bytes from)
{
    buffer_truncate(to, 0);
    return buffer_append(to, from);
}

/* The bounds of a scan as one range; what is given by others is put together in the two buffers. */
struct key_range {
    struct buffer first;
    struct buffer end;
    bool empty;
};

/* Raises the first key to `at`, if that is higher. */
static strata_status range_from(struct key_range *range, struct bytes at)
{
    if (bytes_compare(at, buffer_view(&range->first)) <= 0)
        return STRATA_OK;
    return bytes_set(&range->first, at);
}

/* Lowers the end to `at`, if that is lower. */
static strata_status range_to(struct key_range *range, struct bytes at)
{
    if (range->end.length > 0 && bytes_compare(at, buffer_view(&range->end)) >= 0)
        return STRATA_OK;
    return bytes_set(&range->end, at);
}

static strata_status range_of_prefix(struct key_range *range, struct bytes prefix,
                                     struct buffer *scratch)
{
    TRY(range_from(range, prefix));
    TRY(bytes_set(scratch, prefix));
    bytes_past_prefix(scratch);
    return scratch->length == 0 ? STRATA_OK : range_to(range, buffer_view(scratch));
}

/* What lies past `key` in the direction of the scan. */
static strata_status range_after(struct key_range *range, struct bytes key, bool reverse,
                                 struct buffer *scratch)
{
    if (reverse)
        return range_to(range, key);
    TRY(bytes_set(scratch, key));
    if (key.length < USER_KEY_SIZE_MAX) {
        TRY(buffer_append_u8(scratch, 0));
    } else {
        bytes_past_prefix(scratch);
        range->empty |= scratch->length == 0;
    }
    return range_from(range, buffer_view(scratch));
}

static struct bytes view_bytes(strata_bytes view)
{
    return bytes_of(view.data, view.size);
}

static strata_status range_set(struct key_range *range, const strata_scan_options *options,
                               struct buffer *scratch)
{
    if (options->first.size > 0)
        TRY(range_from(range, view_bytes(options->first)));
    if (options->end.size > 0)
        TRY(range_to(range, view_bytes(options->end)));
    if (options->prefix.size > 0)
        TRY(range_of_prefix(range, view_bytes(options->prefix), scratch));
    if (options->after.size > 0)
        TRY(range_after(range, view_bytes(options->after), options->reverse != 0, scratch));
    range->empty |= range->end.length > 0 &&
                    bytes_compare(buffer_view(&range->first), buffer_view(&range->end)) >= 0;
    return STRATA_OK;
}

/* ---- scans ---- */

static strata_status scan_open_range(struct kv_scan *scan, const struct storage_space *space,
                                     const strata_scan_options *options)
{
    struct kv_context *context = scan->context;
    const strata_allocator *allocator = &context->storage->store->memory.allocator;
    struct key_range range = {.empty = false};
    struct buffer scratch;
    strata_status status = STRATA_OK;
    buffer_init(&range.first, allocator);
    buffer_init(&range.end, allocator);
    buffer_init(&scratch, allocator);
    if (options != NULL)
        TRY_OUT(range_set(&range, options, &scratch));
    scan->empty = range.empty;
    const struct scan_bounds bounds = {.first = buffer_view(&range.first),
                                       .end = buffer_view(&range.end)};
    TRY_OUT(storage_scan_open(context->reader, context->storage, &context->view, space, KIND_KV,
                              bounds, scan->reverse, &scan->scan));
out:
    buffer_release(&range.first);
    buffer_release(&range.end);
    buffer_release(&scratch);
    return status;
}

strata_status kv_scan_open(struct kv_context *context, const struct storage_space *space,
                           const strata_scan_options *options, struct kv_scan *out)
{
    const strata_allocator *allocator = &context->storage->store->memory.allocator;
    *out = (struct kv_scan){.context = context};
    if (options != NULL) {
        out->keys_only = options->keys_only != 0;
        out->reverse = options->reverse != 0;
        out->limit = options->limit;
    }
    storage_enter(context->reader);
    const strata_status looked = kv_look(context);
    storage_leave(context->reader);
    if (looked != STRATA_OK)
        return looked;
    TRY(scan_open_range(out, space, options));
    buffer_init(&out->target, allocator);
    shown_init(&out->shown, allocator);
    return STRATA_OK;
}

/* Inside. To the next row, or to the one that was sought. */
static strata_status scan_advance(struct kv_scan *scan)
{
    if (!scan->sought)
        return storage_scan_next(&scan->scan);
    scan->sought = false;
    const struct bytes target = buffer_view(&scan->target);
    return storage_scan_seek(&scan->scan, target.length > 0 ? target : bytes_of(NULL, 0), false);
}

/* Inside. */
static strata_status scan_show(struct kv_scan *scan)
{
    struct kv_context *context = scan->context;
    struct kv_sum sum;
    struct row *row = &scan->scan.row;
    const struct bytes key = row->key;
    if (!scan->keys_only)
        TRY(kv_add_up(context->reader, &scan->scan.view, scan->scan.space, key, &sum, row));
    return shown_copy(&scan->shown, context, key, row, !scan->keys_only);
}

strata_status kv_scan_next(struct kv_scan *scan)
{
    struct store_reader *reader = scan->context->reader;
    strata_status status = STRATA_OK;
    shown_forget(&scan->shown);
    if (scan->done || scan->empty || (scan->limit > 0 && scan->count >= scan->limit)) {
        scan->done = true;
        return STRATA_OK;
    }
    storage_enter(reader);
    status = scan_advance(scan);
    if (status == STRATA_OK && !scan->scan.valid) {
        scan->done = true;
    } else if (status == STRATA_OK) {
        scan->count++;
        status = scan_show(scan);
    }
    storage_leave(reader);
    return status;
}

strata_status kv_scan_seek(struct kv_scan *scan, struct bytes key)
{
    const struct bytes first = buffer_view(&scan->scan.first);
    const struct bytes end = buffer_view(&scan->scan.end);
    const bool below = bytes_compare(key, first) < 0;
    const bool above = end.length > 0 && bytes_compare(key, end) >= 0;
    shown_forget(&scan->shown);
    /* A key outside the bounds means the start, or that nothing is left. */
    const bool start = scan->reverse ? above : below;
    TRY(bytes_set(&scan->target, start ? bytes_of(NULL, 0) : key));
    scan->sought = true;
    scan->done = scan->reverse ? below : above;
    scan->count = 0;
    return STRATA_OK;
}

void kv_scan_close(struct kv_scan *scan)
{
    storage_scan_close(&scan->scan, scan->context->storage);
    buffer_release(&scan->target);
    shown_release(&scan->shown);
}

/* Inside, for a while. */
static strata_status scan_count_some(struct kv_scan *scan)
{
    for (unsigned i = 0; i < ROWS_PER_STAY && !scan->done; i++) {
        if (scan->limit > 0 && scan->count >= scan->limit) {
            scan->done = true;
            return STRATA_OK;
        }
        TRY(scan_advance(scan));
        if (scan->scan.valid)
            scan->count++;
        else
            scan->done = true;
    }
    return STRATA_OK;
}

strata_status kv_scan_count(struct kv_scan *scan, uint64_t *out)
{
    struct store_reader *reader = scan->context->reader;
    strata_status status = STRATA_OK;
    scan->done |= scan->empty;
    while (status == STRATA_OK && !scan->done) {
        storage_enter(reader);
        status = scan_count_some(scan);
        storage_leave(reader);
    }
    if (status == STRATA_OK)
        *out = scan->count;
    return status;
}

/* ---- histories ---- */

strata_status kv_history_open(struct kv_context *context, const struct storage_space *space,
                              struct bytes key, struct kv_history *out)
{
    storage_enter(context->reader);
    const strata_status looked = kv_look(context);
    storage_leave(context->reader);
    if (looked != STRATA_OK)
        return looked;
    *out = (struct kv_history){.context = context, .space = space, .view = context->view};
    TRY(storage_history_open(context->reader, context->storage, &context->view, space, KIND_KV, key,
                             &out->history));
    shown_init(&out->shown, &context->storage->store->memory.allocator);
    return STRATA_OK;
}

/* Inside. */
static strata_status history_show(struct kv_history *history)
{
    struct kv_context *context = history->context;
    const struct bytes key = buffer_view(&history->history.key);
    struct row row = history->history.row.row;
    struct kv_sum sum;
    TRY(kv_add_up(context->reader, &history->view, history->space, key, &sum, &row));
    return shown_copy(&history->shown, context, key, &row, true);
}

strata_status kv_history_next(struct kv_history *history)
{
    struct store_reader *reader = history->context->reader;
    shown_forget(&history->shown);
    if (history->done)
        return STRATA_OK;
    storage_enter(reader);
    strata_status status = storage_history_next(&history->history);
    if (status == STRATA_OK && history->history.row.found)
        status = history_show(history);
    else if (status == STRATA_OK)
        history->done = true;
    storage_leave(reader);
    return status;
}

void kv_history_close(struct kv_history *history)
{
    storage_history_close(&history->history, history->context->storage);
    shown_release(&history->shown);
}
