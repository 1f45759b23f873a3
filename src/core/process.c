#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif

#include "core/process.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

uint32_t process_id(void)
{
    return (uint32_t)getpid();
}

void process_host(char *out, size_t size)
{
    assert(size > 0);
    if (gethostname(out, size) != 0)
        snprintf(out, size, "%s", "unknown");
    out[size - 1] = '\0';
}

uint64_t process_main_memory(void)
{
#ifdef _SC_PHYS_PAGES
    const long pages = sysconf(_SC_PHYS_PAGES);
    const long page_size = sysconf(_SC_PAGESIZE);
    if (pages > 0 && page_size > 0)
        return (uint64_t)pages * (uint64_t)page_size;
#endif
    return 0;
}
