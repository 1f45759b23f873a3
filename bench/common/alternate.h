/* Two or more ways of doing something, measured in turn, so that a noisy machine meets all alike. */
#ifndef STRATA_BENCH_ALTERNATE_H
#define STRATA_BENCH_ALTERNATE_H

#include "common/bench.h"

enum { ALTERNATE_WAYS_MAX = 8 };

/* What one way reads: a branch or moment, and which rows. */
struct reader {
    strata_txn *txn;
    uint64_t rows;        /* There are [0, rows). */
    uint64_t update;      /* That wrote them; READER_ANY_UPDATE: any. */
    uint64_t update_last; /* Of scans: by those from `update` to this one; 0: by that one alone. */
    uint64_t only;        /* READER_EVERY_ROW, or the one row to read. */
    uint64_t scan;        /* Rows of a scan; 0: gets. */
    strata_txn **moments; /* Read in turn instead of `txn`, moment i by update first + i * step. */
    uint64_t moment_count, moment_first, moment_step;
};

#define READER_ANY_UPDATE UINT64_MAX
#define READER_EVERY_ROW  UINT64_MAX

/* Medians of CPU ns per get or scan, of `rounds` rounds of `operations` each, after one round that
 * does not count. Answers are checked. */
void alternate(struct bench *bench, const struct reader *readers, size_t count, uint64_t operations,
               uint64_t rounds, double *ns_out);

#endif
