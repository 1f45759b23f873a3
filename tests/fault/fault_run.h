/* One run of a script against a failing disk and a failing allocator, and everything that must be
 * true afterwards. */
#ifndef STRATA_TESTS_FAULT_RUN_H
#define STRATA_TESTS_FAULT_RUN_H

#include "model/state_check.h"
#include "model/world.h"
#include "simdisk/simdisk.h"

struct fault_plan {
    const char *script;
    uint64_t seed;
    struct sim_fault fault;     /* Of the disk; all zero: none. */
    uint64_t limit;             /* Bytes that the disk holds; 0: no limit. */
    uint64_t ring_bytes;        /* Of the log's ring; 0: none. */
    uint64_t allocation;        /* Request for memory that fails, from 1; 0: none. */
    bool allocations_after_too; /* All later ones fail as well. */
};

struct fault_result {
    uint64_t operations;  /* Of the backend. */
    uint64_t allocations; /* Requests for memory. */
    uint64_t peak;        /* Most bytes on the disk. */
    uint64_t injected;    /* Faults that struck. */
    uint64_t failed;      /* Calls that failed. */
    char why[CHECK_WHY_SIZE];
};

/* Runs the script and closes. Then, without faults: all memory is back; the database opens and shows
 * every commit whose call succeeded; and after a power cut it shows every one that was durable.
 * False, and why, if something of that is not so. */
bool fault_run(const struct fault_plan *plan, struct fault_result *out);

#endif
