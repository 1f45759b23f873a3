#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif

#include "model/world_inner.h"

#include "simdisk/sim_random.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* ---- time ------------------------------------------------------------------------------------ */

enum { WAIT_SLICE_US = 500 };

static const int64_t FIRST_TIME_US = 1700000000000000;

static int64_t world_wall(void *context)
{
    struct world *world = context;
    return world->wall_us;
}

static int64_t real_monotonic(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t world_monotonic(void *context)
{
    struct world *world = context;
    return world->threads ? real_monotonic() : world->monotonic_us;
}

static void pass_time(struct world *world, int64_t us)
{
    world->wall_us += us;
    world->monotonic_us += us;
}

static void world_wait(void *context, int64_t until_us, const volatile int32_t *wake)
{
    struct world *world = context;
    if (!world->threads) {
        const bool woken = wake != NULL && *wake != 0;
        if (!woken && until_us > world->monotonic_us)
            pass_time(world, until_us - world->monotonic_us);
        return;
    }
    const struct timespec slice = {.tv_nsec = WAIT_SLICE_US * 1000};
    while (real_monotonic() < until_us &&
           (wake == NULL || __atomic_load_n(wake, __ATOMIC_ACQUIRE) == 0))
        nanosleep(&slice, NULL);
}

/* ---- life ------------------------------------------------------------------------------------ */

void world_init(struct world *world, const char *path, const strata_open_options *options,
                uint64_t seed)
{
    memset(world, 0, sizeof(*world));
    world->path = path;
    world->wall_us = FIRST_TIME_US;
    world->monotonic_us = 1000000;
    world->random = seed;
    world->model = model_create();
    if (options != NULL)
        world->options = *options;
    world->options.size = sizeof(world->options);
    if (world->options.seed == 0)
        world->options.seed = seed | 1;
}

void world_release(struct world *world)
{
    world_close(world);
    model_destroy(world->model);
    world->model = NULL;
}

bool world_stop(struct world *world, const char *format, ...)
{
    world->stopped = true;
    if (world->why[0] == '\0') {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(world->why, sizeof(world->why), format, arguments);
        va_end(arguments);
    }
    return false;
}

bool world_is_fault(strata_status status)
{
    return status == STRATA_IO || status == STRATA_NO_SPACE || status == STRATA_NO_MEMORY ||
           status == STRATA_HALTED || status == STRATA_TIMEOUT;
}

/* A branch whose fork has an unknown outcome may be there or not. */
static bool is_expected(const struct world *world, strata_status status)
{
    return world->expect_faults &&
           (world_is_fault(status) || (world->unknown && status == STRATA_NOT_FOUND));
}

bool world_call(struct world *world, const char *what, strata_status status)
{
    if (status == STRATA_OK)
        return true;
    world->faults++;
    if (!is_expected(world, status))
        world_stop(world, "%s: %s: %s", what, strata_status_name(status), strata_error_message());
    return false;
}

bool world_open(struct world *world)
{
    world->clock = (strata_clock){world, world_wall, world_monotonic, world_wait};
    world->options.clock = &world->clock;
    if (!world_call(world, "open", strata_open(world->path, &world->options, &world->db))) {
        world->db = NULL;
        world->stopped = true;
        return false;
    }
    return true;
}

bool world_close(struct world *world)
{
    if (world->db == NULL)
        return true;
    world_let_go(world);
    strata *db = world->db;
    world->db = NULL; /* First: an observer must not use it while it goes. */
    const strata_status status = strata_close(db);
    if (status == STRATA_OK)
        world->floor = world->returned;
    return world_call(world, "close", status);
}

bool world_is_always(const struct world *world)
{
    return world->options.durability == STRATA_ALWAYS;
}

/* What opening finds decides which of the commits begun there are. */
static bool take_up(struct world *world, uint64_t least)
{
    uint64_t visible = 0;
    world->unknown = false;
    strata_watermarks(world->db, &visible, NULL);
    if (visible < least || visible > model_version(world->model))
        return world_stop(world, "opened at version %llu, not in [%llu, %llu]",
                          (unsigned long long)visible, (unsigned long long)least,
                          (unsigned long long)model_version(world->model));
    while (model_version(world->model) > visible)
        model_cancel(world->model);
    world->returned = visible;
    return true;
}

bool world_reboot(struct world *world, const strata_backend *backend)
{
    world_let_go(world);
    strata_close(world->db);
    world->db = NULL;
    world->options.backend = backend;
    world->stopped = false;
    world->floor = 0;
    if (!world_open(world) || !take_up(world, 0))
        return false;
    strata_watermarks(world->db, NULL, &world->floor);
    return true;
}

/* ---- commits --------------------------------------------------------------------------------- */

void world_begin(struct world *world)
{
    model_begin(world->model, world->wall_us);
}

void world_note_durable(struct world *world)
{
    uint64_t durable = 0;
    strata_watermarks(world->db, NULL, &durable);
    if (durable > world->floor)
        world->floor = durable;
}

/* What became of the commit begun last, which a call says failed. */
static bool settle_failure(struct world *world, const char *what, strata_status status)
{
    const uint64_t version = model_version(world->model);
    strata_error error = {.size = sizeof(error)};
    strata_error_detail(&error);
    uint64_t visible = 0;
    strata_watermarks(world->db, &visible, NULL);
    world->faults++;
    if (!is_expected(world, status))
        return world_stop(world, "%s of version %llu: %s: %s", what, (unsigned long long)version,
                          strata_status_name(status), strata_error_message());
    if (error.outcome == STRATA_COMMIT_UNKNOWN) {
        world->unknown = true;
        return false;
    }
    if (error.outcome == STRATA_COMMITTED) {
        if (visible < version)
            return world_stop(world, "%s: committed %llu, but not visible", what,
                              (unsigned long long)version);
        return false;
    }
    if (visible >= version)
        return world_stop(world, "%s: not committed, but %llu is visible", what,
                          (unsigned long long)version);
    model_cancel(world->model);
    return false;
}

bool world_end(struct world *world, const char *what, strata_status status, bool durable)
{
    if (status != STRATA_OK)
        return settle_failure(world, what, status);
    const uint64_t version = model_version(world->model);
    uint64_t visible = 0;
    strata_watermarks(world->db, &visible, NULL);
    if (world->unknown && visible < version) {
        model_cancel(world->model); /* It deletes what only the doubtful commit wrote. */
        return false;
    }
    if (world->unknown)
        return world_stop(world, "%s: a commit after one of unknown outcome", what);
    if (visible != version)
        return world_stop(world, "%s: version %llu is visible, not %llu", what,
                          (unsigned long long)visible, (unsigned long long)version);
    world->returned = version;
    if (durable)
        world->floor = version;
    world_note_durable(world);
    return true;
}

/* ---- running -------------------------------------------------------------------------------- */

static void maintain_step(struct world *world)
{
    const strata_status status = strata_maintain(world->db, 1000, NULL);
    if (status != STRATA_DONE)
        world_call(world, "maintain", status);
    world_note_durable(world);
}

static void sync_step(struct world *world)
{
    if (world_call(world, "sync", strata_sync(world->db)))
        world->floor = world->returned;
}

static void checkpoint_step(struct world *world)
{
    world_call(world, "checkpoint", strata_checkpoint(world->db));
    world_note_durable(world);
}

static void compact_step(struct world *world)
{
    world_call(world, "compact", strata_compact(world->db, NULL));
}

static void pass_step(struct world *world)
{
    pass_time(world, 20000 + (int64_t)sim_below(&world->random, 130000));
}

static void jump_back(struct world *world)
{
    world->wall_us -= 700000;
    world->monotonic_us += 50;
}

static void reopen_step(struct world *world)
{
    world_close(world);
    if (!world->stopped && world_open(world))
        take_up(world, world->returned);
}

struct step {
    char letter;
    void (*run)(struct world *world);
};

static const struct step steps[] = {
    {'p', world_put},          {'k', world_put_hot},
    {'v', world_put_big},      {'d', world_delete},
    {'i', world_increment},    {'e', world_expiring},
    {'m', world_many},         {'t', world_standard},
    {'a', world_always},       {'w', world_writer},
    {'x', world_delete_space}, {'f', world_fork},
    {'F', world_fork_older},   {'n', world_create_branch},
    {'D', world_drop},         {'r', world_rename},
    {'g', world_read},         {'s', world_scan_often},
    {'y', sync_step},          {'C', checkpoint_step},
    {'M', compact_step},       {'.', maintain_step},
    {'+', pass_step},          {'-', jump_back},
    {'R', reopen_step},        {'b', world_big_transaction},
    {'h', world_hold},         {'l', world_look},
};

static void run_step(struct world *world, char letter)
{
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        if (steps[i].letter != letter)
            continue;
        steps[i].run(world);
        pass_time(world, 7);
        if (world->stepped != NULL)
            world->stepped(world->stepped_context);
        return;
    }
    world_stop(world, "no such step: %c", letter);
}

bool world_run(struct world *world, const char *script)
{
    while (*script != '\0' && !world->stopped) {
        unsigned long count = 1;
        if (*script >= '0' && *script <= '9') {
            char *after = NULL;
            count = strtoul(script, &after, 10);
            script = after;
        }
        for (unsigned long i = 0; i < count && !world->stopped && *script != '\0'; i++)
            run_step(world, *script);
        script += *script != '\0';
    }
    return !world->stopped;
}
