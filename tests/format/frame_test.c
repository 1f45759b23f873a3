#include "format/frame.h"

#include "format/hostile.h"
#include "format/part.h"
#include "format/place.h"
#include "format/samples.h"
#include "layout/key.h"
#include "support.h"

#include <stdlib.h>

enum { SEED = 99, UNIT = 4096 };

/* For the heads of any frame. */
static uint64_t heads_memory[FRAME_ROWS_MAX * 2];

/* Fills one frame with the first rows of `sample` that fit; returns their count. */
static unsigned fill_frame(const struct sample *sample, struct buffer *out)
{
    struct frame_builder builder;
    frame_builder_init(&builder, &heap, UNIT, UNIT, FRAME_ROWS);
    unsigned count = 0;
    while (count < sample->count && frame_builder_fits(&builder, &sample->rows[count]))
        assert_int_equal(frame_builder_add(&builder, &sample->rows[count++]), STRATA_OK);
    uint32_t units;
    assert_int_equal(frame_builder_finish(&builder, SEED, out, &units), STRATA_OK);
    frame_builder_release(&builder);
    return count;
}

static void reseal(uint8_t *data, size_t length)
{
    store_u64(data, place_checksum(bytes_of(data, length), SEED));
}

static bool frame_accepts(void *context, struct bytes bytes)
{
    (void)context;
    struct frame frame;
    return frame_open(bytes, UNIT, SEED, &frame) == STRATA_OK;
}

static unsigned linear_search(const struct row *rows, unsigned count, struct bytes key,
                              uint64_t from)
{
    unsigned index = 0;
    while (index < count && row_order(rows[index].key, rows[index].from, key, from) < 0)
        index++;
    return index;
}

static void assert_search(const struct frame *frame, const struct row *rows, struct bytes key,
                          uint64_t from)
{
    unsigned found = UINT32_MAX;
    const unsigned expected = linear_search(rows, frame->row_count, key, from);
    assert_int_equal(frame_lower_bound(frame, key, from, &found), STRATA_OK);
    assert_int_equal(found, expected);
    for (unsigned near = from % 5; near <= frame->row_count; near += 1 + frame->row_count / 7) {
        assert_int_equal(frame_lower_bound_near(frame, key, from, near, &found), STRATA_OK);
        assert_int_equal(found, expected);
    }
}

/* Looks for `key`, and for keys just before, behind, within and beyond it. */
static void assert_searches_near(const struct frame *frame, const struct row *rows,
                                 const struct row *near, struct random *random)
{
    static const uint64_t steps[] = {0, 1, UINT64_MAX};
    uint8_t key[STORAGE_KEY_SIZE_MAX + 1];
    memcpy(key, near->key.data, near->key.length);
    for (size_t i = 0; i < 3; i++)
        assert_search(frame, rows, near->key, near->from + steps[i]);
    assert_search(frame, rows, near->key, 0);
    assert_search(frame, rows, near->key, UINT64_MAX);
    key[near->key.length] = (uint8_t)random_next(random);
    assert_search(frame, rows, bytes_of(key, near->key.length + 1), near->from);
    const size_t cut = random_next(random) % near->key.length;
    assert_search(frame, rows, bytes_of(key, cut), near->from);
    key[cut] = (uint8_t)random_next(random);
    assert_search(frame, rows, bytes_of(key, near->key.length), near->from);
}

static void search_finds_what_a_linear_one_would(void **state)
{
    (void)state;
    static const struct sample_shape shapes[] = {
        {.keys = 100, .user_key_max = 10, .value_max = 30},
        {.keys = 100, .user_key_max = 200, .value_max = 10, .wide = true},
        {.keys = 2, .user_key_max = 4, .value_max = 10},
        {.keys = 500, .user_key_max = 3, .value_max = 0},
    };
    for (unsigned run = 0; run < 40; run++) {
        struct random random = {run};
        struct sample sample;
        sample_create(&sample, &shapes[run % 4], run);
        struct buffer out;
        buffer_init(&out, &heap);
        const unsigned count = fill_frame(&sample, &out);
        struct frame frame;
        assert_int_equal(frame_open(buffer_view(&out), UNIT, SEED, &frame), STRATA_OK);
        assert_int_equal(frame.row_count, count);
        for (unsigned heads = 0; heads < 2; heads++) {
            for (unsigned i = 0; i < sample.count; i++)
                assert_searches_near(&frame, sample.rows, &sample.rows[i], &random);
            assert_search(&frame, sample.rows, bytes_of(NULL, 0), 5);
            frame_add_heads(&frame, heads_memory);
            if (frame.row_count >= FRAME_HEADED_ROWS_MIN)
                assert_ptr_equal(frame.heads, heads_memory);
            else
                assert_null(frame.heads);
        }
        buffer_release(&out);
        sample_release(&sample);
    }
}

/* Versions of one key between others, in even steps and in steps that a guess by them goes wrong on. */
static void versions_are_found_however_far_they_lie_apart(void **state)
{
    (void)state;
    enum { ROWS = 60, FIRST = 3, END = 56 };
    for (unsigned shape = 0; shape < 5; shape++) {
        struct row rows[ROWS];
        uint8_t keys[ROWS][KEY_PREFIX_SIZE + 8];
        for (unsigned i = 0; i < ROWS; i++) {
            const unsigned left = ROWS - i;
            const uint64_t steps[] = {left, UINT64_C(1) << left, UINT64_MAX - i, 7 + left * left,
                                      i == FIRST ? UINT64_MAX : left};
            memset(keys[i], 1, sizeof(keys[i]));
            keys[i][sizeof(keys[i]) - 1] = (uint8_t)(i < FIRST ? i : i < END ? FIRST : i);
            rows[i] = (struct row){
                .key = bytes_of(keys[i], sizeof(keys[i])), .from = steps[shape], .kind = ROW_PUT};
        }
        const struct sample sample = {.rows = rows, .count = ROWS};
        struct buffer out;
        struct frame frame;
        buffer_init(&out, &heap);
        assert_int_equal(fill_frame(&sample, &out), ROWS);
        assert_int_equal(frame_open(buffer_view(&out), UNIT, SEED, &frame), STRATA_OK);
        frame_add_heads(&frame, heads_memory);
        assert_ptr_equal(frame.heads, heads_memory);
        for (unsigned i = 0; i < ROWS; i++) {
            for (uint64_t step = 0; step < 3; step++)
                assert_search(&frame, rows, rows[i].key, rows[i].from + step - 1);
            assert_search(&frame, rows, rows[i].key, 0);
            assert_search(&frame, rows, rows[i].key, UINT64_MAX);
            assert_search(&frame, rows, rows[i].key, rows[i].from / 2);
        }
        buffer_release(&out);
    }
}

/* Keys of up to 44 bytes behind the same storage prefix: `kind` 0 and 2 lie before and behind all of 1,
 * which begin alike. */
static struct bytes stem_key(struct random *random, unsigned kind, unsigned stem, uint8_t *to)
{
    static const uint8_t firsts[] = {'a', 'm', 'z'};
    size_t length = KEY_PREFIX_SIZE + 1;
    memset(to, 1, KEY_PREFIX_SIZE);
    to[KEY_PREFIX_SIZE] = firsts[kind];
    for (unsigned i = 0; kind == 1 && i < stem; i++)
        to[length++] = 's';
    for (uint64_t i = random_next(random) % 12; i > 0; i--)
        to[length++] = (uint8_t)('r' + random_next(random) % 3);
    return bytes_of(to, length);
}

static int compare_keys(const void *a, const void *b)
{
    const struct row *left = a, *right = b;
    return bytes_compare(left->key, right->key);
}

/* Up to four rows before and behind those that begin alike. */
static unsigned make_stem_rows(struct random *random, unsigned stem, struct row *rows,
                               uint8_t keys[][48])
{
    unsigned count = 0, kept = 0;
    const unsigned before = random_next(random) % 5, behind = random_next(random) % 5;
    const unsigned alike = 1 + random_next(random) % 40;
    for (unsigned i = 0; i < before + alike + behind; i++, count++) {
        const unsigned kind = i < before ? 0 : i < before + alike ? 1 : 2;
        rows[count] = (struct row){.key = stem_key(random, kind, stem, keys[count]),
                                   .value = bytes_of("v", 1),
                                   .from = 3,
                                   .time_us = 9,
                                   .kind = ROW_PUT};
    }
    qsort(rows, count, sizeof(rows[0]), compare_keys);
    for (unsigned i = 0; i < count; i++) {
        if (kept == 0 || !bytes_equal(rows[kept - 1].key, rows[i].key))
            rows[kept++] = rows[i];
    }
    return kept;
}

static void heads_tell_keys_apart_though_a_few_are_of_other_kinds(void **state)
{
    (void)state;
    unsigned stems = 0;
    for (unsigned run = 0; run < 200; run++) {
        struct random random = {run};
        static uint8_t keys[60][48];
        struct row rows[60];
        const unsigned stem = run % 20;
        struct sample sample = {.rows = rows, .count = make_stem_rows(&random, stem, rows, keys)};
        struct buffer out;
        struct frame frame;
        buffer_init(&out, &heap);
        assert_int_equal(fill_frame(&sample, &out), sample.count);
        assert_int_equal(frame_open(buffer_view(&out), UNIT, SEED, &frame), STRATA_OK);
        frame_add_heads(&frame, heads_memory);
        for (unsigned i = 0; i < sample.count; i++)
            assert_searches_near(&frame, rows, &rows[i], &random);
        for (unsigned i = 0; i < 100; i++) {
            uint8_t key[48];
            const struct bytes probe =
                stem_key(&random, i % 3, (unsigned)(random_next(&random) % 21), key);
            assert_search(&frame, rows, probe, 2 + i % 3);
        }
        for (unsigned i = 1; frame.heads != NULL && i < sample.count; i++)
            assert_true(frame.heads[i - 1] <= frame.heads[i]);
        stems += frame.heads != NULL && frame.stem.length > 0;
        buffer_release(&out);
    }
    assert_true(stems > 50);
}

static void every_changed_or_missing_byte_is_noticed(void **state)
{
    (void)state;
    const struct sample_shape shape = {.keys = 20, .user_key_max = 10, .value_max = 100};
    struct sample sample;
    sample_create(&sample, &shape, 4);
    struct buffer out;
    buffer_init(&out, &heap);
    fill_frame(&sample, &out);
    assert_changes_are_refused(buffer_view(&out), frame_accepts, NULL);
    assert_cuts_are_refused(buffer_view(&out), frame_accepts, NULL);
    struct frame frame;
    assert_int_equal(frame_open(buffer_view(&out), UNIT, SEED + 1, &frame), STRATA_CORRUPT);
    assert_string_equal(strata_error_message(), "frame fails its checksum");
    assert_int_equal(frame_open(buffer_view(&out), 2 * UNIT, SEED, &frame), STRATA_CORRUPT);
    buffer_release(&out);
    sample_release(&sample);
}

static void assert_refusal(strata_status status)
{
    assert_true(status == STRATA_OK || status == STRATA_CORRUPT || status == STRATA_UNSUPPORTED);
}

/* Reads a frame in every way; only sanitizers may object. */
static void read_everything(void *context, uint8_t *data, size_t length)
{
    const struct sample *sample = context;
    if (length < 8)
        return;
    reseal(data, length);
    struct frame frame;
    if (frame_open(bytes_of(data, length), UNIT, SEED, &frame) != STRATA_OK)
        return;
    unsigned found;
    struct frame_row read;
    if (frame.row_count > 0 && frame.row_count % 2 == 0)
        frame_add_heads(&frame, heads_memory);
    for (unsigned i = 0; i < frame.row_count; i++)
        assert_refusal(frame_row_at(&frame, i, &read));
    for (uint32_t offset = 0; frame.row_count > 0 && offset < length + 8; offset += 1 + offset % 3)
        assert_refusal(frame_row_at_offset(&frame, offset, &read));
    for (unsigned i = 0; frame.row_count > 0 && i < sample->count; i++) {
        const struct row *row = &sample->rows[i];
        found = 0;
        assert_refusal(frame_lower_bound(&frame, row->key, row->from, &found));
        assert_true(found <= frame.row_count);
        assert_refusal(frame_lower_bound_near(&frame, row->key, row->from, found, &found));
        assert_true(found <= frame.row_count);
    }
    assert_refusal(frame_check_padding(&frame));
}

static void sealed_bytes_of_an_enemy_are_read_within_bounds(void **state)
{
    (void)state;
    const struct sample_shape shape = {.keys = 15, .user_key_max = 200, .value_max = 300};
    struct sample sample;
    sample_create(&sample, &shape, 5);
    struct buffer out;
    buffer_init(&out, &heap);
    fill_frame(&sample, &out);
    run_mutations(buffer_view(&out), 6, 3000, read_everything, &sample);
    /* Where most of the meaning is: the header, the first rows, the offsets. */
    const uint32_t used = load_u32(out.data + 12);
    for (size_t at = 8; at < used; at = at == 200 ? used - 60 : at + 1) {
        for (unsigned value = 0; value < 256; value += 15) {
            const uint8_t before = out.data[at];
            out.data[at] = (uint8_t)value;
            read_everything(&sample, out.data, out.length);
            out.data[at] = before;
        }
    }
    buffer_release(&out);
    sample_release(&sample);
}

struct header_case {
    size_t offset;
    size_t width;
    uint64_t value;
    strata_status expected;
};

static void store_width(uint8_t *to, size_t width, uint64_t value)
{
    for (size_t i = 0; i < width; i++)
        to[i] = (uint8_t)(value >> 8 * i);
}

static void header_rules_hold_even_under_a_right_checksum(void **state)
{
    (void)state;
    static const struct header_case cases[] = {
        {8, 1, 0, STRATA_CORRUPT},
        {8, 1, 6, STRATA_CORRUPT},
        {8, 1, 7, STRATA_UNSUPPORTED},
        {8, 1, 8, STRATA_CORRUPT},
        {9, 1, 1, STRATA_UNSUPPORTED},
        {10, 2, 0, STRATA_CORRUPT},
        {10, 2, 2, STRATA_CORRUPT},
        {12, 4, 39, STRATA_CORRUPT},
        {12, 4, 4097, STRATA_CORRUPT},
        {12, 4, UINT32_MAX, STRATA_CORRUPT},
        {12, 4, 60, STRATA_CORRUPT},
        {16, 2, 0, STRATA_CORRUPT},
        {16, 2, FRAME_ROWS_MAX + 1, STRATA_CORRUPT},
        {16, 2, 600, STRATA_CORRUPT},
        {18, 2, 4096, STRATA_CORRUPT},
        {18, 2, UINT16_MAX, STRATA_CORRUPT},
        {20, 4, 1, STRATA_CORRUPT},
        {8, 1, FRAME_FOOTER, STRATA_CORRUPT},
        {8, 1, FRAME_INDEX, STRATA_OK},
        {24, 8, UINT64_MAX, STRATA_OK},
    };
    const struct sample_shape shape = {.keys = 20, .user_key_max = 10, .value_max = 100};
    struct sample sample;
    sample_create(&sample, &shape, 4);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buffer out;
        buffer_init(&out, &heap);
        fill_frame(&sample, &out);
        store_width(out.data + cases[i].offset, cases[i].width, cases[i].value);
        reseal(out.data, out.length);
        struct frame frame;
        if (frame_open(buffer_view(&out), UNIT, SEED, &frame) != cases[i].expected)
            fail_msg("case %zu", i);
        buffer_release(&out);
    }
    sample_release(&sample);
}

static void a_frame_ends_in_its_last_unit(void **state)
{
    (void)state;
    struct sample sample;
    arena_init(&sample.arena, &heap, 4096);
    sample.count = 1;
    struct row row = sample_row(&sample, 1, 5000);
    sample.rows = &row;
    struct buffer out;
    buffer_init(&out, &heap);
    fill_frame(&sample, &out);
    assert_int_equal(out.length, 2 * UNIT);
    struct frame frame;
    assert_int_equal(frame_open(buffer_view(&out), UNIT, SEED, &frame), STRATA_OK);
    store_u32(out.data + 12, UNIT);
    reseal(out.data, out.length);
    assert_int_equal(frame_open(buffer_view(&out), UNIT, SEED, &frame), STRATA_CORRUPT);
    buffer_release(&out);
    arena_release(&sample.arena);
}

/* A frame of one row written out by hand: prefix of 12 bytes, suffix "k", value "vv". */
static void hand_made_frame(uint8_t frame[UNIT], const uint8_t *row, size_t row_size)
{
    memset(frame, 0, UNIT);
    frame[8] = FRAME_ROWS;
    store_u16(frame + 10, 1);
    store_u16(frame + 16, 1);
    store_u16(frame + 18, KEY_PREFIX_SIZE);
    store_u64(frame + 24, 100);
    store_u64(frame + 32, (uint64_t)-5);
    const size_t at = FRAME_HEADER_SIZE + KEY_PREFIX_SIZE;
    memcpy(frame + at, row, row_size);
    const size_t padded = (row_size + 3) / 4 * 4;
    store_u16(frame + at + padded, (uint16_t)at);
    store_u32(frame + 12, (uint32_t)(at + padded + 2));
    reseal(frame, UNIT);
}

struct row_case {
    const char *bytes;
    size_t size;
    strata_status expected;
};
#define ROW_CASE(text, status)                                                                     \
    {                                                                                              \
        text, sizeof(text) - 1, status                                                             \
    }

static void row_rules_hold_even_under_a_right_checksum(void **state)
{
    (void)state;
    static const struct row_case cases[] = {
        ROW_CASE("\x01\x01\x02\x03\x04kvv", STRATA_OK),
        ROW_CASE("\x11\x01\x02\x03\x04\x01kvv", STRATA_OK),
        ROW_CASE("\x11\x01\x02\x03\x04\x00kvv", STRATA_CORRUPT), /* Ends where it begins. */
        ROW_CASE("\x11\x01\x02\x03\x04\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01kvv", STRATA_CORRUPT),
        ROW_CASE("\x21\x01\x02\x03\x04\x01\0\0\0\0\0\0\0kvv", STRATA_OK),
        ROW_CASE("\x21\x01\x02\x03\x04\0\0\0\0\0\0\0\0kvv", STRATA_CORRUPT), /* Expires at 0. */
        ROW_CASE("\x21\x01\x02\x03\x04kvv", STRATA_CORRUPT),
        ROW_CASE("\x41\x01\x02\x03\x04kvv", STRATA_CORRUPT), /* Unknown flags. */
        ROW_CASE("\x81\x01\x02\x03\x04kvv", STRATA_CORRUPT),
        ROW_CASE("\x00\x01\x02\x03\x04kvv", STRATA_CORRUPT),     /* Kinds and values. */
        ROW_CASE("\x06\x01\x02\x03\x04kvv", STRATA_UNSUPPORTED), /* Reserved. */
        ROW_CASE("\x06\x81\x82\x83\x84\xff\xff\xff", STRATA_UNSUPPORTED),
        ROW_CASE("\x07\x01\x10\x03\x04k\7\0\0\0\0\0\0\0\1\0\0\0\1\0\0\0", STRATA_UNSUPPORTED),
        ROW_CASE("\x37\x01\x02\x03\x04kvv", STRATA_UNSUPPORTED),
        ROW_CASE("\x08\x01\x02\x03\x04kvv", STRATA_CORRUPT),
        ROW_CASE("\x0f\x01\x02\x03\x04kvv", STRATA_CORRUPT),
        ROW_CASE("\x02\x01\x02\x03\x04kvv", STRATA_CORRUPT),
        ROW_CASE("\x02\x01\x00\x03\x04k", STRATA_OK),
        ROW_CASE("\x03\x01\x02\x03\x04kvv", STRATA_CORRUPT),
        ROW_CASE("\x03\x01\x10\x03\x04k\7\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0", STRATA_OK),
        ROW_CASE("\x03\x01\x10\x03\x04k\7\0\0\0\0\0\0\1\1\0\0\0\0\0\0\0", STRATA_CORRUPT),
        ROW_CASE("\x03\x01\x10\x03\x04k\7\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", STRATA_CORRUPT),
        ROW_CASE("\x03\x01\x10\x03\x04k\7\0\0\0\0\0\0\0\1\0\0\x40\0\0\0\0", STRATA_CORRUPT),
        ROW_CASE("\x04\x01\x02\x03\x04kvv", STRATA_CORRUPT),
        ROW_CASE("\x04\x01\x08\x03\x04k\0\0\0\0\0\0\0\0", STRATA_OK),
        ROW_CASE("\x05\x01\x00\x03\x04k", STRATA_CORRUPT), /* Of one key. */
        ROW_CASE("\x05\x00\x00\x03\x04", STRATA_OK),
        ROW_CASE("\x01\x00\x02\x03\x04vv", STRATA_CORRUPT),  /* Of the empty key. */
        ROW_CASE("\x01\x01\x03\x03\x04kvv", STRATA_CORRUPT), /* Lengths. */
        ROW_CASE("\x01\x01\x03\x03\x04kvvv", STRATA_OK),     /* Padding. */
        ROW_CASE("\x01\x01\x03\x03\x04kvvv\0", STRATA_OK),
        ROW_CASE("\x01\x01\x03\x03\x04kvvv\0\0\0\0", STRATA_CORRUPT),
        ROW_CASE("\x01\x04\x02\x03\x04kvv", STRATA_CORRUPT),
        ROW_CASE("\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x04\x03\x04kvv", STRATA_CORRUPT),
        ROW_CASE("\x01\x81\x00\x02\x03\x04kvv", STRATA_CORRUPT), /* Padded varint. */
        ROW_CASE("\x01\x01\x02\x03\x84", STRATA_CORRUPT),
        ROW_CASE("\x01\x01\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x04kvv", STRATA_CORRUPT),
        ROW_CASE("\x01\x01\x02\x03\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01kvv", STRATA_CORRUPT),
        ROW_CASE("\x01\x01\x02\x03\xff\xff\xff\xff\xff\xff\xff\xff\x7fkvv", STRATA_OK),
        ROW_CASE("\x01\x01\x02\x03\x84\x80\x80\x80\x80\x80\x80\x80\x80\x01kvv", STRATA_OK),
        ROW_CASE("\x01\x01\x02\x03\x85\x80\x80\x80\x80\x80\x80\x80\x80\x01kvv", STRATA_CORRUPT),
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t bytes[UNIT];
        hand_made_frame(bytes, (const uint8_t *)cases[i].bytes, cases[i].size);
        struct frame frame;
        struct frame_row row;
        const uint32_t offset = FRAME_HEADER_SIZE + KEY_PREFIX_SIZE;
        assert_int_equal(frame_open(bytes_of(bytes, UNIT), UNIT, SEED, &frame), STRATA_OK);
        if (frame_row_at(&frame, 0, &row) != cases[i].expected)
            fail_msg("case %zu: %s", i, strata_error_message());
        /* From its offset alone, a row may end early. */
        const strata_status status = frame_row_at_offset(&frame, offset, &row);
        if (status != cases[i].expected &&
            (status != STRATA_OK || row.value.data + row.value.length > bytes + frame.used - 2))
            fail_msg("case %zu by its offset", i);
    }
}

static void offsets_must_rise_and_stay_between_prefix_and_offsets(void **state)
{
    (void)state;
    struct sample sample;
    const struct sample_shape shape = {.keys = 10, .user_key_max = 10, .value_max = 100};
    sample_create(&sample, &shape, 8);
    struct buffer out;
    buffer_init(&out, &heap);
    const unsigned count = fill_frame(&sample, &out);
    uint8_t *offset = out.data + load_u32(out.data + 12) - 2 * count + 2;
    const unsigned before = load_u16(offset - 2), good = load_u16(offset);
    const unsigned next = load_u16(offset + 2);
    const unsigned values[] = {0,        39,       before - 1, before, next,  next + 1u,
                               good + 1, good + 2, 4092,       4095,   65532, 65535};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        store_u16(offset, (uint16_t)values[i]);
        reseal(out.data, out.length);
        struct frame frame;
        struct frame_row row;
        assert_int_equal(frame_open(buffer_view(&out), UNIT, SEED, &frame), STRATA_OK);
        assert_int_equal(frame_row_at(&frame, 1, &row), STRATA_CORRUPT);
    }
    store_u16(offset, (uint16_t)good);
    reseal(out.data, out.length);
    assert_true(frame_accepts(NULL, buffer_view(&out)));
    buffer_release(&out);
    sample_release(&sample);
}

static void only_what_is_at_a_multiple_of_four_between_prefix_and_offsets_is_a_row(void **state)
{
    (void)state;
    struct sample sample;
    const struct sample_shape shape = {.keys = 10, .user_key_max = 10, .value_max = 100};
    sample_create(&sample, &shape, 8);
    struct buffer out;
    buffer_init(&out, &heap);
    const unsigned count = fill_frame(&sample, &out);
    struct frame frame;
    struct frame_row row;
    assert_int_equal(frame_open(buffer_view(&out), UNIT, SEED, &frame), STRATA_OK);
    const uint32_t first = frame_row_offset(out.data, 0), end = frame.used - 2 * count;
    assert_true(first >= FRAME_HEADER_SIZE + frame.prefix.length && end % 4 == 0);
    const uint32_t bad[] = {0,       8,        first - 4, first + 1, first + 2,  first + 3, end,
                            end + 4, UNIT - 4, UNIT,      65532,     UINT32_MAX, end - 2};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(frame_row_at_offset(&frame, bad[i], &row), STRATA_CORRUPT);
    assert_int_equal(frame_row_at_offset(&frame, first, &row), STRATA_OK);
    buffer_release(&out);
    sample_release(&sample);
}

static void only_a_frame_of_one_row_may_be_longer_than_offsets_reach(void **state)
{
    (void)state;
    struct sample sample;
    arena_init(&sample.arena, &heap, 4096);
    sample.count = 1;
    struct row row = sample_row(&sample, 100, 65536);
    sample.rows = &row;
    struct buffer out;
    buffer_init(&out, &heap);
    fill_frame(&sample, &out);
    assert_int_equal(out.length, 17 * UNIT);
    struct frame frame;
    assert_int_equal(frame_open(buffer_view(&out), UNIT, SEED, &frame), STRATA_OK);
    store_u16(out.data + 16, 2);
    store_u32(out.data + 12, load_u32(out.data + 12) + 2);
    reseal(out.data, out.length);
    assert_int_equal(frame_open(buffer_view(&out), UNIT, SEED, &frame), STRATA_CORRUPT);
    assert_string_equal(strata_error_message(), "frame of 2 rows has 69632 bytes");
    buffer_release(&out);
    arena_release(&sample.arena);
}

static void padding_around_rows_is_zero(void **state)
{
    (void)state;
    struct sample sample;
    arena_init(&sample.arena, &heap, 4096);
    sample.count = 1;
    struct row row = sample_row(&sample, 5, 10);
    sample.rows = &row;
    struct buffer out;
    buffer_init(&out, &heap);
    fill_frame(&sample, &out);
    const uint32_t used = load_u32(out.data + 12);
    const size_t places[] = {FRAME_HEADER_SIZE + KEY_PREFIX_SIZE + 5, used - 3, used, UNIT - 1};
    struct frame frame;
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        assert_int_equal(out.data[places[i]], 0);
        out.data[places[i]] = 1;
        reseal(out.data, out.length);
        assert_int_equal(frame_open(buffer_view(&out), UNIT, SEED, &frame), STRATA_OK);
        assert_int_equal(frame_check_padding(&frame), STRATA_CORRUPT);
        out.data[places[i]] = 0;
    }
    reseal(out.data, out.length);
    assert_int_equal(frame_open(buffer_view(&out), UNIT, SEED, &frame), STRATA_OK);
    assert_int_equal(frame_check_padding(&frame), STRATA_OK);
    buffer_release(&out);
    arena_release(&sample.arena);
}

static void frames_without_rows_have_no_fields_of_rows(void **state)
{
    (void)state;
    uint8_t content[BUCKET_SIZE] = {0};
    static const struct header_case cases[] = {
        {12, 4, 128, STRATA_OK},      {12, 4, 64, STRATA_OK},     {12, 4, 63, STRATA_CORRUPT},
        {12, 4, 100, STRATA_CORRUPT}, {16, 2, 1, STRATA_CORRUPT}, {18, 2, 1, STRATA_CORRUPT},
        {24, 8, 1, STRATA_CORRUPT},   {32, 8, 1, STRATA_CORRUPT},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buffer out;
        buffer_init(&out, &heap);
        uint32_t units;
        assert_int_equal(frame_seal_content(FRAME_BUCKETS, UNIT, BUCKETS_OFFSET,
                                            bytes_of(content, sizeof(content)), SEED, &out, &units),
                         STRATA_OK);
        store_width(out.data + cases[i].offset, cases[i].width, cases[i].value);
        reseal(out.data, out.length);
        struct frame frame;
        if (frame_open(buffer_view(&out), UNIT, SEED, &frame) != cases[i].expected)
            fail_msg("case %zu", i);
        buffer_release(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(search_finds_what_a_linear_one_would),
        cmocka_unit_test(versions_are_found_however_far_they_lie_apart),
        cmocka_unit_test(heads_tell_keys_apart_though_a_few_are_of_other_kinds),
        cmocka_unit_test(every_changed_or_missing_byte_is_noticed),
        cmocka_unit_test(sealed_bytes_of_an_enemy_are_read_within_bounds),
        cmocka_unit_test(header_rules_hold_even_under_a_right_checksum),
        cmocka_unit_test(a_frame_ends_in_its_last_unit),
        cmocka_unit_test(row_rules_hold_even_under_a_right_checksum),
        cmocka_unit_test(offsets_must_rise_and_stay_between_prefix_and_offsets),
        cmocka_unit_test(only_what_is_at_a_multiple_of_four_between_prefix_and_offsets_is_a_row),
        cmocka_unit_test(only_a_frame_of_one_row_may_be_longer_than_offsets_reach),
        cmocka_unit_test(padding_around_rows_is_zero),
        cmocka_unit_test(frames_without_rows_have_no_fields_of_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
