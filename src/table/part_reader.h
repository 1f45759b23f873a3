/* Reading one part. Bytes: format/part.h. */
#ifndef STRATA_TABLE_PART_READER_H
#define STRATA_TABLE_PART_READER_H

#include "backend/backend.h"
#include "core/lock.h"
#include "format/manifest.h"
#include "format/part.h"
#include "table/frame_map.h"
#include "table/source.h"

/* What all parts of a database share. */
struct part_store {
    const strata_backend *backend;
    const strata_allocator *allocator;
    struct cache *cache;
    uint8_t uuid[UUID_SIZE];
};

/* A part, as the manifest knows it; its object is opened, and its footer read and checked against
 * that, at the first use. Any number of threads. */
struct part {
    struct part_store *store;
    uint8_t *first_key;
    struct manifest_artifact *artifacts;
    struct manifest_part info; /* first_key and artifacts point to memory of the part's own. */
    struct identity identity;  /* The one that it was written under. */
    char name[OBJECT_NAME_SIZE];
    struct mutex open_lock;
    _Atomic uint32_t ready; /* 1: what follows is set. */
    struct object object;
    uint8_t role;
    uint64_t bucket_count;
    uint32_t bucket_unit;
    uint32_t rows_root;
    uint32_t directory_root;
    uint64_t slice_count;
    uint64_t leaf_count;      /* Row frames. */
    uint32_t leaf_end;        /* No leaf of either tree is at this unit or behind it. */
    uint32_t leaf_units;      /* Of most leaves; a guess. */
    uint32_t leaf_heads_size; /* What the heads of a leaf take, about. */
    struct frame_map frames;  /* Of a large cache. */
    _Atomic bool by_index;    /* Keys are looked for without the buckets. */
    _Atomic uint32_t references;
};

/* Adds the object's name and the offset of the frame at `unit` to the last failure, which `format/`
 * reported of bytes of that frame. */
strata_status part_fault(const struct part *part, uint32_t unit, strata_status status);

/* Copies `info`. One reference. Touches no object. */
STRATA_CHECKED strata_status part_create(struct part_store *store, const struct manifest_part *info,
                                         struct part **out);
void part_acquire(struct part *part);
void part_drop(struct part *part);

/* Opens it if that has not been done. STRATA_CORRUPT names the object; a missing object is that too.
 * Every call below does this first. */
STRATA_CHECKED strata_status part_ready(struct part *part);

/* For the cache: reads and checks the frame at `unit` into a block of its own. Fails with STRATA_CORRUPT naming object and offset, STRATA_IO, STRATA_NO_MEMORY. */
STRATA_CHECKED strata_status part_read_frame(struct part *part, uint32_t unit,
                                             struct cached_frame **out);

/* The value objects that the part lists: `visit` for each, in order. Reads the footer anew. */
STRATA_CHECKED strata_status part_values(struct part *part,
                                         strata_status (*visit)(void *context, uint64_t object,
                                                                uint64_t live_bytes),
                                         void *context);

enum { PART_DEPTH_MAX = 16 };

/* How far looking ahead came: nowhere, to a frame, to a row of a leaf. */
enum part_ahead { PART_AHEAD_NONE, PART_AHEAD_FRAME, PART_AHEAD_ROW };

/* A place in one of the two trees of a part: a row of a leaf, or none. Holds a pinned frame. */
struct part_position {
    struct part *part;
    struct cache *cache; /* Its part's: the pin may outlive the part. */
    uint32_t root;
    uint8_t leaf_kind;        /* FRAME_ROWS or FRAME_DIRECTORY. */
    unsigned index;           /* Of the row in the leaf; its row count: behind the last row. */
    struct cached_frame *pin; /* The leaf; NULL: nowhere. */
    /* Of the last descent: the index rows it took, and the leaf they led to. The row sought may be
     * in one of the leaves behind that. */
    struct {
        uint32_t unit;
        unsigned row;
    } path[PART_DEPTH_MAX];
    unsigned depth;
    uint32_t leaf;
    /* Until the seek that it is for: the path is that so far; `index` is the row's. */
    uint8_t ahead; /* enum part_ahead */
    uint32_t ahead_unit;
};

/* `part` is ready. All moves are made inside an epoch, if the cache is large. */
void part_position_init(struct part_position *position, struct part *part,
                        enum frame_kind leaf_kind);

/* Goes a step of the seek to (key, from), as long as it finds frames in a large cache, and asks for the
 * memory that the next step will touch: so the steps of many seeks wait for memory together. Returns
 * whether there is another step. The same seek follows, in the same epoch, or the position is
 * released. It does nothing where the position holds a leaf, which may be where it goes. */
bool part_position_look_ahead(struct part_position *position, struct bytes key, uint64_t from);

/* To the first row at or after (key, from); behind the last row if there is none. */
STRATA_CHECKED strata_status part_position_seek(struct part_position *position, struct bytes key,
                                                uint64_t from);

/* To the last row before (key, from); nowhere if there is none. */
STRATA_CHECKED strata_status part_position_seek_before(struct part_position *position,
                                                       struct bytes key, uint64_t from);

/* From a row to the one after it; behind the last row if there is none. */
STRATA_CHECKED strata_status part_position_next(struct part_position *position);

/* From a row, which is (key, from), to the one before it; nowhere if there is none. */
STRATA_CHECKED strata_status part_position_previous(struct part_position *position,
                                                    struct bytes key, uint64_t from);

/* Whether it stands on a row. */
bool part_position_valid(const struct part_position *position);

/* The row it stands on. */
STRATA_CHECKED strata_status part_position_row(const struct part_position *position,
                                               struct frame_row *out);
void part_position_release(struct part_position *position);

enum { PART_KEY_NEAR_SIZE = 104 };

/* A source over the rows of one part; with `directory` over its slices instead. Holds a pinned frame
 * and no reference. To be moved inside an epoch. It stays where it was made. */
struct part_source {
    struct source source;
    struct part *part;
    struct part_position position; /* Of no part before the first seek. */
    bool directory;
    const strata_allocator *allocator; /* Of `key`: the part may be gone at the release. */
    uint8_t *key;                      /* Where row.key is put together: */
    size_t key_capacity;
    uint8_t key_near[PART_KEY_NEAR_SIZE]; /* here, or in memory of its own. */
    uint32_t key_unit;                    /* The leaf whose prefix `key` begins with, */
    size_t key_prefix_length;             /* which has this many bytes; SIZE_MAX: none yet. */
    uint64_t bound; /* Of its gallop in this leaf: a head. 0: it goes nowhere. */
};

void part_source_init(struct part_source *source, struct part *part, bool directory);

/* What its class does, for sources that are made of it: `source.row` and `source.valid` are theirs. */
STRATA_CHECKED strata_status part_source_seek(struct part_source *self, struct bytes key,
                                              uint64_t from);
bool part_source_look_ahead(struct part_source *self, struct bytes key, uint64_t from);
STRATA_CHECKED strata_status part_source_seek_before(struct part_source *self, struct bytes key);
STRATA_CHECKED strata_status part_source_next(struct part_source *self);
STRATA_CHECKED strata_status part_source_previous(struct part_source *self);
void part_source_release(struct part_source *self);

/* What next_visible does, as far as it comes in the same frame; false, and nothing has changed: not
 * beyond the row it stands on, or something is wrong. */
bool part_source_step(struct part_source *self, uint64_t cap);

/* From a row: has memory fetched that the rows behind it lie in, as far as steps do not. */
void part_source_fetch_rows(const struct part_source *self);

/* Sets how far it gallops: rows whose user keys, which lie behind the `skip` bytes that all keys of
 * interest begin with, come before `bound` (length 0: any). As far as the present leaf, whose keys
 * begin with those bytes, and heads tell; until any other move. */
void part_source_set_bound(struct part_source *self, size_t skip, struct bytes bound);

/* As part_source_step, to a row before the bound, which goes to `out`; where heads do not tell its key
 * from the one before it goes nowhere. Of its own row only the key and `from` are set, which is what
 * other moves begin from. */
bool part_source_gallop(struct part_source *self, uint64_t cap, struct row *out);

enum { PART_ROWS_MAX = 32 };

/* Rows of one leaf, one behind another. All are puts that never expire, and that whoever asked sees; their
 * keys begin with the prefix of the leaf. */
struct part_rows {
    struct cached_frame *leaf; /* Pinned by the source, until that moves. */
    uint32_t count;
    size_t suffix_bytes; /* Of all keys behind the prefix. */
    struct part_row {
        const uint8_t *suffix;
        const uint8_t *value;
        uint32_t suffix_size;
        uint32_t value_size;
        uint64_t from;
        int64_t time_us;
    } rows[PART_ROWS_MAX];
};

/* As many gallops as there can be, up to `most` <= PART_ROWS_MAX, in a large cache: over rows of that
 * kind, with `from` in [floor, cap] and no end at or before the cap. Of its own row only what a gallop
 * sets is set. */
void part_source_gallop_rows(struct part_source *self, uint64_t floor, uint64_t cap, uint32_t most,
                             struct part_rows *out);

/* Bytes of it that can be made again from its rows: the buckets. */
STRATA_CHECKED strata_status part_derived_bytes(struct part *part, uint64_t *out);

/* Reads every frame and checks every rule: checksums, order, index keys and numbers, directory,
 * buckets, counts, the value list. `found` gets each fault that concerns derived data (buckets) only;
 * others fail with STRATA_CORRUPT. Leaves the cache's content alone, mostly. */
STRATA_CHECKED strata_status part_check(struct part *part,
                                        void (*found)(void *context, uint64_t offset,
                                                      const char *message),
                                        void *context);

/* Reads the footer, which `out` points into, to the end of `bytes`. */
STRATA_CHECKED strata_status part_read_footer(struct part *part, struct buffer *bytes,
                                              struct part_footer *out);

#endif
