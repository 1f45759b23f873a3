/* Asking for memory that will be needed a little later: a hint, where the compiler has one. */
#ifndef STRATA_CORE_PREFETCH_H
#define STRATA_CORE_PREFETCH_H

#include <stddef.h>
#include <stdint.h>

enum { CACHE_LINE_BYTES = 64 };

/* The line that `at` lies in. */
static inline void prefetch(const void *at)
{
#if defined(__GNUC__)
    __builtin_prefetch(at);
    /* Without this, gcc takes a function that only fetches for one that does nothing, and drops calls
     * of it. */
    __asm__ __volatile__("");
#else
    (void)at;
#endif
}

/* The lines of the first `size` bytes. */
static inline void prefetch_bytes(const uint8_t *at, size_t size)
{
    for (size_t line = 0; line < size; line += CACHE_LINE_BYTES)
        prefetch(at + line);
}

#endif
