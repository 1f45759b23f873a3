/* Runs: sorted rows of one range of versions, in an ordered list of parts. */
#ifndef STRATA_TABLE_RUN_H
#define STRATA_TABLE_RUN_H

#include "table/garbage.h"
#include "table/part_find.h"

/* Immutable. Invariant: parts are in row order and none is empty. */
struct run {
    struct part_store *store;
    struct garbage *garbage;
    uint64_t id;
    uint8_t role;
    uint8_t tier;
    uint64_t min_version; /* Made from versions (min_version, max_version]. */
    uint64_t max_version;
    uint64_t min_from;
    uint64_t max_to; /* As in an index row. */
    uint64_t bytes;  /* Of its objects. */
    uint64_t rows;
    uint64_t logical_bytes; /* Of keys and values. */
    uint32_t part_count;
    struct part **parts;
    struct garbage_item *remains; /* Its objects' numbers. */
    _Atomic bool obsolete;        /* No durable manifest lists it: run_retire. */
    _Atomic uint64_t toll_ns;     /* What reads have paid for it so far: lifecycle/toll.c. */
    _Atomic uint32_t references;
};

/* Copies `info`. One reference. */
STRATA_CHECKED strata_status run_create(struct part_store *store, struct garbage *garbage,
                                        const struct manifest_run *info, struct run **out);
void run_acquire(struct run *run);

/* With the last reference an obsolete run's objects become garbage. NULL is fine. */
void run_drop(struct run *run);

/* No durable manifest lists it any more: its objects go with it. Once. */
void run_retire(struct run *run);

/* Describes it for a manifest; takes memory for the parts from `arena` and borrows the rest. */
STRATA_CHECKED strata_status run_describe(const struct run *run, struct arena *arena,
                                          struct manifest_run *out);

/* As part_find, over all parts that may hold a row visible at `cap`. */
STRATA_CHECKED strata_status run_find(struct run *run, struct bytes key, uint64_t hash,
                                      uint64_t cap, struct found_row *out, bool *newer);

/* The same in steps: see struct part_probe. */
struct run_probe {
    struct run *run;
    struct part_probe part;
    uint32_t index; /* Of that part. */
};

void run_probe_begin(struct run_probe *probe, struct run *run, struct bytes key, uint64_t hash);
STRATA_CHECKED strata_status run_find_probed(const struct run_probe *probe, struct bytes key,
                                             uint64_t hash, uint64_t cap, struct found_row *out,
                                             bool *newer);

/* A source over all rows. Holds no reference. To be moved inside an epoch. Whoever reads all of a run
 * once has table/run_input.h. */
struct run_source {
    union {
        struct source source;
        struct part_source part; /* Its own row is the run's. */
    };
    struct run *run;
    uint32_t index;   /* Of the part. */
    bool initialized; /* Whether `part` is. */
};

void run_source_init(struct run_source *source, struct run *run);

#endif
