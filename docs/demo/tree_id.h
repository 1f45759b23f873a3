/* The id of a git tree, from its files in the order of their paths.
 *
 * git sorts the entries of a folder as if the names of folders ended in '/'. That is the order of
 * whole paths by memcmp, so files that come from a scan fall into place, and only the folders on the
 * way to the present file have to be held. */
#ifndef STRATA_DEMO_TREE_ID_H
#define STRATA_DEMO_TREE_ID_H

#include "sha1.h"

struct tree_level {
    uint8_t *entries; /* "mode name\0id" each, as git stores them. */
    size_t size;
    size_t capacity;
    size_t name_end; /* Of this folder's name in the path; 0 for the root. */
};

/* Start from all zero. Can be used again after tree_id_end. */
struct tree_id {
    struct tree_level *levels; /* [level_capacity], open are [0, level_count). */
    size_t level_count;
    size_t level_capacity;
    char *path; /* Of the last file. */
    size_t path_size;
    size_t path_capacity;
};

void tree_id_begin(struct tree_id *tree);

/* `id` is that of a blob, or of a submodule's commit. False when out of memory. */
bool tree_id_add(struct tree_id *tree, const char *path, size_t path_size, uint32_t mode,
                 const uint8_t id[SHA1_SIZE]);
bool tree_id_end(struct tree_id *tree, uint8_t out[SHA1_SIZE]);
void tree_id_release(struct tree_id *tree);

#endif
