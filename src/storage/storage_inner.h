/* What the files of this folder share, and nobody else sees. */
#ifndef STRATA_STORAGE_STORAGE_INNER_H
#define STRATA_STORAGE_STORAGE_INNER_H

#include "storage/storage.h"

enum { KEY_NEAR_SIZE = 256 };

/* A storage key that moves from branch to branch. Short ones take no memory. */
struct lookup_key {
    const strata_allocator *allocator;
    uint8_t *bytes; /* `near`, or memory of its own. */
    size_t length;
    uint8_t near[KEY_NEAR_SIZE];
};

STRATA_CHECKED strata_status lookup_key_init(struct lookup_key *key,
                                             const strata_allocator *allocator, uint32_t space,
                                             struct bytes user_key);
void lookup_key_release(struct lookup_key *key);

/* The key in `branch`, until the next call. */
static inline struct bytes lookup_key_in(struct lookup_key *key, uint64_t branch)
{
    store_ordered_u64(key->bytes, branch);
    return bytes_of(key->bytes, key->length);
}

static inline const struct tableset *storage_tables(struct store *store)
{
    return atomic_load(&store->tables.current);
}

/* Takes over the pin. */
static inline struct storage_row storage_row_of(const struct found_row *found)
{
    return (struct storage_row){
        .found = true, .row = found->row, .pin = found->pin, .frame = found->frame};
}

/* Whether a row says that the key is there at `time_us`. */
static inline bool row_is_live(const struct row *row, int64_t time_us)
{
    return row->kind != ROW_DELETE && row->kind != ROW_RANGE_DELETE &&
           (row->expires_us == 0 || row->expires_us > time_us);
}

/* The version of the newest deletion of a storage space that (branch, cap) sees; 0: none. Inside. */
STRATA_CHECKED strata_status storage_floor(struct store *store, uint64_t branch, uint32_t space,
                                           uint64_t cap, uint64_t *out);

/* The short way to what a view of a fork shows of a storage space; NULL: its lineage has to be walked.
 * `weight` is FORK_VIEW_GET or FORK_VIEW_SCAN. Inside, and until leave. */
const struct fork_view *storage_fork_view(struct store *store, const struct tableset *set,
                                          const struct storage_view *view,
                                          const struct storage_space *space, uint32_t within,
                                          int32_t weight);

/* The number of the newest own write that deletes the storage space; 0: none. */
uint64_t storage_own_floor(const struct storage_view *view, uint32_t space);

/* STRATA_READ_ONLY unless commits are allowed. */
STRATA_CHECKED strata_status storage_check_writable(const struct storage *storage);

/* Begins a batch in `record`, behind the room for the log's header. */
STRATA_CHECKED strata_status record_begin(struct buffer *record, const struct batch_header *header);

/* Which of the commits that were made on one branch count. */
struct log_bounds {
    uint64_t above;   /* Those with a version above it, */
    uint64_t version; /* up to this one, */
    int64_t time_us;  /* and a time up to this. */
};

/* The last commit made on `branch` itself inside the bounds. Inside. */
STRATA_CHECKED strata_status storage_log_own(struct store *store, uint64_t branch,
                                             const struct log_bounds *bounds, bool *found,
                                             struct storage_log_entry *out);

/* Takes `name` into account as the one that comes next after `from`, or at it without `past`. */
void name_consider(const char *name, const char *from, bool past, bool *found,
                   char out[BRANCH_NAME_SIZE_MAX + 1]);

/* Considers the spaces written to that the catalog may not have yet, strictly after `from`. */
void storage_writes_consider(const struct storage_writes *writes, const char *from, bool *found,
                             char out[BRANCH_NAME_SIZE_MAX + 1]);

/* ---- between writes and their commits ---- */

/* A pending increment among own writes: the number to add, and a byte that is 1. */
enum { INCREMENT_SIZE = COUNTER_SIZE + 1 };

/* An element of storage_writes.spaces: the catalog row that has to come with the commit. */
struct own_space {
    struct storage_space *space;
    bool deletions; /* What the row says. */
};

/* An element of storage_writes.lives, in order of number: the row's expiry is relative. */
struct own_life {
    uint64_t number;
    int64_t lives_us;
};

static inline struct own_space *own_spaces(struct buffer *spaces, size_t *count)
{
    void *elements = spaces->data;
    *count = spaces->length / sizeof(struct own_space);
    return elements;
}

static inline const struct own_life *own_lives(const struct storage_writes *writes, size_t *count)
{
    const void *elements = writes->lives.data;
    *count = writes->lives.length / sizeof(struct own_life);
    return elements;
}

/* Sees to it that the space has a number, and that its deletion is known before it is visible.
 * `*unregistered`: its catalog row has to come with the commit. */
STRATA_CHECKED strata_status space_claim(struct storage *storage, struct storage_space *space,
                                         bool deletes, bool *unregistered);

/* Marks the value object that `value` refers to as one that the batch needs. */
void own_values_mark(struct storage_writes *writes, struct bytes value);
void own_values_unmark(struct storage_writes *writes);

/* Makes garbage of the value objects that are not marked, and forgets all. */
void own_values_discard(struct storage_writes *writes);

/* The newest own write of `key` numbered up to `cap`. There is a memtable. */
bool own_find(const struct storage_writes *writes, struct bytes key, uint64_t cap, struct row *out);

#endif
