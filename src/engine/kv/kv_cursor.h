/* Rows one after another: of a range of keys, or of one key's history. Between calls a cursor holds
 * copies only. */
#ifndef STRATA_ENGINE_KV_KV_CURSOR_H
#define STRATA_ENGINE_KV_KV_CURSOR_H

#include "engine/kv/kv_page.h"

/* The version of a history that is shown. */
struct kv_shown {
    struct buffer value; /* A copy. */
    strata_row row;      /* Points into it, and to the key that whoever shows it has copied. */
    bool present;
};

struct kv_scan {
    struct kv_context *context;
    bool keys_only;
    bool reverse;
    bool empty;     /* The bounds leave nothing. */
    bool done;      /* Until a seek. */
    bool sought;    /* `target` is where the next row is looked for. */
    bool ended;     /* There is nothing behind the rows of the page. */
    uint64_t limit; /* UINT64_MAX: none. */
    uint64_t count; /* Rows since the start or the last seek, those of the page included. */
    struct kv_page page;
    struct storage_scan scan;
    struct buffer target; /* And, while it is opened, scratch for bounds. */
    struct buffer scratch;
};

/* To be opened and closed any number of times: it keeps memory for the next. */
void kv_scan_init(struct kv_scan *scan, struct kv_context *context);

/* Sees what `context` sees now. Options may be NULL. */
STRATA_CHECKED strata_status kv_scan_open(struct kv_scan *scan, const struct storage_space *space,
                                          const strata_scan_options *options);

/* Fills the page, which has been shown. STRATA_TOO_BIG passes a row over. */
STRATA_CHECKED strata_status kv_scan_turn(struct kv_scan *scan);

/* Shows the next row; `*shown` false: there is none, and `out` is as it was. Fails as kv_scan_turn. */
STRATA_CHECKED static inline strata_status kv_scan_next(struct kv_scan *scan, bool *shown,
                                                        strata_row *out)
{
    struct kv_page *page = &scan->page;
    if (page->next == page->count)
        TRY(kv_scan_turn(scan));
    *shown = page->next < page->count;
    if (*shown)
        kv_page_show(page, page->next++, out);
    return STRATA_OK;
}

/* The row shown last, until the next call; false: there is none. */
bool kv_scan_present(const struct kv_scan *scan, strata_row *out);

/* As strata_cursor_seek. */
STRATA_CHECKED strata_status kv_scan_seek(struct kv_scan *scan, struct bytes key);
void kv_scan_close(struct kv_scan *scan);
void kv_scan_release(struct kv_scan *scan);

/* How many rows there are still to come, up to the limit. */
STRATA_CHECKED strata_status kv_scan_count(struct kv_scan *scan, uint64_t *out);

struct kv_history {
    struct kv_context *context;
    const struct storage_space *space;
    struct storage_view view; /* As of the opening, for sums. */
    struct storage_history history;
    bool done;
    struct kv_shown shown;
};

STRATA_CHECKED strata_status kv_history_open(struct kv_context *context,
                                             const struct storage_space *space, struct bytes key,
                                             struct kv_history *out);

/* The next version is `shown.row`, and in `out`; `shown.present` false: there is none, and `out` is as
 * it was. STRATA_TOO_BIG passes it over. */
STRATA_CHECKED strata_status kv_history_next(struct kv_history *history, strata_row *out);

/* As kv_scan_present. */
bool kv_history_present(const struct kv_history *history, strata_row *out);
void kv_history_close(struct kv_history *history);

#endif
