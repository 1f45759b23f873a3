#include "table/run_warm.h"

#include "table/frame_map.h"

#include <assert.h>

void run_warm_begin(struct run_warm *warm, struct run *run)
{
    assert(warm->run == NULL);
    if (!run->store->cache->large)
        return;
    run_acquire(run);
    *warm = (struct run_warm){.run = run};
    buffer_init(&warm->bytes, run->store->allocator);
}

void run_warm_release(struct run_warm *warm)
{
    if (warm->run == NULL)
        return;
    buffer_release(&warm->bytes);
    run_drop(warm->run);
    *warm = (struct run_warm){.run = NULL};
}

/* Reads the piece of the part that begins with the next frame, and is at least `size` bytes, or all that
 * there is in front of the footer. */
static strata_status warm_read(struct run_warm *warm, struct part *part, size_t size)
{
    const uint32_t unit_size = part->info.unit_size;
    const uint64_t left = part->info.units - 1 - (uint64_t)warm->unit;
    uint64_t units = (size + unit_size - 1) / unit_size;
    uint8_t *to;
    if (units > left)
        units = left;
    buffer_truncate(&warm->bytes, 0);
    TRY(buffer_extend(&warm->bytes, (size_t)(units * unit_size), &to));
    return object_read(&part->object, (uint64_t)warm->unit * unit_size, to, warm->bytes.length);
}

/* Offers the frames that are whole in the piece. `*full`: the cache takes no more. */
static strata_status warm_offer(struct run_warm *warm, struct part *part, bool *full)
{
    const uint32_t unit_size = part->info.unit_size;
    size_t at = 0;
    while (at < warm->bytes.length && !*full) {
        struct frame frame;
        const size_t size = (size_t)frame_units_claimed(warm->bytes.data + at) * unit_size;
        if (size > warm->bytes.length - at)
            break;
        const uint64_t seed = place_seed(&part->identity, FAMILY_TABLE, part->info.number,
                                         (uint64_t)warm->unit * unit_size);
        TRY(part_fault(part, warm->unit,
                       frame_open(bytes_of(warm->bytes.data + at, size), unit_size, seed, &frame)));
        *full = !frame_map_offer(part->store->cache, part, warm->unit, &frame);
        warm->unit += frame.units;
        at += size;
    }
    return STRATA_OK;
}

static strata_status warm_part(struct run_warm *warm, struct part *part, size_t piece_bytes,
                               bool *full)
{
    const uint32_t before = warm->unit;
    TRY(part_ready(part));
    TRY(warm_read(warm, part, piece_bytes));
    TRY(warm_offer(warm, part, full));
    if (warm->unit > before || *full || warm->bytes.length == 0)
        return STRATA_OK;
    /* A frame that is longer than a piece. */
    TRY(warm_read(warm, part,
                  (size_t)frame_units_claimed(warm->bytes.data) * part->info.unit_size));
    TRY(warm_offer(warm, part, full));
    if (warm->unit == before && !*full)
        return failure_at(STRATA_CORRUPT, part->name, (uint64_t)before * part->info.unit_size,
                          "%s: a frame goes on behind the last one", part->name);
    return STRATA_OK;
}

strata_status run_warm_step(struct run_warm *warm, size_t piece_bytes, bool *done)
{
    assert(warm->run != NULL);
    bool full = false;
    *done = true;
    struct part *part = warm->run->parts[warm->part_index];
    TRY(warm_part(warm, part, piece_bytes, &full));
    if (warm->unit + 1 >= part->info.units) {
        warm->part_index++;
        warm->unit = 0;
    }
    *done = full || warm->part_index == warm->run->part_count;
    return STRATA_OK;
}
