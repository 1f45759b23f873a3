#include "table/scan.h"

#include "core/memory.h"

#include <assert.h>

static struct bytes user_key_of(const struct source *source)
{
    return bytes_after(source->row.key, KEY_PREFIX_SIZE);
}

/* Puts (branch, space, user key) together in scan->target. */
static strata_status scan_target(struct scan *scan, uint64_t branch, struct bytes key,
                                 struct bytes *out)
{
    uint8_t *to;
    buffer_truncate(&scan->target, 0);
    TRY(buffer_extend(&scan->target, KEY_PREFIX_SIZE, &to));
    key_prefix_store(to, branch, scan->space);
    if (key.length > 0)
        TRY(buffer_append(&scan->target, key));
    *out = buffer_view(&scan->target);
    return STRATA_OK;
}

/* A source that has left its slice or the bounds has nothing more to give. */
static void scan_confine(const struct scan *scan, struct scan_source *self)
{
    struct source *source = &self->of.source;
    if (!source->valid)
        return;
    uint8_t prefix[KEY_PREFIX_SIZE];
    key_prefix_store(prefix, scan->levels[self->level].branch, scan->space);
    if (!bytes_start_with(source->row.key, bytes_of(prefix, sizeof(prefix)))) {
        source->valid = false;
        return;
    }
    const struct bytes key = user_key_of(source);
    if (scan->reverse)
        source->valid = bytes_compare(key, scan->bounds.first) >= 0 && key.length > 0;
    else
        source->valid = scan->bounds.end.length == 0 || bytes_compare(key, scan->bounds.end) < 0;
}

static struct scan_source *scan_add_source(struct scan *scan, uint32_t level)
{
    assert(scan->source_count < scan->source_capacity);
    struct scan_source *self = &scan->sources[scan->source_count++];
    self->level = level;
    self->at_key = false;
    return self;
}

/* The runs and memtables that can hold anything a level sees. */
static void scan_add_level(struct scan *scan, uint32_t index)
{
    const struct tableset *set = scan->set;
    const struct level *level = &scan->levels[index];
    for (uint32_t i = 0; i < set->memtable_count; i++) {
        if (set->memtables[i]->first_version <= level->cap)
            memtable_source_init(&scan_add_source(scan, index)->of.memtable, set->memtables[i]);
    }
    for (uint32_t i = 0; i < set->live_count; i++) {
        if (set->live[i]->min_from <= level->cap)
            run_source_init(&scan_add_source(scan, index)->of.run, set->live[i]);
    }
    for (uint32_t i = 0; i < set->history_count; i++) {
        const struct run *run = set->history[i];
        if (run->min_from <= level->cap && level->cap < run->max_to)
            run_source_init(&scan_add_source(scan, index)->of.run, set->history[i]);
    }
}

strata_status scan_open(struct scan *scan, const strata_allocator *allocator,
                        const struct scan_options *options)
{
    assert(options->level_count > 0);
    *scan = (struct scan){
        .allocator = allocator,
        .set = options->set,
        .levels = options->levels,
        .level_count = options->level_count,
        .space = options->space,
        .reverse = options->reverse,
        .own_cap = options->extra_cap,
        .bounds = options->bounds,
    };
    buffer_init(&scan->key, allocator);
    buffer_init(&scan->target, allocator);
    const size_t each = tableset_source_count(options->set);
    if (options->level_count > (UINT32_MAX >> 8) / (each + 1))
        return failure(STRATA_TOO_BIG, "a scan over %u branches is too deep", options->level_count);
    scan->source_capacity = (uint32_t)(each * options->level_count + 1);
    scan->sources = allocate_zeroed(allocator, scan->source_capacity * sizeof(*scan->sources));
    if (scan->sources == NULL) {
        scan->source_capacity = 0;
        return failure(STRATA_NO_MEMORY, "no memory for a scan over %u branches",
                       options->level_count);
    }
    if (options->extra != NULL)
        memtable_source_init(&scan_add_source(scan, 0)->of.memtable, options->extra);
    for (uint32_t i = 0; i < options->level_count; i++)
        scan_add_level(scan, i);
    return STRATA_OK;
}

void scan_release(struct scan *scan)
{
    for (uint32_t i = 0; i < scan->source_count; i++)
        source_release(&scan->sources[i].of.source);
    if (scan->sources != NULL)
        release(scan->allocator, scan->sources, scan->source_capacity * sizeof(*scan->sources));
    if (scan->allocator != NULL) {
        buffer_release(&scan->key);
        buffer_release(&scan->target);
    }
    scan->sources = NULL;
    scan->source_count = 0;
    scan->source_capacity = 0;
    scan->valid = false;
}

/* Sources without rows in the slice and bounds are let go for good. A seek backwards needs them
 * again, so this happens at the first seek of a scan only when it starts at its beginning. */
static void scan_forget_empty(struct scan *scan)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < scan->source_count; i++) {
        if (scan->sources[i].of.source.valid) {
            if (kept != i) {
                const struct scan_source empty = scan->sources[kept];
                scan->sources[kept] = scan->sources[i];
                scan->sources[i] = empty;
            }
            kept++;
        }
    }
    for (uint32_t i = kept; i < scan->source_count; i++)
        source_release(&scan->sources[i].of.source);
    scan->source_count = kept;
}

/* Among the rows of one key in one source, newest first from here, the first one visible. */
static strata_status scan_candidate(const struct scan *scan, struct scan_source *self,
                                    struct bytes key, bool *found)
{
    struct source *source = &self->of.source;
    const struct level *level = &scan->levels[self->level];
    *found = false;
    unsigned steps = 0;
    while (source->valid && bytes_equal(user_key_of(source), key)) {
        const struct row *row = &source->row;
        /* A transaction's own writes are above every version. */
        const bool own = row->from >= OWN_VERSION_BASE;
        const uint64_t cap = own ? scan->own_cap : level->cap;
        if (row->from <= cap) {
            *found = (own || row->from >= level->floor) && (row->to == 0 || cap < row->to);
            return STRATA_OK;
        }
        if (++steps == 4) {
            /* A long chain: jump. row.key may move with the source, so seek by a copy. */
            struct buffer copy;
            buffer_init(&copy, scan->allocator);
            strata_status status = buffer_append(&copy, row->key);
            if (status == STRATA_OK)
                status = source_seek(source, buffer_view(&copy), cap);
            buffer_release(&copy);
            TRY(status);
        } else {
            TRY(source_next(source));
        }
        scan_confine(scan, self);
    }
    return STRATA_OK;
}

/* Moves a source off the key that was shown last. */
static strata_status scan_leave_key(struct scan *scan, struct scan_source *self)
{
    struct source *source = &self->of.source;
    const struct bytes key = buffer_view(&scan->key);
    self->at_key = false;
    if (scan->reverse) {
        struct bytes target;
        TRY(scan_target(scan, scan->levels[self->level].branch, key, &target));
        TRY(source_seek_before(source, target));
        scan_confine(scan, self);
        return STRATA_OK;
    }
    unsigned steps = 0;
    while (source->valid && bytes_equal(user_key_of(source), key)) {
        if (++steps == 4) {
            struct bytes target;
            TRY(scan_target(scan, scan->levels[self->level].branch, key, &target));
            TRY(source_seek(source, target, 0));
        } else {
            TRY(source_next(source));
        }
        scan_confine(scan, self);
    }
    return STRATA_OK;
}

/* The next key in the scan's direction, copied to scan->key; false if there is none. */
static strata_status scan_pick_key(struct scan *scan, bool *found)
{
    const struct source *best = NULL;
    for (uint32_t i = 0; i < scan->source_count; i++) {
        const struct source *source = &scan->sources[i].of.source;
        if (!source->valid)
            continue;
        if (best != NULL) {
            const int order = bytes_compare(user_key_of(source), user_key_of(best));
            if (scan->reverse ? order <= 0 : order >= 0)
                continue;
        }
        best = source;
    }
    *found = best != NULL;
    if (best == NULL)
        return STRATA_OK;
    buffer_truncate(&scan->key, 0);
    const struct bytes key = user_key_of(best);
    return key.length == 0 ? STRATA_OK : buffer_append(&scan->key, key);
}

/* Finds the winner of the picked key and leaves every source on its candidate. */
static strata_status scan_pick_row(struct scan *scan, bool *found)
{
    const struct bytes key = buffer_view(&scan->key);
    const struct source *best = NULL;
    for (uint32_t i = 0; i < scan->source_count; i++) {
        struct scan_source *self = &scan->sources[i];
        struct source *source = &self->of.source;
        if (!source->valid || !bytes_equal(user_key_of(source), key))
            continue;
        self->at_key = true;
        if (scan->reverse) {
            /* It came from the oldest end of the key's rows: start over at the newest. */
            struct bytes target;
            TRY(scan_target(scan, scan->levels[self->level].branch, key, &target));
            TRY(source_seek(source, target, UINT64_MAX));
            scan_confine(scan, self);
        }
        bool visible;
        TRY(scan_candidate(scan, self, key, &visible));
        if (visible && (best == NULL || source->row.from > best->row.from))
            best = source;
    }
    *found = best != NULL;
    if (best != NULL) {
        scan->row = best->row;
        scan->row.key = key;
    }
    return STRATA_OK;
}

/* From sources that all stand past the last key shown to the next visible row. */
static strata_status scan_settle(struct scan *scan)
{
    scan->valid = false;
    for (;;) {
        bool found;
        TRY(scan_pick_key(scan, &found));
        if (!found)
            return STRATA_OK;
        TRY(scan_pick_row(scan, &found));
        if (found && scan->key.length > 0) {
            scan->valid = true;
            return STRATA_OK;
        }
        for (uint32_t i = 0; i < scan->source_count; i++) {
            if (scan->sources[i].at_key)
                TRY(scan_leave_key(scan, &scan->sources[i]));
        }
    }
}

static strata_status scan_seek_source(struct scan *scan, struct scan_source *self, struct bytes key,
                                      bool past)
{
    struct source *source = &self->of.source;
    struct bytes target;
    self->at_key = false;
    TRY(scan_target(scan, scan->levels[self->level].branch, key, &target));
    if (scan->reverse) {
        if (!past) {
            /* The rows of `key` itself count: they end just before key + "\0". */
            uint8_t *end;
            TRY(buffer_extend(&scan->target, 1, &end));
            *end = 0;
            target = buffer_view(&scan->target);
        }
        TRY(source_seek_before(source, target));
    } else {
        TRY(source_seek(source, target, past ? 0 : UINT64_MAX));
        scan_confine(scan, self);
        if (past && source->valid && bytes_equal(user_key_of(source), key)) {
            buffer_truncate(&scan->key, 0);
            TRY(buffer_append(&scan->key, key));
            TRY(scan_leave_key(scan, self));
        }
    }
    scan_confine(scan, self);
    return STRATA_OK;
}

/* Reverse without a key: from the end of the bounds, or of the slice. */
static strata_status scan_seek_end(struct scan *scan, struct scan_source *self)
{
    struct bytes target;
    self->at_key = false;
    if (scan->bounds.end.length > 0) {
        TRY(scan_target(scan, scan->levels[self->level].branch, scan->bounds.end, &target));
    } else {
        uint8_t *to;
        buffer_truncate(&scan->target, 0);
        TRY(buffer_extend(&scan->target, KEY_PREFIX_SIZE, &to));
        key_prefix_store(to, scan->levels[self->level].branch, scan->space + 1);
        target = buffer_view(&scan->target);
    }
    TRY(source_seek_before(&self->of.source, target));
    scan_confine(scan, self);
    return STRATA_OK;
}

strata_status scan_seek(struct scan *scan, struct bytes key, bool past)
{
    assert(scan->source_capacity > 0);
    const bool from_start = key.data == NULL;
    scan->valid = false;
    /* A key before the bounds means their beginning. */
    if (!from_start && !scan->reverse && bytes_compare(key, scan->bounds.first) < 0) {
        key = scan->bounds.first;
        past = false;
    }
    const bool beyond = !from_start && scan->reverse && scan->bounds.end.length > 0 &&
                        bytes_compare(key, scan->bounds.end) >= 0;
    for (uint32_t i = 0; i < scan->source_count; i++) {
        struct scan_source *self = &scan->sources[i];
        if (scan->reverse && (from_start || beyond))
            TRY(scan_seek_end(scan, self));
        else
            TRY(scan_seek_source(scan, self, from_start ? scan->bounds.first : key, past));
    }
    if (!scan->started && from_start)
        scan_forget_empty(scan);
    scan->started = true;
    return scan_settle(scan);
}

strata_status scan_next(struct scan *scan)
{
    assert(scan->valid);
    for (uint32_t i = 0; i < scan->source_count; i++) {
        if (scan->sources[i].at_key)
            TRY(scan_leave_key(scan, &scan->sources[i]));
    }
    return scan_settle(scan);
}
