/* Asking for a cache line before it is needed. */
#ifndef STRATA_CORE_PREFETCH_H
#define STRATA_CORE_PREFETCH_H

/* A hint; any address is fine. */
static inline void prefetch(const void *at)
{
#if defined(__GNUC__)
    __builtin_prefetch(at);
#else
    (void)at;
#endif
}

#endif
