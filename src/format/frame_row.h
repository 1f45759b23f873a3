/* Decoding the rows of frames, inline, for those who do little else. Every bound is checked, whatever
 * the bytes are; what is wrong with a row that is refused here, frame_row_at says. Only of frames
 * with heads, whose rows have all been checked, is a row read without. */
#ifndef STRATA_FORMAT_FRAME_ROW_H
#define STRATA_FORMAT_FRAME_ROW_H

#include "core/varint.h"
#include "format/frame.h"
#include "layout/key.h"

#include <assert.h>

enum {
    FRAME_OFFSET_SIZE = 2,
    FRAME_ROW_KIND = 0x0f,
    FRAME_ROW_TO = 0x10,
    FRAME_ROW_EXPIRES = 0x20
};

/* The fields of a row as they are written: found, and inside the row, but not yet believed. */
struct frame_fields {
    const uint8_t *suffix;
    size_t suffix_length;
    size_t value_length;
    uint64_t from_delta;
    uint64_t time_delta;
    uint64_t to_delta;
    int64_t expires_us;
    uint8_t flags;
};

/* The next multiple of FRAME_ROW_ALIGNMENT. */
static inline size_t frame_aligned(size_t size)
{
    return (size + FRAME_ROW_ALIGNMENT - 1) & ~(size_t)(FRAME_ROW_ALIGNMENT - 1);
}

/* Where the rows begin, and where they end and their offsets begin. */
static inline uint32_t frame_rows_begin(const struct frame *frame)
{
    return (uint32_t)frame_aligned(FRAME_HEADER_SIZE + frame->prefix.length);
}

static inline uint32_t frame_rows_end(const struct frame *frame)
{
    return frame->used - (uint32_t)frame->row_count * FRAME_OFFSET_SIZE;
}

/* The same byte by byte: near the end, and for integers longer than eight bytes. */
const uint8_t *frame_read_varint_slowly(const uint8_t *at, const uint8_t *end, uint64_t *out);

/* The 7-bit groups of eight bytes, low ones first, put together. */
static inline uint64_t varint_join(uint64_t bytes)
{
    bytes = (bytes & 0x007f007f007f007f) | (bytes & 0x7f007f007f007f00) >> 1;
    bytes = (bytes & 0x00003fff00003fff) | (bytes & 0x3fff00003fff0000) >> 2;
    return (bytes & 0x000000000fffffff) | (bytes & 0x0fffffff00000000) >> 4;
}

/* varint_decode, inlined: behind the integer at `at`, or NULL if there is none before `end`. */
static inline const uint8_t *frame_read_varint(const uint8_t *at, const uint8_t *end, uint64_t *out)
{
    if (at < end && *at < 0x80) {
        *out = *at;
        return at + 1;
    }
    if (end - at < 8)
        return frame_read_varint_slowly(at, end, out);
    const uint64_t bytes = load_u64(at);
    const uint64_t stops = ~bytes & 0x8080808080808080;
    if (stops == 0)
        return frame_read_varint_slowly(at, end, out);
    /* The lowest stop ends the last byte, which is not padding. */
    const uint64_t within = stops ^ (stops - 1);
    const unsigned size = (unsigned)__builtin_ctzll(stops) / 8 + 1;
    if ((bytes & within) >> (size - 1) * 8 == 0)
        return NULL;
    *out = varint_join(bytes & within);
    return at + size;
}

/* Reads the row at `at`, which is before `end`. Returns where it ends, or NULL if that is behind
 * `end`. */
static inline const uint8_t *frame_read_fields(const uint8_t *at, const uint8_t *end,
                                               struct frame_fields *out)
{
    uint64_t suffix_length, value_length;
    out->flags = *at++;
    at = frame_read_varint(at, end, &suffix_length);
    at = at == NULL ? NULL : frame_read_varint(at, end, &value_length);
    at = at == NULL ? NULL : frame_read_varint(at, end, &out->from_delta);
    at = at == NULL ? NULL : frame_read_varint(at, end, &out->time_delta);
    out->to_delta = 0;
    if (at != NULL && (out->flags & FRAME_ROW_TO) != 0)
        at = frame_read_varint(at, end, &out->to_delta);
    if (at == NULL)
        return NULL;
    out->expires_us = 0;
    if ((out->flags & FRAME_ROW_EXPIRES) != 0) {
        if (end - at < 8)
            return NULL;
        out->expires_us = (int64_t)load_u64(at);
        at += 8;
    }

    const size_t left = (size_t)(end - at);
    if (suffix_length > left || value_length > left - suffix_length)
        return NULL;
    out->suffix = at;
    out->suffix_length = (size_t)suffix_length;
    out->value_length = (size_t)value_length;
    return at + suffix_length + value_length;
}

/* Every row, with its padding, reaches from its offset to that of the next, the last one to the
 * offsets. */
static inline bool frame_find_row(const struct frame *frame, unsigned index, const uint8_t **at,
                                  const uint8_t **end)
{
    const uint32_t rows_end = frame_rows_end(frame);
    const uint8_t *const offset = frame->offsets + (size_t)index * FRAME_OFFSET_SIZE;
    const uint32_t first = load_u16(offset);
    const uint32_t last =
        index + 1 < frame->row_count ? load_u16(offset + FRAME_OFFSET_SIZE) : rows_end;
    if (first < frame_rows_begin(frame) || first >= last || last > rows_end ||
        ((first | last) & (FRAME_ROW_ALIGNMENT - 1)) != 0)
        return false;
    *at = frame->bytes.data + first;
    *end = frame->bytes.data + last;
    return true;
}

/* Row `index`, whose value ends where its padding begins. */
static inline bool frame_read_row(const struct frame *frame, unsigned index,
                                  struct frame_fields *out)
{
    const uint8_t *at, *end;
    if (!frame_find_row(frame, index, &at, &end))
        return false;
    const uint8_t *const value_end = frame_read_fields(at, end, out);
    return value_end != NULL && end - value_end < FRAME_ROW_ALIGNMENT;
}

/* Whether a key of `length` bytes may stand in a row of `kind`. */
static inline bool frame_key_fits(const struct frame *frame, size_t length, uint8_t kind)
{
    if (length > STORAGE_KEY_SIZE_MAX)
        return false;
    if (frame->kind == FRAME_ROWS)
        return length > KEY_PREFIX_SIZE ? kind != ROW_RANGE_DELETE
                                        : length == KEY_PREFIX_SIZE && kind == ROW_RANGE_DELETE;
    return frame->kind == FRAME_INDEX || length == KEY_PREFIX_SIZE;
}

/* Whether the numbers of a row are in their bounds. */
static inline bool frame_numbers_fit(const struct frame *frame, const struct frame_fields *fields)
{
    if (fields->from_delta > UINT64_MAX - frame->base_from)
        return false;
    /* Modulo 2^64, this is the true distance to the greatest time. */
    if (fields->time_delta > (uint64_t)INT64_MAX - (uint64_t)frame->base_time)
        return false;
    if ((fields->flags & (FRAME_ROW_TO | FRAME_ROW_EXPIRES)) == 0)
        return true;
    if ((fields->flags & FRAME_ROW_TO) != 0 &&
        (fields->to_delta == 0 ||
         fields->to_delta > UINT64_MAX - frame->base_from - fields->from_delta))
        return false;
    return (fields->flags & FRAME_ROW_EXPIRES) == 0 || fields->expires_us != 0;
}

/* Believes the fields of a row, or not. */
static inline bool frame_take_row(const struct frame *frame, const struct frame_fields *fields,
                                  struct frame_row *out)
{
    const uint8_t kind = fields->flags & FRAME_ROW_KIND;
    const struct bytes value =
        bytes_of(fields->suffix + fields->suffix_length, fields->value_length);
    if (!frame_numbers_fit(frame, fields) ||
        !frame_key_fits(frame, frame->prefix.length + fields->suffix_length, kind) ||
        (fields->flags & ~(FRAME_ROW_KIND | FRAME_ROW_TO | FRAME_ROW_EXPIRES)) != 0 ||
        !row_value_valid(kind, value))
        return false;
    const uint64_t from = frame->base_from + fields->from_delta;
    *out = (struct frame_row){
        .suffix = bytes_of(fields->suffix, fields->suffix_length),
        .value = value,
        .from = from,
        .to = (fields->flags & FRAME_ROW_TO) != 0 ? from + fields->to_delta : 0,
        .time_us = (int64_t)((uint64_t)frame->base_time + fields->time_delta),
        .expires_us = fields->expires_us,
        .kind = kind,
    };
    return true;
}

/* An integer of more than four bytes that is known to be whole, with seven bytes behind its first that
 * may be read. */
const uint8_t *frame_read_long_varint(const uint8_t *at, uint64_t *out);

/* The same of any length: mostly of one to four bytes, which take no branch. */
static inline const uint8_t *frame_read_varint_checked(const uint8_t *at, uint64_t *out)
{
    const uint32_t bytes = load_u32(at);
    const uint32_t stops = ~bytes & 0x80808080;
    if (stops == 0)
        return frame_read_long_varint(at, out);
    uint32_t joined = bytes & (stops ^ (stops - 1));
    joined = (joined & 0x007f007f) | (joined & 0x7f007f00) >> 1;
    *out = (joined & 0x00003fff) | (joined & 0x3fff0000) >> 2;
    return at + (unsigned)__builtin_ctz(stops) / 8 + 1;
}

/* The lengths of the row at `at`, of a frame with heads; returns what is behind them, */
static inline const uint8_t *frame_lengths_checked(const uint8_t *at, uint64_t *suffix_out,
                                                   uint64_t *value_out)
{
    *suffix_out = at[1];
    *value_out = at[2];
    if (at[1] < 0x80 && at[2] < 0x80)
        return at + 3;
    at = frame_read_varint_checked(at + 1, suffix_out);
    return frame_read_varint_checked(at, value_out);
}

/* and there are the numbers that every row has. */
static inline const uint8_t *frame_numbers_checked(const struct frame *frame, const uint8_t *at,
                                                   struct frame_row *out)
{
    uint64_t from_delta, time_delta;
    at = frame_read_varint_checked(at, &from_delta);
    at = frame_read_varint_checked(at, &time_delta);
    out->from = frame->base_from + from_delta;
    out->time_us = (int64_t)((uint64_t)frame->base_time + time_delta);
    return at;
}

/* The row at `at`, of a frame with heads. */
static inline void frame_row_checked(const struct frame *frame, const uint8_t *at,
                                     struct frame_row *out)
{
    uint64_t suffix_length, value_length, to_delta;
    const uint8_t flags = at[0];
    assert(frame->heads != NULL);
    at = frame_lengths_checked(at, &suffix_length, &value_length);
    at = frame_numbers_checked(frame, at, out);
    out->to = 0;
    out->expires_us = 0;
    out->kind = flags & FRAME_ROW_KIND;
    if ((flags & FRAME_ROW_TO) != 0) {
        at = frame_read_varint_checked(at, &to_delta);
        out->to = out->from + to_delta;
    }
    if ((flags & FRAME_ROW_EXPIRES) != 0) {
        out->expires_us = (int64_t)load_u64(at);
        at += sizeof(uint64_t);
    }
    out->suffix = bytes_of(at, (size_t)suffix_length);
    out->value = bytes_of(at + suffix_length, (size_t)value_length);
}

/* Its `from` alone. */
static inline uint64_t frame_row_from_checked(const struct frame *frame, const uint8_t *at)
{
    uint64_t suffix_length, value_length, from_delta;
    assert(frame->heads != NULL);
    at = frame_lengths_checked(at, &suffix_length, &value_length);
    (void)frame_read_varint_checked(at, &from_delta);
    return frame->base_from + from_delta;
}

/* The same of a put that neither ends nor expires, whose first byte is ROW_PUT; nothing else of `out` is
 * set. */
static inline void frame_put_checked(const struct frame *frame, const uint8_t *at,
                                     struct frame_row *out)
{
    uint64_t suffix_length, value_length;
    assert(frame->heads != NULL && at[0] == ROW_PUT);
    at = frame_lengths_checked(at, &suffix_length, &value_length);
    at = frame_numbers_checked(frame, at, out);
    out->suffix = bytes_of(at, (size_t)suffix_length);
    out->value = bytes_of(at + suffix_length, (size_t)value_length);
}

/* Where row `index` of a frame with heads begins. */
static inline const uint8_t *frame_row_place(const struct frame *frame, unsigned index)
{
    assert(frame->heads != NULL && index < frame->row_count);
    return frame->bytes.data + load_u16(frame->offsets + (size_t)index * FRAME_OFFSET_SIZE);
}

/* frame_row_at, inlined: false if it would fail. */
static inline bool frame_take_row_at(const struct frame *frame, unsigned index,
                                     struct frame_row *out)
{
    struct frame_fields fields;
    if (frame->heads != NULL) {
        frame_row_checked(frame, frame_row_place(frame, index), out);
        return true;
    }
    return frame_read_row(frame, index, &fields) && frame_take_row(frame, &fields, out);
}

/* frame_row_at_offset, inlined: false if it would fail. */
static inline bool frame_take_row_at_offset(const struct frame *frame, uint32_t offset,
                                            struct frame_row *out)
{
    const uint32_t rows_end = frame_rows_end(frame);
    if (offset < frame_rows_begin(frame) || offset >= rows_end || offset % FRAME_ROW_ALIGNMENT != 0)
        return false;
    struct frame_fields fields;
    return frame_read_fields(frame->bytes.data + offset, frame->bytes.data + rows_end, &fields) !=
               NULL &&
           frame_take_row(frame, &fields, out);
}

/* What the header of a frame of rows says, of bytes that frame_open has checked: what reading a row by
 * its offset takes, and no more. */
static inline void frame_checked(const uint8_t *header, struct frame *out)
{
    out->bytes.data = header;
    out->prefix = bytes_of(header + FRAME_HEADER_SIZE, load_u16(header + 18));
    out->base_from = load_u64(header + 24);
    out->base_time = (int64_t)load_u64(header + 32);
    out->used = load_u32(header + 12);
    out->row_count = load_u16(header + 16);
    out->kind = header[8];
}

#endif
