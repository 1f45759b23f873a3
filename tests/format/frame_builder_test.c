#include "format/frame.h"

#include "format/samples.h"
#include "layout/key.h"
#include "support.h"

enum { SEED = 12345, SAMPLES = 40 };

static const size_t unit_sizes[] = {4096, 8192, 16384, 32768, 65536};

/* Of units and of frames. */
static const size_t frame_sizes[][2] = {
    {4096, 4096}, {4096, 16384}, {16384, 16384}, {4096, 65536}, {65536, 65536}, {8192, 32768},
};

static void assert_row_equals(const struct frame *frame, unsigned index, const struct row *row)
{
    struct frame_row read, again;
    assert_int_equal(frame_row_at(frame, index, &read), STRATA_OK);
    assert_int_equal(frame->prefix.length + read.suffix.length, row->key.length);
    assert_true(bytes_start_with(row->key, frame->prefix));
    assert_true(bytes_equal(bytes_after(row->key, frame->prefix.length), read.suffix));
    assert_true(bytes_equal(row->value, read.value));
    assert_int_equal(read.kind, row->kind);
    assert_true(read.from == row->from);
    assert_true(read.to == row->to);
    assert_true(read.time_us == row->time_us);
    assert_true(read.expires_us == row->expires_us);

    const uint32_t offset = frame_row_offset(frame->bytes.data, index);
    assert_int_equal(offset % FRAME_ROW_ALIGNMENT, 0);
    assert_int_equal(frame_row_at_offset(frame, offset, &again), STRATA_OK);
    assert_ptr_equal(again.suffix.data, read.suffix.data);
    assert_ptr_equal(again.value.data, read.value.data);
    assert_int_equal(again.value.length, read.value.length);
    assert_true(again.from == read.from && again.to == read.to && again.kind == read.kind);
}

/* Finishes the frame, and finds `count` rows in it. Returns the bytes used. */
static uint32_t finish_and_compare(struct frame_builder *builder, const struct row *rows,
                                   unsigned count)
{
    struct buffer out;
    buffer_init(&out, &heap);
    uint32_t units = 0;
    assert_int_equal(frame_builder_finish(builder, SEED, &out, &units), STRATA_OK);
    assert_int_equal(out.length, units * builder->unit_size);
    assert_int_equal(units, frame_units_claimed(out.data));
    assert_true(count == 1 || out.length <= FRAME_BYTES_MAX);
    assert_true(count == 1 || out.length <= 4 * builder->frame_size);
    assert_int_equal(builder->row_count, 0);

    struct frame frame;
    assert_int_equal(frame_open(buffer_view(&out), builder->unit_size, SEED, &frame), STRATA_OK);
    assert_int_equal(frame.row_count, count);
    assert_int_equal(frame_check_padding(&frame), STRATA_OK);
    for (unsigned i = 0; i < count; i++)
        assert_row_equals(&frame, i, &rows[i]);
    buffer_release(&out);
    return frame.used;
}

static void rows_of_any_shape_round_trip_and_never_overflow_a_frame(void **state)
{
    (void)state;
    static const struct sample_shape shapes[] = {
        {.keys = 300, .user_key_max = 20, .value_max = 100},
        {.keys = 300, .user_key_max = 300, .value_max = 20, .wide = true},
        {.keys = 100, .user_key_max = 5, .value_max = 0, .wide = true},
        {.keys = 20, .user_key_max = 16384, .value_max = 65536},
        {.keys = 300, .user_key_max = 130, .value_max = 130},
    };
    for (unsigned run = 0; run < SAMPLES; run++) {
        struct sample sample;
        sample_create(&sample, &shapes[run % 5], run);
        struct frame_builder builder;
        const size_t *sizes = frame_sizes[run / 5 % 6];
        frame_builder_init(&builder, &heap, sizes[0], sizes[1], FRAME_ROWS);
        unsigned first = 0;
        for (unsigned i = 0; i < sample.count; i++) {
            if (!frame_builder_fits(&builder, &sample.rows[i])) {
                finish_and_compare(&builder, sample.rows + first, i - first);
                first = i;
            }
            assert_int_equal(frame_builder_add(&builder, &sample.rows[i]), STRATA_OK);
        }
        finish_and_compare(&builder, sample.rows + first, sample.count - first);
        frame_builder_release(&builder);
        sample_release(&sample);
    }
}

/* Bytes used by the frames of a sample, of each hundred in their units. */
static uint64_t fill_of(const struct sample_shape *shape, size_t frame_size)
{
    struct sample sample;
    sample_create(&sample, shape, 1);
    struct frame_builder builder;
    frame_builder_init(&builder, &heap, 4096, frame_size, FRAME_ROWS);
    unsigned first = 0;
    uint64_t units = 0, used = 0;
    for (unsigned i = 0; i < sample.count; i++) {
        if (!frame_builder_fits(&builder, &sample.rows[i])) {
            const uint32_t size = finish_and_compare(&builder, sample.rows + first, i - first);
            units += (size + 4095) / 4096;
            used += size;
            first = i;
        }
        assert_int_equal(frame_builder_add(&builder, &sample.rows[i]), STRATA_OK);
    }
    assert_true(units > 20);
    frame_builder_release(&builder);
    sample_release(&sample);
    return 100 * used / (units * 4096);
}

/* The bound is no more than a few bytes a row above the truth, and frames of few rows go on until they
 * fill their units. */
static void frames_are_filled_well(void **state)
{
    (void)state;
    const struct sample_shape small = {.keys = 4000, .user_key_max = 20, .value_max = 60};
    const struct sample_shape large = {.keys = 900, .user_key_max = 20, .value_max = 2000};
    const struct sample_shape larger = {.keys = 200, .user_key_max = 20, .value_max = 8000};
    assert_in_range(fill_of(&small, 4096), 95, 100);
    assert_in_range(fill_of(&small, 16384), 98, 100);
    assert_in_range(fill_of(&large, 4096), 87, 100);
    assert_in_range(fill_of(&large, 16384), 90, 100);
    assert_in_range(fill_of(&larger, 16384), 87, 100);
}

static void one_row_may_fill_many_units(void **state)
{
    (void)state;
    static const size_t sizes[][2] = {{1, 0},         {16384, 65536}, {16384, 0},
                                      {1, 65536},     {0, 0},         {100, 4096 - 40},
                                      {4096, 4096},   {1, 4096 - 72}, {1, 4096 - 64},
                                      {16384, 49152}, {1, 8192 - 68}};
    for (size_t unit = 0; unit < sizeof(unit_sizes) / sizeof(unit_sizes[0]); unit++) {
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            struct sample sample;
            arena_init(&sample.arena, &heap, 4096);
            struct row row = sample_row(&sample, sizes[i][0], sizes[i][1]);
            struct frame_builder builder;
            frame_builder_init(&builder, &heap, unit_sizes[unit], unit_sizes[unit], FRAME_ROWS);
            assert_true(frame_builder_fits(&builder, &row));
            assert_int_equal(frame_builder_add(&builder, &row), STRATA_OK);
            const uint32_t used = finish_and_compare(&builder, &row, 1);
            /* 40 of header, 5 to 7 of fields, 2 of offset, up to 6 of padding. */
            const size_t content = row.key.length + row.value.length;
            assert_in_range(used, content + 47, content + 55);
            frame_builder_release(&builder);
            arena_release(&sample.arena);
        }
    }
}

/* Around the end of a frame, every size of the last value either fits and is whole, or does not. */
static void the_last_bytes_of_a_frame_are_used_and_not_one_more(void **state)
{
    (void)state;
    unsigned fitting = 0;
    for (size_t value_size = 65536 - 16384 - 200; value_size < 65536 - 16384; value_size++) {
        struct sample sample;
        arena_init(&sample.arena, &heap, 4096);
        struct row rows[2] = {sample_row(&sample, 10, 16384), sample_row(&sample, 11, value_size)};
        struct frame_builder builder;
        frame_builder_init(&builder, &heap, 4096, 65536, FRAME_ROWS);
        assert_int_equal(frame_builder_add(&builder, &rows[0]), STRATA_OK);
        if (frame_builder_fits(&builder, &rows[1])) {
            assert_int_equal(frame_builder_add(&builder, &rows[1]), STRATA_OK);
            finish_and_compare(&builder, rows, 2);
            fitting++;
        } else {
            finish_and_compare(&builder, rows, 1);
        }
        frame_builder_release(&builder);
        arena_release(&sample.arena);
    }
    assert_in_range(fitting, 85, 125);
}

/* A frame of its target size is full, unless an eighth of its units would stay empty. */
static void a_frame_grows_beyond_its_target_to_fill_its_units(void **state)
{
    (void)state;
    for (size_t value_size = 2000; value_size < 9000; value_size += 100) {
        struct sample sample;
        arena_init(&sample.arena, &heap, 4096);
        struct frame_builder builder;
        frame_builder_init(&builder, &heap, 4096, 4096, FRAME_ROWS);
        struct row rows[8] = {sample_row(&sample, 10, value_size)};
        unsigned count = 0;
        for (; count < 8; count++) {
            rows[count] = rows[0];
            rows[count].from = 100 - count;
            if (!frame_builder_fits(&builder, &rows[count]))
                break;
            assert_int_equal(frame_builder_add(&builder, &rows[count]), STRATA_OK);
        }
        const size_t used = finish_and_compare(&builder, rows, count);
        const size_t whole = (used + 4095) / 4096 * 4096;
        assert_true((whole - used) * 8 <= whole + 8 * 40 || used + value_size > 4 * 4096);
        frame_builder_release(&builder);
        arena_release(&sample.arena);
    }
}

static void every_combination_of_end_and_expiry_round_trips(void **state)
{
    (void)state;
    static const uint64_t froms[] = {0, 1, 127, 128, UINT64_MAX - 1};
    static const int64_t times[] = {INT64_MIN, -1, 0, 1, INT64_MAX};
    static const int64_t expiries[] = {0, 1, -1, INT64_MIN, INT64_MAX};
    for (size_t i = 0; i < 5 * 5 * 5 * 3; i++) {
        struct sample sample;
        arena_init(&sample.arena, &heap, 4096);
        struct row rows[2] = {sample_row(&sample, 3, 0), sample_row(&sample, 4, 3)};
        rows[0].from = froms[i % 5];
        rows[0].time_us = times[i / 5 % 5];
        rows[0].expires_us = expiries[i / 25 % 5];
        const uint64_t ends[] = {0, rows[0].from + 1, UINT64_MAX};
        rows[0].to = ends[i / 125];
        struct frame_builder builder;
        frame_builder_init(&builder, &heap, 4096, 4096, FRAME_ROWS);
        for (unsigned row = 0; row < 2; row++)
            assert_int_equal(frame_builder_add(&builder, &rows[row]), STRATA_OK);
        finish_and_compare(&builder, rows, 2);
        frame_builder_release(&builder);
        arena_release(&sample.arena);
    }
}

static void a_frame_holds_no_more_rows_than_it_may(void **state)
{
    (void)state;
    struct frame_builder builder;
    frame_builder_init(&builder, &heap, FRAME_UNIT_SIZE_MAX, FRAME_UNIT_SIZE_MAX, FRAME_ROWS);
    uint8_t key[KEY_PREFIX_SIZE + 1];
    key_prefix_store(key, BRANCH_MAIN, storage_space(SPACE_DEFAULT, KIND_KV));
    key[KEY_PREFIX_SIZE] = 'k';
    struct row row = {.key = bytes_of(key, sizeof(key)), .from = 1000000, .kind = ROW_DELETE};
    while (frame_builder_fits(&builder, &row)) {
        assert_int_equal(frame_builder_add(&builder, &row), STRATA_OK);
        row.from--;
    }
    assert_in_range(builder.row_count, FRAME_ROWS_MAX / 2, FRAME_ROWS_MAX);
    struct buffer out;
    uint32_t units;
    buffer_init(&out, &heap);
    assert_int_equal(frame_builder_finish(&builder, SEED, &out, &units), STRATA_OK);
    assert_int_equal(units, 1);
    buffer_release(&out);
    frame_builder_release(&builder);
}

/* Builds one frame; a refused request is passed on, and then everything is as it was. */
static strata_status build_one(const strata_allocator *allocator, struct buffer *out)
{
    struct sample sample;
    arena_init(&sample.arena, &heap, 4096);
    struct row rows[3] = {sample_row(&sample, 10, 2000), sample_row(&sample, 11, 1000),
                          sample_row(&sample, 12, 10)};
    struct frame_builder builder;
    frame_builder_init(&builder, allocator, 4096, 4096, FRAME_ROWS);
    strata_status status = STRATA_OK;
    for (unsigned i = 0; i < 3 && status == STRATA_OK; i++) {
        status = frame_builder_add(&builder, &rows[i]);
        assert_int_equal(builder.row_count, i + (status == STRATA_OK));
    }
    uint32_t units;
    const size_t before = out->length;
    if (status == STRATA_OK) {
        status = frame_builder_finish(&builder, SEED, out, &units);
        assert_int_equal(builder.row_count, status == STRATA_OK ? 0 : 3);
    }
    assert_true(status == STRATA_OK || out->length == before);
    frame_builder_release(&builder);
    arena_release(&sample.arena);
    return status;
}

static void building_without_memory_fails_and_leaves_no_trace(void **state)
{
    (void)state;
    struct test_heap counted;
    const strata_allocator allocator = test_heap_init(&counted);
    bool complete = false;
    for (uint64_t fail_at = 1; !complete; fail_at++) {
        counted.requests = 0;
        counted.fail_at = fail_at;
        struct buffer out;
        buffer_init(&out, &allocator);
        const strata_status status = build_one(&allocator, &out);
        complete = fail_at > counted.requests;
        assert_int_equal(status, complete ? STRATA_OK : STRATA_NO_MEMORY);
        buffer_release(&out);
        test_heap_assert_empty(&counted);
    }
    assert_true(counted.requests > 2);
}

static void content_frames_take_the_units_they_need(void **state)
{
    (void)state;
    static uint8_t content[70000];
    memset(content, 7, sizeof(content));
    static const size_t lengths[] = {0, 1, 4096 - 64, 4096 - 40, 4096 - 39, 70000};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        struct buffer out;
        buffer_init(&out, &heap);
        uint32_t units;
        assert_int_equal(frame_seal_content(FRAME_FOOTER, 4096, FRAME_HEADER_SIZE,
                                            bytes_of(content, lengths[i]), SEED, &out, &units),
                         STRATA_OK);
        assert_int_equal(units, (FRAME_HEADER_SIZE + lengths[i] + 4095) / 4096);
        assert_int_equal(out.length, units * 4096);
        struct frame frame;
        assert_int_equal(frame_open(buffer_view(&out), 4096, SEED, &frame), STRATA_OK);
        assert_int_equal(frame.kind, FRAME_FOOTER);
        assert_int_equal(frame.used, FRAME_HEADER_SIZE + lengths[i]);
        assert_memory_equal(frame.bytes.data + FRAME_HEADER_SIZE, content, lengths[i]);
        buffer_release(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_of_any_shape_round_trip_and_never_overflow_a_frame),
        cmocka_unit_test(frames_are_filled_well),
        cmocka_unit_test(one_row_may_fill_many_units),
        cmocka_unit_test(the_last_bytes_of_a_frame_are_used_and_not_one_more),
        cmocka_unit_test(a_frame_grows_beyond_its_target_to_fill_its_units),
        cmocka_unit_test(every_combination_of_end_and_expiry_round_trips),
        cmocka_unit_test(a_frame_holds_no_more_rows_than_it_may),
        cmocka_unit_test(building_without_memory_fails_and_leaves_no_trace),
        cmocka_unit_test(content_frames_take_the_units_they_need),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
