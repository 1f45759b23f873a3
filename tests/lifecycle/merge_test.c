/* What merging by sizes costs: an exact simulation, with the sizes of real memtables and rows. */
#include "core/random.h"
#include "lifecycle/lab.h"

#include <stdio.h>
#include <string.h>

enum {
    SIM_KEYS = 1 << 16,
    SIM_WORDS = SIM_KEYS / 64,
    SIM_RUNS = 64,
    LIVE_MOST = 5,
    SIM_STEPS = 64
};

/* Which keys a run has. */
struct sim_run {
    uint64_t has[SIM_WORDS];
    uint64_t rows;
    double toll_ns;
};

struct sim {
    struct sim_run *runs[SIM_RUNS]; /* Newest first. */
    uint32_t count;
    uint32_t most;    /* Runs there ever were between two flushes. */
    uint64_t run_sum; /* Of the counts after each flush, */
    uint64_t flushes; /* of which there were so many. */
    uint64_t rows_written;
    uint64_t rows_displaced;
    uint64_t row_bytes;
    double scans; /* For each update. */
    double paid_ns, spent_ns;
};

static void sim_push(struct sim *sim, struct sim_run *run)
{
    assert_true(sim->count < SIM_RUNS);
    memmove(sim->runs + 1, sim->runs, sim->count * sizeof(sim->runs[0]));
    sim->runs[0] = run;
    sim->count++;
    sim->rows_written += run->rows;
}

static struct sim_run *sim_new(void)
{
    struct sim_run *run = calloc(1, sizeof(*run));
    assert_non_null(run);
    return run;
}

static void sim_merge(struct sim *sim, uint32_t count)
{
    struct sim_run *merged = sim_new();
    uint64_t input = 0;
    merged->toll_ns = sim->runs[count - 1]->toll_ns;
    for (uint32_t i = 0; i < count; i++) {
        for (unsigned word = 0; word < SIM_WORDS; word++)
            merged->has[word] |= sim->runs[i]->has[word];
        input += sim->runs[i]->rows;
        free(sim->runs[i]);
    }
    for (unsigned word = 0; word < SIM_WORDS; word++) {
        for (uint64_t left = merged->has[word]; left != 0; left &= left - 1)
            merged->rows++;
    }
    sim->rows_displaced += input - merged->rows;
    memmove(sim->runs, sim->runs + count, (sim->count - count) * sizeof(sim->runs[0]));
    sim->count -= count;
    sim_push(sim, merged);
}

/* Scans of 50 rows, and the merges that these pay for. */
static void sim_scan(struct sim *sim, double scans)
{
    enum { SEEK_NS = 350, ROWS = 50 };
    struct run runs[SIM_RUNS] = {{0}};
    struct run *live[SIM_RUNS];
    const struct tableset set = {.live = live, .live_count = sim->count};
    uint64_t rows = 0;
    double price = 0;
    for (uint32_t i = 0; i < sim->count; i++)
        rows += sim->runs[i]->rows;
    for (uint32_t i = 0; i < sim->count; i++) {
        struct sim_run *run = sim->runs[i];
        runs[i].rows = run->rows;
        runs[i].bytes = run->rows * sim->row_bytes;
        live[i] = &runs[i];
        if (i + 1 < sim->count) {
            const double toll = scans * (SEEK_NS + (double)toll_of_rows(&runs[i], rows, ROWS));
            run->toll_ns += toll;
            sim->paid_ns += toll;
        }
        runs[i].toll_ns = (uint64_t)run->toll_ns;
    }
    const uint32_t chosen = toll_paid(&set, SIM_RUNS);
    for (uint32_t i = 0; i < chosen; i++)
        price += (double)toll_price(&runs[i]);
    sim->spent_ns += price;
    assert_true(sim->spent_ns <= sim->paid_ns);
    if (chosen > 0)
        sim_merge(sim, chosen);
}

static void sim_flush(struct sim *sim, uint64_t updates, struct random *random)
{
    struct sim_run *run = sim_new();
    for (uint64_t i = 0; i < updates; i++) {
        const uint64_t key = random_next(random) % SIM_KEYS;
        const uint64_t bit = (uint64_t)1 << (key % 64);
        run->rows += (run->has[key / 64] & bit) == 0;
        run->has[key / 64] |= bit;
    }
    sim_push(sim, run);
    uint64_t bytes[SIM_RUNS];
    for (uint32_t chosen = 1; chosen > 0;) {
        for (uint32_t i = 0; i < sim->count; i++)
            bytes[i] = sim->runs[i]->rows;
        chosen = merge_newest(bytes, sim->count, LIVE_MOST);
        if (chosen > 0)
            sim_merge(sim, chosen);
    }
    sim->flushes++;
    sim->most = sim->count > sim->most ? sim->count : sim->most;
    for (unsigned i = 0; i < SIM_STEPS; i++) {
        sim->run_sum += sim->count;
        if (sim->scans > 0)
            sim_scan(sim, sim->scans * (double)updates / SIM_STEPS);
    }
}

/* Uniform updates of data of `budgets` times the memory budget, for five times the data. Returns bytes
 * of live runs written for each byte of keys and values, flush included. */
static double sim_amplification(uint64_t value_size, uint64_t budgets, double scans,
                                struct sim *sim)
{
    struct random random = {.state = 3};
    const uint64_t key_size = 24, fields_size = value_size < 200 ? 30 : 50;
    const uint64_t data = SIM_KEYS * (key_size + value_size);
    /* A memtable takes an eighth of the budget, in charges of a row and of its commit. */
    const uint64_t updates = data / budgets / 8 / (12 + key_size + value_size + 64 + 64);
    memset(sim, 0, sizeof(*sim));
    sim->row_bytes = key_size + value_size + fields_size;
    sim->scans = scans;
    struct sim_run *base = sim_new();
    memset(base->has, 0xff, sizeof(base->has));
    base->rows = SIM_KEYS;
    sim_push(sim, base);
    sim->rows_written = 0;
    while (sim->flushes * updates < 5 * SIM_KEYS)
        sim_flush(sim, updates, &random);
    for (uint32_t i = 0; i < sim->count; i++)
        free(sim->runs[i]);
    return (double)(sim->rows_written * (key_size + value_size + fields_size)) /
           (double)(sim->flushes * updates * (key_size + value_size));
}

static void updates_are_rewritten_seldom_and_runs_stay_few(void **state)
{
    (void)state;
    static const struct {
        uint64_t value_size, budgets;
        double most;
    } cases[] = {{100, 1, 4.5},  {100, 10, 8},  {100, 40, 12},
                 {1024, 1, 3.5}, {1024, 10, 6}, {1024, 40, 8}};
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sim sim;
        const double written = sim_amplification(cases[i].value_size, cases[i].budgets, 0, &sim);
        print_message(
            "%4u B, %2u x the budget: %.2f bytes a byte, %.1f live runs, %.2f of the rows "
            "to history\n",
            (unsigned)cases[i].value_size, (unsigned)cases[i].budgets, written,
            (double)sim.run_sum / (double)sim.flushes / SIM_STEPS,
            (double)sim.rows_displaced / (5.0 * SIM_KEYS));
        assert_true(written <= cases[i].most);
        assert_true(sim.most <= LIVE_MOST);
        assert_true(sim.rows_displaced <= 5 * (uint64_t)SIM_KEYS + sim.flushes);
    }
}

static void reads_have_the_base_rewritten_as_often_as_they_pay_for_it(void **state)
{
    (void)state;
    static const struct {
        uint64_t value_size, budgets;
        double scans, most;
    } cases[] = {{100, 10, 0.1, 7.2},
                 {100, 10, 1, 10},
                 {100, 10, 19, 49},
                 {1024, 10, 1, 5.5},
                 {1024, 10, 19, 19}};
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sim sim;
        const double written =
            sim_amplification(cases[i].value_size, cases[i].budgets, cases[i].scans, &sim);
        print_message(
            "%4u B, %2u x the budget, %5.2f scans an update: %.2f bytes a byte, %.2f live "
            "runs; paid %.0f ns a scan, spent %.0f\n",
            (unsigned)cases[i].value_size, (unsigned)cases[i].budgets, cases[i].scans, written,
            (double)sim.run_sum / (double)sim.flushes / SIM_STEPS,
            sim.paid_ns / cases[i].scans / (5.0 * SIM_KEYS),
            sim.spent_ns / cases[i].scans / (5.0 * SIM_KEYS));
        assert_true(written <= cases[i].most);
    }
}

static void the_newest_runs_are_merged_until_the_next_is_twice_as_large(void **state)
{
    (void)state;
    static const struct {
        uint64_t bytes[8];
        uint32_t count, chosen;
    } cases[] = {
        {{1, 1, 1, 1, 100}, 5, 0},           {{1, 1, 1, 1, 1, 100}, 6, 5},
        {{1, 1, 2, 4, 8, 100}, 6, 5},        {{1, 1, 4, 10, 30, 100}, 6, 2},
        {{1, 1, 3, 10, 30, 100}, 6, 3},      {{9, 1, 1, 1, 1, 10}, 6, 6},
        {{50, 1, 100, 100, 100, 100}, 6, 6}, {{1, 1, 1, 1, 1, 1, 1, 1}, 8, 8},
    };
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(merge_newest(cases[i].bytes, cases[i].count, LIVE_MOST), cases[i].chosen);
}

/* ---- in a store ---- */

static void put_flush(struct lab *lab, unsigned keys, char fill)
{
    for (unsigned i = 0; i < keys; i++) {
        char key[32];
        snprintf(key, sizeof(key), "key-%05u", i);
        lab_put_filled(lab, BRANCH_MAIN, key, 400, fill);
    }
    lab_flush(lab);
}

static const struct tableset *present(struct lab *lab)
{
    return atomic_load(&lab->store->tables.current);
}

static void history_is_written_once_by_live_merges(void **state)
{
    (void)state;
    struct lab lab;
    lab_create(&lab);
    lab.options.memory_budget = 4 << 20;
    lab_open(&lab);
    for (unsigned i = 0; i < 6; i++)
        put_flush(&lab, 100, (char)('a' + i));
    lab_settle(&lab);
    assert_int_equal(present(&lab)->live_count, 1);
    assert_int_equal(present(&lab)->history_count, 1);
    const struct run *displaced = present(&lab)->history[0];
    const uint64_t id = displaced->id;
    assert_true(displaced->rows >= 500);
    for (unsigned i = 0; i < 5; i++)
        put_flush(&lab, 100, (char)('g' + i));
    lab_settle(&lab);
    assert_int_equal(present(&lab)->live_count, 1);
    assert_int_equal(present(&lab)->history_count, 2);
    assert_int_equal(present(&lab)->history[1]->id, id);
    const uint64_t visible = atomic_load(&lab.store->committer.visible);
    assert_int_equal(lab_get(&lab, BRANCH_MAIN, "key-00007", visible)[0], 'k');
    for (uint64_t back = 0; back < 1100; back += 100)
        assert_int_equal(lab_get(&lab, BRANCH_MAIN, "key-00007", visible - back)[0],
                         'k' - (char)(back / 100));
    lab_destroy(&lab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_newest_runs_are_merged_until_the_next_is_twice_as_large),
        cmocka_unit_test(updates_are_rewritten_seldom_and_runs_stay_few),
        cmocka_unit_test(reads_have_the_base_rewritten_as_often_as_they_pay_for_it),
        cmocka_unit_test(history_is_written_once_by_live_merges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
