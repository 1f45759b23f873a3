#include "engine/kv/kv_page.h"

#include <assert.h>

/* What is kept for the next page; where values begin; what held values are divided by. */
enum { PAGE_BYTES_KEPT = 2 * KV_PAGE_BYTES, PAGE_ALIGNMENT = 8, PAGE_HELD_SHARE = 32 };

void kv_page_init(struct kv_page *page, const strata_allocator *allocator)
{
    buffer_init(&page->bytes, allocator);
    page->count = page->next = 0;
}

void kv_page_open(struct kv_page *page, const struct kv_context *context)
{
    const uint64_t share = held_value_size_max(context->holds) / PAGE_HELD_SHARE;
    page->bytes_most = share < KV_PAGE_BYTES ? (size_t)share : KV_PAGE_BYTES;
    page->rows_most = KV_PAGE_ROWS_FIRST;
    kv_page_clear(page);
}

void kv_page_clear(struct kv_page *page)
{
    page->count = page->next = 0;
    buffer_truncate(&page->bytes, 0);
    if (page->bytes.capacity > PAGE_BYTES_KEPT)
        buffer_release(&page->bytes);
}

void kv_page_release(struct kv_page *page)
{
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
    to->value = with_value ? (uint32_t)value : KV_PAGE_ABSENT;
    to->value_size = (uint32_t)value_size;
    to->version = row->from;
    to->time_us = row->time_us;
    to->expires_us = row->expires_us;
    to->flags = row_flags(row);
    page->count++;
    return STRATA_OK;
}
