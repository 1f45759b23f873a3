#include "core/copy.h"
#include "core/prefetch.h"
#include "format/frame.h"
#include "format/place.h"
#include "layout/key.h"

#include <assert.h>

/* Frames grow beyond their target while more than this part of their units would stay empty, up to so
 * many times the target. */
enum { FRAME_SLACK_SHARE = 8, FRAME_GROWTH_MAX = 4 };

/* Behind so many bytes of a value the processor sees by itself where copying leads. */
enum { FRAME_PREFETCH_MAX = 1024 };

/* A row waiting in a builder. */
struct staged_row {
    const uint8_t *value; /* Borrowed; NULL: in the builder's bytes, */
    size_t value_at;      /* here. */
    size_t key_at;        /* In the builder's bytes. */
    uint32_t key_length;
    uint32_t value_length;
    uint64_t from;
    uint64_t to;
    int64_t time_us;
    int64_t expires_us;
    uint16_t offset; /* In the finished frame. */
    uint8_t kind;
};

static inline size_t frame_size_aligned(size_t size)
{
    return (size + FRAME_ROW_ALIGNMENT - 1) & ~(size_t)(FRAME_ROW_ALIGNMENT - 1);
}

static inline size_t frame_varint_size(uint64_t value)
{
    size_t size = 1;
    for (; value >= 0x80; value >>= 7)
        size++;
    return size;
}

/* Whether two runs of `length` bytes are equal: a few words, mostly. */
static inline bool frame_equal(const uint8_t *a, const uint8_t *b, size_t length)
{
    if (length < 8)
        return length == 0 || memcmp(a, b, length) == 0;
    for (size_t at = 0; at + 8 <= length; at += 8) {
        if (load_u64(a + at) != load_u64(b + at))
            return false;
    }
    return load_u64(a + length - 8) == load_u64(b + length - 8);
}

/* Bytes that `a` and `b` both begin with, at most `limit`. */
static inline size_t frame_shared_prefix(struct bytes a, struct bytes b, size_t limit)
{
    assert(limit <= a.length);
    limit = limit < b.length ? limit : b.length;
    if (frame_equal(a.data, b.data, limit))
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
    return bytes_of(builder->bytes.data + row->key_at, row->key_length);
}

static void frame_builder_check(const struct frame_builder *builder)
{
    assert(builder->rows.length == builder->row_count * sizeof(struct staged_row));
    assert(builder->kept_count <= builder->row_count);
    assert(builder->bytes.length <= builder->sums.key_bytes + builder->sums.value_bytes);
    assert(builder->row_count * builder->sums.prefix_length <= builder->sums.key_bytes);
    assert(builder->sums.min_from <= builder->sums.max_from);
    assert(builder->sums.min_time <= builder->sums.max_time);
    (void)builder;
}

/* At least what finish would write of so many rows before padding. A row's `from` and time take no
 * more bytes than the widest distance does, the length of its suffix no more than that of its key. */
static size_t frame_sums_bound(const struct frame_sums *sums, unsigned row_count)
{
    size_t size = frame_size_aligned(FRAME_HEADER_SIZE + sums->prefix_length);
    size += sums->key_bytes - row_count * sums->prefix_length;
    size += sums->value_bytes + sums->field_bytes + row_count * (sums->wide_bytes + 2);
    /* Rows are padded alike if they are of one size but for whole steps. */
    for (size_t residue = 0; residue < FRAME_ROW_ALIGNMENT; residue++) {
        const size_t row_size = residue + sums->wide_bytes - sums->prefix_length;
        size += sums->residues[residue] * (((size_t)0 - row_size) % FRAME_ROW_ALIGNMENT);
    }
    return size;
}

static size_t frame_builder_size_bound(const struct frame_builder *builder)
{
    return frame_sums_bound(&builder->sums, builder->row_count);
}

/* Widens the distances that rows of a frame have at most. */
static inline void frame_sums_widen(struct frame_sums *sums, const struct row *row)
{
    if (row->from >= sums->min_from && row->from <= sums->max_from &&
        row->time_us >= sums->min_time && row->time_us <= sums->max_time)
        return;
    sums->min_from = row->from < sums->min_from ? row->from : sums->min_from;
    sums->max_from = row->from > sums->max_from ? row->from : sums->max_from;
    sums->min_time = row->time_us < sums->min_time ? row->time_us : sums->min_time;
    sums->max_time = row->time_us > sums->max_time ? row->time_us : sums->max_time;
    const uint64_t time_span = (uint64_t)sums->max_time - (uint64_t)sums->min_time;
    sums->wide_bytes =
        frame_varint_size(sums->max_from - sums->min_from) + frame_varint_size(time_span);
}

/* Adds `row`, which comes behind `row_count` others of which the first has the key `first`. */
static inline void frame_sums_add(struct frame_sums *sums, unsigned row_count, struct bytes first,
                                  const struct row *row)
{
    if (row_count == 0) {
        sums->prefix_length = row->key.length;
        sums->min_from = sums->max_from = row->from;
        sums->min_time = sums->max_time = row->time_us;
        sums->wide_bytes = 2;
    } else {
        sums->prefix_length = frame_shared_prefix(first, row->key, sums->prefix_length);
        frame_sums_widen(sums, row);
    }
    const size_t field_bytes = 1 + frame_varint_size(row->key.length) +
                               frame_varint_size(row->value.length) +
                               (row->to != 0 ? frame_varint_size(row->to - row->from) : 0) +
                               (row->expires_us != 0 ? 8 : 0);
    sums->key_bytes += row->key.length;
    sums->value_bytes += row->value.length;
    sums->field_bytes += field_bytes;
    sums->residues[(field_bytes + row->key.length + row->value.length) % FRAME_ROW_ALIGNMENT]++;
}

static struct bytes frame_builder_first_key(const struct frame_builder *builder)
{
    return builder->row_count == 0 ? (struct bytes){0} : staged_key(builder, staged_rows(builder));
}

static void frame_builder_empty(struct frame_builder *builder)
{
    buffer_truncate(&builder->rows, 0);
    buffer_truncate(&builder->bytes, 0);
    builder->row_count = 0;
    builder->kept_count = 0;
    builder->sums = (struct frame_sums){.prefix_length = 0};
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

/* Whether the builder's rows, which add up to `sums`, and one more, with which they add up to `grown`,
 * should be one frame. */
static bool frame_builder_takes(const struct frame_builder *builder, const struct frame_sums *grown,
                                const struct frame_sums *sums)
{
    if (builder->row_count == 0)
        return true;
    if (builder->row_count == FRAME_ROWS_MAX)
        return false;
    const size_t size = frame_sums_bound(grown, builder->row_count + 1);
    if (size <= builder->frame_size)
        return true;
    return size <= FRAME_BYTES_MAX && size <= builder->frame_size * FRAME_GROWTH_MAX &&
           !frame_builder_fills_units(builder, frame_sums_bound(sums, builder->row_count));
}

bool frame_builder_fits(const struct frame_builder *builder, const struct row *row)
{
    struct frame_sums grown = builder->sums;
    frame_sums_add(&grown, builder->row_count, frame_builder_first_key(builder), row);
    return frame_builder_takes(builder, &grown, &builder->sums);
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

/* Stages `row`, which the sums count already. */
static strata_status frame_builder_stage(struct frame_builder *builder, const struct row *row)
{
    const bool borrowed = row->value.length > FRAME_COPIED_MAX;
    const size_t copied = borrowed ? 0 : row->value.length;
    uint8_t *to;
    TRY(buffer_reserve(&builder->bytes, row->key.length + copied));
    TRY(buffer_extend(&builder->rows, sizeof(struct staged_row), &to));
    struct staged_row *staged = (struct staged_row *)(void *)to;
    *staged = (struct staged_row){
        .value = borrowed ? row->value.data : NULL,
        .value_at = builder->bytes.length + row->key.length,
        .key_at = builder->bytes.length,
        .key_length = (uint32_t)row->key.length,
        .value_length = (uint32_t)row->value.length,
        .from = row->from,
        .to = row->to,
        .time_us = row->time_us,
        .expires_us = row->expires_us,
        .kind = row->kind,
    };
    to = builder->bytes.data + builder->bytes.length;
    copy_short(to, row->key.data, row->key.length);
    copy_short(to + row->key.length, row->value.data, copied);
    if (borrowed)
        prefetch_bytes(row->value.data, row->value.length < FRAME_PREFETCH_MAX
                                            ? row->value.length
                                            : (size_t)FRAME_PREFETCH_MAX);
    builder->bytes.length += row->key.length + copied;
    builder->row_count++;
    return STRATA_OK;
}

strata_status frame_builder_offer(struct frame_builder *builder, const struct row *row, bool *taken)
{
    frame_builder_check(builder);
    frame_builder_check_row(builder, row);
    const struct frame_sums sums = builder->sums;
    frame_sums_add(&builder->sums, builder->row_count, frame_builder_first_key(builder), row);
    *taken = frame_builder_takes(builder, &builder->sums, &sums);
    const strata_status status = *taken ? frame_builder_stage(builder, row) : STRATA_OK;
    if (!*taken || status != STRATA_OK)
        builder->sums = sums;
    return status;
}

strata_status frame_builder_add(struct frame_builder *builder, const struct row *row)
{
    bool taken;
    assert(frame_builder_fits(builder, row));
    const strata_status status = frame_builder_offer(builder, row, &taken);
    assert(taken);
    return status;
}

strata_status frame_builder_keep(struct frame_builder *builder)
{
    frame_builder_check(builder);
    struct staged_row *const rows = staged_rows(builder);
    for (; builder->kept_count < builder->row_count; builder->kept_count++) {
        struct staged_row *row = rows + builder->kept_count;
        if (row->value == NULL)
            continue;
        row->value_at = builder->bytes.length;
        TRY(buffer_append(&builder->bytes, bytes_of(row->value, row->value_length)));
        row->value = NULL;
    }
    return STRATA_OK;
}

/* varint_encode, inlined: returns where it ends. */
static inline uint8_t *frame_put_varint(uint8_t *to, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        *to++ = (uint8_t)(value | 0x80);
    *to++ = (uint8_t)value;
    return to;
}

/* Zeros up to a multiple of FRAME_ROW_ALIGNMENT, for which there is room for a whole step. */
static inline uint8_t *frame_pad(const uint8_t *frame, uint8_t *to)
{
    store_u32(to, 0);
    return to + ((size_t)(frame - to) & (FRAME_ROW_ALIGNMENT - 1));
}

/* Writes one row and returns where it ends. */
static inline uint8_t *staged_row_write(const struct frame_builder *builder,
                                        const struct staged_row *row, uint8_t *to)
{
    const size_t prefix_length = builder->sums.prefix_length;
    const size_t suffix_length = row->key_length - prefix_length;
    const uint8_t *bytes = builder->bytes.data;
    *to++ = (uint8_t)(row->kind | (row->to != 0 ? 0x10 : 0) | (row->expires_us != 0 ? 0x20 : 0));
    to = frame_put_varint(to, suffix_length);
    to = frame_put_varint(to, row->value_length);
    to = frame_put_varint(to, row->from - builder->sums.min_from);
    to = frame_put_varint(to, (uint64_t)row->time_us - (uint64_t)builder->sums.min_time);
    if (row->to != 0)
        to = frame_put_varint(to, row->to - row->from);
    if (row->expires_us != 0) {
        store_u64(to, (uint64_t)row->expires_us);
        to += 8;
    }
    copy_short(to, bytes + row->key_at + prefix_length, suffix_length);
    to += suffix_length;
    if (row->value_length > 0)
        memcpy(to, row->value != NULL ? row->value : bytes + row->value_at, row->value_length);
    return to + row->value_length;
}

/* Writes prefix, rows and offsets behind the header; returns the bytes used from `frame`. */
static size_t frame_builder_write(const struct frame_builder *builder, uint8_t *frame)
{
    struct staged_row *const rows = staged_rows(builder);
    uint8_t *to = frame + FRAME_HEADER_SIZE;
    const size_t prefix_length = builder->sums.prefix_length;
    if (prefix_length > 0)
        memcpy(to, staged_key(builder, rows).data, prefix_length);
    to = frame_pad(frame, to + prefix_length);
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
    TRY(buffer_extend(out, size_max + FRAME_ROW_ALIGNMENT, &frame));

    const size_t used = frame_builder_write(builder, frame);
    const size_t units = frame_units_needed(used, builder->unit_size);
    const size_t size = units * builder->unit_size;
    assert(used <= bound);
    assert(size <= FRAME_BYTES_MAX || builder->row_count == 1);
    assert(units <= UINT16_MAX);
    memset(frame + used, 0, size - used);
    buffer_truncate(out, out->length - (size_max + FRAME_ROW_ALIGNMENT - size));

    frame[8] = builder->kind;
    frame[9] = 0;
    store_u16(frame + 10, (uint16_t)units);
    store_u32(frame + 12, (uint32_t)used);
    store_u16(frame + 16, (uint16_t)builder->row_count);
    store_u16(frame + 18, (uint16_t)builder->sums.prefix_length);
    store_u32(frame + 20, 0);
    store_u64(frame + 24, builder->sums.min_from);
    store_u64(frame + 32, (uint64_t)builder->sums.min_time);
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
