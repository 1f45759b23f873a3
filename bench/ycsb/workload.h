/* The six core workloads of YCSB and four of ours, drawn before they are timed, and the rows that
 * they are about.
 *
 * A row's key is "user" and twenty digits of a scrambled row number, so rows come in random key
 * order. Its value tells which key and which update wrote it and ends in a hash of both, so that an
 * answer can be checked without a second store. Source: B. Cooper et al., Benchmarking Cloud
 * Serving Systems with YCSB (SoCC 2010), and the generators of its reference implementation. */
#ifndef STRATA_BENCH_YCSB_WORKLOAD_H
#define STRATA_BENCH_YCSB_WORKLOAD_H

#include "engine.h"

enum {
    KEY_BYTES = 24,
    VALUE_BYTES_MIN = 48,
    VALUE_BYTES_MAX = 1 << 16,
    SCAN_ROWS_MAX = 100,
    BATCH_MAX = 16
};

enum operation_kind {
    OPERATION_READ,
    OPERATION_UPDATE,
    OPERATION_INSERT,
    OPERATION_SCAN,
    OPERATION_MODIFY, /* A read, then an update of the same row. */
    OPERATION_BATCH   /* A read that goes together with those beside it. */
};

struct operation {
    char key[KEY_BYTES];
    uint32_t read_update;  /* The update whose value a read must find. */
    uint32_t write_update; /* The update that a write is. */
    uint16_t scan_rows;
    uint16_t kind; /* operation_kind */
};

/* Rows and how often each was updated; what a correct database must hold. */
struct model {
    uint64_t rows;      /* There before the present run. */
    uint64_t rows_next; /* There after it. */
    uint64_t rows_max;
    uint32_t *updates; /* [rows_max] */
    uint64_t seed;
    uint64_t draws; /* Runs drawn so far, so that no two are the same. */
};

/* NULL without memory. */
struct model *model_create(uint64_t rows_max, uint64_t seed);
void model_destroy(struct model *model);

/* The operations of `thread` out of `threads` in one run of a workload: 'L' for load, 'A' to 'F',
 * 'S' scans of 50 rows, 'M' batches of reads, 'P' puts to rows that are there, 'U' uniform reads.
 * To be called for thread 0, 1, 2 ... in turn; moves the model on. `count` counts all threads. A
 * load inserts `count` rows. With several threads the order of updates of one row is open, so
 * read_update is not to be relied on. */
struct operation *operations_create(struct model *model, char workload, uint64_t count,
                                    unsigned thread, unsigned threads, uint64_t *count_out);

/* The share of operations that write, in percent; -1 if there is no such workload. */
int workload_write_share(char workload);

/* Fills `out[size]` with the value that `update` writes to `key`. */
void value_fill(const char key[KEY_BYTES], uint64_t update, char *out, size_t size);

/* Whether `value` was written to `key`, and by `update` unless that is VALUE_ANY_UPDATE. */
#define VALUE_ANY_UPDATE UINT64_MAX
bool value_is_of(const char key[KEY_BYTES], uint64_t update, size_t size, struct bytes value);

#endif
