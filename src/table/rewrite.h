/* Flush and merge in one: rows of memtables or runs, in order, to a live and a history run.
 *
 * The newest row of a key goes to the live run. A row that a newer one displaced goes to history,
 * with `to` = the `from` of that newer one. Rows that came from history stay there. */
#ifndef STRATA_TABLE_REWRITE_H
#define STRATA_TABLE_REWRITE_H

#include "table/log_source.h"
#include "table/merge.h"
#include "table/run_input.h"
#include "table/run_output.h"

/* Which rows may go, and what a deletion is for. Knows branches, which this layer does not. */
struct rewrite_policy {
    void *context;
    /* Whether a row visible for versions [from, to) is still needed; to is TO_OPEN if nothing
     * displaced it. */
    bool (*keeps)(void *context, uint64_t branch, uint32_t storage_space, uint64_t from,
                  uint64_t to);
    /* Whether the branch inherits anything that a deletion in it would have to hide. */
    bool (*inherits)(void *context, uint64_t branch);
};

struct rewrite_options {
    const struct output_options *output;
    const struct rewrite_policy *policy; /* NULL: everything stays. */
    struct memtable *memtable;           /* A flush: this alone. Borrowed. */
    struct run *const *runs;             /* A merge: live and history runs. Borrowed. */
    uint32_t run_count;
    uint64_t input_bytes; /* Memory for pieces of the runs, about; 0: as little as will do. */
    size_t
        pieces_bytes_max; /* Of what they take if frames are large: beyond it is STRATA_NO_MEMORY. 0:
                                any. */
    bool to_bottom;       /* There is no older live run: deletions that hide nothing leave it. */
    bool history_only;    /* All inputs are history, and so is the output. */
};

struct rewrite {
    const strata_allocator *allocator;
    struct rewrite_options options;
    struct memtable_source memtable;
    struct log_source log;
    struct run_input *runs;
    struct input_room room;
    struct source **sources;
    uint32_t source_count;
    struct merge merge;
    struct arena arena; /* Of the outputs' descriptions. */
    struct run_output live;
    struct run_output history;
    struct buffer dropped_values; /* u64 of each value object whose row was dropped. */
    uint64_t rows_read;
    uint64_t rows_dropped;
    unsigned stage;
};

/* Takes no reference: the inputs stay for as long as the rewrite does. `options` is copied, what it
 * points to is borrowed. */
STRATA_CHECKED strata_status rewrite_open(struct rewrite *rewrite,
                                          const strata_allocator *allocator,
                                          const struct rewrite_options *options);

/* Does about `charge_max` bytes of rows, or one of the closing steps. After `*done` everything
 * written is durable, names too. After a failure only release is left. */
STRATA_CHECKED strata_status rewrite_step(struct rewrite *rewrite, uint64_t charge_max, bool *done);

/* Fine on a zeroed struct. */
void rewrite_release(struct rewrite *rewrite);

/* The numbers of all objects made so far: garbage if the rewrite comes to nothing. NULL when out of
 * memory. */
struct garbage_item *rewrite_objects(const struct rewrite *rewrite);

#endif
