#include "table/part_reader.h"

#include <assert.h>
#include <inttypes.h>

static void part_position_check(const struct part_position *position)
{
    assert(position->depth <= PART_DEPTH_MAX);
    assert(position->leaf_kind == FRAME_ROWS || position->leaf_kind == FRAME_DIRECTORY);
    assert(position->pin == NULL || position->pin->frame.kind == position->leaf_kind);
    assert(position->pin == NULL || position->index <= position->pin->frame.row_count);
    (void)position;
}

struct part_position part_position_of(struct part *part, enum frame_kind leaf_kind)
{
    assert(leaf_kind == FRAME_ROWS || leaf_kind == FRAME_DIRECTORY);
    assert(atomic_load_explicit(&part->ready, memory_order_relaxed) == 1);
    const uint32_t root = leaf_kind == FRAME_ROWS ? part->rows_root : part->directory_root;
    return (struct part_position){
        .part = part, .cache = part->store->cache, .root = root, .leaf_kind = (uint8_t)leaf_kind};
}

void part_position_release(struct part_position *position)
{
    if (position->pin == NULL)
        return;
    part_position_check(position);
    cache_unpin(position->cache, position->pin);
    position->pin = NULL;
}

bool part_position_valid(const struct part_position *position)
{
    part_position_check(position);
    return position->pin != NULL && position->index < position->pin->frame.row_count;
}

strata_status part_position_row(const struct part_position *position, struct frame_row *out)
{
    assert(part_position_valid(position));
    const struct cached_frame *pin = position->pin;
    return part_fault(position->part, pin->unit, frame_row_at(&pin->frame, position->index, out));
}

/* Takes over the pin of a leaf. */
static void part_position_hold(struct part_position *position, struct cached_frame *leaf,
                               unsigned index)
{
    struct cached_frame *before = position->pin;
    position->pin = leaf;
    position->index = index;
    cache_unpin(position->cache, before);
    part_position_check(position);
}

/* The unit of the child that row `row` of an index frame names. A child lies before its parent, so
 * that every descent ends, whatever the bytes are. */
static strata_status part_index_child(const struct cached_frame *pin, unsigned row, uint32_t *out)
{
    assert(pin->frame.kind == FRAME_INDEX);
    assert(row < pin->frame.row_count);
    struct frame_row found;
    struct index_entry entry;
    TRY(frame_row_at(&pin->frame, row, &found));
    TRY(index_entry_load(found.value, &entry));
    if (entry.unit >= pin->unit)
        return failure(STRATA_CORRUPT, "an index row names unit %" PRIu32 ", behind its own",
                       entry.unit);
    *out = entry.unit;
    return STRATA_OK;
}

/* The last row at or before (key, from) of an index frame; the first row if there is none. */
static strata_status part_index_choose(const struct frame *frame, struct bytes key, uint64_t from,
                                       unsigned *out)
{
    assert(frame->kind == FRAME_INDEX);
    assert(frame->row_count > 0);
    /* The last row before the place behind (key, from). Behind (key, 0) there is no such place; the
     * child before will do, since a seek goes on to the leaves behind it. */
    unsigned bound;
    TRY(frame_lower_bound(frame, key, from > 0 ? from - 1 : 0, &bound));
    *out = bound > 0 ? bound - 1 : 0;
    return STRATA_OK;
}

/* What a descent follows. */
struct part_target {
    struct bytes key;
    uint64_t from;
    bool rightmost; /* Instead: the last row of every index frame. */
};

/* Adds the step from the index frame `pin` to the path; `unit` becomes the child's. */
static strata_status part_step_down(struct part_position *position,
                                    const struct part_target *target,
                                    const struct cached_frame *pin, uint32_t *unit)
{
    assert(position->depth <= PART_DEPTH_MAX);
    if (pin->frame.kind != FRAME_INDEX || position->depth == PART_DEPTH_MAX)
        return failure(STRATA_CORRUPT, "there is a frame of kind %u %u levels below the root",
                       (unsigned)pin->frame.kind, position->depth);
    unsigned row = (unsigned)pin->frame.row_count - 1;
    if (!target->rightmost)
        TRY(part_index_choose(&pin->frame, target->key, target->from, &row));
    TRY(part_index_child(pin, row, unit));
    position->path[position->depth].unit = pin->unit;
    position->path[position->depth].row = row;
    position->depth++;
    return STRATA_OK;
}

/* From the frame at `unit`, below the path so far, to a leaf, which `out` pins. */
static strata_status part_descend(struct part_position *position, uint32_t unit,
                                  const struct part_target *target, struct cached_frame **out)
{
    assert(position->depth <= PART_DEPTH_MAX);
    struct cache *cache = position->part->store->cache;
    for (;;) {
        struct cached_frame *pin;
        TRY(cache_get(cache, position->part, unit, &pin));
        if (pin->frame.kind == position->leaf_kind) {
            position->leaf = unit;
            *out = pin;
            return STRATA_OK;
        }
        const strata_status status =
            part_fault(position->part, pin->unit, part_step_down(position, target, pin, &unit));
        cache_unpin(cache, pin);
        TRY(status);
    }
}

/* The leaf behind `leaf`, pinned, or NULL. Frames of the index may lie between the two. */
static strata_status part_leaf_after(const struct part_position *position,
                                     const struct cached_frame *leaf, struct cached_frame **out)
{
    assert(leaf->frame.kind == position->leaf_kind);
    struct part *part = position->part;
    uint32_t unit = leaf->unit + leaf->frame.units;
    while (unit < part->leaf_end) {
        struct cached_frame *pin;
        TRY(cache_get(part->store->cache, part, unit, &pin));
        if (pin->frame.kind == position->leaf_kind) {
            *out = pin;
            return STRATA_OK;
        }
        const bool index = pin->frame.kind == FRAME_INDEX;
        unit += pin->frame.units;
        cache_unpin(part->store->cache, pin);
        if (!index)
            break;
    }
    *out = NULL;
    return STRATA_OK;
}

/* Seeks from the root. */
static strata_status part_position_descend(struct part_position *position, struct bytes key,
                                           uint64_t from)
{
    assert(position->part != NULL);
    const struct part_target target = {.key = key, .from = from};
    struct cached_frame *leaf = NULL;
    position->depth = 0;
    TRY(part_descend(position, position->root, &target, &leaf));
    for (;;) {
        unsigned index;
        struct cached_frame *after = NULL;
        strata_status status = part_fault(position->part, leaf->unit,
                                          frame_lower_bound(&leaf->frame, key, from, &index));
        if (status == STRATA_OK && index == leaf->frame.row_count)
            status = part_leaf_after(position, leaf, &after);
        if (status != STRATA_OK) {
            cache_unpin(position->cache, leaf);
            return status;
        }
        if (after == NULL) {
            part_position_hold(position, leaf, index);
            return STRATA_OK;
        }
        cache_unpin(position->cache, leaf);
        leaf = after;
    }
}

/* Seeks in the leaf behind the one held, all of whose rows come before (key, from). */
static strata_status part_position_seek_after(struct part_position *position, struct bytes key,
                                              uint64_t from, bool *done)
{
    assert(position->pin != NULL);
    unsigned index = 0;
    struct cached_frame *after = NULL;
    TRY(part_leaf_after(position, position->pin, &after));
    if (after == NULL) {
        position->index = position->pin->frame.row_count;
        *done = true;
        return STRATA_OK;
    }
    const strata_status status = part_fault(
        position->part, after->unit, frame_lower_bound_near(&after->frame, key, from, 0, &index));
    *done = status == STRATA_OK && index < after->frame.row_count;
    if (*done)
        part_position_hold(position, after, index);
    else
        cache_unpin(position->cache, after);
    return status;
}

/* Seeks in the leaf held, if any, and in the one behind it. `*done` is false, and the position as it
 * was, if the row may be in neither. */
static strata_status part_position_seek_here(struct part_position *position, struct bytes key,
                                             uint64_t from, bool *done)
{
    *done = false;
    if (position->pin == NULL)
        return STRATA_OK;
    const struct frame *frame = &position->pin->frame;
    unsigned index;
    TRY(part_fault(position->part, position->pin->unit,
                   frame_lower_bound_near(frame, key, from, position->index, &index)));
    if (index == frame->row_count)
        return part_position_seek_after(position, key, from, done);
    /* In front of the first row there may be others. */
    if (index == 0)
        return STRATA_OK;
    position->index = index;
    *done = true;
    return STRATA_OK;
}

strata_status part_position_seek(struct part_position *position, struct bytes key, uint64_t from)
{
    assert(position->part != NULL);
    bool done;
    TRY(part_position_seek_here(position, key, from, &done));
    return done ? STRATA_OK : part_position_descend(position, key, from);
}

strata_status part_position_next(struct part_position *position)
{
    assert(part_position_valid(position));
    position->index++;
    if (position->index < position->pin->frame.row_count)
        return STRATA_OK;
    struct cached_frame *after = NULL;
    TRY(part_leaf_after(position, position->pin, &after));
    if (after != NULL)
        part_position_hold(position, after, 0);
    return STRATA_OK;
}

/* Turns the path to the child before the one that it leads to, and descends to its last leaf named
 * by an index row; `*out` is NULL if the path leads to the very first one. */
static strata_status part_turn_back(struct part_position *position, struct cached_frame **out)
{
    assert(position->depth <= PART_DEPTH_MAX);
    *out = NULL;
    while (position->depth > 0 && position->path[position->depth - 1].row == 0)
        position->depth--;
    if (position->depth == 0)
        return STRATA_OK;

    struct cache *cache = position->part->store->cache;
    const uint32_t parent = position->path[position->depth - 1].unit;
    const unsigned row = position->path[position->depth - 1].row - 1;
    struct cached_frame *pin;
    uint32_t unit = 0;
    TRY(cache_get(cache, position->part, parent, &pin));
    strata_status status = STRATA_OK;
    if (row >= pin->frame.row_count)
        status = failure(STRATA_CORRUPT, "an index frame has changed");
    else
        status = part_index_child(pin, row, &unit);
    cache_unpin(cache, pin);
    TRY(part_fault(position->part, parent, status));
    position->path[position->depth - 1].row = row;
    const struct part_target target = {.rightmost = true};
    return part_descend(position, unit, &target, out);
}

/* To the last row of the leaf before the one at `unit`, which the path leads to or in front of;
 * nowhere if there is none. */
static strata_status part_leaf_before(struct part_position *position, uint32_t unit)
{
    assert(position->leaf <= unit);
    struct cache *cache = position->part->store->cache;
    struct cached_frame *leaf = NULL;
    if (position->leaf < unit)
        TRY(cache_get(cache, position->part, position->leaf, &leaf));
    else
        TRY(part_turn_back(position, &leaf));

    while (leaf != NULL) {
        struct cached_frame *after = NULL;
        const strata_status status = part_leaf_after(position, leaf, &after);
        if (status != STRATA_OK) {
            cache_unpin(cache, leaf);
            return status;
        }
        if (after == NULL || after->unit >= unit) {
            cache_unpin(cache, after);
            break;
        }
        cache_unpin(cache, leaf);
        leaf = after;
    }
    part_position_hold(position, leaf, leaf == NULL ? 0 : (unsigned)leaf->frame.row_count - 1);
    return STRATA_OK;
}

strata_status part_position_seek_before(struct part_position *position, struct bytes key,
                                        uint64_t from)
{
    bool done;
    TRY(part_position_seek_here(position, key, from, &done));
    /* The leaf before is found by the path of a descent. */
    if (!done || position->index == 0)
        TRY(part_position_descend(position, key, from));
    if (position->index == 0)
        return part_leaf_before(position, position->pin->unit);
    position->index--;
    return STRATA_OK;
}

strata_status part_position_previous(struct part_position *position, struct bytes key,
                                     uint64_t from)
{
    assert(part_position_valid(position));
    if (position->index > 0) {
        position->index--;
        return STRATA_OK;
    }
    return part_position_seek_before(position, key, from);
}

static struct part_source *part_source_of(struct source *source)
{
    void *self = source;
    return self;
}

/* Puts the key of `row` together; the prefix of its leaf mostly lies there already. */
static strata_status part_source_set_key(struct part_source *self, const struct frame_row *row)
{
    assert(self->position.pin != NULL);
    const struct cached_frame *pin = self->position.pin;
    if (self->key_prefix_length == SIZE_MAX || self->key_unit != pin->unit) {
        self->key_prefix_length = SIZE_MAX;
        buffer_truncate(&self->key, 0);
        TRY(buffer_append(&self->key, pin->frame.prefix));
        self->key_unit = pin->unit;
        self->key_prefix_length = pin->frame.prefix.length;
    }
    buffer_truncate(&self->key, self->key_prefix_length);
    return buffer_append(&self->key, row->suffix);
}

/* After a move: shows the row that the position stands on, if any. */
static strata_status part_source_show(struct part_source *self)
{
    assert(self->position.part == self->part);
    self->source.valid = false;
    if (!part_position_valid(&self->position))
        return STRATA_OK;
    struct frame_row row;
    TRY(part_position_row(&self->position, &row));
    TRY(part_source_set_key(self, &row));
    self->source.row = (struct row){
        .key = buffer_view(&self->key),
        .value = row.value,
        .from = row.from,
        .to = row.to,
        .time_us = row.time_us,
        .expires_us = row.expires_us,
        .kind = row.kind,
    };
    self->source.valid = true;
    return STRATA_OK;
}

static strata_status part_source_ready(struct part_source *self)
{
    assert(self->part != NULL);
    self->source.valid = false;
    TRY(part_ready(self->part));
    if (self->position.part == NULL)
        self->position =
            part_position_of(self->part, self->directory ? FRAME_DIRECTORY : FRAME_ROWS);
    return STRATA_OK;
}

static strata_status part_source_seek(struct source *source, struct bytes key, uint64_t from)
{
    struct part_source *self = part_source_of(source);
    TRY(part_source_ready(self));
    TRY(part_position_seek(&self->position, key, from));
    return part_source_show(self);
}

static strata_status part_source_seek_before(struct source *source, struct bytes key)
{
    struct part_source *self = part_source_of(source);
    TRY(part_source_ready(self));
    TRY(part_position_seek_before(&self->position, key, UINT64_MAX));
    return part_source_show(self);
}

static strata_status part_source_next(struct source *source)
{
    assert(source->valid);
    struct part_source *self = part_source_of(source);
    source->valid = false;
    TRY(part_position_next(&self->position));
    return part_source_show(self);
}

static strata_status part_source_previous(struct source *source)
{
    assert(source->valid);
    struct part_source *self = part_source_of(source);
    source->valid = false;
    TRY(part_position_previous(&self->position, source->row.key, source->row.from));
    return part_source_show(self);
}

static void part_source_release(struct source *source)
{
    struct part_source *self = part_source_of(source);
    source->valid = false;
    part_position_release(&self->position);
    buffer_release(&self->key);
    self->key_prefix_length = SIZE_MAX;
}

static const struct source_class part_source_class = {
    .seek = part_source_seek,
    .seek_before = part_source_seek_before,
    .next = part_source_next,
    .previous = part_source_previous,
    .release = part_source_release,
};

void part_source_init(struct part_source *source, struct part *part, bool directory)
{
    assert(part->store != NULL);
    assert(part->store->cache != NULL);
    *source = (struct part_source){
        .source = {.class = &part_source_class},
        .part = part,
        .directory = directory,
        .key_prefix_length = SIZE_MAX,
    };
    buffer_init(&source->key, part->store->allocator);
}
