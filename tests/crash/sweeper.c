#include "crash/sweeper.h"

#include "model/state_check.h"
#include "crash/survivors.h"
#include "model/world.h"
#include "simdisk/sim_random.h"
#include "simdisk/simdisk.h"

#include <stdlib.h>
#include <string.h>

enum { FULL_EVERY = 24, COMPOUND_CUTS = 5 };

/* The power may go here: just before one operation of the backend. */
struct crash_point {
    struct simdisk_image *image;
    uint64_t operation;
    uint64_t floor;
    uint64_t begun;
    uint64_t returned; /* What a killed process must leave. */
};

struct crash_points {
    struct crash_point *at;
    size_t count;
    size_t capacity;
};

/* Disks that were checked: hash, and the version found plus 1 (0: an empty slot). */
struct seen_state {
    uint64_t hash;
    uint64_t version;
};

struct sweep {
    const struct workload *workload;
    const struct sweep_options *options;
    struct sweep_result *result;
    struct simdisk *disk; /* While the workload runs. */
    struct world world;
    struct crash_points points;
    struct seen_state *seen;
    size_t seen_capacity;
    bool *known; /* [version]: one state of that version was compared in full. */
};

struct sweep_options sweep_full(uint64_t seed)
{
    return (struct sweep_options){.seed = seed,
                                  .states_per_point = 2000,
                                  .compound_every = 300,
                                  .check_every = 20,
                                  .violations_max = 5,
                                  .only_point = -1,
                                  .out = stdout};
}

struct sweep_options sweep_quick(uint64_t seed)
{
    struct sweep_options options = sweep_full(seed);
    options.states_per_point = 10;
    options.compound_every = 100;
    options.violations_max = 1;
    return options;
}

/* ---- running the workload -------------------------------------------------------------------- */

static void add_point(struct crash_points *points, struct crash_point point)
{
    if (points->count == points->capacity) {
        points->capacity = points->capacity == 0 ? 256 : points->capacity * 2;
        points->at = realloc(points->at, points->capacity * sizeof(points->at[0]));
        if (points->at == NULL)
            abort();
    }
    points->at[points->count++] = point;
}

static void release_points(struct crash_points *points)
{
    for (size_t i = 0; i < points->count; i++)
        simdisk_release(points->at[i].image);
    free(points->at);
    *points = (struct crash_points){0};
}

/* What the library itself calls durable at this moment is promised, too. */
static uint64_t present_floor(const strata *db, uint64_t floor)
{
    uint64_t durable = 0;
    if (db != NULL)
        strata_watermarks(db, NULL, &durable);
    return durable > floor ? durable : floor;
}

static void note_point(void *context, struct simdisk *disk, const struct sim_operation *operation)
{
    struct sweep *sweep = context;
    const struct crash_point point = {
        .image = simdisk_capture(disk),
        .operation = operation->number,
        .floor = present_floor(sweep->world.db, sweep->world.floor),
        .begun = model_version(sweep->world.model),
        .returned = sweep->world.returned,
    };
    add_point(&sweep->points, point);
}

/* What goes to the ring is no operation. */
static void note_step(void *context)
{
    struct sweep *sweep = context;
    struct simdisk *disk = sweep->disk;
    const struct sim_operation next = {.number = simdisk_operations(disk) + 1};
    note_point(sweep, disk, &next);
}

static void init_world(struct world *world, const struct workload *workload, struct simdisk *disk,
                       const struct sweep_options *sweep_options)
{
    const uint64_t seed = sweep_options->seed;
    simdisk_give_ring(disk, sweep_options->ring_bytes);
    const strata_open_options options = {
        .size = sizeof(options),
        .durability = workload->durability,
        .background_threads = STRATA_NONE,
        .memory_budget_bytes = sweep_options->ring_bytes > 0 ? 16 << 20 : 1 << 20,
        .lock_wait_us = STRATA_NONE,
        .seed = seed | 1,
        .backend = simdisk_backend(disk),
    };
    world_init(world, "db", &options, seed);
}

static bool run_script(struct world *world, const struct workload *workload)
{
    return world_open(world) && world_run(world, workload->script) && world_close(world);
}

static void violation(struct sweep *sweep, size_t point, const char *why)
{
    const uint64_t operation = point < sweep->points.count ? sweep->points.at[point].operation : 0;
    if (sweep->result->violations++ == 0)
        snprintf(sweep->result->why, sizeof(sweep->result->why), "%s", why);
    if (sweep->options->out == NULL)
        return;
    fprintf(sweep->options->out,
            "violation: %s: crash point %zu (before operation %llu), seed %llu: %s\n"
            "    replay with --replay %s:%zu --seed %llu\n",
            sweep->workload->name, point, (unsigned long long)operation,
            (unsigned long long)sweep->options->seed, why, sweep->workload->name, point,
            (unsigned long long)sweep->options->seed);
}

static bool run_workload(struct sweep *sweep)
{
    struct simdisk *disk = simdisk_create();
    init_world(&sweep->world, sweep->workload, disk, sweep->options);
    simdisk_watch(disk, note_point, sweep);
    sweep->disk = disk;
    if (sweep->options->ring_bytes > 0)
        sweep->world.stepped = note_step;
    sweep->world.stepped_context = sweep;
    const bool good = run_script(&sweep->world, sweep->workload);
    sweep->result->operations = simdisk_operations(disk);
    sweep->result->operation_hash = simdisk_operation_hash(disk);
    const struct sim_operation last = {.number = simdisk_operations(disk) + 1};
    note_point(sweep, disk, &last);
    if (!good)
        violation(sweep, sweep->points.count, sweep->world.why);
    else if (simdisk_misuse(disk)[0] != '\0')
        violation(sweep, sweep->points.count, simdisk_misuse(disk));
    world_close(&sweep->world);
    simdisk_destroy(disk);
    return good;
}

uint64_t sweep_record(const struct workload *workload, const struct sweep_options *options,
                      char **list_out, char why[400])
{
    struct simdisk *disk = simdisk_create();
    struct world world;
    init_world(&world, workload, disk, options);
    simdisk_record(disk);
    const bool good = run_script(&world, workload);
    if (!good)
        snprintf(why, 400, "%s", world.why);
    const uint64_t hash = good ? simdisk_operation_hash(disk) : 0;
    if (list_out != NULL) {
        const size_t size = strlen(simdisk_recording(disk)) + 1;
        *list_out = malloc(size);
        if (*list_out != NULL)
            memcpy(*list_out, simdisk_recording(disk), size);
    }
    world_release(&world);
    simdisk_destroy(disk);
    return hash;
}

/* ---- states seen before ---------------------------------------------------------------------- */

static struct seen_state *seen_slot(struct seen_state *seen, size_t capacity, uint64_t hash)
{
    size_t at = (size_t)sim_mix(hash) & (capacity - 1);
    while (seen[at].version != 0 && seen[at].hash != hash)
        at = (at + 1) & (capacity - 1);
    return &seen[at];
}

/* Where the state is or is to be noted. */
static struct seen_state *find_seen(struct sweep *sweep, uint64_t hash)
{
    if (sweep->result->states * 2 >= sweep->seen_capacity) {
        const size_t capacity = sweep->seen_capacity == 0 ? 1024 : sweep->seen_capacity * 2;
        struct seen_state *seen = calloc(capacity, sizeof(*seen));
        if (seen == NULL)
            abort();
        for (size_t i = 0; i < sweep->seen_capacity; i++) {
            if (sweep->seen[i].version != 0)
                *seen_slot(seen, capacity, sweep->seen[i].hash) = sweep->seen[i];
        }
        free(sweep->seen);
        sweep->seen = seen;
        sweep->seen_capacity = capacity;
    }
    return seen_slot(sweep->seen, sweep->seen_capacity, hash);
}

/* ---- states ---------------------------------------------------------------------------------- */

static bool one_in(uint64_t draw, unsigned every)
{
    return every != 0 && draw % every == 0;
}

/* What is done with a state follows from the state, so that a replay of its crash point does the
 * same. */
static struct state_check prepare_check(const struct sweep *sweep, const struct crash_point *point,
                                        uint64_t floor, uint64_t draw)
{
    return (struct state_check){
        .promise = {.model = sweep->world.model,
                    .floor = floor,
                    .begun = point->begun,
                    .wall_us = sweep->world.wall_us,
                    .durability = sweep->workload->durability},
        .full = one_in(draw, FULL_EVERY),
        .known = sweep->known,
        .verify = one_in(draw >> 8, sweep->options->check_every),
        .seed = draw,
    };
}

static void tell_survivors(const struct sweep *sweep, const struct crash_point *point,
                           const struct sim_survivors *survivors)
{
    FILE *out = sweep->options->out;
    if (out == NULL)
        return;
    for (size_t i = 0; i < simdisk_pending(point->image); i++) {
        char text[300];
        simdisk_pending_text(point->image, i, text, sizeof(text));
        fprintf(out, "    %s %s", survivors->lost[i] != 0 ? "lost    " : "survives", text);
        if (survivors->torn == (long)i)
            fprintf(out, ", cut to %llu", (unsigned long long)survivors->torn_size);
        fprintf(out, "\n");
    }
    fprintf(out, "    garbage kind %d, fate of the ring %d\n", (int)survivors->garbage,
            (int)survivors->ring);
}

/* The crash within the recovery: what it is promised depends on how far the recovery was. */
struct compound {
    struct sweep *sweep;
    struct crash_points points;
    struct check_extra extra;
    uint64_t floor;
    uint64_t begun;
    strata *db;
};

static void compound_opened(void *context, strata *db)
{
    struct compound *compound = context;
    compound->db = db;
}

static void compound_begun(void *context, const struct check_extra *extra)
{
    struct compound *compound = context;
    compound->extra = *extra;
    compound->begun = extra->version;
}

static void note_compound_point(void *context, struct simdisk *disk,
                                const struct sim_operation *operation)
{
    struct compound *compound = context;
    const struct crash_point point = {
        .image = simdisk_capture(disk),
        .operation = operation->number,
        .floor = present_floor(compound->db, compound->floor),
        .begun = compound->begun,
    };
    add_point(&compound->points, point);
}

static bool glance_at_point(struct compound *compound, const struct crash_point *point,
                            struct state_check *check)
{
    struct survivors survivors;
    bool good = true;
    survivors_init(&survivors, point->image, check->seed, COMPOUND_CUTS);
    while (good && survivors_next(&survivors)) {
        struct simdisk *disk = simdisk_mount(point->image, &survivors.now);
        check->promise.floor = point->floor;
        check->promise.begun = point->begun;
        check->promise.extra = compound->extra;
        check->full = false;
        check->known = NULL;
        compound->sweep->result->compound++;
        good = state_check_glance(check, disk);
        simdisk_destroy(disk);
    }
    if (!good)
        tell_survivors(compound->sweep, point, &survivors.now);
    survivors_release(&survivors);
    return good;
}

/* Opens `disk` once more, the power going at every operation of that. */
static bool cut_recovery(struct sweep *sweep, const struct crash_point *point, struct simdisk *disk,
                         struct state_check *check)
{
    struct compound compound = {.sweep = sweep, .floor = point->floor, .begun = point->begun};
    uint64_t version = 0;
    simdisk_watch(disk, note_compound_point, &compound);
    check->opened = compound_opened;
    check->begun = compound_begun;
    check->opened_context = &compound;
    bool good = state_check_run(check, disk, &version);
    for (size_t i = 0; i < compound.points.count && good; i++)
        good = glance_at_point(&compound, &compound.points.at[i], check);
    release_points(&compound.points);
    return good;
}

/* A disk that was checked at an earlier crash point: only what is promised may have grown. */
static bool check_again(const struct seen_state *seen, const struct crash_point *point,
                        uint64_t floor, char why[CHECK_WHY_SIZE])
{
    const uint64_t version = seen->version - 1;
    if (version >= floor && version <= point->begun)
        return true;
    snprintf(why, CHECK_WHY_SIZE, "visible %llu, floor %llu, begun %llu",
             (unsigned long long)version, (unsigned long long)floor,
             (unsigned long long)point->begun);
    return false;
}

static bool check_state(struct sweep *sweep, const struct crash_point *point,
                        const struct survivors *survivors, char why[CHECK_WHY_SIZE])
{
    struct simdisk *disk = simdisk_mount(point->image, &survivors->now);
    const uint64_t floor =
        survivors->killed && point->returned > point->floor ? point->returned : point->floor;
    const uint64_t hash = simdisk_hash(disk);
    struct seen_state *seen = find_seen(sweep, hash);
    sweep->result->subsets++;
    if (seen->version != 0) {
        simdisk_destroy(disk);
        return check_again(seen, point, floor, why);
    }
    const uint64_t draw = sim_mix(hash ^ sweep->options->seed);
    struct state_check check = prepare_check(sweep, point, floor, draw);
    uint64_t version = 0;
    bool good = state_check_run(&check, disk, &version);
    simdisk_destroy(disk);
    *seen = (struct seen_state){hash, version + 1};
    sweep->result->states++;
    if (!good) {
        snprintf(why, CHECK_WHY_SIZE, "%s", check.why);
    } else if (one_in(draw >> 20, sweep->options->compound_every)) {
        disk = simdisk_mount(point->image, &survivors->now);
        good = cut_recovery(sweep, point, disk, &check);
        simdisk_destroy(disk);
        if (!good)
            snprintf(why, CHECK_WHY_SIZE, "a second crash: %.380s", check.why);
    }
    return good;
}

static void check_point(struct sweep *sweep, size_t index)
{
    const struct crash_point *point = &sweep->points.at[index];
    struct survivors survivors;
    char why[CHECK_WHY_SIZE];
    const uint64_t seed = sim_mix(sweep->options->seed ^ sim_mix(index + 1));
    survivors_init(&survivors, point->image, seed, sweep->options->states_per_point);
    while (sweep->result->violations < sweep->options->violations_max &&
           survivors_next(&survivors)) {
        if (check_state(sweep, point, &survivors, why))
            continue;
        violation(sweep, index, why);
        tell_survivors(sweep, point, &survivors.now);
    }
    survivors_release(&survivors);
    sweep->result->points++;
}

void sweep_workload(const struct workload *workload, const struct sweep_options *options,
                    struct sweep_result *out)
{
    *out = (struct sweep_result){0};
    struct sweep sweep = {.workload = workload, .options = options, .result = out};
    run_workload(&sweep);
    sweep.known = calloc((size_t)model_version(sweep.world.model) + 2, sizeof(bool));
    if (sweep.known == NULL)
        abort();
    for (size_t i = 0; i < sweep.points.count && out->violations < options->violations_max; i++) {
        if (options->only_point < 0 || (size_t)options->only_point == i)
            check_point(&sweep, i);
    }
    release_points(&sweep.points);
    world_release(&sweep.world);
    free(sweep.seen);
    free(sweep.known);
}
