/* Writing to a file until all of it is written. */
#ifndef STRATA_BACKEND_LOCAL_FILE_H
#define STRATA_BACKEND_LOCAL_FILE_H

#include <stddef.h>
#include <stdint.h>

/* 0 with what was written, or an errno with what was written before it. */
int local_file_write(int file, uint64_t offset, const void *data, size_t size, size_t *written_out);

/* Zeros that are really written, so that the file system gives its blocks now, not at an append. 0,
 * or an errno. */
int local_file_reserve(int file, uint64_t size);

/* The same at little cost, where the file system can give blocks that read as zeros until they are
 * written. What is appended there takes longer to sync. */
int local_file_reserve_lazily(int file, uint64_t size);

#endif
