#include "durability/wal_turns.h"

#include <assert.h>

/* No sync is shorter than the window, and who was woken by one comes back sooner. */
enum { TURNS_WINDOW_US = 50, TURNS_PAUSE_MAX = 63 };

void wal_turns_init(struct wal_turns *turns)
{
    *turns = (struct wal_turns){.window_us = TURNS_WINDOW_US};
    gate_init(&turns->over[0]);
    gate_init(&turns->over[1]);
    gate_init(&turns->idle);
    condition_init(&turns->full);
}

void wal_turns_destroy(struct wal_turns *turns)
{
    assert(!turns->syncing && !turns->led);
    condition_destroy(&turns->full);
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

/* Of the next sync: its leader, and those who follow it. */
static uint32_t turns_joined(const struct wal_turns *turns)
{
    return 1 + turns->followers[(turns->number + 1) % 2];
}

/* Gives those whom the last sync served a moment to join the next. Holds the lock, and lets go of it. */
static void turns_gather(struct wal_turns *turns, struct mutex *lock)
{
    if (turns_joined(turns) >= turns->served)
        return;
    if (turns->pause_left > 0) {
        turns->pause_left--;
        return;
    }
    turns->expected = turns->served;
    condition_wait(&turns->full, lock, turns->window_us);
    const bool came = turns_joined(turns) >= turns->expected;
    turns->expected = 0;
    if (came)
        turns->pause = 0;
    else if (turns->pause < TURNS_PAUSE_MAX)
        turns->pause = turns->pause * 2 + 1;
    turns->pause_left = turns->pause;
}

/* Sleeps until sync `number` is over. Lets go of the lock. */
static void turns_follow(struct wal_turns *turns, struct mutex *lock, uint64_t number)
{
    struct gate *over = &turns->over[number % 2];
    const uint32_t seen = gate_look(over);
    turns->followers[number % 2]++;
    if (turns->expected > 0 && turns_joined(turns) >= turns->expected)
        condition_signal_all(&turns->full);
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
    turns_gather(turns, lock);
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
    turns->served = 1 + turns->followers[turns->number % 2];
    turns->followers[turns->number % 2] = 0;
    turns->waiting = 0;
    turns->syncing = false;
    mutex_unlock(lock);
    if (awaited)
        gate_pass(&turns->idle); /* First: the disk has nothing to do. */
    if (followed)
        gate_pass(over);
}
