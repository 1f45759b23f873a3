/* The same calls under every configuration show the same database, to the last byte of history. */
#include "model/content.h"
#include "model/model_check.h"
#include "model/temp_folder.h"
#include "model/world.h"
#include "simdisk/simdisk.h"

#include "support.h"

#include <stdio.h>
#include <string.h>

enum backend_kind { MEMORY, SIMULATED, LOCAL };

struct configuration {
    const char *name;
    uint32_t durability;
    enum backend_kind backend;
    int32_t threads;
    uint64_t budget; /* 0: the default. */
    uint64_t ring;   /* Bytes of the simulated disk's ring; 0: none. */
};

static const struct configuration configurations[] = {
    {"standard, simulated, 1 MiB", STRATA_STANDARD, SIMULATED, STRATA_NONE, 1 << 20, 0},
    {"always, simulated, 1 MiB", STRATA_ALWAYS, SIMULATED, STRATA_NONE, 1 << 20, 0},
    {"cache, simulated, 1 MiB", STRATA_CACHE, SIMULATED, STRATA_NONE, 1 << 20, 0},
    {"standard, simulated, 16 MiB", STRATA_STANDARD, SIMULATED, STRATA_NONE, 16 << 20, 0},
    {"standard, simulated, default", STRATA_STANDARD, SIMULATED, STRATA_NONE, 0, 0},
    {"standard, simulated with a ring", STRATA_STANDARD, SIMULATED, STRATA_NONE, 16 << 20, 8192},
    {"always, simulated with a ring", STRATA_ALWAYS, SIMULATED, STRATA_NONE, 16 << 20, 65536},
    {"standard, simulated, 1 thread", STRATA_STANDARD, SIMULATED, 1, 1 << 20, 0},
    {"always, simulated, 2 threads", STRATA_ALWAYS, SIMULATED, 2, 1 << 20, 0},
    {"standard, memory, 1 MiB", STRATA_STANDARD, MEMORY, STRATA_NONE, 1 << 20, 0},
    {"standard, memory, 2 threads", STRATA_STANDARD, MEMORY, 2, 16 << 20, 0},
    {"cache, memory, default", STRATA_CACHE, MEMORY, 1, 0, 0},
    {"standard, local, 1 MiB", STRATA_STANDARD, LOCAL, STRATA_NONE, 1 << 20, 0},
    {"always, local, 1 thread", STRATA_ALWAYS, LOCAL, 1, 1 << 20, 0},
    {"standard, local, 2 threads", STRATA_STANDARD, LOCAL, 2, 0, 0},
    {"standard, local with a ring", STRATA_STANDARD, LOCAL, STRATA_NONE, 16 << 20, 0},
};

/* No reopening: what lives in memory would be gone. */
static const char script[] = "20p3thf6pm2ixCs8kfpF4dvsC.l12ks3mDMl4paf9ps-2ixr+.MC3nwp2isF6kdC.5p"
                             "60k40psC.60k40psCs..f30k20ds30pMs20p4t";

static void check_with_model(struct world *world, const char *name)
{
    char why[CHECK_WHY_SIZE] = "";
    const struct model_check check = {
        .model = world->model,
        .db = world->db,
        .cut = model_version(world->model),
        .now_us = world->wall_us,
        .full = true,
        .why = why,
    };
    if (!model_check(&check))
        fail_msg("%s: %s", name, why);
}

/* `scans`: reads bring about merges in between. */
static uint64_t run_configuration(const struct configuration *configuration, uint64_t seed,
                                  bool scans)
{
    char folder[TEMP_FOLDER_SIZE];
    char path[TEMP_FOLDER_SIZE + 8] = "db";
    struct simdisk *disk = simdisk_create();
    struct world world;
    strata_open_options options = {
        .size = sizeof(options),
        .durability = configuration->durability,
        .background_threads = configuration->threads,
        .memory_budget_bytes = configuration->budget,
    };
    temp_folder_create(folder);
    simdisk_give_ring(disk, configuration->ring);
    if (configuration->backend == SIMULATED)
        options.backend = simdisk_backend(disk);
    if (configuration->backend == MEMORY)
        snprintf(path, sizeof(path), ":memory:");
    if (configuration->backend == LOCAL)
        snprintf(path, sizeof(path), "%s/db", folder);
    world_init(&world, path, &options, seed);
    world.threads = configuration->threads != STRATA_NONE;
    world.scans_little = !scans;
    if (!world_open(&world) || !world_run(&world, script))
        fail_msg("%s: %s", configuration->name, world.why);
    uint64_t hash = 0;
    check_with_model(&world, configuration->name);
    assert_int_equal(content_hash(world.db, &hash), STRATA_OK);
    assert_true(world_close(&world));
    world_release(&world);
    assert_string_equal(simdisk_misuse(disk), "");
    simdisk_destroy(disk);
    temp_folder_remove(folder);
    return hash;
}

static void every_configuration_shows_the_same_content_and_history(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 2; seed++) {
        const uint64_t expected = run_configuration(&configurations[0], seed, false);
        for (size_t i = 0; i < sizeof(configurations) / sizeof(configurations[0]); i++) {
            const uint64_t hash = run_configuration(&configurations[i], seed, true);
            if (hash != expected)
                fail_msg("%s differs from %s", configurations[i].name, configurations[0].name);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_configuration_shows_the_same_content_and_history),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
