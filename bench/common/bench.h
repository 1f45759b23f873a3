/* What the benchmarks of libstrata alone share: sizes, a database under a budget, rows that tell
 * what they should be, figures as a table and as JSON lines.
 *
 * A call that fails ends the program; an answer that is wrong is counted, and bench_end says so. */
#ifndef STRATA_BENCH_BENCH_H
#define STRATA_BENCH_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/heap.h"
#include "strata.h"

enum scale { SCALE_SMOKE, SCALE_QUICK, SCALE_FULL };

struct bench {
    const char *name;
    enum scale scale;
    const char *folder; /* Where databases are made and removed. */
    const char *part;   /* NULL: all. */
    FILE *json;         /* Or NULL. */
    uint64_t faults;
    char path[600]; /* Of the present database. */
    strata *db;
    strata_txn *main;  /* An auto handle. */
    struct heap *heap; /* Of the present database; our own. */
    bool library_heap; /* Instead of it: the library's, which counts as well. */
    uint64_t budget_bytes;
    bool alone; /* Opens without background threads: what an open costs is then its own. */
    uint64_t resident_before; /* Just before the open. */
};

/* Reads the options; ends the program where they are wrong. */
void bench_begin(struct bench *bench, const char *name, int count, char **words);
/* The exit code. */
int bench_end(struct bench *bench);

/* Whether this part was asked for; prints its title. */
bool bench_part(const struct bench *bench, const char *name, const char *title);
uint64_t bench_size(const struct bench *bench, uint64_t smoke, uint64_t quick, uint64_t full);

/* ---- Figures ---- */

void bench_value(struct bench *bench, const char *unit, double value, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* A case that cannot be run here, and why. */
void bench_missing(struct bench *bench, const char *name, const char *reason);
/* Counts a fault, and says it, unless `right`. */
void bench_check(struct bench *bench, bool right, const char *what);

/* The median; sorts. */
double bench_median(double *values, size_t count);

/* ---- The database ---- */

/* Ends the program after a status other than STRATA_OK. */
void must(strata_status status, const char *call);

/* A new folder and a database in it; with `synced`, every commit is. */
void bench_create(struct bench *bench, uint64_t budget_bytes, bool synced);
void bench_open(struct bench *bench, bool synced); /* The present folder. */
/* The most that the database had at a time. */
uint64_t bench_heap_peak(struct bench *bench);
/* Checks that the heap never held more than the budget. */
void bench_close(struct bench *bench);
void bench_remove(struct bench *bench); /* The folder. */
void bench_settle(struct bench *bench); /* Flushed, and no work left. */
void bench_rest(struct bench *bench);   /* Compacted as well. */
double bench_metric(const struct bench *bench, const char *name);
strata_txn *bench_branch(const struct bench *bench, const char *format, uint64_t number);
strata_txn *bench_snapshot(const struct bench *bench, uint64_t version);

/* ---- Rows ---- */

enum { ROW_KEY_BYTES = 24, ROW_VALUE_BYTES_MIN = 24, ROW_VALUE_BYTES_MAX = 4096 };

uint64_t row_random(uint64_t *state);
/* "user" and twenty digits; rows lie in random key order. */
void row_key(uint64_t row, char out[ROW_KEY_BYTES]);
void row_put(strata_txn *txn, uint64_t row, uint64_t update, size_t size);
/* Rows [0, count), many to a commit. */
void rows_load(struct bench *bench, uint64_t first, uint64_t count, size_t size);
/* Whether the row is there as `update` wrote it. */
bool row_get(strata_txn *txn, uint64_t row, uint64_t update, strata_value *value);
/* The update that wrote the row; checks all else. */
bool row_get_any(strata_txn *txn, uint64_t row, strata_value *value, uint64_t *update_out);
/* Up to `limit` rows from that row's key on, written by updates [first, last]: their number, or 0 if
 * one of them is wrong. */
uint64_t row_scan(strata_txn *txn, uint64_t row, uint64_t limit, uint64_t first, uint64_t last);

#endif
