#include "format/wal_record.h"

#include "format/hostile.h"
#include "support.h"

static const struct identity here = {.uuid = {9, 8, 7, 6, 5, 4, 3, 2, 1}, .incarnation = 5};

enum { NUMBER = 12, OFFSET = WAL_HEADER_SIZE + 64, RECORD_MAX = 512 };

static struct wal_header sample_header(void)
{
    return (struct wal_header){.identity = here,
                               .number = NUMBER,
                               .first_version = 1000,
                               .previous_number = 11,
                               .previous_end = 8192,
                               .previous_chain = 0x0123456789abcdef,
                               .durable_version = 999,
                               .manifest = 4};
}

/* Checksum and all, after a change. */
static void reseal_header(uint8_t *bytes)
{
    const uint64_t seed = place_seed(&here, FAMILY_WAL, NUMBER, 0);
    store_u64(bytes, place_checksum(bytes_of(bytes, WAL_HEADER_SIZE), seed));
}

static bool header_accepts(void *context, struct bytes bytes)
{
    (void)context;
    struct wal_header header;
    uint64_t chain;
    return wal_header_decode(bytes, &here, NUMBER, &header, &chain) == STRATA_OK;
}

static void headers_round_trip(void **state)
{
    (void)state;
    static uint8_t bytes[WAL_HEADER_SIZE];
    const struct wal_header wrote = sample_header();
    const uint64_t checksum = wal_header_encode(&wrote, bytes);
    struct wal_header read;
    uint64_t chain;
    assert_int_equal(
        wal_header_decode(bytes_of(bytes, sizeof(bytes)), &here, NUMBER, &read, &chain), STRATA_OK);
    assert_true(chain == checksum && chain == load_u64(bytes));
    assert_memory_equal(read.identity.uuid, wrote.identity.uuid, UUID_SIZE);
    assert_true(read.identity.incarnation == wrote.identity.incarnation);
    assert_true(read.number == wrote.number && read.first_version == wrote.first_version);
    assert_true(read.previous_number == wrote.previous_number);
    assert_true(read.previous_end == wrote.previous_end);
    assert_true(read.previous_chain == wrote.previous_chain);
    assert_true(read.durable_version == wrote.durable_version && read.manifest == wrote.manifest);
}

static void every_changed_or_missing_byte_of_a_header_is_noticed(void **state)
{
    (void)state;
    static uint8_t bytes[WAL_HEADER_SIZE];
    const struct wal_header header = sample_header();
    wal_header_encode(&header, bytes);
    assert_changes_are_refused(bytes_of(bytes, sizeof(bytes)), header_accepts, NULL);
    assert_cuts_are_refused(bytes_of(bytes, sizeof(bytes)), header_accepts, NULL);
}

static void a_header_is_taken_only_in_its_own_place(void **state)
{
    (void)state;
    static uint8_t bytes[WAL_HEADER_SIZE];
    const struct wal_header header = sample_header();
    wal_header_encode(&header, bytes);
    const struct bytes all = bytes_of(bytes, sizeof(bytes));
    struct wal_header read;
    uint64_t chain;
    struct identity other = here;
    other.incarnation++;
    assert_int_equal(wal_header_decode(all, &other, NUMBER, &read, &chain), STRATA_CORRUPT);
    other = here;
    other.uuid[15] ^= 1;
    assert_int_equal(wal_header_decode(all, &other, NUMBER, &read, &chain), STRATA_CORRUPT);
    assert_int_equal(wal_header_decode(all, &here, NUMBER + 1, &read, &chain), STRATA_CORRUPT);
    assert_int_equal(wal_header_decode(all, &here, UINT64_MAX, &read, &chain), STRATA_CORRUPT);
}

struct header_case {
    size_t offset;
    uint64_t value;
    strata_status expected;
};

static void header_rules_hold_even_under_a_right_checksum(void **state)
{
    (void)state;
    static const struct header_case cases[] = {
        {8, 0, STRATA_CORRUPT},       {16, 2, STRATA_UNSUPPORTED},
        {16, 0, STRATA_CORRUPT},      {16, (uint64_t)1 << 32 | 1, STRATA_CORRUPT},
        {24, 0, STRATA_CORRUPT},      {40, 6, STRATA_CORRUPT},
        {48, 13, STRATA_CORRUPT},     {56, 999, STRATA_CORRUPT},
        {64, NUMBER, STRATA_CORRUPT}, {64, NUMBER + 1, STRATA_CORRUPT},
        {64, 0, STRATA_OK},           {72, 8193, STRATA_CORRUPT},
        {72, 4088, STRATA_CORRUPT},   {72, 4096, STRATA_OK},
        {88, 1000, STRATA_CORRUPT},   {96, 0, STRATA_OK},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        static uint8_t bytes[WAL_HEADER_SIZE];
        const struct wal_header header = sample_header();
        wal_header_encode(&header, bytes);
        store_u64(bytes + cases[i].offset, cases[i].value);
        reseal_header(bytes);
        struct wal_header read;
        uint64_t chain;
        if (wal_header_decode(bytes_of(bytes, sizeof(bytes)), &here, NUMBER, &read, &chain) !=
            cases[i].expected)
            fail_msg("case %zu: %s", i, strata_error_message());
    }
}

static struct wal_record seal_sample(uint8_t *bytes, size_t payload)
{
    memset(bytes + WAL_RECORD_HEADER_SIZE, 'p', payload);
    struct wal_record record = {.kind = WAL_RECORD_COMMIT,
                                .version = 1000,
                                .time_us = -3,
                                .durable_version = 998,
                                .manifest = 4,
                                .chain = 0xfedcba9876543210,
                                .payload = bytes_of(bytes + WAL_RECORD_HEADER_SIZE, payload)};
    wal_record_seal(&record, &here, NUMBER, OFFSET, bytes);
    return record;
}

static bool record_accepts(void *context, struct bytes bytes)
{
    (void)context;
    bool whole;
    struct wal_record record;
    wal_record_open(bytes, &here, NUMBER, OFFSET, &whole, &record);
    return whole;
}

static void records_of_every_padding_round_trip(void **state)
{
    (void)state;
    uint8_t bytes[RECORD_MAX];
    for (size_t payload = 0; payload < 40; payload++) {
        memset(bytes, 0xee, sizeof(bytes));
        const struct wal_record wrote = seal_sample(bytes, payload);
        assert_int_equal(wrote.size, wal_record_size(payload));
        assert_int_equal(wrote.size % 8, 0);
        for (size_t at = WAL_RECORD_HEADER_SIZE + payload; at < wrote.size; at++)
            assert_int_equal(bytes[at], 0);
        assert_int_equal(bytes[wrote.size], 0xee);
        bool whole;
        struct wal_record read;
        wal_record_open(bytes_of(bytes, sizeof(bytes)), &here, NUMBER, OFFSET, &whole, &read);
        assert_true(whole);
        assert_int_equal(read.kind, wrote.kind);
        assert_true(read.version == wrote.version && read.time_us == wrote.time_us);
        assert_true(read.durable_version == wrote.durable_version);
        assert_true(read.manifest == wrote.manifest && read.chain == wrote.chain);
        assert_true(bytes_equal(read.payload, wrote.payload));
        assert_true(read.size == wrote.size && read.checksum == wrote.checksum);
        assert_int_equal(wal_record_size_claimed(bytes_of(bytes, sizeof(bytes))), wrote.size);
    }
}

static void every_changed_or_missing_byte_of_a_record_is_noticed(void **state)
{
    (void)state;
    uint8_t bytes[RECORD_MAX];
    for (size_t payload = 0; payload < 20; payload++) {
        const struct bytes whole = bytes_of(bytes, seal_sample(bytes, payload).size);
        assert_changes_are_refused(whole, record_accepts, NULL);
        assert_cuts_are_refused(whole, record_accepts, NULL);
    }
}

static void a_record_is_taken_only_in_its_own_place(void **state)
{
    (void)state;
    uint8_t bytes[RECORD_MAX];
    seal_sample(bytes, 20);
    const struct bytes all = bytes_of(bytes, sizeof(bytes));
    bool whole;
    struct wal_record record;
    wal_record_open(all, &here, NUMBER, OFFSET + 8, &whole, &record);
    assert_false(whole);
    wal_record_open(all, &here, NUMBER + 1, OFFSET, &whole, &record);
    assert_false(whole);
    struct identity other = here;
    other.incarnation++;
    wal_record_open(all, &other, NUMBER, OFFSET, &whole, &record);
    assert_false(whole);
}

struct record_case {
    size_t offset;
    uint32_t value;
};

static void implausible_records_claim_no_size(void **state)
{
    (void)state;
    static const struct record_case cases[] = {
        {8, 0},           {8, 56},           {8, 84},
        {8, 96},          {8, 80},           {8, UINT32_MAX - 7},
        {12, 0},          {12, 16},          {12, 25},
        {12, UINT32_MAX}, {16, 0},           {16, 2},
        {16, 1 << 8 | 1}, {16, 1 << 16 | 1}, {20, 1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t bytes[RECORD_MAX];
        const uint32_t size = seal_sample(bytes, 20).size;
        assert_int_equal(size, 88);
        store_u32(bytes + cases[i].offset, cases[i].value);
        if (wal_record_size_claimed(bytes_of(bytes, sizeof(bytes))) != 0)
            fail_msg("case %zu", i);
        const uint64_t seed = place_seed(&here, FAMILY_WAL, NUMBER, OFFSET);
        store_u64(bytes, place_checksum(bytes_of(bytes, size), seed));
        assert_false(record_accepts(NULL, bytes_of(bytes, sizeof(bytes))));
    }
    static const uint8_t zeros[RECORD_MAX];
    assert_int_equal(wal_record_size_claimed(bytes_of(zeros, sizeof(zeros))), 0);
    assert_int_equal(wal_record_size_claimed(bytes_of(zeros, 0)), 0);
}

static void a_record_cannot_know_itself_as_durable(void **state)
{
    (void)state;
    uint8_t bytes[RECORD_MAX];
    const uint32_t size = seal_sample(bytes, 20).size;
    store_u64(bytes + 40, 1000);
    const uint64_t seed = place_seed(&here, FAMILY_WAL, NUMBER, OFFSET);
    store_u64(bytes, place_checksum(bytes_of(bytes, size), seed));
    assert_false(record_accepts(NULL, bytes_of(bytes, size)));
}

static void decode_sealed(void *context, uint8_t *data, size_t length)
{
    (void)context;
    if (length >= WAL_HEADER_SIZE) {
        reseal_header(data);
        (void)header_accepts(NULL, bytes_of(data, length));
    }
    const uint32_t size = wal_record_size_claimed(bytes_of(data, length));
    if (size >= WAL_RECORD_HEADER_SIZE && size <= length)
        store_u64(data, place_checksum(bytes_of(data, size),
                                       place_seed(&here, FAMILY_WAL, NUMBER, OFFSET)));
    (void)record_accepts(NULL, bytes_of(data, length));
}

static void sealed_bytes_of_an_enemy_are_read_within_bounds(void **state)
{
    (void)state;
    static uint8_t bytes[WAL_HEADER_SIZE];
    const struct wal_header header = sample_header();
    wal_header_encode(&header, bytes);
    run_mutations(bytes_of(bytes, sizeof(bytes)), 1, 5000, decode_sealed, NULL);
    run_mutations(bytes_of(bytes, seal_sample(bytes, 20).size), 2, 30000, decode_sealed, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_round_trip),
        cmocka_unit_test(every_changed_or_missing_byte_of_a_header_is_noticed),
        cmocka_unit_test(a_header_is_taken_only_in_its_own_place),
        cmocka_unit_test(header_rules_hold_even_under_a_right_checksum),
        cmocka_unit_test(records_of_every_padding_round_trip),
        cmocka_unit_test(every_changed_or_missing_byte_of_a_record_is_noticed),
        cmocka_unit_test(a_record_is_taken_only_in_its_own_place),
        cmocka_unit_test(implausible_records_claim_no_size),
        cmocka_unit_test(a_record_cannot_know_itself_as_durable),
        cmocka_unit_test(sealed_bytes_of_an_enemy_are_read_within_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
