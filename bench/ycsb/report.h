/* The results: JSON lines as they come out, tables to read at the end. */
#ifndef STRATA_BENCH_YCSB_REPORT_H
#define STRATA_BENCH_YCSB_REPORT_H

#include <stdio.h>

#include "run.h"

enum { ENGINES_MAX = 8, ROUNDS_MAX = 32 };

/* All rounds of all engines under one plan. */
struct comparison {
    const char *bench;
    const struct plan *plan;
    const struct engine *const *engines; /* The first is the one that ratios are of. */
    size_t engine_count;
    size_t round_count;
    uint64_t round_first;
    struct run_result results[ENGINES_MAX][ROUNDS_MAX];
};

/* One line for each engine, workload and round. */
void report_json(const struct comparison *comparison, FILE *file);

void report_table(const struct comparison *comparison, FILE *file);

/* Answers that were wrong, and answers in which engines differ where they must not. Says which. */
uint64_t report_faults(const struct comparison *comparison, FILE *file);

#endif
