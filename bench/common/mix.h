/* Numbers that look random and are the same in every run. */
#ifndef STRATA_BENCH_COMMON_MIX_H
#define STRATA_BENCH_COMMON_MIX_H

#include <stdint.h>

/* A bijection: the end of splitmix64 (Steele, Lea, Flood 2014). */
static inline uint64_t mixed(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

#endif
