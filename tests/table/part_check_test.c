#include "table/part_fixture.h"

#include "format/part.h"
#include "table/part_find.h"

enum { UNIT_SIZE = 4096, CHECK_CACHE_BYTES = CACHE_LARGE_BYTES_MIN, SMALL_CACHE_BYTES = 1 << 18 };

static void count_finding(void *context, uint64_t offset, const char *message)
{
    (void)offset;
    assert_non_null(message);
    ++*(unsigned *)context;
}

/* What a part that someone forged gave. */
struct outcome {
    strata_status checked;
    unsigned findings;
    bool sound; /* Reads gave the right rows, or a failure. */
};

static bool rows_alike(const struct row *a, const struct row *b)
{
    return bytes_equal(a->key, b->key) && a->from == b->from && a->to == b->to &&
           a->kind == b->kind && bytes_equal(a->value, b->value);
}

static void assert_refusal(strata_status status)
{
    assert_true(status == STRATA_OK || status == STRATA_CORRUPT || status == STRATA_UNSUPPORTED);
}

/* All rows forward, then some backward. */
static bool walks_are_sound(struct part *part, const struct sample *sample)
{
    struct part_source source;
    struct source *rows = &source.source;
    part_source_init(&source, part, false);
    bool sound = true;
    strata_status status = source_seek(rows, (struct bytes){0}, UINT64_MAX);
    size_t at = 0;
    for (; status == STRATA_OK && rows->valid && at <= sample->count; at++) {
        sound = sound && at < sample->count && rows_alike(&rows->row, &sample->rows[at]);
        status = source_next(rows);
    }
    sound = sound && (status != STRATA_OK || at == sample->count);
    assert_refusal(status);
    /* The same in quick steps, where there are any. */
    status = source_seek(rows, (struct bytes){0}, UINT64_MAX);
    for (at = 0; status == STRATA_OK && rows->valid && at <= sample->count; at++) {
        sound = sound && at < sample->count && rows_alike(&rows->row, &sample->rows[at]);
        status = part_source_step(&source, UINT64_MAX) ? STRATA_OK : source_next(rows);
    }
    sound = sound && (status != STRATA_OK || at == sample->count);
    assert_refusal(status);
    at = sample->count / 2;
    status = source_seek_before(rows, sample->rows[at].key);
    at = sample_lower_bound(sample, sample->rows[at].key, UINT64_MAX);
    for (; status == STRATA_OK && rows->valid && at > 0; at--) {
        sound = sound && rows_alike(&rows->row, &sample->rows[at - 1]);
        status = source_previous(rows);
    }
    sound = sound && (status != STRATA_OK || (at == 0 && !rows->valid));
    assert_refusal(status);
    source_release(rows);
    return sound;
}

static bool finds_are_sound(struct part *part, const struct sample *sample)
{
    bool sound = true;
    for (size_t i = 0; i < sample->count; i += 3) {
        const struct row *expected = &sample->rows[i];
        struct found_row found = {.found = false};
        bool newer = false;
        const strata_status status =
            part_find(part, expected->key, key_hash(expected->key), expected->from, &found, &newer);
        assert_refusal(status);
        sound = sound && (status != STRATA_OK || (found.found && rows_alike(&found.row, expected)));
        if (status == STRATA_OK)
            cache_unpin(part->store->cache, found.pin);
    }
    return sound;
}

static struct outcome try_forgery(struct part_fixture *fixture, const struct sample *sample,
                                  const uint8_t *bytes)
{
    static unsigned forgeries;
    struct outcome outcome = {.checked = STRATA_OK};
    struct part *part = NULL;
    part_fixture_replace(fixture, bytes);
    part_fixture_empty_cache(fixture, forgeries++ % 4 == 0 ? SMALL_CACHE_BYTES : CHECK_CACHE_BYTES);
    assert_int_equal(part_create(&fixture->store, &fixture->info, &part), STRATA_OK);
    outcome.checked = part_check(part, count_finding, &outcome.findings);
    assert_refusal(outcome.checked);
    if (part->ready == 1)
        outcome.sound = walks_are_sound(part, sample) && finds_are_sound(part, sample);
    part_drop(part);
    return outcome;
}

/* Forges each byte in use of each frame, checksums and all. */
static void forge_every_byte(const struct sample_shape *shape, uint32_t frame_size)
{
    struct part_fixture fixture;
    part_fixture_open(&fixture, CHECK_CACHE_BYTES);
    struct sample sample = sample_create(shape);
    const struct part_layout layout = {
        .unit_size = UNIT_SIZE, .frame_size = frame_size, .with_buckets = true, .role = ROLE_LIVE};
    assert_int_equal(part_fixture_write(&fixture, &sample, &layout), STRATA_OK);
    uint8_t *bytes = part_fixture_bytes(&fixture);
    unsigned caught = 0, index_frames = 0;
    for (uint32_t unit = 0; unit < fixture.info.units;) {
        uint8_t *frame = bytes + (size_t)unit * UNIT_SIZE;
        const uint32_t units = frame_units_claimed(frame), used = load_u32(frame + 12);
        const uint8_t kind = frame[8];
        index_frames += kind == FRAME_INDEX;
        for (uint32_t at = 8; at < used; at += kind == FRAME_ROWS ? 41 : 1 + at % 3) {
            frame[at] ^= (uint8_t)(1u << at % 8);
            part_fixture_reseal(&fixture, bytes, unit, units);
            const struct outcome outcome = try_forgery(&fixture, &sample, bytes);
            frame[at] ^= (uint8_t)(1u << at % 8);
            part_fixture_reseal(&fixture, bytes, unit, units);
            const bool passed = outcome.checked == STRATA_OK && outcome.findings == 0;
            if (passed && kind != FRAME_ROWS)
                assert_true(outcome.sound);
            if (kind == FRAME_BUCKETS)
                assert_int_equal(outcome.checked, STRATA_OK);
            caught += !passed;
        }
        unit += units;
    }
    assert_true(caught > 100);
    assert_true(index_frames > 0);
    const struct outcome restored = try_forgery(&fixture, &sample, bytes);
    assert_int_equal(restored.checked, STRATA_OK);
    assert_int_equal(restored.findings, 0);
    assert_true(restored.sound);
    test_free(bytes);
    sample_release(&sample);
    part_fixture_close(&fixture);
}

static void what_a_check_lets_pass_reads_right(void **state)
{
    (void)state;
    const struct sample_shape ordered = {.seed = 21,
                                         .key_count = 150,
                                         .versions_max = 2,
                                         .value_size_max = 60,
                                         .keys = SAMPLE_ORDERED};
    const struct sample_shape nested = {.seed = 22,
                                        .key_count = 60,
                                        .versions_max = 1,
                                        .value_size_max = 5000,
                                        .keys = SAMPLE_NESTED};
    forge_every_byte(&ordered, UNIT_SIZE);
    forge_every_byte(&nested, UNIT_SIZE);
    forge_every_byte(&nested, 2 * UNIT_SIZE);
}

/* A written part, and its bytes to change. */
struct forgery {
    struct part_fixture fixture;
    struct sample sample;
    uint8_t *bytes;
};

static void forgery_open(struct forgery *forgery)
{
    part_fixture_open(&forgery->fixture, CHECK_CACHE_BYTES);
    forgery->sample = sample_create(&(struct sample_shape){.seed = 31,
                                                           .key_count = 300,
                                                           .versions_max = 2,
                                                           .value_size_max = 60,
                                                           .keys = SAMPLE_ORDERED});
    const struct part_layout layout = {
        .unit_size = UNIT_SIZE, .with_buckets = true, .role = ROLE_LIVE};
    assert_int_equal(part_fixture_write(&forgery->fixture, &forgery->sample, &layout), STRATA_OK);
    forgery->bytes = part_fixture_bytes(&forgery->fixture);
}

static void forgery_close(struct forgery *forgery)
{
    test_free(forgery->bytes);
    sample_release(&forgery->sample);
    part_fixture_close(&forgery->fixture);
}

/* The unit of the first frame of `kind`. */
static uint32_t unit_of_kind(const struct forgery *forgery, uint8_t kind)
{
    uint32_t unit = 0;
    while (forgery->bytes[(size_t)unit * UNIT_SIZE + 8] != kind)
        unit += frame_units_claimed(forgery->bytes + (size_t)unit * UNIT_SIZE);
    assert_true(unit < forgery->fixture.info.units);
    return unit;
}

/* Where the value of row `index` of the frame at `unit` lies. */
static uint8_t *value_at(struct forgery *forgery, uint32_t unit, unsigned index)
{
    const struct identity identity = {.uuid = {9, 8, 7}, .incarnation = FIXTURE_INCARNATION};
    const size_t offset = (size_t)unit * UNIT_SIZE;
    struct frame frame;
    struct frame_row row;
    assert_int_equal(frame_open(bytes_of(forgery->bytes + offset, UNIT_SIZE), UNIT_SIZE,
                                place_seed(&identity, FAMILY_TABLE, FIXTURE_PART, offset), &frame),
                     STRATA_OK);
    assert_int_equal(frame_row_at(&frame, index, &row), STRATA_OK);
    return forgery->bytes + (row.value.data - forgery->bytes);
}

static struct outcome try_change(struct forgery *forgery, uint32_t unit)
{
    part_fixture_reseal(&forgery->fixture, forgery->bytes, unit, 1);
    return try_forgery(&forgery->fixture, &forgery->sample, forgery->bytes);
}

static void every_number_of_index_and_directory_is_checked(void **state)
{
    (void)state;
    struct forgery forgery;
    forgery_open(&forgery);
    static const struct {
        uint8_t kind;
        unsigned offset; /* Of a number in the value. */
    } numbers[] = {
        {FRAME_INDEX, 0},     {FRAME_INDEX, 4},      {FRAME_INDEX, 12},     {FRAME_DIRECTORY, 0},
        {FRAME_DIRECTORY, 8}, {FRAME_DIRECTORY, 16}, {FRAME_DIRECTORY, 20}, {FRAME_DIRECTORY, 28},
    };
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        const uint32_t unit = unit_of_kind(&forgery, numbers[i].kind);
        uint8_t *number = value_at(&forgery, unit, 1) + numbers[i].offset;
        number[0] ^= 1;
        assert_int_equal(try_change(&forgery, unit).checked, STRATA_CORRUPT);
        number[0] ^= 1;
        assert_int_equal(try_change(&forgery, unit).checked, STRATA_OK);
    }
    forgery_close(&forgery);
}

static void an_index_that_loops_ends(void **state)
{
    (void)state;
    struct forgery forgery;
    forgery_open(&forgery);
    const uint32_t unit = unit_of_kind(&forgery, FRAME_INDEX);
    store_u32(value_at(&forgery, unit, 0), unit);
    assert_int_equal(try_change(&forgery, unit).checked, STRATA_CORRUPT);
    store_u32(value_at(&forgery, unit, 0), UINT32_MAX);
    assert_int_equal(try_change(&forgery, unit).checked, STRATA_CORRUPT);
    forgery_close(&forgery);
}

/* A place that is off by one row, or inside a row, is found, and does no harm. */
static void a_bucket_names_the_newest_row_and_no_other(void **state)
{
    (void)state;
    struct forgery forgery;
    forgery_open(&forgery);
    const uint32_t unit = unit_of_kind(&forgery, FRAME_BUCKETS);
    uint8_t *bucket = forgery.bytes + (size_t)unit * UNIT_SIZE + BUCKETS_OFFSET;
    for (; bucket[60] == 0 || row_place_offset(bucket_place(bucket, 0)) < 200;)
        bucket += BUCKET_SIZE;
    const uint32_t place = bucket_place(bucket, 0);
    for (uint32_t step = 1; step <= 40; step++) {
        store_u32(bucket + 20, place - step);
        const struct outcome outcome = try_change(&forgery, unit);
        assert_int_equal(outcome.checked, STRATA_OK);
        assert_true(outcome.findings > 0);
    }
    store_u32(bucket + 20, place);
    const struct outcome outcome = try_change(&forgery, unit);
    assert_true(outcome.findings == 0 && outcome.sound);
    forgery_close(&forgery);
}

static void faults_of_buckets_are_findings(void **state)
{
    (void)state;
    struct forgery forgery;
    forgery_open(&forgery);
    const uint32_t unit = unit_of_kind(&forgery, FRAME_BUCKETS);
    uint8_t *bucket = forgery.bytes + (size_t)unit * UNIT_SIZE + BUCKETS_OFFSET;
    while (bucket[60] == 0)
        bucket += BUCKET_SIZE;
    static const uint8_t offsets[] = {0, 1, 20, 23, 60, 61, 62};
    for (size_t i = 0; i < sizeof(offsets); i++) {
        const uint8_t before = bucket[offsets[i]];
        bucket[offsets[i]] = offsets[i] == 60 ? 200 : (uint8_t)(before ^ 0x82);
        const struct outcome outcome = try_change(&forgery, unit);
        assert_int_equal(outcome.checked, STRATA_OK);
        assert_true(outcome.findings > 0);
        bucket[offsets[i]] = before;
    }
    /* A place that is nowhere sends the search to the index. */
    store_u32(bucket + 20, UINT32_MAX);
    const struct outcome outcome = try_change(&forgery, unit);
    assert_true(outcome.findings > 0 && outcome.sound);
    forgery_close(&forgery);
}

static void rows_out_of_order_are_corrupt(void **state)
{
    (void)state;
    struct forgery forgery;
    forgery_open(&forgery);
    /* Leaf frames change places. */
    uint8_t swapped[UNIT_SIZE];
    uint8_t *first = forgery.bytes, *second = forgery.bytes + UNIT_SIZE;
    memcpy(swapped, first, UNIT_SIZE);
    memcpy(first, second, UNIT_SIZE);
    memcpy(second, swapped, UNIT_SIZE);
    assert_int_equal(first[8], FRAME_ROWS);
    assert_int_equal(second[8], FRAME_ROWS);
    part_fixture_reseal(&forgery.fixture, forgery.bytes, 0, 1);
    assert_int_equal(try_change(&forgery, 1).checked, STRATA_CORRUPT);
    forgery_close(&forgery);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_check_lets_pass_reads_right),
        cmocka_unit_test(every_number_of_index_and_directory_is_checked),
        cmocka_unit_test(an_index_that_loops_ends),
        cmocka_unit_test(a_bucket_names_the_newest_row_and_no_other),
        cmocka_unit_test(faults_of_buckets_are_findings),
        cmocka_unit_test(rows_out_of_order_are_corrupt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
