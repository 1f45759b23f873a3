/* Which runs a merge takes: first of sets drawn up by hand, then of a store. */
#include "lifecycle/lab.h"

#include "core/random.h"

#include <stdio.h>
#include <string.h>

enum { RUNS_MAX = 200, MIDDLE = 1, BASE = 2, PLENTY = JOB_INPUTS_MAX, SMALL = 12 };
enum { LIVE_MOST = 5, OPEN_MOST = 8, HISTORY_MOST = 32, VERSIONS_MOST = 16 };

/* ---- sets drawn up by hand ---- */

/* A set of runs without parts: the choice looks at their tiers, versions, bytes and rows alone. */
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

/* "0:30-40=9": a run of tier 0, of the versions (30, 40], of 9 bytes and rows. "@5" behind it: reads have
 * paid what merging a run of 5 bytes costs. Several, between spaces. */
static void sketch_draw(struct sketch *sketch, enum part_role role, const char *text)
{
    const struct run unit = {.bytes = 1, .rows = 1};
    unsigned tier, min, max, bytes;
    int length;
    while (sscanf(text, " %u:%u-%u=%u%n", &tier, &min, &max, &bytes, &length) == 4) {
        unsigned paid = 0;
        int more = 0;
        if (sscanf(text + length, "@%u%n", &paid, &more) == 1)
            length += more;
        sketch_add(sketch, role,
                   (struct run){.tier = (uint8_t)tier,
                                .min_version = min,
                                .max_version = max,
                                .bytes = bytes,
                                .rows = bytes,
                                .toll_ns = paid * toll_price(&unit)});
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
        const struct merge_bounds bounds = {
            .compact_to = cases[i].compact_to,
            .sources_max = cases[i].sources_max == 0 ? PLENTY : cases[i].sources_max};
        const bool any = merge_choose(&sketch.set, &bounds, &choice);
        choice_text(any, &choice, chosen);
        if (strcmp(chosen, cases[i].chosen) != 0)
            fail_msg("%s: chose \"%s\", not \"%s\"", cases[i].what, chosen, cases[i].chosen);
    }
}

#define FIVE_LIVE "0:140-150=10 0:130-140=10 0:120-130=10 0:110-120=10 0:100-110=10"

static void the_newest_live_runs_are_merged_when_there_are_six(void **state)
{
    (void)state;
    static const struct drawn_case cases[] = {
        {.what = "an empty set", .live = "", .history = "", .chosen = ""},
        {.what = "five", .live = FIVE_LIVE, .history = "0:0-9=9", .chosen = ""},
        {.what = "five with a base",
         .live = "0:40-50=9 0:30-40=9 1:20-30=9 1:10-20=9 2:0-10=9",
         .history = "",
         .chosen = ""},
        {.what = "six alike", .live = FIVE_LIVE " 2:0-100=10", .history = "", .chosen = "6+0"},
        {.what = "a base not twice as large",
         .live = FIVE_LIVE " 2:0-100=99",
         .history = "",
         .chosen = "6+0"},
        {.what = "a base twice as large",
         .live = FIVE_LIVE " 2:0-100=100",
         .history = "",
         .chosen = "5+0"},
        {.what = "up to the first that is twice as large",
         .live = "0:70-80=1 0:60-70=1 1:50-60=4 1:40-50=10 1:30-40=30 2:0-30=100",
         .history = "",
         .chosen = "2+0"},
        {.what = "as many as there are",
         .live = "0:180-190=9 0:170-180=9 0:160-170=9 0:150-160=9 " FIVE_LIVE " 2:0-100=999",
         .history = "",
         .chosen = "9+0"},
        {.what = "and no history",
         .live = FIVE_LIVE " 2:0-100=10",
         .history = "0:140-150=1 0:100-110=1 0:0-100=1",
         .chosen = "6+0"},
    };
    check_cases(cases, sizeof(cases) / sizeof(cases[0]));
}

/* The price of a run of N bytes in these sets is N; "@N": so much has been paid for it. */
static void runs_become_one_when_reads_have_paid_for_it(void **state)
{
    (void)state;
    static const struct drawn_case cases[] = {
        {.what = "nobody reads", .live = "0:9-12=9 2:0-9=9", .history = "", .chosen = ""},
        {.what = "not yet", .live = "0:9-12=9@17 2:0-9=9", .history = "", .chosen = ""},
        {.what = "the price",
         .live = "0:9-12=9@18 2:0-9=9",
         .history = "0:9-12=1 0:0-9=1",
         .chosen = "2+0"},
        {.what = "the oldest would be read anyway",
         .live = "0:9-12=9 2:0-9=9@99",
         .history = "",
         .chosen = ""},
        {.what = "small runs before the base",
         .live = "0:12-13=1@3 0:9-12=2@13 2:0-9=14",
         .history = "",
         .chosen = "2+0"},
        {.what = "the base, too",
         .live = "0:12-13=1@3 0:9-12=2@14 2:0-9=14",
         .history = "",
         .chosen = "3+0"},
        {.what = "a run that nobody reads, in front of one that many do",
         .live = "0:12-13=5 0:9-12=2@10 2:0-9=3",
         .history = "",
         .chosen = "3+0"},
        {.what = "more than there have to be",
         .live = FIVE_LIVE "@150 2:0-100=100",
         .history = "",
         .chosen = "6+0"},
        {.what = "fewer than there have to be",
         .live = "0:150-160=1@2 0:140-150=1 0:130-140=1 0:120-130=1 0:110-120=1 2:0-110=99",
         .history = "",
         .chosen = "5+0"},
        {.what = "but not where writers are held up",
         .live = "0:200-210=10 0:190-200=10 0:180-190=10 0:170-180=10 0:160-170=10 "
                 "0:150-160=10 " FIVE_LIVE "@9999 2:0-100=999",
         .history = "",
         .chosen = "11+0"},
        {.what = "not all at once",
         .live = "0:30-40=9@99 0:20-30=9 0:10-20=9 2:0-10=9",
         .history = "",
         .chosen = "3+0",
         .sources_max = 3},
        {.what = "before history that is due",
         .live = "0:9-12=9@18 2:0-9=9",
         .history = "0:0-90=1 0:0-80=1 0:0-70=1 0:0-60=1 0:0-50=1 0:0-40=1 0:0-30=1 0:0-20=1 "
                    "0:0-10=1",
         .chosen = "2+0"},
    };
    check_cases(cases, sizeof(cases) / sizeof(cases[0]));
}

#define FOUR_OLD   "0:0-80=1 0:0-70=1 0:0-60=1 0:0-50=1"
#define FIVE_OLD   "0:0-90=1 0:0-90=1 0:0-90=1 0:0-90=1 0:0-90=1 "
#define EIGHT_OLD  FOUR_OLD " 0:0-40=1 0:0-30=1 0:0-20=1 0:0-10=1"
#define FOUR(run)  run " " run " " run " " run
#define EIGHT(run) FOUR(run) " " FOUR(run)
#define MANY       EIGHT("0:0-9=99") " " EIGHT("0:0-9=99") " " EIGHT("0:0-9=99") " " EIGHT("0:0-9=99")

static void the_newest_history_is_merged_when_there_is_much(void **state)
{
    (void)state;
    static const struct drawn_case cases[] = {
        {.what = "eight", .live = "2:0-90=9", .history = EIGHT_OLD, .chosen = ""},
        {.what = "nine", .live = "2:0-90=9", .history = "0:0-90=1 " EIGHT_OLD, .chosen = "h0+9"},
        {.what = "up to one that is twice as large",
         .live = "2:0-90=9",
         .history = EIGHT_OLD " 1:0-5=16",
         .chosen = "h0+8"},
        {.what = "up to one with many versions of each key",
         .live = "2:0-90=9",
         .history = "0:0-90=1 " EIGHT_OLD " 1:0-5=160",
         .chosen = "h0+9"},
        {.what = "which does not count",
         .live = "2:0-90=9",
         .history = EIGHT_OLD " 1:0-5=160",
         .chosen = ""},
        {.what = "nor what lies behind it",
         .live = "2:0-90=9",
         .history = FOUR_OLD " 1:0-45=160 0:0-40=1 0:0-30=1 0:0-20=1 0:0-10=1",
         .chosen = ""},
        {.what = "32 of such runs", .live = "2:0-90=1", .history = MANY, .chosen = ""},
        {.what = "more than 32 of them",
         .live = "2:0-90=1",
         .history = "0:0-9=99 " MANY,
         .chosen = "h0+33"},
        {.what = "after the live ones",
         .live = FIVE_LIVE " 2:0-90=9999",
         .history = "0:0-90=1 " EIGHT_OLD,
         .chosen = "5+0"},
        {.what = "but before them with more than 20 runs",
         .live = FIVE_LIVE " 2:0-90=9999",
         .history = FIVE_OLD FIVE_OLD "0:0-90=1 0:0-90=1 0:0-90=1 " EIGHT_OLD,
         .chosen = "h0+21"},
        {.what = "unless writers are held up",
         .live = FIVE_LIVE " " FIVE_LIVE " 2:0-90=9999",
         .history = FIVE_OLD FIVE_OLD "0:0-90=1 0:0-90=1 0:0-90=1 " EIGHT_OLD,
         .chosen = "10+0"},
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
         "0:90-95=1 0:80-90=1 0:70-80=1 0:60-70=1 0:50-60=1 2:0-50=99", "", "5+0", 50, 0},
        {"what came later goes with what has to", "0:50-60=1 0:40-50=1 2:0-40=9",
         "0:50-60=1 0:0-40=9", "3+2", 50, 0},
        {"a run that ends later counts", "0:45-60=1 2:0-45=9", "", "2+0", 50, 0},
        {"so does history, wherever it is listed", "0:50-60=1 2:0-50=9",
         "0:50-60=1 0:0-60=1 0:50-55=1 0:0-50=9", "h0+4", 50, 0},
    };
    check_cases(cases, sizeof(cases) / sizeof(cases[0]));
}

#define NINE_OLD "0:0-9=1 0:0-8=1 0:0-7=1 0:0-6=1 0:0-5=1 0:0-4=1 0:0-3=1 0:0-2=1 0:0-1=1"

static void a_small_budget_bounds_the_inputs(void **state)
{
    (void)state;
    static const struct drawn_case cases[] = {
        {"as many as may be", FIVE_LIVE " 2:0-100=10", "", "6+0", 0, 6},
        {"the oldest live run stays", "0:150-160=10 " FIVE_LIVE " 2:0-100=10", "", "6+0", 0, 6},
        {"the newest of the history", "2:0-9=9", NINE_OLD, "h0+6", 0, 6},
        {"all of a compaction", FIVE_LIVE, "0:0-100=1", "5+1", 150, 6},
        {"its live runs first", FIVE_LIVE, "0:100-140=1 0:0-100=1", "5+0", 150, 6},
        {"some of them", FIVE_LIVE " 1:90-100=1 2:0-90=9", "0:100-140=1 0:0-100=1", "6+0", 150, 6},
        {"so that a single run of history fits", FIVE_LIVE " 2:0-100=9", "0:0-100=1", "5+0", 150,
         6},
        {"one live run with much history", "1:0-9=9", NINE_OLD, "1+0", 40, 9},
        {"then the oldest of the history", "2:0-9=9", NINE_OLD, "h3+6", 40, 6},
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
        output.rows += run->rows;
        if (run->min_version < output.min_version)
            output.min_version = run->min_version;
        if (run->max_version > output.max_version)
            output.max_version = run->max_version;
        if (choice->live_count == 0 && run->tier >= tier)
            tier = (uint8_t)(run->tier + 1);
        if (live)
            output.toll_ns = run->toll_ns;
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
                            .bytes = 1 + random_next(random) % 100,
                            .rows = 1 + random_next(random) % 100};
    sketch_add(sketch, ROLE_LIVE, run);
    if (random_next(random) % 4 > 0)
        sketch_add(sketch, ROLE_HISTORY, run);
}

/* Reads that look into some of the live runs. */
static void sketch_read(const struct sketch *sketch, struct random *random)
{
    for (uint32_t i = 0; i + 1 < sketch->set.live_count; i++)
        sketch->live[i]->toll_ns += random_next(random) % 4 == 0 ? random_next(random) % 40000 : 0;
}

/* Merges until nothing is to be merged. Returns how many merges that took. */
static unsigned sketch_settle(struct sketch *sketch, const struct merge_bounds *bounds,
                              struct random *random)
{
    struct merge_choice choice;
    unsigned merges = 0;
    for (; merge_choose(&sketch->set, bounds, &choice); merges++) {
        const uint32_t inputs = choice.live_count + choice.history_count;
        const bool first = inputs == 1 && sketch->set.live_count == 1;
        assert_true(inputs <= bounds->sources_max);
        assert_true(inputs > 1 || (first && sketch->live[0]->tier != BASE));
        assert_true(choice.live_count <= sketch->set.live_count);
        assert_true(choice.history_first + choice.history_count <= sketch->set.history_count);
        assert_true(merges < RUNS_MAX);
        sketch_merge(sketch, &choice, random_next(random) % 4 > 0);
        check_sketch(sketch);
    }
    return merges;
}

/* Few live runs, and few runs of history in front of the first with many versions of each key. */
static void check_settled(const struct sketch *sketch)
{
    const struct tableset *set = &sketch->set;
    uint64_t rows = 0;
    uint32_t open = 0;
    assert_true(set->live_count <= LIVE_MOST);
    assert_true(set->history_count <= HISTORY_MOST);
    for (uint32_t i = 0; i < set->live_count; i++)
        rows += set->live[i]->rows;
    while (open < set->history_count && set->history[open]->rows / VERSIONS_MOST <= rows)
        open++;
    assert_true(open <= OPEN_MOST);
}

static void merging_comes_to_an_end_and_leaves_few_runs(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct sketch sketch;
        struct random random = {.state = seed};
        struct merge_bounds bounds = {.sources_max = seed % 2 == 0 ? SMALL : PLENTY};
        sketch_init(&sketch);
        for (unsigned round = 0; round < 200; round++) {
            for (uint64_t flushes = random_next(&random) % 8; flushes > 0; flushes--)
                sketch_flush(&sketch, &random);
            sketch_read(&sketch, &random);
            sketch_settle(&sketch, &bounds, &random);
            check_settled(&sketch);
        }
        sketch_flush(&sketch, &random);
        bounds.compact_to = sketch.live[0]->max_version;
        sketch_settle(&sketch, &bounds, &random);
        assert_int_equal(sketch.set.live_count, 1);
        assert_int_equal(sketch.live[0]->tier, BASE);
        assert_true(sketch.set.history_count <= 1);
    }
}

/* Queues: every row is deleted soon, so that history has more and more versions for each live row. */
static void history_of_few_live_rows_does_not_pile_up(void **state)
{
    (void)state;
    struct sketch sketch;
    struct random random = {.state = 7};
    const struct merge_bounds bounds = {.sources_max = SMALL};
    unsigned merges = 0;
    sketch_init(&sketch);
    sketch_add(&sketch, ROLE_LIVE, (struct run){.max_version = 1, .bytes = 1, .rows = 1});
    for (unsigned flush = 0; flush < 2000; flush++) {
        sketch_add(
            &sketch, ROLE_HISTORY,
            (struct run){
                .min_version = flush, .max_version = flush + 1, .bytes = 1000, .rows = 1000});
        merges += sketch_settle(&sketch, &bounds, &random);
        assert_true(sketch.set.history_count <= HISTORY_MOST);
    }
    assert_true(merges < 2000 / 8);
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
    for (unsigned i = 0; i < 40; i++) {
        flush_rows(&lab, BRANCH_MAIN, i, 1, 100);
        lab_settle(&lab);
        const uint32_t count = lab_live_runs(&lab);
        assert_true(count > 1);
        assert_true(count <= LIVE_MOST);
        for (uint32_t j = 0; j + 1 < count; j++)
            assert_true(present(&lab)->live[j]->tier <= MIDDLE);
        assert_int_equal(present(&lab)->live[count - 1]->id, base);
    }
    for (unsigned i = 0; i < LIVE_MOST; i++)
        flush_rows(&lab, BRANCH_MAIN, 0, 300, 1000);
    lab_settle(&lab);
    const struct run *oldest = present(&lab)->live[lab_live_runs(&lab) - 1];
    assert_int_equal(oldest->tier, BASE);
    assert_int_not_equal(oldest->id, base);
    lab_destroy(&lab);
}

static void history_is_merged_and_stays_whole(void **state)
{
    (void)state;
    struct lab lab;
    uint32_t merged = 0;
    lab_create(&lab);
    lab.options.memory_budget = 8 << 20;
    lab_open(&lab);
    for (unsigned round = 0; round < 60; round++) {
        flush_rows(&lab, BRANCH_MAIN, 0, 40, 1000);
        lab_settle(&lab);
        const struct tableset *set = present(&lab);
        assert_true(set->live_count <= LIVE_MOST);
        assert_true(set->history_count <= HISTORY_MOST);
        for (uint32_t i = 0; i < set->history_count; i++)
            merged += set->history[i]->tier > 0;
    }
    assert_true(merged > 0);
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

    /* Flushes that outweigh the base: it is merged, its history is not. */
    for (unsigned i = 0; i < LIVE_MOST; i++)
        flush_rows(&lab, BRANCH_MAIN, 10 + i * 10, 10, 1000);
    lab_settle(&lab);
    assert_int_equal(lab_live_runs(&lab), 1);
    assert_int_equal(rows_of(&lab, 2), 40);
    flush_rows(&lab, BRANCH_MAIN, 0, 1, 100);
    lab_compact(&lab);
    assert_int_equal(rows_of(&lab, 2), 0);
    assert_int_equal(rows_of(&lab, BRANCH_MAIN), 61);
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

/* What many flushes leave, live runs and history, must not pile up, or writers wait for merges that
 * nobody finds due. */
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
        assert_true(lab_live_runs(&lab) <= LIVE_MOST);
        assert_true(present(&lab)->history_count <= HISTORY_MOST);
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

/* Leaves more runs than one merge takes, and nothing due: history of many versions of one key. */
static void leave_much(struct lab *lab)
{
    for (unsigned i = 0; i < 2 * SMALL; i++) {
        for (unsigned j = 0; j < 1000; j++)
            lab_put(lab, BRANCH_MAIN, "counter", "1");
        lab_flush(lab);
        lab_settle(lab);
    }
    assert_true(present(lab)->live_count + present(lab)->history_count > SMALL);
}

/* What a merge of live runs displaces ends where the history of the newest of them does. */
static void two_runs_of_history_may_end_at_one_version(void **state)
{
    (void)state;
    struct lab lab;
    lab_create(&lab);
    lab_open(&lab);
    for (unsigned i = 0; i <= LIVE_MOST; i++)
        flush_twice(&lab, 1, 100);
    lab_settle(&lab);
    const struct tableset *set = present(&lab);
    assert_int_equal(set->live_count, 1);
    assert_int_equal(set->history_count, LIVE_MOST + 2);
    assert_int_equal(set->history[0]->max_version, set->history[1]->max_version);
    assert_true(set->history[0]->id > set->history[1]->id);
    lab_close(&lab);
    lab_open(&lab);
    assert_string_equal(lab_get(&lab, BRANCH_MAIN, "counter", UINT64_MAX), "2");
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
        cmocka_unit_test(the_newest_live_runs_are_merged_when_there_are_six),
        cmocka_unit_test(runs_become_one_when_reads_have_paid_for_it),
        cmocka_unit_test(the_newest_history_is_merged_when_there_is_much),
        cmocka_unit_test(a_compaction_takes_all_that_was_there_when_it_began),
        cmocka_unit_test(a_small_budget_bounds_the_inputs),
        cmocka_unit_test(merging_comes_to_an_end_and_leaves_few_runs),
        cmocka_unit_test(small_flushes_leave_a_big_base_alone),
        cmocka_unit_test(history_of_few_live_rows_does_not_pile_up),
        cmocka_unit_test(history_is_merged_and_stays_whole),
        cmocka_unit_test(a_deleted_branch_leaves_the_history_of_the_base_with_a_compaction_only),
        cmocka_unit_test(runs_do_not_pile_up_in_one_mebibyte),
        cmocka_unit_test(two_runs_of_history_may_end_at_one_version),
        cmocka_unit_test(a_compaction_that_is_given_up_does_not_end_another),
        cmocka_unit_test(merges_in_one_mebibyte_keep_to_twelve_inputs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
