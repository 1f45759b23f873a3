/* One engine through load and workloads, in a process of its own, so that neither memory nor threads
 * of one engine are there when the next is measured. */
#ifndef STRATA_BENCH_YCSB_RUN_H
#define STRATA_BENCH_YCSB_RUN_H

#include "workload.h"

enum { PHASES_MAX = 16, THREADS_MAX = 64 };

struct plan {
    const char *parent_folder; /* Where the database is made and removed. */
    const char *label;         /* Part of the name of each case, such as "long"; may be empty. */
    char workloads[PHASES_MAX + 1];
    uint64_t rows;
    uint64_t operations;  /* Of each workload but an un-synced load, which inserts the rows. */
    uint64_t write_bytes; /* A workload that writes goes on until it wrote as much; 0: no matter. */
    size_t value_bytes;
    unsigned threads;
    bool synced; /* The rows are then loaded un-synced and unmeasured. */
    bool tight;  /* The same, and then in a control group that holds little more than the budget. */
    uint64_t budget_bytes;
    uint64_t seed;
};

struct phase_result {
    uint64_t operations;
    double wall_s;   /* Of the operations. */
    double settle_s; /* Until all is flushed and background work had ended. */
    double cpu_s;    /* Of all threads, through both. */
    double p50_ns, p99_ns, p999_ns, most_ns;
    uint64_t hits;
    uint64_t rows_scanned;
    uint64_t wrong;           /* Answers that were not right. */
    uint64_t write_bytes;     /* Of the process, as the system counts them. */
    uint64_t own_write_bytes; /* As the engine counts them; 0: it does not. */
    uint64_t device_reads;    /* Of the whole disk. */
};

struct run_result {
    struct phase_result phases[PHASES_MAX]; /* As plan.workloads. */
    uint64_t disk_bytes;                    /* At the end. */
    uint64_t memory_bytes;                  /* The most resident beyond that before the open. */
    uint64_t heap_peak_bytes;               /* By the engine's own count; 0: it has none. */
};

/* Returns 0, or -1 after saying why. */
int run(const struct engine *engine, const struct plan *plan, struct run_result *out);

/* What the engine says of its settings. */
void run_describe(const struct engine *engine, const struct plan *plan, char *out, size_t capacity);

#endif
