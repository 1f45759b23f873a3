/* What the files of a store take, by what they are for. */
#ifndef STRATA_LIFECYCLE_FOOTPRINT_H
#define STRATA_LIFECYCLE_FOOTPRINT_H

#include "lifecycle/store.h"

/* In bytes; those of all files add up. */
struct footprint {
    uint64_t live;
    uint64_t history;
    uint64_t derived; /* Buckets and artifacts. */
    uint64_t pinned;  /* Not listed any more, but somebody is still reading. */
    uint64_t dead;
    uint64_t log;
    uint64_t other; /* Manifests, and tables and values on their way. */
    uint32_t file_count;
};

/* Lists every folder, and reads the footer of every part that has not been used yet. Of a part that
 * cannot be read, buckets and values are not told from the rest. */
STRATA_CHECKED strata_status store_footprint(struct store *store, struct footprint *out);

#endif
