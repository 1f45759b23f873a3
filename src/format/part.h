/* Parts: the objects that hold rows. A run is an ordered list of parts.
 *
 * A part is frames: rows in order, among them, wherever one filled up, frames of a tree of index
 * rows; then the directory of slices and its tree; then, optionally, bucket frames; last, in one
 * unit, the footer (a part ends before its value list would need more). A child lies before its
 * parent. All counts are of units from the start.
 *
 * Index row (frame kind FRAME_INDEX, row kind put): in row order it is at or before the first row of
 * the child, and behind the last row before that; its `from` is UINT64_MAX unless those two have one
 * key. A leaf without an index row of its own belongs to the leaf before it: whoever does not find a
 * row in a leaf goes on to those behind. Value:
 *
 *     0   u32 unit of the child
 *     4   u64 least `from` in it
 *     12  u64 largest `to` in it, UINT64_MAX if a row that is not a deletion is open, 0 if none
 *
 * Directory row (FRAME_DIRECTORY), one for each (branch, storage space): key is the 12-byte prefix
 * (layout/key.h), `from` the least of the slice, value:
 *
 *     0   u64 rows       8   u64 bytes of keys and values      16  u32 unit of the first row's frame
 *     20  u64 max from   28  u64 max to, as in an index row
 *
 * Buckets: an array of 64-byte buckets over hash64_pair of each distinct key, in frames of one unit
 * whose content starts at 64. Bucket of a hash: (low 32 bits * bucket count) >> 32; a full bucket
 * marks overflow and the next one (cyclic) takes the key.
 *
 *     0   u16 tag[10]   top 16 bits of the hash
 *     20  u32 place[10] unit of the frame << 14 | offset in it / 4: the newest row of the key
 *     60  u8 count      61  u8 overflow   62  u16 zero
 *
 * Footer content, at FRAME_HEADER_SIZE:
 *
 *     0   "STRATAPT"         8   u32 format version    12  u32 unit size
 *     16  u64 part number    24  u64 units             32  u64 rows
 *     40  u64 min from       48  u64 max from          56  u64 max to, as in an index row
 *     64  u64 bytes of keys and values                 72  u8 role   73  u8 0, u16 0, u32 0
 *     80  u32 section count, then 16 bytes each:
 *           u16 kind   u16 1 if required else 0   u32 first unit or root unit   u64 count
 *     then to the end: value objects that rows refer to, each varint object, varint live bytes
 *
 * Sections: SECTION_ROWS (root unit of the index tree, which is the row frame itself if there is
 * only one; count: row frames), SECTION_DIRECTORY (root unit; count: slices), SECTION_BUCKETS (first
 * unit; count: buckets). A reader refuses a required section that it does not know. */
#ifndef STRATA_FORMAT_PART_H
#define STRATA_FORMAT_PART_H

#include "core/buffer.h"
#include "format/frame.h"

enum { PART_SECTIONS_MAX = 16, PART_OFFSET_BITS = 14 };
enum part_role { ROLE_LIVE = 1, ROLE_HISTORY = 2 };
enum section_kind { SECTION_ROWS = 1, SECTION_DIRECTORY = 2, SECTION_BUCKETS = 3 };

#define TO_OPEN UINT64_MAX

enum { INDEX_ENTRY_SIZE = 20 };
struct index_entry {
    uint32_t unit;
    uint64_t min_from;
    uint64_t max_to;
};

void index_entry_store(uint8_t to[INDEX_ENTRY_SIZE], const struct index_entry *entry);
STRATA_CHECKED strata_status index_entry_load(struct bytes value, struct index_entry *out);

enum { SLICE_ENTRY_SIZE = 36 };
struct slice_entry {
    uint64_t rows;
    uint64_t bytes;
    uint32_t first_unit;
    uint64_t max_from;
    uint64_t max_to;
};

void slice_entry_store(uint8_t to[SLICE_ENTRY_SIZE], const struct slice_entry *entry);
STRATA_CHECKED strata_status slice_entry_load(struct bytes value, struct slice_entry *out);

/* Shortens `first` to a key above `last` and at most `first`: the shortest prefix of `first` that
 * does so. `last` < `first`. */
struct bytes separator_between(struct bytes last, struct bytes first);

enum { BUCKET_SIZE = 64, BUCKET_SLOTS = 10, BUCKET_FILL = 8, BUCKETS_OFFSET = 64 };

static inline uint32_t buckets_per_unit(size_t unit_size)
{
    return (uint32_t)((unit_size - BUCKETS_OFFSET) / BUCKET_SIZE);
}

static inline uint64_t bucket_of(uint64_t hash, uint64_t bucket_count)
{
    return (hash & UINT32_MAX) * bucket_count >> 32;
}

/* Where a row lies: the unit of its frame, below 2^18, and its offset there. */
static inline uint32_t row_place(uint32_t unit, uint32_t offset)
{
    return unit << PART_OFFSET_BITS | offset / FRAME_ROW_ALIGNMENT;
}

static inline uint32_t row_place_unit(uint32_t place)
{
    return place >> PART_OFFSET_BITS;
}

static inline uint32_t row_place_offset(uint32_t place)
{
    return (place & (((uint32_t)1 << PART_OFFSET_BITS) - 1)) * FRAME_ROW_ALIGNMENT;
}

/* Which of four tags are zero, a bit each. */
static inline uint32_t bucket_zero_tags(uint64_t tags)
{
    const uint64_t low = 0x7fff7fff7fff7fff;
    const uint64_t zero = ~(((tags & low) + low) | tags | low);
    /* Brings bits 15, 31, 47 and 63 next to each other. */
    return (uint32_t)((zero >> 15) * 0x0001000200040008 >> 48 & 15);
}

/* Where the slots of `bucket` match the tag of `hash`, a bit each; bounded by its count. */
static inline uint32_t bucket_match(const uint8_t bucket[BUCKET_SIZE], uint64_t hash)
{
    const uint64_t tag = (hash >> 48) * 0x0001000100010001;
    const unsigned count = bucket[60] < BUCKET_SLOTS ? bucket[60] : BUCKET_SLOTS;
    const uint32_t matches = bucket_zero_tags(load_u64(bucket) ^ tag) |
                             bucket_zero_tags(load_u64(bucket + 8) ^ tag) << 4 |
                             bucket_zero_tags(load_u32(bucket + 16) ^ (tag & UINT32_MAX)) << 8;
    return matches & (((uint32_t)1 << count) - 1);
}

static inline uint32_t bucket_place(const uint8_t *bucket, unsigned slot)
{
    return load_u32(bucket + 20 + slot * (size_t)4);
}

static inline bool bucket_overflows(const uint8_t *bucket)
{
    return bucket[61] != 0;
}

/* Adds to a bucket; false, and overflow marked, if it is full. */
bool bucket_add(uint8_t bucket[BUCKET_SIZE], uint64_t hash, uint32_t place);

struct part_section {
    uint16_t kind;
    bool required;
    uint32_t unit;
    uint64_t count;
};

struct part_footer {
    uint64_t number;
    uint64_t units;
    uint64_t rows;
    uint64_t min_from;
    uint64_t max_from;
    uint64_t max_to;
    uint64_t bytes;
    uint32_t unit_size;
    uint8_t role;
    uint32_t section_count;
    struct part_section sections[PART_SECTIONS_MAX];
    struct bytes value_list; /* Encoded: see part_values_next. Borrowed when decoded. */
};

/* The content of a footer frame; `footer->value_list` is appended as it is. */
STRATA_CHECKED strata_status part_footer_encode(const struct part_footer *footer,
                                                struct buffer *out);

/* Checks every bound and rule, section units below `units` among them. STRATA_UNSUPPORTED: a newer
 * format, or a required section of an unknown kind. */
STRATA_CHECKED strata_status part_footer_decode(struct bytes content, struct part_footer *out);

/* The section of that kind, or NULL. */
const struct part_section *part_section_find(const struct part_footer *footer,
                                             enum section_kind kind);

/* Appends one value object to an encoded list / takes the next off `list`; `*found` false at the
 * end. */
STRATA_CHECKED strata_status part_values_append(struct buffer *list, uint64_t object,
                                                uint64_t live_bytes);
STRATA_CHECKED strata_status part_values_next(struct bytes *list, bool *found, uint64_t *object_out,
                                              uint64_t *bytes_out);

#endif
