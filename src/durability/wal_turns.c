#include "durability/wal_turns.h"

#include <assert.h>

void wal_turns_init(struct wal_turns *turns)
{
    *turns = (struct wal_turns){.number = 0};
    gate_init(&turns->over[0]);
    gate_init(&turns->over[1]);
    gate_init(&turns->idle);
}

void wal_turns_destroy(struct wal_turns *turns)
{
    assert(!turns->syncing && !turns->led);
    gate_destroy(&turns->idle);
    gate_destroy(&turns->over[1]);
    gate_destroy(&turns->over[0]);
}

void wal_turns_settle(struct wal_turns *turns, struct mutex *lock)
{
    while (turns->syncing) {
        const uint32_t seen = gate_look(&turns->idle);
        turns->waiting++;
        mutex_unlock(lock);
        gate_wait(&turns->idle, seen);
        mutex_lock(lock);
    }
}

/* Sleeps until sync `number` is over. Lets go of the lock. */
static void turns_follow(struct wal_turns *turns, struct mutex *lock, uint64_t number)
{
    struct gate *over = &turns->over[number % 2];
    const uint32_t seen = gate_look(over);
    turns->followers[number % 2]++;
    mutex_unlock(lock);
    gate_wait(over, seen);
}

bool wal_turns_take(struct wal_turns *turns, struct mutex *lock, uint64_t version,
                    const _Atomic uint64_t *appended, uint64_t *target)
{
    mutex_lock(lock);
    if (turns->syncing && version <= turns->target) {
        turns_follow(turns, lock, turns->number);
        return false;
    }
    if (turns->led) {
        turns_follow(turns, lock, turns->number + 1);
        return false;
    }
    turns->led = true;
    wal_turns_settle(turns, lock);
    turns->led = false;
    turns->syncing = true;
    turns->number++;
    turns->target = atomic_load(appended);
    *target = turns->target;
    mutex_unlock(lock);
    return true;
}

void wal_turns_end(struct wal_turns *turns, struct mutex *lock)
{
    mutex_lock(lock);
    assert(turns->syncing);
    struct gate *over = &turns->over[turns->number % 2];
    const bool followed = turns->followers[turns->number % 2] > 0;
    const bool awaited = turns->waiting > 0;
    turns->followers[turns->number % 2] = 0;
    turns->waiting = 0;
    turns->syncing = false;
    mutex_unlock(lock);
    if (awaited)
        gate_pass(&turns->idle); /* First: the disk has nothing to do. */
    if (followed)
        gate_pass(over);
}
