#include "format/catalog.h"

#include "format/batch.h"
#include "format/hostile.h"
#include "support.h"

static void branch_records_round_trip(void **state)
{
    (void)state;
    static char name[BRANCH_NAME_SIZE_MAX];
    memset(name, 'n', sizeof(name));
    const struct branch_record records[] = {
        {.created_version = 1, .created_us = 5, .name = bytes_of("main", 4)},
        {.flags = BRANCH_DELETED,
         .parent = UINT64_MAX,
         .cap = UINT64_MAX - 1,
         .created_version = UINT64_MAX,
         .created_us = INT64_MIN,
         .name = bytes_of(name, sizeof(name))},
    };
    for (size_t i = 0; i < 2; i++) {
        struct buffer out;
        buffer_init(&out, &heap);
        assert_int_equal(branch_record_append(&out, &records[i]), STRATA_OK);
        struct branch_record read;
        assert_int_equal(branch_record_decode(buffer_view(&out), &read), STRATA_OK);
        assert_int_equal(read.flags, records[i].flags);
        assert_true(read.parent == records[i].parent);
        assert_true(read.cap == records[i].cap);
        assert_true(read.created_version == records[i].created_version);
        assert_true(read.created_us == records[i].created_us);
        assert_true(bytes_equal(read.name, records[i].name));
        buffer_release(&out);
    }
}

struct record_case {
    const char *bytes;
    size_t size;
    strata_status expected;
};
#define RECORD_CASE(text, status)                                                                  \
    {                                                                                              \
        text, sizeof(text) - 1, status                                                             \
    }

static void branch_record_rules_hold(void **state)
{
    (void)state;
    static const struct record_case cases[] = {
        RECORD_CASE("\x00\x01\x04\x05\0\0\0\0\0\0\0\0n", STRATA_OK),
        RECORD_CASE("\x02\x01\x04\x05\0\0\0\0\0\0\0\0n", STRATA_CORRUPT), /* Unknown flags. */
        RECORD_CASE("\x00\x00\x04\x05\0\0\0\0\0\0\0\0n", STRATA_CORRUPT), /* Cap, no parent. */
        RECORD_CASE("\x00\x01\x05\x05\0\0\0\0\0\0\0\0n", STRATA_CORRUPT), /* Cap at creation. */
        RECORD_CASE("\x00\x01\x04\x05\0\0\0\0\0\0\0\0", STRATA_CORRUPT),  /* No name. */
        RECORD_CASE("\x00\x01\x04\x05\0\0\0\0\0\0\0", STRATA_CORRUPT),
        RECORD_CASE("\x00\x81\x00\x04\x05\0\0\0\0\0\0\0\0n", STRATA_CORRUPT),
        RECORD_CASE("", STRATA_CORRUPT),
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct branch_record record;
        if (branch_record_decode(bytes_of(cases[i].bytes, cases[i].size), &record) !=
            cases[i].expected)
            fail_msg("case %zu: %s", i, strata_error_message());
    }
    uint8_t long_name[12 + BRANCH_NAME_SIZE_MAX + 1] = {0, 1, 4, 5};
    struct branch_record record;
    assert_int_equal(branch_record_decode(bytes_of(long_name, sizeof(long_name) - 1), &record),
                     STRATA_OK);
    assert_int_equal(branch_record_decode(bytes_of(long_name, sizeof(long_name)), &record),
                     STRATA_CORRUPT);
}

static const struct packed_commit commits[] = {
    {.version = 9, .time_us = INT64_MIN, .rows = 1},
    {.version = 10, .time_us = INT64_MIN, .rows = 0, .message = {(const uint8_t *)"m", 1}},
    {.version = 500, .time_us = -1, .rows = UINT64_MAX},
    {.version = UINT64_MAX, .time_us = INT64_MAX, .rows = 7},
};
enum { COMMITS = 4 };

static void pack_sample(struct buffer *out)
{
    struct commit_packer packer = {0};
    for (size_t i = 0; i < COMMITS; i++)
        assert_int_equal(commit_pack(&packer, out, &commits[i]), STRATA_OK);
}

static void packed_commits_round_trip(void **state)
{
    (void)state;
    struct buffer out;
    buffer_init(&out, &heap);
    pack_sample(&out);
    struct commit_packer packer = {.version = 9};
    struct bytes rest = buffer_view(&out);
    struct packed_commit read;
    bool found;
    for (size_t i = 0; i < COMMITS; i++) {
        assert_int_equal(commit_unpack(&packer, &rest, &found, &read), STRATA_OK);
        assert_true(found);
        assert_true(read.version == commits[i].version);
        assert_true(read.time_us == commits[i].time_us);
        assert_true(read.rows == commits[i].rows);
        assert_true(bytes_equal(read.message, commits[i].message));
    }
    assert_int_equal(commit_unpack(&packer, &rest, &found, &read), STRATA_OK);
    assert_false(found);
    buffer_release(&out);
}

static void packed_commit_rules_hold_and_failures_take_nothing(void **state)
{
    (void)state;
    static const struct record_case first[] = {
        RECORD_CASE("\x00\1\0\0\0\0\0\0\0\x02\x00", STRATA_OK),
        RECORD_CASE("\x01\1\0\0\0\0\0\0\0\x02\x00", STRATA_CORRUPT), /* Not the key's version. */
        RECORD_CASE("\x00\1\0\0\0\0\0\0\0\x02\x01", STRATA_CORRUPT),
        RECORD_CASE("\x00\1\0\0\0\0\0\0\0\x02\x80\x08", STRATA_CORRUPT),
        RECORD_CASE("\x00\1\0\0\0", STRATA_CORRUPT),
    };
    static const struct record_case later[] = {
        RECORD_CASE("\x01\x00\x02\x00", STRATA_OK),
        RECORD_CASE("\x00\x00\x02\x00", STRATA_CORRUPT), /* The same version. */
        RECORD_CASE("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00\x02\x00", STRATA_CORRUPT),
        RECORD_CASE("\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x02\x00", STRATA_CORRUPT),
        RECORD_CASE("\x01", STRATA_CORRUPT),
    };
    struct packed_commit read;
    bool found;
    for (size_t i = 0; i < 10; i++) {
        const struct record_case *tried = i < 5 ? &first[i] : &later[i - 5];
        const struct commit_packer before = {.started = i >= 5, .version = 7, .time_us = 1};
        struct commit_packer packer = before;
        struct bytes rest = bytes_of(tried->bytes, tried->size);
        if (commit_unpack(&packer, &rest, &found, &read) != tried->expected)
            fail_msg("case %zu: %s", i, strata_error_message());
        if (tried->expected == STRATA_OK)
            continue;
        assert_int_equal(rest.length, tried->size);
        assert_true(packer.started == before.started && packer.version == before.version);
    }
}

static void decode_both(void *context, uint8_t *data, size_t length)
{
    (void)context;
    struct branch_record record;
    (void)!branch_record_decode(bytes_of(data, length), &record);
    struct commit_packer packer = {.version = 9};
    struct bytes rest = bytes_of(data, length);
    struct packed_commit commit;
    bool found = true;
    uint64_t last = 0;
    while (found && commit_unpack(&packer, &rest, &found, &commit) == STRATA_OK) {
        assert_true(!found || commit.version > last);
        last = commit.version;
    }
}

static void changed_bytes_are_read_within_bounds(void **state)
{
    (void)state;
    struct buffer out;
    buffer_init(&out, &heap);
    pack_sample(&out);
    run_mutations(buffer_view(&out), 3, 50000, decode_both, NULL);
    buffer_release(&out);
}

static void packing_without_memory_changes_nothing(void **state)
{
    (void)state;
    struct buffer out;
    struct commit_packer packer = {0};
    buffer_init(&out, &no_heap);
    assert_int_equal(commit_pack(&packer, &out, &commits[0]), STRATA_NO_MEMORY);
    assert_false(packer.started);
    assert_int_equal(out.length, 0);
    buffer_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(branch_records_round_trip),
        cmocka_unit_test(branch_record_rules_hold),
        cmocka_unit_test(packed_commits_round_trip),
        cmocka_unit_test(packed_commit_rules_hold_and_failures_take_nothing),
        cmocka_unit_test(changed_bytes_are_read_within_bounds),
        cmocka_unit_test(packing_without_memory_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
