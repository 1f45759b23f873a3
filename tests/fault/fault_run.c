#include "fault/fault_run.h"

#include "support.h"

#include <stdio.h>
#include <string.h>

/* Opens a disk as after a power cut that lost, or kept, all that was not synced. */
static bool check_disk(const struct fault_plan *plan, const struct world *world,
                       const struct simdisk_image *image, bool lose, char why[CHECK_WHY_SIZE])
{
    const size_t pending = simdisk_pending(image);
    unsigned char *lost = calloc(pending + 1, 1);
    if (lost == NULL)
        abort();
    memset(lost, lose, pending);
    const struct sim_survivors survivors = {.lost = lost, .torn = SIM_NOT_TORN};
    struct simdisk *disk = simdisk_mount(image, &survivors);
    struct state_check check = {
        .promise = {.model = world->model,
                    .floor = lose ? world->floor : world->returned,
                    .begun = model_version(world->model),
                    .wall_us = world->wall_us},
        .full = true,
        .verify = true,
        .seed = plan->seed,
    };
    uint64_t version = 0;
    const bool good = state_check_run(&check, disk, &version);
    if (!good)
        snprintf(why, CHECK_WHY_SIZE, "%.100s: %.250s",
                 lose ? "after the fault and a power cut" : "after the fault", check.why);
    simdisk_destroy(disk);
    free(lost);
    return good;
}

static bool run_script(const struct fault_plan *plan, struct world *world, struct simdisk *disk,
                       struct fault_result *out)
{
    (void)(world_open(world) && world_run(world, plan->script));
    out->operations = simdisk_operations(disk);
    out->peak = simdisk_used(disk);
    world_close(world);
    out->failed = world->faults;
    snprintf(out->why, sizeof(out->why), "%.390s", world->why);
    if (out->why[0] == '\0')
        snprintf(out->why, sizeof(out->why), "%.190s", simdisk_misuse(disk));
    return out->why[0] == '\0';
}

bool fault_run(const struct fault_plan *plan, struct fault_result *out)
{
    *out = (struct fault_result){0};
    struct simdisk *disk = simdisk_create();
    struct test_heap counted;
    const strata_allocator allocator = test_heap_init(&counted);
    const strata_open_options options = {
        .size = sizeof(options),
        .background_threads = STRATA_NONE,
        .memory_budget_bytes = 1 << 20,
        .lock_wait_us = STRATA_NONE,
        .allocator = &allocator,
        .backend = simdisk_backend(disk),
    };
    struct world world;
    world_init(&world, "db", &options, plan->seed);
    world.expect_faults = true;
    simdisk_fail(disk, plan->fault);
    simdisk_limit(disk, plan->limit);
    counted.fail_at = plan->allocation;
    counted.fail_from_then_on = plan->allocations_after_too;
    bool good = run_script(plan, &world, disk, out);
    out->allocations = counted.requests;
    out->injected = simdisk_failures(disk);
    if (good && (counted.bytes != 0 || counted.blocks != 0)) {
        snprintf(out->why, sizeof(out->why), "%llu bytes in %llu blocks are not given back",
                 (unsigned long long)counted.bytes, (unsigned long long)counted.blocks);
        good = false;
    }
    struct simdisk_image *image = simdisk_capture(disk);
    good = good && check_disk(plan, &world, image, false, out->why) &&
           check_disk(plan, &world, image, true, out->why);
    simdisk_release(image);
    world_release(&world);
    simdisk_destroy(disk);
    return good;
}
