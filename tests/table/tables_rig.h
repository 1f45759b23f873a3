/* Tables over a memory backend, with flush and merge at will, beside a naive list of all rows. */
#ifndef STRATA_TESTS_TABLE_TABLES_RIG_H
#define STRATA_TESTS_TABLE_TABLES_RIG_H

#include "core/random.h"
#include "backend/memory_backend.h"
#include "core/memory.h"
#include "table/rewrite.h"
#include "table/scan.h"

enum { RIG_ROWS_MAX = 20000, RIG_RUNS_MAX = 64, RIG_KEYS = 24, RIG_BRANCHES = 3 };

/* A row of the naive list. */
struct rig_row {
    uint64_t branch;
    unsigned key;
    uint64_t version;
    bool deleted;
};

struct rig {
    struct memory memory;
    const strata_backend *backend;
    struct epochs epochs;
    struct epoch_slot *slot;
    struct garbage garbage;
    struct cache cache;
    struct part_store store;
    struct tables tables;
    struct output_options output;
    struct rewrite_policy policy;
    struct random random;
    uint64_t next_number;
    uint64_t next_run;
    uint64_t version;
    struct rig_row rows[RIG_ROWS_MAX];
    uint32_t row_count;
};

/* With a large cache or a small one. Mostly with buckets, which only the former uses. */
void rig_open(struct rig *rig, uint64_t seed, uint32_t unit_size, bool large);
void rig_close(struct rig *rig);

/* Up to which version branch 2 inherits from 1, and 3 from 2; it has no row of its own before. */
static inline uint64_t rig_fork_version(uint64_t branch)
{
    return (branch - 1) * 150;
}

/* Commits one random row. Branch 1 is a root; 2 and 3 inherit, so their deletions hide. */
void rig_write(struct rig *rig);

/* Moves the memtable to runs. */
void rig_flush(struct rig *rig);

/* Merges the newest `live_count` live runs with their history; 0: all history runs alone. */
void rig_merge(struct rig *rig, uint32_t live_count);

/* The storage key of a key, in `to`, and the value that version wrote. */
struct bytes rig_key(uint64_t branch, unsigned key, uint8_t to[32]);
size_t rig_value(const struct rig_row *row, uint8_t to[600]);

/* What the naive list says is visible; NULL: nothing. Deletions are rows. */
const struct rig_row *rig_expected(const struct rig *rig, uint64_t branch, unsigned key,
                                   uint64_t cap);

#endif
