/* An open database, as the functions of strata.h see it: storage, the handles on it, and what they
 * count. Arguments were checked above. */
#ifndef STRATA_ENGINE_DATABASE_DATABASE_H
#define STRATA_ENGINE_DATABASE_DATABASE_H

#include "engine/database/latency.h"
#include "engine/kv/kv.h"

/* A name, for as long as the database is open: strata_space_close has nothing to free. */
struct strata_space {
    strata *db;
    struct storage_space *interned;
    struct strata_space *next;
};

struct strata {
    struct storage storage;
    struct memory memory; /* Of this struct and the spaces, which outlive the storage. */
    strata_clock clock;   /* The one that the storage uses. */
    uint32_t process;     /* process_generation() at open. */
    bool always;          /* STRATA_DURABILITY_DEFAULT is STRATA_ALWAYS. */
    struct value_holds holds;
    _Atomic uint64_t txn_count;
    _Atomic uint64_t cursor_count;
    _Atomic uint64_t writer_count;
    struct latency commits; /* From the call to its return. */
    struct mutex spaces_lock;
    struct strata_space *spaces;
    struct strata_space default_space;
};

/* What the heap comes to by default: a quarter of the machine's, within bounds. */
uint64_t database_default_budget(void);

/* As strata_open. `allocator` NULL: the C library's; it is the one in `options`. */
STRATA_CHECKED strata_status database_open(const struct store_options *options, strata **out);

/* As strata_close. */
STRATA_CHECKED strata_status database_close(strata *db);

/* As strata_space_open. */
STRATA_CHECKED strata_status database_space(strata *db, const char *name, strata_space **out);

static inline const strata_allocator *database_allocator(const strata *db)
{
    return &db->storage.store->memory.allocator;
}

static inline int64_t database_monotonic(const strata *db)
{
    return db->clock.monotonic_us(db->clock.context);
}

/* The newest version that is visible, and the newest that is durable, which is not above it. */
void database_watermarks(const strata *db, uint64_t *visible_out, uint64_t *durable_out);

/* As strata_wait_durable. */
STRATA_CHECKED strata_status database_wait_durable(strata *db, uint64_t version, int64_t wait_us);

/* Makes calls of the storage with a reader of their own. */
STRATA_CHECKED strata_status database_fork(strata *db, const strata_point *from, const char *name,
                                           const char *message);
STRATA_CHECKED strata_status database_create_branch(strata *db, const char *name,
                                                    const char *message);
STRATA_CHECKED strata_status database_delete_branch(strata *db, const char *name);
STRATA_CHECKED strata_status database_rename_branch(strata *db, const char *name,
                                                    const char *new_name);
STRATA_CHECKED strata_status database_check(strata *db, const strata_progress *progress,
                                            void (*found)(void *context,
                                                          const strata_finding *finding),
                                            void *context);

/* As strata_footprint_get; `out->size` is left alone. */
STRATA_CHECKED strata_status database_footprint(strata *db, strata_footprint *out);

#endif
