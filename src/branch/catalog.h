/* Reading the catalog: branches and spaces as rows of the system branch (layout/key.h). */
#ifndef STRATA_BRANCH_CATALOG_H
#define STRATA_BRANCH_CATALOG_H

#include "format/catalog.h"
#include "table/tableset.h"

/* A branch record with its own copy of the name. */
struct catalog_branch {
    uint64_t id;
    uint64_t parent;
    uint64_t cap;
    uint64_t created_version;
    int64_t created_us;
    bool deleted;
    char name[BRANCH_NAME_SIZE_MAX + 1];
};

/* All read the catalog of `set` as of `version`, inside an epoch. */

STRATA_CHECKED strata_status catalog_find_name(const struct tableset *set, struct cache *cache,
                                               uint64_t version, struct bytes name, bool *found,
                                               uint64_t *id_out);
STRATA_CHECKED strata_status catalog_read_branch(const struct tableset *set, struct cache *cache,
                                                 uint64_t version, uint64_t id, bool *found,
                                                 struct catalog_branch *out);

/* The number of a space, and whether it was ever deleted in some branch. */
STRATA_CHECKED strata_status catalog_find_space(const struct tableset *set, struct cache *cache,
                                                uint64_t version, struct bytes name, bool *found,
                                                uint32_t *number_out, bool *deletions_out);

/* Up to which version rows of a deleted branch are still read by living descendants; 0: by none.
 * UINT64_MAX if that takes too long to find out. */
STRATA_CHECKED strata_status catalog_needed_to(const struct tableset *set, struct cache *cache,
                                               const strata_allocator *allocator, uint64_t version,
                                               uint64_t id, uint64_t *out);

/* The system rows that branch operations write; keys without prefix. */
enum { CATALOG_ID_KEY_SIZE = 8, CATALOG_CHILD_KEY_SIZE = 24 };
void catalog_child_key(uint64_t parent, uint64_t cap, uint64_t child,
                       uint8_t out[CATALOG_CHILD_KEY_SIZE]);

/* The value of a SYSTEM_SPACES row: u32 number, u8 flags (1: deleted somewhere). */
enum { CATALOG_SPACE_SIZE = 5 };
void catalog_space_value(uint32_t number, bool deletions, uint8_t out[CATALOG_SPACE_SIZE]);

#endif
