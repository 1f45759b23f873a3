#include "fault/fault_run.h"

#include "support.h"

#include <stdio.h>
#include <string.h>

/* The disk at one moment, and what was promised by then. */
struct moment {
    const char *name;
    struct simdisk_image *image;
    uint64_t floor;
    uint64_t returned;
};

static struct moment take_moment(const char *name, const struct world *world, struct simdisk *disk)
{
    return (struct moment){name, simdisk_capture(disk), world->floor, world->returned};
}

/* Opens the disk as after a power cut that lost, or kept, all that was not synced. */
static bool check_cut(const struct fault_plan *plan, const struct world *world,
                      const struct moment *moment, bool lose, char why[CHECK_WHY_SIZE])
{
    const size_t pending = simdisk_pending(moment->image);
    unsigned char *lost = calloc(pending + 1, 1);
    if (lost == NULL)
        abort();
    memset(lost, lose, pending);
    const struct sim_survivors survivors = {.lost = lost,
                                            .torn = SIM_NOT_TORN,
                                            .seed = plan->seed,
                                            .ring = lose ? SIM_RING_MIXED : SIM_RING_NEW};
    struct simdisk *disk = simdisk_mount(moment->image, &survivors);
    struct state_check check = {
        .promise = {.model = world->model,
                    .floor = lose ? moment->floor : moment->returned,
                    .begun = model_version(world->model),
                    .wall_us = world->wall_us},
        .full = true,
        .verify = true,
        .seed = plan->seed,
    };
    uint64_t version = 0;
    const bool good = state_check_run(&check, disk, &version);
    if (!good)
        snprintf(why, CHECK_WHY_SIZE, "%s, %s: %.250s", moment->name,
                 lose ? "with a power cut" : "without a power cut", check.why);
    simdisk_destroy(disk);
    free(lost);
    return good;
}

static bool check_moment(const struct fault_plan *plan, const struct world *world,
                         struct moment *moment, char why[CHECK_WHY_SIZE])
{
    const bool good = why[0] == '\0' && check_cut(plan, world, moment, false, why) &&
                      check_cut(plan, world, moment, true, why);
    simdisk_release(moment->image);
    return good;
}

static void run_script(const struct fault_plan *plan, struct world *world, struct simdisk *disk,
                       struct moment moments[2], struct fault_result *out)
{
    (void)(world_open(world) && world_run(world, plan->script));
    out->operations = simdisk_operations(disk);
    out->peak = simdisk_used(disk);
    moments[0] = take_moment("before the close", world, disk);
    world_close(world);
    moments[1] = take_moment("after the close", world, disk);
    out->failed = world->faults;
    snprintf(out->why, sizeof(out->why), "%.390s", world->why);
    if (out->why[0] == '\0')
        snprintf(out->why, sizeof(out->why), "%.190s", simdisk_misuse(disk));
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
        .memory_budget_bytes = plan->ring_bytes > 0 ? 16 << 20 : 1 << 20,
        .lock_wait_us = STRATA_NONE,
        .allocator = &allocator,
        .backend = simdisk_backend(disk),
    };
    struct world world;
    struct moment moments[2];
    world_init(&world, "db", &options, plan->seed);
    world.expect_faults = true;
    simdisk_fail(disk, plan->fault);
    simdisk_limit(disk, plan->limit);
    simdisk_give_ring(disk, plan->ring_bytes);
    counted.fail_at = plan->allocation;
    counted.fail_from_then_on = plan->allocations_after_too;
    run_script(plan, &world, disk, moments, out);
    out->allocations = counted.requests;
    out->injected = simdisk_failures(disk);
    if (out->why[0] == '\0' && (counted.bytes != 0 || counted.blocks != 0))
        snprintf(out->why, sizeof(out->why), "%llu bytes in %llu blocks are not given back",
                 (unsigned long long)counted.bytes, (unsigned long long)counted.blocks);
    check_moment(plan, &world, &moments[0], out->why);
    check_moment(plan, &world, &moments[1], out->why);
    world_release(&world);
    simdisk_destroy(disk);
    return out->why[0] == '\0';
}
