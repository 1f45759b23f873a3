#include "table/part_reader.h"

#include "core/memory.h"
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

/* Seeks from the root. */
static strata_status part_position_descend(struct part_position *position, struct bytes key,
                                           uint64_t from)
{
    assert(position->part != NULL);
    const struct part_target target = {.key = key, .from = from};
    struct frame_loan leaf;
    position->depth = 0;
    TRY(part_descend(position, position->root, &target, &leaf));
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

/* ---- sources ---- */

enum { PART_KEY_CAPACITY_MIN = 64, PART_BYTES_AHEAD = 1024 };

static void part_source_check(const struct part_source *self)
{
    assert((self->key == NULL) == (self->key_capacity == 0));
    assert(self->key_prefix_length == SIZE_MAX || self->key_prefix_length <= self->key_capacity);
    (void)self;
}

static void part_source_drop_key(struct part_source *self)
{
    if (self->key != NULL)
        release(self->allocator, self->key, self->key_capacity);
    self->key = NULL;
    self->key_capacity = 0;
    self->key_prefix_length = SIZE_MAX;
}

/* Makes room for a key of `size` bytes; if there was none, what was put together is gone. */
static strata_status part_source_reserve(struct part_source *self, size_t size)
{
    part_source_check(self);
    if (size <= self->key_capacity)
        return STRATA_OK;
    size_t capacity = self->key_capacity == 0 ? PART_KEY_CAPACITY_MIN : 2 * self->key_capacity;
    capacity = size < capacity ? capacity : size;
    uint8_t *key = allocate(self->allocator, capacity);
    if (key == NULL)
        return failure(STRATA_NO_MEMORY, "no memory for a key of %zu bytes", size);
    part_source_drop_key(self);
    self->key = key;
    self->key_capacity = capacity;
    return STRATA_OK;
}

/* Copies the end of a key. Mostly it is short, and there is more behind it in its frame and in the
 * source's memory: then two copies of eight bytes, which take no call, may go too far. */
static inline void part_source_copy(struct part_source *self, struct bytes suffix,
                                    const uint8_t *frame_end)
{
    assert(suffix.length <= self->key_capacity - self->key_prefix_length);
    uint8_t *to = self->key + self->key_prefix_length;
    if (suffix.length <= 16 && frame_end - suffix.data >= 16 &&
        self->key_capacity - self->key_prefix_length >= 16) {
        memcpy(to, suffix.data, 8);
        memcpy(to + 8, suffix.data + 8, 8);
    } else if (suffix.length > 0) {
        memcpy(to, suffix.data, suffix.length);
    }
}

/* After a move: shows the row that the position stands on, if any. The prefix of its leaf mostly is in
 * the key already. */
static strata_status part_source_show(struct part_source *self)
{
    assert(self->position.part == self->part);
    self->source.valid = false;
    self->bound = 0;
    if (!part_position_valid(&self->position))
        return STRATA_OK;
    struct frame_row row;
    const struct cached_frame *pin = self->position.pin;
    const struct bytes prefix = pin->frame.prefix;
    TRY(part_position_row(&self->position, &row));
    TRY(part_source_reserve(self, prefix.length + row.suffix.length));
    if (self->key_prefix_length == SIZE_MAX || self->key_unit != pin->unit) {
        if (prefix.length > 0)
            memcpy(self->key, prefix.data, prefix.length);
        self->key_unit = pin->unit;
        self->key_prefix_length = prefix.length;
    }
    part_source_copy(self, row.suffix, pin->frame.bytes.data + pin->frame.used);
    self->source.row =
        frame_row_whole(&row, bytes_of(self->key, self->key_prefix_length + row.suffix.length));
    self->source.valid = true;
    return STRATA_OK;
}

/* Whether row `index` of the leaf, `row`, has the key of the row before it, which is shown. */
static inline bool part_source_repeats(const struct part_source *self, const struct frame *frame,
                                       unsigned index, struct bytes suffix)
{
    if (frame->heads != NULL && frame->heads[index] != frame->heads[index - 1])
        return false;
    return bytes_equal(suffix, bytes_after(self->source.row.key, self->key_prefix_length));
}

/* Near the end of a leaf has the beginning of the one behind it fetched, and then its offsets. */
static inline void part_source_look_ahead(const struct part_source *self, unsigned left)
{
    enum { LEFT_FAR = 12, LEFT_NEAR = 6 };
    if (left != LEFT_FAR && left != LEFT_NEAR)
        return;
    const struct cached_frame *pin = self->position.pin;
    const uintptr_t slot = frame_map_slot(&self->part->frames, pin->unit + pin->frame.units);
    if (slot == 0)
        return;
    struct cached_frame *after = slot_frame(slot);
    const uint8_t *bytes = cached_frame_bytes(after);
    if (left == LEFT_FAR) {
        prefetch(after);
        prefetch(&after->frame.heads);
        prefetch(bytes);
        prefetch(bytes + CACHED_FRAME_ALIGNMENT);
    } else {
        prefetch(bytes + frame_rows_end(&after->frame));
        prefetch(after->frame.heads);
        prefetch(bytes + frame_rows_begin(&after->frame) + CACHED_FRAME_ALIGNMENT);
    }
}

/* From a row to the one behind it in the leaf, if its key is another and its `from` not above `cap`. */
static inline bool part_source_advance(struct part_source *self, uint64_t cap,
                                       struct frame_row *row)
{
    struct part_position *position = &self->position;
    assert(self->source.valid);
    assert(position->pin != NULL);
    const struct frame *frame = &position->pin->frame;
    const unsigned index = position->index + 1;
    if (index >= frame->row_count || !frame_take_row_at(frame, index, row) || row->from > cap ||
        row->suffix.length > self->key_capacity - self->key_prefix_length ||
        part_source_repeats(self, frame, index, row->suffix))
        return false;
    position->index = index;
    /* Two lines at this distance are enough: short rows are not much longer, and long ones have the
     * processor notice that it is led straight on. */
    prefetch(row->value.data + PART_BYTES_AHEAD);
    prefetch(row->value.data + PART_BYTES_AHEAD + CACHED_FRAME_ALIGNMENT);
    part_source_copy(self, row->suffix, frame->bytes.data + frame->used);
    part_source_look_ahead(self, frame->row_count - index);
    return true;
}

bool part_source_step(struct part_source *self, uint64_t cap)
{
    struct frame_row row;
    if (!part_source_advance(self, cap, &row))
        return false;
    self->source.row =
        frame_row_whole(&row, bytes_of(self->key, self->key_prefix_length + row.suffix.length));
    return true;
}

void part_source_set_bound(struct part_source *self, size_t skip, struct bytes bound)
{
    const struct frame *frame = &self->position.pin->frame;
    self->bound = 0;
    if (frame->heads == NULL || frame->prefix.length < skip)
        return;
    const struct bytes shared = bytes_after(frame->prefix, skip);
    const size_t length = shared.length < bound.length ? shared.length : bound.length;
    const int order = length == 0 ? 0 : memcmp(bound.data, shared.data, length);
    if (bound.length == 0 || order > 0)
        self->bound = UINT64_MAX;
    else if (order == 0 && bound.length > shared.length)
        self->bound = bytes_head(bytes_after(bound, shared.length));
}

bool part_source_gallop(struct part_source *self, uint64_t cap, struct row *out)
{
    const struct frame *frame = &self->position.pin->frame;
    const unsigned index = self->position.index + 1;
    struct frame_row row;
    if (self->bound == 0 || index >= frame->row_count || frame->heads[index] >= self->bound ||
        !part_source_advance(self, cap, &row))
        return false;
    const struct bytes key = bytes_of(self->key, self->key_prefix_length + row.suffix.length);
    self->source.row.key = key;
    self->source.row.from = row.from;
    *out = frame_row_whole(&row, key);
    return true;
}

static strata_status part_source_ready(struct part_source *self)
{
    assert(self->part != NULL);
    self->source.valid = false;
    TRY(part_ready(self->part));
    if (self->position.part == NULL)
        part_position_init(&self->position, self->part,
                           self->directory ? FRAME_DIRECTORY : FRAME_ROWS);
    return STRATA_OK;
}

strata_status part_source_seek(struct part_source *self, struct bytes key, uint64_t from)
{
    TRY(part_source_ready(self));
    TRY(part_position_seek(&self->position, key, from));
    return part_source_show(self);
}

strata_status part_source_seek_before(struct part_source *self, struct bytes key)
{
    TRY(part_source_ready(self));
    TRY(part_position_seek_before(&self->position, key, UINT64_MAX));
    return part_source_show(self);
}

strata_status part_source_next(struct part_source *self)
{
    assert(self->source.valid);
    self->source.valid = false;
    TRY(part_position_next(&self->position));
    return part_source_show(self);
}

strata_status part_source_previous(struct part_source *self)
{
    assert(self->source.valid);
    self->source.valid = false;
    TRY(part_position_previous(&self->position, self->source.row.key, self->source.row.from));
    return part_source_show(self);
}

void part_source_release(struct part_source *self)
{
    self->source.valid = false;
    part_position_release(&self->position);
    part_source_drop_key(self);
}

static struct part_source *part_source_of(struct source *source)
{
    void *self = source;
    return self;
}

static strata_status part_class_seek(struct source *source, struct bytes key, uint64_t from)
{
    return part_source_seek(part_source_of(source), key, from);
}

static strata_status part_class_seek_before(struct source *source, struct bytes key)
{
    return part_source_seek_before(part_source_of(source), key);
}

static strata_status part_class_next(struct source *source)
{
    return part_source_next(part_source_of(source));
}

static strata_status part_class_previous(struct source *source)
{
    return part_source_previous(part_source_of(source));
}

static void part_class_release(struct source *source)
{
    part_source_release(part_source_of(source));
}

static const struct source_class part_source_class = {
    .seek = part_class_seek,
    .seek_before = part_class_seek_before,
    .next = part_class_next,
    .previous = part_class_previous,
    .release = part_class_release,
};

void part_source_init(struct part_source *source, struct part *part, bool directory)
{
    assert(part->store != NULL);
    assert(part->store->cache != NULL);
    source->source = (struct source){.class = &part_source_class};
    source->part = part;
    source->position.part = NULL;
    source->position.pin = NULL;
    source->directory = directory;
    source->allocator = part->store->allocator;
    source->key = NULL;
    source->key_capacity = 0;
    source->key_prefix_length = SIZE_MAX;
    source->bound = 0;
    part_source_check(source);
}
