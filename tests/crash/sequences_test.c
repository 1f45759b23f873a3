/* All short sequences of steps, each against the model, with a power cut at the end. Most faults of
 * file systems and stores that were found by other means need no more than three or four steps. */
#include "model/state_check.h"
#include "model/world.h"
#include "simdisk/sim_random.h"

#include "support.h"

#include <string.h>

static const char letters[] = "kdafDCMRx"; /* As in model/world.h. */

enum { LETTERS = sizeof(letters) - 1, LENGTH = 4 };

/* What a power cut leaves: everything, or only what was synced. */
static void cut_and_check(struct world *world, struct simdisk *disk, bool lose_all)
{
    struct simdisk_image *image = simdisk_capture(disk);
    unsigned char lost[256];
    memset(lost, lose_all, sizeof(lost));
    assert_true(simdisk_pending(image) <= sizeof(lost));
    const struct sim_survivors survivors = {.lost = lost, .torn = SIM_NOT_TORN};
    struct simdisk *after = simdisk_mount(image, &survivors);
    simdisk_release(image);
    struct state_check check = {
        .promise = {.model = world->model,
                    .floor = lose_all ? world->floor : model_version(world->model),
                    .begun = model_version(world->model),
                    .wall_us = world->wall_us},
        .full = true,
        .seed = 1,
    };
    uint64_t version = 0;
    if (!state_check_run(&check, after, &version))
        fail_msg("%s", check.why);
    simdisk_destroy(after);
}

static void run_sequence(const char *script, uint64_t seed)
{
    struct simdisk *disk = simdisk_create();
    struct world world;
    const strata_open_options options = {
        .size = sizeof(options),
        .background_threads = STRATA_NONE,
        .memory_budget_bytes = 1 << 20,
        .lock_wait_us = STRATA_NONE,
        .backend = simdisk_backend(disk),
    };
    world_init(&world, "db", &options, seed);
    const bool good = world_open(&world) && world_run(&world, "2kaf") && world_run(&world, script);
    if (!good)
        fail_msg("script %s: %s", script, world.why);
    cut_and_check(&world, disk, true);
    cut_and_check(&world, disk, false);
    world_release(&world);
    assert_string_equal(simdisk_misuse(disk), "");
    simdisk_destroy(disk);
}

static void every_sequence_of_four_steps_survives_a_power_cut(void **state)
{
    (void)state;
    unsigned long count = 1;
    for (unsigned i = 0; i < LENGTH; i++)
        count *= LETTERS;
    for (unsigned long index = 0; index < count; index++) {
        char script[LENGTH + 1] = "";
        unsigned long rest = index;
        for (unsigned i = 0; i < LENGTH; i++, rest /= LETTERS)
            script[i] = letters[rest % LETTERS];
        run_sequence(script, index + 1);
    }
    print_message("%lu sequences\n", count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_sequence_of_four_steps_survives_a_power_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
