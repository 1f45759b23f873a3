/* Opens one disk that a power cut left, and checks everything that can be asked of it. */
#ifndef STRATA_TESTS_STATE_CHECK_H
#define STRATA_TESTS_STATE_CHECK_H

#include "model/model_check.h"
#include "simdisk/simdisk.h"

/* What is promised about a disk. */
struct state_promise {
    struct model *model;
    uint64_t floor; /* Versions up to it were durable. */
    uint64_t begun; /* No version beyond it. */
    int64_t wall_us;
    uint32_t durability;
    struct check_extra extra; /* A commit beyond the model's cut, if that is shown. */
};

struct state_check {
    struct state_promise promise;
    bool full;   /* Compare everything, not a sample. */
    bool *known; /* [version]: compared in full before. NULL: only `full` decides. */
    bool verify; /* Open read-only first, which must change no byte; run strata_check as well. */
    uint64_t seed;
    void (*opened)(void *context, strata *db); /* Told once open, and NULL before the close. */
    void *opened_context;
    void (*begun)(void *context, const struct check_extra *extra); /* Before the commit. */
    char why[CHECK_WHY_SIZE];
};

/* Opens, checks, commits, closes, opens and checks again. Returns false and says why, else the
 * version that recovery found first. */
bool state_check_run(struct state_check *check, struct simdisk *disk, uint64_t *version_out);

/* Only opens and checks, and leaves by power off: for what a second crash left. */
bool state_check_glance(struct state_check *check, struct simdisk *disk);

#endif
