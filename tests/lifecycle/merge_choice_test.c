/* Which runs a merge takes: first of sets drawn up by hand, then of a store. */
#include "lifecycle/lab.h"

#include "core/random.h"

#include <stdio.h>
#include <string.h>

enum { RUNS_MAX = 200, YOUNG = 0, MIDDLE = 1, BASE = 2, PLENTY = JOB_INPUTS_MAX, SMALL = 12 };

/* ---- sets drawn up by hand ---- */

/* A set of runs without parts: the choice looks at their tiers, versions and bytes alone. */
struct sketch {
    struct run runs[RUNS_MAX];
    struct run *live[RUNS_MAX];
    struct run *history[RUNS_MAX];
    struct tableset set;
    uint32_t run_count;
};

static void sketch_init(struct sketch *sketch)
{
    memset(sketch, 0, sizeof(*sketch));
    sketch->set.live = sketch->live;
    sketch->set.history = sketch->history;
}

/* Puts a run to its place, as publishing one does: by its newest version. */
static void sketch_add(struct sketch *sketch, enum part_role role, struct run run)
{
    struct tableset *set = &sketch->set;
    struct run **runs = role == ROLE_LIVE ? set->live : set->history;
    uint32_t *count = role == ROLE_LIVE ? &set->live_count : &set->history_count;
    assert_true(sketch->run_count < RUNS_MAX);
    struct run *added = &sketch->runs[sketch->run_count++];
    *added = run;
    added->role = (uint8_t)role;
    uint32_t at = (*count)++;
    for (; at > 0 && runs[at - 1]->max_version <= run.max_version; at--)
        runs[at] = runs[at - 1];
    runs[at] = added;
}

/* "0:30-40=9": a run of tier 0, of the versions (30, 40], of 9 bytes. Several, between spaces. */
static void sketch_draw(struct sketch *sketch, enum part_role role, const char *text)
{
    unsigned tier, min, max, bytes;
    int length;
    while (sscanf(text, " %u:%u-%u=%u%n", &tier, &min, &max, &bytes, &length) == 4) {
        sketch_add(
            sketch, role,
            (struct run){
                .tier = (uint8_t)tier, .min_version = min, .max_version = max, .bytes = bytes});
        text += length;
    }
    assert_string_equal(text, "");
}

/* "4+2": four live and two history runs; "h1+8": history alone, from run 1 on; "": nothing. */
static void choice_text(bool any, const struct merge_choice *choice, char out[32])
{
    out[0] = '\0';
    if (any && choice->live_count > 0)
        snprintf(out, 32, "%u+%u", choice->live_count, choice->history_count);
    else if (any)
        snprintf(out, 32, "h%u+%u", choice->history_first, choice->history_count);
    if (any && choice->live_count > 0)
        assert_int_equal(choice->history_first, 0);
}

/* Runs are newest first. */
struct drawn_case {
    const char *what;
    const char *live;
    const char *history;
    const char *chosen;
    uint64_t compact_to;
    uint32_t sources_max; /* 0: plenty. */
};

static void check_cases(const struct drawn_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct sketch sketch;
        struct merge_choice choice;
        char chosen[32];
        sketch_init(&sketch);
        sketch_draw(&sketch, ROLE_LIVE, cases[i].live);
        sketch_draw(&sketch, ROLE_HISTORY, cases[i].history);
        const uint32_t most = cases[i].sources_max == 0 ? PLENTY : cases[i].sources_max;
        const bool any = merge_choose(&sketch.set, cases[i].compact_to, most, &choice);
        choice_text(any, &choice, chosen);
        if (strcmp(chosen, cases[i].chosen) != 0)
            fail_msg("%s: chose \"%s\", not \"%s\"", cases[i].what, chosen, cases[i].chosen);
    }
}

#define YOUNG_THREE "0:40-50=9 0:30-40=9 0:20-30=9"
#define YOUNG_FOUR  "0:130-140=10 0:120-130=10 0:110-120=10 0:100-110=10"

static void young_runs_are_merged_when_there_are_four(void **state)
{
    (void)state;
    static const struct drawn_case cases[] = {
        {"an empty set", "", "", "", 0, 0},
        {"three young", YOUNG_THREE, "0:40-50=1 0:30-40=1 0:20-30=1", "", 0, 0},
        {"three young over anything", YOUNG_THREE " 1:10-20=99 1:5-10=99 1:3-5=99 2:0-3=1", "", "",
         0, 0},
        {"four young", YOUNG_FOUR, "", "4+0", 0, 0},
        {"four young with their history", YOUNG_FOUR " 2:0-100=9999",
         "0:130-140=1 0:110-120=1 0:0-100=9", "4+2", 0, 0},
        {"as many as there are", "0:50-60=1 " YOUNG_THREE " 0:10-20=1 0:5-10=1 2:0-5=9999", "",
         "6+0", 0, 0},
        {"above two middle ones", YOUNG_FOUR " 1:90-100=10 1:80-90=10 2:0-80=9999",
         "0:130-140=1 0:90-100=1 0:0-80=1", "4+1", 0, 0},
    };
    check_cases(cases, sizeof(cases) / sizeof(cases[0]));
}

static void the_base_is_merged_when_much_lies_above_it(void **state)
{
    (void)state;
    static const struct drawn_case cases[] = {
        {"half of it", YOUNG_FOUR " 2:0-100=80", "", "5+0", 0, 0},
        {"less than half of it", YOUNG_FOUR " 2:0-100=82", "", "4+0", 0, 0},
        {"half of it with a middle one", YOUNG_FOUR " 1:90-100=10 2:0-90=100", "", "6+0", 0, 0},
        {"three middle ones", YOUNG_FOUR " 1:90-100=1 1:80-90=1 1:70-80=1 2:0-70=9999", "", "8+0",
         0, 0},
        {"without its history", YOUNG_FOUR " 2:0-100=1",
         "0:130-140=1 0:100-110=1 0:0-100=1 0:0-50=1", "5+2", 0, 0},
        {"none yet: history from the first version on", YOUNG_FOUR " 1:0-100=1",
         "0:130-140=1 0:0-100=1", "5+2", 0, 0},
    };
    check_cases(cases, sizeof(cases) / sizeof(cases[0]));
}

#define SEVEN_BASES "0:0-80=1 0:0-70=1 0:0-60=1 0:0-50=1 0:0-40=1 0:0-30=1 0:0-20=1"

static void eight_neighbours_of_history_are_merged(void **state)
{
    (void)state;
    static const struct drawn_case cases[] = {
        {"seven", "2:0-90=9", SEVEN_BASES, "", 0, 0},
        {"eight", "2:0-90=9", "0:0-90=1 " SEVEN_BASES, "h0+8", 0, 0},
        {"the oldest eight of nine", "2:0-99=9", "0:0-99=1 0:0-90=1 " SEVEN_BASES, "h1+8", 0, 0},
        {"eight above one of the next tier", "2:0-90=9", "0:0-90=1 " SEVEN_BASES " 1:0-10=9",
         "h0+8", 0, 0},
        {"eight with another tier among them", "2:0-99=9", "0:0-99=1 1:0-90=1 " SEVEN_BASES, "", 0,
         0},
        {"after the young ones", YOUNG_FOUR " 2:0-90=9999", "0:0-90=1 " SEVEN_BASES, "4+0", 0, 0},
    };
    check_cases(cases, sizeof(cases) / sizeof(cases[0]));
}

static void a_compaction_takes_all_that_was_there_when_it_began(void **state)
{
    (void)state;
    static const struct drawn_case cases[] = {
        {"nothing", "", "", "", 50, 0},
        {"the base alone", "2:0-50=9", "0:0-50=1", "", 50, 0},
        {"a first flush becomes the base", "0:0-50=9", "", "1+0", 50, 0},
        {"a middle one becomes the base", "1:0-50=9", "0:0-50=9", "1+1", 50, 0},
        {"the history of the base is read again", "0:40-50=1 2:0-40=9", "0:40-50=1 0:0-40=9", "2+2",
         50, 0},
        {"history alone", "2:0-50=9", "0:40-50=1 0:0-40=9", "h0+2", 50, 0},
        {"what came later waits", "0:50-60=1 2:0-50=9", "0:50-60=1 0:0-50=9", "", 50, 0},
        {"and does not keep it from what is due",
         "0:80-90=1 0:70-80=1 0:60-70=1 0:50-60=1 2:0-50=99", "", "4+0", 50, 0},
        {"what came later goes with what has to", "0:50-60=1 0:40-50=1 2:0-40=9",
         "0:50-60=1 0:0-40=9", "3+2", 50, 0},
        {"a run that ends later counts", "0:45-60=1 2:0-45=9", "", "2+0", 50, 0},
    };
    check_cases(cases, sizeof(cases) / sizeof(cases[0]));
}

#define NINE_OLD "0:0-9=1 0:0-8=1 0:0-7=1 0:0-6=1 0:0-5=1 0:0-4=1 0:0-3=1 0:0-2=1 0:0-1=1"

static void a_small_budget_bounds_the_inputs(void **state)
{
    (void)state;
    static const struct drawn_case cases[] = {
        {"as many as may be", YOUNG_FOUR " 2:0-100=1", "0:130-140=1", "5+1", 0, 6},
        {"the oldest live run stays, and its history", YOUNG_FOUR " 2:0-100=1",
         "0:130-140=1 0:100-110=1", "4+2", 0, 6},
        {"two of them stay", YOUNG_FOUR, "0:130-140=1 0:120-130=1 0:110-120=1 0:100-110=1", "3+3",
         0, 6},
        {"history first", "0:20-30=1 0:10-20=1 1:5-10=1 2:0-5=1", NINE_OLD, "3+0", 40, 10},
        {"history first, where it belongs to all", "0:9-10=1 1:0-9=1", "0:9-10=1 " NINE_OLD,
         "h0+10", 40, 11},
        {"the oldest of the history", "2:0-9=9", NINE_OLD, "h3+6", 40, 6},
        {"one live run with too much history", "1:0-9=9", NINE_OLD, "h0+9", 40, 9},
        {"eight neighbours beyond the bound", "2:0-9=9", "1:0-10=1 " NINE_OLD, "h4+6", 0, 6},
    };
    check_cases(cases, sizeof(cases) / sizeof(cases[0]));
}

/* ---- from choice to choice ---- */

/* Merges what was chosen, as the store does; the history that comes of it may be none. */
static void sketch_merge(struct sketch *sketch, const struct merge_choice *choice, bool history)
{
    const struct tableset old = sketch->set;
    struct sketch *merged = calloc(1, sizeof(*merged));
    struct run output = {.min_version = UINT64_MAX};
    uint8_t tier = 0;
    sketch_init(merged);
    for (uint32_t i = 0; i < old.live_count + old.history_count; i++) {
        const bool live = i < old.live_count;
        const uint32_t at = live ? i : i - old.live_count;
        const struct run *run = live ? old.live[at] : old.history[at];
        if (live ? at >= choice->live_count
                 : at < choice->history_first ||
                       at >= choice->history_first + choice->history_count) {
            sketch_add(merged, live ? ROLE_LIVE : ROLE_HISTORY, *run);
            continue;
        }
        output.bytes += run->bytes;
        if (run->min_version < output.min_version)
            output.min_version = run->min_version;
        if (run->max_version > output.max_version)
            output.max_version = run->max_version;
        if (choice->live_count == 0 && run->tier >= tier)
            tier = (uint8_t)(run->tier + 1);
    }
    if (history || choice->live_count == 0) {
        output.tier = tier;
        sketch_add(merged, ROLE_HISTORY, output);
    }
    output.tier = choice->live_count == old.live_count ? BASE : MIDDLE;
    if (choice->live_count > 0)
        sketch_add(merged, ROLE_LIVE, output);
    *sketch = *merged;
    for (uint32_t i = 0; i < sketch->set.live_count; i++)
        sketch->live[i] = &sketch->runs[merged->live[i] - merged->runs];
    for (uint32_t i = 0; i < sketch->set.history_count; i++)
        sketch->history[i] = &sketch->runs[merged->history[i] - merged->runs];
    sketch->set.live = sketch->live;
    sketch->set.history = sketch->history;
    free(merged);
}

/* Live runs hold versions of their own, newest first, down to the first; one of them is the base. */
static void check_sketch(const struct sketch *sketch)
{
    const struct tableset *set = &sketch->set;
    for (uint32_t i = 0; i < set->live_count; i++) {
        const bool last = i + 1 == set->live_count;
        assert_int_equal(set->live[i]->min_version, last ? 0 : set->live[i + 1]->max_version);
        assert_true(last || set->live[i]->tier != BASE);
    }
}

static void sketch_flush(struct sketch *sketch, struct random *random)
{
    const uint64_t min = sketch->set.live_count == 0 ? 0 : sketch->live[0]->max_version;
    const struct run run = {.min_version = min,
                            .max_version = min + 1 + random_next(random) % 9,
                            .bytes = 1 + random_next(random) % 100};
    sketch_add(sketch, ROLE_LIVE, run);
    if (random_next(random) % 4 > 0)
        sketch_add(sketch, ROLE_HISTORY, run);
}

/* Merges until nothing is to be merged. Returns how many merges that took. */
static unsigned sketch_settle(struct sketch *sketch, uint64_t compact_to, uint32_t most,
                              struct random *random)
{
    struct merge_choice choice;
    unsigned merges = 0;
    for (; merge_choose(&sketch->set, compact_to, most, &choice); merges++) {
        const uint32_t inputs = choice.live_count + choice.history_count;
        const bool first = inputs == 1 && sketch->set.live_count == 1;
        assert_true(inputs <= most);
        assert_true(inputs > 1 || (first && sketch->live[0]->tier != BASE));
        assert_true(choice.live_count <= sketch->set.live_count);
        assert_true(choice.history_first + choice.history_count <= sketch->set.history_count);
        assert_true(merges < RUNS_MAX);
        sketch_merge(sketch, &choice, random_next(random) % 4 > 0);
        check_sketch(sketch);
    }
    return merges;
}

/* Three young runs, three middle ones and the base may wait, and less than eight of a tier of history
 * in a row. */
static void check_settled(const struct sketch *sketch)
{
    const struct tableset *set = &sketch->set;
    uint32_t counts[BASE + 1] = {0};
    for (uint32_t i = 0; i < set->live_count; i++)
        counts[set->live[i]->tier]++;
    assert_true(counts[YOUNG] <= 3);
    assert_true(counts[MIDDLE] <= 3);
    assert_true(counts[BASE] <= 1);
    uint32_t neighbours = 0;
    for (uint32_t i = 0; i < set->history_count; i++) {
        const bool same = i > 0 && set->history[i]->tier == set->history[i - 1]->tier;
        neighbours = same ? neighbours + 1 : 1;
        assert_true(neighbours < 8);
    }
}

static void merging_comes_to_an_end_and_leaves_few_runs(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct sketch sketch;
        struct random random = {.state = seed};
        const uint32_t most = seed % 2 == 0 ? SMALL : PLENTY;
        sketch_init(&sketch);
        for (unsigned round = 0; round < 200; round++) {
            for (uint64_t flushes = random_next(&random) % 8; flushes > 0; flushes--)
                sketch_flush(&sketch, &random);
            sketch_settle(&sketch, 0, most, &random);
            check_settled(&sketch);
        }
        sketch_flush(&sketch, &random);
        sketch_settle(&sketch, sketch.live[0]->max_version, most, &random);
        assert_int_equal(sketch.set.live_count, 1);
        assert_int_equal(sketch.live[0]->tier, BASE);
        assert_true(sketch.set.history_count <= 1);
    }
}

/* ---- in a store ---- */

static const struct tableset *present(struct lab *lab)
{
    return atomic_load(&lab->store->tables.current);
}

/* Rows of keys from `first` on, `size` bytes each, in a run of their own. */
static void flush_rows(struct lab *lab, uint64_t branch, unsigned first, unsigned count,
                       size_t size)
{
    for (unsigned i = first; i < first + count; i++) {
        char key[32];
        snprintf(key, sizeof(key), "key-%05u", i);
        lab_put_filled(lab, branch, key, size, (char)('a' + i % 26));
    }
    lab_flush(lab);
}

static void small_flushes_leave_a_big_base_alone(void **state)
{
    (void)state;
    struct lab lab;
    lab_create(&lab);
    lab.options.memory_budget = 8 << 20;
    lab_open(&lab);
    flush_rows(&lab, BRANCH_MAIN, 0, 400, 1000);
    lab_compact(&lab);
    const uint64_t base = present(&lab)->live[0]->id;
    assert_int_equal(present(&lab)->live[0]->tier, BASE);
    for (uint32_t middle = 1; middle <= 3; middle++) {
        for (unsigned i = 0; i < 4; i++)
            flush_rows(&lab, BRANCH_MAIN, i, 1, 100);
        lab_settle(&lab);
        assert_int_equal(lab_live_runs(&lab), middle + 1);
        for (uint32_t i = 0; i < middle; i++)
            assert_int_equal(present(&lab)->live[i]->tier, MIDDLE);
        assert_int_equal(present(&lab)->live[middle]->id, base);
    }
    for (unsigned i = 0; i < 4; i++)
        flush_rows(&lab, BRANCH_MAIN, i, 1, 100);
    lab_settle(&lab);
    assert_int_equal(lab_live_runs(&lab), 1);
    assert_int_equal(present(&lab)->live[0]->tier, BASE);
    assert_int_not_equal(present(&lab)->live[0]->id, base);
    lab_destroy(&lab);
}

static void history_of_eight_bases_becomes_one_run_of_the_next_tier(void **state)
{
    (void)state;
    struct lab lab;
    uint32_t tiered = 0;
    lab_create(&lab);
    lab.options.memory_budget = 8 << 20;
    lab_open(&lab);
    for (unsigned round = 0; round < 10 && tiered == 0; round++) {
        for (unsigned i = 0; i < 4; i++)
            flush_rows(&lab, BRANCH_MAIN, 0, 40, 1000);
        lab_settle(&lab);
        const struct tableset *set = present(&lab);
        assert_int_equal(set->live_count, 1);
        for (uint32_t i = 0; i < set->history_count; i++)
            tiered += set->history[i]->tier == 1;
        assert_int_equal(set->history_count, tiered == 0 ? round + 1 : 1);
        assert_int_equal(tiered, round == 7);
    }
    assert_int_equal(tiered, 1);
    for (uint64_t version = 1; version <= atomic_load(&lab.store->committer.visible); version++)
        assert_non_null(lab_get(&lab, BRANCH_MAIN, "key-00000", version));
    lab_destroy(&lab);
}

/* Rows of one branch in live and history runs. */
static uint64_t rows_of(struct lab *lab, uint64_t branch)
{
    uint64_t count = 0;
    epoch_enter(&lab->store->epochs, lab->slot);
    const struct tableset *set = present(lab);
    for (uint32_t i = 0; i < set->live_count + set->history_count; i++) {
        struct run_source rows;
        run_source_init(&rows, set->live[i]);
        assert_int_equal(source_seek(&rows.source, (struct bytes){0}, UINT64_MAX), STRATA_OK);
        while (rows.source.valid) {
            const struct bytes key = rows.source.row.key;
            count += key_branch(key.data) == branch && key_space(key.data) < SYSTEM_BRANCHES;
            assert_int_equal(source_next(&rows.source), STRATA_OK);
        }
        source_release(&rows.source);
    }
    epoch_leave(lab->slot);
    return count;
}

static void a_deleted_branch_leaves_the_history_of_the_base_with_a_compaction_only(void **state)
{
    (void)state;
    struct lab lab;
    lab_create(&lab);
    lab.options.memory_budget = 8 << 20;
    lab_open(&lab);
    flush_rows(&lab, BRANCH_MAIN, 0, 10, 100);
    const uint64_t cap = atomic_load(&lab.store->committer.visible);
    lab_fork(&lab, 2, BRANCH_MAIN, cap);
    for (unsigned i = 0; i < 3; i++)
        flush_rows(&lab, 2, 0, 20, 100);
    lab_compact(&lab);
    assert_int_equal(rows_of(&lab, 2), 60);
    lab_delete_branch(&lab, 2, BRANCH_MAIN, cap);
    assert_int_equal(store_sync(lab.store), STRATA_OK);

    /* Four flushes that outweigh the base: it is merged, its history is not. */
    for (unsigned i = 0; i < 4; i++)
        flush_rows(&lab, BRANCH_MAIN, 10 + i * 10, 10, 1000);
    lab_settle(&lab);
    assert_int_equal(lab_live_runs(&lab), 1);
    assert_int_equal(rows_of(&lab, 2), 40);
    flush_rows(&lab, BRANCH_MAIN, 0, 1, 100);
    lab_compact(&lab);
    assert_int_equal(rows_of(&lab, 2), 0);
    assert_int_equal(rows_of(&lab, BRANCH_MAIN), 51);
    lab_destroy(&lab);
}

/* Steps until nothing is due, and looks at each merge on its way. Returns the most inputs of one. */
static uint32_t settle_bounded(struct lab *lab)
{
    const struct job *merge = &lab->store->jobs[JOB_MERGE];
    uint32_t inputs = 0;
    bool did = true;
    while (did) {
        assert_int_equal(store_step(lab->store, lab->slot, &did), STRATA_OK);
        inputs = merge->input_count > inputs ? merge->input_count : inputs;
        assert_true(merge->input_count <= lab->store->profile.merge_sources_max);
    }
    return inputs;
}

/* Six young runs with history each are twelve inputs: what comes of them must not pile up, or writers
 * wait for merges that nobody finds due. */
static void runs_do_not_pile_up_in_one_mebibyte(void **state)
{
    (void)state;
    struct lab lab;
    lab_create(&lab);
    lab_open(&lab);
    lab.store->options.background_threads = 1; /* So writers do not merge before there is need. */
    for (unsigned round = 0; round < 40; round++) {
        for (unsigned i = 0; i < 6; i++) {
            lab_put(&lab, BRANCH_MAIN, "counter", "1");
            flush_rows(&lab, BRANCH_MAIN, i, 2, 100);
            lab_put(&lab, BRANCH_MAIN, "counter", "2");
        }
        lab_settle(&lab);
        assert_true(lab_live_runs(&lab) <= 3 + 3 + 1);
    }
    lab_destroy(&lab);
}

static void merges_in_one_mebibyte_keep_to_twelve_inputs(void **state)
{
    (void)state;
    struct lab lab;
    struct random random = {.state = 5};
    uint32_t inputs = 0;
    lab_create(&lab);
    lab_open(&lab);
    assert_int_equal(lab.store->profile.merge_sources_max, SMALL);
    for (unsigned round = 0; round < 60; round++) {
        for (uint64_t flushes = 1 + random_next(&random) % 7; flushes > 0; flushes--)
            flush_rows(&lab, BRANCH_MAIN, (unsigned)(random_next(&random) % 50), 12, 400);
        const uint32_t most = settle_bounded(&lab);
        inputs = most > inputs ? most : inputs;
    }
    lab_compact(&lab);
    assert_int_equal(lab_live_runs(&lab), 1);
    assert_true(inputs > 8);
    assert_true(lab.counted.bytes_peak <= lab.options.memory_budget);
    lab_destroy(&lab);
}

/* A flush of rows that are there twice, so that it has history. */
static void flush_twice(struct lab *lab, unsigned rows, size_t size)
{
    lab_put(lab, BRANCH_MAIN, "counter", "1");
    lab_put(lab, BRANCH_MAIN, "counter", "2");
    flush_rows(lab, BRANCH_MAIN, 0, rows, size);
}

/* Leaves more runs than one merge takes, and nothing due; the newest history is of many versions. */
static void leave_much(struct lab *lab)
{
    for (unsigned base = 0; base < 5 * 8 + 2; base++) {
        for (unsigned i = 0; i < 4; i++)
            flush_twice(lab, 1, 100);
        lab_settle(lab);
    }
    for (unsigned i = 0; i < 4; i++)
        flush_rows(lab, BRANCH_MAIN, 10 + i * 100, 100, 1000);
    lab_settle(lab);
    for (unsigned i = 0; i < 3 * 4 + 3; i++) {
        flush_twice(lab, 1, 100);
        lab_settle(lab);
    }
}

/* History that was merged by itself ends where the newest live run does; so does what a merge of live
 * runs makes beside it, where not all fits into one merge. */
static void two_runs_of_history_may_end_at_one_version(void **state)
{
    (void)state;
    struct lab lab;
    lab_create(&lab);
    lab_open(&lab);
    leave_much(&lab);
    const struct tableset *set = present(&lab);
    assert_int_equal(set->live_count, 3 + 3 + 1);
    assert_int_equal(set->history_count, 6);
    assert_int_equal(set->history[0]->max_version, set->live[0]->max_version);
    lab_compact(&lab);
    lab_close(&lab);
    lab_open(&lab);
    assert_string_equal(lab_get(&lab, BRANCH_MAIN, "counter", UINT64_MAX), "2");
    lab_destroy(&lab);
}

static int stop_at_once(void *context, const char *stage, uint64_t done, uint64_t total)
{
    (void)context, (void)stage, (void)done, (void)total;
    return 1;
}

struct other_compaction {
    struct store *store;
    unsigned reports;
};

/* Another one comes and is given up; this one has to end by itself. */
static int compact_meanwhile(void *context, const char *stage, uint64_t done, uint64_t total)
{
    struct other_compaction *other = context;
    const strata_progress progress = {.report = stop_at_once};
    (void)stage, (void)done, (void)total;
    if (++other->reports == 1)
        assert_int_equal(store_compact(other->store, &progress), STRATA_INTERRUPTED);
    return other->reports > 2000;
}

static void a_compaction_that_is_given_up_does_not_end_another(void **state)
{
    (void)state;
    struct lab lab;
    lab_create(&lab);
    lab_open(&lab);
    leave_much(&lab);
    struct other_compaction other = {.store = lab.store};
    const strata_progress progress = {.context = &other, .report = compact_meanwhile};
    assert_int_equal(store_compact(lab.store, &progress), STRATA_OK);
    assert_int_equal(lab_live_runs(&lab), 1);
    assert_int_equal(present(&lab)->history_count, 1);
    assert_int_equal(atomic_load(&lab.store->compact_to), 0);
    lab_destroy(&lab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(young_runs_are_merged_when_there_are_four),
        cmocka_unit_test(the_base_is_merged_when_much_lies_above_it),
        cmocka_unit_test(eight_neighbours_of_history_are_merged),
        cmocka_unit_test(a_compaction_takes_all_that_was_there_when_it_began),
        cmocka_unit_test(a_small_budget_bounds_the_inputs),
        cmocka_unit_test(merging_comes_to_an_end_and_leaves_few_runs),
        cmocka_unit_test(small_flushes_leave_a_big_base_alone),
        cmocka_unit_test(history_of_eight_bases_becomes_one_run_of_the_next_tier),
        cmocka_unit_test(a_deleted_branch_leaves_the_history_of_the_base_with_a_compaction_only),
        cmocka_unit_test(runs_do_not_pile_up_in_one_mebibyte),
        cmocka_unit_test(two_runs_of_history_may_end_at_one_version),
        cmocka_unit_test(a_compaction_that_is_given_up_does_not_end_another),
        cmocka_unit_test(merges_in_one_mebibyte_keep_to_twelve_inputs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
