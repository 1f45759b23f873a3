/* Scanning what is visible: the rows of one storage space, over a chain of branches, in key order.
 *
 * Every level is a branch and the highest version seen of it; what a level has hides what the levels
 * below it (its ancestors) have. A branch's own rows are all newer than what it inherits, so among
 * the visible rows of a key the one with the largest `from` wins, whatever its level. */
#ifndef STRATA_TABLE_SCAN_H
#define STRATA_TABLE_SCAN_H

#include "layout/key.h"
#include "table/overlay.h"
#include "table/tableset.h"

/* A transaction's own writes have numbers from here on as their `from`, above every version. */
#define OWN_VERSION_BASE ((uint64_t)1 << 63)

struct level {
    uint64_t branch;
    uint64_t cap;        /* Rows with `from` above it are not seen. */
    uint64_t floor;      /* Rows with `from` below it were deleted with their whole space. */
    uint8_t passed_over; /* LEVEL_: what is not looked at, since an overlay has its rows. */
};

enum { LEVEL_MEMTABLES = 1, LEVEL_RUNS = 2 };

/* User keys in [first, end); end of length 0: no end. */
struct scan_bounds {
    struct bytes first;
    struct bytes end;
};

/* Of a source that has not come to a row below its cap yet: what it has of its present key is still
 * open, so that it comes first within the key and moves on before anything of the key is shown. */
#define RANK_OPEN UINT64_MAX

/* Private. */
struct scan_source {
    union {
        struct source source;
        struct memtable_source memtable;
        struct run_source run;
        struct overlay_source overlay;
    } of;
    uint8_t prefix[KEY_PREFIX_SIZE]; /* Of its slice. */
    bool at_key;                     /* In reverse: stands on the key that was shown last. */
    bool gallops;                    /* It is of a run. */
    bool looks_ahead;                /* Until it has no more steps to go. */
    uint64_t cap;
    uint64_t floor;
    uint64_t head; /* The first eight bytes of its user key, as a number. */
    uint64_t
        rank; /* `from` of its row, 0 if that is not visible, RANK_OPEN if it is above the cap. */
};

/* A scan over one tableset. It may outlive the set between calls: only close and release may be
 * called then. */
struct scan {
    const strata_allocator *allocator;
    struct scan_bounds bounds; /* Borrowed. */
    uint32_t space;
    bool reverse;
    bool started;
    bool valid;
    struct row row; /* The winner, deletions too; row.key is the user key. Until the next move. */

    /* Private. Going forward, each source in the heap stands on the newest row that it sees of its
     * present key, or on one above its cap; heap[0] is the one to show, and all others lie behind its
     * key. */
    struct scan_source *sources;
    struct scan_source **heap; /* Least key first, newest first within a key. */
    uint32_t source_count;
    uint32_t source_capacity;
    uint32_t heap_count;
    uint32_t runner;      /* The place in the heap of what comes after heap[0]; 0: nothing. */
    uint64_t end_head;    /* As `head`, of the end of the bounds. */
    struct buffer key;    /* In reverse: the last user key shown. */
    struct buffer target; /* Scratch for storage keys. */
};

enum { SCAN_OVERLAYS = 2 };

/* What is scanned. `extra`, if not NULL, is a memtable of a transaction's own writes, whose rows have
 * `from` in [extra_floor, extra_cap] and lie in levels[0].branch. `overlays` have rows of levels that
 * are not listed, or parts of such that are passed over; NULL ones are fine. */
struct scan_options {
    const struct tableset *set;
    const struct level *levels;
    uint32_t level_count;
    uint32_t space;
    bool reverse;
    struct scan_bounds bounds;
    const struct memtable *extra;
    uint64_t extra_cap;
    uint64_t extra_floor;
    const struct overlay *overlays[SCAN_OVERLAYS];
};

void scan_init(struct scan *scan, const strata_allocator *allocator);

/* Inside an epoch, as are all calls but init, close and release. Of a scan that is not open; takes
 * memory only where it has not enough from the time before. */
STRATA_CHECKED strata_status scan_open(struct scan *scan, const struct scan_options *options);

/* To the first row at or past user key `key` in the scan's direction; strictly past it if `past`.
 * NULL data: to the first of all. */
STRATA_CHECKED strata_status scan_seek(struct scan *scan, struct bytes key, bool past);

/* To the next key. */
STRATA_CHECKED strata_status scan_next(struct scan *scan);

/* To the last of the rows behind the one that it shows, as many as one source gives in one go, up to
 * `most` <= PART_ROWS_MAX; none: it is where it was, and scan_next goes on. All are puts
 * that never expire. `row` of the scan then says nothing. */
void scan_next_rows(struct scan *scan, uint32_t most, struct part_rows *out);

/* Lets go of all that it reads, and keeps its memory for the next open. */
void scan_close(struct scan *scan);

/* As close, and frees its memory. Fine on a zeroed struct and at any time. */
void scan_release(struct scan *scan);

#endif
