/* The commits of a memtable by branch: finds the last one of a branch up to a version and a time in
 * a number of steps that hardly depends on how many commits there are, or of how many branches.
 *
 * Commits lie in stretches (commit_stretch.h). Those of a branch are a chain, newest first, in which
 * every stretch jumps over ever more others, as many as its number in the chain allows (a skew-binary
 * counter: two jumps of one length behind each other become one). A trie of sixteen ways leads from
 * the hash of a branch to its newest stretch. Nothing of it ever moves, so one thread adds while others
 * read without a lock. */
#ifndef STRATA_TABLE_COMMIT_INDEX_H
#define STRATA_TABLE_COMMIT_INDEX_H

#include "core/region.h"
#include "table/commit_stretch.h"

enum { COMMIT_INDEX_WAYS = 16, COMMIT_INDEX_DEPTH_MAX = 16 };

/* A slot is empty (0), or leads to the newest stretch of a branch, or, with the lowest bit set, to a
 * node whose branches have hashes that begin alike. */
struct commit_index_node {
    _Atomic uintptr_t slots[COMMIT_INDEX_WAYS];
};

/* Zeroed, it is empty. The last two are the writer's. */
struct commit_index {
    struct commit_index_node root;
    _Atomic uintptr_t *last; /* The slot of the newest commit of all; NULL: there is none. */
    size_t stretch_count;
};

/* The most that adding a commit takes from the region, each piece rounded up to 8. */
size_t commit_index_add_size(size_t message_bytes);

/* Copies a commit; neither version nor time is below those of any before. The region has room. Returns
 * how many nodes it made. */
unsigned commit_index_add(struct commit_index *index, struct region *region,
                          const struct memtable_commit *commit);

/* The last commit of `branch` with version <= `version` and time <= `time_us`; false: there is none.
 * Its message lives as long as the region. */
bool commit_index_find(const struct commit_index *index, uint64_t branch, uint64_t version,
                       int64_t time_us, struct memtable_commit *out);

/* All stretches, stretch_count of them, those of a branch behind each other and oldest first. Nobody
 * adds meanwhile. */
void commit_index_list(const struct commit_index *index, const struct commit_stretch **out);

#endif
