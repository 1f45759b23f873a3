#include "storage/storage_inner.h"

#include <assert.h>

static uint32_t lineage_depth(const struct branch *branch)
{
    uint32_t depth = 0;
    for (; branch != NULL; branch = branch->parent)
        depth++;
    return depth;
}

static strata_status cursor_copy_bounds(struct storage_scan *scan, struct scan_bounds bounds)
{
    /* Not the empty key: that one is ours. */
    if (bounds.first.length == 0)
        TRY(buffer_append_u8(&scan->first, 0));
    else
        TRY(buffer_append(&scan->first, bounds.first));
    return buffer_append(&scan->end, bounds.end);
}

strata_status storage_scan_open(struct store_reader *reader, struct storage *storage,
                                const struct storage_view *view, const struct storage_space *space,
                                unsigned kind, struct scan_bounds bounds, bool reverse,
                                struct storage_scan *out)
{
    const strata_allocator *allocator = storage->store->memory_allocator;
    const uint32_t number = atomic_load(&space->number);
    *out = (struct storage_scan){.reader = reader,
                                 .view = *view,
                                 .space = space,
                                 .storage_space = number == 0 ? 0 : storage_space(number, kind),
                                 .reverse = reverse};
    buffer_init(&out->first, allocator);
    buffer_init(&out->end, allocator);
    buffer_init(&out->position, allocator);
    branch_again(&storage->store->branches, view->branch);
    if (view->writes != NULL)
        out->own = view->writes->memtable;
    out->own_floor = storage_own_floor(view, out->storage_space);
    out->level_capacity = lineage_depth(view->branch);
    strata_status status = cursor_copy_bounds(out, bounds);
    if (status == STRATA_OK) {
        out->levels = allocate(allocator, out->level_capacity * sizeof(*out->levels));
        if (out->levels == NULL)
            status = failure(STRATA_NO_MEMORY, "no memory for a scan over %u branches",
                             out->level_capacity);
    }
    if (status != STRATA_OK)
        storage_scan_close(out, storage);
    return status;
}

/* The branches that have something to show. */
static strata_status cursor_find_levels(struct storage_scan *scan)
{
    const bool deletions = atomic_load(&scan->space->deletions);
    struct lineage at = lineage_start(scan->view.branch, scan->view.version);
    uint32_t count = 0;
    if (scan->own_floor > 0)
        at.cap = 0; /* Nothing but own writes. */
    for (; at.branch != NULL && (at.cap > 0 || count == 0); lineage_up(&at)) {
        struct level *level = &scan->levels[count];
        assert(count < scan->level_capacity);
        *level = (struct level){.branch = at.branch->id, .cap = at.cap};
        if (deletions && at.cap > 0)
            TRY(storage_floor(scan->reader->store, level->branch, scan->storage_space, at.cap,
                              &level->floor));
        count++;
        if (level->floor > 0)
            break;
    }
    scan->level_count = count;
    return STRATA_OK;
}

static void cursor_let_go(struct storage_scan *scan)
{
    if (scan->open)
        scan_release(&scan->scan);
    scan->open = false;
}

/* Makes it read the present tables; `*fresh` if it has to be placed anew. */
static strata_status cursor_refresh(struct storage_scan *scan, bool *fresh)
{
    const struct tableset *set = storage_tables(scan->reader->store);
    *fresh = !scan->open || set->generation != scan->generation;
    if (!*fresh)
        return STRATA_OK;
    cursor_let_go(scan);
    if (scan->level_count == 0)
        TRY(cursor_find_levels(scan));
    const struct scan_options options = {
        .set = set,
        .levels = scan->levels,
        .level_count = scan->level_count,
        .space = scan->storage_space,
        .reverse = scan->reverse,
        .bounds = {.first = buffer_view(&scan->first), .end = buffer_view(&scan->end)},
        .extra = scan->own,
        .extra_cap = scan->view.own_cap,
    };
    scan->open = true;
    scan->generation = set->generation;
    return scan_open(&scan->scan, scan->reader->store->memory_allocator, &options);
}

/* From where the scan stands to the first live row. */
static strata_status cursor_settle(struct storage_scan *scan)
{
    const struct row *row = &scan->scan.row;
    while (scan->scan.valid) {
        const bool own = row->from >= OWN_VERSION_BASE;
        if (row_is_live(row, scan->view.time_us) && (!own || row->from >= scan->own_floor)) {
            buffer_truncate(&scan->position, 0);
            TRY(buffer_append(&scan->position, row->key));
            scan->positioned = true;
            scan->row = *row;
            scan->row.from = own ? 0 : row->from;
            scan->valid = true;
            return STRATA_OK;
        }
        TRY(scan_next(&scan->scan));
    }
    return STRATA_OK;
}

/* After a failure it starts over at its position. */
static strata_status cursor_end_move(struct storage_scan *scan, strata_status status)
{
    if (status != STRATA_OK) {
        scan->valid = false;
        cursor_let_go(scan);
    }
    return status;
}

static strata_status cursor_seek(struct storage_scan *scan, struct bytes key, bool past)
{
    bool fresh;
    TRY(cursor_refresh(scan, &fresh));
    TRY(scan_seek(&scan->scan, key, past));
    return cursor_settle(scan);
}

strata_status storage_scan_seek(struct storage_scan *scan, struct bytes key, bool past)
{
    scan->valid = false;
    scan->positioned = false;
    if (scan->storage_space == 0)
        return STRATA_OK;
    TRY(cursor_end_move(scan, cursor_seek(scan, key, past)));
    if (!scan->valid && key.data != NULL) {
        /* There is nothing from here on, and that is how it stays. */
        buffer_truncate(&scan->position, 0);
        TRY(buffer_append(&scan->position, key));
        scan->positioned = true;
    }
    return STRATA_OK;
}

static strata_status cursor_next(struct storage_scan *scan)
{
    bool fresh;
    const bool shown = scan->valid;
    scan->valid = false;
    TRY(cursor_refresh(scan, &fresh));
    if (!fresh && shown)
        TRY(scan_next(&scan->scan));
    else if (scan->positioned)
        TRY(scan_seek(&scan->scan, buffer_view(&scan->position), true));
    else
        TRY(scan_seek(&scan->scan, (struct bytes){0}, false));
    return cursor_settle(scan);
}

strata_status storage_scan_next(struct storage_scan *scan)
{
    if (scan->storage_space == 0)
        return STRATA_OK;
    return cursor_end_move(scan, cursor_next(scan));
}

void storage_scan_close(struct storage_scan *scan, struct storage *storage)
{
    if (scan->reader == NULL)
        return;
    cursor_let_go(scan);
    if (scan->levels != NULL)
        release(storage->store->memory_allocator, scan->levels,
                scan->level_capacity * sizeof(*scan->levels));
    buffer_release(&scan->first);
    buffer_release(&scan->end);
    buffer_release(&scan->position);
    branches_release(&storage->store->branches, scan->view.branch);
    *scan = (struct storage_scan){.reader = NULL};
}
