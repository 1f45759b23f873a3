/* One number for everything that a database shows: branches, rows, every past version, histories.
 * Reads through strata.h only. */
#ifndef STRATA_TESTS_CONTENT_H
#define STRATA_TESTS_CONTENT_H

#ifndef STRATA_EXPERIMENTAL
#define STRATA_EXPERIMENTAL
#endif

#include "strata.h"

/* Fails with the status of the read that failed. */
strata_status content_hash(strata *db, uint64_t *out);

#endif
