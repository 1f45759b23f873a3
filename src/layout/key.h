/* The order of rows. A storage key is
 *
 *     0   u64 branch         big-endian
 *     8   u32 storage space  big-endian: space number * 16 + kind of primitive
 *     12  user key           0 to 16,384 bytes
 *
 * compared as bytes; rows of one key lie newest first. The empty user key is the library's: in every
 * storage space it holds the range deletion of the whole space. */
#ifndef STRATA_LAYOUT_KEY_H
#define STRATA_LAYOUT_KEY_H

#include "core/bytes.h"

enum {
    KEY_PREFIX_SIZE = 12,
    USER_KEY_SIZE_MAX = 16384,
    STORAGE_KEY_SIZE_MAX = KEY_PREFIX_SIZE + USER_KEY_SIZE_MAX
};

/* Kinds of primitive; space numbers are below 2^26. */
enum { KIND_SYSTEM = 0, KIND_KV = 1, KIND_LAST = 15 };

enum { BRANCH_SYSTEM = 0, BRANCH_MAIN = 1 };

/* Spaces of the system branch (all of KIND_SYSTEM), and of every branch. Space 0 is the system's,
 * 1 is "default"; named ones follow. */
enum { SPACE_SYSTEM = 0, SPACE_DEFAULT = 1, SPACE_FIRST_NAMED = 2, SPACE_LIMIT = 1 << 26 };

static inline uint32_t storage_space(uint32_t space, unsigned kind)
{
    return space << 4 | kind;
}

/* Storage spaces of system rows. In BRANCH_SYSTEM:
 *   BRANCHES   branch u64 BE                    -> branch record (format/catalog.h)
 *   NAMES      branch name                      -> branch u64 LE
 *   CHILDREN   parent u64 BE, cap u64 BE, child u64 BE -> empty
 *   SPACES     space name                       -> space u32 LE, u8 flags: 1 deleted somewhere
 * In every branch:
 *   LOG        first version u64 BE             -> packed commits (format/catalog.h) */
enum { SYSTEM_BRANCHES = 1 << 30, SYSTEM_NAMES, SYSTEM_CHILDREN, SYSTEM_SPACES, SYSTEM_LOG };

/* All storage spaces of the system lie above those of users: see SPACE_LIMIT. */

static inline void key_prefix_store(uint8_t to[KEY_PREFIX_SIZE], uint64_t branch, uint32_t space)
{
    store_ordered_u64(to, branch);
    store_ordered_u32(to + 8, space);
}

static inline uint64_t key_branch(const uint8_t *storage_key)
{
    return load_ordered_u64(storage_key);
}

static inline uint32_t key_space(const uint8_t *storage_key)
{
    return load_ordered_u32(storage_key + 8);
}

#endif
