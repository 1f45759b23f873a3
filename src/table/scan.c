#include "table/scan.h"

#include "core/memory.h"

#include <assert.h>

/* ---- keys ---- */

static inline struct bytes user_key_of(const struct source *source)
{
    return bytes_after(source->row.key, KEY_PREFIX_SIZE);
}

/* As bytes_compare, of keys with the same head. A word at a time: keys are short. */
static inline int key_order_behind_head(struct bytes a, struct bytes b)
{
    size_t at = sizeof(uint64_t);
    const size_t shorter = a.length < b.length ? a.length : b.length;
    for (; at + sizeof(uint64_t) <= shorter; at += sizeof(uint64_t)) {
        const uint64_t word_a = load_ordered_u64(a.data + at);
        const uint64_t word_b = load_ordered_u64(b.data + at);
        if (word_a != word_b)
            return word_a < word_b ? -1 : 1;
    }
    if (at > shorter)
        at = 0;
    return bytes_compare(bytes_after(a, at), bytes_after(b, at));
}

/* By user key. */
static inline int scan_order(const struct scan_source *a, const struct scan_source *b)
{
    if (a->head != b->head)
        return a->head < b->head ? -1 : 1;
    return key_order_behind_head(user_key_of(&a->of.source), user_key_of(&b->of.source));
}

/* Of one key, the row that wins comes first. */
static inline bool scan_before(const struct scan_source *a, const struct scan_source *b)
{
    const int order = scan_order(a, b);
    return order != 0 ? order < 0 : a->rank > b->rank;
}

/* Puts (branch, space, user key), but for the prefix, together in scan->target. */
static strata_status scan_set_target(struct scan *scan, struct bytes key)
{
    uint8_t *to;
    buffer_truncate(&scan->target, 0);
    TRY(buffer_extend(&scan->target, KEY_PREFIX_SIZE + key.length, &to));
    if (key.length > 0)
        memcpy(to + KEY_PREFIX_SIZE, key.data, key.length);
    return STRATA_OK;
}

/* The target in the slice of a source. */
static struct bytes scan_target_of(struct scan *scan, const struct scan_source *self)
{
    assert(scan->target.length >= KEY_PREFIX_SIZE);
    memcpy(scan->target.data, self->prefix, KEY_PREFIX_SIZE);
    return buffer_view(&scan->target);
}

/* ---- sources ---- */

static struct scan_source *scan_add_source(struct scan *scan, const struct level *level)
{
    assert(scan->source_count < scan->source_capacity);
    struct scan_source *self = &scan->sources[scan->source_count++];
    key_prefix_store(self->prefix, level->branch, scan->space);
    self->cap = level->cap;
    self->floor = level->floor;
    self->at_key = false;
    self->gallops = false;
    return self;
}

static void scan_add_run(struct scan *scan, const struct level *level, struct run *run)
{
    struct scan_source *self = scan_add_source(scan, level);
    run_source_init(&self->of.run, run);
    self->gallops = true;
}

/* Whether the run may have a key of the slice inside the bounds, as far as its first key tells. */
static bool scan_meets_run(const struct scan *scan, const struct level *level,
                           const struct run *run)
{
    const struct bytes first = run->parts[0]->info.first_key;
    uint8_t prefix[KEY_PREFIX_SIZE];
    key_prefix_store(prefix, level->branch, scan->space);
    if (first.length < KEY_PREFIX_SIZE)
        return true;
    const int order = memcmp(first.data, prefix, KEY_PREFIX_SIZE);
    if (order != 0 || scan->bounds.end.length == 0)
        return order <= 0;
    return bytes_compare(bytes_after(first, KEY_PREFIX_SIZE), scan->bounds.end) < 0;
}

/* Rows that ended are in history. Those still open there are deletions that hide nothing, and what
 * ended did so by the newest version that the run was made from. */
static bool scan_needs_history(const struct level *level, const struct run *run)
{
    return run->min_from <= level->cap && level->cap < run->max_to && level->cap < run->max_version;
}

/* The runs and memtables that can hold anything a level sees. */
static void scan_add_level(struct scan *scan, const struct tableset *set, const struct level *level)
{
    const bool memtables = (level->passed_over & LEVEL_MEMTABLES) == 0;
    for (uint32_t i = 0; memtables && i < set->memtable_count; i++) {
        if (set->memtables[i]->first_version <= level->cap)
            memtable_source_init(&scan_add_source(scan, level)->of.memtable, set->memtables[i]);
    }
    if ((level->passed_over & LEVEL_RUNS) != 0)
        return;
    for (uint32_t i = 0; i < set->live_count; i++) {
        struct run *run = set->live[i];
        if (run->min_from <= level->cap && scan_meets_run(scan, level, run))
            scan_add_run(scan, level, run);
    }
    for (uint32_t i = 0; i < set->history_count; i++) {
        struct run *run = set->history[i];
        if (scan_needs_history(level, run) && scan_meets_run(scan, level, run))
            scan_add_run(scan, level, run);
    }
}

static void scan_add_own(struct scan *scan, const struct scan_options *options)
{
    struct scan_source *self = scan_add_source(scan, &options->levels[0]);
    self->cap = options->extra_cap;
    self->floor = options->extra_floor;
    memtable_source_init(&self->of.memtable, options->extra);
}

static void scan_add_overlay(struct scan *scan, const struct overlay *overlay)
{
    const struct level level = {.branch = overlay->branch, .cap = UINT64_MAX};
    assert(overlay->space == scan->space);
    overlay_source_init(&scan_add_source(scan, &level)->of.overlay, overlay);
}

/* ---- life ---- */

void scan_init(struct scan *scan, const strata_allocator *allocator)
{
    *scan = (struct scan){.allocator = allocator};
    buffer_init(&scan->key, allocator);
    buffer_init(&scan->target, allocator);
}

/* The sources and, behind them, the heap. */
static size_t scan_sources_size(uint32_t capacity)
{
    return capacity * (sizeof(struct scan_source) + sizeof(struct scan_source *));
}

static strata_status scan_reserve(struct scan *scan, uint32_t capacity)
{
    if (capacity <= scan->source_capacity)
        return STRATA_OK;
    struct scan_source *sources = allocate(scan->allocator, scan_sources_size(capacity));
    if (sources == NULL)
        return failure(STRATA_NO_MEMORY, "no memory for a scan of %u sources", capacity);
    release(scan->allocator, scan->sources, scan_sources_size(scan->source_capacity));
    scan->sources = sources;
    scan->heap = (struct scan_source **)(sources + capacity);
    scan->source_capacity = capacity;
    return STRATA_OK;
}

strata_status scan_open(struct scan *scan, const struct scan_options *options)
{
    assert(options->level_count > 0);
    assert(scan->source_count == 0);
    const size_t each = tableset_source_count(options->set);
    if (options->level_count > (UINT32_MAX >> 8) / (each + 3))
        return failure(STRATA_TOO_BIG, "a scan over %u branches is too deep", options->level_count);
    TRY(scan_reserve(scan, (uint32_t)(each * options->level_count + 1 + SCAN_OVERLAYS)));
    scan->space = options->space;
    scan->reverse = options->reverse;
    scan->bounds = options->bounds;
    scan->end_head = options->bounds.end.length == 0 ? UINT64_MAX : bytes_head(options->bounds.end);
    scan->started = false;
    scan->valid = false;
    if (options->extra != NULL)
        scan_add_own(scan, options);
    for (uint32_t i = 0; i < options->level_count; i++)
        scan_add_level(scan, options->set, &options->levels[i]);
    for (unsigned i = 0; i < SCAN_OVERLAYS; i++) {
        if (options->overlays[i] != NULL && options->overlays[i]->row_count > 0)
            scan_add_overlay(scan, options->overlays[i]);
    }
    return STRATA_OK;
}

static void scan_let_go(struct scan *scan)
{
    for (uint32_t i = 0; i < scan->source_count; i++)
        source_release(&scan->sources[i].of.source);
    scan->heap_count = 0;
    scan->valid = false;
}

void scan_close(struct scan *scan)
{
    scan_let_go(scan);
    scan->source_count = 0;
}

void scan_release(struct scan *scan)
{
    if (scan->allocator == NULL)
        return;
    scan_close(scan);
    release(scan->allocator, scan->sources, scan_sources_size(scan->source_capacity));
    scan->sources = NULL;
    scan->source_capacity = 0;
    buffer_release(&scan->key);
    buffer_release(&scan->target);
}

/* ---- forward: the heap ---- */

static void scan_find_runner(struct scan *scan)
{
    scan->runner = scan->heap_count > 1;
    if (scan->heap_count > 2 && scan_before(scan->heap[2], scan->heap[1]))
        scan->runner = 2;
}

/* Puts what is at place `at` where it belongs below it. */
static void scan_sink(struct scan *scan, uint32_t at)
{
    struct scan_source *self = scan->heap[at];
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= scan->heap_count)
            break;
        if (child + 1 < scan->heap_count && scan_before(scan->heap[child + 1], scan->heap[child]))
            child++;
        if (!scan_before(scan->heap[child], self))
            break;
        scan->heap[at] = scan->heap[child];
        at = child;
    }
    scan->heap[at] = self;
}

static void scan_build_heap(struct scan *scan)
{
    for (uint32_t i = scan->heap_count / 2; i > 0; i--)
        scan_sink(scan, i - 1);
    scan_find_runner(scan);
}

/* What there is to know about the row that a source stands on now; false: it has left its slice or
 * the bounds, and has nothing more to give. */
static bool scan_note(const struct scan *scan, struct scan_source *self)
{
    const struct source *source = &self->of.source;
    const struct row *row = &source->row;
    if (!source->valid || row->key.length < KEY_PREFIX_SIZE ||
        memcmp(row->key.data, self->prefix, KEY_PREFIX_SIZE) != 0)
        return false;
    const struct bytes key = user_key_of(source);
    const uint64_t head = bytes_head(key);
    if (head >= scan->end_head && scan->bounds.end.length > 0 &&
        (head > scan->end_head || bytes_compare(key, scan->bounds.end) >= 0))
        return false;
    assert(row->from <= self->cap);
    const bool visible = row->from >= self->floor && (row->to == 0 || self->cap < row->to);
    self->head = head;
    self->rank = visible ? row->from : 0;
    return true;
}

/* A source that has come to its end gives its place in the heap to the last one. */
static void scan_drop(struct scan *scan, uint32_t at)
{
    assert(at < scan->heap_count);
    source_release(&scan->heap[at]->of.source);
    scan->heap_count--;
    scan->heap[at] = scan->heap[scan->heap_count];
    if (at < scan->heap_count)
        scan_sink(scan, at);
}

/* Moves heap[0] on; `*leads`: its key lies before all others. */
static inline strata_status scan_move(struct scan *scan, bool *leads)
{
    struct scan_source *self = scan->heap[0];
    *leads = false;
    TRY(source_next_visible(&self->of.source, self->cap));
    if (!scan_note(scan, self)) {
        scan_drop(scan, 0);
    } else if (scan->runner == 0 || scan_order(self, scan->heap[scan->runner]) < 0) {
        *leads = true;
        return STRATA_OK;
    } else {
        scan_sink(scan, 0);
    }
    scan_find_runner(scan);
    return STRATA_OK;
}

/* Moves all others off the key of heap[0]. */
static strata_status scan_move_ties(struct scan *scan)
{
    while (scan->runner != 0 && scan_order(scan->heap[0], scan->heap[scan->runner]) == 0) {
        struct scan_source *self = scan->heap[scan->runner];
        TRY(source_next_visible(&self->of.source, self->cap));
        if (scan_note(scan, self))
            scan_sink(scan, scan->runner);
        else
            scan_drop(scan, scan->runner);
        scan_find_runner(scan);
    }
    return STRATA_OK;
}

/* Sets heap[0] off: up to the next key of any other source, and the bounds, it needs no comparing. */
static void scan_set_bound(struct scan *scan)
{
    struct scan_source *self = scan->heap[0];
    struct bytes bound = scan->bounds.end;
    if (scan->runner != 0) {
        const struct bytes key = user_key_of(&scan->heap[scan->runner]->of.source);
        if (bound.length == 0 || bytes_compare(key, bound) < 0)
            bound = key;
    }
    part_source_set_bound(&self->of.run.part, KEY_PREFIX_SIZE, bound);
}

static inline void scan_take_row(struct scan *scan)
{
    const struct source *source = &scan->heap[0]->of.source;
    scan->row = source->row;
    scan->row.key = user_key_of(source);
    scan->valid = true;
    if (scan->heap[0]->gallops)
        scan_set_bound(scan);
}

/* To the next visible row, if heap[0] has it and comes to it at a gallop. */
static inline bool scan_gallop(struct scan *scan)
{
    struct scan_source *self = scan->heap[0];
    struct row *row = &scan->row;
    while (self->gallops && part_source_gallop(&self->of.run.part, self->cap, row)) {
        if (row->from < self->floor || (row->to != 0 && self->cap >= row->to))
            continue;
        row->key = bytes_after(row->key, KEY_PREFIX_SIZE);
        return true;
    }
    return false;
}

void scan_next_rows(struct scan *scan, uint32_t most, struct part_rows *out)
{
    assert(scan->valid);
    out->count = 0;
    if (!scan->reverse && scan->heap[0]->gallops)
        part_source_gallop_rows(&scan->heap[0]->of.run.part, scan->heap[0]->floor,
                                scan->heap[0]->cap, most, out);
}

/* From heap[0] to the first visible row. */
static strata_status scan_settle(struct scan *scan)
{
    scan->valid = false;
    while (scan->heap_count > 0) {
        if (scan->heap[0]->rank != 0) {
            TRY(scan_move_ties(scan));
            scan_take_row(scan);
            return STRATA_OK;
        }
        bool leads;
        TRY(scan_move(scan, &leads));
    }
    return STRATA_OK;
}

/* To the first row of a source at or past the target, which ends in `key`. */
static strata_status scan_place(struct scan *scan, struct scan_source *self, struct bytes key,
                                bool past)
{
    struct source *source = &self->of.source;
    TRY(source_seek_visible(source, scan_target_of(scan, self), self->cap));
    if (scan_note(scan, self)) {
        /* The empty key is the library's. */
        const struct bytes found = user_key_of(source);
        if (found.length == 0 || (past && bytes_equal(found, key)))
            TRY(source_next_visible(source, self->cap));
    }
    if (scan_note(scan, self))
        scan->heap[scan->heap_count++] = self;
    else
        source_release(source);
    return STRATA_OK;
}

/* Rows behind the first are fetched while a run is walked, but the first ones come at once. */
static void scan_fetch_rows(const struct scan *scan)
{
    if (scan->heap_count > 0 && scan->heap[0]->gallops)
        part_source_fetch_rows(&scan->heap[0]->of.run.part);
    if (scan->runner != 0 && scan->heap[scan->runner]->gallops)
        part_source_fetch_rows(&scan->heap[scan->runner]->of.run.part);
}

/* Has the sources go to the target step by step, in turn: memory that one waits for comes while the
 * others are at work. */
static void scan_look_ahead(struct scan *scan)
{
    for (uint32_t i = 0; i < scan->source_count; i++)
        scan->sources[i].looks_ahead = scan->sources[i].of.source.class->look_ahead != NULL;
    for (bool more = scan->source_count > 1; more;) {
        more = false;
        for (uint32_t i = 0; i < scan->source_count; i++) {
            struct scan_source *self = &scan->sources[i];
            if (self->looks_ahead)
                self->looks_ahead =
                    source_look_ahead(&self->of.source, scan_target_of(scan, self), self->cap);
            more = more || self->looks_ahead;
        }
    }
}

static strata_status scan_seek_forward(struct scan *scan, struct bytes key, bool past)
{
    if (key.data == NULL || bytes_compare(key, scan->bounds.first) < 0) {
        /* A key before the bounds means their beginning. */
        key = scan->bounds.first;
        past = false;
    }
    TRY(scan_set_target(scan, key));
    scan->heap_count = 0;
    scan_look_ahead(scan);
    for (uint32_t i = 0; i < scan->source_count; i++) {
        const strata_status status = scan_place(scan, &scan->sources[i], key, past);
        if (status != STRATA_OK) {
            scan_let_go(scan);
            return status;
        }
    }
    scan_build_heap(scan);
    scan_fetch_rows(scan);
    return scan_settle(scan);
}

/* ---- in reverse: every source stands on the oldest row of its key ---- */

static bool back_inside(const struct scan *scan, const struct scan_source *self)
{
    const struct source *source = &self->of.source;
    if (!source->valid ||
        !bytes_start_with(source->row.key, bytes_of(self->prefix, KEY_PREFIX_SIZE)))
        return false;
    const struct bytes key = user_key_of(source);
    return key.length > 0 && bytes_compare(key, scan->bounds.first) >= 0;
}

/* A source that has left its slice or the bounds has nothing more to give. */
static void back_confine(const struct scan *scan, struct scan_source *self)
{
    if (!back_inside(scan, self))
        self->of.source.valid = false;
}

/* Sources without rows in the slice and bounds are let go of. A seek backwards needs them again, so
 * this happens at the first seek of a scan only when it starts at its beginning. */
static void back_forget_empty(struct scan *scan)
{
    for (uint32_t i = 0; i < scan->source_count; i++) {
        if (!scan->sources[i].of.source.valid)
            source_release(&scan->sources[i].of.source);
    }
}

/* The next key, copied to scan->key; false if there is none. */
static strata_status back_pick_key(struct scan *scan, bool *found)
{
    const struct source *best = NULL;
    for (uint32_t i = 0; i < scan->source_count; i++) {
        const struct source *source = &scan->sources[i].of.source;
        if (source->valid &&
            (best == NULL || bytes_compare(user_key_of(source), user_key_of(best)) > 0))
            best = source;
    }
    *found = best != NULL;
    if (best == NULL)
        return STRATA_OK;
    buffer_truncate(&scan->key, 0);
    TRY(buffer_append(&scan->key, user_key_of(best)));
    return scan_set_target(scan, buffer_view(&scan->key));
}

/* Finds the winner of the picked key, which is the target, and leaves every source that has it on
 * the row that it sees. */
static strata_status back_pick_row(struct scan *scan, bool *found)
{
    const struct bytes key = buffer_view(&scan->key);
    const struct source *best = NULL;
    for (uint32_t i = 0; i < scan->source_count; i++) {
        struct scan_source *self = &scan->sources[i];
        struct source *source = &self->of.source;
        if (!source->valid || !bytes_equal(user_key_of(source), key))
            continue;
        self->at_key = true;
        TRY(source_seek(source, scan_target_of(scan, self), self->cap));
        const struct row *row = &source->row;
        const bool visible = back_inside(scan, self) && bytes_equal(user_key_of(source), key) &&
                             row->from >= self->floor && (row->to == 0 || self->cap < row->to);
        if (visible && (best == NULL || row->from > best->row.from))
            best = source;
    }
    *found = best != NULL;
    if (best != NULL) {
        scan->row = best->row;
        scan->row.key = key;
    }
    return STRATA_OK;
}

/* Moves all sources off the key that was shown last, which is the target. */
static strata_status back_leave_key(struct scan *scan)
{
    for (uint32_t i = 0; i < scan->source_count; i++) {
        struct scan_source *self = &scan->sources[i];
        if (!self->at_key)
            continue;
        self->at_key = false;
        TRY(source_seek_before(&self->of.source, scan_target_of(scan, self)));
        back_confine(scan, self);
    }
    return STRATA_OK;
}

/* From sources that all stand past the last key shown to the next visible row. */
static strata_status back_settle(struct scan *scan)
{
    scan->valid = false;
    for (;;) {
        bool found;
        TRY(back_pick_key(scan, &found));
        if (!found)
            return STRATA_OK;
        TRY(back_pick_row(scan, &found));
        if (found) {
            scan->valid = true;
            return STRATA_OK;
        }
        TRY(back_leave_key(scan));
    }
}

/* What a seek in reverse starts in front of: `key` NULL: the end of the bounds, or of the slice. */
static strata_status back_set_target(struct scan *scan, struct bytes key, bool past)
{
    const struct bytes end = scan->bounds.end;
    if (key.data == NULL || (end.length > 0 && bytes_compare(key, end) >= 0))
        return scan_set_target(scan, end);
    TRY(scan_set_target(scan, key));
    /* The rows of `key` itself count without `past`: they end just before key + "\0". */
    return past ? STRATA_OK : buffer_append_u8(&scan->target, 0);
}

static strata_status scan_seek_back(struct scan *scan, struct bytes key, bool past)
{
    TRY(back_set_target(scan, key, past));
    for (uint32_t i = 0; i < scan->source_count; i++) {
        struct scan_source *self = &scan->sources[i];
        struct bytes target = scan_target_of(scan, self);
        uint8_t behind[KEY_PREFIX_SIZE];
        if (target.length == KEY_PREFIX_SIZE) {
            key_prefix_store(behind, key_branch(self->prefix), scan->space + 1);
            target = bytes_of(behind, sizeof(behind));
        }
        self->at_key = false;
        TRY(source_seek_before(&self->of.source, target));
        back_confine(scan, self);
    }
    if (!scan->started && key.data == NULL)
        back_forget_empty(scan);
    return back_settle(scan);
}

/* ---- both ways ---- */

strata_status scan_seek(struct scan *scan, struct bytes key, bool past)
{
    assert(scan->source_capacity > 0);
    assert(key.data == NULL || key.length > 0);
    scan->valid = false;
    TRY(scan->reverse ? scan_seek_back(scan, key, past) : scan_seek_forward(scan, key, past));
    scan->started = true;
    return STRATA_OK;
}

strata_status scan_next(struct scan *scan)
{
    assert(scan->valid);
    if (!scan->reverse && scan_gallop(scan))
        return STRATA_OK;
    scan->valid = false;
    if (scan->reverse) {
        TRY(back_leave_key(scan));
        return back_settle(scan);
    }
    bool leads;
    do
        TRY(scan_move(scan, &leads));
    while (leads && scan->heap[0]->rank == 0);
    if (!leads)
        return scan_settle(scan);
    scan_take_row(scan);
    return STRATA_OK;
}
