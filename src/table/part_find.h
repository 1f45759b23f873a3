/* Finding the rows of one key in a part.
 *
 * In a large cache the buckets lead there; a search is then two cache misses long, the bucket and the
 * row, and can be begun in steps, so that those of several searches overlap. In a small one, which has
 * no room for buckets, the index does. */
#ifndef STRATA_TABLE_PART_FIND_H
#define STRATA_TABLE_PART_FIND_H

#include "table/part_reader.h"

/* A row found. Its bytes last until the pin is gone or, where there is none, until the epoch ends. */
struct found_row {
    bool found;
    struct row row;           /* The key is the caller's. */
    struct cached_frame *pin; /* NULL where nothing is pinned. */
    struct cached_frame
        *frame; /* Where the value lies, and what can be pinned; NULL: a memtable. */
};

/* A search that has begun, in one epoch. */
struct part_probe {
    struct part *part;
    const uint8_t
        *bucket; /* The first one for the hash; NULL if that is not known to be in memory. */
};

/* Looks where the bucket is, and has it fetched. */
void part_probe_begin(struct part_probe *probe, struct part *part, uint64_t hash);

/* Looks into the bucket, and has the row fetched that it leads to. */
void part_probe_row(const struct part_probe *probe, uint64_t hash);

/* part_find, sooner after the two above. */
STRATA_CHECKED strata_status part_find_probed(const struct part_probe *probe, struct bytes key,
                                              uint64_t hash, uint64_t cap, struct found_row *out,
                                              bool *newer);

/* The newest row of `key` with `from` <= cap. `hash` is hash64_pair of the key. `*newer` is set if a
 * row of the key with `from` > cap was passed over, and left alone otherwise. Inside an epoch, if the
 * cache is large. */
STRATA_CHECKED strata_status part_find(struct part *part, struct bytes key, uint64_t hash,
                                       uint64_t cap, struct found_row *out, bool *newer);

/* The slice of a 12-byte prefix. Inside an epoch, too. */
STRATA_CHECKED strata_status part_find_slice(struct part *part, struct bytes prefix, bool *found,
                                             struct slice_entry *out);

#endif
