/* Who this process is, for the text that a lock shows to others. */
#ifndef STRATA_CORE_PROCESS_H
#define STRATA_CORE_PROCESS_H

#include <stddef.h>
#include <stdint.h>

uint32_t process_id(void);

/* The host's name, NUL-terminated, cut to `size`; "unknown" if it has none. */
void process_host(char *out, size_t size);

/* Bytes of main memory; 0 if that cannot be told. */
uint64_t process_main_memory(void);

#endif
