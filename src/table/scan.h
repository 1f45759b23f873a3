/* Scanning what is visible: the rows of one storage space, over a chain of branches, in key order.
 *
 * Every level is a branch and the highest version seen of it; what a level has hides what the levels
 * below it (its ancestors) have. A branch's own rows are all newer than what it inherits, so among
 * the visible rows of a key the one with the largest `from` wins, whatever its level. */
#ifndef STRATA_TABLE_SCAN_H
#define STRATA_TABLE_SCAN_H

#include "layout/key.h"
#include "table/tableset.h"

/* A transaction's own writes have numbers from here on as their `from`, above every version. */
#define OWN_VERSION_BASE ((uint64_t)1 << 63)

struct level {
    uint64_t branch;
    uint64_t cap;   /* Rows with `from` above it are not seen. */
    uint64_t floor; /* Rows with `from` below it were deleted with their whole space. */
};

/* User keys in [first, end); end of length 0: no end. */
struct scan_bounds {
    struct bytes first;
    struct bytes end;
};

/* Private. */
struct scan_source {
    union {
        struct source source;
        struct memtable_source memtable;
        struct run_source run;
    } of;
    uint32_t level;
    bool at_key; /* Stands on the key that was shown last. */
};

/* A scan over one tableset. It may outlive the set between calls: only release may be called then.
 */
struct scan {
    const strata_allocator *allocator;
    const struct tableset *set;
    const struct level *levels; /* Borrowed, nearest first. */
    uint32_t level_count;
    uint32_t space;
    bool reverse;
    uint64_t own_cap;          /* For the transaction's own writes. */
    struct scan_bounds bounds; /* Borrowed. */
    struct scan_source *sources;
    uint32_t source_count;
    uint32_t source_capacity;
    struct buffer key;    /* The last user key shown. */
    struct buffer target; /* Scratch for storage keys. */
    bool started;
    bool valid;
    struct row row; /* The winner, deletions too; row.key is the user key, in `key`. */
};

/* What is scanned. `extra`, if not NULL, is a memtable of a transaction's own writes, whose rows have
 * `from` up to extra_cap and lie in levels[0].branch. */
struct scan_options {
    const struct tableset *set;
    const struct level *levels;
    uint32_t level_count;
    uint32_t space;
    bool reverse;
    struct scan_bounds bounds;
    const struct memtable *extra;
    uint64_t extra_cap;
};

/* Inside an epoch, as are all calls but release. */
STRATA_CHECKED strata_status scan_open(struct scan *scan, const strata_allocator *allocator,
                                       const struct scan_options *options);

/* To the first row at or past user key `key` in the scan's direction; strictly past it if `past`.
 * NULL data: to the first of all. */
STRATA_CHECKED strata_status scan_seek(struct scan *scan, struct bytes key, bool past);

/* To the next key. */
STRATA_CHECKED strata_status scan_next(struct scan *scan);

/* Fine on a zeroed struct and at any time. */
void scan_release(struct scan *scan);

#endif
