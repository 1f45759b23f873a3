/* Damaged disks: flipped bits, misdirected and stale blocks, short and missing objects. A damaged
 * database may refuse, naming what is wrong; what it shows must be right, whatever was damaged. */
#include "model/model_check.h"
#include "model/world.h"
#include "simdisk/sim_random.h"
#include "simdisk/simdisk.h"

#include "support.h"

#include <stdio.h>
#include <string.h>

enum { OBJECTS_MAX = 128, NAME_MAX_SIZE = 64, ROUNDS = 300, BLOCK = 4096 };

struct objects {
    char names[OBJECTS_MAX][NAME_MAX_SIZE];
    uint64_t sizes[OBJECTS_MAX];
    size_t count;
};

struct victim {
    struct world world;
    struct simdisk *disk;
    struct simdisk_image *earlier; /* Half-way, for stale blocks. */
    struct simdisk_image *image;   /* After the close. */
    struct objects objects;
};

static void note_object(void *context, const char *name, uint64_t size)
{
    struct objects *objects = context;
    if (objects->count == OBJECTS_MAX || size == 0)
        return;
    snprintf(objects->names[objects->count], NAME_MAX_SIZE, "%s", name);
    objects->sizes[objects->count++] = size;
}

static strata_open_options plain_options(struct simdisk *disk)
{
    return (strata_open_options){.size = sizeof(strata_open_options),
                                 .background_threads = STRATA_NONE,
                                 .memory_budget_bytes = 1 << 20,
                                 .lock_wait_us = STRATA_NONE,
                                 .seed = 7,
                                 .backend = simdisk_backend(disk)};
}

static int make_victim(void **state)
{
    struct victim *victim = calloc(1, sizeof(*victim));
    if (victim == NULL)
        return -1;
    *state = victim;
    victim->disk = simdisk_create();
    const strata_open_options options = plain_options(victim->disk);
    world_init(&victim->world, "db", &options, 77);
    bool good = world_open(&victim->world) && world_run(&victim->world, "20p2fC6kvxC8pF");
    victim->earlier = simdisk_capture(victim->disk);
    good = good && world_run(&victim->world, "4kDM6pfC5pa3t2iy6p") && world_close(&victim->world);
    if (!good)
        print_message("%s\n", victim->world.why);
    victim->image = simdisk_capture(victim->disk);
    simdisk_each(victim->disk, note_object, &victim->objects);
    return good ? 0 : -1;
}

static int free_victim(void **state)
{
    struct victim *victim = *state;
    simdisk_release(victim->earlier);
    simdisk_release(victim->image);
    world_release(&victim->world);
    simdisk_destroy(victim->disk);
    free(victim);
    return 0;
}

static struct simdisk *mount(const struct simdisk_image *image)
{
    const struct sim_survivors all = {.torn = SIM_NOT_TORN};
    return simdisk_mount(image, &all);
}

static bool is_log(const char *name)
{
    return strncmp(name, "wal/", 4) == 0;
}

/* What is left in a damaged log may be a shorter prefix; nothing else may shorten history. */
static void check_damaged(struct victim *victim, struct simdisk *disk, bool log_damaged,
                          const char *what)
{
    static unsigned checks;
    strata_open_options options = plain_options(disk);
    options.clock = &victim->world.clock;
    if (checks++ % 2 == 1) /* Frames are found in another way. */
        options.memory_budget_bytes = 16 << 20;
    strata *db = NULL;
    const strata_status status = strata_open("db", &options, &db);
    if (status != STRATA_OK) {
        if (status != STRATA_CORRUPT && status != STRATA_DATA_LOSS && status != STRATA_UNSUPPORTED)
            fail_msg("%s: open: %s: %s", what, strata_status_name(status), strata_error_message());
        simdisk_destroy(disk);
        return;
    }
    uint64_t visible = 0;
    char why[CHECK_WHY_SIZE] = "";
    strata_watermarks(db, &visible, NULL);
    const struct model_check check = {
        .model = victim->world.model,
        .db = db,
        .cut = visible,
        .now_us = victim->world.wall_us,
        .full = true,
        .seed = 1,
        .damaged = true,
        .why = why,
    };
    const uint64_t version = model_version(victim->world.model);
    if (visible > version || (visible < version && !log_damaged))
        fail_msg("%s: version %llu, not %llu", what, (unsigned long long)visible,
                 (unsigned long long)version);
    if (!model_check(&check))
        fail_msg("%s: %s", what, why);
    const strata_status closed = strata_close(db);
    if (closed != STRATA_OK && closed != STRATA_CORRUPT)
        fail_msg("%s: close: %s", what, strata_status_name(closed));
    simdisk_destroy(disk);
}

static size_t draw_object(const struct victim *victim, uint64_t *random)
{
    return (size_t)sim_below(random, victim->objects.count);
}

static void flipped_bits_are_noticed_or_harmless(void **state)
{
    struct victim *victim = *state;
    uint64_t random = 1;
    for (unsigned round = 0; round < ROUNDS; round++) {
        const size_t object = draw_object(victim, &random);
        const char *name = victim->objects.names[object];
        const uint64_t offset = sim_below(&random, victim->objects.sizes[object]);
        struct simdisk *disk = mount(victim->image);
        unsigned char byte = 0;
        char what[128];
        assert_true(simdisk_peek(disk, name, offset, &byte, 1));
        byte = (unsigned char)(byte ^ 1u << sim_below(&random, 8));
        assert_true(simdisk_poke(disk, name, offset, &byte, 1));
        snprintf(what, sizeof(what), "bit flipped in %s at %llu", name, (unsigned long long)offset);
        check_damaged(victim, disk, is_log(name), what);
    }
}

/* Copies a block of one object over another place, in the same or another object. */
static void misdirected_blocks_are_noticed_or_harmless(void **state)
{
    struct victim *victim = *state;
    uint64_t random = 2;
    static unsigned char block[BLOCK];
    for (unsigned round = 0; round < ROUNDS; round++) {
        const size_t size = sim_below(&random, 2) == 0 ? 512 : BLOCK;
        const size_t from = draw_object(victim, &random), to = draw_object(victim, &random);
        const uint64_t source = sim_below(&random, victim->objects.sizes[from] / size + 1) * size;
        const uint64_t target = sim_below(&random, victim->objects.sizes[to] / size + 1) * size;
        struct simdisk *disk = mount(victim->image);
        char what[160];
        snprintf(what, sizeof(what), "%s at %llu put to %s at %llu", victim->objects.names[from],
                 (unsigned long long)source, victim->objects.names[to], (unsigned long long)target);
        if (simdisk_peek(disk, victim->objects.names[from], source, block, size) &&
            simdisk_poke(disk, victim->objects.names[to], target, block, size))
            check_damaged(victim, disk, is_log(victim->objects.names[to]), what);
        else
            simdisk_destroy(disk);
    }
}

/* Gives blocks of an object the bytes that they, or others there, had half-way. */
static void stale_blocks_are_noticed_or_harmless(void **state)
{
    struct victim *victim = *state;
    struct simdisk *earlier = mount(victim->earlier);
    struct objects *objects = calloc(1, sizeof(*objects));
    simdisk_each(earlier, note_object, objects);
    uint64_t random = 3;
    static unsigned char block[BLOCK];
    for (unsigned round = 0; round < ROUNDS; round++) {
        const size_t size = sim_below(&random, 2) == 0 ? 512 : BLOCK;
        const size_t from = (size_t)sim_below(&random, objects->count);
        const size_t to = draw_object(victim, &random);
        const uint64_t place = sim_below(&random, victim->objects.sizes[to] / size + 1) * size;
        struct simdisk *disk = mount(victim->image);
        char what[160];
        snprintf(what, sizeof(what), "earlier %s put to %s at %llu", objects->names[from],
                 victim->objects.names[to], (unsigned long long)place);
        if (simdisk_peek(earlier, objects->names[from], place, block, size) &&
            simdisk_poke(disk, victim->objects.names[to], place, block, size))
            check_damaged(victim, disk, is_log(victim->objects.names[to]), what);
        else
            simdisk_destroy(disk);
    }
    free(objects);
    simdisk_destroy(earlier);
}

static void short_and_missing_objects_are_noticed_or_harmless(void **state)
{
    struct victim *victim = *state;
    uint64_t random = 4;
    for (size_t object = 0; object < victim->objects.count; object++) {
        const char *name = victim->objects.names[object];
        char what[128];
        struct simdisk *disk = mount(victim->image);
        snprintf(what, sizeof(what), "%s is missing", name);
        assert_true(simdisk_vanish(disk, name));
        check_damaged(victim, disk, is_log(name), what);
        for (unsigned i = 0; i < 8; i++) {
            const uint64_t size = i == 0 ? 0 : sim_below(&random, victim->objects.sizes[object]);
            disk = mount(victim->image);
            snprintf(what, sizeof(what), "%s is cut to %llu", name, (unsigned long long)size);
            assert_true(simdisk_shorten(disk, name, size));
            check_damaged(victim, disk, is_log(name), what);
        }
    }
}

static void the_undamaged_database_passes_its_check(void **state)
{
    struct victim *victim = *state;
    struct simdisk *disk = mount(victim->image);
    strata_open_options options = plain_options(disk);
    strata *db = NULL;
    assert_int_equal(strata_open("db", &options, &db), STRATA_OK);
    assert_int_equal(strata_check(db, NULL, NULL, NULL), STRATA_OK);
    assert_int_equal(strata_close(db), STRATA_OK);
    simdisk_destroy(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_undamaged_database_passes_its_check),
        cmocka_unit_test(flipped_bits_are_noticed_or_harmless),
        cmocka_unit_test(misdirected_blocks_are_noticed_or_harmless),
        cmocka_unit_test(stale_blocks_are_noticed_or_harmless),
        cmocka_unit_test(short_and_missing_objects_are_noticed_or_harmless),
    };
    return cmocka_run_group_tests(tests, make_victim, free_victim);
}
