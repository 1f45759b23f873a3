#include "engine/kv/kv_page.h"

#include <assert.h>

/* What is kept for the next page; where values begin; what held values are divided by. */
enum { PAGE_BYTES_KEPT = 2 * KV_PAGE_BYTES, PAGE_ALIGNMENT = 8, PAGE_HELD_SHARE = 32 };

/* What may lie behind the last row's key. */
enum { PAGE_COPY_SPARE = 32 };

void kv_page_init(struct kv_page *page, const strata_allocator *allocator)
{
    buffer_init(&page->bytes, allocator);
    page->count = page->next = page->pin_count = 0;
}

void kv_page_open(struct kv_page *page, const struct kv_context *context, uint64_t limit)
{
    const uint64_t share = held_value_size_max(context->holds) / PAGE_HELD_SHARE;
    page->bytes_most = share < KV_PAGE_BYTES ? (size_t)share : KV_PAGE_BYTES;
    page->rows_most = limit == UINT64_MAX        ? KV_PAGE_ROWS_FIRST
                      : limit < KV_PAGE_ROWS_MAX ? (uint32_t)limit
                                                 : KV_PAGE_ROWS_MAX;
    page->cache = &context->storage->store->cache;
    kv_page_clear(page);
}

static void page_unpin(struct kv_page *page)
{
    while (page->pin_count > 0)
        cache_unpin(page->cache, page->pins[--page->pin_count]);
}

void kv_page_clear(struct kv_page *page)
{
    page_unpin(page);
    page->count = page->next = 0;
    buffer_truncate(&page->bytes, 0);
    if (page->bytes.capacity > PAGE_BYTES_KEPT)
        buffer_release(&page->bytes);
}

void kv_page_release(struct kv_page *page)
{
    page_unpin(page);
    buffer_release(&page->bytes);
    page->count = page->next = 0;
}

/* Where a value may begin at or behind `at`. */
static inline size_t page_aligned(size_t at)
{
    return (at + PAGE_ALIGNMENT - 1) & ~(size_t)(PAGE_ALIGNMENT - 1);
}

/* Makes the bytes reach to `end`, and room for one more: an empty value is not absent. */
static inline strata_status page_reach(struct kv_page *page, size_t end)
{
    return end < page->bytes.capacity ? STRATA_OK
                                      : buffer_reserve(&page->bytes, end + 1 - page->bytes.length);
}

/* Inside. Puts the value of a row, which lies in an object, to `at`. */
static strata_status page_read_value(struct kv_page *page, const struct kv_context *context,
                                     const struct row *row, size_t at, size_t *size_out)
{
    const uint64_t size = storage_value_size(row);
    if (size > INLINE_VALUE_SIZE_MAX && size > held_value_size_max(context->holds))
        return failure(STRATA_TOO_BIG,
                       "a value of %llu bytes cannot be shown: scan keys only and read it in "
                       "pieces with strata_kv_copy",
                       (unsigned long long)size);
    *size_out = (size_t)size;
    TRY(page_reach(page, at + (size_t)size));
    return storage_value_read(context->reader, row, 0, page->bytes.data + at, (size_t)size);
}

strata_status kv_page_add(struct kv_page *page, struct kv_context *context, const struct row *row,
                          bool with_value)
{
    assert(page->count < KV_PAGE_ROWS_MAX);
    struct kv_page_row *to = &page->rows[page->count];
    const struct bytes key = row->key;
    const size_t at = page->bytes.length;
    const size_t value = page_aligned(at + key.length);
    size_t value_size = with_value ? row->value.length : 0;
    if (with_value && row->kind == ROW_VALUE_REFERENCE) {
        TRY(page_read_value(page, context, row, value, &value_size));
    } else {
        TRY(page_reach(page, value + value_size));
        if (value_size > 0)
            memcpy(page->bytes.data + value, row->value.data, value_size);
    }
    memcpy(page->bytes.data + at, key.data, key.length);
    page->bytes.length = value + value_size;
    to->key = (uint32_t)at;
    to->key_size = (uint32_t)key.length;
    to->copy = with_value ? (uint32_t)value : KV_PAGE_ABSENT;
    to->value = NULL;
    to->value_size = (uint32_t)value_size;
    to->version = row->from;
    to->time_us = row->time_us;
    to->expires_us = row->expires_us;
    to->flags = row_flags(row);
    page->count++;
    return STRATA_OK;
}

/* Copies a few bytes. Up to PAGE_COPY_SPARE, which may be written, no call is needed where as many can
 * be read. */
static inline void page_copy_key(uint8_t *to, const uint8_t *from, size_t size, bool readable)
{
    if (size <= PAGE_COPY_SPARE && readable) {
        memcpy(to, from, PAGE_COPY_SPARE / 2);
        memcpy(to + PAGE_COPY_SPARE / 2, from + PAGE_COPY_SPARE / 2, PAGE_COPY_SPARE / 2);
    } else if (size > 0) {
        memcpy(to, from, size);
    }
}

strata_status kv_page_add_rows(struct kv_page *page, struct bytes prefix,
                               const struct part_rows *rows, bool with_values)
{
    struct cached_frame *leaf = rows->leaf;
    const uint8_t *leaf_end = leaf->frame.bytes.data + leaf->frame.bytes.length;
    const size_t end = page->bytes.length + rows->count * prefix.length + rows->suffix_bytes;
    assert(rows->count <= KV_PAGE_ROWS_MAX - page->count);
    assert(page->pin_count < KV_PAGE_PINS_MAX);
    TRY(page_reach(page, end + PAGE_COPY_SPARE));
    if (with_values && (page->pin_count == 0 || page->pins[page->pin_count - 1] != leaf)) {
        cache_pin(page->cache, leaf);
        page->pins[page->pin_count++] = leaf;
    }
    struct kv_page_row *to = &page->rows[page->count];
    uint8_t *key = page->bytes.data + page->bytes.length;
    const bool prefix_readable = (size_t)(leaf_end - prefix.data) >= PAGE_COPY_SPARE;
    for (const struct part_row *row = rows->rows; row < rows->rows + rows->count; row++, to++) {
        page_copy_key(key, prefix.data, prefix.length, prefix_readable);
        page_copy_key(key + prefix.length, row->suffix, row->suffix_size,
                      (size_t)(leaf_end - row->suffix) >= PAGE_COPY_SPARE);
        to->key = (uint32_t)(key - page->bytes.data);
        to->key_size = (uint32_t)prefix.length + row->suffix_size;
        to->copy = KV_PAGE_ABSENT;
        to->value = with_values ? row->value : NULL;
        to->value_size = with_values ? row->value_size : 0;
        to->version = row->from;
        to->time_us = row->time_us;
        to->expires_us = 0;
        to->flags = 0;
        key += to->key_size;
    }
    page->bytes.length = end;
    page->count += rows->count;
    return STRATA_OK;
}
