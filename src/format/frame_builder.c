#include "core/varint.h"
#include "format/frame.h"
#include "format/place.h"
#include "layout/key.h"

#include <assert.h>

/* Frames grow beyond their target while more than this part of their units would stay empty, up to so
 * many times the target. */
enum { FRAME_SLACK_SHARE = 8, FRAME_GROWTH_MAX = 4 };

/* A row waiting in a builder. */
struct staged_row {
    size_t at; /* Of its key in the builder's bytes; the value follows. */
    size_t key_length;
    size_t value_length;
    uint64_t from;
    uint64_t to;
    int64_t time_us;
    int64_t expires_us;
    uint16_t offset; /* In the finished frame. */
    uint8_t kind;
};

static size_t frame_size_aligned(size_t size)
{
    return (size + FRAME_ROW_ALIGNMENT - 1) & ~(size_t)(FRAME_ROW_ALIGNMENT - 1);
}

static size_t frame_varint_size(uint64_t value)
{
    size_t size = 1;
    for (; value >= 0x80; value >>= 7)
        size++;
    return size;
}

/* Bytes that `a` and `b` both begin with, at most `limit`. */
static size_t frame_shared_prefix(struct bytes a, struct bytes b, size_t limit)
{
    assert(limit <= a.length);
    limit = limit < b.length ? limit : b.length;
    if (limit == 0 || memcmp(a.data, b.data, limit) == 0)
        return limit;
    size_t length = 0;
    while (a.data[length] == b.data[length])
        length++;
    return length;
}

static struct staged_row *staged_rows(const struct frame_builder *builder)
{
    return (struct staged_row *)(void *)builder->rows.data;
}

static struct bytes staged_key(const struct frame_builder *builder, const struct staged_row *row)
{
    return bytes_of(builder->bytes.data + row->at, row->key_length);
}

static void frame_builder_check(const struct frame_builder *builder)
{
    assert(builder->rows.length == builder->row_count * sizeof(struct staged_row));
    assert(builder->bytes.length == builder->key_bytes + builder->value_bytes);
    assert(builder->row_count * builder->prefix_length <= builder->key_bytes);
    assert(builder->min_from <= builder->max_from);
    assert(builder->min_time <= builder->max_time);
    (void)builder;
}

/* At least what finish would write before padding. A row's `from` and time take no more bytes than
 * the widest distance does, the length of its suffix no more than that of its key. */
static size_t frame_builder_size_bound(const struct frame_builder *builder)
{
    const uint64_t time_span = (uint64_t)builder->max_time - (uint64_t)builder->min_time;
    const size_t wide =
        frame_varint_size(builder->max_from - builder->min_from) + frame_varint_size(time_span);
    size_t size = frame_size_aligned(FRAME_HEADER_SIZE + builder->prefix_length);
    size += builder->key_bytes - builder->row_count * builder->prefix_length;
    size += builder->value_bytes + builder->field_bytes + builder->row_count * (wide + 2);
    /* Rows are padded alike if they are of one size but for whole steps. */
    for (size_t residue = 0; residue < FRAME_ROW_ALIGNMENT; residue++) {
        const size_t row_size = residue + wide - builder->prefix_length;
        size += builder->residues[residue] * (((size_t)0 - row_size) % FRAME_ROW_ALIGNMENT);
    }
    return size;
}

/* Adds `row` to the sums alone. */
static void frame_builder_count(struct frame_builder *builder, const struct row *row)
{
    if (builder->row_count == 0) {
        builder->prefix_length = row->key.length;
        builder->min_from = builder->max_from = row->from;
        builder->min_time = builder->max_time = row->time_us;
    } else {
        builder->prefix_length = frame_shared_prefix(staged_key(builder, staged_rows(builder)),
                                                     row->key, builder->prefix_length);
    }
    builder->row_count++;
    builder->key_bytes += row->key.length;
    builder->value_bytes += row->value.length;
    const size_t field_bytes = 1 + frame_varint_size(row->key.length) +
                               frame_varint_size(row->value.length) +
                               (row->to != 0 ? frame_varint_size(row->to - row->from) : 0) +
                               (row->expires_us != 0 ? 8 : 0);
    builder->field_bytes += field_bytes;
    builder->residues[(field_bytes + row->key.length + row->value.length) % FRAME_ROW_ALIGNMENT]++;
    builder->min_from = row->from < builder->min_from ? row->from : builder->min_from;
    builder->max_from = row->from > builder->max_from ? row->from : builder->max_from;
    builder->min_time = row->time_us < builder->min_time ? row->time_us : builder->min_time;
    builder->max_time = row->time_us > builder->max_time ? row->time_us : builder->max_time;
}

static void frame_builder_empty(struct frame_builder *builder)
{
    buffer_truncate(&builder->rows, 0);
    buffer_truncate(&builder->bytes, 0);
    builder->row_count = 0;
    builder->prefix_length = 0;
    builder->key_bytes = 0;
    builder->value_bytes = 0;
    builder->field_bytes = 0;
    memset(builder->residues, 0, sizeof(builder->residues));
    builder->min_from = builder->max_from = 0;
    builder->min_time = builder->max_time = 0;
}

void frame_builder_init(struct frame_builder *builder, const strata_allocator *allocator,
                        size_t unit_size, size_t frame_size, enum frame_kind kind)
{
    assert(unit_size >= FRAME_UNIT_SIZE_MIN);
    assert(frame_size >= unit_size);
    assert(frame_size <= FRAME_BYTES_MAX);
    assert((unit_size & (unit_size - 1)) == 0);
    assert(kind == FRAME_ROWS || kind == FRAME_INDEX || kind == FRAME_DIRECTORY);

    *builder = (struct frame_builder){
        .allocator = allocator,
        .unit_size = unit_size,
        .frame_size = frame_size,
        .kind = (uint8_t)kind,
    };
    buffer_init(&builder->rows, allocator);
    buffer_init(&builder->bytes, allocator);
}

void frame_builder_release(struct frame_builder *builder)
{
    buffer_release(&builder->rows);
    buffer_release(&builder->bytes);
}

static size_t frame_units_needed(size_t size, size_t unit_size)
{
    return size / unit_size + (size % unit_size != 0);
}

/* Whether a frame of `size` bytes leaves little of its units empty. */
static bool frame_builder_fills_units(const struct frame_builder *builder, size_t size)
{
    const size_t whole = frame_units_needed(size, builder->unit_size) * builder->unit_size;
    return (whole - size) * FRAME_SLACK_SHARE <= whole;
}

bool frame_builder_fits(const struct frame_builder *builder, const struct row *row)
{
    if (builder->row_count == 0)
        return true;
    if (builder->row_count == FRAME_ROWS_MAX)
        return false;
    struct frame_builder grown = *builder;
    frame_builder_count(&grown, row);
    const size_t size = frame_builder_size_bound(&grown);
    if (size <= builder->frame_size)
        return true;
    return size <= FRAME_BYTES_MAX && size <= builder->frame_size * FRAME_GROWTH_MAX &&
           !frame_builder_fills_units(builder, frame_builder_size_bound(builder));
}

/* What the reader verifies. */
static void frame_builder_check_row(const struct frame_builder *builder, const struct row *row)
{
    assert(row->key.length <= STORAGE_KEY_SIZE_MAX);
    assert(builder->kind == FRAME_INDEX || row->key.length >= KEY_PREFIX_SIZE);
    assert(builder->kind != FRAME_DIRECTORY || row->key.length == KEY_PREFIX_SIZE);
    assert(builder->kind != FRAME_ROWS ||
           (row->key.length == KEY_PREFIX_SIZE) == (row->kind == ROW_RANGE_DELETE));
    assert(row_value_valid(row->kind, row->value));
    assert(row->to == 0 || row->to > row->from);
    if (builder->row_count > 0) {
        const struct staged_row *last = staged_rows(builder) + builder->row_count - 1;
        assert(row_order(staged_key(builder, last), last->from, row->key, row->from) < 0);
        (void)last;
    }
    (void)builder, (void)row;
}

strata_status frame_builder_add(struct frame_builder *builder, const struct row *row)
{
    frame_builder_check(builder);
    frame_builder_check_row(builder, row);
    assert(frame_builder_fits(builder, row));

    const struct staged_row staged = {
        .at = builder->bytes.length,
        .key_length = row->key.length,
        .value_length = row->value.length,
        .from = row->from,
        .to = row->to,
        .time_us = row->time_us,
        .expires_us = row->expires_us,
        .kind = row->kind,
    };
    uint8_t *to;
    TRY(buffer_reserve(&builder->rows, sizeof(staged)));
    TRY(buffer_extend(&builder->bytes, row->key.length + row->value.length, &to));
    if (row->key.length > 0)
        memcpy(to, row->key.data, row->key.length);
    if (row->value.length > 0)
        memcpy(to + row->key.length, row->value.data, row->value.length);
    frame_builder_count(builder, row);
    return buffer_append(&builder->rows, bytes_of(&staged, sizeof(staged)));
}

/* Writes zeros up to a multiple of FRAME_ROW_ALIGNMENT. */
static uint8_t *frame_pad(const uint8_t *frame, uint8_t *to)
{
    while ((to - frame) % FRAME_ROW_ALIGNMENT != 0)
        *to++ = 0;
    return to;
}

/* Writes one row and returns where it ends. */
static uint8_t *staged_row_write(const struct frame_builder *builder, const struct staged_row *row,
                                 uint8_t *to)
{
    const size_t suffix_length = row->key_length - builder->prefix_length;
    *to++ = (uint8_t)(row->kind | (row->to != 0 ? 0x10 : 0) | (row->expires_us != 0 ? 0x20 : 0));
    to += varint_encode(suffix_length, to);
    to += varint_encode(row->value_length, to);
    to += varint_encode(row->from - builder->min_from, to);
    to += varint_encode((uint64_t)row->time_us - (uint64_t)builder->min_time, to);
    if (row->to != 0)
        to += varint_encode(row->to - row->from, to);
    if (row->expires_us != 0) {
        store_u64(to, (uint64_t)row->expires_us);
        to += 8;
    }
    const size_t size = suffix_length + row->value_length;
    if (size > 0)
        memcpy(to, builder->bytes.data + row->at + builder->prefix_length, size);
    return to + size;
}

/* Writes prefix, rows and offsets behind the header; returns the bytes used from `frame`. */
static size_t frame_builder_write(const struct frame_builder *builder, uint8_t *frame)
{
    struct staged_row *const rows = staged_rows(builder);
    uint8_t *to = frame + FRAME_HEADER_SIZE;
    if (builder->prefix_length > 0)
        memcpy(to, staged_key(builder, rows).data, builder->prefix_length);
    to = frame_pad(frame, to + builder->prefix_length);
    for (unsigned i = 0; i < builder->row_count; i++) {
        assert(to - frame <= UINT16_MAX);
        rows[i].offset = (uint16_t)(to - frame);
        to = frame_pad(frame, staged_row_write(builder, &rows[i], to));
    }
    for (unsigned i = 0; i < builder->row_count; i++, to += 2)
        store_u16(to, rows[i].offset);
    return (size_t)(to - frame);
}

strata_status frame_builder_finish(struct frame_builder *builder, uint64_t seed, struct buffer *out,
                                   uint32_t *units_out)
{
    frame_builder_check(builder);
    assert(builder->row_count > 0);

    const size_t bound = frame_builder_size_bound(builder);
    const size_t size_max = frame_units_needed(bound, builder->unit_size) * builder->unit_size;
    uint8_t *frame;
    TRY(buffer_extend(out, size_max, &frame));

    const size_t used = frame_builder_write(builder, frame);
    const size_t units = frame_units_needed(used, builder->unit_size);
    const size_t size = units * builder->unit_size;
    assert(used <= bound);
    assert(size <= FRAME_BYTES_MAX || builder->row_count == 1);
    assert(units <= UINT16_MAX);
    memset(frame + used, 0, size - used);
    buffer_truncate(out, out->length - (size_max - size));

    frame[8] = builder->kind;
    frame[9] = 0;
    store_u16(frame + 10, (uint16_t)units);
    store_u32(frame + 12, (uint32_t)used);
    store_u16(frame + 16, (uint16_t)builder->row_count);
    store_u16(frame + 18, (uint16_t)builder->prefix_length);
    store_u32(frame + 20, 0);
    store_u64(frame + 24, builder->min_from);
    store_u64(frame + 32, (uint64_t)builder->min_time);
    store_u64(frame, place_checksum(bytes_of(frame, size), seed));
    *units_out = (uint32_t)units;
    frame_builder_empty(builder);
    return STRATA_OK;
}

strata_status frame_seal_content(enum frame_kind kind, size_t unit_size, size_t content_offset,
                                 struct bytes content, uint64_t seed, struct buffer *out,
                                 uint32_t *units_out)
{
    assert(kind == FRAME_BUCKETS || kind == FRAME_FOOTER);
    assert(content_offset >= FRAME_HEADER_SIZE);

    const size_t used = content_offset + content.length;
    const size_t units = frame_units_needed(used, unit_size);
    const size_t size = units * unit_size;
    assert(units <= UINT16_MAX);
    uint8_t *frame;
    TRY(buffer_extend(out, size, &frame));

    memset(frame, 0, content_offset);
    frame[8] = (uint8_t)kind;
    store_u16(frame + 10, (uint16_t)units);
    store_u32(frame + 12, (uint32_t)used);
    if (content.length > 0)
        memcpy(frame + content_offset, content.data, content.length);
    memset(frame + used, 0, size - used);
    store_u64(frame, place_checksum(bytes_of(frame, size), seed));
    *units_out = (uint32_t)units;
    return STRATA_OK;
}
