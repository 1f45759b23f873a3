/* One version of one key, as every layer above the bytes sees it. */
#ifndef STRATA_FORMAT_ROW_H
#define STRATA_FORMAT_ROW_H

#include "format/place.h"

enum row_kind {
    ROW_PUT = 1,
    ROW_DELETE = 2,          /* No value. */
    ROW_VALUE_REFERENCE = 3, /* The value is a struct value_reference, 16 bytes. */
    ROW_COUNTER = 4,         /* 8 bytes, little-endian two's complement. */
    ROW_RANGE_DELETE = 5,    /* On the empty user key: the whole storage space. No value. */
    ROW_GROUP = 6,           /* Reserved: several versions in one row. */
    ROW_SHARED_VALUE = 7 /* Reserved: a value among others in an object that rows share. Its value
                              * is u64 object, u32 place (as in a bucket, format/part.h, of a frame of
                              * kind FRAME_VALUES), u32 size; 16 bytes. */
};

/* What a reserved kind of row is for, NULL for all others. */
static inline const char *row_kind_reserved(uint8_t kind)
{
    if (kind == ROW_GROUP)
        return "groups of versions";
    return kind == ROW_SHARED_VALUE ? "shared values" : NULL;
}

/* Values longer than the first have an object of their own; none is longer than the second. */
enum { INLINE_VALUE_SIZE_MAX = 64 * 1024, VALUE_SIZE_MAX = 1 << 30 };

enum { COUNTER_SIZE = 8 };

/* Visible for versions in [from, to). */
struct row {
    struct bytes key; /* Storage key, layout/key.h. */
    struct bytes value;
    uint64_t from;
    uint64_t to; /* 0: open. */
    int64_t time_us;
    int64_t expires_us; /* 0: never. */
    uint8_t kind;       /* enum row_kind */
};

/* Order of rows everywhere: by key, then newest first. */
static inline int row_order(struct bytes a, uint64_t a_from, struct bytes b, uint64_t b_from)
{
    const int order = bytes_compare(a, b);
    return order != 0 ? order : (a_from < b_from) - (a_from > b_from);
}

/* A value in an object of its own: see format/value_object.h. */
struct value_reference {
    uint64_t object;
    uint64_t size; /* Bytes of the value. */
};

enum { VALUE_REFERENCE_SIZE = 16 };

static inline void value_reference_store(uint8_t to[VALUE_REFERENCE_SIZE],
                                         struct value_reference reference)
{
    store_u64(to, reference.object);
    store_u64(to + 8, reference.size);
}

/* `value` has VALUE_REFERENCE_SIZE bytes; whoever decodes a row of this kind has checked that. */
static inline struct value_reference value_reference_load(struct bytes value)
{
    return (struct value_reference){.object = load_u64(value.data),
                                    .size = load_u64(value.data + 8)};
}

/* Whether `value` may stand in a row of `kind`; false for kinds that this format does not have. */
static inline bool row_value_valid(uint8_t kind, struct bytes value)
{
    switch (kind) {
    case ROW_PUT:
        return value.length <= INLINE_VALUE_SIZE_MAX;
    case ROW_DELETE:
    case ROW_RANGE_DELETE:
        return value.length == 0;
    case ROW_COUNTER:
        return value.length == COUNTER_SIZE;
    case ROW_VALUE_REFERENCE: {
        if (value.length != VALUE_REFERENCE_SIZE)
            return false;
        const struct value_reference reference = value_reference_load(value);
        return reference.object <= OBJECT_NUMBER_MAX && reference.size > 0 &&
               reference.size <= VALUE_SIZE_MAX;
    }
    default:
        return false;
    }
}

/* What a row counts for in every decision about sizes: the same on all platforms. */
static inline uint64_t row_charge(const struct row *row)
{
    return row->key.length + row->value.length + 64;
}

#endif
