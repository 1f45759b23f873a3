#include "table/part_reader.h"

#include "core/prefetch.h"
#include "format/frame_row.h"

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

void part_position_init(struct part_position *position, struct part *part,
                        enum frame_kind leaf_kind)
{
    assert(leaf_kind == FRAME_ROWS || leaf_kind == FRAME_DIRECTORY);
    assert(atomic_load_explicit(&part->ready, memory_order_relaxed) == 1);
    position->part = part;
    position->cache = part->store->cache;
    position->root = leaf_kind == FRAME_ROWS ? part->rows_root : part->directory_root;
    position->leaf_kind = (uint8_t)leaf_kind;
    position->index = 0;
    position->pin = NULL;
    position->depth = 0; /* And so no path. */
    position->leaf = 0;
    position->ahead = PART_AHEAD_NONE;
}

void part_position_release(struct part_position *position)
{
    position->ahead = PART_AHEAD_NONE;
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
    if (frame_take_row_at(&pin->frame, position->index, out))
        return STRATA_OK;
    return part_fault(position->part, pin->unit, frame_row_at(&pin->frame, position->index, out));
}

/* Takes over a leaf, pinned from here on. */
static void part_position_hold(struct part_position *position, struct frame_loan leaf,
                               unsigned index)
{
    struct cached_frame *before = position->pin;
    position->pin = leaf.frame == NULL ? NULL : cache_keep(position->cache, leaf);
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
    if (pin->frame.children != NULL) {
        *out = pin->frame.children[row];
    } else {
        TRY(frame_row_at(&pin->frame, row, &found));
        TRY(index_entry_load(found.value, &entry));
        *out = entry.unit;
    }
    if (*out >= pin->unit)
        return failure(STRATA_CORRUPT, "an index row names unit %" PRIu32 ", behind its own", *out);
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

/* From the frame at `unit`, below the path so far, to a leaf. */
static strata_status part_descend(struct part_position *position, uint32_t unit,
                                  const struct part_target *target, struct frame_loan *out)
{
    assert(position->depth <= PART_DEPTH_MAX);
    for (;;) {
        struct frame_loan loan;
        frame_map_prefetch(position->part, unit);
        TRY(cache_borrow(position->cache, position->part, unit, &loan));
        const struct cached_frame *frame = loan.frame;
        if (frame->frame.kind == position->leaf_kind) {
            position->leaf = unit;
            *out = loan;
            return STRATA_OK;
        }
        const strata_status status =
            part_fault(position->part, unit, part_step_down(position, target, frame, &unit));
        cache_return(position->cache, loan);
        TRY(status);
    }
}

/* The leaf behind `leaf`; its frame is NULL if there is none. Frames of the index may lie between the
 * two. */
static strata_status part_leaf_after(const struct part_position *position,
                                     const struct cached_frame *leaf, struct frame_loan *out)
{
    assert(leaf->frame.kind == position->leaf_kind);
    const struct part *part = position->part;
    uint32_t unit = leaf->unit + leaf->frame.units;
    while (unit < part->leaf_end) {
        struct frame_loan loan;
        TRY(cache_borrow(position->cache, position->part, unit, &loan));
        if (loan.frame->frame.kind == position->leaf_kind) {
            *out = loan;
            return STRATA_OK;
        }
        const bool index = loan.frame->frame.kind == FRAME_INDEX;
        unit += loan.frame->frame.units;
        cache_return(position->cache, loan);
        if (!index)
            break;
    }
    *out = (struct frame_loan){.frame = NULL};
    return STRATA_OK;
}

bool part_position_look_ahead(struct part_position *position, struct bytes key, uint64_t from)
{
    if (!position->cache->large || position->pin != NULL || position->ahead == PART_AHEAD_ROW)
        return false;
    if (position->ahead == PART_AHEAD_NONE) {
        position->ahead = PART_AHEAD_FRAME;
        position->ahead_unit = position->root;
        position->depth = 0;
    }
    const uintptr_t slot = frame_map_slot(&position->part->frames, position->ahead_unit);
    if (slot == 0)
        return false;
    if ((slot & SLOT_USED) == 0)
        frame_map_use(&position->part->frames, position->ahead_unit, slot);
    const struct cached_frame *pin = slot_frame(slot);
    const struct frame *frame = &pin->frame;
    if (frame->kind == position->leaf_kind) {
        unsigned index;
        if (frame->heads == NULL || frame_lower_bound(frame, key, from, &index) != STRATA_OK ||
            index == frame->row_count)
            return false;
        position->index = index;
        position->ahead = PART_AHEAD_ROW;
        prefetch(frame_row_place(frame, index));
        prefetch(frame_row_place(frame, index) + CACHE_LINE_BYTES);
        return false;
    }
    const struct part_target target = {.key = key, .from = from};
    if (part_step_down(position, &target, pin, &position->ahead_unit) != STRATA_OK)
        return false;
    cache_count_hits(position->cache, 1);
    frame_map_prefetch(position->part, position->ahead_unit);
    return true;
}

/* Goes on to where looking ahead came. */
static strata_status part_position_arrive(struct part_position *position)
{
    struct frame_loan leaf;
    position->ahead = PART_AHEAD_NONE;
    TRY(cache_borrow(position->cache, position->part, position->ahead_unit, &leaf));
    position->leaf = position->ahead_unit;
    part_position_hold(position, leaf, position->index);
    return STRATA_OK;
}

/* Seeks from the root, or from where looking ahead came. */
static strata_status part_position_descend(struct part_position *position, struct bytes key,
                                           uint64_t from)
{
    assert(position->part != NULL);
    const struct part_target target = {.key = key, .from = from};
    uint32_t unit = position->root;
    struct frame_loan leaf;
    if (position->ahead == PART_AHEAD_ROW)
        return part_position_arrive(position);
    if (position->ahead == PART_AHEAD_FRAME)
        unit = position->ahead_unit;
    else
        position->depth = 0;
    position->ahead = PART_AHEAD_NONE;
    TRY(part_descend(position, unit, &target, &leaf));
    for (;;) {
        unsigned index;
        struct frame_loan after = {.frame = NULL};
        strata_status status = part_fault(position->part, leaf.frame->unit,
                                          frame_lower_bound(&leaf.frame->frame, key, from, &index));
        if (status == STRATA_OK && index == leaf.frame->frame.row_count)
            status = part_leaf_after(position, leaf.frame, &after);
        if (status != STRATA_OK) {
            cache_return(position->cache, leaf);
            return status;
        }
        if (after.frame == NULL) {
            part_position_hold(position, leaf, index);
            return STRATA_OK;
        }
        cache_return(position->cache, leaf);
        leaf = after;
    }
}

/* Seeks in the leaf behind the one held, all of whose rows come before (key, from). */
static strata_status part_position_seek_after(struct part_position *position, struct bytes key,
                                              uint64_t from, bool *done)
{
    assert(position->pin != NULL);
    unsigned index = 0;
    struct frame_loan after;
    TRY(part_leaf_after(position, position->pin, &after));
    if (after.frame == NULL) {
        position->index = position->pin->frame.row_count;
        *done = true;
        return STRATA_OK;
    }
    const struct frame *frame = &after.frame->frame;
    const strata_status status = part_fault(position->part, after.frame->unit,
                                            frame_lower_bound_near(frame, key, from, 0, &index));
    *done = status == STRATA_OK && index < frame->row_count;
    if (*done)
        part_position_hold(position, after, index);
    else
        cache_return(position->cache, after);
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
    struct frame_loan after;
    TRY(part_leaf_after(position, position->pin, &after));
    if (after.frame != NULL)
        part_position_hold(position, after, 0);
    return STRATA_OK;
}

/* Turns the path to the child before the one that it leads to, and descends to its last leaf named
 * by an index row; the frame of `*out` is NULL if the path leads to the very first one. */
static strata_status part_turn_back(struct part_position *position, struct frame_loan *out)
{
    assert(position->depth <= PART_DEPTH_MAX);
    *out = (struct frame_loan){.frame = NULL};
    while (position->depth > 0 && position->path[position->depth - 1].row == 0)
        position->depth--;
    if (position->depth == 0)
        return STRATA_OK;

    const uint32_t parent = position->path[position->depth - 1].unit;
    const unsigned row = position->path[position->depth - 1].row - 1;
    struct frame_loan loan;
    uint32_t unit = 0;
    TRY(cache_borrow(position->cache, position->part, parent, &loan));
    strata_status status = STRATA_OK;
    if (row >= loan.frame->frame.row_count)
        status = failure(STRATA_CORRUPT, "an index frame has changed");
    else
        status = part_index_child(loan.frame, row, &unit);
    cache_return(position->cache, loan);
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
    struct frame_loan leaf;
    if (position->leaf < unit)
        TRY(cache_borrow(position->cache, position->part, position->leaf, &leaf));
    else
        TRY(part_turn_back(position, &leaf));

    while (leaf.frame != NULL) {
        struct frame_loan after;
        const strata_status status = part_leaf_after(position, leaf.frame, &after);
        if (status != STRATA_OK) {
            cache_return(position->cache, leaf);
            return status;
        }
        if (after.frame == NULL || after.frame->unit >= unit) {
            if (after.frame != NULL)
                cache_return(position->cache, after);
            break;
        }
        cache_return(position->cache, leaf);
        leaf = after;
    }
    part_position_hold(position, leaf,
                       leaf.frame == NULL ? 0 : (unsigned)leaf.frame->frame.row_count - 1);
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
