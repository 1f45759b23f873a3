/* The commits of a memtable as rows: what a flush adds to the log of each branch. */
#ifndef STRATA_TABLE_LOG_SOURCE_H
#define STRATA_TABLE_LOG_SOURCE_H

#include "core/buffer.h"
#include "layout/key.h"
#include "table/memtable.h"

enum { LOG_COMMITS_PER_ROW = 256, LOG_ROW_BYTES = 16 * 1024 };

/* One row for up to LOG_COMMITS_PER_ROW commits of one branch, keyed by the first one's version,
 * which is its `from`. Value: format/catalog.h. Goes forward from its first row only. */
struct log_source {
    struct source source;
    const strata_allocator *allocator;
    const struct commit_stretch **order; /* By branch, then version. */
    size_t count;
    size_t position; /* In that order, of the first commit after the present row; */
    unsigned commit; /* and in the stretch. */
    uint8_t key[KEY_PREFIX_SIZE + 8];
    struct buffer value;
};

/* The memtable takes no more commits. */
STRATA_CHECKED strata_status log_source_init(struct log_source *source,
                                             const struct memtable *memtable,
                                             const strata_allocator *allocator);

#endif
