/* Compares a loaded database with the repository it came from. */
#ifndef STRATA_DEMO_VERIFY_H
#define STRATA_DEMO_VERIFY_H

#include <stdbool.h>
#include <stdint.h>

enum { VERIFY_FORKS_MAX = 1000 };

/* How a run ends, which is also how the program exits. */
enum verdict { VERDICT_SAME = 0, VERDICT_DIFFERENT = 1, VERDICT_ERROR = 3 };

struct verify_request {
    const char *repository;
    const char *folder;    /* Of the database. */
    const char *budget;    /* Or NULL. */
    const char *map;       /* A file: see commit_map.h. */
    uint64_t commit_count; /* So many, chosen at random from a fixed seed; 0: all. */
};

/* Rebuilds the id of the tree of each commit from a snapshot at its version, and looks at its row;
 * does the same through forks made at up to VERIFY_FORKS_MAX of them; and looks where the refs are.
 * Prints a line of results, and one per difference up to a bound. */
enum verdict verify_history(const struct verify_request *request);

#endif
