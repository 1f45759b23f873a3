/* How writers are slowed down: a clock that goes on only when it is looked at or waited for. */
#include "lifecycle/lab.h"

#include <stdio.h>

enum { ROW_SIZE = 1000, ROWS_A_CHUNK = 12, CHUNKS_MAX = 9 };

/* A store of 1 MiB for which background threads should work, though there are none. */
static void pace_open(struct lab *lab)
{
    lab_create(lab);
    lab_open(lab);
    lab->store->options.background_threads = 1;
    lab->tick_us = 100;
}

static uint64_t paused_us(const struct lab *lab)
{
    return atomic_load(&lab->store->counters.stall_us);
}

/* Returns for how long the writer of these rows paused. */
static uint64_t write_chunk(struct lab *lab, unsigned chunk)
{
    const uint64_t before = paused_us(lab);
    for (unsigned i = 0; i < ROWS_A_CHUNK; i++) {
        char key[32];
        snprintf(key, sizeof(key), "key-%u-%u", chunk, i);
        lab_put_filled(lab, BRANCH_MAIN, key, ROW_SIZE, 'a');
    }
    return paused_us(lab) - before;
}

static void nobody_pauses_where_work_keeps_up(void **state)
{
    (void)state;
    struct lab lab;
    pace_open(&lab);
    for (unsigned chunk = 0; chunk < 40; chunk++) {
        write_chunk(&lab, chunk);
        lab_settle(&lab);
        assert_int_equal(store_pressure(lab.store, lab.slot), 0);
    }
    assert_int_equal(paused_us(&lab), 0);
    lab_destroy(&lab);
}

static void pauses_get_longer_as_room_gets_less(void **state)
{
    (void)state;
    struct lab lab;
    uint64_t pressure = 0;
    uint64_t early = 0;
    uint64_t late = 0;
    pace_open(&lab);
    for (unsigned chunk = 0; lab_memtables(&lab) == 1; chunk++)
        assert_int_equal(write_chunk(&lab, chunk), 0);
    for (unsigned chunk = 0; chunk < CHUNKS_MAX && pressure < 700; chunk++) {
        const uint64_t paused = write_chunk(&lab, 100 + chunk);
        const uint64_t now = store_pressure(lab.store, lab.slot);
        assert_int_equal(lab_memtables(&lab), 2);
        assert_true(now > pressure);
        assert_true(now < 1000);
        pressure = now;
        early = pressure < 100 ? paused : early;
        late = paused;
    }
    assert_true(pressure >= 400);
    assert_true(late > 0);
    assert_true(late > 2 * early);
    lab_settle(&lab);
    assert_int_equal(store_pressure(lab.store, lab.slot), 0);
    assert_false(atomic_load(&lab.store->pressed));
    assert_int_equal(write_chunk(&lab, 200), 0);
    lab_destroy(&lab);
}

static void many_runs_slow_writers_down_too(void **state)
{
    (void)state;
    struct lab lab;
    uint64_t pressure = 0;
    pace_open(&lab);
    while (lab_live_runs(&lab) < ROOM_RUNS_MAX) {
        lab_put(&lab, BRANCH_MAIN, "key", "value");
        lab_flush(&lab);
        const uint64_t now = store_pressure(lab.store, lab.slot);
        assert_int_equal(now > 0, lab_live_runs(&lab) > PACE_RUNS_FREE);
        assert_true(now >= pressure);
        pressure = now;
    }
    assert_true(pressure > 900);
    assert_true(pressure < 1000);
    lab_settle(&lab);
    assert_int_equal(store_pressure(lab.store, lab.slot), 0);
    lab_destroy(&lab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_pauses_where_work_keeps_up),
        cmocka_unit_test(pauses_get_longer_as_room_gets_less),
        cmocka_unit_test(many_runs_slow_writers_down_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
