/* One database through many power cuts: a random script, a cut at a random operation, random
 * survivors, and on from there. What one recovery leaves behind is what the next one starts from. */
#include "crash/survivors.h"
#include "model/model_check.h"
#include "model/world.h"
#include "simdisk/sim_random.h"

#include "support.h"

#include <stdio.h>
#include <string.h>

enum { SEEDS = 400, LIVES = 8, SCRIPT_MAX = 40, RING_BYTES = 8192 };

static const char letters[] = "ppppkkkddttamxiiefFnDrCCMM...++y-gRhhllbw";

struct life {
    struct world world;
    struct simdisk *disk;
    struct simdisk_image *image; /* Of the power cut; NULL before it. */
    uint64_t cut_at;             /* The operation before which it comes. */
    uint64_t floor;
    uint64_t begun;
    bool ring; /* The disk has one. */
};

static void cut_power(void *context, struct simdisk *disk, const struct sim_operation *operation)
{
    struct life *life = context;
    if (life->image != NULL || operation->number < life->cut_at)
        return;
    uint64_t durable = 0;
    if (life->world.db != NULL)
        strata_watermarks(life->world.db, NULL, &durable);
    life->floor = durable > life->world.floor ? durable : life->world.floor;
    life->begun = model_version(life->world.model);
    life->image = simdisk_capture(disk);
}

/* With a ring there are runs of puts, so that it goes round. */
static void draw_script(uint64_t *random, bool ring, char script[SCRIPT_MAX + 1])
{
    const size_t length = 4 + (size_t)sim_below(random, SCRIPT_MAX - 5);
    for (size_t i = 0; i < length; i++) {
        script[i] = letters[sim_below(random, sizeof(letters) - 1)];
        if (ring && script[i] == 'p' && i + 1 < length) {
            script[i++] = '9';
            script[i] = 'p';
        }
    }
    script[length] = '\0';
}

static void check_model(struct life *life, uint64_t seed)
{
    char why[CHECK_WHY_SIZE] = "";
    const struct model_check check = {
        .model = life->world.model,
        .db = life->world.db,
        .cut = model_version(life->world.model),
        .now_us = life->world.wall_us,
        .full = model_version(life->world.model) < 40,
        .seed = seed,
        .why = why,
    };
    if (!model_check(&check))
        fail_msg("seed %llu: %s", (unsigned long long)seed, why);
}

/* The power comes back. */
static void reboot(struct life *life, uint64_t seed, uint64_t random)
{
    char why[CHECK_WHY_SIZE] = "";
    struct survivors survivors;
    survivors_init(&survivors, life->image, random, 1);
    survivors_draw(&survivors);
    struct simdisk *after = simdisk_mount(life->image, &survivors.now);
    survivors_release(&survivors);
    simdisk_release(life->image);
    life->image = NULL;
    simdisk_power_off(life->disk);
    const bool open = world_reboot(&life->world, simdisk_backend(after));
    simdisk_destroy(life->disk);
    life->disk = after;
    if (!open)
        fail_msg("seed %llu: %s", (unsigned long long)seed, life->world.why);
    if (!model_check_report(life->world.db, life->floor, life->begun, why))
        fail_msg("seed %llu: %s", (unsigned long long)seed, why);
    check_model(life, seed);
}

static void live(struct life *life, uint64_t seed, uint64_t *random)
{
    char script[SCRIPT_MAX + 1];
    draw_script(random, life->ring, script);
    life->cut_at = simdisk_operations(life->disk) + 1 + sim_below(random, 60);
    simdisk_watch(life->disk, cut_power, life);
    if (!world_run(&life->world, script))
        fail_msg("seed %llu: script %s: %s", (unsigned long long)seed, script, life->world.why);
    const struct sim_operation now = {.number = UINT64_MAX};
    cut_power(life, life->disk, &now);
    if (simdisk_misuse(life->disk)[0] != '\0')
        fail_msg("seed %llu: %s", (unsigned long long)seed, simdisk_misuse(life->disk));
    reboot(life, seed, sim_random(random));
}

static void run_seed(uint64_t seed)
{
    uint64_t random = seed;
    struct life life = {.disk = simdisk_create()};
    life.ring = sim_below(&random, 2) == 0;
    simdisk_give_ring(life.disk, life.ring ? RING_BYTES : 0);
    const strata_open_options options = {
        .size = sizeof(options),
        .durability = sim_below(&random, 4) == 0 ? STRATA_ALWAYS : STRATA_STANDARD,
        .background_threads = STRATA_NONE,
        .memory_budget_bytes = life.ring ? 16 << 20 : 1 << 20,
        .lock_wait_us = STRATA_NONE,
        .backend = simdisk_backend(life.disk),
    };
    world_init(&life.world, "db", &options, seed);
    if (!world_open(&life.world))
        fail_msg("seed %llu: %s", (unsigned long long)seed, life.world.why);
    for (unsigned i = 0; i < LIVES; i++)
        live(&life, seed, &random);
    if (!world_close(&life.world))
        fail_msg("seed %llu: %s", (unsigned long long)seed, life.world.why);
    world_release(&life.world);
    simdisk_destroy(life.disk);
}

/* STRATA_SEED replays one seed; STRATA_SEEDS sets how many there are. */
static void a_database_lives_through_many_power_cuts(void **state)
{
    (void)state;
    const char *one = getenv("STRATA_SEED"), *many = getenv("STRATA_SEEDS");
    const uint64_t first = one != NULL ? strtoull(one, NULL, 10) : 1;
    const uint64_t count = one != NULL ? 1 : (many != NULL ? strtoull(many, NULL, 10) : SEEDS);
    for (uint64_t seed = first; seed < first + count; seed++)
        run_seed(seed);
    print_message("%llu seeds of %d power cuts\n", (unsigned long long)count, LIVES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_database_lives_through_many_power_cuts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
