#include "lifecycle/store.h"

enum { HANDLE_BYTES = 8192 };

static uint64_t between(uint64_t low, uint64_t value, uint64_t high)
{
    return value < low ? low : value > high ? high : value;
}

/* A multiple of two pages. */
static uint64_t ring_size(uint64_t size)
{
    return size / (2 * RING_PAGE_SIZE) * (2 * RING_PAGE_SIZE);
}

/* The largest power of two up to `value`, which is not 0. */
static size_t power_below(uint64_t value)
{
    size_t power = 1;
    while (power <= value / 2)
        power *= 2;
    return power;
}

/* Three eighths of the budget for memtables, a quarter for held values and the log's ring, an eighth for
 * jobs and transactions. None of them needs all of a large budget: the cache gets what is left, which
 * is a quarter at least. (Of a small budget it gets a fifth: there the longest keys count.) */
void profile_fill(struct profile *profile, uint64_t budget)
{
    const uint64_t kib = 1024;
    const uint64_t mib = 1024 * kib;
    const bool small = budget < 16 * mib;
    *profile = (struct profile){
        .budget = budget,
        .memtable_charge_max = between(64 * kib, budget / 8, 256 * mib),
        .memtable_count_max = small ? 1 : 2,
        /* At most a huge page, which core/memory.c asks for. */
        .memtable_chunk = power_below(between(16 * kib, budget / 64, 2 * mib)),
        .keeps_chunks = !small,
        .unit_size = 4096,
        .frame_size = small ? 4096 : 16384,
        /* Of a device 8 KiB come as fast as 4 KiB, 16 KiB do not; and more of them are worth their place. */
        .frame_size_beyond = small ? 4096 : 8192,
        .with_buckets = !small,
        .one_batch = small,
        /* Whatever the budget, so that there are few files. */
        .part_bytes_max = 64 * mib,
        .part_memory_max = budget / 16,
        .segment_bytes_first = small ? 64 * kib : 256 * kib,
        .segment_bytes_max = between(64 * kib, budget / 16, 16 * mib),
        .ring_bytes = small ? 0 : ring_size(between(0, budget / 16, 4 * mib)),
        .merge_sources_max = small ? 12 : JOB_INPUTS_MAX,
        .output_bytes = (uint32_t)between(8 * kib, budget / 256, 256 * kib),
        .shared_bytes_max = (size_t)between(0, budget - budget / 4, (uint64_t)SIZE_MAX / 4 * 3),
        .input_bytes = between(0, budget / 32, 8 * mib),
        .pieces_bytes_max = small ? (size_t)(budget / 4) : 0,
        .step_charge = between(32 * kib, budget / 512, 128 * kib),
    };
    /* The store and the handle above it are allocated without being counted. A small budget has no room
     * for what very many threads need for scans of deep forks, which nothing bounds in advance: better
     * that it is exceeded for a moment than that a put is refused. */
    const uint64_t most = small ? 2 * budget : budget;
    profile->heap_bytes_max = (size_t)between(
        0, most - sizeof(struct store) - HANDLE_BYTES - profile->ring_bytes, SIZE_MAX);
    const uint64_t held = between(between(0, budget / 4, 64 * mib), budget / 8, budget / 4);
    const uint64_t memtables = (profile->memtable_count_max + 1) * profile->memtable_charge_max;
    const uint64_t cache = small ? budget / 5 : budget - memtables - held - budget / 8;
    profile->held_bytes_max = held - profile->ring_bytes;
    profile->cache_bytes = (size_t)between(64 * kib, cache, (uint64_t)SIZE_MAX / 4 * 3);
    /* A transaction is in memory up to three times: its own rows, its record, the memtable. */
    profile->batch_bytes_max =
        small ? profile->memtable_charge_max / 2 : profile->memtable_charge_max;
}
