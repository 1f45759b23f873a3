/* Threads that sync the log at once: who syncs, what a sync covers, and who is woken. */
#include "durability/log_fixture.h"

#include <pthread.h>

enum { FOLLOWERS = 12 };

static int setup(void **state)
{
    struct log *log = calloc(1, sizeof(*log));
    log_init(log);
    *state = log;
    return 0;
}

static int teardown(void **state)
{
    log_release(*state);
    free(*state);
    return 0;
}

struct follower {
    pthread_t thread;
    struct wal *wal;
    uint64_t version;
    strata_status status;
    bool early; /* It came back before its version was durable. */
};

static void *follower_main(void *context)
{
    struct follower *follower = context;
    follower->status = wal_sync(follower->wal, follower->version);
    follower->early = follower->status == STRATA_OK &&
                      atomic_load(&follower->wal->durable_version) < follower->version;
    return NULL;
}

/* What happens in the midst of the first sync. */
struct meanwhile {
    struct log *log;
    struct follower followers[FOLLOWERS];
    bool covered; /* They wait for versions that the running sync covers. */
    bool begun;
};

/* How many wait for a sync to end, its leader among them. */
static uint32_t waiting_now(struct wal *wal)
{
    mutex_lock(&wal->sync_lock);
    const struct wal_turns *turns = &wal->turns;
    const uint32_t count = turns->followers[0] + turns->followers[1] + (turns->led ? 1 : 0);
    mutex_unlock(&wal->sync_lock);
    return count;
}

static void append_and_follow(void *context)
{
    struct meanwhile *meanwhile = context;
    struct log *log = meanwhile->log;
    if (meanwhile->begun)
        return;
    meanwhile->begun = true;
    for (uint32_t i = 0; i < FOLLOWERS; i++) {
        struct follower *follower = &meanwhile->followers[i];
        if (!meanwhile->covered)
            assert_int_equal(log_append(log), STRATA_OK);
        follower->wal = &log->wal;
        follower->version = log->appended;
        assert_int_equal(pthread_create(&follower->thread, NULL, follower_main, follower), 0);
    }
    while (waiting_now(&log->wal) < FOLLOWERS)
        thread_yield();
}

static void join_followers(struct meanwhile *meanwhile, strata_status status)
{
    for (uint32_t i = 0; i < FOLLOWERS; i++) {
        assert_int_equal(pthread_join(meanwhile->followers[i].thread, NULL), 0);
        assert_int_equal(meanwhile->followers[i].status, status);
        assert_false(meanwhile->followers[i].early);
    }
}

static void begin(struct log *log, struct meanwhile *meanwhile)
{
    assert_int_equal(log_open(log), STRATA_OK);
    log_append_all(log, 3);
    meanwhile->log = log;
    log->disk.in_sync = append_and_follow;
    log->disk.in_sync_context = meanwhile;
}

static void what_is_appended_while_a_sync_runs_is_for_the_next(void **state)
{
    struct log *log = *state;
    struct meanwhile meanwhile = {.covered = false};
    begin(log, &meanwhile);
    const uint64_t syncs = log->disk.syncs;
    assert_int_equal(wal_sync(&log->wal, 3), STRATA_OK);
    join_followers(&meanwhile, STRATA_OK);
    assert_int_equal(log->disk.syncs, syncs + 2); /* One for all who came meanwhile. */
    log_close(log);
    disk_cut_power(&log->disk);
    log->disk.in_sync = NULL;
    assert_int_equal(log_read(log), STRATA_OK);
    assert_int_equal(log->tail.last_version, 3 + FOLLOWERS);
    assert_int_equal(log->tail.lost_end, 0);
}

static void who_comes_for_what_the_running_sync_covers_waits_for_that_one(void **state)
{
    struct log *log = *state;
    struct meanwhile meanwhile = {.covered = true};
    begin(log, &meanwhile);
    const uint64_t syncs = log->disk.syncs;
    assert_int_equal(wal_sync(&log->wal, 3), STRATA_OK);
    join_followers(&meanwhile, STRATA_OK);
    assert_int_equal(log->disk.syncs, syncs + 1);
    log_close(log);
}

static void a_sync_that_fails_wakes_and_refuses_all(void **state)
{
    struct log *log = *state;
    for (int covered = 0; covered < 2; covered++) {
        struct meanwhile meanwhile = {.covered = covered == 1};
        begin(log, &meanwhile);
        disk_fail(&log->disk, 1, DISK_SYNC, 5);
        assert_int_equal(wal_sync(&log->wal, log->appended), STRATA_HALTED);
        join_followers(&meanwhile, STRATA_HALTED);
        log_close(log);
        disk_heal(&log->disk);
        log->disk.in_sync = NULL;
        log_release(log);
        log_init(log);
    }
}

/* Two who were served together: the first to come back gives the other a moment. */
struct pair {
    struct wal_turns turns;
    struct mutex lock;
    _Atomic uint64_t appended;
    uint64_t target;
    bool led;
    bool followed;
};

static void *pair_lead(void *context)
{
    struct pair *pair = context;
    pair->led = wal_turns_take(&pair->turns, &pair->lock, 1, &pair->appended, &pair->target);
    wal_turns_end(&pair->turns, &pair->lock);
    return NULL;
}

static void *pair_follow(void *context)
{
    struct pair *pair = context;
    uint64_t target;
    atomic_store(&pair->appended, 2);
    pair->followed = !wal_turns_take(&pair->turns, &pair->lock, 2, &pair->appended, &target);
    return NULL;
}

static bool pair_gathers(struct pair *pair)
{
    mutex_lock(&pair->lock);
    const bool gathers = pair->turns.expected == 2;
    mutex_unlock(&pair->lock);
    return gathers;
}

static void pair_init(struct pair *pair)
{
    *pair = (struct pair){.appended = 1};
    mutex_init(&pair->lock);
    wal_turns_init(&pair->turns);
    pair->turns.served = 2;
}

static void pair_release(struct pair *pair)
{
    wal_turns_destroy(&pair->turns);
    mutex_destroy(&pair->lock);
}

static void a_leader_waits_for_those_whom_the_last_sync_served(void **state)
{
    (void)state;
    struct pair pair;
    pthread_t leader, follower;
    pair_init(&pair);
    pair.turns.window_us = STRATA_FOREVER;
    assert_int_equal(pthread_create(&leader, NULL, pair_lead, &pair), 0);
    while (!pair_gathers(&pair))
        thread_yield();
    assert_int_equal(pthread_create(&follower, NULL, pair_follow, &pair), 0);
    assert_int_equal(pthread_join(leader, NULL), 0);
    assert_int_equal(pthread_join(follower, NULL), 0);
    assert_true(pair.led && pair.followed);
    assert_int_equal(pair.target, 2);
    assert_int_equal(pair.turns.pause, 0);
    pair_release(&pair);
}

static void a_leader_waits_ever_more_seldom_for_those_who_stay_away(void **state)
{
    (void)state;
    struct pair pair;
    uint32_t waits = 0;
    pair_init(&pair);
    pair.turns.window_us = 1;
    for (uint32_t i = 0; i < 1000; i++) {
        const uint32_t left = pair.turns.pause_left;
        (void)pair_lead(&pair);
        assert_true(pair.led);
        waits += left == 0;
        assert_int_equal(pair.turns.served, 1);
        pair.turns.served = 2;
    }
    assert_in_range(waits, 6, 30);
    pair_release(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_appended_while_a_sync_runs_is_for_the_next, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            who_comes_for_what_the_running_sync_covers_waits_for_that_one, setup, teardown),
        cmocka_unit_test_setup_teardown(a_sync_that_fails_wakes_and_refuses_all, setup, teardown),
        cmocka_unit_test(a_leader_waits_for_those_whom_the_last_sync_served),
        cmocka_unit_test(a_leader_waits_ever_more_seldom_for_those_who_stay_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
