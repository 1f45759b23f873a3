/* Who syncs the log, and who waits for whom: one sync after the other, each for all that were appended
 * before it began. For this folder only.
 *
 * Whoever comes while a sync runs that does not cover it belongs to the next. The first of those leads
 * it, as soon as the running one is over; the others sleep until theirs is, are woken by it alone, and
 * leave without a lock. So whoever sleeps waits for a sync that runs, or whose leader waits for its
 * turn.
 *
 * Threads that commit one after the other come back at once after a sync. So a leader gives as many as
 * the last sync served a moment to come, since otherwise they would be two groups that wait for each
 * other. Where they do not come in time, leaders do so ever more seldom. */
#ifndef STRATA_DURABILITY_WAL_TURNS_H
#define STRATA_DURABILITY_WAL_TURNS_H

#include "core/gate.h"

#include <stdatomic.h>

/* Guarded by a lock of the caller's, but for the gates. */
struct wal_turns {
    bool syncing;          /* A sync runs. */
    bool led;              /* The next one has its leader. */
    uint64_t number;       /* Of the sync that runs or ran last. */
    uint64_t target;       /* The newest version that it covers. */
    uint32_t followers[2]; /* Who sleeps until a sync is over, by its number. */
    struct gate over[2];   /* Likewise. */
    uint32_t waiting;    /* For the running sync to end, to do something else: the leader of the */
    struct gate idle;    /* next, and who rotates. */
    uint32_t served;     /* By the sync that ended last, its leader among them. */
    uint32_t expected;   /* The leader waits until so many have come; 0: it does not wait. */
    uint32_t pause;      /* So many syncs begin without waiting, since too few came in time; */
    uint32_t pause_left; /* what is left of that. */
    struct condition full; /* As many as expected have come. */
    int64_t window_us;     /* The longest wait for them. */
};

void wal_turns_init(struct wal_turns *turns);
void wal_turns_destroy(struct wal_turns *turns);

/* For a version that is not durable. True: it is the caller's turn to sync all up to `*target`, which
 * is read from `appended`; wal_turns_end follows. False: another's sync has ended, which covers the
 * version if it succeeded. Takes `lock`. */
bool wal_turns_take(struct wal_turns *turns, struct mutex *lock, uint64_t version,
                    const _Atomic uint64_t *appended, uint64_t *target);

/* Lets the next sync begin, and goes on to wake all whom this one covers. Takes `lock`. */
void wal_turns_end(struct wal_turns *turns, struct mutex *lock);

/* Waits until no sync runs. Holds `lock`, and lets go of it meanwhile. */
void wal_turns_settle(struct wal_turns *turns, struct mutex *lock);

#endif
