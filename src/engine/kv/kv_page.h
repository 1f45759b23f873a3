/* Rows that a scan has read in one go, and shows one by one, so that the scan stays in the epoch for many
 * rows and not for each. Keys are copies, and so are values, but for those of rows that come a leaf's
 * worth at a time: these stay where they lie, under a pin of the page. What a cursor sees is fixed
 * when it is opened, so rows may be read at any time before they are shown. */
#ifndef STRATA_ENGINE_KV_KV_PAGE_H
#define STRATA_ENGINE_KV_KV_PAGE_H

#include "engine/kv/kv.h"

/* A page begins with few rows, in case that no more are wanted, or with what the scan is limited to, and
 * doubles. It ends with the row that makes it KV_PAGE_BYTES, or a 32nd of what values may be held,
 * whichever is less, and where it would have to pin one leaf more. */
enum {
    KV_PAGE_ROWS_FIRST = 8,
    KV_PAGE_ROWS_MAX = PART_ROWS_MAX,
    KV_PAGE_BYTES = 8192,
    KV_PAGE_PINS_MAX = 4
};

/* What a row's parts are. Keys, and values without a place of their own, lie in the bytes of the page. */
struct kv_page_row {
    uint32_t key;
    uint32_t key_size;
    uint32_t copy; /* KV_PAGE_ABSENT: the value is not copied. */
    uint32_t value_size;
    const uint8_t *value; /* In a pinned leaf; NULL: copied, or not asked for. */
    uint64_t version;
    int64_t time_us;
    int64_t expires_us;
    uint32_t flags;
};

#define KV_PAGE_ABSENT UINT32_MAX

struct kv_page {
    struct buffer bytes;
    size_t bytes_most;
    uint32_t rows_most; /* Of the next filling. */
    uint32_t count;
    uint32_t next; /* The row to show next; the one before is shown. */
    uint32_t pin_count;
    struct cache *cache; /* Of the pins. */
    struct cached_frame *pins[KV_PAGE_PINS_MAX];
    struct kv_page_row rows[KV_PAGE_ROWS_MAX];
};

void kv_page_init(struct kv_page *page, const strata_allocator *allocator);

/* For a scan from its start, which shows at most `limit` rows. */
void kv_page_open(struct kv_page *page, const struct kv_context *context, uint64_t limit);

/* Forgets all rows, their pins, and memory that only long values need. */
void kv_page_clear(struct kv_page *page);
void kv_page_release(struct kv_page *page);

/* Copies a row with its user key; `with_value` its value too, wherever it lies. The page is not full.
 * Inside. STRATA_TOO_BIG if the value is too long to be shown; no failure changes the page. */
STRATA_CHECKED strata_status kv_page_add(struct kv_page *page, struct kv_context *context,
                                         const struct row *row, bool with_value);

/* Adds rows of one leaf, whose keys begin with `prefix`, at most as many as the page lacks; whether it
 * has values or not. Inside. No failure changes the page. */
STRATA_CHECKED strata_status kv_page_add_rows(struct kv_page *page, struct bytes prefix,
                                              const struct part_rows *rows, bool with_values);

/* Whether there are as many rows, bytes or pins as there should be. */
static inline bool kv_page_full(const struct kv_page *page)
{
    return page->count >= page->rows_most || page->bytes.length >= page->bytes_most ||
           page->pin_count == KV_PAGE_PINS_MAX;
}

/* The key of the row added last. */
static inline struct bytes kv_page_last_key(const struct kv_page *page)
{
    const struct kv_page_row *row = &page->rows[page->count - 1];
    return bytes_of(page->bytes.data + row->key, row->key_size);
}

/* Row `index` as the caller gets it: it points into the page. */
static inline void kv_page_show(const struct kv_page *page, uint32_t index, strata_row *out)
{
    const struct kv_page_row *row = &page->rows[index];
    out->key.data = page->bytes.data + row->key;
    out->key.size = row->key_size;
    out->value.data = row->copy == KV_PAGE_ABSENT ? row->value : page->bytes.data + row->copy;
    out->value.size = row->value_size;
    out->version = row->version;
    out->time_us = row->time_us;
    out->expires_us = row->expires_us;
    out->flags = row->flags;
    out->reserved = 0;
}

#endif
