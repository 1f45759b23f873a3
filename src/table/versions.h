/* The versions of one key in one tableset, newest first: a source for each memtable and run that may
 * have one, kept where it stands. */
#ifndef STRATA_TABLE_VERSIONS_H
#define STRATA_TABLE_VERSIONS_H

#include "table/tableset.h"

/* Private. */
struct versions_source {
    union {
        struct source source;
        struct memtable_source memtable;
        struct run_source run;
    } of;
    uint64_t newest; /* It has no row with a larger `from`. */
    bool placed;     /* Stands where it was sought. */
};

/* May outlive the set between calls: only close and release may be called then. */
struct versions {
    const strata_allocator *allocator;
    struct versions_source *sources; /* Newest first. */
    uint32_t first;                  /* Those before have nothing more to give. */
    uint32_t count;
    uint32_t capacity;
    struct buffer key;
    bool open;
};

void versions_init(struct versions *versions, const strata_allocator *allocator);

/* Of storage key `key`, which is copied. Not open before. Inside an epoch, as is find. */
STRATA_CHECKED strata_status versions_open(struct versions *versions, const struct tableset *set,
                                           struct bytes key);

/* The newest one with `from` <= cap, whether or not another displaced it by then; NULL: there is none.
 * `cap` gets smaller from call to call. The row lives until the next call. */
STRATA_CHECKED strata_status versions_find(struct versions *versions, uint64_t cap,
                                           const struct row **out);

/* Keeps the memory for the next open. */
void versions_close(struct versions *versions);
void versions_release(struct versions *versions);

#endif
