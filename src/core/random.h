/* Seeded randomness. Nothing in the library draws from anywhere else. */
#ifndef STRATA_CORE_RANDOM_H
#define STRATA_CORE_RANDOM_H

#include <stdint.h>

struct random {
    uint64_t state;
};

/* Source: splitmix64, Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", 2014. */
uint64_t random_next(struct random *random);

/* A seed from the operating system; never 0. */
uint64_t random_system_seed(void);

#endif
