#include "format/batch.h"

#include "format/hostile.h"
#include "layout/key.h"
#include "support.h"

static uint8_t big_key[USER_KEY_SIZE_MAX];
static uint8_t big_value[INLINE_VALUE_SIZE_MAX];
static uint8_t reference[VALUE_REFERENCE_SIZE];

enum { ROWS = 9 };

static void sample_rows(struct batch_row rows[ROWS])
{
    memset(big_key, 'k', sizeof(big_key));
    memset(big_value, 'v', sizeof(big_value));
    value_reference_store(reference, (struct value_reference){.object = 5, .size = VALUE_SIZE_MAX});
    const struct bytes key = bytes_of("key", 3), counter = bytes_of("\1\2\3\4\5\6\7\10", 8);
    const struct batch_row all[ROWS] = {
        {.kind = ROW_PUT, .space = 17, .key = key, .value = bytes_of("value", 5)},
        {.kind = ROW_PUT,
         .space = UINT32_MAX,
         .key = bytes_of(big_key, sizeof(big_key)),
         .value = bytes_of(big_value, sizeof(big_value))},
        {.kind = ROW_PUT, .flags = BATCH_EXPIRES, .key = key, .expires_us = INT64_MIN},
        {.kind = ROW_PUT, .flags = BATCH_LIVES, .key = key, .expires_us = 1},
        {.kind = ROW_DELETE, .flags = BATCH_SYSTEM, .space = SYSTEM_NAMES, .key = key},
        {.kind = ROW_VALUE_REFERENCE, .key = key, .value = bytes_of(reference, 16)},
        {.kind = ROW_COUNTER, .flags = BATCH_INCREMENT, .key = key, .value = counter},
        {.kind = ROW_COUNTER,
         .flags = BATCH_INCREMENT | BATCH_LIVES,
         .key = key,
         .value = counter,
         .expires_us = INT64_MAX},
        {.kind = ROW_RANGE_DELETE, .space = 33},
    };
    memcpy(rows, all, sizeof(all));
}

static void encode_sample(struct buffer *out)
{
    struct batch_row rows[ROWS];
    sample_rows(rows);
    const struct batch_header header = {
        .branch = UINT64_MAX, .row_count = ROWS, .message = bytes_of("why", 3)};
    assert_int_equal(batch_header_append(out, &header), STRATA_OK);
    for (size_t i = 0; i < ROWS; i++)
        assert_int_equal(batch_row_append(out, &rows[i]), STRATA_OK);
}

static void batches_round_trip(void **state)
{
    (void)state;
    struct buffer out;
    buffer_init(&out, &heap);
    encode_sample(&out);
    struct bytes rest = buffer_view(&out);
    struct batch_header header;
    assert_int_equal(batch_header_take(&rest, &header), STRATA_OK);
    assert_true(header.branch == UINT64_MAX);
    assert_int_equal(header.row_count, ROWS);
    assert_true(bytes_equal(header.message, bytes_of("why", 3)));
    struct batch_row rows[ROWS], read;
    sample_rows(rows);
    for (size_t i = 0; i < ROWS; i++) {
        assert_int_equal(batch_row_take(&rest, &read), STRATA_OK);
        assert_int_equal(read.kind, rows[i].kind);
        assert_int_equal(read.flags, rows[i].flags);
        assert_int_equal(read.space, rows[i].space);
        assert_true(bytes_equal(read.key, rows[i].key));
        assert_true(bytes_equal(read.value, rows[i].value));
        assert_true(read.expires_us == rows[i].expires_us);
    }
    assert_int_equal(rest.length, 0);
    assert_int_equal(batch_row_take(&rest, &read), STRATA_CORRUPT);
    buffer_release(&out);
}

struct batch_case {
    const char *bytes;
    size_t size;
    strata_status expected;
};
#define BATCH_CASE(text, status)                                                                   \
    {                                                                                              \
        text, sizeof(text) - 1, status                                                             \
    }

static void row_rules_hold_and_failures_take_nothing(void **state)
{
    (void)state;
    static const struct batch_case cases[] = {
        BATCH_CASE("\x01\x11\x01\x01kv", STRATA_OK),
        BATCH_CASE("\x00\x11\x01\x01kv", STRATA_CORRUPT),     /* Kinds. */
        BATCH_CASE("\x06\x11\x01\x01kv", STRATA_UNSUPPORTED), /* Reserved. */
        BATCH_CASE("\x16\xff", STRATA_UNSUPPORTED),
        BATCH_CASE("\x07\x11\x01\x10k\7\0\0\0\0\0\0\0\1\0\0\0\1\0\0\0", STRATA_UNSUPPORTED),
        BATCH_CASE("\x08\x11\x01\x01kv", STRATA_CORRUPT),
        BATCH_CASE("\x0f\x11\x01\x01kv", STRATA_CORRUPT),
        BATCH_CASE("\x02\x11\x01\x01kv", STRATA_CORRUPT), /* A deletion with a value. */
        BATCH_CASE("\x01\xff\xff\xff\xff\x10\x01\x01kv", STRATA_CORRUPT), /* Space over 32 bits. */
        BATCH_CASE("\x01\xff\xff\xff\xff\x0f\x01\x01kv", STRATA_OK),
        BATCH_CASE("\x01\x11\x00\x01v", STRATA_CORRUPT), /* The empty key. */
        BATCH_CASE("\x05\x11\x00\x00", STRATA_OK),
        BATCH_CASE("\x05\x11\x01\x00k", STRATA_CORRUPT),
        BATCH_CASE("\x05\x11\x00\x01v", STRATA_CORRUPT),
        BATCH_CASE("\x04\x11\x01\x01kv", STRATA_CORRUPT), /* Sizes of counters, references. */
        BATCH_CASE("\x03\x11\x01\x01kv", STRATA_CORRUPT),
        BATCH_CASE("\x03\x11\x01\x10k\7\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0", STRATA_OK),
        BATCH_CASE("\x03\x11\x01\x10k\7\0\0\0\0\0\0\1\1\0\0\0\0\0\0\0", STRATA_CORRUPT),
        BATCH_CASE("\x61\x11\x01\x01\1\0\0\0\0\0\0\0kv", STRATA_CORRUPT), /* Both expiries. */
        BATCH_CASE("\x21\x11\x01\x01\1\0\0\0\0\0\0\0kv", STRATA_OK),
        BATCH_CASE("\x21\x11\x01\x01\0\0\0\0\0\0\0\0kv", STRATA_CORRUPT),
        BATCH_CASE("\x41\x11\x01\x01\0\0\0\0\0\0\0\x80kv", STRATA_CORRUPT),
        BATCH_CASE("\x81\x11\x01\x01kv", STRATA_CORRUPT),         /* Increments a value. */
        BATCH_CASE("\x01\x11\x81\x80\x01\x01kv", STRATA_CORRUPT), /* Sizes over their limits. */
        BATCH_CASE("\x01\x11\x01\x81\x80\x04kv", STRATA_CORRUPT),
        BATCH_CASE("\x01\x11\x01\x02kv", STRATA_CORRUPT),
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bytes rest = bytes_of(cases[i].bytes, cases[i].size);
        struct batch_row row;
        if (batch_row_take(&rest, &row) != cases[i].expected)
            fail_msg("case %zu: %s", i, strata_error_message());
        assert_int_equal(rest.length, cases[i].expected == STRATA_OK ? 0 : cases[i].size);
    }
}

static void header_rules_hold(void **state)
{
    (void)state;
    static const struct batch_case cases[] = {
        BATCH_CASE("\x01\x00\x00", STRATA_OK),
        BATCH_CASE("\x01\x01\x00", STRATA_CORRUPT), /* More rows than can be in no bytes. */
        BATCH_CASE("\x01\x01\x00\x05\x11\x00\x00", STRATA_OK),
        BATCH_CASE("\x01\x02\x00\x05\x11\x00\x00", STRATA_CORRUPT),
        BATCH_CASE("\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00", STRATA_CORRUPT),
        BATCH_CASE("\x01\x00\x01", STRATA_CORRUPT),
        BATCH_CASE("\x01\x00\x80\x08", STRATA_CORRUPT), /* A message of 1,024 bytes. */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bytes rest = bytes_of(cases[i].bytes, cases[i].size);
        struct batch_header header;
        if (batch_header_take(&rest, &header) != cases[i].expected)
            fail_msg("case %zu: %s", i, strata_error_message());
    }
}

/* Whether the whole of it is a batch with nothing behind it. */
static bool batch_accepts(void *context, struct bytes bytes)
{
    (void)context;
    struct batch_header header;
    if (batch_header_take(&bytes, &header) != STRATA_OK)
        return false;
    for (uint64_t i = 0; i < header.row_count; i++) {
        struct batch_row row;
        if (batch_row_take(&bytes, &row) != STRATA_OK)
            return false;
    }
    return bytes.length == 0;
}

static void decode_batch(void *context, uint8_t *data, size_t length)
{
    (void)batch_accepts(context, bytes_of(data, length));
}

static void cut_off_batches_are_refused_and_changed_ones_read_within_bounds(void **state)
{
    (void)state;
    struct buffer out;
    buffer_init(&out, &heap);
    const struct batch_header header = {.branch = 1, .row_count = 3, .message = bytes_of("m", 1)};
    assert_int_equal(batch_header_append(&out, &header), STRATA_OK);
    struct batch_row rows[ROWS];
    sample_rows(rows);
    for (size_t i = 2; i < 5; i++)
        assert_int_equal(batch_row_append(&out, &rows[i]), STRATA_OK);
    assert_true(batch_accepts(NULL, buffer_view(&out)));
    assert_cuts_are_refused(buffer_view(&out), batch_accepts, NULL);
    run_mutations(buffer_view(&out), 2, 50000, decode_batch, NULL);
    buffer_release(&out);
}

static void appending_without_memory_leaves_the_buffer_unchanged(void **state)
{
    (void)state;
    struct batch_row rows[ROWS];
    sample_rows(rows);
    struct buffer out;
    buffer_init(&out, &no_heap);
    assert_int_equal(batch_row_append(&out, &rows[1]), STRATA_NO_MEMORY);
    assert_int_equal(batch_header_append(&out, &(struct batch_header){.branch = 1}),
                     STRATA_NO_MEMORY);
    assert_int_equal(out.length, 0);
    buffer_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches_round_trip),
        cmocka_unit_test(row_rules_hold_and_failures_take_nothing),
        cmocka_unit_test(header_rules_hold),
        cmocka_unit_test(cut_off_batches_are_refused_and_changed_ones_read_within_bounds),
        cmocka_unit_test(appending_without_memory_leaves_the_buffer_unchanged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
