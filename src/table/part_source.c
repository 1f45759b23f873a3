#include "table/part_reader.h"

#include "core/memory.h"
#include "core/prefetch.h"
#include "format/frame_row.h"

#include <assert.h>

enum { PART_BYTES_AHEAD = 1024 };

static void part_source_check(const struct part_source *self)
{
    assert(self->key_capacity >= sizeof(self->key_near));
    assert(self->key_prefix_length == SIZE_MAX || self->key_prefix_length <= self->key_capacity);
    (void)self;
}

static void part_source_drop_key(struct part_source *self)
{
    if (self->key != self->key_near)
        release(self->allocator, self->key, self->key_capacity);
    self->key = self->key_near;
    self->key_capacity = sizeof(self->key_near);
    self->key_prefix_length = SIZE_MAX;
}

/* Makes room for a key of `size` bytes; if there was none, what was put together is gone. */
static strata_status part_source_reserve(struct part_source *self, size_t size)
{
    part_source_check(self);
    if (size <= self->key_capacity)
        return STRATA_OK;
    const size_t capacity = size < 2 * self->key_capacity ? 2 * self->key_capacity : size;
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
static inline void part_source_fetch_next(const struct part_source *self, unsigned left)
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

/* Two lines at this distance are enough: short rows are not much longer, and long ones have the processor
 * notice that it is led straight on. */
static inline void part_source_fetch_ahead(const uint8_t *value)
{
    prefetch(value + PART_BYTES_AHEAD);
    prefetch(value + PART_BYTES_AHEAD + CACHE_LINE_BYTES);
}

void part_source_fetch_rows(const struct part_source *self)
{
    for (size_t at = 2 * CACHE_LINE_BYTES; at < PART_BYTES_AHEAD; at += CACHE_LINE_BYTES)
        prefetch(self->source.row.value.data + at);
}

bool part_source_step(struct part_source *self, uint64_t cap)
{
    struct part_position *position = &self->position;
    assert(self->source.valid);
    assert(position->pin != NULL);
    const struct frame *frame = &position->pin->frame;
    const unsigned index = position->index + 1;
    struct frame_row row;
    if (index >= frame->row_count || !frame_take_row_at(frame, index, &row) || row.from > cap ||
        row.suffix.length > self->key_capacity - self->key_prefix_length ||
        part_source_repeats(self, frame, index, row.suffix))
        return false;
    position->index = index;
    part_source_copy(self, row.suffix, frame->bytes.data + frame->used);
    self->source.row =
        frame_row_whole(&row, bytes_of(self->key, self->key_prefix_length + row.suffix.length));
    part_source_fetch_ahead(row.value.data);
    part_source_fetch_next(self, frame->row_count - index);
    return true;
}

/* How `key` lies to the keys that begin with `stem`: negative before all, positive behind all. If it
 * begins with it as well, that is taken off. */
static int stem_order(struct bytes stem, struct bytes *key)
{
    const size_t shared = stem.length < key->length ? stem.length : key->length;
    const int order = shared == 0 ? 0 : memcmp(key->data, stem.data, shared);
    if (order != 0)
        return order;
    if (key->length < stem.length)
        return -1;
    *key = bytes_after(*key, stem.length);
    return 0;
}

void part_source_set_bound(struct part_source *self, size_t skip, struct bytes bound)
{
    const struct frame *frame = &self->position.pin->frame;
    self->bound = 0;
    if (frame->heads == NULL || frame->prefix.length < skip)
        return;
    if (bound.length == 0) {
        self->bound = UINT64_MAX;
        return;
    }
    int order = stem_order(bytes_after(frame->prefix, skip), &bound);
    if (order == 0)
        order = stem_order(frame->stem, &bound);
    /* Before the stem, the heads that are 0 tell nothing. */
    self->bound = order > 0 ? UINT64_MAX : order < 0 ? 0 : bytes_head(bound);
}

bool part_source_gallop(struct part_source *self, uint64_t cap, struct row *out)
{
    if (self->bound == 0)
        return false;
    const struct frame *frame = &self->position.pin->frame;
    const unsigned index = self->position.index + 1;
    const size_t prefix_length = self->key_prefix_length;
    if (index >= frame->row_count || frame->heads[index] >= self->bound ||
        frame->heads[index] == frame->heads[index - 1])
        return false;
    struct frame_row row;
    frame_row_checked(frame, frame_row_place(frame, index), &row);
    if (row.from > cap || row.suffix.length > self->key_capacity - prefix_length)
        return false;
    part_source_fetch_ahead(row.value.data);
    part_source_copy(self, row.suffix, frame->bytes.data + frame->used);
    self->position.index = index;
    self->source.row.key = bytes_of(self->key, prefix_length + row.suffix.length);
    self->source.row.from = row.from;
    out->key = self->source.row.key;
    out->value = row.value;
    out->from = row.from;
    out->to = row.to;
    out->time_us = row.time_us;
    out->expires_us = row.expires_us;
    out->kind = row.kind;
    part_source_fetch_next(self, frame->row_count - index);
    return true;
}

/* How many rows behind the one it stands on, up to `most`, lie before the bound, and have keys that
 * their heads tell apart; has their beginnings fetched. */
static uint32_t part_source_rows_ahead(const struct part_source *self, uint32_t most)
{
    const struct frame *frame = &self->position.pin->frame;
    const unsigned first = self->position.index + 1;
    const uint32_t left = frame->row_count > first ? frame->row_count - first : 0;
    const unsigned end = first + (left < most ? left : most);
    unsigned index = first;
    for (; index < end; index++) {
        if (frame->heads[index] >= self->bound || frame->heads[index] == frame->heads[index - 1])
            break;
        const uint8_t *row = frame_row_place(frame, index);
        prefetch(row);
        prefetch(row + CACHE_LINE_BYTES);
    }
    return index - first;
}

/* Reads puts from row `first` of its leaf on, as long as they are such. */
static void part_source_read_rows(const struct part_source *self, uint64_t floor, uint64_t cap,
                                  unsigned first, uint32_t most, struct part_rows *out)
{
    const struct frame *frame = &self->position.pin->frame;
    const size_t suffix_most = self->key_capacity - self->key_prefix_length;
    struct frame_row row;
    out->suffix_bytes = 0;
    for (out->count = 0; out->count < most; out->count++) {
        const uint8_t *at = frame_row_place(frame, first + out->count);
        if (*at != ROW_PUT)
            return;
        frame_put_checked(frame, at, &row);
        if (row.from > cap || row.from < floor || row.suffix.length > suffix_most)
            return;
        struct part_row *to = &out->rows[out->count];
        to->suffix = row.suffix.data;
        to->value = row.value.data;
        to->suffix_size = (uint32_t)row.suffix.length;
        to->value_size = (uint32_t)row.value.length;
        to->from = row.from;
        to->time_us = row.time_us;
        out->suffix_bytes += row.suffix.length;
    }
}

void part_source_gallop_rows(struct part_source *self, uint64_t floor, uint64_t cap, uint32_t most,
                             struct part_rows *out)
{
    assert(most <= PART_ROWS_MAX);
    out->count = 0;
    if (self->bound == 0 || !self->position.cache->large)
        return;
    struct cached_frame *leaf = self->position.pin;
    const uint32_t ahead = part_source_rows_ahead(self, most);
    part_source_read_rows(self, floor, cap, self->position.index + 1, ahead, out);
    if (out->count == 0)
        return;
    const struct part_row *last = &out->rows[out->count - 1];
    part_source_copy(self, bytes_of(last->suffix, last->suffix_size),
                     leaf->frame.bytes.data + leaf->frame.used);
    self->position.index += out->count;
    self->source.row.key = bytes_of(self->key, self->key_prefix_length + last->suffix_size);
    self->source.row.from = last->from;
    out->leaf = leaf;
    if (leaf->frame.row_count - self->position.index <= PART_ROWS_MAX)
        frame_map_prefetch(self->part, leaf->unit + leaf->frame.units);
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

bool part_source_look_ahead(struct part_source *self, struct bytes key, uint64_t from)
{
    if (atomic_load_explicit(&self->part->ready, memory_order_acquire) == 0)
        return false;
    if (self->position.part == NULL)
        part_position_init(&self->position, self->part, FRAME_ROWS);
    return part_position_look_ahead(&self->position, key, from);
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
    source->key = source->key_near;
    source->key_capacity = sizeof(source->key_near);
    source->key_prefix_length = SIZE_MAX;
    source->bound = 0;
    part_source_check(source);
}
