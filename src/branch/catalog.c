#include "branch/catalog.h"

#include "layout/key.h"
#include "table/scan.h"

#include <assert.h>

enum { DESCENDANTS_MAX = 100000, DESCENDANTS_WAITING_MAX = 4096 };

/* The row of a system key; when found, the caller unpins. */
static strata_status catalog_find(const struct tableset *set, uint64_t version, uint32_t space,
                                  struct bytes key, struct found_row *out)
{
    uint8_t storage_key[KEY_PREFIX_SIZE + BRANCH_NAME_SIZE_MAX];
    assert(key.length <= BRANCH_NAME_SIZE_MAX);
    key_prefix_store(storage_key, BRANCH_SYSTEM, space);
    memcpy(storage_key + KEY_PREFIX_SIZE, key.data, key.length);
    TRY(tableset_find(set, bytes_of(storage_key, KEY_PREFIX_SIZE + key.length), version, out));
    out->row.key = (struct bytes){0}; /* It was ours. */
    return STRATA_OK;
}

static bool catalog_live(const struct found_row *found)
{
    return found->found && found->row.kind != ROW_DELETE;
}

/* The branch "main" comes with the database: nothing is written about it before it is renamed or
 * deleted. */
static const char catalog_main_name[] = "main";

static bool catalog_is_main(struct bytes name)
{
    return bytes_equal(name, bytes_of(catalog_main_name, sizeof(catalog_main_name) - 1));
}

strata_status catalog_find_name(const struct tableset *set, struct cache *cache, uint64_t version,
                                struct bytes name, bool *found, uint64_t *id_out)
{
    strata_status status = STRATA_OK;
    struct found_row row;
    TRY(catalog_find(set, version, SYSTEM_NAMES, name, &row));
    *found = catalog_live(&row);
    if (!row.found && catalog_is_main(name)) {
        *found = true;
        *id_out = BRANCH_MAIN;
    } else if (*found) {
        if (row.row.value.length == sizeof(uint64_t))
            *id_out = load_u64(row.row.value.data);
        else
            status = failure(STRATA_CORRUPT, "the catalog's row of a branch name has %zu bytes",
                             row.row.value.length);
    }
    cache_unpin(cache, row.pin);
    return status;
}

strata_status catalog_read_branch(const struct tableset *set, struct cache *cache, uint64_t version,
                                  uint64_t id, bool *found, struct catalog_branch *out)
{
    strata_status status = STRATA_OK;
    struct found_row row;
    struct branch_record record;
    uint8_t key[CATALOG_ID_KEY_SIZE];
    store_ordered_u64(key, id);
    TRY(catalog_find(set, version, SYSTEM_BRANCHES, bytes_of(key, sizeof(key)), &row));
    *found = catalog_live(&row);
    if (!row.found && id == BRANCH_MAIN) {
        *found = true;
        *out = (struct catalog_branch){.id = BRANCH_MAIN};
        memcpy(out->name, catalog_main_name, sizeof(catalog_main_name));
    } else if (*found) {
        TRY_OUT(branch_record_decode(row.row.value, &record));
        *out = (struct catalog_branch){.id = id,
                                       .parent = record.parent,
                                       .cap = record.cap,
                                       .created_version = record.created_version,
                                       .created_us = record.created_us,
                                       .deleted = (record.flags & BRANCH_DELETED) != 0};
        assert(record.name.length <= BRANCH_NAME_SIZE_MAX);
        memcpy(out->name, record.name.data, record.name.length);
    }

out:
    cache_unpin(cache, row.pin);
    return status;
}

strata_status catalog_find_space(const struct tableset *set, struct cache *cache, uint64_t version,
                                 struct bytes name, bool *found, uint32_t *number_out,
                                 bool *deletions_out)
{
    strata_status status = STRATA_OK;
    struct found_row row;
    TRY(catalog_find(set, version, SYSTEM_SPACES, name, &row));
    *found = catalog_live(&row);
    if (*found) {
        if (row.row.value.length == CATALOG_SPACE_SIZE) {
            *number_out = load_u32(row.row.value.data);
            *deletions_out = row.row.value.data[4] != 0;
        } else {
            status = failure(STRATA_CORRUPT, "the catalog's row of a space has %zu bytes",
                             row.row.value.length);
        }
    }
    cache_unpin(cache, row.pin);
    return status;
}

void catalog_child_key(uint64_t parent, uint64_t cap, uint64_t child,
                       uint8_t out[CATALOG_CHILD_KEY_SIZE])
{
    store_ordered_u64(out, parent);
    store_ordered_u64(out + 8, cap);
    store_ordered_u64(out + 16, child);
}

void catalog_space_value(uint32_t number, bool deletions, uint8_t out[CATALOG_SPACE_SIZE])
{
    store_u32(out, number);
    out[4] = deletions ? 1 : 0;
}

/* A branch whose children are to be looked at, and up to which version of the first ancestor its
 * descendants read. */
struct pending_branch {
    uint64_t id;
    uint64_t cap;
};

/* Walks the children of one branch: living ones count, deleted ones are pushed for their own. */
static strata_status catalog_visit_children(const struct tableset *set, struct cache *cache,
                                            struct scan *scan, uint64_t version,
                                            struct pending_branch parent, struct buffer *stack,
                                            uint64_t *needed)
{
    uint8_t first[CATALOG_CHILD_KEY_SIZE];
    catalog_child_key(parent.id, 0, 0, first);
    TRY(scan_seek(scan, bytes_of(first, sizeof(first)), false));
    while (scan->valid) {
        if (scan->row.key.length != CATALOG_CHILD_KEY_SIZE)
            return failure(STRATA_CORRUPT, "the catalog's row of a child has a key of %zu bytes",
                           scan->row.key.length);
        const uint8_t *key = scan->row.key.data;
        if (load_ordered_u64(key) != parent.id)
            return STRATA_OK;
        const uint64_t cap = load_ordered_u64(key + 8);
        struct pending_branch child = {.id = load_ordered_u64(key + 16),
                                       .cap = cap < parent.cap ? cap : parent.cap};
        if (scan->row.kind != ROW_DELETE && child.cap > *needed) {
            bool found;
            struct catalog_branch branch;
            TRY(catalog_read_branch(set, cache, version, child.id, &found, &branch));
            if (found && !branch.deleted)
                *needed = child.cap;
            else if (found && stack->length <= DESCENDANTS_WAITING_MAX * sizeof(child))
                TRY(buffer_append(stack, bytes_of(&child, sizeof(child))));
        }
        TRY(scan_next(scan));
    }
    return STRATA_OK;
}

strata_status catalog_needed_to(const struct tableset *set, struct cache *cache,
                                const strata_allocator *allocator, uint64_t version, uint64_t id,
                                uint64_t *out)
{
    strata_status status = STRATA_OK;
    const struct level level = {.branch = BRANCH_SYSTEM, .cap = version};
    const struct scan_options options = {
        .set = set, .levels = &level, .level_count = 1, .space = SYSTEM_CHILDREN};
    struct scan scan;
    struct buffer stack;
    struct pending_branch next = {.id = id, .cap = UINT64_MAX};
    unsigned visited = 0;
    buffer_init(&stack, allocator);
    *out = 0;
    scan_init(&scan, allocator);
    TRY_OUT(scan_open(&scan, &options));
    TRY_OUT(buffer_append(&stack, bytes_of(&next, sizeof(next))));
    while (stack.length > 0) {
        if (++visited > DESCENDANTS_MAX || stack.length > DESCENDANTS_WAITING_MAX * sizeof(next)) {
            *out = UINT64_MAX;
            break;
        }
        memcpy(&next, stack.data + stack.length - sizeof(next), sizeof(next));
        buffer_truncate(&stack, stack.length - sizeof(next));
        TRY_OUT(catalog_visit_children(set, cache, &scan, version, next, &stack, out));
    }

out:
    scan_release(&scan);
    buffer_release(&stack);
    return status;
}
