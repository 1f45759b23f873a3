/* Smooth back-pressure: where flushes or merges fall behind, writers pause a little after each of their
 * commits, longer the less room is left, so that nobody has to be stopped when it ends. A pause counts
 * against the time spent writing: at pressure p, writers run for 1 - p of the time. */
#include "lifecycle/store.h"

#include <assert.h>

enum {
    PACE_FULL = 1000,          /* All pressure there can be; parts per thousand. */
    PACE_MOST = 980,           /* Writers never stop entirely. */
    PACE_SLICE_US = 500,       /* Of writing, between two pauses. */
    PACE_PAUSE_MAX_US = 10000, /* A single pause. */
    PACE_PAUSE_MIN_US = 50     /* Sleeping for less takes longer. */
};

/* Grows with the square: what is half full is no worry yet. */
static uint64_t pace_curve(uint64_t part, uint64_t whole)
{
    assert(whole > 0);
    const uint64_t share = part < whole ? part * PACE_FULL / whole : PACE_FULL;
    return share * share / PACE_FULL;
}

static uint64_t pace_pressure(const struct store *store, const struct tableset *set)
{
    uint64_t memory = 0;
    uint64_t runs = 0;
    if (set->memtable_count > store->profile.memtable_count_max)
        memory =
            pace_curve(atomic_load(&set->memtables[0]->charge), store->profile.memtable_charge_max);
    if (set->live_count > PACE_RUNS_FREE)
        runs = pace_curve(set->live_count - PACE_RUNS_FREE, ROOM_RUNS_MAX - PACE_RUNS_FREE);
    const uint64_t most = memory > runs ? memory : runs;
    return most < PACE_MOST ? most : PACE_MOST;
}

void store_note_pressure(struct store *store, const struct tableset *set)
{
    atomic_store(&store->pressed, set->memtable_count > store->profile.memtable_count_max ||
                                      set->live_count > PACE_RUNS_FREE);
}

uint64_t store_pressure(struct store *store, struct epoch_slot *slot)
{
    epoch_enter(&store->epochs, slot);
    const uint64_t pressure = pace_pressure(store, atomic_load(&store->tables.current));
    epoch_leave(slot);
    return pressure;
}

static void pace_pause(struct store *store, int64_t now_us, int64_t until_us)
{
    const strata_clock *clock = store->options.clock;
    clock->wait(clock->context, until_us, NULL);
    atomic_fetch_add(&store->counters.stall_us, (uint64_t)(until_us - now_us));
}

/* One of the writers says how long all of them pause. */
void store_pace(struct store *store)
{
    struct epoch_slot *slot;
    const int64_t now = store->options.clock->monotonic_us(store->options.clock->context);
    const int64_t resume = atomic_load(&store->resume_at_us);
    if (now < resume) {
        pace_pause(store, now, resume);
        return;
    }
    int64_t since = atomic_load(&store->paced_at_us);
    if (now - since < PACE_SLICE_US ||
        !atomic_compare_exchange_strong(&store->paced_at_us, &since, now))
        return;
    if (epoch_slot_take(&store->epochs, &slot) != STRATA_OK)
        return; /* No memory: whoever finds no room will wait all the same. */
    const uint64_t pressure = store_pressure(store, slot);
    epoch_slot_give(slot);
    const uint64_t wrote =
        now - since < 2 * PACE_SLICE_US ? (uint64_t)(now - since) : PACE_SLICE_US;
    const uint64_t pause = wrote * pressure / (PACE_FULL - pressure);
    if (pause < PACE_PAUSE_MIN_US)
        return;
    const int64_t until =
        now + (int64_t)(pause < PACE_PAUSE_MAX_US ? pause : (uint64_t)PACE_PAUSE_MAX_US);
    atomic_store(&store->resume_at_us, until);
    atomic_store(&store->paced_at_us, until);
    pace_pause(store, now, until);
}
