/* The workloads of the crash sweep. Each flushes at least twice, merges, forks to depth three, drops
 * a parent and reopens; they differ in what they do most. */
#ifndef STRATA_TESTS_WORKLOADS_H
#define STRATA_TESTS_WORKLOADS_H

#include <stddef.h>
#include <stdint.h>

struct workload {
    const char *name;
    const char *script; /* As in model/world.h. */
    uint32_t durability;
};

enum { WORKLOAD_COUNT = 14 };

extern const struct workload workloads[WORKLOAD_COUNT];

/* NULL if there is none. */
const struct workload *workload_find(const char *name, size_t name_size);

#endif
