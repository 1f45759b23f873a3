/* Brings the frames of a new run into a large cache, as far as there is room for them without others having
 * to go: they replace what the cache had of the run's inputs, or what readers found in a memtable. Reading
 * them one by one when somebody asks costs several times as much. */
#ifndef STRATA_TABLE_RUN_WARM_H
#define STRATA_TABLE_RUN_WARM_H

#include "table/run.h"

/* All zero: nothing to do. */
struct run_warm {
    struct run *run; /* Held; NULL: none. */
    uint32_t part_index;
    uint32_t unit;       /* What comes next. */
    struct buffer bytes; /* Of a piece of the part. */
};

/* Nothing to do if the cache is small. */
void run_warm_begin(struct run_warm *warm, struct run *run);

/* Goes on by about `piece_bytes`. `*done`, also where it fails: then readers will read what is left. */
STRATA_CHECKED strata_status run_warm_step(struct run_warm *warm, size_t piece_bytes, bool *done);

void run_warm_release(struct run_warm *warm);

#endif
