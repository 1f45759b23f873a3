/* The backend that keeps its objects on the heap. For databases that live in memory. */
#ifndef STRATA_BACKEND_MEMORY_BACKEND_H
#define STRATA_BACKEND_MEMORY_BACKEND_H

#include "backend/backend.h"

/* Objects are kept in chunks of 64 KiB from `allocator`. Fails with STRATA_NO_MEMORY. */
STRATA_CHECKED strata_status memory_backend_create(const strata_allocator *allocator,
                                                   const strata_backend **out);

/* Frees all objects. Everything opened through it is closed already. NULL is fine. */
void memory_backend_destroy(const strata_backend *backend);

#endif
