#include "crash/survivors.h"

#include "simdisk/sim_random.h"

#include <stdlib.h>
#include <string.h>

enum { EXHAUSTIVE_MAX = 10, RANDOM_SUBSETS = 96, VARIANTS = 4, FIRST_KEPT = 2 * VARIANTS };

static uint64_t subset_count(size_t pending)
{
    return pending <= EXHAUSTIVE_MAX ? (uint64_t)1 << pending : 2 + 3 * pending + RANDOM_SUBSETS;
}

void survivors_init(struct survivors *survivors, const struct simdisk_image *image, uint64_t seed,
                    unsigned budget)
{
    const size_t pending = simdisk_pending(image);
    *survivors = (struct survivors){
        .image = image,
        .random = seed,
        .fates = simdisk_has_ring(image) ? SIM_RING_FATES : 1,
        .budget = budget,
        .lost = malloc(pending + 1),
    };
    survivors->left = subset_count(pending) * VARIANTS * survivors->fates;
    if (survivors->lost == NULL)
        abort();
}

void survivors_release(struct survivors *survivors)
{
    free(survivors->lost);
    survivors->lost = NULL;
}

/* Marks subset `index`: 0 loses nothing, 1 everything. */
static void mark_lost(struct survivors *survivors, uint64_t index)
{
    const size_t count = simdisk_pending(survivors->image);
    unsigned char *lost = survivors->lost;
    if (index < 2) {
        memset(lost, (int)index, count);
        return;
    }
    if (count <= EXHAUSTIVE_MAX) {
        for (size_t i = 0; i < count; i++)
            lost[i] = (unsigned char)((index - 1) >> i & 1u);
        return;
    }
    const uint64_t which = (index - 2) / count;
    const size_t at = (size_t)((index - 2) % count);
    for (size_t i = 0; i < count; i++) {
        if (which == 0)
            lost[i] = i == at;
        else if (which == 1)
            lost[i] = i != at;
        else if (which == 2)
            lost[i] = i >= at;
        else
            lost[i] = sim_below(&survivors->random, 4) == 0;
    }
}

static uint64_t cut_size(uint64_t size, uint64_t *random)
{
    static const uint64_t units[] = {512, 4096, 1};
    const uint64_t unit = units[sim_below(random, 3)];
    const uint64_t cut = sim_below(random, size / unit + 1) * unit;
    return cut < size ? cut : size - 1;
}

/* Cuts one surviving write, by preference the last; leaves `now` alone if there is none. */
static void tear(struct survivors *survivors)
{
    const size_t count = simdisk_pending(survivors->image);
    struct sim_survivors *now = &survivors->now;
    for (size_t i = count; i-- > 0;) {
        const uint64_t size = simdisk_pending_size(survivors->image, i);
        if (survivors->lost[i] != 0 || size == 0)
            continue;
        now->torn = (long)i;
        now->torn_size = cut_size(size, &survivors->random);
        if (sim_below(&survivors->random, 3) != 0)
            return;
    }
}

/* Variants: as it is; torn; garbage; torn and garbage. */
static void choose_variant(struct survivors *survivors, unsigned variant)
{
    survivors->now = (struct sim_survivors){
        .lost = survivors->lost,
        .torn = SIM_NOT_TORN,
        .garbage = SIM_NOTHING,
        .seed = sim_random(&survivors->random),
    };
    if (variant == 1 || variant == 3)
        tear(survivors);
    if (variant >= 2)
        survivors->now.garbage =
            (enum sim_garbage)(1 + sim_below(&survivors->random, SIM_GARBAGES - 1));
}

bool survivors_next(struct survivors *survivors)
{
    while (survivors->left > 0 && survivors->budget > 0) {
        const uint64_t index = survivors->next++;
        const uint64_t left = survivors->left--;
        if (index >= FIRST_KEPT * survivors->fates && left > survivors->budget &&
            sim_below(&survivors->random, left) >= survivors->budget)
            continue;
        survivors->budget--;
        mark_lost(survivors, index / survivors->fates / VARIANTS);
        choose_variant(survivors, (unsigned)(index / survivors->fates % VARIANTS));
        survivors->now.ring = (enum sim_ring_fate)(index % survivors->fates);
        survivors->killed = index == 0;
        return true;
    }
    return false;
}

void survivors_draw(struct survivors *survivors)
{
    const size_t count = simdisk_pending(survivors->image);
    const uint64_t kept_of_8 = sim_below(&survivors->random, 9);
    const bool prefix = sim_below(&survivors->random, 3) == 0;
    const uint64_t end = sim_below(&survivors->random, count + 1);
    for (size_t i = 0; i < count; i++)
        survivors->lost[i] = prefix ? i >= end : sim_below(&survivors->random, 8) >= kept_of_8;
    choose_variant(survivors, (unsigned)sim_below(&survivors->random, VARIANTS));
    if (survivors->fates > 1)
        survivors->now.ring = (enum sim_ring_fate)sim_below(&survivors->random, survivors->fates);
}
