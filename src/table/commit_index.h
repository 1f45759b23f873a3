/* The commits of a memtable by branch: finds the last one of a branch up to a version and a time in
 * a number of steps that hardly depends on how many commits there are, or of how many branches.
 *
 * The commits of a branch are a chain, newest first, in which every commit jumps over ever longer
 * stretches, as many as its number in the chain allows (a skew-binary counter: two stretches of one
 * length behind each other become one). A trie of sixteen ways leads from the hash of a branch to its
 * newest commit. Nothing of it ever moves, so one thread adds while others read without a lock. */
#ifndef STRATA_TABLE_COMMIT_INDEX_H
#define STRATA_TABLE_COMMIT_INDEX_H

#include "core/bytes.h"
#include "core/region.h"

/* A commit, as the log of branches shows it. The last three are the index's. */
struct memtable_commit {
    uint64_t version;
    int64_t time_us;
    uint64_t branch;
    uint32_t rows;
    uint32_t span;                       /* How many commits the jump passes, this one included. */
    struct bytes message;                /* In the arena. */
    const struct memtable_commit *older; /* Of the same branch; NULL: none. */
    const struct memtable_commit *jump;  /* A longer way back; NULL: none. */
};

enum { COMMIT_INDEX_WAYS = 16, COMMIT_INDEX_DEPTH_MAX = 16 };

/* A slot is empty (0), or leads to the newest commit of a branch, or, with the lowest bit set, to a
 * node whose branches have hashes that begin alike. */
struct commit_index_node {
    _Atomic uintptr_t slots[COMMIT_INDEX_WAYS];
};

/* Zeroed, it is empty. */
struct commit_index {
    struct commit_index_node root;
    _Atomic uintptr_t *last; /* The slot of the newest commit of all; NULL: there is none. */
};

/* The most that commit_index_add takes from the region, each piece rounded up to 8. */
enum { COMMIT_INDEX_BYTES_MAX = (COMMIT_INDEX_DEPTH_MAX - 1) * sizeof(struct commit_index_node) };

/* Adds a commit that stays where it is; neither version nor time is below those of any before. The
 * region has room. Returns how many nodes it made. */
unsigned commit_index_add(struct commit_index *index, struct region *region,
                          struct memtable_commit *commit);

/* The last commit of `branch` with version <= `version` and time <= `time_us`, or NULL. */
const struct memtable_commit *commit_index_find(const struct commit_index *index, uint64_t branch,
                                                uint64_t version, int64_t time_us);

#endif
