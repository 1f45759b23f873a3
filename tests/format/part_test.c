#include "format/part.h"

#include "format/hostile.h"
#include "format/place.h"
#include "layout/key.h"
#include "support.h"

enum { SEED = 3, UNIT = 4096, FIXED = 84 };

static struct part_footer sample_footer(struct bytes value_list)
{
    return (struct part_footer){
        .number = 123,
        .units = 40,
        .rows = 1000,
        .min_from = 7,
        .max_from = 900,
        .max_to = TO_OPEN,
        .bytes = 99999,
        .unit_size = UNIT,
        .role = ROLE_LIVE,
        .section_count = 4,
        .sections = {{.kind = SECTION_ROWS, .required = true, .unit = 30, .count = 28},
                     {.kind = SECTION_DIRECTORY, .required = true, .unit = 31, .count = 3},
                     {.kind = SECTION_BUCKETS, .unit = 32, .count = 125},
                     {.kind = 77, .unit = 0, .count = 0}},
        .value_list = value_list,
    };
}

static void encode_sample(struct buffer *out)
{
    struct buffer list;
    buffer_init(&list, &heap);
    assert_int_equal(part_values_append(&list, 500, 0), STRATA_OK);
    assert_int_equal(part_values_append(&list, OBJECT_NUMBER_MAX, UINT64_MAX), STRATA_OK);
    const struct part_footer footer = sample_footer(buffer_view(&list));
    assert_int_equal(part_footer_encode(&footer, out), STRATA_OK);
    buffer_release(&list);
}

static void footers_round_trip(void **state)
{
    (void)state;
    struct buffer out;
    buffer_init(&out, &heap);
    encode_sample(&out);
    struct part_footer read;
    assert_int_equal(part_footer_decode(buffer_view(&out), &read), STRATA_OK);
    const struct part_footer wrote = sample_footer(read.value_list);
    assert_true(read.number == wrote.number && read.units == wrote.units);
    assert_true(read.rows == wrote.rows && read.bytes == wrote.bytes);
    assert_true(read.min_from == wrote.min_from && read.max_from == wrote.max_from);
    assert_true(read.max_to == wrote.max_to && read.unit_size == wrote.unit_size);
    assert_int_equal(read.role, wrote.role);
    assert_int_equal(read.section_count, wrote.section_count);
    for (uint32_t i = 0; i < read.section_count; i++) {
        assert_int_equal(read.sections[i].kind, wrote.sections[i].kind);
        assert_int_equal(read.sections[i].required, wrote.sections[i].required);
        assert_int_equal(read.sections[i].unit, wrote.sections[i].unit);
        assert_true(read.sections[i].count == wrote.sections[i].count);
    }
    assert_ptr_equal(part_section_find(&read, SECTION_BUCKETS), &read.sections[2]);
    read.section_count = 2;
    assert_null(part_section_find(&read, SECTION_BUCKETS));

    bool found;
    uint64_t object, bytes;
    assert_int_equal(part_values_next(&read.value_list, &found, &object, &bytes), STRATA_OK);
    assert_true(found && object == 500 && bytes == 0);
    assert_int_equal(part_values_next(&read.value_list, &found, &object, &bytes), STRATA_OK);
    assert_true(found && object == OBJECT_NUMBER_MAX && bytes == UINT64_MAX);
    assert_int_equal(part_values_next(&read.value_list, &found, &object, &bytes), STRATA_OK);
    assert_false(found);
    buffer_release(&out);
}

struct footer_case {
    size_t offset;
    size_t width;
    uint64_t value;
    strata_status expected;
};

static void footer_rules_hold_whatever_the_bytes(void **state)
{
    (void)state;
    static const struct footer_case cases[] = {
        {0, 1, 'X', STRATA_CORRUPT},
        {8, 4, 2, STRATA_UNSUPPORTED},
        {8, 4, 0, STRATA_CORRUPT},
        {12, 4, 5000, STRATA_CORRUPT},
        {12, 4, 2048, STRATA_CORRUPT},
        {12, 4, 131072, STRATA_CORRUPT},
        {12, 4, 0, STRATA_CORRUPT},
        {16, 8, OBJECT_NUMBER_MAX + 1, STRATA_CORRUPT},
        {24, 8, 0, STRATA_CORRUPT},
        {24, 8, (uint64_t)1 << 32, STRATA_CORRUPT},
        {24, 8, 31, STRATA_CORRUPT},
        {32, 8, 0, STRATA_CORRUPT},
        {32, 8, UINT64_MAX, STRATA_CORRUPT},
        {40, 8, 901, STRATA_CORRUPT},
        {72, 1, 0, STRATA_CORRUPT},
        {72, 1, 3, STRATA_CORRUPT},
        {73, 1, 1, STRATA_CORRUPT},
        {79, 1, 1, STRATA_CORRUPT},
        {80, 4, 17, STRATA_CORRUPT},
        {80, 4, UINT32_MAX, STRATA_CORRUPT},
        {80, 4, 0, STRATA_CORRUPT},
        {FIXED, 2, SECTION_DIRECTORY, STRATA_CORRUPT},
        {FIXED, 2, 78, STRATA_UNSUPPORTED},
        {FIXED + 2, 2, 2, STRATA_CORRUPT},
        {FIXED + 4, 4, 40, STRATA_CORRUPT},
        {FIXED + 8, 8, 41, STRATA_CORRUPT},
        {FIXED + 8, 8, 0, STRATA_CORRUPT},
        {FIXED + 16 + 8, 8, 1001, STRATA_CORRUPT},
        {FIXED + 32 + 8, 8, 8 * 63 + 1, STRATA_CORRUPT},
        {FIXED + 32 + 8, 8, 8 * 63, STRATA_OK},
        {FIXED + 48 + 2, 2, 1, STRATA_UNSUPPORTED},
        {FIXED + 64, 2, 0x0080, STRATA_CORRUPT},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buffer out;
        buffer_init(&out, &heap);
        encode_sample(&out);
        for (size_t byte = 0; byte < cases[i].width; byte++)
            out.data[cases[i].offset + byte] = (uint8_t)(cases[i].value >> 8 * byte);
        struct part_footer footer;
        if (part_footer_decode(buffer_view(&out), &footer) != cases[i].expected)
            fail_msg("case %zu: %s", i, strata_error_message());
        buffer_release(&out);
    }
}

static void a_newer_format_says_so(void **state)
{
    (void)state;
    struct buffer out;
    buffer_init(&out, &heap);
    encode_sample(&out);
    store_u32(out.data + 8, 9);
    struct part_footer footer;
    assert_int_equal(part_footer_decode(buffer_view(&out), &footer), STRATA_UNSUPPORTED);
    assert_string_equal(strata_error_message(), "format 9 is newer than this library's 1");
    buffer_release(&out);
}

/* As a part holds it: in a frame, whose checksum guards it. */
static bool footer_frame_accepts(void *context, struct bytes bytes)
{
    (void)context;
    struct frame frame;
    struct part_footer footer;
    if (frame_open(bytes, UNIT, SEED, &frame) != STRATA_OK || frame.kind != FRAME_FOOTER)
        return false;
    const struct bytes content =
        bytes_of(bytes.data + FRAME_HEADER_SIZE, frame.used - FRAME_HEADER_SIZE);
    return part_footer_decode(content, &footer) == STRATA_OK;
}

static void every_changed_or_missing_byte_is_noticed(void **state)
{
    (void)state;
    struct buffer content, out;
    buffer_init(&content, &heap);
    buffer_init(&out, &heap);
    encode_sample(&content);
    uint32_t units;
    assert_int_equal(frame_seal_content(FRAME_FOOTER, UNIT, FRAME_HEADER_SIZE,
                                        buffer_view(&content), SEED, &out, &units),
                     STRATA_OK);
    assert_changes_are_refused(buffer_view(&out), footer_frame_accepts, NULL);
    assert_cuts_are_refused(buffer_view(&out), footer_frame_accepts, NULL);
    buffer_release(&content);
    buffer_release(&out);
}

static void decode_footer(void *context, uint8_t *data, size_t length)
{
    (void)context;
    struct part_footer footer;
    bool found = true;
    uint64_t object, bytes;
    if (part_footer_decode(bytes_of(data, length), &footer) != STRATA_OK)
        return;
    while (found)
        assert_int_equal(part_values_next(&footer.value_list, &found, &object, &bytes), STRATA_OK);
}

static void bytes_of_an_enemy_are_read_within_bounds(void **state)
{
    (void)state;
    struct buffer out;
    buffer_init(&out, &heap);
    encode_sample(&out);
    run_mutations(buffer_view(&out), 1, 20000, decode_footer, NULL);
    buffer_release(&out);
}

static void entries_round_trip_and_have_one_size(void **state)
{
    (void)state;
    uint8_t index[INDEX_ENTRY_SIZE + 1], slice[SLICE_ENTRY_SIZE + 1];
    const struct index_entry entry = {.unit = 7, .min_from = 8, .max_to = TO_OPEN};
    struct index_entry entry_read;
    index_entry_store(index, &entry);
    assert_int_equal(index_entry_load(bytes_of(index, INDEX_ENTRY_SIZE), &entry_read), STRATA_OK);
    assert_true(entry_read.unit == 7 && entry_read.min_from == 8 && entry_read.max_to == TO_OPEN);

    const struct slice_entry wrote = {
        .rows = 1, .bytes = 2, .first_unit = 3, .max_from = 4, .max_to = 5};
    struct slice_entry read;
    slice_entry_store(slice, &wrote);
    assert_int_equal(slice_entry_load(bytes_of(slice, SLICE_ENTRY_SIZE), &read), STRATA_OK);
    assert_true(read.rows == 1 && read.bytes == 2 && read.first_unit == 3);
    assert_true(read.max_from == 4 && read.max_to == 5);

    index[INDEX_ENTRY_SIZE] = slice[SLICE_ENTRY_SIZE] = 0;
    for (size_t i = 0; i < INDEX_ENTRY_SIZE; i++)
        assert_int_equal(index_entry_load(bytes_of(index, i), &entry_read), STRATA_CORRUPT);
    for (size_t i = 0; i < SLICE_ENTRY_SIZE; i++)
        assert_int_equal(slice_entry_load(bytes_of(slice, i), &read), STRATA_CORRUPT);
    assert_int_equal(index_entry_load(bytes_of(index, sizeof(index)), &entry_read), STRATA_CORRUPT);
    assert_int_equal(slice_entry_load(bytes_of(slice, sizeof(slice)), &read), STRATA_CORRUPT);
}

static void a_separator_is_the_shortest_prefix_above(void **state)
{
    (void)state;
    static const char *const cases[][3] = {{"a", "b", "b"},          {"abc", "abd", "abd"},
                                           {"ab", "abcd", "abc"},    {"", "x", "x"},
                                           {"apple", "banana", "b"}, {"az", "b", "b"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct bytes last = bytes_of(cases[i][0], strlen(cases[i][0]));
        const struct bytes first = bytes_of(cases[i][1], strlen(cases[i][1]));
        const struct bytes separator = separator_between(last, first);
        assert_true(bytes_equal(separator, bytes_of(cases[i][2], strlen(cases[i][2]))));
        assert_true(bytes_compare(last, separator) < 0);
        assert_true(bytes_compare(separator, first) <= 0);
    }
}

static void buckets_find_what_was_added_and_mark_overflow(void **state)
{
    (void)state;
    uint8_t bucket[BUCKET_SIZE] = {0};
    assert_int_equal(bucket_match(bucket, 0), 0);
    for (uint64_t slot = 0; slot < BUCKET_SLOTS; slot++)
        assert_true(bucket_add(bucket, (slot % 5) << 48 | slot, (uint32_t)(1000 + slot)));
    assert_false(bucket_overflows(bucket));
    assert_int_equal(bucket_match(bucket, (uint64_t)3 << 48), 1 << 3 | 1 << 8);
    assert_int_equal(bucket_match(bucket, (uint64_t)5 << 48), 0);
    assert_int_equal(bucket_place(bucket, 8), 1008);
    assert_false(bucket_add(bucket, (uint64_t)9 << 48, 1));
    assert_true(bucket_overflows(bucket));
    assert_int_equal(bucket_match(bucket, (uint64_t)9 << 48), 0);
    bucket[60] = 255;
    assert_int_equal(bucket_match(bucket, 0), 1 << 0 | 1 << 5);
    bucket[60] = 4;
    assert_int_equal(bucket_match(bucket, (uint64_t)3 << 48), 1 << 3);
}

static void every_hash_has_a_bucket(void **state)
{
    (void)state;
    static const uint64_t counts[] = {1, 2, 63, 1000000, UINT32_MAX};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        assert_int_equal(bucket_of(0, counts[i]), 0);
        assert_true(bucket_of(UINT64_MAX, counts[i]) == counts[i] - 1);
    }
    assert_int_equal(buckets_per_unit(4096), 63);
    assert_int_equal(buckets_per_unit(65536), 1023);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(footers_round_trip),
        cmocka_unit_test(footer_rules_hold_whatever_the_bytes),
        cmocka_unit_test(a_newer_format_says_so),
        cmocka_unit_test(every_changed_or_missing_byte_is_noticed),
        cmocka_unit_test(bytes_of_an_enemy_are_read_within_bounds),
        cmocka_unit_test(entries_round_trip_and_have_one_size),
        cmocka_unit_test(a_separator_is_the_shortest_prefix_above),
        cmocka_unit_test(buckets_find_what_was_added_and_mark_overflow),
        cmocka_unit_test(every_hash_has_a_bucket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
