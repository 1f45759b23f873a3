/* Random numbers for tests: splitmix64, so that one 64-bit seed replays a run on any platform. */
#ifndef STRATA_TESTS_SIM_RANDOM_H
#define STRATA_TESTS_SIM_RANDOM_H

#include <stddef.h>
#include <stdint.h>

static inline uint64_t sim_mix(uint64_t value)
{
    value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9u;
    value = (value ^ value >> 27) * 0x94d049bb133111ebu;
    return value ^ value >> 31;
}

static inline uint64_t sim_random(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15u;
    return sim_mix(*state);
}

/* A number in [0, limit); 0 where limit is 0. */
static inline uint64_t sim_below(uint64_t *state, uint64_t limit)
{
    const uint64_t value = sim_random(state);
    return limit == 0 ? 0 : value % limit;
}

/* A hash of bytes; the same on every platform. */
static inline uint64_t sim_hash(const void *data, size_t size, uint64_t seed)
{
    const unsigned char *bytes = data;
    uint64_t hash = sim_mix(seed ^ (size * 0x9e3779b97f4a7c15u));
    while (size > 0) {
        const size_t step = size < 8 ? size : 8;
        uint64_t word = 0;
        for (size_t i = 0; i < step; i++)
            word |= (uint64_t)bytes[i] << (8 * i);
        hash = (hash ^ word) * 0xff51afd7ed558ccdu;
        hash ^= hash >> 32;
        bytes += step;
        size -= step;
    }
    return sim_mix(hash);
}

#endif
