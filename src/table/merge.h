/* Many sources as one: every row of each, in row order. */
#ifndef STRATA_TABLE_MERGE_H
#define STRATA_TABLE_MERGE_H

#include "table/source.h"

/* The sources are borrowed and hold no two rows with the same key and `from`. Stands on `row` while
 * `current` is not NULL. Few sources: a linear minimum beats a heap. */
struct merge {
    struct source *const *sources;
    uint32_t count;
    struct source *current;
};

/* Moves every source to its first row. */
STRATA_CHECKED strata_status merge_start(struct merge *merge, struct source *const *sources,
                                         uint32_t count);
STRATA_CHECKED strata_status merge_next(struct merge *merge);

#endif
