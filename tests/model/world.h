/* A database and its model, driven side by side through a script. A script is a string; each letter
 * is a step whose operands are drawn from the seed, and a number before it repeats it: "20p3fC" is
 * twenty puts, three forks and a checkpoint. The same seed and script give the same calls.
 *
 *     p  put                        f  fork the deepest branch     y  sync
 *     d  delete                     F  fork at an older version    C  checkpoint (flush)
 *     i  increment                  n  new empty branch            M  compact (merge)
 *     e  put that expires           D  delete a parent             .  a little maintenance
 *     m  many writes, one commit    r  rename                      +  time passes
 *     t  transaction, standard      x  delete a space              -  the wall clock jumps back
 *     a  transaction, always        g  reads, compared             R  close and open
 *     v  value of over 64 KiB       w  the same through a writer   k  put over the same few keys
 *     b  the same in a transaction
 *     h  compare the snapshot that is held, and hold a new one     l  compare it and go on holding
 *
 * Time is the world's own: it stands still inside a call unless the library waits. With threads only
 * the wall clock does; waiting takes real time. */
#ifndef STRATA_TESTS_WORLD_H
#define STRATA_TESTS_WORLD_H

#include "model/model.h"

struct world {
    const char *path;
    strata_open_options options; /* Copied from the caller; the clock is the world's. */
    strata_clock clock;
    _Atomic int64_t wall_us;
    _Atomic int64_t monotonic_us;
    uint64_t random;
    strata *db; /* NULL while closed. */
    struct model *model;
    unsigned names_given;
    strata_txn *held; /* A snapshot, or NULL. Closed with the database. */
    int held_branch;
    uint64_t held_version;
    int64_t held_us;   /* Expiries are judged at it. */
    uint64_t floor;    /* Newest version known to survive a power cut. */
    uint64_t returned; /* Newest version whose call returned STRATA_OK. */
    bool threads;      /* Set before the first step: waiting takes real time. */
    bool
        scans_little; /* Likewise: steps that scan so often that runs are merged for it do nothing. */
    bool expect_faults; /* Failing calls are no failure of the world, if they fail as documented. */
    bool unknown;       /* The commit begun last may have happened or not. */
    uint64_t faults;    /* Calls that failed. */
    bool stopped;       /* No step will run any more: failed, halted, or not opened. */
    char why[400];      /* What went wrong; "" if nothing did. */
    void (*stepped)(void *context); /* Called after each step. NULL: nobody. */
    void *stepped_context;
};

/* Neither opens nor creates anything. `options` may be NULL. */
void world_init(struct world *world, const char *path, const strata_open_options *options,
                uint64_t seed);

/* Closes, and forgets the model. */
void world_release(struct world *world);

/* False, and `stopped`, if the database does not open. */
bool world_open(struct world *world);

/* Closes; after a fault the status may be that of the fault. */
bool world_close(struct world *world);

/* After a power cut: goes on with the disk that is left, at the version that it shows. What is open
 * must be dead, see simdisk_power_off; the model forgets the commits that are gone. */
bool world_reboot(struct world *world, const strata_backend *backend);

/* Runs a script. Returns false once stopped; a failure is one only if `why` is not empty. */
bool world_run(struct world *world, const char *script);

/* Whether a failing call may have failed so when backend, allocator or disk space fail. */
bool world_is_fault(strata_status status);

#endif
