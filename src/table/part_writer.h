/* Writing one part, row by row, in bounded memory. Bytes: format/part.h. */
#ifndef STRATA_TABLE_PART_WRITER_H
#define STRATA_TABLE_PART_WRITER_H

#include "backend/backend.h"
#include "core/arena.h"
#include "format/manifest.h"
#include "format/part.h"

enum {
    PART_LEVELS_MAX = 8,
    PART_OUTPUT_BYTES = 32 * 1024,
    /* Unless options say. */ PART_SYNC_BYTES = 8 * 1024 * 1024
};

/* A tree being written: a builder for the leaves and one for each level of index rows above. A node
 * is what one index row stands for: on the levels of the index a frame; at the bottom a leaf, and
 * with it those leaves behind it that only a very long separator could tell apart. */
struct part_tree {
    struct frame_builder levels[PART_LEVELS_MAX]; /* [0]: the leaves. */
    struct {
        uint64_t min_from;
        uint64_t max_to;
    } bounds[PART_LEVELS_MAX];                 /* Of the rows below the open node of each level. */
    struct buffer first_keys[PART_LEVELS_MAX]; /* Separator of the open node of each level. */
    uint64_t first_froms[PART_LEVELS_MAX];
    uint32_t level_count;
    uint64_t leaf_count;
    uint32_t leaf_unit; /* The first leaf of the open node at the bottom, */
    bool leaf_written;  /* if it is written. */
    uint32_t root;
};

/* The value objects that rows refer to, with the sum of the sizes for each. */
struct value_totals {
    struct buffer entries; /* u64 object, u64 bytes; in order of first appearance. */
    size_t encoded_size;   /* As a list of the footer. */
};

void value_totals_init(struct value_totals *totals, const strata_allocator *allocator);
void value_totals_release(struct value_totals *totals);

/* Counts the value of `row`, if it has an object of its own. */
STRATA_CHECKED strata_status value_totals_add(struct value_totals *totals, const struct row *row);

/* Appends the list as the footer has it. */
STRATA_CHECKED strata_status value_totals_encode(const struct value_totals *totals,
                                                 struct buffer *out);

/* The largest version at which a row is of use to its part, as in an index row. */
uint64_t row_max_to(const struct row *row);

struct part_writer {
    const strata_backend *backend;
    const strata_allocator *allocator;
    struct identity identity;
    struct object object;
    struct part_footer footer; /* Counts the slices that are done. */
    struct part_tree rows;
    struct part_tree directory;
    struct slice_entry slice; /* The slice of the last row. */
    uint64_t slice_min_from;
    struct buffer slices; /* Those before it: 12-byte prefix, u64 min from, slice entry. */
    struct buffer last_key;
    uint64_t last_from;
    struct buffer first_key;
    uint64_t first_from;
    struct buffer hashes; /* u64 hash, u32 place for each distinct key; unused without buckets. */
    size_t hashes_placed; /* Bytes of them; behind, instead of places, rows of the open leaf. */
    uint32_t frame_size;
    uint32_t output_bytes;
    bool with_buckets;
    uint64_t memory_max;
    struct value_totals values;
    struct buffer output; /* Frames on their way. */
    uint64_t synced;      /* Bytes of the object. */
    uint64_t next_unit;
};

/* What a writer needs to know. */
struct part_options {
    const strata_backend *backend;
    const strata_allocator *allocator;
    struct identity identity;
    uint32_t unit_size;
    uint32_t frame_size;   /* Bytes that a frame of rows should have, about; 0: unit_size. */
    uint32_t output_bytes; /* Bytes of an append, about; 0: PART_OUTPUT_BYTES. */
    enum part_role role;
    bool with_buckets;
    uint64_t memory_max; /* Of what a writer keeps of all keys, or of all slices; 0: no bound. */
};

/* Makes the object `tables/<number>`. After a failure, release is all that is left to do, and the
 * object is garbage by its number. */
STRATA_CHECKED strata_status part_writer_open(struct part_writer *writer,
                                              const struct part_options *options, uint64_t number);

/* Rows come in row order. At most one frame of each level is written per call. `to` is 0 in a live
 * part. A value of more than FRAME_COPIED_MAX bytes stays where it is until part_writer_keep, or the
 * part is finished or released. */
STRATA_CHECKED strata_status part_writer_add(struct part_writer *writer, const struct row *row);

/* Copies what is borrowed. */
STRATA_CHECKED strata_status part_writer_keep(struct part_writer *writer);

/* Bytes of the object so far, about. */
uint64_t part_writer_bytes(const struct part_writer *writer);

/* Whether the next row belongs in another part: the object has `bytes_max` bytes, about, or refers to
 * as many value objects as its footer holds, or its slices take all the memory that they may; or its keys
 * do, and it has `keys_bytes_min` bytes. With fewer it goes on without buckets. */
bool part_writer_full(const struct part_writer *writer, uint64_t bytes_max,
                      uint64_t keys_bytes_min);

/* Writes what is left, footer last, and syncs the object; the name is the caller's to sync. There is
 * a row. `out` has no artifacts; its first_key is copied to `arena`. */
STRATA_CHECKED strata_status part_writer_finish(struct part_writer *writer, struct arena *arena,
                                                struct manifest_part *out);

/* Frees all memory and closes the object. Fine on a zeroed struct. */
void part_writer_release(struct part_writer *writer);

#endif
