/* Points in time: their text, and what they mean now. */
#ifndef STRATA_ENGINE_DATABASE_POINT_H
#define STRATA_ENGINE_DATABASE_POINT_H

#include "storage/storage.h"

/* A point found in a database. */
struct point_target {
    struct branch *branch; /* A handle: storage_branch_close. */
    bool head;             /* No moment was named: version and time are those of now. */
    uint64_t version; /* Of the last commit at or before the point that the branch sees; or 0. */
    int64_t time_us;  /* Of that commit; or 0. */
    int64_t as_of_us; /* When rows have expired by: the time named, else time_us. */
};

/* The name of its branch, "main" if it names none; whether it means the newest state of that. */
const char *point_branch(const strata_point *point);
bool point_is_head(const strata_point *point);

/* STRATA_NOT_FOUND: no such branch or tag; STRATA_HISTORY_UNAVAILABLE: beyond the newest commit. */
STRATA_CHECKED strata_status point_find(struct storage *storage, struct store_reader *reader,
                                        const strata_point *point, struct point_target *out);

/* Makes a head the last commit that the branch sees. */
STRATA_CHECKED strata_status point_settle(struct storage *storage, struct store_reader *reader,
                                          struct point_target *target);

/* As strata_point_parse; the name is not checked but for its size. */
STRATA_CHECKED strata_status point_parse(const char *text, char name[BRANCH_NAME_SIZE_MAX + 1],
                                         strata_point *out);

#endif
