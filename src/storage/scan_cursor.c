#include "storage/storage_inner.h"

#include <assert.h>

enum { SCAN_LEVELS_FIRST = 4 };

void storage_scan_init(struct storage_scan *scan, const struct storage *storage)
{
    const strata_allocator *allocator = storage->store->memory_allocator;
    *scan = (struct storage_scan){.reader = NULL};
    buffer_init(&scan->position, allocator);
    buffer_init(&scan->first, allocator);
    buffer_init(&scan->end, allocator);
    scan_init(&scan->scan, allocator);
}

strata_status storage_scan_open(struct storage_scan *scan, struct store_reader *reader,
                                const struct storage_scan_options *options)
{
    static const uint8_t least = 0;
    const uint32_t number = atomic_load_explicit(&options->space->number, memory_order_acquire);
    const struct bytes first = options->bounds.first;
    assert(!scan->open);
    /* Not the empty key: that one is ours. */
    TRY(buffer_set(&scan->first, first.length > 0 ? first : bytes_of(&least, 1)));
    TRY(buffer_set(&scan->end, options->bounds.end));
    scan->reader = reader;
    scan->view = options->view;
    scan->space = options->space;
    scan->storage_space = number == 0 ? 0 : storage_space(number, options->kind);
    scan->reverse = options->reverse;
    scan->positioned = false;
    scan->valid = false;
    scan->own = scan->view.writes == NULL ? NULL : scan->view.writes->memtable;
    scan->own_floor = storage_own_floor(&scan->view, scan->storage_space);
    return STRATA_OK;
}

static strata_status cursor_add_level(struct storage_scan *scan, const struct level *level)
{
    const strata_allocator *allocator = scan->first.allocator;
    const uint32_t capacity = scan->level_capacity;
    if (scan->level_count == capacity) {
        const uint32_t grown = capacity == 0 ? SCAN_LEVELS_FIRST : 2 * capacity;
        struct level *levels = allocate(allocator, grown * sizeof(*levels));
        if (levels == NULL)
            return failure(STRATA_NO_MEMORY, "no memory for a scan over %u branches", grown);
        if (capacity > 0)
            memcpy(levels, scan->levels, capacity * sizeof(*levels));
        release(allocator, scan->levels, capacity * sizeof(*levels));
        scan->levels = levels;
        scan->level_capacity = grown;
    }
    scan->levels[scan->level_count++] = *level;
    return STRATA_OK;
}

/* The branches that have something to show. */
static strata_status cursor_walk_levels(struct storage_scan *scan)
{
    const bool deletions = atomic_load(&scan->space->deletions);
    struct lineage at = lineage_start(scan->view.branch, scan->view.version);
    if (scan->own_floor > 0)
        at.cap = 0; /* Nothing but own writes. */
    for (; at.branch != NULL && (at.cap > 0 || scan->level_count == 0); lineage_up(&at)) {
        struct level level = {.branch = at.branch->id, .cap = at.cap};
        if (deletions && at.cap > 0)
            TRY(storage_floor(scan->reader->store, level.branch, scan->storage_space, at.cap,
                              &level.floor));
        TRY(cursor_add_level(scan, &level));
        if (level.floor > 0)
            break;
    }
    return STRATA_OK;
}

/* The same by the short way. */
static strata_status cursor_copy_levels(struct storage_scan *scan, const struct fork_view *fork)
{
    const struct level own = {.branch = scan->view.branch->id,
                              .cap = scan->view.version,
                              .passed_over = fork->own == NULL ? 0 : LEVEL_RUNS};
    TRY(cursor_add_level(scan, &own));
    for (uint32_t i = 0; i < fork->inherited->level_count; i++)
        TRY(cursor_add_level(scan, &fork->inherited->levels[i]));
    return STRATA_OK;
}

static void cursor_let_go(struct storage_scan *scan)
{
    if (scan->open)
        scan_close(&scan->scan);
    scan->open = false;
}

/* Makes it read `set`. */
static strata_status cursor_read(struct storage_scan *scan, const struct tableset *set)
{
    struct store *store = scan->reader->store;
    const struct fork_view *fork = NULL;
    cursor_let_go(scan);
    if (scan->own_floor == 0)
        fork = storage_fork_view(store, set, &scan->view, scan->space, scan->storage_space,
                                 FORK_VIEW_SCAN);
    scan->level_count = 0;
    TRY(fork == NULL ? cursor_walk_levels(scan) : cursor_copy_levels(scan, fork));
    struct scan_options options = {
        .set = set,
        .levels = scan->levels,
        .level_count = scan->level_count,
        .space = scan->storage_space,
        .reverse = scan->reverse,
        .bounds = {.first = buffer_view(&scan->first), .end = buffer_view(&scan->end)},
        .extra = scan->own,
        .extra_cap = scan->view.own_cap,
        .extra_floor = scan->own_floor,
    };
    if (fork != NULL) {
        options.overlays[0] = fork->own;
        options.overlays[1] = fork->inherited->overlay;
    }
    scan->open = true;
    scan->generation = set->generation;
    scan->fork_serial = fork == NULL ? 0 : fork->serial;
    return scan_open(&scan->scan, &options);
}

/* Makes it read the present tables; `*fresh` if it has to be placed anew. */
static inline strata_status cursor_refresh(struct storage_scan *scan, bool *fresh)
{
    const struct tableset *set = storage_tables(scan->reader->store);
    *fresh = !scan->open || set->generation != scan->generation ||
             (scan->fork_serial != 0 &&
              !fork_view_stays(scan->view.branch, scan->storage_space, scan->fork_serial));
    return *fresh ? cursor_read(scan, set) : STRATA_OK;
}

/* From where the scan stands to the first live row. */
static inline strata_status cursor_settle(struct storage_scan *scan)
{
    struct row *row = &scan->scan.row;
    while (scan->scan.valid) {
        if (row_is_live(row, scan->view.time_us)) {
            if (row->from >= OWN_VERSION_BASE)
                row->from = 0;
            scan->row = row;
            scan->valid = true;
            return STRATA_OK;
        }
        TRY(scan_next(&scan->scan));
    }
    return STRATA_OK;
}

/* After a failure it starts over at its position. */
static inline strata_status cursor_end_move(struct storage_scan *scan, strata_status status)
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

strata_status storage_scan_reserve(struct storage_scan *scan, size_t size)
{
    return size <= scan->position.capacity ? STRATA_OK : buffer_reserve(&scan->position, size);
}

void storage_scan_note(struct storage_scan *scan, struct bytes key)
{
    assert(key.length > 0);
    assert(key.length <= scan->position.capacity);
    memcpy(scan->position.data, key.data, key.length);
    scan->position.length = key.length;
    scan->positioned = true;
}

static strata_status cursor_note(struct storage_scan *scan, struct bytes key)
{
    TRY(storage_scan_reserve(scan, key.length));
    storage_scan_note(scan, key);
    return STRATA_OK;
}

strata_status storage_scan_seek(struct storage_scan *scan, struct bytes key, bool past)
{
    scan->valid = false;
    scan->positioned = false;
    if (scan->storage_space == 0)
        return STRATA_OK;
    TRY(cursor_end_move(scan, cursor_seek(scan, key, past)));
    if (scan->valid)
        return cursor_end_move(scan, cursor_note(scan, scan->row->key));
    /* There is nothing from here on, and that is how it stays. */
    return key.data != NULL ? cursor_note(scan, key) : STRATA_OK;
}

static inline strata_status cursor_next(struct storage_scan *scan)
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
    TRY(cursor_end_move(scan, cursor_next(scan)));
    return scan->valid ? cursor_end_move(scan, cursor_note(scan, scan->row->key)) : STRATA_OK;
}

static inline strata_status cursor_step(struct storage_scan *scan)
{
    scan->valid = false;
    TRY(scan_next(&scan->scan));
    return cursor_settle(scan);
}

strata_status storage_scan_step(struct storage_scan *scan)
{
    assert(scan->valid);
    assert(scan->open);
    return cursor_end_move(scan, cursor_step(scan));
}

void storage_scan_rows(struct storage_scan *scan, uint32_t most, struct part_rows *out,
                       struct bytes *prefix)
{
    assert(scan->valid);
    assert(scan->open);
    scan_next_rows(&scan->scan, most, out);
    if (out->count > 0)
        *prefix = bytes_after(out->leaf->frame.prefix, KEY_PREFIX_SIZE);
}

void storage_scan_go_back(struct storage_scan *scan, struct bytes key)
{
    scan->valid = false;
    storage_scan_note(scan, key);
}

void storage_scan_close(struct storage_scan *scan)
{
    cursor_let_go(scan);
    scan->valid = false;
    scan->reader = NULL;
}

void storage_scan_release(struct storage_scan *scan)
{
    const strata_allocator *allocator = scan->first.allocator;
    if (allocator == NULL)
        return;
    storage_scan_close(scan);
    scan_release(&scan->scan);
    release(allocator, scan->levels, scan->level_capacity * sizeof(*scan->levels));
    buffer_release(&scan->position);
    buffer_release(&scan->first);
    buffer_release(&scan->end);
    *scan = (struct storage_scan){.reader = NULL};
}
