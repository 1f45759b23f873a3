/* A process that is killed loses nothing that it was told is committed, whatever the durability: the
 * child commits, tells each version through a pipe, and is killed at a random moment. The parent
 * knows what the child did, for it runs the same script from the same seed. */
#ifndef _XOPEN_SOURCE
#define _XOPEN_SOURCE 700
#endif

#include "model/model_check.h"
#include "model/world.h"
#include "model/temp_folder.h"
#include "simdisk/sim_random.h"
#include "simdisk/simdisk.h"

#include "support.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { KILLS = 200, STEPS_MAX = 4000 };

static const char pattern[] = "ptkafp.dkmC+pppkkkM..pxitvR"; /* Repeated, step by step. */

/* How the child opens its database. The log has a ring with the larger budget only. */
struct setting {
    uint32_t durability;
    uint64_t budget;
};

static const struct setting settings[] = {
    {STRATA_STANDARD, 1 << 20},
    {STRATA_ALWAYS, 1 << 20},
    {STRATA_STANDARD, 16 << 20},
    {STRATA_ALWAYS, 16 << 20},
};
enum { SETTINGS = sizeof(settings) / sizeof(settings[0]) };

static strata_open_options child_options(const struct setting *setting)
{
    return (strata_open_options){.size = sizeof(strata_open_options),
                                 .durability = setting->durability,
                                 .background_threads = STRATA_NONE,
                                 .memory_budget_bytes = setting->budget};
}

/* Step number `index`; forks become rarer, so that the branches do not pile up. */
static void letter_at(unsigned index, char out[2])
{
    out[0] = pattern[index % (sizeof(pattern) - 1)];
    if (out[0] == 'f' && index > 400)
        out[0] = 'D';
    out[1] = '\0';
}

static void run_child(const char *path, const struct setting *setting, uint64_t seed, int pipe_end)
{
    const strata_open_options options = child_options(setting);
    struct world world;
    char letter[2];
    world_init(&world, path, &options, seed);
    world_open(&world);
    for (unsigned i = 0; i < STEPS_MAX && !world.stopped; i++) {
        letter_at(i, letter);
        world_run(&world, letter);
        if (!world.stopped && write(pipe_end, &world.returned, sizeof(world.returned)) < 0)
            break;
    }
    if (world.stopped)
        fprintf(stderr, "child: %s\n", world.why);
    _exit(world.stopped ? 1 : 0);
}

static void wait_us(uint64_t us)
{
    const struct timespec time = {(time_t)(us / 1000000), (long)(us % 1000000) * 1000};
    nanosleep(&time, NULL);
}

/* Returns the last version that the child told, and how many steps it told. */
static uint64_t kill_child(const char *path, const struct setting *setting, uint64_t seed,
                           uint64_t delay_us, unsigned *steps_out)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(ends[0]);
        run_child(path, setting, seed, ends[1]);
    }
    close(ends[1]);
    wait_us(delay_us);
    kill(child, SIGKILL);
    uint64_t told = 0, version = 0;
    *steps_out = 0;
    while (read(ends[0], &version, sizeof(version)) == (ssize_t)sizeof(version)) {
        told = version;
        ++*steps_out;
    }
    close(ends[0]);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status))
        assert_int_equal(WEXITSTATUS(status), 0);
    return told;
}

/* The model of a child that got through `steps` steps and perhaps one more. */
static void replay(struct world *world, struct simdisk *disk, uint64_t seed, unsigned steps)
{
    strata_open_options options = child_options(&settings[0]);
    options.backend = simdisk_backend(disk);
    world_init(world, "db", &options, seed);
    assert_true(world_open(world));
    char letter[2];
    for (unsigned i = 0; i < steps + 1; i++) {
        letter_at(i, letter);
        if (!world_run(world, letter))
            fail_msg("replay: %s", world->why);
    }
}

static void check_survivor(const char *path, const struct setting *setting,
                           const struct world *world, uint64_t told)
{
    strata_open_options options = child_options(setting);
    options.clock = &world->clock;
    strata *db = NULL;
    char why[CHECK_WHY_SIZE] = "";
    const strata_status status = strata_open(path, &options, &db);
    if (status != STRATA_OK)
        fail_msg("open: %s: %s", strata_status_name(status), strata_error_message());
    if (!model_check_report(db, told, model_version(world->model), why))
        fail_msg("%s", why);
    struct model_check check = {.model = world->model,
                                .db = db,
                                .now_us = world->wall_us,
                                .full = told < 60,
                                .seed = told,
                                .why = why};
    strata_watermarks(db, &check.cut, NULL);
    if (!model_check(&check))
        fail_msg("%s", why);
    assert_int_equal(strata_close(db), STRATA_OK);
}

static void a_killed_process_loses_nothing_that_was_acknowledged(void **state)
{
    (void)state;
    uint64_t random = 99;
    uint64_t versions = 0;
    for (unsigned round = 0; round < KILLS; round++) {
        const struct setting *setting = &settings[round % SETTINGS];
        const uint64_t seed = sim_random(&random);
        const uint64_t delay_us = 2000 + sim_below(&random, 60000);
        char folder[TEMP_FOLDER_SIZE], path[TEMP_FOLDER_SIZE + 8];
        unsigned steps = 0;
        temp_folder_create(folder);
        snprintf(path, sizeof(path), "%s/db", folder);
        const uint64_t told = kill_child(path, setting, seed, delay_us, &steps);
        struct simdisk *disk = simdisk_create();
        struct world world;
        replay(&world, disk, seed, steps);
        check_survivor(path, setting, &world, told);
        world_release(&world);
        simdisk_destroy(disk);
        temp_folder_remove(folder);
        versions += told;
    }
    print_message("%d kills, %llu acknowledged commits\n", KILLS, (unsigned long long)versions);
    assert_true(versions > 0);
}

/* ---- as fast as it goes ---- */

enum { FAST_KILLS = 25, FAST_VALUE = 700, FAST_KEYS = 2000 };

/* Each commit puts its number under one of a few keys; nothing is asked to be durable. */
static void run_fast_child(const char *path, int pipe_end)
{
    const strata_open_options options = {
        .size = sizeof(options), .background_threads = 1, .memory_budget_bytes = 32 << 20};
    static uint64_t value[FAST_VALUE / sizeof(uint64_t)];
    strata *db = NULL;
    strata_txn *txn = NULL;
    if (strata_open(path, &options, &db) != STRATA_OK || strata_txn_auto(db, "main", &txn) != 0)
        _exit(1);
    for (uint64_t i = 0;; i++) {
        const uint64_t key = i % FAST_KEYS;
        value[0] = i;
        if (strata_kv_put(txn, NULL, strata_view(&key, sizeof(key)),
                          strata_view(value, sizeof(value))) != STRATA_OK)
            _exit(1);
        if (write(pipe_end, &i, sizeof(i)) < 0)
            _exit(1);
    }
}

/* Kills the child after a while; returns the number of the last commit that it told. */
static uint64_t kill_fast_child(const char *path, uint64_t delay_us)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(ends[0]);
        run_fast_child(path, ends[1]);
    }
    close(ends[1]);
    uint64_t told = 0, number = 0;
    struct timespec start, now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    do { /* The pipe must not fill up. */
        if (read(ends[0], &number, sizeof(number)) == (ssize_t)sizeof(number))
            told = number;
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((uint64_t)(now.tv_sec - start.tv_sec) * 1000000 + (uint64_t)(now.tv_nsec / 1000) -
                 (uint64_t)(start.tv_nsec / 1000) <
             delay_us);
    kill(child, SIGKILL);
    while (read(ends[0], &number, sizeof(number)) == (ssize_t)sizeof(number))
        told = number;
    close(ends[0]);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    return told;
}

static void check_fast_survivor(const char *path, uint64_t told)
{
    const strata_open_options options = {.size = sizeof(options),
                                         .background_threads = STRATA_NONE,
                                         .memory_budget_bytes = 32 << 20};
    strata *db = NULL;
    strata_txn *txn = NULL;
    assert_int_equal(strata_open(path, &options, &db), STRATA_OK);
    assert_int_equal(strata_txn_auto(db, "main", &txn), STRATA_OK);
    for (uint64_t i = told < FAST_KEYS ? 0 : told - FAST_KEYS + 1; i <= told; i++) {
        const uint64_t key = i % FAST_KEYS;
        uint64_t number = 0;
        strata_value value = {0};
        assert_int_equal(strata_kv_get(txn, NULL, strata_view(&key, sizeof(key)), &value),
                         STRATA_OK);
        assert_int_equal(value.size, FAST_VALUE / sizeof(uint64_t) * sizeof(uint64_t));
        memcpy(&number, value.data, sizeof(number));
        assert_true(number == i || number == told + 1);
        strata_value_release(&value);
    }
    strata_txn_close(txn);
    assert_int_equal(strata_close(db), STRATA_OK);
}

static void a_kill_in_the_midst_of_many_commits_loses_none(void **state)
{
    (void)state;
    uint64_t random = 7;
    uint64_t commits = 0;
    for (unsigned round = 0; round < FAST_KILLS; round++) {
        char folder[TEMP_FOLDER_SIZE], path[TEMP_FOLDER_SIZE + 8];
        temp_folder_create(folder);
        snprintf(path, sizeof(path), "%s/db", folder);
        const uint64_t told = kill_fast_child(path, 20000 + sim_below(&random, 100000));
        check_fast_survivor(path, told);
        temp_folder_remove(folder);
        commits += told;
    }
    print_message("%d kills, %llu commits\n", FAST_KILLS, (unsigned long long)commits);
    assert_true(commits > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_killed_process_loses_nothing_that_was_acknowledged),
        cmocka_unit_test(a_kill_in_the_midst_of_many_commits_loses_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
