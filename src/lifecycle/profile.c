#include "lifecycle/store.h"

static uint64_t between(uint64_t low, uint64_t value, uint64_t high)
{
    return value < low ? low : value > high ? high : value;
}

/* A multiple of two pages. */
static uint64_t ring_size(uint64_t size)
{
    return size / (2 * RING_PAGE_SIZE) * (2 * RING_PAGE_SIZE);
}

/* A quarter of the budget for the cache (a fifth of a small one, in which the longest keys count),
 * three eighths for memtables, the rest for jobs, transactions, and held values, of which the log's
 * ring takes its part. */
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
        .memtable_chunk = (size_t)between(16 * kib, budget / 64, 2 * mib),
        .cache_bytes = (size_t)between(64 * kib, budget / (small ? 5 : 4), (uint64_t)SIZE_MAX / 4),
        .unit_size = 4096,
        .frame_size = small ? 4096 : 16384,
        .with_buckets = !small,
        .part_bytes_max = between(2 * mib, budget / 4, 64 * mib),
        .segment_bytes_first = small ? 64 * kib : 256 * kib,
        .segment_bytes_max = between(64 * kib, budget / 16, 16 * mib),
        .ring_bytes = small ? 0 : ring_size(between(0, budget / 16, 4 * mib)),
        .merge_sources_max = small ? 12 : JOB_INPUTS_MAX,
        .output_bytes = (uint32_t)between(32 * kib, budget / 256, 256 * kib),
        .input_bytes = budget / 32,
        .step_charge = between(32 * kib, budget / 512, 128 * kib),
    };
    profile->held_bytes_max = budget / 4 - profile->ring_bytes;
    /* A transaction is in memory up to three times: its own rows, its record, the memtable. */
    profile->batch_bytes_max =
        small ? profile->memtable_charge_max / 2 : profile->memtable_charge_max;
}
