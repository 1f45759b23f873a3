/* What a program may bring to a database of its own: heap, clock, log, a look at progress, and storage.
 *
 * Section 11 of strata.h, which includes it. Each goes into the field of its name in
 * strata_open_options and stays valid until strata_close. */
#ifndef STRATA_BACKEND_H
#define STRATA_BACKEND_H

#include "strata.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One function for all memory. new_size 0 frees and returns NULL; block NULL allocates, aligned for
 * any type. `old_size` is what was asked for. NULL means out of memory and leaves `block` as it
 * was. Any thread. Frozen. */
struct strata_allocator {
    void *context;
    void *(*resize)(void *context, void *block, size_t old_size, size_t new_size);
};

/* Time and waiting. `wait` sleeps until `monotonic` passes `until_us` or `*wake` is not 0; a
 * simulator advances instead. With NULL the library waits by itself. Any thread. Frozen. */
struct strata_clock {
    void *context;
    int64_t (*wall_us)(void *context);      /* UTC; may jump. */
    int64_t (*monotonic_us)(void *context); /* Never goes back. */
    void (*wait)(void *context, int64_t until_us, const volatile int32_t *wake);
};

typedef enum strata_log_level {
    STRATA_LOG_ERROR = 1,
    STRATA_LOG_WARNING = 2,
    STRATA_LOG_INFO = 3
} strata_log_level;

/* Called from any thread, with no lock of the library held. It may not call the library. Frozen. */
struct strata_logger {
    void *context;
    void (*write)(void *context, uint32_t level, const char *component, const char *message);
};

/* Called now and then by long operations, on the calling thread. Not 0 stops the operation with
 * STRATA_INTERRUPTED. `total` is 0 when unknown. Frozen. */
struct strata_progress {
    void *context;
    int (*report)(void *context, const char *stage, uint64_t done, uint64_t total);
};

/* What follows may change in any release. */
#ifdef STRATA_EXPERIMENTAL

/* What became of an operation on a backend. */
typedef enum strata_effect {
    STRATA_EFFECT_DONE = 0,
    STRATA_EFFECT_NONE = 1,    /* Failed, and nobody can see any of it. */
    STRATA_EFFECT_UNKNOWN = 2, /* Failed; part or all of it may be there, now or after a crash. */
    STRATA_EFFECT_TAKEN = 3,   /* create: the name exists. lock: someone holds it. */
    STRATA_EFFECT_MISSING = 4  /* open, remove: no object of that name. */
} strata_effect;

typedef struct strata_object strata_object; /* An open object; the backend defines it. */

/* Named objects under one root. Names are 1 to 200 bytes of [0-9a-z/.-]; "a/b" lies in the folder
 * "a", which the backend makes when needed. Objects are created, appended to and removed, never
 * replaced, and a name once removed is not used again by the library. Nothing is certain to survive
 * a power cut before both `sync` of the object and `sync_names` of its folder have returned DONE; a
 * sync that fails leaves unknown which bytes are durable, and is final for that object. Any thread
 * may call, one thread at a time per object for `append`. Every function returns a strata_effect and
 * on failure puts an errno, or 0, in `*error_out`. Grows; members are not NULL, but for the last two. */
typedef struct strata_backend {
    uint32_t size;
    uint32_t reserved; /* 0. */
    void *context;
    /* Makes an empty object open for append and read; TAKEN if the name exists. `reserve_bytes` that
     * read as zero until appended over may be set aside in advance, and count in its size. */
    int (*create)(void *context, const char *name, uint64_t reserve_bytes, strata_object **out,
                  int *error_out);
    /* Opens for reading only. `size_out`: bytes, reserved ones included. */
    int (*open)(void *context, const char *name, strata_object **out, uint64_t *size_out,
                int *error_out);
    /* Releases the handle; cannot fail; does not sync. */
    void (*close)(void *context, strata_object *object);
    /* Reads up to out->capacity bytes at `offset` into out->data; out->size is less only where the
     * object ends. */
    int (*read)(void *context, strata_object *object, uint64_t offset, strata_buffer *out,
                int *error_out);
    /* Writes all of `data` at `offset`, which is where the last append ended (0 at first). */
    int (*append)(void *context, strata_object *object, uint64_t offset, strata_bytes data,
                  int *error_out);
    /* All appended bytes, and the object's size, survive a power cut. */
    int (*sync)(void *context, strata_object *object, int *error_out);
    /* All creations and removals so far in `folder` ("" is the root), and of the folder itself,
     * survive a power cut. */
    int (*sync_names)(void *context, const char *folder, int *error_out);
    int (*remove)(void *context, const char *name, int *error_out);
    /* Calls `found` with the full name of each object in `folder` (not in folders below it), in any
     * order; not 0 stops it. A folder that does not exist is empty. */
    int (*list)(void *context, const char *folder,
                int (*found)(void *found_context, const char *name, uint64_t object_size),
                void *found_context, int *error_out);
    /* Takes the root for this process: one holder if `exclusive`, else any number of sharers, until
     * unlock or the end of the process; `owner` is kept beside it as the holder's text (at most 128
     * bytes). TAKEN puts the holder's text into `holder_out`. Does not wait. A shared lock changes
     * no byte; MISSING if the root does not exist. */
    int (*lock)(void *context, int exclusive, strata_bytes owner, strata_buffer *holder_out,
                int *error_out);
    void (*unlock)(void *context);
    /* NULL: none. Maps the object `name`, which is made if there is none, for reading and writing:
     * `*size_out` bytes at `*bytes_out`, a multiple of 8,192 and at most `size`, of what it held or
     * zeros, until `close`. Room for all of them is taken: storing never fails. What is stored needs
     * no call to be there for `open` and `read`, also after this process was killed; a power cut
     * leaves any mix of older and newer pages of 4,096 bytes. It is never appended to nor synced, and
     * its name may be used again once removed. NONE where that cannot be had: there is no ring. */
    int (*ring)(void *context, const char *name, uint64_t size, strata_object **out,
                void **bytes_out, uint64_t *size_out, int *error_out);
    /* NULL: as `create`. The same for an object that is filled before it is synced often: what is set
     * aside need not make syncs quick, only keep appends from finding the device full. */
    int (*create_lazy)(void *context, const char *name, uint64_t reserve_bytes, strata_object **out,
                       int *error_out);
} strata_backend;

#endif

#ifdef __cplusplus
}
#endif

#endif
