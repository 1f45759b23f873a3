/* The backend over a directory of a POSIX file system: pread, pwrite, fdatasync, flock. */
#ifndef STRATA_BACKEND_LOCAL_H
#define STRATA_BACKEND_LOCAL_H

#include "backend/backend.h"

/* `path` names the root; neither it nor its parents are touched before the first create or
 * exclusive lock, which makes it with mode 0700 (its parent must exist). Objects are files of mode
 * 0600. Fails with STRATA_NO_MEMORY. */
STRATA_CHECKED strata_status local_backend_create(const char *path,
                                                  const strata_allocator *allocator,
                                                  const strata_backend **out);

/* Everything opened through it is closed already. NULL is fine. */
void local_backend_destroy(const strata_backend *backend);

#endif
