/* Many sources as one: every row of each, in row order.
 *
 * Keys are compared as words of 8 bytes, big-endian, behind their end zeros. Of each source's key it is
 * known which word is the first that differs from the key given last, and what it says: of two keys
 * that both come after that one, the one that differs later, or else says less, comes first. So a
 * comparison is mostly one of two integers, and while one source leads (galloping) it is only compared
 * with the best of the others. Source: Conner, "Offset value coding", IBM Technical Disclosure Bulletin,
 * 1977. */
#ifndef STRATA_TABLE_MERGE_H
#define STRATA_TABLE_MERGE_H

#include "table/source.h"

/* Where a key goes on otherwise than the last one. */
struct merge_code {
    uint64_t head; /* The first word that differs, */
    uint32_t word; /* and which one it is; MERGE_SAME: none does. */
};

struct merge_input {
    struct source *source;
    struct merge_code code;
};

/* The sources are borrowed and hold no two rows with the same key and `from`, and no empty keys. Stands on the row of
 * `current` while that is not NULL. */
struct merge {
    const strata_allocator *allocator;
    struct merge_input
        *inputs; /* Those that are not at their end. Few: a linear minimum is best. */
    uint32_t count;
    uint32_t capacity;
    uint32_t leader; /* The input whose row is the present one. */
    struct merge_code runner_up;
    bool tied;    /* Another one has the leader's code. */
    bool repeats; /* The present row has the key of the row before. */
    struct source *current;
    uint64_t *last; /* Words of the key before the present one. */
    uint32_t last_words;
    uint32_t last_capacity;
    size_t last_length; /* Of that key, bytes; */
    uint64_t last_from; /* and `from` of its row. */
};

/* Moves every source to its first row. */
STRATA_CHECKED strata_status merge_start(struct merge *merge, const strata_allocator *allocator,
                                         struct source *const *sources, uint32_t count);

/* To the next row. Fails with STRATA_CORRUPT where a source's rows are not in order. */
STRATA_CHECKED strata_status merge_next(struct merge *merge);

/* Fine on a zeroed struct. Leaves the sources alone. */
void merge_release(struct merge *merge);

#endif
