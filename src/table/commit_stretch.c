#include "table/commit_stretch.h"

#include "core/plant.h"

#include <assert.h>

static void stretch_check(const struct commit_stretch *stretch)
{
    assert(stretch->capacity > 0 && stretch->capacity <= STRETCH_COMMITS_MAX);
    assert(commit_stretch_count(stretch) > 0);
    assert(commit_stretch_count(stretch) <= stretch->capacity);
    assert(stretch->message_length == 0 || stretch->capacity == 1);
    (void)stretch;
}

size_t commit_stretch_size(unsigned capacity, size_t message_bytes)
{
    assert(capacity > 0 && capacity <= STRETCH_COMMITS_MAX);
    assert(message_bytes == 0 || capacity == 1);
    return offsetof(struct commit_stretch, steps) + message_bytes +
           (capacity - 1) * sizeof(struct commit_step);
}

unsigned commit_stretch_capacity(const struct commit_stretch *older,
                                 const struct memtable_commit *first)
{
    if (older == NULL || first->message.length > 0)
        return 1;
    const unsigned twice = 2 * commit_stretch_count(older);
    return twice < STRETCH_COMMITS_MAX ? twice : STRETCH_COMMITS_MAX;
}

void commit_stretch_init(struct commit_stretch *stretch, unsigned capacity,
                         const struct memtable_commit *first)
{
    assert(first->message.length <= UINT16_MAX);
    stretch->version = first->version;
    stretch->time_us = first->time_us;
    stretch->branch = first->branch;
    stretch->rows = first->rows;
    stretch->capacity = (uint16_t)capacity;
    atomic_init(&stretch->count, 1);
    stretch->older = NULL;
    stretch->jump = NULL;
    stretch->message_length = (uint16_t)first->message.length;
    stretch->rank = 1;
    if (first->message.length > 0)
        memcpy(stretch->steps, first->message.data, first->message.length);
    stretch_check(stretch);
}

bool commit_stretch_add(struct commit_stretch *stretch, const struct memtable_commit *commit)
{
    stretch_check(stretch);
    assert(commit->branch == stretch->branch && commit->version > stretch->version);
    const unsigned count = atomic_load_explicit(&stretch->count, memory_order_relaxed);
    const uint64_t version = commit->version - stretch->version;
    const uint64_t time_us = (uint64_t)commit->time_us - (uint64_t)stretch->time_us;
    if (count == stretch->capacity || commit->rows != stretch->rows || commit->message.length > 0 ||
        version > UINT32_MAX || time_us > UINT32_MAX)
        return false;
    stretch->steps[count - 1] =
        (struct commit_step){.version = (uint32_t)version, .time_us = (uint32_t)time_us};
    atomic_store_explicit(&stretch->count, (uint16_t)(count + 1), memory_order_release);
    return true;
}

static struct commit_step stretch_step(const struct commit_stretch *stretch, unsigned index)
{
    struct commit_step step = {0};
    if (index > 0)
        step = stretch->steps[index - 1];
#if STRATA_PLANT == 41
    step.version = index;
#endif
    return step;
}

struct memtable_commit commit_stretch_at(const struct commit_stretch *stretch, unsigned index)
{
    stretch_check(stretch);
    assert(index < commit_stretch_count(stretch));
    const struct commit_step step = stretch_step(stretch, index);
    return (struct memtable_commit){
        .version = stretch->version + step.version,
        .time_us = stretch->time_us + step.time_us,
        .branch = stretch->branch,
        .rows = stretch->rows,
        .message = bytes_of(stretch->steps, stretch->message_length),
    };
}

struct memtable_commit commit_stretch_find(const struct commit_stretch *stretch, uint64_t version,
                                           int64_t time_us)
{
    assert(stretch->version <= version && stretch->time_us <= time_us);
    const uint64_t version_after = version - stretch->version;
    const uint64_t time_after = (uint64_t)time_us - (uint64_t)stretch->time_us;
    unsigned low = 0;
    unsigned high = commit_stretch_count(stretch);
    while (high - low > 1) {
        const unsigned middle = low + (high - low) / 2;
        const struct commit_step step = stretch_step(stretch, middle);
        if (step.version <= version_after && step.time_us <= time_after)
            low = middle;
        else
            high = middle;
    }
    return commit_stretch_at(stretch, low);
}
