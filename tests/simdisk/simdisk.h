/* A disk that loses power at will: a strata_backend whose bytes are durable only after `sync`, and
 * whose names only after `sync_names`. Everything that may change what survives is kept as a list of
 * pending operations; simdisk_capture takes durable bytes and that list at any moment, and
 * simdisk_mount makes of them one of the disks that the power cut may leave:
 *
 *     torn           a surviving write is cut at a multiple of 512 or 4096 bytes, or anywhere
 *     reordered      any subset of the pending operations survives; what is missing in between, and
 *                    a size that outlived its bytes, reads as zeros
 *     names          creations and removals survive one by one, in any combination
 *     rings          pages of any age, see simdisk_give_ring
 *     garbage        lost ranges hold zeros, a pattern, bytes of another object at that offset, or an
 *                    earlier write of the same or another object
 *
 * All state is shared copy-on-write, so a capture costs a few microseconds and so does a mount. */
#ifndef STRATA_TESTS_SIMDISK_H
#define STRATA_TESTS_SIMDISK_H

#ifndef STRATA_EXPERIMENTAL
#define STRATA_EXPERIMENTAL
#endif

#include "strata.h"

#include <stdbool.h>
#include <stdio.h>

struct simdisk;
struct simdisk_image;

enum sim_kind {
    SIM_CREATE,
    SIM_OPEN,
    SIM_READ,
    SIM_APPEND,
    SIM_SYNC,
    SIM_SYNC_NAMES,
    SIM_REMOVE,
    SIM_LIST,
    SIM_LOCK,
    SIM_RING,
    SIM_KINDS
};

/* One operation of the backend. Handed out before it is carried out. */
struct sim_operation {
    enum sim_kind kind;
    uint64_t number; /* From 1. close and unlock have none. */
    const char *name;
    uint64_t offset;
    uint64_t size;
};

/* ---- a disk ---------------------------------------------------------------------------------- */

struct simdisk *simdisk_create(void);

/* Everything opened through it is closed already. NULL is fine. */
void simdisk_destroy(struct simdisk *disk);
const strata_backend *simdisk_backend(struct simdisk *disk);

/* Operations so far, and a hash over kind, name, offset, size and data of each. */
uint64_t simdisk_operations(const struct simdisk *disk);
uint64_t simdisk_operation_hash(const struct simdisk *disk);

/* Starts a list of operations as text, one a line: "append wal/... 0 512". */
void simdisk_record(struct simdisk *disk);

/* The list so far, "" before simdisk_record. Until the next operation. */
const char *simdisk_recording(const struct simdisk *disk);

/* Gives the backend its verb `ring`, with rings of at most `bytes`; 0, as at first: it has none. Kept
 * in images. What the library stores there is no operation; each operation and each capture takes note
 * of what has changed. */
void simdisk_give_ring(struct simdisk *disk, uint64_t bytes);

/* Called before each operation that changes what may survive, with the disk's lock held: only
 * simdisk_capture and simdisk_operations may be called then. */
void simdisk_watch(struct simdisk *disk,
                   void (*before)(void *context, struct simdisk *disk,
                                  const struct sim_operation *operation),
                   void *context);

/* What the backend's contract forbids the library to do and it did: "" or the first such thing,
 * such as an append elsewhere than at the end or a removed name used again. */
const char *simdisk_misuse(const struct simdisk *disk);

/* ---- faults ---------------------------------------------------------------------------------- */

struct sim_fault {
    uint64_t operation; /* The first that fails; 0: none. */
    bool forever;       /* All later ones fail too. */
    int error;          /* errno */
    int effect;         /* STRATA_EFFECT_NONE or STRATA_EFFECT_UNKNOWN */
    uint32_t kinds;     /* A bit (1 << sim_kind) for each kind that can fail; 0: all. */
    uint64_t seed;      /* Of what part of an operation with unknown effect happened. */
};

void simdisk_fail(struct simdisk *disk, struct sim_fault fault);

/* How many operations a fault made fail. */
uint64_t simdisk_failures(const struct simdisk *disk);

/* Growing beyond `bytes` fails with ENOSPC. 0: no limit. */
void simdisk_limit(struct simdisk *disk, uint64_t bytes);

/* Bytes of all objects that have a name, reserved ones included. */
uint64_t simdisk_used(const struct simdisk *disk);

/* From now on every operation fails and changes nothing: what a dying machine looks like. */
void simdisk_power_off(struct simdisk *disk);

/* ---- power cuts ------------------------------------------------------------------------------ */

/* Durable bytes and pending operations of now. Released by simdisk_release. */
struct simdisk_image *simdisk_capture(struct simdisk *disk);
void simdisk_release(struct simdisk_image *image);

/* Pending operations, which have the indexes [0, count) in the order they were made. */
size_t simdisk_pending(const struct simdisk_image *image);

enum sim_garbage {
    SIM_NOTHING,     /* Lost writes leave no trace. */
    SIM_ZEROS,       /* The size grew, the bytes did not come. */
    SIM_PATTERN,     /* Bytes of 0xa5 and random ones. */
    SIM_OTHER,       /* What another object, living or removed, has at that offset. */
    SIM_OLDER_WRITE, /* The bytes of an earlier write. */
    SIM_GARBAGES
};

enum { SIM_NOT_TORN = -1 };

/* What becomes of a ring. */
enum sim_ring_fate {
    SIM_RING_NEW,   /* It stays as it is: the process was killed and no power lost. */
    SIM_RING_OLD,   /* All pages are of one earlier moment. */
    SIM_RING_MIXED, /* Each page is of any moment, or torn between two. */
    SIM_RING_FATES
};

/* One way to lose power. */
struct sim_survivors {
    const unsigned char *lost; /* [pending]: 1 where the operation is lost. NULL: none is. */
    long torn;                 /* Index of a surviving write that is cut, or SIM_NOT_TORN. */
    uint64_t torn_size;        /* Bytes of it that survive. */
    enum sim_garbage garbage;  /* In the ranges of lost writes, and behind the cut. */
    uint64_t seed;             /* Of the garbage, and of the pages of a ring. */
    enum sim_ring_fate ring;
};

/* Whether there is a ring. */
bool simdisk_has_ring(const struct simdisk_image *image);

/* A write's bytes, and 0 for other operations. */
uint64_t simdisk_pending_size(const struct simdisk_image *image, size_t index);

/* A line about one pending operation, such as "write wal/... 512 64". */
void simdisk_pending_text(const struct simdisk_image *image, size_t index, char *out, size_t size);

/* The disk after the power came back. */
struct simdisk *simdisk_mount(const struct simdisk_image *image,
                              const struct sim_survivors *survivors);

/* Names and bytes of all objects; equal disks have equal hashes. */
uint64_t simdisk_hash(struct simdisk *disk);

/* ---- damage ---------------------------------------------------------------------------------- */

/* Calls `found` for each object with a name. */
void simdisk_each(struct simdisk *disk,
                  void (*found)(void *context, const char *name, uint64_t size), void *context);

/* Reads and overwrites bytes of an object behind the library's back. False: no such bytes. */
bool simdisk_peek(struct simdisk *disk, const char *name, uint64_t offset, void *to, size_t size);
bool simdisk_poke(struct simdisk *disk, const char *name, uint64_t offset, const void *from,
                  size_t size);

/* Cuts an object's end off, removes an object, behind the library's back. */
bool simdisk_shorten(struct simdisk *disk, const char *name, uint64_t size);
bool simdisk_vanish(struct simdisk *disk, const char *name);

#endif
