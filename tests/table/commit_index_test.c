#include "table/commit_index.h"

#include "core/lock.h"
#include "core/random.h"
#include "support.h"

enum { COMMITS = 20000, STEPS_MAX = 40 };

/* Commits in the order of their versions, at times that may repeat. */
struct commits {
    struct region region;
    struct commit_index index;
    struct memtable_commit entries[COMMITS];
};

static const char note[] = "a note";

/* Of how many commits one has another number of rows, a message, or lies far behind the one before. */
struct mixture {
    uint64_t branches;
    unsigned unusual;
};

static void commits_add(struct commits *commits, const struct memtable_commit *commit)
{
    assert_int_equal(
        region_reserve(&commits->region, commit_index_add_size(commit->message.length)), STRATA_OK);
    commits->region.allocator = &no_heap;
    assert_true(commit_index_add(&commits->index, &commits->region, commit) <
                COMMIT_INDEX_DEPTH_MAX);
    commits->region.allocator = &heap;
}

static struct commits *commits_of(const struct mixture *mixture)
{
    struct commits *commits = calloc(1, sizeof(*commits));
    struct random random = {.state = mixture->branches};
    uint64_t version = 10;
    int64_t time_us = 1000;
    assert_non_null(commits);
    region_init(&commits->region, &heap, 1 << 16);
    for (unsigned i = 0; i < COMMITS; i++) {
        struct memtable_commit *commit = &commits->entries[i];
        const uint64_t lot = mixture->unusual == 0 ? 4 : random_next(&random) % mixture->unusual;
        version += lot == 0 ? (uint64_t)UINT32_MAX + 1 : 2;
        time_us += lot == 1 ? (int64_t)UINT32_MAX + 1 : i % 3 == 0;
        *commit = (struct memtable_commit){
            .version = version,
            .time_us = time_us,
            .branch = 1 + random_next(&random) % mixture->branches,
            .rows = lot == 2 ? 1 + i % 5 : 1,
            .message = bytes_of(note, lot == 3 ? 1 + i % (sizeof(note) - 1) : 0),
        };
        commits_add(commits, commit);
    }
    return commits;
}

static void commits_release(struct commits *commits)
{
    region_release(&commits->region);
    free(commits);
}

static const struct memtable_commit *last_of(const struct commits *commits, uint64_t branch,
                                             uint64_t version, int64_t time_us)
{
    for (unsigned i = COMMITS; i > 0; i--) {
        const struct memtable_commit *commit = &commits->entries[i - 1];
        if (commit->branch == branch && commit->version <= version && commit->time_us <= time_us)
            return commit;
    }
    return NULL;
}

static bool commits_equal(const struct memtable_commit *a, const struct memtable_commit *b)
{
    return a->version == b->version && a->time_us == b->time_us && a->branch == b->branch &&
           a->rows == b->rows && bytes_equal(a->message, b->message);
}

static void the_last_commit_of_a_branch_is_found(void **state)
{
    (void)state;
    static const struct mixture mixtures[] = {{1, 0},  {2, 0},   {17, 0},   {300, 0}, {100000, 0},
                                              {1, 50}, {2, 500}, {300, 20}, {1, 4},   {1, 1}};
    for (size_t i = 0; i < sizeof(mixtures) / sizeof(mixtures[0]); i++) {
        struct commits *commits = commits_of(&mixtures[i]);
        struct random random = {.state = 99};
        for (unsigned look = 0; look < 2000; look++) {
            const uint64_t branch = random_next(&random) % (mixtures[i].branches + 2);
            const struct memtable_commit *version_of =
                &commits->entries[random_next(&random) % COMMITS];
            const struct memtable_commit *time_of =
                &commits->entries[random_next(&random) % COMMITS];
            const uint64_t version = look % 3 == 0 ? UINT64_MAX : version_of->version - look % 2;
            const int64_t time_us = look % 3 == 1 ? INT64_MAX : time_of->time_us - look % 2;
            struct memtable_commit found;
            const struct memtable_commit *wanted = last_of(commits, branch, version, time_us);
            assert_true(commit_index_find(&commits->index, branch, version, time_us, &found) ==
                        (wanted != NULL));
            assert_true(wanted == NULL || commits_equal(&found, wanted));
        }
        commits_release(commits);
    }
}

static void all_commits_are_listed_by_branch_in_order(void **state)
{
    (void)state;
    const struct mixture mixture = {.branches = 40, .unusual = 30};
    struct commits *commits = commits_of(&mixture);
    const struct commit_stretch **list = calloc(COMMITS, sizeof(*list));
    unsigned seen = 0;
    assert_non_null(list);
    commit_index_list(&commits->index, list);
    for (size_t i = 0; i < commits->index.stretch_count; i++) {
        for (unsigned at = 0; at < commit_stretch_count(list[i]); at++, seen++) {
            const struct memtable_commit commit = commit_stretch_at(list[i], at);
            const struct memtable_commit *wanted =
                last_of(commits, commit.branch, commit.version, INT64_MAX);
            assert_true(wanted != NULL && commits_equal(&commit, wanted));
        }
        if (i > 0 && list[i - 1]->branch == list[i]->branch)
            assert_true(list[i - 1]->version < list[i]->version);
    }
    assert_int_equal(seen, COMMITS);
    free(list);
    commits_release(commits);
}

/* The way that a search goes, counted, where every commit is a stretch of its own. */
static void a_search_takes_few_steps_however_many_commits_there_are(void **state)
{
    (void)state;
    const struct mixture mixture = {.branches = 1, .unusual = 1};
    struct commits *commits = commits_of(&mixture);
    const struct commit_stretch **list = calloc(COMMITS, sizeof(*list));
    assert_non_null(list);
    assert_int_equal(commits->index.stretch_count, COMMITS);
    commit_index_list(&commits->index, list);
    for (unsigned i = 0; i < COMMITS; i += 37) {
        const struct commit_stretch *at = list[COMMITS - 1];
        unsigned steps = 0;
        for (; at != list[i]; steps++) {
            assert_true(at->version > list[i]->version);
            const bool far = at->jump != NULL && at->jump->version >= list[i]->version;
            at = far ? at->jump : at->older;
        }
        assert_true(steps <= STEPS_MAX);
    }
    free(list);
    commits_release(commits);
}

/* A node of sixteen ways for every few branches. */
static void an_index_of_many_branches_takes_little(void **state)
{
    (void)state;
    const struct mixture mixture = {.branches = UINT64_MAX};
    struct commits *commits = commits_of(&mixture);
    const size_t most = (size_t)COMMITS * (sizeof(struct commit_index_node) * 6 / 10 + 56);
    assert_true(commits->region.total_bytes <= most + (1 << 17));
    commits_release(commits);
}

static void commits_of_few_branches_take_little(void **state)
{
    (void)state;
    static const uint64_t branches[] = {1, 2, 17};
    for (size_t i = 0; i < sizeof(branches) / sizeof(branches[0]); i++) {
        struct commits *commits = commits_of(&(struct mixture){.branches = branches[i]});
        assert_true(commits->region.total_bytes <= (size_t)COMMITS * 10 + (1 << 17));
        commits_release(commits);
    }
}

/* Whatever branches, rows and messages take turns. */
static void no_commit_takes_more_than_it_is_charged(void **state)
{
    (void)state;
    for (unsigned alternation = 1; alternation <= 300; alternation = alternation * 5 / 4 + 1) {
        struct commits *commits = calloc(1, sizeof(*commits));
        assert_non_null(commits);
        region_init(&commits->region, &heap, 1 << 16);
        size_t charge = 0;
        for (unsigned i = 0; i < COMMITS; i++) {
            const unsigned turn = i / alternation;
            const struct memtable_commit commit = {
                .version = 1 + i,
                .branch = 1 + turn % 3,
                .rows = 1 + turn / 3 % 2,
                .message = bytes_of(note, turn % 64 == 63 ? 1 : 0),
            };
            charge += 64 + commit.message.length;
            commits_add(commits, &commit);
        }
        assert_true(commits->region.total_bytes <= charge + (1 << 16));
        commits_release(commits);
    }
}

/* ---- threads ---- */

/* Number i, from 1, is of branch i % 3, at time i / 2, and has one row but for some. */
static struct memtable_commit raced_commit(uint64_t number)
{
    return (struct memtable_commit){.version = number,
                                    .time_us = (int64_t)number / 2,
                                    .branch = number % 3,
                                    .rows = number % 1000 < 20 ? (uint32_t)number : 1,
                                    .message = bytes_of(note, number % 777 == 0 ? 6 : 0)};
}

struct race {
    struct commits *commits;
    _Atomic uint64_t last;
    _Atomic int faults;
};

static void race_read(void *context)
{
    struct race *race = context;
    struct random random = {.state = 5};
    uint64_t last = 0;
    while (last < COMMITS) {
        last = atomic_load_explicit(&race->last, memory_order_acquire);
        if (last < 3)
            continue;
        const uint64_t number = 3 + random_next(&random) % (last - 2);
        const uint64_t version = number - random_next(&random) % 3;
        const struct memtable_commit wanted =
            raced_commit(version - (version + 3 - number % 3) % 3);
        struct memtable_commit found = {0};
        const bool any = commit_index_find(
            &race->commits->index, number % 3, version,
            random_next(&random) % 2 == 0 ? INT64_MAX : (int64_t)version / 2, &found);
        race->faults += wanted.version != 0 && !(any && commits_equal(&found, &wanted));
    }
}

static void readers_find_every_commit_while_one_adds(void **state)
{
    (void)state;
    struct race race = {.commits = calloc(1, sizeof(struct commits))};
    struct thread readers[2] = {0};
    assert_non_null(race.commits);
    region_init(&race.commits->region, &heap, 1 << 12);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(thread_start(&readers[i], race_read, &race), STRATA_OK);
    for (uint64_t number = 1; number <= COMMITS; number++) {
        const struct memtable_commit commit = raced_commit(number);
        commits_add(race.commits, &commit);
        /* Seldom, so that searches meet commits that nothing but the index itself has published. */
        if (number % 64 == 0 || number == COMMITS)
            atomic_store_explicit(&race.last, number, memory_order_release);
    }
    for (size_t i = 0; i < 2; i++)
        thread_join(&readers[i]);
    assert_int_equal(race.faults, 0);
    commits_release(race.commits);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_commit_of_a_branch_is_found),
        cmocka_unit_test(all_commits_are_listed_by_branch_in_order),
        cmocka_unit_test(a_search_takes_few_steps_however_many_commits_there_are),
        cmocka_unit_test(an_index_of_many_branches_takes_little),
        cmocka_unit_test(commits_of_few_branches_take_little),
        cmocka_unit_test(no_commit_takes_more_than_it_is_charged),
        cmocka_unit_test(readers_find_every_commit_while_one_adds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
