#include "format/frame.h"

#include "format/frame_row.h"
#include "format/part.h"
#include "format/place.h"

#include <assert.h>
#include <inttypes.h>
#include <limits.h>

static_assert(STORAGE_KEY_SIZE_MAX <= UINT16_MAX - FRAME_HEADER_SIZE - FRAME_ROW_ALIGNMENT,
              "behind the longest prefix, a row's offset still fits in 16 bits");
static_assert(FRAME_BYTES_MAX / FRAME_ROW_ALIGNMENT <= 1 << PART_OFFSET_BITS,
              "buckets can name every row");
static_assert(FRAME_HEADED_ROWS_MIN * FRAME_OFFSET_SIZE >= sizeof(uint64_t),
              "a word that begins in a row ends in the frame");

uint32_t frame_units_claimed(const uint8_t *header)
{
    const uint32_t units = load_u16(header + 10);
    return units > 0 ? units : 1;
}

static strata_status frame_check_rows(const struct frame *frame)
{
    if (frame->row_count == 0 || frame->row_count > FRAME_ROWS_MAX)
        return failure(STRATA_CORRUPT, "frame has %u rows", (unsigned)frame->row_count);
    if (frame->row_count > 1 && frame->bytes.length > FRAME_BYTES_MAX)
        return failure(STRATA_CORRUPT, "frame of %u rows has %zu bytes", (unsigned)frame->row_count,
                       frame->bytes.length);
    if (frame->prefix.length > STORAGE_KEY_SIZE_MAX)
        return failure(STRATA_CORRUPT, "frame's prefix has %zu bytes", frame->prefix.length);
    if (frame_rows_begin(frame) + (size_t)frame->row_count * FRAME_ROW_SPACE_MIN > frame->used)
        return failure(STRATA_CORRUPT, "frame's prefix and %u rows are not in %" PRIu32 " bytes",
                       (unsigned)frame->row_count, frame->used);
    if (frame_rows_end(frame) % FRAME_ROW_ALIGNMENT != 0)
        return failure(STRATA_CORRUPT, "frame's rows end at byte %" PRIu32, frame_rows_end(frame));
    return STRATA_OK;
}

static strata_status frame_check_content(const struct frame *frame)
{
    if (frame->row_count != 0 || frame->prefix.length != 0 || frame->base_from != 0 ||
        frame->base_time != 0)
        return failure(STRATA_CORRUPT, "frame of kind %u has rows", (unsigned)frame->kind);
    if (frame->kind != FRAME_BUCKETS)
        return STRATA_OK;
    if (frame->units != 1 || frame->used < BUCKETS_OFFSET || frame->used % BUCKET_SIZE != 0)
        return failure(STRATA_CORRUPT, "frame of buckets uses %" PRIu32 " bytes of %u units",
                       frame->used, (unsigned)frame->units);
    return STRATA_OK;
}

/* What `used` must be: it ends in the last unit. */
static strata_status frame_check_header(const struct frame *frame, size_t unit_size)
{
    const uint8_t *header = frame->bytes.data;
    if (header[9] != 0)
        return failure(STRATA_UNSUPPORTED, "frame has transform %u, which this library lacks",
                       (unsigned)header[9]);
    if (frame->kind == FRAME_VALUES)
        return failure(STRATA_UNSUPPORTED, "frame holds shared values, which this library lacks");
    if (frame->bytes.length / unit_size != frame->units)
        return failure(STRATA_CORRUPT, "frame of %zu bytes says that it has %u units",
                       frame->bytes.length, (unsigned)frame->units);
    if (frame->used < FRAME_HEADER_SIZE || frame->used > frame->bytes.length ||
        frame->used <= frame->bytes.length - unit_size)
        return failure(STRATA_CORRUPT, "frame of %zu bytes uses %" PRIu32, frame->bytes.length,
                       frame->used);
    if (load_u32(header + 20) != 0)
        return failure(STRATA_CORRUPT, "frame's reserved bytes are not zero");
    if (frame->kind >= FRAME_ROWS && frame->kind <= FRAME_DIRECTORY)
        return frame_check_rows(frame);
    if (frame->kind != FRAME_BUCKETS && frame->kind != FRAME_FOOTER)
        return failure(STRATA_CORRUPT, "frame has unknown kind %u", (unsigned)frame->kind);
    return frame_check_content(frame);
}

strata_status frame_open(struct bytes bytes, size_t unit_size, uint64_t seed, struct frame *out)
{
    assert(unit_size >= FRAME_UNIT_SIZE_MIN);
    assert(unit_size <= FRAME_UNIT_SIZE_MAX);
    assert((unit_size & (unit_size - 1)) == 0);

    if (bytes.length == 0 || bytes.length % unit_size != 0)
        return failure(STRATA_CORRUPT, "frame of %zu bytes is not of units of %zu", bytes.length,
                       unit_size);
    if (load_u64(bytes.data) != place_checksum(bytes, seed))
        return failure(STRATA_CORRUPT, "frame fails its checksum");

    const uint8_t *header = bytes.data;
    struct frame frame = {
        .bytes = bytes,
        .prefix = bytes_of(header + FRAME_HEADER_SIZE, load_u16(header + 18)),
        .base_from = load_u64(header + 24),
        .base_time = (int64_t)load_u64(header + 32),
        .used = load_u32(header + 12),
        .units = load_u16(header + 10),
        .row_count = load_u16(header + 16),
        .kind = header[8],
    };
    TRY(frame_check_header(&frame, unit_size));
    if (frame.row_count > 0)
        frame.offsets = bytes.data + frame_rows_end(&frame);
    *out = frame;
    return STRATA_OK;
}

const uint8_t *frame_read_varint_slowly(const uint8_t *at, const uint8_t *end, uint64_t *out)
{
    uint64_t value = 0;
    unsigned shift = 0;
    uint8_t byte;
    do {
        if (at == end || shift == 7 * VARINT_SIZE_MAX)
            return NULL;
        byte = *at++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        shift += 7;
    } while (byte >= 0x80);
    if (shift > 7 && (byte == 0 || (shift == 7 * VARINT_SIZE_MAX && byte > 1)))
        return NULL;
    *out = value;
    return at;
}

const uint8_t *frame_read_long_varint(const uint8_t *at, uint64_t *out)
{
    const uint64_t bytes = load_u64(at);
    const uint64_t stops = ~bytes & 0x8080808080808080;
    if (stops == 0)
        return frame_read_varint_slowly(at, at + VARINT_SIZE_MAX, out);
    *out = varint_join(bytes & (stops ^ (stops - 1)));
    return at + (unsigned)__builtin_ctzll(stops) / 8 + 1;
}

uint32_t frame_row_offset(const uint8_t *frame, unsigned index)
{
    const uint32_t row_count = load_u16(frame + 16);
    assert(index < row_count);
    return load_u16(frame + load_u32(frame + 12) - (row_count - index) * FRAME_OFFSET_SIZE);
}

/* What is wrong with the length of a key, or NULL. */
static const char *frame_key_fault(const struct frame *frame, size_t length, uint8_t kind)
{
    if (length > STORAGE_KEY_SIZE_MAX)
        return "its key is too long";
    if (frame->kind == FRAME_INDEX)
        return NULL;
    if (length < KEY_PREFIX_SIZE)
        return "its key is too short";
    if (frame->kind == FRAME_DIRECTORY)
        return length > KEY_PREFIX_SIZE ? "its key is too long for a directory" : NULL;
    return (length == KEY_PREFIX_SIZE) == (kind == ROW_RANGE_DELETE)
               ? NULL
               : "the empty key is for range deletions, and they for it";
}

/* What is wrong with the numbers of a row, or NULL. */
static const char *frame_number_fault(const struct frame *frame, const struct frame_fields *fields)
{
    if (fields->from_delta > UINT64_MAX - frame->base_from)
        return "its version is over 64 bits";
    /* Modulo 2^64, this is the true distance to the greatest time. */
    if (fields->time_delta > (uint64_t)INT64_MAX - (uint64_t)frame->base_time)
        return "its time is over 63 bits";
    if ((fields->flags & FRAME_ROW_TO) != 0 &&
        (fields->to_delta == 0 ||
         fields->to_delta > UINT64_MAX - frame->base_from - fields->from_delta))
        return "it ends before it begins";
    if ((fields->flags & FRAME_ROW_EXPIRES) != 0 && fields->expires_us == 0)
        return "it expires at 0, which means never";
    return NULL;
}

/* Fails for what is wrong with a row whose first byte is `flags`. */
static strata_status frame_refuse_row(uint8_t flags, const char *fault)
{
    const char *reserved = row_kind_reserved(flags & FRAME_ROW_KIND);
    if (reserved != NULL)
        return failure(STRATA_UNSUPPORTED, "frame has rows for %s, which this library lacks",
                       reserved);
    return failure(STRATA_CORRUPT, "a row of the frame is wrong: %s", fault);
}

/* Fails for row `index`, which could not be read. */
static strata_status frame_refuse_unread(const struct frame *frame, unsigned index)
{
    const uint8_t *at, *end;
    return frame_refuse_row(frame_find_row(frame, index, &at, &end) ? *at : 0,
                            "it is not inside its bounds");
}

/* Fails for a row whose fields are not to be believed. */
static strata_status frame_refuse_fields(const struct frame *frame,
                                         const struct frame_fields *fields)
{
    const uint8_t kind = fields->flags & FRAME_ROW_KIND;
    const char *fault = frame_number_fault(frame, fields);
    if (fault == NULL)
        fault = frame_key_fault(frame, frame->prefix.length + fields->suffix_length, kind);
    if (fault == NULL &&
        (fields->flags & ~(FRAME_ROW_KIND | FRAME_ROW_TO | FRAME_ROW_EXPIRES)) != 0)
        fault = "it has unknown flags";
    if (fault == NULL)
        fault = "its kind is unknown or its value not one of its kind";
    return frame_refuse_row(fields->flags, fault);
}

strata_status frame_row_at(const struct frame *frame, unsigned index, struct frame_row *out)
{
    assert(index < frame->row_count);
    struct frame_fields fields;
    if (frame->heads != NULL) {
        frame_row_checked(frame, frame_row_place(frame, index), out);
        return STRATA_OK;
    }
    if (!frame_read_row(frame, index, &fields))
        return frame_refuse_unread(frame, index);
    return frame_take_row(frame, &fields, out) ? STRATA_OK : frame_refuse_fields(frame, &fields);
}

strata_status frame_row_at_offset(const struct frame *frame, uint32_t offset, struct frame_row *out)
{
    assert(frame->row_count > 0);
    const uint32_t rows_end = frame_rows_end(frame);
    if (offset < frame_rows_begin(frame) || offset >= rows_end || offset % FRAME_ROW_ALIGNMENT != 0)
        return failure(STRATA_CORRUPT, "frame has no row at its byte %" PRIu32, offset);
    struct frame_fields fields;
    const uint8_t *const at = frame->bytes.data + offset;
    if (frame_read_fields(at, frame->bytes.data + rows_end, &fields) == NULL)
        return frame_refuse_row(*at, "it is not inside its bounds");
    return frame_take_row(frame, &fields, out) ? STRATA_OK : frame_refuse_fields(frame, &fields);
}

/* Whether the prefix, with which all keys begin, settles where `key` belongs. If not, `rest` is what
 * is to be compared with the rows. */
static inline bool frame_prefix_settles(const struct frame *frame, struct bytes key,
                                        struct bytes *rest, unsigned *out)
{
    const struct bytes prefix = frame->prefix;
    const size_t shared = key.length < prefix.length ? key.length : prefix.length;
    const int order = shared == 0 ? 0 : memcmp(key.data, prefix.data, shared);
    if (order != 0 || key.length < prefix.length) {
        *out = order > 0 ? frame->row_count : 0;
        return true;
    }
    *rest = bytes_after(key, prefix.length);
    return false;
}

/* Whether row `index` comes before (prefix and `rest`, from). */
static inline strata_status frame_row_before(const struct frame *frame, unsigned index,
                                             struct bytes rest, uint64_t from, bool *out)
{
    struct frame_fields fields;
    if (frame->heads != NULL) {
        struct frame_row row;
        frame_row_checked(frame, frame_row_place(frame, index), &row);
        *out = row_order(row.suffix, row.from, rest, from) < 0;
        return STRATA_OK;
    }
    if (!frame_read_row(frame, index, &fields) || fields.from_delta > UINT64_MAX - frame->base_from)
        return frame_refuse_unread(frame, index);
    *out = row_order(bytes_of(fields.suffix, fields.suffix_length),
                     frame->base_from + fields.from_delta, rest, from) < 0;
    return STRATA_OK;
}

void frame_move(struct frame *frame, const uint8_t *to)
{
    frame->bytes.data = to;
    frame->prefix.data = to + FRAME_HEADER_SIZE;
    if (frame->row_count > 0)
        frame->offsets = to + frame_rows_end(frame);
    frame->heads = NULL;
    frame->children = NULL;
}

static struct bytes frame_suffix_checked(const struct frame *frame, unsigned index)
{
    struct frame_row row;
    frame_row_checked(frame, frame_row_place(frame, index), &row);
    return row.suffix;
}

/* Finds out what the middle three quarters of the rows share, and which rows do. */
static void frame_find_stem(struct frame *frame)
{
    const unsigned first = frame->row_count / 8, last = frame->row_count - 1 - first;
    const struct bytes low = frame_suffix_checked(frame, first);
    const struct bytes high = frame_suffix_checked(frame, last);
    const size_t shorter = low.length < high.length ? low.length : high.length;
    size_t shared = 0;
    while (shared < shorter && low.data[shared] == high.data[shared])
        shared++;
    frame->stem = bytes_of(low.data, shared);
    frame->stem_first = 0;
    frame->stem_end = frame->row_count;
    if (shared == 0)
        return;
    unsigned begin = first, end = last + 1;
    while (begin > 0 && bytes_start_with(frame_suffix_checked(frame, begin - 1), frame->stem))
        begin--;
    while (end < frame->row_count &&
           bytes_start_with(frame_suffix_checked(frame, end), frame->stem))
        end++;
    frame->stem_first = (uint16_t)begin;
    frame->stem_end = (uint16_t)end;
}

/* Whether every row can be read; fills in the heads as they are without a stem, and of an index the
 * units of the children. */
static bool frame_check_all(const struct frame *frame, uint64_t *heads, uint32_t *children)
{
    struct frame_row row;
    struct index_entry entry;
    for (unsigned i = 0; i < frame->row_count; i++) {
        if (!frame_take_row_at(frame, i, &row))
            return false;
        heads[i] = bytes_head(row.suffix);
        if (frame->kind != FRAME_INDEX)
            continue;
        if (index_entry_load(row.value, &entry) != STRATA_OK)
            return false;
        children[i] = entry.unit;
    }
    return true;
}

void frame_add_heads(struct frame *frame, void *to)
{
    assert(frame->row_count > 0);
    assert((uintptr_t)to % sizeof(uint64_t) == 0);
    const bool index = frame->kind == FRAME_INDEX;
    uint64_t *heads = to;
    void *behind = heads + frame->row_count;
    uint32_t *children = behind;
    if (frame->row_count < FRAME_HEADED_ROWS_MIN || !frame_check_all(frame, heads, children))
        return;
    uint8_t *offsets = index ? (uint8_t *)(children + frame->row_count) : behind;
    memcpy(offsets, frame->offsets, (size_t)frame->row_count * FRAME_OFFSET_SIZE);
    frame->heads = heads;
    frame->children = index ? children : NULL;
    frame->offsets = offsets;
    frame_find_stem(frame);
    for (unsigned i = 0; frame->stem.length > 0 && i < frame->row_count; i++) {
        const struct bytes suffix = frame_suffix_checked(frame, i);
        /* In frames of an enemy rows that do not share the stem may lie anywhere. */
        if (bytes_start_with(suffix, frame->stem))
            heads[i] = bytes_head(bytes_after(suffix, frame->stem.length));
        else
            heads[i] = i < frame->stem_first ? 0 : UINT64_MAX;
    }
    frame->alike = heads[frame->stem_first] == heads[frame->stem_end - 1];
}

/* The first of `count` > 0 heads, in order, that is not below `head`; without a branch that depends on
 * them. */
static inline unsigned heads_lower_bound(const uint64_t *heads, size_t count, uint64_t head)
{
    const uint64_t *low = heads;
    while (count > 1) {
        const size_t half = count / 2;
        low += half & (0 - (size_t)(low[half - 1] < head));
        count -= half;
    }
    return (unsigned)(low - heads) + (*low < head);
}

/* The first row of [low, high) at or after (prefix and `rest`, from); `high` if there is none. */
static inline strata_status frame_search(const struct frame *frame, struct bytes rest,
                                         uint64_t from, unsigned low, unsigned high, unsigned *out)
{
    while (low < high) {
        const unsigned middle = low + (high - low) / 2;
        bool before = false;
        TRY(frame_row_before(frame, middle, rest, from, &before));
        if (before)
            low = middle + 1;
        else
            high = middle;
    }
    *out = low;
    return STRATA_OK;
}

/* As frame_search; `probe` in [low, high) goes ahead in growing steps. */
static strata_status frame_search_near(const struct frame *frame, struct bytes rest, uint64_t from,
                                       unsigned low, unsigned high, unsigned probe, unsigned *out)
{
    for (unsigned step = 1; probe < high; step *= 2) {
        bool before = false;
        TRY(frame_row_before(frame, probe, rest, from, &before));
        if (!before) {
            high = probe;
            break;
        }
        low = probe + 1;
        probe = step <= high - low ? low + step - 1 : high;
    }
    return frame_search(frame, rest, from, low, high, out);
}

/* As frame_search; from `guess` in [low, high) in growing steps towards the row, either way. */
static strata_status frame_search_around(const struct frame *frame, struct bytes rest,
                                         uint64_t from, unsigned low, unsigned high, unsigned guess,
                                         unsigned *out)
{
    bool before = false;
    assert(low <= guess && guess < high);
    TRY(frame_row_before(frame, guess, rest, from, &before));
    if (before)
        return frame_search_near(frame, rest, from, guess + 1, high, guess + 1, out);
    high = guess;
    for (unsigned step = 1; low < high && !before; step *= 2) {
        const unsigned probe = step < high - low ? high - step : low;
        TRY(frame_row_before(frame, probe, rest, from, &before));
        if (before)
            low = probe + 1;
        else
            high = probe;
    }
    return frame_search(frame, rest, from, low, high, out);
}

/* Where version `from` would be among rows [low, high), if all were versions of one key and as far
 * from each other. */
static unsigned frame_guess_version(const struct frame *frame, uint64_t from, unsigned low,
                                    unsigned high)
{
    const uint64_t newest = frame_row_from_checked(frame, frame_row_place(frame, low));
    uint64_t span = newest - frame->base_from, back = newest - from;
    if (from >= newest)
        return low;
    if (from <= frame->base_from)
        return high - 1;
    while (span > UINT32_MAX) {
        span >>= 8;
        back >>= 8;
    }
    return low + (unsigned)(back * (high - low) / (span + 1));
}

enum { FRAME_ROWS_BEFORE_GUESS = 8 };

static const unsigned frame_nowhere = UINT_MAX;

/* By heads, and among rows whose heads are those of `rest` by themselves. */
static strata_status frame_search_heads(const struct frame *frame, struct bytes rest, uint64_t from,
                                        unsigned near, unsigned *out)
{
    const struct bytes stem = frame->stem;
    if (stem.length > 0) {
        const size_t shared = rest.length < stem.length ? rest.length : stem.length;
        const int order = memcmp(rest.data, stem.data, shared);
        if (order > 0)
            return frame_search(frame, rest, from, frame->stem_end, frame->row_count, out);
        if (order < 0 || rest.length < stem.length)
            return frame_search(frame, rest, from, 0, frame->stem_first, out);
    }
    const unsigned first = frame->stem_first, end = frame->stem_end;
    const uint64_t head = bytes_head(bytes_after(rest, stem.length));
    const bool alike = frame->alike && frame->heads[first] == head;
    const unsigned low =
        alike ? first : first + heads_lower_bound(frame->heads + first, end - first, head);
    unsigned high = alike ? end : low;
    for (unsigned step = 1; high < end && frame->heads[high] == head; step *= 2)
        high = step < end - high ? high + step : end;
    if (high == low) {
        *out = low;
        return STRATA_OK;
    }
    /* Rows up to `high` may have larger heads: no matter. */
    if (near >= low && near < high)
        return frame_search_near(frame, rest, from, low, high, near, out);
    if (high - low < FRAME_ROWS_BEFORE_GUESS)
        return frame_search(frame, rest, from, low, high, out);
    return frame_search_around(frame, rest, from, low, high,
                               frame_guess_version(frame, from, low, high), out);
}

strata_status frame_lower_bound(const struct frame *frame, struct bytes key, uint64_t from,
                                unsigned *out)
{
    assert(frame->row_count > 0);
    struct bytes rest;
    if (frame_prefix_settles(frame, key, &rest, out))
        return STRATA_OK;
    if (frame->heads != NULL)
        return frame_search_heads(frame, rest, from, frame_nowhere, out);
    return frame_search(frame, rest, from, 0, frame->row_count, out);
}

strata_status frame_lower_bound_near(const struct frame *frame, struct bytes key, uint64_t from,
                                     unsigned near, unsigned *out)
{
    assert(frame->row_count > 0);
    assert(near <= frame->row_count);
    struct bytes rest;
    if (frame_prefix_settles(frame, key, &rest, out))
        return STRATA_OK;

    if (frame->heads != NULL)
        return frame_search_heads(frame, rest, from, near, out);
    return frame_search_near(frame, rest, from, 0, frame->row_count, near, out);
}

static bool frame_all_zero(const uint8_t *from, const uint8_t *to)
{
    for (; from < to; from++) {
        if (*from != 0)
            return false;
    }
    return true;
}

strata_status frame_check_padding(const struct frame *frame)
{
    const uint8_t *const data = frame->bytes.data;
    bool zero = frame_all_zero(data + frame->used, data + frame->bytes.length);
    if (frame->row_count > 0)
        zero = zero && frame_all_zero(data + FRAME_HEADER_SIZE + frame->prefix.length,
                                      data + frame_rows_begin(frame));
    for (unsigned i = 0; i < frame->row_count; i++) {
        const uint8_t *at, *end;
        struct frame_fields fields;
        if (!frame_read_row(frame, i, &fields) || !frame_find_row(frame, i, &at, &end))
            return frame_refuse_unread(frame, i);
        at = fields.suffix + fields.suffix_length + fields.value_length;
        zero = zero && frame_all_zero(at, end);
    }
    return zero ? STRATA_OK : failure(STRATA_CORRUPT, "frame's padding is not zero");
}
