/* The crash sweep: runs a workload on the simulated disk, takes an image before every operation that
 * may change what survives (with a ring, also after every step), and opens every way in which the power cut may leave each image. A state
 * is right if it opens, is healthy, shows a prefix of the commits with every one that was known to be
 * durable, takes one more commit, and shows all of it again after the next open. Where only the
 * process was killed, every commit whose call returned has to be there. */
#ifndef STRATA_TESTS_SWEEPER_H
#define STRATA_TESTS_SWEEPER_H

#include "crash/workloads.h"

#include <stdbool.h>
#include <stdio.h>

struct sweep_options {
    uint64_t seed;
    unsigned states_per_point; /* At most this many survivors of a crash point are mounted. */
    unsigned compound_every;   /* Every so many states, the recovery is itself cut. 0: never. */
    unsigned check_every;      /* Every so many states, strata_check is run too. 0: never. */
    unsigned violations_max;   /* A workload ends after so many. */
    long only_point;           /* A crash point to replay, or -1 for all. */
    uint64_t ring_bytes;       /* Of the log's ring; 0: none. */
    FILE *out;                 /* Violations are told here; may be NULL. */
};

struct sweep_result {
    uint64_t operations; /* Of the backend, by the workload. */
    uint64_t points;     /* Crash points. */
    uint64_t subsets;    /* Ways to lose power that were mounted. */
    uint64_t states;     /* Different disks among them; each was opened and checked. */
    uint64_t compound;   /* States of a second crash, during the recovery of the first. */
    uint64_t violations;
    uint64_t operation_hash;
    char why[400]; /* The first violation. */
};

/* A ring so small that workloads fill it many times over. */
enum { SWEEP_RING_BYTES = 8192 };

/* Options for everyday use: all subsets, or a small share of them. */
struct sweep_options sweep_full(uint64_t seed);
struct sweep_options sweep_quick(uint64_t seed);

void sweep_workload(const struct workload *workload, const struct sweep_options *options,
                    struct sweep_result *out);

/* Runs the workload without a crash; the hash over its backend operations, or 0 if it failed, and
 * then why. The list of operations, if wanted, is to be freed. */
uint64_t sweep_record(const struct workload *workload, const struct sweep_options *options,
                      char **list_out, char why[400]);

#endif
