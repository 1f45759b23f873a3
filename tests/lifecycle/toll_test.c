/* Merges that reads pay for: a store stepped by hand, on which reads are only counted. */
#include "lifecycle/lab.h"

#include "core/random.h"

#include <stdio.h>

enum { SCAN_ROWS = 50, PATIENCE = 1000000, RUNS_MOST = 5 };

static const struct tableset *present(struct lab *lab)
{
    return atomic_load(&lab->store->tables.current);
}

static void flush_rows(struct lab *lab, uint64_t first, uint64_t count)
{
    for (uint64_t i = first; i < first + count; i++)
        lab_put_numbered(lab, BRANCH_MAIN, i, 100);
    lab_flush(lab);
    lab_settle(lab);
}

/* A store of `budget` bytes with a base of 2,000 rows under `above` runs of 50. */
static void open_runs(struct lab *lab, uint64_t budget, unsigned above)
{
    lab_create(lab);
    lab->options.memory_budget = budget;
    lab_open(lab);
    flush_rows(lab, 0, 2000);
    lab_compact(lab);
    for (unsigned i = 0; i < above; i++)
        flush_rows(lab, 300 * i, 50);
    assert_int_equal(lab_live_runs(lab), above + 1);
}

static void count_scans(struct lab *lab, uint32_t scans, uint64_t cap)
{
    epoch_enter(&lab->store->epochs, lab->slot);
    for (uint32_t i = 0; i < scans; i++)
        store_count_scan(lab->store, lab->slot, 1, SCAN_ROWS, cap);
    epoch_leave(lab->slot);
}

static void count_gets(struct lab *lab, uint32_t gets, uint64_t cap, uint64_t found)
{
    epoch_enter(&lab->store->epochs, lab->slot);
    for (uint32_t i = 0; i < gets; i++)
        store_count_gets(lab->store, lab->slot, 1, cap, found);
    epoch_leave(lab->slot);
}

static uint64_t toll_of(struct lab *lab, uint32_t run)
{
    assert_true(run < lab_live_runs(lab));
    return atomic_load(&present(lab)->live[run]->toll_ns);
}

static uint64_t tolls(struct lab *lab)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < lab_live_runs(lab); i++)
        sum += toll_of(lab, i);
    return sum;
}

/* What merging the newest `count` runs costs. */
static uint64_t price_of(struct lab *lab, uint32_t count)
{
    uint64_t price = 0;
    for (uint32_t i = 0; i < count; i++)
        price += toll_price(present(lab)->live[i]);
    return price;
}

/* Of each number of the newest runs, less one. */
static void prices_of(struct lab *lab, uint64_t prices[RUNS_MOST])
{
    assert_true(lab_live_runs(lab) <= RUNS_MOST);
    for (uint32_t i = 0; i < lab_live_runs(lab); i++)
        prices[i] = price_of(lab, i + 1);
}

static uint64_t merges(const struct lab *lab)
{
    return atomic_load(&lab->store->counters.merges);
}

static void what_nobody_reads_is_not_merged(void **state)
{
    (void)state;
    struct lab lab;
    strata_work work;
    open_runs(&lab, 4 << 20, 3);
    const uint64_t before = merges(&lab);
    for (unsigned i = 0; i < 100; i++) {
        lab.monotonic_us += 3600000000;
        lab_settle(&lab);
    }
    assert_int_equal(store_maintain(lab.store, INT32_MAX, &work), STRATA_DONE);
    assert_true(work.idle_us == STRATA_FOREVER);
    assert_int_equal(merges(&lab), before);
    assert_int_equal(tolls(&lab), 0);
    lab_destroy(&lab);
}

/* Reads until merges that they paid for leave `runs`, and adds up; nothing may be merged before it is
 * paid for. */
static void scan_until(struct lab *lab, uint32_t runs, uint64_t *paid, uint64_t *spent)
{
    for (unsigned i = 0; lab_live_runs(lab) > runs; i++) {
        const uint32_t count = lab_live_runs(lab);
        const uint64_t before = tolls(lab);
        assert_true(i < PATIENCE);
        count_scans(lab, 1, UINT64_MAX);
        *paid += tolls(lab) - before;
        uint64_t prices[RUNS_MOST];
        prices_of(lab, prices);
        lab_settle(lab);
        const uint32_t left = lab_live_runs(lab);
        if (left < count)
            *spent += prices[count - left];
        assert_true(*spent <= *paid);
    }
}

static void scans_over_several_runs_pay_for_their_merge(void **state)
{
    (void)state;
    static const uint64_t budgets[] = {1 << 20, 4 << 20, 16 << 20};
    for (unsigned i = 0; i < sizeof(budgets) / sizeof(budgets[0]); i++) {
        struct lab lab;
        uint64_t paid = 0;
        uint64_t spent = 0;
        open_runs(&lab, budgets[i], 3);
        const uint64_t all = price_of(&lab, 4);
        const uint64_t base = present(&lab)->live[3]->id;
        scan_until(&lab, 2, &paid, &spent);
        assert_true(spent < all / 2); /* The small ones first, and not the base. */
        assert_int_equal(present(&lab)->live[1]->id, base);
        assert_true(paid < all);
        scan_until(&lab, 1, &paid, &spent);
        /* Neither may go far beyond the other. */
        assert_true(paid < 2 * spent);
        assert_true(spent < 2 * all);
        const uint64_t before = merges(&lab);
        count_scans(&lab, 10000, UINT64_MAX);
        lab_settle(&lab);
        assert_int_equal(tolls(&lab), 0); /* One run costs nothing. */
        assert_int_equal(merges(&lab), before);
        lab_destroy(&lab);
    }
}

static void gets_pay_for_the_runs_above_the_one_that_has_the_row(void **state)
{
    (void)state;
    struct lab lab;
    open_runs(&lab, 16 << 20, 3);
    const uint64_t newest = present(&lab)->live[0]->max_version;
    count_gets(&lab, TOLL_GETS - 1, UINT64_MAX, 1);
    assert_int_equal(tolls(&lab), 0);
    count_gets(&lab, 1, UINT64_MAX, newest);
    assert_int_equal(tolls(&lab), 0);
    count_gets(&lab, TOLL_GETS, UINT64_MAX, present(&lab)->live[1]->max_version);
    const uint64_t once = toll_of(&lab, 0);
    assert_true(once > 0);
    assert_int_equal(tolls(&lab), once);
    count_gets(&lab, TOLL_GETS, UINT64_MAX, 1); /* In the base, */
    count_gets(&lab, TOLL_GETS, UINT64_MAX, 0); /* or nowhere. */
    assert_int_equal(toll_of(&lab, 0), 3 * once);
    assert_int_equal(toll_of(&lab, 1), 2 * once);
    assert_int_equal(toll_of(&lab, 2), 2 * once);
    assert_int_equal(toll_of(&lab, 3), 0);
    count_gets(&lab, TOLL_GETS, newest + 1, newest + 1); /* In a memtable. */
    assert_int_equal(tolls(&lab), 7 * once);
    lab_destroy(&lab);
}

static void reads_of_the_past_do_not_pay_for_what_is_newer(void **state)
{
    (void)state;
    struct lab lab;
    open_runs(&lab, 16 << 20, 3);
    const uint64_t past = present(&lab)->live[2]->max_version;
    count_gets(&lab, TOLL_GETS, past, 0);
    count_scans(&lab, TOLL_SEEKS, past);
    assert_int_equal(toll_of(&lab, 0), 0);
    assert_int_equal(toll_of(&lab, 1), 0);
    assert_true(toll_of(&lab, 2) > 0);
    lab_destroy(&lab);
}

static void a_run_without_buckets_or_room_in_the_cache_costs_a_get_more(void **state)
{
    (void)state;
    uint64_t tolls_of[2];
    static const uint64_t budgets[] = {1 << 20, 64 << 20};
    for (unsigned i = 0; i < 2; i++) {
        struct lab lab;
        open_runs(&lab, budgets[i], 2);
        count_gets(&lab, TOLL_GETS, UINT64_MAX, 0);
        tolls_of[i] = toll_of(&lab, 0);
        lab_destroy(&lab);
    }
    assert_true(tolls_of[0] > 10 * tolls_of[1]);
}

/* A merge that makes room for writes leaves the toll of the oldest run, and only that, for later. */
static void merges_spend_the_tolls_of_what_they_do_away_with(void **state)
{
    (void)state;
    struct lab lab;
    open_runs(&lab, 4 << 20, 4);
    count_scans(&lab, TOLL_SEEKS, UINT64_MAX);
    const uint64_t kept = toll_of(&lab, 3);
    const uint64_t before = merges(&lab);
    assert_true(kept > 0);
    flush_rows(&lab, 10, 50);
    assert_int_equal(lab_live_runs(&lab), 2);
    assert_int_equal(merges(&lab), before + 1);
    assert_int_equal(toll_of(&lab, 0), kept);
    lab_destroy(&lab);
}

/* Whatever is read and written in between: what reads bought never comes to more than they paid, and
 * what they paid since to no more than the price of all. */
static void reads_buy_no_more_than_they_paid_for(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct lab lab;
        struct random random = {.state = seed};
        uint64_t paid = 0;
        uint64_t spent = 0;
        open_runs(&lab, 4 << 20, 0);
        for (unsigned i = 0; i < 300; i++) {
            const uint64_t tolls_before = tolls(&lab);
            const uint32_t due = random_next(&random) % 8;
            if (due == 0)
                flush_rows(&lab, random_next(&random) % 1900, 1 + random_next(&random) % 100);
            if (due == 0)
                continue; /* What writes merge is theirs. */
            count_scans(&lab, (uint32_t)(random_next(&random) % 100), UINT64_MAX);
            paid += tolls(&lab) - tolls_before;
            const uint32_t count = lab_live_runs(&lab);
            uint64_t prices[RUNS_MOST];
            prices_of(&lab, prices);
            lab_settle(&lab);
            const uint32_t left = lab_live_runs(&lab);
            if (left < count)
                spent += prices[count - left];
            assert_true(spent <= paid);
            assert_true(tolls(&lab) <= price_of(&lab, left) + toll_of(&lab, left - 1));
        }
        assert_true(spent > 0);
        lab_destroy(&lab);
    }
}

/* Readers that come and go go on counting where others stopped. */
static void handles_that_are_used_once_count_too(void **state)
{
    (void)state;
    struct lab lab;
    open_runs(&lab, 16 << 20, 2);
    for (unsigned i = 0; i < TOLL_GETS; i++) {
        struct store_reader reader;
        assert_int_equal(store_reader_open(lab.store, NULL, &reader), STRATA_OK);
        epoch_enter(&lab.store->epochs, reader.slot);
        store_count_gets(lab.store, reader.slot, 1, UINT64_MAX, 0);
        epoch_leave(reader.slot);
        store_reader_close(&reader);
    }
    assert_true(toll_of(&lab, 0) > 0);
    lab_destroy(&lab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_nobody_reads_is_not_merged),
        cmocka_unit_test(scans_over_several_runs_pay_for_their_merge),
        cmocka_unit_test(gets_pay_for_the_runs_above_the_one_that_has_the_row),
        cmocka_unit_test(reads_of_the_past_do_not_pay_for_what_is_newer),
        cmocka_unit_test(a_run_without_buckets_or_room_in_the_cache_costs_a_get_more),
        cmocka_unit_test(merges_spend_the_tolls_of_what_they_do_away_with),
        cmocka_unit_test(reads_buy_no_more_than_they_paid_for),
        cmocka_unit_test(handles_that_are_used_once_count_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
