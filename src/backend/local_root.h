/* The directory tree of a local backend: names checked, folders found, made and synced. Nothing in
 * it is reached through a symbolic link except the root itself. */
#ifndef STRATA_BACKEND_LOCAL_ROOT_H
#define STRATA_BACKEND_LOCAL_ROOT_H

#include "core/lock.h"

#include <stdbool.h>

enum { LOCAL_NAME_SIZE = 201 }; /* Bytes of the longest name, NUL included. */

struct local_root {
    const strata_allocator *allocator;
    char *path;
    struct mutex lock;            /* Guards what follows. */
    int file;                     /* The open root directory; -1 until it is first needed. */
    bool made;                    /* By us, so that its parent must be synced too. */
    struct local_folder *durable; /* Folders whose own names survive a power cut. */
};

/* A name in two parts: "tables/07/x" is "x" in "tables/07", "x" is "x" in "". */
struct local_name {
    char folder[LOCAL_NAME_SIZE];
    char base[LOCAL_NAME_SIZE];
};

/* Copies `path`. Fails with STRATA_NO_MEMORY. */
STRATA_CHECKED strata_status local_root_init(struct local_root *root, const char *path,
                                             const strata_allocator *allocator);
void local_root_release(struct local_root *root);

/* Whether `folder` is "" or a name that stays inside the root. */
bool local_folder_is_valid(const char *folder);

/* Splits `name`; false if it is none that strata.h allows, or lies in the folder of the lock. */
bool local_name_split(const char *name, struct local_name *out);

/* Takes what open() gave and returns the same, but never 0, 1 or 2: whoever writes to a standard stream
 * that was closed must not reach a file of ours. -1 with errno stays -1. */
int local_file_apart(int file);

/* A directory file of `folder` ("" is the root), which the caller closes; -1 with errno, ENOENT if
 * it does not exist. `make`: it, and the folders above it, are made when missing. */
int local_folder_open(struct local_root *root, const char *folder, bool make);

/* Makes durable what happened in `folder`, and its own name up to that of the root. A folder that
 * does not exist is durable. 0, or an errno. */
int local_folder_sync(struct local_root *root, const char *folder);

#endif
