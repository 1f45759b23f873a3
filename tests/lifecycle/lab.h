/* A store on a simulated disk, a heap that counts and a clock that goes when told to, with short
 * words for what tests do most. Everything asserts that it succeeds, unless it returns a status. */
#ifndef STRATA_TESTS_LIFECYCLE_LAB_H
#define STRATA_TESTS_LIFECYCLE_LAB_H

#include "lifecycle/store.h"
#include "simdisk/simdisk.h"
#include "support.h"

struct lab {
    struct simdisk *disk;
    struct test_heap counted;
    strata_allocator allocator;
    strata_clock clock;
    int64_t wall_us;
    _Atomic int64_t monotonic_us;
    int64_t tick_us;              /* Goes by with each look at the monotonic clock. */
    struct store_options options; /* For the next open. */
    struct store *store;          /* NULL: closed. */
    struct epoch_slot *slot;
};

/* An empty disk and options for a store of 1 MiB without threads; opens nothing. */
void lab_create(struct lab *lab);
void lab_destroy(struct lab *lab);

strata_status lab_try_open(struct lab *lab);
void lab_open(struct lab *lab);
strata_status lab_try_close(struct lab *lab);
void lab_close(struct lab *lab);

/* Loses the power, with all that is pending lost, or none of it. Leaves the store closed. */
void lab_crash(struct lab *lab, bool lose);

/* A commit of one row on a branch, value NULL: a deletion. Returns its version. */
uint64_t lab_put(struct lab *lab, uint64_t branch, const char *key, const char *value);
strata_status lab_try_put(struct lab *lab, uint64_t branch, const char *key, const char *value,
                          int64_t stall_wait_us, uint64_t *version_out);

/* A row of `size` bytes of value, all `fill`; from INLINE_VALUE_SIZE_MAX on in an object. */
uint64_t lab_put_filled(struct lab *lab, uint64_t branch, const char *key, size_t size, char fill);

/* The same of the key "key-" and eight digits; the number chooses what fills the value. */
uint64_t lab_put_numbered(struct lab *lab, uint64_t branch, uint64_t number, size_t size);
strata_status lab_try_put_filled(struct lab *lab, uint64_t branch, const char *key, size_t size,
                                 char fill);

/* Makes branch `id` (a number of its own choosing, from 2) from `parent` up to `cap`; 0: a root. */
uint64_t lab_fork(struct lab *lab, uint64_t id, uint64_t parent, uint64_t cap);

/* Writes that branch `id`, made so, is deleted. */
uint64_t lab_delete_branch(struct lab *lab, uint64_t id, uint64_t parent, uint64_t cap);

/* The value of a key as text (its first bytes), or NULL; until the next call. */
const char *lab_get(struct lab *lab, uint64_t branch, const char *key, uint64_t version);
strata_status lab_try_get(struct lab *lab, uint64_t branch, const char *key, uint64_t version,
                          const char **out);

void lab_flush(struct lab *lab);
void lab_compact(struct lab *lab);

/* Does all there is to do. */
void lab_settle(struct lab *lab);

/* Objects of tables, by name on the disk and by what the present set lists. */
uint64_t lab_table_objects(struct lab *lab);
uint64_t lab_listed_objects(struct lab *lab);

uint32_t lab_live_runs(struct lab *lab);
uint32_t lab_memtables(struct lab *lab);

#endif
