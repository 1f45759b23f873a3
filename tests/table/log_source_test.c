#include "table/log_source.h"

#include "core/random.h"
#include "format/catalog.h"
#include "support.h"

enum { COMMITS = 5000, BRANCHES_MAX = 40 };

static const char note[] = "what it was about, at some length";

/* Number i, from 1. Most are of one row and without a message. */
static struct memtable_commit logged_commit(uint64_t number, uint64_t branches)
{
    struct random random = {.state = number};
    return (struct memtable_commit){
        .version = number * 2,
        .time_us = (int64_t)number / 3 + (number > 4000 ? (int64_t)1 << 33 : 0),
        .branch = branches - random_next(&random) % branches,
        .rows = number % 90 == 7 ? (uint32_t)number : 1,
        .message = bytes_of(note, number % 50 == 9 ? number % sizeof(note) : 0),
    };
}

static struct memtable *logged_memtable(uint64_t branches)
{
    struct memtable *memtable = NULL;
    assert_int_equal(memtable_create(&heap, 1 << 14, 1, &memtable), STRATA_OK);
    for (uint64_t number = 1; number <= COMMITS; number++) {
        const struct memtable_commit commit = logged_commit(number, branches);
        assert_int_equal(memtable_reserve(memtable, 0, 0, commit.message.length), STRATA_OK);
        memtable_add_commit(memtable, &commit);
    }
    memtable_freeze(memtable);
    return memtable;
}

/* Unpacks one row; `*next` is the number of the branch's last commit so far. Returns how many it has. */
static unsigned check_row(const struct row *row, uint64_t branch, uint64_t branches, uint64_t *next)
{
    struct commit_packer packer = {.version = row->from};
    struct bytes value = row->value;
    assert_int_equal(load_ordered_u64(row->key.data + KEY_PREFIX_SIZE), row->from);
    for (unsigned count = 0;; count++) {
        bool more;
        struct packed_commit commit;
        assert_int_equal(commit_unpack(&packer, &value, &more, &commit), STRATA_OK);
        if (!more)
            return count;
        do
            ++*next;
        while (*next <= COMMITS && logged_commit(*next, branches).branch != branch);
        assert_true(*next <= COMMITS);
        const struct memtable_commit wanted = logged_commit(*next, branches);
        assert_true(commit.version == wanted.version && commit.time_us == wanted.time_us);
        assert_true(commit.rows == wanted.rows && bytes_equal(commit.message, wanted.message));
        assert_true(count > 0 || (row->from == wanted.version && row->time_us == wanted.time_us));
    }
}

static void every_commit_is_in_the_rows_of_its_branch(void **state)
{
    (void)state;
    static const uint64_t branches[] = {1, 2, BRANCHES_MAX};
    for (size_t i = 0; i < sizeof(branches) / sizeof(branches[0]); i++) {
        struct memtable *memtable = logged_memtable(branches[i]);
        struct log_source log;
        uint64_t next[BRANCHES_MAX + 1] = {0};
        unsigned seen = 0, rows = 0;
        uint8_t prefix[KEY_PREFIX_SIZE];
        uint64_t branch = 1;
        assert_int_equal(log_source_init(&log, memtable, &heap), STRATA_OK);
        assert_int_equal(source_seek(&log.source, (struct bytes){0}, UINT64_MAX), STRATA_OK);
        for (; log.source.valid; rows++) {
            key_prefix_store(prefix, branch, SYSTEM_LOG);
            for (; !bytes_start_with(log.source.row.key, bytes_of(prefix, sizeof(prefix)));
                 branch++)
                key_prefix_store(prefix, branch + 1, SYSTEM_LOG);
            assert_true(branch <= branches[i]);
            const unsigned count = check_row(&log.source.row, branch, branches[i], &next[branch]);
            assert_true(count > 0 && count <= LOG_COMMITS_PER_ROW);
            seen += count;
            assert_int_equal(source_next(&log.source), STRATA_OK);
        }
        assert_int_equal(seen, COMMITS);
        assert_true(rows <= COMMITS / LOG_COMMITS_PER_ROW + branches[i]);
        source_release(&log.source);
        memtable_drop(memtable);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_commit_is_in_the_rows_of_its_branch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
