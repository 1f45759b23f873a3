#include "format/frame.h"

#include "core/varint.h"
#include "format/part.h"
#include "format/place.h"
#include "layout/key.h"

#include <assert.h>
#include <inttypes.h>

enum {
    FRAME_OFFSET_SIZE = 2,
    FRAME_ROW_SIZE_MIN = 5, /* The kind and four varints. */
    FRAME_ROW_KIND = 0x0f,
    FRAME_ROW_TO = 0x10,
    FRAME_ROW_EXPIRES = 0x20
};
static_assert(STORAGE_KEY_SIZE_MAX <= UINT16_MAX - FRAME_HEADER_SIZE,
              "behind the longest prefix, a row's offset still fits in 16 bits");
static_assert(FRAME_ROWS_MAX < 1 << PART_ROW_BITS, "buckets can name every row");

uint32_t frame_units_claimed(const uint8_t *header)
{
    const uint32_t units = load_u16(header + 10);
    return units > 0 ? units : 1;
}

static strata_status frame_check_rows(const struct frame *frame)
{
    if (frame->row_count == 0 || frame->row_count > FRAME_ROWS_MAX)
        return failure(STRATA_CORRUPT, "frame has %u rows", (unsigned)frame->row_count);
    if (frame->row_count > 1 && frame->units > 1)
        return failure(STRATA_CORRUPT, "frame of %u rows has %u units", (unsigned)frame->row_count,
                       (unsigned)frame->units);
    if (frame->prefix.length > STORAGE_KEY_SIZE_MAX)
        return failure(STRATA_CORRUPT, "frame's prefix has %zu bytes", frame->prefix.length);
    const size_t row_bytes = (size_t)frame->row_count * (FRAME_ROW_SIZE_MIN + FRAME_OFFSET_SIZE);
    if (FRAME_HEADER_SIZE + frame->prefix.length + row_bytes > frame->used)
        return failure(STRATA_CORRUPT, "frame's prefix and %u rows are not in %" PRIu32 " bytes",
                       (unsigned)frame->row_count, frame->used);
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
    const struct frame frame = {
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
    *out = frame;
    return STRATA_OK;
}

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

static inline bool frame_read_varint(const uint8_t **at, const uint8_t *end, uint64_t *out)
{
    const uint8_t *const from = *at;
    if (from < end && *from < 0x80) {
        *out = *from;
        *at = from + 1;
        return true;
    }
    struct bytes rest = bytes_of(from, (size_t)(end - from));
    if (varint_decode(&rest, out) != STRATA_OK)
        return false;
    *at = rest.data;
    return true;
}

/* Every row reaches from its offset to that of the next, the last one to the offsets. */
static inline bool frame_find_row(const struct frame *frame, unsigned index, const uint8_t **at,
                                  const uint8_t **end)
{
    const uint32_t offsets = frame->used - (uint32_t)frame->row_count * FRAME_OFFSET_SIZE;
    const uint8_t *const offset = frame->bytes.data + offsets + (size_t)index * FRAME_OFFSET_SIZE;
    const uint32_t first = load_u16(offset);
    const uint32_t last =
        index + 1 < frame->row_count ? load_u16(offset + FRAME_OFFSET_SIZE) : offsets;
    if (first < FRAME_HEADER_SIZE + frame->prefix.length || first >= last || last > offsets)
        return false;
    *at = frame->bytes.data + first;
    *end = frame->bytes.data + last;
    return true;
}

static inline bool frame_read_fields(const struct frame *frame, unsigned index,
                                     struct frame_fields *out)
{
    const uint8_t *at, *end;
    if (!frame_find_row(frame, index, &at, &end))
        return false;

    uint64_t suffix_length, value_length;
    const uint8_t flags = *at++;
    if (!frame_read_varint(&at, end, &suffix_length) ||
        !frame_read_varint(&at, end, &value_length) ||
        !frame_read_varint(&at, end, &out->from_delta) ||
        !frame_read_varint(&at, end, &out->time_delta))
        return false;
    out->to_delta = 0;
    if ((flags & FRAME_ROW_TO) != 0 && !frame_read_varint(&at, end, &out->to_delta))
        return false;
    out->expires_us = 0;
    if ((flags & FRAME_ROW_EXPIRES) != 0) {
        if (end - at < 8)
            return false;
        out->expires_us = (int64_t)load_u64(at);
        at += 8;
    }

    const size_t left = (size_t)(end - at);
    if (suffix_length > left || value_length != left - suffix_length)
        return false;
    out->suffix = at;
    out->suffix_length = (size_t)suffix_length;
    out->value_length = (size_t)value_length;
    out->flags = flags;
    return true;
}

/* What is wrong with the length of a key, or NULL. */
static inline const char *frame_key_fault(const struct frame *frame, size_t length, uint8_t kind)
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
static inline const char *frame_number_fault(const struct frame *frame,
                                             const struct frame_fields *fields)
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

strata_status frame_row_at(const struct frame *frame, unsigned index, struct frame_row *out)
{
    assert(index < frame->row_count);

    struct frame_fields fields;
    if (!frame_read_fields(frame, index, &fields))
        return failure(STRATA_CORRUPT, "row %u of the frame is not inside its bounds", index);

    const uint8_t kind = fields.flags & FRAME_ROW_KIND;
    const struct bytes value = bytes_of(fields.suffix + fields.suffix_length, fields.value_length);
    const char *fault = frame_number_fault(frame, &fields);
    if (fault == NULL)
        fault = frame_key_fault(frame, frame->prefix.length + fields.suffix_length, kind);
    if (fault == NULL && (fields.flags & ~(FRAME_ROW_KIND | FRAME_ROW_TO | FRAME_ROW_EXPIRES)) != 0)
        fault = "it has unknown flags";
    if (fault == NULL && !row_value_valid(kind, value))
        fault = "its kind is unknown or its value not one of its kind";
    if (fault != NULL)
        return failure(STRATA_CORRUPT, "row %u of the frame: %s", index, fault);

    const uint64_t from = frame->base_from + fields.from_delta;
    *out = (struct frame_row){
        .suffix = bytes_of(fields.suffix, fields.suffix_length),
        .value = value,
        .from = from,
        .to = (fields.flags & FRAME_ROW_TO) != 0 ? from + fields.to_delta : 0,
        .time_us = (int64_t)((uint64_t)frame->base_time + fields.time_delta),
        .expires_us = fields.expires_us,
        .kind = kind,
    };
    return STRATA_OK;
}

strata_status frame_lower_bound(const struct frame *frame, struct bytes key, uint64_t from,
                                unsigned *out)
{
    assert(frame->row_count > 0);

    /* All keys begin with the prefix, so it alone may decide, and otherwise need not be looked at
     * again. */
    const struct bytes prefix = frame->prefix;
    const size_t shared = key.length < prefix.length ? key.length : prefix.length;
    const int order = shared == 0 ? 0 : memcmp(key.data, prefix.data, shared);
    if (order != 0 || key.length < prefix.length) {
        *out = order > 0 ? frame->row_count : 0;
        return STRATA_OK;
    }

    const struct bytes rest = bytes_after(key, prefix.length);
    unsigned low = 0, high = frame->row_count;
    while (low < high) {
        const unsigned middle = low + (high - low) / 2;
        struct frame_fields fields;
        if (!frame_read_fields(frame, middle, &fields) ||
            fields.from_delta > UINT64_MAX - frame->base_from)
            return failure(STRATA_CORRUPT, "row %u of the frame is not inside its bounds", middle);
        if (row_order(bytes_of(fields.suffix, fields.suffix_length),
                      frame->base_from + fields.from_delta, rest, from) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *out = low;
    return STRATA_OK;
}
