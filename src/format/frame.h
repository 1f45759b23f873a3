/* Frames: the checksummed blocks that a part is made of.
 *
 * A part is an array of units, a power of two from 4,096 to 65,536 bytes each. A frame fills as many
 * whole units as it needs: one of several rows at most FRAME_BYTES_MAX bytes, one of a single row
 * what that takes, one of buckets or a footer one unit.
 *
 *     0   u64 checksum      place_checksum of all the frame's bytes, padding included
 *     8   u8  kind          enum frame_kind
 *     9   u8  transform     0; others are reserved for encryption and compression
 *     10  u16 units         at least 1
 *     12  u32 used          bytes before the padding, which is zero
 *     16  u16 row count     at most FRAME_ROWS_MAX
 *     18  u16 prefix length what all keys begin with
 *     20  u32 zero
 *     24  u64 base from     the least `from` of the rows
 *     32  i64 base time     the least time of the rows
 *     40  prefix, rows; then at used - 2 * rows: u16 offset of each row from the frame's start
 *
 * Behind the prefix and behind each row are zeros up to a multiple of 4. A row tells where it ends, so
 * that it can be read from its offset alone:
 *
 *     u8      kind | 0x10 if it has `to` | 0x20 if it expires
 *     varint  length of the key after the prefix
 *     varint  length of the value
 *     varint  from - base from
 *     varint  time - base time
 *     varint  to - from, at least 1, if it has one
 *     i64     expires, if it does
 *     key after the prefix, value
 *
 * Bucket frames and footers have no rows: their content starts at FRAME_HEADER_SIZE (buckets: at
 * 64) and their row fields are zero. All integers are little-endian. */
#ifndef STRATA_FORMAT_FRAME_H
#define STRATA_FORMAT_FRAME_H

#include "core/buffer.h"
#include "format/row.h"

enum {
    FRAME_HEADER_SIZE = 40,
    FRAME_UNIT_SIZE_MIN = 4096,
    FRAME_UNIT_SIZE_MAX = 65536,
    FRAME_BYTES_MAX = 65536, /* Of a frame of several rows: offsets have 16 bits. */
    FRAME_ROW_ALIGNMENT = 4,
    FRAME_ROW_SPACE_MIN = 10, /* The kind and four varints, padded, and an offset. */
    FRAME_ROWS_MAX = (FRAME_BYTES_MAX - FRAME_HEADER_SIZE) / FRAME_ROW_SPACE_MIN
};

enum frame_kind {
    FRAME_ROWS = 1,
    FRAME_INDEX = 2,     /* Rows whose value is a struct index_entry, format/part.h. */
    FRAME_DIRECTORY = 3, /* Rows whose value is a struct slice_entry. */
    FRAME_BUCKETS = 4,
    FRAME_FOOTER = 5,
    FRAME_VALUES = 7 /* Reserved: values that rows of kind ROW_SHARED_VALUE name. */
};

/* A frame whose checksum and header have been checked. Borrows the bytes, and the heads. */
struct frame {
    struct bytes bytes; /* All units. */
    struct bytes prefix;
    uint64_t base_from;
    int64_t base_time;
    uint32_t used;
    uint16_t units;
    uint16_t row_count;
    uint8_t kind;
    bool alike;               /* With heads: those of the stem are all the same. */
    const uint8_t *offsets;   /* Of its rows: in its bytes, or a copy. NULL if it has no rows. */
    const uint64_t *heads;    /* NULL: none. With them, every row has been checked. */
    const uint32_t *children; /* With heads, of an index: the unit of each child. */
    struct bytes stem;
    uint16_t stem_first;
    uint16_t stem_end;
};

/* One row inside a frame; its key is the frame's prefix, then `suffix`. */
struct frame_row {
    struct bytes suffix;
    struct bytes value;
    uint64_t from;
    uint64_t to;
    int64_t time_us;
    int64_t expires_us;
    uint8_t kind;
};

/* The units a frame says it has, from its first FRAME_HEADER_SIZE bytes, unchecked; at least 1. */
uint32_t frame_units_claimed(const uint8_t *header);

/* Checks `bytes`, one whole frame of units of `unit_size`, against the seed of its place. Fails with
 * STRATA_CORRUPT, message without the object's name (the caller adds it), STRATA_UNSUPPORTED for a
 * transform or a kind that is reserved. */
STRATA_CHECKED strata_status frame_open(struct bytes bytes, size_t unit_size, uint64_t seed,
                                        struct frame *out);

/* The row as all layers above see it; `key` is the whole key. */
static inline struct row frame_row_whole(const struct frame_row *row, struct bytes key)
{
    return (struct row){
        .key = key,
        .value = row->value,
        .from = row->from,
        .to = row->to,
        .time_us = row->time_us,
        .expires_us = row->expires_us,
        .kind = row->kind,
    };
}

/* Row `index` < row_count. Every bound is checked, whatever the bytes are. Fails with STRATA_CORRUPT,
 * STRATA_UNSUPPORTED for a reserved kind of row. */
STRATA_CHECKED strata_status frame_row_at(const struct frame *frame, unsigned index,
                                          struct frame_row *out);

/* The row at `offset`, which may be any number, of a frame that has rows. As frame_row_at, but that
 * a row is there is for the caller to know: bytes inside a row may look like one. */
STRATA_CHECKED strata_status frame_row_at_offset(const struct frame *frame, uint32_t offset,
                                                 struct frame_row *out);

/* The offset of row `index` of a frame of rows, as its offsets say: trusted bytes only. */
uint32_t frame_row_offset(const uint8_t *frame, unsigned index);

/* The first row at or after (key, from) in row order; row_count if there is none. */
STRATA_CHECKED strata_status frame_lower_bound(const struct frame *frame, struct bytes key,
                                               uint64_t from, unsigned *out);

/* For a frame whose bytes have been copied to `to`. It has no heads there. */
void frame_move(struct frame *frame, const uint8_t *to);

/* Frames of fewer rows are as quick to search without heads. And behind the rows of such a frame lie
 * at least eight bytes, their offsets, so that reading a row eight bytes at a time stays inside it. */
enum { FRAME_HEADED_ROWS_MIN = 4 };

/* Makes reading a frame of rows quicker. Puts beside it, for each row, the first eight bytes of its key
 * after the prefix and the stem, with zeros behind, as a big-endian number; behind these, of an index,
 * the units of the children; then a copy of the offsets. And checks every row, so that nobody has to
 * again. The stem is for frames whose first or last rows are of another slice, or of other kinds of
 * keys, than all others: their common prefix is short, and what follows it nearly always the same.
 * Does nothing if a row cannot be read, or there are too few. `to` has frame_heads_size bytes and is
 * aligned to 8. */
void frame_add_heads(struct frame *frame, void *to);

/* Of a frame of FRAME_HEADED_ROWS_MIN rows or more. */
static inline size_t frame_heads_size(enum frame_kind kind, size_t row_count)
{
    const size_t child_size = kind == FRAME_INDEX ? sizeof(uint32_t) : 0;
    return row_count * (sizeof(uint64_t) + child_size + sizeof(uint16_t));
}

/* The same as frame_lower_bound, and sooner if it is at row `near` <= row_count or a little behind it. */
STRATA_CHECKED strata_status frame_lower_bound_near(const struct frame *frame, struct bytes key,
                                                    uint64_t from, unsigned near, unsigned *out);

/* Checks what reading rows does not need, and so leaves out: that all padding is zero. */
STRATA_CHECKED strata_status frame_check_padding(const struct frame *frame);

/* What the rows of a frame add up to. */
struct frame_sums {
    size_t prefix_length; /* That all keys share. */
    size_t key_bytes;
    size_t value_bytes;
    size_t field_bytes;
    size_t wide_bytes; /* At most these a row for `from` and time. */
    uint64_t min_from, max_from;
    int64_t min_time, max_time;
    unsigned residues[FRAME_ROW_ALIGNMENT]; /* Rows, by their size but for prefix, from and time. */
};

/* Collects rows in order until a frame is full. Keys are copied and so are values of up to
 * FRAME_COPIED_MAX bytes; longer ones are borrowed, so that they are copied once, into the frame.
 * Invariant: size_bound is never below what finish would write before padding. */
struct frame_builder {
    const strata_allocator *allocator;
    size_t unit_size;
    size_t frame_size; /* What a frame of several rows should have, about. */
    uint8_t kind;
    struct buffer rows;  /* Staged: an array of struct staged_row, private. */
    struct buffer bytes; /* What was copied. */
    unsigned row_count;
    unsigned kept_count; /* Of these, the first, nothing is borrowed. */
    struct frame_sums sums;
};

enum { FRAME_COPIED_MAX = 64 };

/* `frame_size` is from `unit_size` to FRAME_BYTES_MAX. */
void frame_builder_init(struct frame_builder *builder, const strata_allocator *allocator,
                        size_t unit_size, size_t frame_size, enum frame_kind kind);
void frame_builder_release(struct frame_builder *builder);

/* Whether `row` should be added; always true of an empty builder. A frame has at most `frame_size`
 * bytes, or up to four times as many where less would leave an eighth of its units empty. */
bool frame_builder_fits(const struct frame_builder *builder, const struct row *row);

/* Takes the row, which comes after all others in row order and fits. A value of more than
 * FRAME_COPIED_MAX bytes stays where it is until frame_builder_keep or finish. */
STRATA_CHECKED strata_status frame_builder_add(struct frame_builder *builder,
                                               const struct row *row);

/* The two in one: `*taken` is false, and nothing has happened, if the row should not be added. */
STRATA_CHECKED strata_status frame_builder_offer(struct frame_builder *builder,
                                                 const struct row *row, bool *taken);

/* Copies all that is borrowed: those bytes may go. */
STRATA_CHECKED strata_status frame_builder_keep(struct frame_builder *builder);

/* Appends the frame to `out`, sealed for `seed`, and empties the builder. There is a row. */
STRATA_CHECKED strata_status frame_builder_finish(struct frame_builder *builder, uint64_t seed,
                                                  struct buffer *out, uint32_t *units_out);

/* Appends to `out` a frame of `kind` without rows whose content, after a header padded to
 * `content_offset` (FRAME_HEADER_SIZE or 64), is `content`; in as many units as it needs. */
STRATA_CHECKED strata_status frame_seal_content(enum frame_kind kind, size_t unit_size,
                                                size_t content_offset, struct bytes content,
                                                uint64_t seed, struct buffer *out,
                                                uint32_t *units_out);

#endif
