/* Commits of one branch that lie behind each other in a memtable, as the log of branches shows them.
 *
 * Most commits differ from the one before on their branch by version and time alone. A stretch says
 * once what its commits have in common, and of each behind the first how far it is from that in
 * version and time, in 8 bytes. Those that do not fit begin the next stretch; a commit with a message
 * is alone in one. Commits of other branches may lie between, in stretches of their own.
 *
 * One thread adds, any number read meanwhile: a commit is complete before it counts, and nothing moves. */
#ifndef STRATA_TABLE_COMMIT_STRETCH_H
#define STRATA_TABLE_COMMIT_STRETCH_H

#include "core/bytes.h"

#include <stdatomic.h>

struct memtable_commit {
    uint64_t version;
    int64_t time_us;
    uint64_t branch;
    uint32_t rows;
    struct bytes message;
};

/* How far a commit is from the first of its stretch. */
struct commit_step {
    uint32_t version;
    uint32_t time_us;
};

enum { STRETCH_COMMITS_MAX = 128 };

/* Neither versions nor times go back. The message, which only a stretch for one commit may have, lies
 * where the steps would. `older`, `jump` and `rank` are the index's. */
struct commit_stretch {
    uint64_t version; /* Of the first commit, as the next one. */
    int64_t time_us;
    uint64_t branch; /* Of every commit, as the next one. */
    uint32_t rows;
    uint16_t capacity; /* How many commits there is room for. */
    _Atomic uint16_t count;
    const struct commit_stretch *older; /* Of the same branch; NULL: none. */
    const struct commit_stretch *jump;  /* A longer way back; NULL: none. */
    uint16_t message_length;
    uint8_t rank; /* The jump passes 2^rank - 1 stretches, this one included. */
    struct commit_step steps[];
};

/* The size of a stretch for `capacity` commits, the first one of which has `message_bytes`. */
size_t commit_stretch_size(unsigned capacity, size_t message_bytes);

/* How many commits the stretch that `first` begins is to have room for: twice as many as the one
 * before has, so that not much room is ever left over. `older` as above. */
unsigned commit_stretch_capacity(const struct commit_stretch *older,
                                 const struct memtable_commit *first);

/* In memory of that size, which it keeps, with the first commit, a copy. */
void commit_stretch_init(struct commit_stretch *stretch, unsigned capacity,
                         const struct memtable_commit *first);

/* Whether it takes the commit, the newest of its branch, and if so does. */
bool commit_stretch_add(struct commit_stretch *stretch, const struct memtable_commit *commit);

/* Commits [0, count) are there; what is counted once stays. */
static inline unsigned commit_stretch_count(const struct commit_stretch *stretch)
{
    return atomic_load_explicit(&stretch->count, memory_order_acquire);
}

/* Its message lives as long as the stretch. */
struct memtable_commit commit_stretch_at(const struct commit_stretch *stretch, unsigned index);

/* The last commit with version <= `version` and time <= `time_us`; the first one is such. */
struct memtable_commit commit_stretch_find(const struct commit_stretch *stretch, uint64_t version,
                                           int64_t time_us);

#endif
