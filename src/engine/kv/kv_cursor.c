#include "engine/kv/kv_cursor.h"

#include <assert.h>

/* Rows counted between two leavings of the epoch; what is kept from version to version. */
enum { ROWS_PER_STAY = 256, VALUE_BYTES_KEPT = INLINE_VALUE_SIZE_MAX };

/* ---- the version of a history that is shown ---- */

static void shown_init(struct kv_shown *shown, const strata_allocator *allocator)
{
    *shown = (struct kv_shown){.present = false};
    buffer_init(&shown->value, allocator);
}

static inline void shown_forget(struct kv_shown *shown)
{
    shown->present = false;
    if (shown->value.capacity > VALUE_BYTES_KEPT)
        buffer_release(&shown->value);
}

/* Inside. */
static strata_status shown_copy_large(struct kv_shown *shown, struct kv_context *context,
                                      const struct row *row, strata_bytes *out)
{
    const uint64_t size = storage_value_size(row);
    if (size > INLINE_VALUE_SIZE_MAX && size > held_value_size_max(context->holds))
        return failure(STRATA_TOO_BIG,
                       "a value of %llu bytes cannot be shown: scan keys only and read it in "
                       "pieces with strata_kv_copy",
                       (unsigned long long)size);
    uint8_t *to;
    /* One byte more: an empty value is not absent. */
    buffer_truncate(&shown->value, 0);
    TRY(buffer_extend(&shown->value, (size_t)size + 1, &to));
    if (size > 0)
        TRY(storage_value_read(context->reader, row, 0, to, (size_t)size));
    *out = strata_view(to, (size_t)size);
    return STRATA_OK;
}

/* Inside. */
static inline strata_status shown_copy_value(struct kv_shown *shown, struct kv_context *context,
                                             const struct row *row, strata_bytes *out)
{
    const size_t size = row->value.length;
    if (row->kind == ROW_VALUE_REFERENCE || size >= shown->value.capacity)
        return shown_copy_large(shown, context, row, out);
    memcpy(shown->value.data, row->value.data, size);
    *out = strata_view(shown->value.data, size);
    return STRATA_OK;
}

/* Field by field: a row that is copied right after it was put together waits for itself. */
static inline void shown_fill(strata_row *to, struct bytes key, strata_bytes value,
                              const struct row *row)
{
    to->key.data = key.data;
    to->key.size = key.length;
    to->value.data = value.data;
    to->value.size = value.size;
    to->version = row->from;
    to->time_us = row->time_us;
    to->expires_us = row->expires_us;
    to->flags = row_flags(row);
    to->reserved = 0;
}

/* Inside. `key` is a copy already. */
static inline strata_status shown_copy(struct kv_shown *shown, struct kv_context *context,
                                       struct bytes key, const struct row *row, bool with_value,
                                       strata_row *out)
{
    strata_bytes value = {.data = NULL};
    if (with_value && (row_flags(row) & STRATA_ROW_TOMBSTONE) == 0)
        TRY(shown_copy_value(shown, context, row, &value));
    shown_fill(&shown->row, key, value, row);
    shown_fill(out, key, value, row);
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

/* The bounds of a scan as one range: views of what was given, or of scratch. */
struct key_range {
    struct bytes first;
    struct bytes end;
    bool empty;
};

/* Raises the first key to `at`, if that is higher. */
static void range_from(struct key_range *range, struct bytes at)
{
    if (bytes_compare(at, range->first) > 0)
        range->first = at;
}

/* Lowers the end to `at`, if that is lower. */
static void range_to(struct key_range *range, struct bytes at)
{
    if (range->end.length == 0 || bytes_compare(at, range->end) < 0)
        range->end = at;
}

static strata_status range_of_prefix(struct key_range *range, struct bytes prefix,
                                     struct buffer *scratch)
{
    range_from(range, prefix);
    TRY(buffer_set(scratch, prefix));
    bytes_past_prefix(scratch);
    if (scratch->length > 0)
        range_to(range, buffer_view(scratch));
    return STRATA_OK;
}

/* What lies past `key` in the direction of the scan. */
static strata_status range_after(struct key_range *range, struct bytes key, bool reverse,
                                 struct buffer *scratch)
{
    if (reverse) {
        range_to(range, key);
        return STRATA_OK;
    }
    TRY(buffer_set(scratch, key));
    if (key.length < USER_KEY_SIZE_MAX) {
        TRY(buffer_append_u8(scratch, 0));
    } else {
        bytes_past_prefix(scratch);
        range->empty |= scratch->length == 0;
    }
    range_from(range, buffer_view(scratch));
    return STRATA_OK;
}

static struct bytes view_bytes(strata_bytes view)
{
    return bytes_of(view.data, view.size);
}

static strata_status range_set(struct key_range *range, const strata_scan_options *options,
                               struct buffer *prefix_scratch, struct buffer *after_scratch)
{
    range->first = view_bytes(options->first);
    range->end = view_bytes(options->end);
    if (options->prefix.size > 0)
        TRY(range_of_prefix(range, view_bytes(options->prefix), prefix_scratch));
    if (options->after.size > 0)
        TRY(range_after(range, view_bytes(options->after), options->reverse != 0, after_scratch));
    range->empty |= range->end.length > 0 && bytes_compare(range->first, range->end) >= 0;
    return STRATA_OK;
}

/* ---- scans ---- */

void kv_scan_init(struct kv_scan *scan, struct kv_context *context)
{
    const strata_allocator *allocator = context->storage->store->memory_allocator;
    *scan = (struct kv_scan){.context = context};
    kv_page_init(&scan->page, allocator);
    storage_scan_init(&scan->scan, context->storage);
    buffer_init(&scan->target, allocator);
    buffer_init(&scan->scratch, allocator);
}

strata_status kv_scan_open(struct kv_scan *scan, const struct storage_space *space,
                           const strata_scan_options *options)
{
    struct kv_context *context = scan->context;
    struct key_range range = {.empty = false};
    scan->keys_only = scan->reverse = false;
    scan->limit = UINT64_MAX;
    if (options != NULL) {
        scan->keys_only = options->keys_only != 0;
        scan->reverse = options->reverse != 0;
        scan->limit = options->limit > 0 ? options->limit : UINT64_MAX;
        TRY(range_set(&range, options, &scan->scratch, &scan->target));
    }
    scan->empty = range.empty;
    scan->done = scan->sought = scan->ended = false;
    scan->count = 0;
    kv_page_open(&scan->page, context, scan->limit);
    TRY(kv_look(context));
    return storage_scan_open(
        &scan->scan, context->reader,
        &(struct storage_scan_options){.view = context->view,
                                       .space = space,
                                       .kind = KIND_KV,
                                       .bounds = {.first = range.first, .end = range.end},
                                       .reverse = scan->reverse});
}

/* Inside. To the next row, or to the one that was sought. */
static inline strata_status scan_advance(struct kv_scan *scan)
{
    if (!scan->sought)
        return storage_scan_next(&scan->scan);
    scan->sought = false;
    const struct bytes target = buffer_view(&scan->target);
    return storage_scan_seek(&scan->scan, target.length > 0 ? target : bytes_of(NULL, 0), false);
}

/* Inside. */
static inline strata_status scan_add_row(struct kv_scan *scan)
{
    struct kv_context *context = scan->context;
    struct row *row = scan->scan.row;
    struct kv_sum sum;
    if (row->from == 0 && !scan->keys_only)
        TRY(kv_add_up(context->reader, &scan->scan.view, scan->scan.space, row->key, &sum, row));
    TRY(storage_scan_reserve(&scan->scan, row->key.length));
    return kv_page_add(&scan->page, context, row, !scan->keys_only);
}

/* Inside. Adds rows that can be had at once; `*count`: how many. */
static inline strata_status scan_add_leaf_rows(struct kv_scan *scan, uint32_t *count)
{
    struct kv_page *page = &scan->page;
    struct part_rows rows;
    struct bytes prefix = {.data = NULL};
    const uint64_t left = scan->limit - scan->count;
    const uint32_t room = page->rows_most - page->count;
    storage_scan_rows(&scan->scan, left < room ? (uint32_t)left : room, &rows, &prefix);
    *count = rows.count;
    if (rows.count == 0)
        return STRATA_OK;
    TRY(storage_scan_reserve(&scan->scan, prefix.length + rows.rows[rows.count - 1].suffix_size));
    TRY(kv_page_add_rows(page, prefix, &rows, !scan->keys_only));
    scan->count += rows.count;
    return STRATA_OK;
}

/* Inside, behind at least one row of the page, on which the scan stands. A row that cannot be had, or
 * shown, ends the page: its failure is for the call that asks for it. */
static void scan_add_rows(struct kv_scan *scan)
{
    struct kv_page *page = &scan->page;
    while (scan->count < scan->limit && !kv_page_full(page)) {
        uint32_t added;
        if (scan_add_leaf_rows(scan, &added) != STRATA_OK) {
            storage_scan_go_back(&scan->scan, kv_page_last_key(page));
            return;
        }
        if (added > 0)
            continue;
        if (storage_scan_step(&scan->scan) != STRATA_OK)
            break;
        if (!scan->scan.valid) {
            scan->ended = true;
            break;
        }
        if (scan_add_row(scan) != STRATA_OK) {
            storage_scan_go_back(&scan->scan, kv_page_last_key(page));
            return;
        }
        scan->count++;
    }
    storage_scan_note(&scan->scan, kv_page_last_key(page));
}

/* Inside. Fills the page, which is empty. A row that cannot be shown is passed over. */
static strata_status scan_fill(struct kv_scan *scan)
{
    struct kv_page *page = &scan->page;
    TRY(scan_advance(scan));
    if (!scan->scan.valid) {
        scan->ended = true;
        return STRATA_OK;
    }
    scan->count++;
    TRY(scan_add_row(scan));
    scan_add_rows(scan);
    if (page->rows_most < KV_PAGE_ROWS_MAX)
        page->rows_most *= 2;
    return STRATA_OK;
}

strata_status kv_scan_turn(struct kv_scan *scan)
{
    struct store_reader *reader = scan->context->reader;
    kv_page_clear(&scan->page);
    scan->done = scan->done || scan->ended || scan->empty || scan->count >= scan->limit;
    if (scan->done)
        return STRATA_OK;
    storage_enter(reader);
    const strata_status status = scan_fill(scan);
    storage_leave(reader);
    scan->done = status == STRATA_OK && scan->page.count == 0;
    return status;
}

bool kv_scan_present(const struct kv_scan *scan, strata_row *out)
{
    if (scan->page.next == 0)
        return false;
    kv_page_show(&scan->page, scan->page.next - 1, out);
    return true;
}

strata_status kv_scan_seek(struct kv_scan *scan, struct bytes key)
{
    const struct bytes first = buffer_view(&scan->scan.first);
    const struct bytes end = buffer_view(&scan->scan.end);
    const bool below = bytes_compare(key, first) < 0;
    const bool above = end.length > 0 && bytes_compare(key, end) >= 0;
    kv_page_clear(&scan->page);
    /* A key outside the bounds means the start, or that nothing is left. */
    const bool start = scan->reverse ? above : below;
    TRY(buffer_set(&scan->target, start ? bytes_of(NULL, 0) : key));
    scan->sought = true;
    scan->done = scan->reverse ? below : above;
    scan->ended = false;
    scan->count = 0;
    return STRATA_OK;
}

void kv_scan_close(struct kv_scan *scan)
{
    storage_scan_close(&scan->scan);
    kv_page_clear(&scan->page);
}

void kv_scan_release(struct kv_scan *scan)
{
    kv_scan_close(scan);
    storage_scan_release(&scan->scan);
    kv_page_release(&scan->page);
    buffer_release(&scan->target);
    buffer_release(&scan->scratch);
}

/* Inside, for a while. */
static strata_status scan_count_some(struct kv_scan *scan)
{
    struct storage_scan *rows = &scan->scan;
    TRY(scan_advance(scan));
    for (unsigned i = 1; rows->valid; i++) {
        scan->done = ++scan->count >= scan->limit;
        TRY(storage_scan_reserve(rows, rows->row->key.length));
        if (scan->done || i == ROWS_PER_STAY) {
            storage_scan_note(rows, rows->row->key);
            return STRATA_OK;
        }
        TRY(storage_scan_step(rows));
    }
    scan->done = true;
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
    TRY(kv_look(context));
    *out = (struct kv_history){.context = context, .space = space, .view = context->view};
    TRY(storage_history_open(context->reader, context->storage, &context->view, space, KIND_KV, key,
                             &out->history));
    shown_init(&out->shown, &context->storage->store->memory.allocator);
    return STRATA_OK;
}

/* Inside. */
static strata_status history_show(struct kv_history *history, strata_row *out)
{
    struct kv_context *context = history->context;
    const struct bytes key = buffer_view(&history->history.key);
    struct row row = history->history.row.row;
    struct kv_sum sum;
    TRY(kv_add_up(context->reader, &history->view, history->space, key, &sum, &row));
    return shown_copy(&history->shown, context, key, &row, true, out);
}

strata_status kv_history_next(struct kv_history *history, strata_row *out)
{
    struct store_reader *reader = history->context->reader;
    shown_forget(&history->shown);
    if (history->done)
        return STRATA_OK;
    storage_enter(reader);
    strata_status status = storage_history_next(&history->history);
    if (status == STRATA_OK && history->history.row.found)
        status = history_show(history, out);
    else if (status == STRATA_OK)
        history->done = true;
    storage_leave(reader);
    return status;
}

bool kv_history_present(const struct kv_history *history, strata_row *out)
{
    if (history->shown.present)
        *out = history->shown.row;
    return history->shown.present;
}

void kv_history_close(struct kv_history *history)
{
    storage_history_close(&history->history);
    buffer_release(&history->shown.value);
    history->shown.present = false;
}
