/* Named objects under one root: the only way to durable bytes. This header turns the effects of a
 * strata_backend (strata_backend.h has the contract) into statuses with messages. */
#ifndef STRATA_BACKEND_BACKEND_H
#define STRATA_BACKEND_BACKEND_H

#include "core/bytes.h"
#include "core/status.h"

enum { OBJECT_NAME_SIZE = 64 }; /* Bytes of an object's name, NUL included. */

/* An open object. `handle` NULL: closed. Embedded in its owner; does not move while open. */
struct object {
    const strata_backend *backend;
    strata_object *handle;
    uint64_t size;     /* As found by open; 0 after create. */
    uint64_t appended; /* Where the next append goes. */
    char name[OBJECT_NAME_SIZE];
};

/* Fails with STRATA_EXISTS if the name is taken; STRATA_NO_SPACE for ENOSPC, EDQUOT; STRATA_IO. */
STRATA_CHECKED strata_status object_create(const strata_backend *backend, const char *name,
                                           uint64_t reserve_bytes, struct object *out);

/* The same, for what will be filled before it is synced often: setting bytes aside costs little, and
 * syncing what is appended there a little more. */
STRATA_CHECKED strata_status object_create_lazy(const strata_backend *backend, const char *name,
                                                uint64_t reserve_bytes, struct object *out);

/* Fails with STRATA_NOT_FOUND (with a message) if there is none. */
STRATA_CHECKED strata_status object_open(const strata_backend *backend, const char *name,
                                         struct object *out);

/* A closed or zeroed object is fine. */
void object_close(struct object *object);

/* Reads up to `size` bytes; `size_out` is less only at the object's end. */
STRATA_CHECKED strata_status object_read_some(const struct object *object, uint64_t offset,
                                              void *to, size_t size, size_t *size_out);

/* Reads exactly `size` bytes: STRATA_CORRUPT "is cut short" if the object ends before. */
STRATA_CHECKED strata_status object_read(const struct object *object, uint64_t offset, void *to,
                                         size_t size);

/* Appends at `appended` and moves it. After a failure the object takes no further append. */
STRATA_CHECKED strata_status object_append(struct object *object, struct bytes data);
STRATA_CHECKED strata_status object_sync(struct object *object);

STRATA_CHECKED strata_status backend_sync_names(const strata_backend *backend, const char *folder);

/* STRATA_OK also if there is none. */
STRATA_CHECKED strata_status backend_remove(const strata_backend *backend, const char *name);
STRATA_CHECKED strata_status backend_list(const strata_backend *backend, const char *folder,
                                          int (*found)(void *context, const char *name,
                                                       uint64_t size),
                                          void *context);

/* Memory that outlives the process, as strata.h's `ring` describes it. `bytes` NULL: none. */
struct ring {
    const strata_backend *backend;
    strata_object *handle;
    uint8_t *bytes;
    uint64_t size;
};

enum { RING_PAGE_SIZE = 4096 };

/* Leaves `out` without bytes where there is no ring to be had, which is no failure. */
void ring_open(const strata_backend *backend, const char *name, uint64_t size, struct ring *out);

/* A closed or zeroed ring is fine. */
void ring_close(struct ring *ring);

/* STRATA_BUSY with the holder's text copied to `holder` (NUL-terminated, `holder_size` bytes). `path` is
 * what messages call the root; NULL: it has no name. */
STRATA_CHECKED strata_status backend_lock(const strata_backend *backend, const char *path,
                                          bool exclusive, struct bytes owner, char *holder,
                                          size_t holder_size);

#endif
