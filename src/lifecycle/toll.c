/* When reads are to be spared runs: the rule of whoever rents skis until the rent comes to the price.
 *
 * A read that looks into more than one live run would have been cheaper had they been merged before. What
 * it costs more is its toll, and is noted with the runs above the one that it could not do without: all but
 * the oldest or, for a get, all above the one that has the row. When the tolls of the newest runs, all but
 * the oldest of them, come to the price of merging them they are merged at once, and the tolls are spent:
 * what comes of it has only that of the oldest, which bought nothing. Where several numbers of runs are paid
 * for, the largest is merged. So small runs become one long before the base is touched, runs that nobody
 * reads stay, and whatever comes, merges for the sake of reads cost no more than those reads have paid. Who
 * knew all reads beforehand would spare himself at most half of what each run costs so. Source: Karlin,
 * Manasse, Rudolph and Sleator, "Competitive snoopy caching", Algorithmica 3, 1988.
 *
 * Tolls are estimates, of a processor's time. Readers count in a cache line of their own and note 64
 * gets, 16 seeks or 1,024 rows at a time; of 64 gets the last stands for all. */
#include "lifecycle/store.h"

#include <assert.h>

enum {
    GET_NS = 25,          /* To find in its buckets that a run does not have the key. */
    SEEK_NS = 350,        /* To seek in a run whose frames are in the cache. */
    ROW_NS = 130,         /* To change to another run and back, for a row that it has, */
    ROW_BYTES_PER_NS = 4, /* which has not been asked for ahead. */
    LOAD_UNIT_NS = 1500,  /* To read a frame into the cache, for each of its units. */
    PRICE_ROW_NS = 100,
    PRICE_BYTE_NS = 1 /* To read and write it, and read what was written into the cache. */
};

uint64_t toll_price(const struct run *run)
{
    return run->rows * PRICE_ROW_NS + run->bytes * PRICE_BYTE_NS;
}

uint32_t toll_paid(const struct tableset *set, uint32_t most)
{
    const uint32_t end = set->live_count < most ? set->live_count : most;
    uint64_t paid = 0;
    uint64_t price = end == 0 ? 0 : toll_price(set->live[0]);
    uint32_t chosen = 0;
    for (uint32_t count = 2; count <= end; count++) {
        paid += atomic_load_explicit(&set->live[count - 2]->toll_ns, memory_order_relaxed);
        price += toll_price(set->live[count - 1]);
        if (paid >= price)
            chosen = count;
    }
    return chosen;
}

static void toll_note(struct run *run, uint64_t ns)
{
    atomic_fetch_add_explicit(&run->toll_ns, ns, memory_order_relaxed);
}

/* What a seek costs, where as much of the runs lies in the cache as fits. */
static uint64_t toll_of_seek(const struct store *store, const struct tableset *set)
{
    uint64_t bytes = 0;
    const uint64_t cached = store->profile.cache_bytes;
    const uint64_t load = store->profile.frame_size / store->profile.unit_size * LOAD_UNIT_NS;
    for (uint32_t i = 0; i < set->live_count; i++)
        bytes += set->live[i]->bytes;
    if (bytes <= cached)
        return SEEK_NS;
    return SEEK_NS + (bytes - cached) / (bytes / load + 1);
}

void store_take_gets(struct store *store, struct epoch_slot *slot, uint64_t cap, uint64_t found)
{
    const struct tableset *set = atomic_load(&store->tables.current);
    const uint64_t gets = slot->counts[COUNT_GETS];
    slot->counts[COUNT_GETS] = 0;
    if (set->live_count < 2)
        return;
    /* Without buckets, a key is sought. */
    const uint64_t each = store->profile.with_buckets ? GET_NS : toll_of_seek(store, set);
    for (uint32_t i = 0; i + 1 < set->live_count && set->live[i]->min_version >= found; i++) {
        if (set->live[i]->min_from <= cap)
            toll_note(set->live[i], gets * each);
    }
}

uint64_t toll_of_rows(const struct run *run, uint64_t rows, uint64_t shown)
{
    assert(run->rows > 0);
    assert(run->rows <= rows);
    assert(shown <= UINT32_MAX);
    const uint64_t each = ROW_NS + run->bytes / run->rows / ROW_BYTES_PER_NS;
    /* One of so many rows, in 1,024ths, is the run's. */
    const uint64_t one_of = rows * 1024 / run->rows;
    return shown * each * 1024 / one_of;
}

void store_take_scans(struct store *store, struct epoch_slot *slot, uint64_t cap)
{
    const struct tableset *set = atomic_load(&store->tables.current);
    const uint64_t seeks = slot->counts[COUNT_SEEKS];
    const uint64_t shown = slot->counts[COUNT_ROWS];
    slot->counts[COUNT_SEEKS] = slot->counts[COUNT_ROWS] = 0;
    if (set->live_count < 2)
        return;
    uint64_t rows = 0;
    for (uint32_t i = 0; i < set->live_count; i++)
        rows += set->live[i]->rows;
    const uint64_t sought = seeks * toll_of_seek(store, set);
    for (uint32_t i = 0; i + 1 < set->live_count; i++) {
        struct run *run = set->live[i];
        if (run->min_from <= cap)
            toll_note(run, sought + toll_of_rows(run, rows, shown));
    }
}
