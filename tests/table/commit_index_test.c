#include "table/commit_index.h"

#include "core/random.h"
#include "support.h"

enum { COMMITS = 20000, STEPS_MAX = 40 };

/* Commits of `branches` branches, in the order of their versions, at times that may repeat. */
struct commits {
    struct region region;
    struct commit_index index;
    struct memtable_commit entries[COMMITS];
};

static struct commits *commits_of(uint64_t branches)
{
    struct commits *commits = calloc(1, sizeof(*commits));
    struct random random = {.state = branches};
    assert_non_null(commits);
    region_init(&commits->region, &heap, 1 << 16);
    for (unsigned i = 0; i < COMMITS; i++) {
        struct memtable_commit *commit = &commits->entries[i];
        commit->version = 10 + i * 2;
        commit->time_us = 1000 + i / 3;
        commit->branch = 1 + random_next(&random) % branches;
        assert_int_equal(region_reserve(&commits->region, COMMIT_INDEX_BYTES_MAX), STRATA_OK);
        const size_t used = commits->region.used_bytes + commits->region.total_bytes;
        const unsigned made = commit_index_add(&commits->index, &commits->region, commit);
        assert_true(made < COMMIT_INDEX_DEPTH_MAX);
        assert_true(made > 0 || used == commits->region.used_bytes + commits->region.total_bytes);
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

static void the_last_commit_of_a_branch_is_found(void **state)
{
    (void)state;
    static const uint64_t branches[] = {1, 2, 17, 300, 100000};
    for (size_t i = 0; i < sizeof(branches) / sizeof(branches[0]); i++) {
        struct commits *commits = commits_of(branches[i]);
        struct random random = {.state = 99};
        for (unsigned look = 0; look < 2000; look++) {
            const uint64_t branch = random_next(&random) % (branches[i] + 2);
            const uint64_t version = look % 3 == 0 ? UINT64_MAX : random_next(&random) % 41000;
            const int64_t time_us =
                look % 3 == 1 ? INT64_MAX : (int64_t)(random_next(&random) % 8000);
            assert_ptr_equal(commit_index_find(&commits->index, branch, version, time_us),
                             last_of(commits, branch, version, time_us));
        }
        commits_release(commits);
    }
}

/* The way that a search goes, counted. */
static void a_search_takes_few_steps_however_many_commits_there_are(void **state)
{
    (void)state;
    struct commits *commits = commits_of(1);
    for (unsigned i = 0; i < COMMITS; i += 37) {
        const struct memtable_commit *wanted = &commits->entries[i];
        const struct memtable_commit *at = &commits->entries[COMMITS - 1];
        unsigned steps = 0;
        for (; at != wanted; steps++) {
            assert_true(at->version > wanted->version);
            const bool far = at->jump != NULL && at->jump->version >= wanted->version;
            at = far ? at->jump : at->older;
        }
        assert_true(steps <= STEPS_MAX);
    }
    commits_release(commits);
}

/* A node of sixteen ways for every few branches. */
static void an_index_of_many_branches_takes_little(void **state)
{
    (void)state;
    struct commits *commits = commits_of(UINT64_MAX);
    const size_t most = (size_t)COMMITS * sizeof(struct commit_index_node) * 6 / 10;
    assert_true(commits->region.total_bytes <= most + (1 << 17));
    commits_release(commits);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_commit_of_a_branch_is_found),
        cmocka_unit_test(a_search_takes_few_steps_however_many_commits_there_are),
        cmocka_unit_test(an_index_of_many_branches_takes_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
