#include "table/run_input.h"

#include "core/copy.h"

#include <assert.h>
#include <inttypes.h>

enum { RUN_INPUT_KEY_ROOM = 128 };

static struct run_input *run_input_of(struct source *source)
{
    void *self = source;
    return self;
}

static struct part *run_input_part(const struct run_input *self)
{
    assert(self->part_index < self->run->part_count);
    return self->run->parts[self->part_index];
}

/* The unit of the byte at `at` of the piece. */
static uint32_t run_input_unit(const struct run_input *self, size_t at)
{
    const uint32_t unit_size = run_input_part(self)->info.unit_size;
    assert(at <= self->bytes.length);
    return self->end_unit - (uint32_t)((self->bytes.length - at) / unit_size);
}

/* Whether a whole frame lies at `at` of the piece; `*needed`: the bytes that it needs, as far as that
 * can be told. */
static bool run_input_has_frame(const struct run_input *self, size_t at, size_t *needed)
{
    const uint32_t unit_size = run_input_part(self)->info.unit_size;
    const size_t left = self->bytes.length - at;
    *needed = unit_size;
    if (left > 0)
        *needed = (size_t)frame_units_claimed(self->bytes.data + at) * unit_size;
    return left >= *needed;
}

/* Makes room for `size` more bytes of the piece, and no more than that: frames may be large and inputs
 * many. */
static strata_status run_input_grow(struct run_input *self, size_t size)
{
    struct input_room *room = self->room;
    const size_t before = self->bytes.capacity;
    if (size <= before - self->bytes.length)
        return STRATA_OK;
    if (room != NULL && room->bytes + self->bytes.length + size - before > room->bytes_max)
        return failure(STRATA_NO_MEMORY, "the inputs of a merge have frames too large for memory");
    TRY(buffer_reserve_exactly(&self->bytes, size));
    if (room != NULL)
        room->bytes += self->bytes.capacity - before;
    return STRATA_OK;
}

/* Lets go of what lies before `at`, and reads on until there are `needed` bytes, or the leaves end. */
static strata_status run_input_fill(struct run_input *self, size_t at, size_t needed)
{
    struct part *part = run_input_part(self);
    const uint32_t unit_size = part->info.unit_size;
    const size_t left = self->bytes.length - at;
    const uint64_t behind = (uint64_t)(part->leaf_end - self->end_unit) * unit_size;
    const size_t room = self->piece_bytes - self->piece_bytes % unit_size;
    size_t size = (room > needed ? room : needed) - left;
    size = size < behind ? size : (size_t)behind;
    if (size == 0)
        return failure_at(STRATA_CORRUPT, part->name, (uint64_t)self->end_unit * unit_size,
                          "%s: a frame goes on behind the last one", part->name);
    uint8_t *to;
    if (left > 0)
        memmove(self->bytes.data, self->bytes.data + at, left);
    buffer_truncate(&self->bytes, left);
    TRY(run_input_grow(self, size));
    TRY(buffer_extend(&self->bytes, size, &to));
    TRY(object_read(&part->object, (uint64_t)self->end_unit * unit_size, to, size));
    self->end_unit += (uint32_t)(size / unit_size);
    return STRATA_OK;
}

/* Opens the frame at `at`, which moves to the front of the piece if that has to be filled. */
static strata_status run_input_open_frame(struct run_input *self, size_t at)
{
    const struct part *part = run_input_part(self);
    size_t needed;
    while (!run_input_has_frame(self, at, &needed)) {
        TRY(run_input_fill(self, at, needed));
        at = 0;
    }
    const uint32_t unit = run_input_unit(self, at);
    const uint64_t seed = place_seed(&part->identity, FAMILY_TABLE, part->info.number,
                                     (uint64_t)unit * part->info.unit_size);
    self->frame_at = at;
    return part_fault(part, unit,
                      frame_open(bytes_of(self->bytes.data + at, needed), part->info.unit_size,
                                 seed, &self->frame));
}

static strata_status run_input_begin_part(struct run_input *self)
{
    struct part *part = run_input_part(self);
    TRY(part_ready(part));
    self->rows_left = part->info.rows;
    self->end_unit = 0;
    buffer_truncate(&self->bytes, 0);
    return STRATA_OK;
}

/* Shows the row that it stands on. */
static strata_status run_input_show(struct run_input *self)
{
    struct frame_row row;
    const struct frame *frame = &self->frame;
    const struct part *part = run_input_part(self);
    TRY(part_fault(part, run_input_unit(self, self->frame_at),
                   frame_row_at(frame, self->index, &row)));
    const size_t prefix_length = frame->prefix.length;
    self->key.length = prefix_length;
    TRY(buffer_reserve(&self->key, row.suffix.length));
    copy_short(self->key.data + prefix_length, row.suffix.data, row.suffix.length);
    self->key.length += row.suffix.length;
    self->source.row = frame_row_whole(&row, bytes_of(self->key.data, self->key.length));
    self->source.valid = true;
    self->moves = false;
    if (self->index + 1 == frame->row_count) {
        const size_t after = self->frame_at + frame->bytes.length;
        size_t needed;
        self->moves =
            !run_input_has_frame(self, after, &needed) || self->bytes.data[after + 8] != FRAME_ROWS;
    }
    return STRATA_OK;
}

/* To the first row of the frame just opened, which is one of rows. */
static strata_status run_input_use_frame(struct run_input *self)
{
    const struct part *part = run_input_part(self);
    if (self->frame.row_count > self->rows_left)
        return failure_at(STRATA_CORRUPT, part->name, 0,
                          "%s has more rows than the %" PRIu64 " of its footer", part->name,
                          part->info.rows);
    self->rows_left -= self->frame.row_count;
    self->index = 0;
    buffer_truncate(&self->key, 0);
    TRY(buffer_reserve(&self->key, self->frame.prefix.length + RUN_INPUT_KEY_ROOM));
    TRY(buffer_append(&self->key, self->frame.prefix));
    return run_input_show(self);
}

/* From the frame that ends at `at` to the next one of rows, in this part or the next. */
static strata_status run_input_next_frame(struct run_input *self, size_t at)
{
    for (;;) {
        const struct part *part = run_input_part(self);
        if (self->rows_left > 0) {
            TRY(run_input_open_frame(self, at));
            if (self->frame.kind == FRAME_ROWS)
                return run_input_use_frame(self);
            at = self->frame_at + self->frame.bytes.length;
            if (self->frame.kind == FRAME_INDEX)
                continue;
            return failure_at(STRATA_CORRUPT, part->name, 0,
                              "%s lacks %" PRIu64 " of the %" PRIu64 " rows of its footer",
                              part->name, self->rows_left, part->info.rows);
        }
        if (++self->part_index == self->run->part_count)
            return STRATA_OK;
        TRY(run_input_begin_part(self));
        at = 0;
    }
}

static strata_status run_input_seek(struct source *source, struct bytes key, uint64_t from)
{
    struct run_input *self = run_input_of(source);
    assert(key.length == 0);
    (void)key, (void)from;
    source->valid = false;
    self->part_index = 0;
    TRY(run_input_begin_part(self));
    return run_input_next_frame(self, 0);
}

static strata_status run_input_next(struct source *source)
{
    struct run_input *self = run_input_of(source);
    assert(source->valid);
    source->valid = false;
    if (++self->index < self->frame.row_count)
        return run_input_show(self);
    return run_input_next_frame(self, self->frame_at + self->frame.bytes.length);
}

static strata_status run_input_seek_before(struct source *source, struct bytes key)
{
    (void)source, (void)key;
    return failure(STRATA_INVALID, "the inputs of a merge are read forward only");
}

static strata_status run_input_previous(struct source *source)
{
    return run_input_seek_before(source, (struct bytes){0});
}

static void run_input_release(struct source *source)
{
    struct run_input *self = run_input_of(source);
    source->valid = false;
    buffer_release(&self->bytes);
    buffer_release(&self->key);
}

void run_input_init(struct run_input *input, struct run *run, uint32_t piece_bytes)
{
    static const struct source_class run_input_class = {
        .seek = run_input_seek,
        .seek_before = run_input_seek_before,
        .next = run_input_next,
        .previous = run_input_previous,
        .release = run_input_release,
    };
    assert(run->part_count > 0);
    *input = (struct run_input){
        .source = {.class = &run_input_class}, .run = run, .piece_bytes = piece_bytes};
    buffer_init(&input->bytes, run->store->allocator);
    buffer_init(&input->key, run->store->allocator);
}
