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

/* Inside. The value goes behind the bytes that are there; `*size` is its size. */
static strata_status page_add_value(struct kv_page *page, struct kv_context *context,
                                    const struct row *row, size_t at, size_t *size_out)
{
    const uint64_t size = storage_value_size(row);
    if (size > INLINE_VALUE_SIZE_MAX && size > held_value_size_max(context->holds))
        return failure(STRATA_TOO_BIG,
                       "a value of %llu bytes cannot be shown: scan keys only and read it in "
                       "pieces with strata_kv_copy",
                       (unsigned long long)size);
    /* One byte more: an empty value is not absent. */
    if (at + (size_t)size >= page->bytes.capacity)
        TRY(buffer_reserve(&page->bytes, at + (size_t)size + 1 - page->bytes.length));
    uint8_t *to = page->bytes.data + at;
    if (row->kind == ROW_VALUE_REFERENCE)
        TRY(storage_value_read(context->reader, row, 0, to, (size_t)size));
    else
        memcpy(to, row->value.data, (size_t)size);
    *size_out = (size_t)size;
    return STRATA_OK;
}

strata_status kv_page_add(struct kv_page *page, struct kv_context *context, const struct row *row,
                          bool with_value)
{
    assert(page->count < KV_PAGE_ROWS_MAX);
    struct kv_page_row *to = &page->rows[page->count];
    const size_t key = page->bytes.length;
    const size_t key_end = key + row->key.length;
    size_t value = page_aligned(key_end), value_size = 0, end = key_end;
    if (with_value) {
        TRY(page_add_value(page, context, row, value, &value_size));
        end = value + value_size;
    } else if (key_end > page->bytes.capacity) {
        TRY(buffer_reserve(&page->bytes, row->key.length));
    }
    memcpy(page->bytes.data + key, row->key.data, row->key.length);
    page->bytes.length = end;
    to->key = (uint32_t)key;
    to->key_size = (uint32_t)row->key.length;
    to->value = with_value ? (uint32_t)value : KV_PAGE_ABSENT;
    to->value_size = (uint32_t)value_size;
    to->version = row->from;
    to->time_us = row->time_us;
    to->expires_us = row->expires_us;
    to->flags = row_flags(row);
    page->count++;
    return STRATA_OK;
}
