#include "table/part_fixture.h"

#include "core/lock.h"
#include "layout/key.h"
#include "table/part_find.h"

enum { CACHE_BYTES = 4 << 20 };

static const struct sample_shape shapes[] = {
    {.seed = 1, .key_count = 500, .versions_max = 4, .value_size_max = 60, .keys = SAMPLE_SHORT},
    {.seed = 2, .key_count = 3000, .versions_max = 1, .value_size_max = 20, .keys = SAMPLE_ORDERED},
    {.seed = 3, .key_count = 60, .versions_max = 3, .value_size_max = 65536, .keys = SAMPLE_LONG},
    {.seed = 4, .key_count = 4, .versions_max = 900, .value_size_max = 30, .keys = SAMPLE_ORDERED},
    {.seed = 5, .key_count = 90, .versions_max = 5, .value_size_max = 900, .keys = SAMPLE_ALIKE},
    {.seed = 6, .key_count = 250, .versions_max = 9, .value_size_max = 3, .keys = SAMPLE_LONG},
    {.seed = 8, .key_count = 80, .versions_max = 3, .value_size_max = 9000, .keys = SAMPLE_NESTED},
    {.seed = 7, .key_count = 1, .versions_max = 1, .value_size_max = 3, .keys = SAMPLE_ORDERED},
};

static const struct {
    uint32_t unit_size;
    uint32_t frame_size;
} sizes[] = {{4096, 4096}, {4096, 16384}, {16384, 16384}, {65536, 65536}, {4096, 65536}};

static const uint8_t highest[KEY_PREFIX_SIZE] = {255, 255, 255, 255, 255, 255,
                                                 255, 255, 255, 255, 255, 255};

static void refuse_finding(void *context, uint64_t offset, const char *message)
{
    (void)context, (void)offset;
    fail_msg("found: %s", message);
}

static void count_finding(void *context, uint64_t offset, const char *message)
{
    (void)offset, (void)message;
    ++*(unsigned *)context;
}

static void check_info(const struct manifest_part *info, const struct sample *sample)
{
    uint64_t bytes = 0, min_from = UINT64_MAX, max_from = 0, max_to = 0;
    for (size_t i = 0; i < sample->count; i++) {
        const struct row *row = &sample->rows[i];
        bytes += row->key.length + row->value.length;
        min_from = row->from < min_from ? row->from : min_from;
        max_from = row->from > max_from ? row->from : max_from;
        max_to = row->to > max_to ? row->to : max_to;
        if (row->to == 0 && row->kind != ROW_DELETE)
            max_to = TO_OPEN;
    }
    assert_true(info->rows == sample->count);
    assert_true(info->bytes == bytes);
    assert_true(info->min_from == min_from);
    assert_true(info->max_from == max_from);
    assert_true(info->max_to == max_to);
    assert_true(bytes_equal(info->first_key, sample->rows[0].key));
    assert_true(info->first_from == sample->rows[0].from);
}

static void check_walks(struct part *part, const struct sample *sample)
{
    struct part_source source;
    struct source *rows = &source.source;
    part_source_init(&source, part, false);
    assert_false(rows->valid);
    assert_int_equal(source_seek(rows, (struct bytes){0}, UINT64_MAX), STRATA_OK);
    for (size_t i = 0; i < sample->count; i++) {
        assert_true(rows->valid);
        assert_rows_equal(&rows->row, &sample->rows[i]);
        assert_int_equal(source_next(rows), STRATA_OK);
    }
    assert_false(rows->valid);
    assert_int_equal(source_seek_before(rows, bytes_of(highest, sizeof(highest))), STRATA_OK);
    for (size_t i = sample->count; i > 0; i--) {
        assert_true(rows->valid);
        assert_rows_equal(&rows->row, &sample->rows[i - 1]);
        assert_int_equal(source_previous(rows), STRATA_OK);
    }
    assert_false(rows->valid);
    source_release(rows);
    source_release(rows);
}

static void check_find(struct part *part, const struct sample *sample, struct bytes key,
                       uint64_t cap)
{
    const struct row *expected = sample_find(sample, key, cap);
    const struct row *newest = sample_find(sample, key, UINT64_MAX);
    struct found_row found;
    bool newer = false;
    assert_int_equal(part_find(part, key, key_hash(key), cap, &found, &newer), STRATA_OK);
    assert_int_equal(found.found, expected != NULL);
    assert_int_equal(newer, newest != NULL && newest->from > cap);
    if (found.found)
        assert_rows_equal(&found.row, expected);
    else
        assert_null(found.pin);
    cache_unpin(part->store->cache, found.pin);
}

/* Random seeks, a few steps from each, and finds. */
static void check_searches(struct part *part, struct sample *sample, unsigned count)
{
    struct random random = {.state = count};
    struct part_source source;
    struct source *rows = &source.source;
    part_source_init(&source, part, false);
    for (unsigned i = 0; i < count; i++) {
        const struct bytes key = sample_probe(sample, &random);
        const uint64_t from = i % 5 == 0   ? UINT64_MAX
                              : i % 5 == 1 ? 0
                                           : random_next(&random) % 110000;
        if (key.length >= KEY_PREFIX_SIZE)
            check_find(part, sample, key, from);
        size_t at = sample_lower_bound(sample, key, from);
        assert_int_equal(source_seek(rows, key, from), STRATA_OK);
        if (i % 2 == 1) {
            at = sample_lower_bound(sample, key, UINT64_MAX) - 1;
            assert_int_equal(source_seek_before(rows, key), STRATA_OK);
        }
        for (unsigned step = 0; step < 6; step++) {
            assert_int_equal(rows->valid, at < sample->count);
            if (!rows->valid)
                break;
            assert_rows_equal(&rows->row, &sample->rows[at]);
            const bool back = random_next(&random) % 2 == 0;
            assert_int_equal(back ? source_previous(rows) : source_next(rows), STRATA_OK);
            at = back ? at - 1 : at + 1;
        }
    }
    source_release(rows);
}

/* Every slice is listed with its sums, and no other is. */
static void check_slices(struct part *part, const struct sample *sample)
{
    struct part_source source;
    struct source *slices = &source.source;
    part_source_init(&source, part, true);
    assert_int_equal(source_seek(slices, (struct bytes){0}, UINT64_MAX), STRATA_OK);
    size_t at = 0;
    while (at < sample->count) {
        const struct bytes prefix = bytes_of(sample->rows[at].key.data, KEY_PREFIX_SIZE);
        struct slice_entry sums = {0}, listed;
        uint64_t min_from = UINT64_MAX;
        for (; at < sample->count && bytes_start_with(sample->rows[at].key, prefix); at++) {
            const struct row *row = &sample->rows[at];
            sums.rows++;
            sums.bytes += row->key.length + row->value.length;
            sums.max_from = row->from > sums.max_from ? row->from : sums.max_from;
            sums.max_to = row_max_to(row) > sums.max_to ? row_max_to(row) : sums.max_to;
            min_from = row->from < min_from ? row->from : min_from;
        }
        bool found = false;
        assert_int_equal(part_find_slice(part, prefix, &found, &listed), STRATA_OK);
        assert_true(found);
        assert_true(slices->valid);
        assert_true(bytes_equal(slices->row.key, prefix));
        assert_true(slices->row.from == min_from);
        assert_true(listed.rows == sums.rows && listed.bytes == sums.bytes);
        assert_true(listed.max_from == sums.max_from && listed.max_to == sums.max_to);
        assert_int_equal(source_next(slices), STRATA_OK);
    }
    assert_false(slices->valid);
    bool found = true;
    struct slice_entry listed;
    assert_int_equal(part_find_slice(part, bytes_of(highest, sizeof(highest)), &found, &listed),
                     STRATA_OK);
    assert_false(found);
    source_release(slices);
}

struct value_sums {
    const struct sample *sample;
    uint64_t bytes;
    unsigned objects;
};

static strata_status visit_value(void *context, uint64_t object, uint64_t live_bytes)
{
    struct value_sums *sums = context;
    uint64_t expected = 0;
    for (size_t i = 0; i < sums->sample->count; i++) {
        const struct row *row = &sums->sample->rows[i];
        if (row->kind == ROW_VALUE_REFERENCE && value_reference_load(row->value).object == object)
            expected += value_reference_load(row->value).size;
    }
    assert_true(live_bytes == expected);
    sums->bytes += live_bytes;
    sums->objects++;
    return STRATA_OK;
}

static void check_values(struct part *part, const struct sample *sample)
{
    struct value_sums sums = {.sample = sample};
    uint64_t bytes = 0;
    for (size_t i = 0; i < sample->count; i++) {
        if (sample->rows[i].kind == ROW_VALUE_REFERENCE)
            bytes += value_reference_load(sample->rows[i].value).size;
    }
    assert_int_equal(part_values(part, visit_value, &sums), STRATA_OK);
    assert_true(sums.bytes == bytes);
    assert_true(sums.objects <= 20);
}

static void check_layout(const struct sample_shape *shape, const struct part_layout *layout)
{
    struct part_fixture fixture;
    part_fixture_open(&fixture, CACHE_BYTES);
    struct sample sample = sample_create(shape);
    struct part *part = part_fixture_part(&fixture, &sample, layout);
    assert_true(fixture.faulty.operations > 0);
    check_info(&part->info, &sample);
    const uint64_t operations = fixture.faulty.operations;
    part_acquire(part);
    part_drop(part);
    assert_true(fixture.faulty.operations == operations);
    assert_int_equal(part_check(part, refuse_finding, NULL), STRATA_OK);
    assert_int_equal(part->bucket_count > 0, layout->with_buckets);
    check_walks(part, &sample);
    check_searches(part, &sample, 600);
    check_slices(part, &sample);
    check_values(part, &sample);
    part_drop(part);
    sample_release(&sample);
    part_fixture_close(&fixture);
}

static void part_equals_the_sorted_rows(void **state)
{
    (void)state;
    for (size_t shape = 0; shape < sizeof(shapes) / sizeof(shapes[0]); shape++) {
        for (size_t size = 0; size < sizeof(sizes) / sizeof(sizes[0]); size++) {
            struct sample_shape closed = shapes[shape];
            closed.closed = (shape + size) % 2 == 1;
            const struct part_layout layout = {
                .unit_size = sizes[size].unit_size,
                .frame_size = sizes[size].frame_size,
                .role = closed.closed ? ROLE_HISTORY : ROLE_LIVE,
                .with_buckets = (shape + size / 2) % 2 == 0,
            };
            check_layout(&closed, &layout);
        }
    }
}

/* Small units and a cache of next to nothing: every frame comes and goes. */
static void part_is_read_through_a_tiny_cache(void **state)
{
    (void)state;
    struct part_fixture fixture;
    part_fixture_open(&fixture, 1);
    struct sample sample = sample_create(&shapes[0]);
    struct part *part = part_fixture_part(
        &fixture, &sample,
        &(struct part_layout){.unit_size = 4096, .role = ROLE_LIVE, .with_buckets = true});
    check_walks(part, &sample);
    check_searches(part, &sample, 300);
    assert_int_equal(part_check(part, refuse_finding, NULL), STRATA_OK);
    part_drop(part);
    sample_release(&sample);
    part_fixture_close(&fixture);
}

static void open_deletions_do_not_raise_the_largest_end(void **state)
{
    (void)state;
    static const uint8_t key[KEY_PREFIX_SIZE + 1] = {1};
    const struct row rows[] = {
        {.key = bytes_of(key, sizeof(key)), .from = 9, .kind = ROW_DELETE},
        {.key = bytes_of(key, sizeof(key)), .from = 5, .to = 9, .kind = ROW_PUT},
        {.key = bytes_of(key, sizeof(key)), .from = 2, .kind = ROW_PUT},
    };
    assert_true(row_max_to(&rows[0]) == 0);
    assert_true(row_max_to(&rows[1]) == 9);
    assert_true(row_max_to(&rows[2]) == TO_OPEN);
    struct part_fixture fixture;
    part_fixture_open(&fixture, CACHE_BYTES);
    struct sample sample = {.rows = (struct row[]){rows[0], rows[1]}, .count = 2};
    struct part *part = part_fixture_part(
        &fixture, &sample, &(struct part_layout){.unit_size = 4096, .role = ROLE_HISTORY});
    assert_true(part->info.max_to == 9);
    assert_int_equal(part_check(part, refuse_finding, NULL), STRATA_OK);
    part_drop(part);
    part_fixture_close(&fixture);
}

/* Reads everything; what comes back without a failure is right. */
static strata_status read_all(struct part *part, const struct sample *sample)
{
    strata_status status = STRATA_OK;
    struct part_source source;
    struct source *rows = &source.source;
    part_source_init(&source, part, false);
    TRY_OUT(source_seek(rows, (struct bytes){0}, UINT64_MAX));
    for (size_t i = 0; i < sample->count; i++) {
        assert_true(rows->valid);
        assert_rows_equal(&rows->row, &sample->rows[i]);
        TRY_OUT(source_next(rows));
    }
    assert_false(rows->valid);

out:
    assert_true(status == STRATA_OK || !rows->valid);
    source_release(rows);
    return status;
}

static strata_status find_some(struct part *part, const struct sample *sample)
{
    for (size_t i = 0; i < sample->count; i += sample->count / 7 + 1) {
        const struct row *expected = &sample->rows[i];
        struct found_row found;
        bool newer = false;
        TRY(part_find(part, expected->key, key_hash(expected->key), expected->from, &found,
                      &newer));
        assert_true(found.found);
        assert_rows_equal(&found.row, expected);
        cache_unpin(part->store->cache, found.pin);
    }
    return STRATA_OK;
}

/* A part of few units, to damage each byte of. */
static const struct sample_shape damage_shape = {
    .seed = 9, .key_count = 190, .versions_max = 2, .value_size_max = 60, .keys = SAMPLE_ORDERED};

static struct sample damage_sample(void)
{
    return sample_create(&damage_shape);
}

static void a_flipped_byte_is_found_or_does_no_harm(void **state)
{
    (void)state;
    struct part_fixture fixture;
    part_fixture_open(&fixture, CACHE_BYTES);
    struct sample sample = damage_sample();
    const struct part_layout layout = {.unit_size = 4096, .with_buckets = true, .role = ROLE_LIVE};
    assert_int_equal(part_fixture_write(&fixture, &sample, &layout), STRATA_OK);
    struct part *part = NULL;
    assert_int_equal(part_create(&fixture.store, &fixture.info, &part), STRATA_OK);
    assert_int_equal(part_ready(part), STRATA_OK);
    const uint64_t footer = (part->info.units - 1) * 4096, buckets = part->bucket_unit * 4096ull;
    assert_true(part->leaf_count > 2 && buckets > 0);
    part_drop(part);

    for (uint64_t offset = 0; offset < footer + 4096; offset++) {
        /* A small cache has nothing to do with buckets. */
        part_fixture_empty_cache(&fixture, offset % 8 == 0 ? 1 << 18 : CACHE_BYTES);
        fixture.faulty.flip_offset = offset;
        fixture.faulty.flip_mask = (uint8_t)(1 + offset % 255);
        assert_int_equal(part_create(&fixture.store, &fixture.info, &part), STRATA_OK);
        const bool derived = offset >= buckets && offset < footer;
        const strata_status finds = find_some(part, &sample);
        const strata_status reads = read_all(part, &sample);
        assert_true(finds == STRATA_OK || finds == STRATA_CORRUPT);
        assert_true(reads == STRATA_OK || reads == STRATA_CORRUPT);
        if (derived)
            assert_true(finds == STRATA_OK && reads == STRATA_OK);
        if (offset >= footer)
            assert_true(finds == STRATA_CORRUPT && reads == STRATA_CORRUPT);
        if (reads == STRATA_CORRUPT) {
            strata_error error = {.size = sizeof(error)};
            strata_error_detail(&error);
            assert_string_equal(error.object, part->name);
            assert_true(error.offset == offset / 4096 * 4096);
        }
        if (offset % 16 == 0 || derived) {
            unsigned findings = 0;
            const strata_status checked = part_check(part, count_finding, &findings);
            assert_int_equal(checked, derived ? STRATA_OK : STRATA_CORRUPT);
            assert_int_equal(findings > 0, derived);
        }
        part_drop(part);
    }
    sample_release(&sample);
    part_fixture_close(&fixture);
}

static void a_missing_cut_or_foreign_object_is_corrupt(void **state)
{
    (void)state;
    struct part_fixture fixture;
    part_fixture_open(&fixture, CACHE_BYTES);
    struct sample sample = damage_sample();
    const struct part_layout layout = {.unit_size = 4096, .with_buckets = true, .role = ROLE_LIVE};
    assert_int_equal(part_fixture_write(&fixture, &sample, &layout), STRATA_OK);
    const uint64_t units = fixture.info.units;

    for (unsigned fault = 0; fault < 10; fault++) {
        struct manifest_part info = fixture.info;
        info.number += fault == 0;
        info.incarnation += fault == 1;
        info.rows += fault == 2;
        info.bytes += fault == 3;
        info.min_from -= fault == 4;
        info.max_from += fault == 5;
        info.max_to -= fault == 6;
        info.units -= fault == 7;
        info.unit_size *= fault == 8 ? 2 : 1;
        fixture.faulty.cut_size = fault == 9 ? units * 4096 - 1 : 0;
        struct part *part = NULL;
        assert_int_equal(part_create(&fixture.store, &info, &part), STRATA_OK);
        assert_int_equal(part_ready(part), STRATA_CORRUPT);
        assert_non_null(strstr(strata_error_message(), part->name));
        assert_int_equal(part_ready(part), STRATA_CORRUPT);
        part_drop(part);
    }
    fixture.faulty.cut_size = 0;
    struct part *part = NULL;
    assert_int_equal(part_create(&fixture.store, &fixture.info, &part), STRATA_OK);
    assert_int_equal(part_ready(part), STRATA_OK);
    struct cached_frame *frame = NULL;
    assert_int_equal(part_read_frame(part, (uint32_t)units, &frame), STRATA_CORRUPT);
    assert_int_equal(part_read_frame(part, UINT32_MAX, &frame), STRATA_CORRUPT);
    part_drop(part);
    sample_release(&sample);
    part_fixture_close(&fixture);
}

/* Writes a part and reads it in every way. */
static strata_status use_part(struct part_fixture *fixture, struct sample *sample,
                              const struct part_layout *layout)
{
    unsigned findings = 0;
    strata_status status = STRATA_OK;
    struct part *part = NULL;
    struct slice_entry slice;
    struct value_sums sums = {.sample = sample};
    bool found;
    TRY_OUT(part_fixture_write(fixture, sample, layout));
    TRY_OUT(part_create(&fixture->store, &fixture->info, &part));
    TRY_OUT(read_all(part, sample));
    TRY_OUT(find_some(part, sample));
    TRY_OUT(
        part_find_slice(part, bytes_of(sample->rows[0].key.data, KEY_PREFIX_SIZE), &found, &slice));
    TRY_OUT(part_values(part, visit_value, &sums));
    TRY_OUT(part_check(part, count_finding, &findings));
    assert_int_equal(findings, 0);

out:
    if (part != NULL)
        part_drop(part);
    return status;
}

static void refuse_requests(const struct sample_shape *shape, size_t cache_bytes)
{
    struct sample sample = sample_create(shape);
    const struct part_layout layout = {.unit_size = 4096, .with_buckets = true, .role = ROLE_LIVE};
    bool refused = true;
    for (uint64_t fail_at = 1; refused; fail_at++) {
        struct part_fixture fixture;
        part_fixture_open(&fixture, cache_bytes);
        const uint64_t before = fixture.counted.requests;
        fixture.counted.fail_at = before + fail_at;
        const strata_status status = use_part(&fixture, &sample, &layout);
        refused = fixture.counted.requests >= before + fail_at;
        /* A large cache can do without a page for its map. */
        if (status != STRATA_OK)
            assert_int_equal(status, STRATA_NO_MEMORY);
        else
            assert_true(!refused || fixture.cache.large);
        part_fixture_close(&fixture);
    }
    sample_release(&sample);
}

static void every_refused_request_is_a_status(void **state)
{
    (void)state;
    refuse_requests(&damage_shape, 1 << 16);
    refuse_requests(&damage_shape, CACHE_BYTES);
}

static void every_failing_operation_is_a_status(void **state)
{
    (void)state;
    struct sample sample = damage_sample();
    const struct part_layout layout = {.unit_size = 4096, .with_buckets = true, .role = ROLE_LIVE};
    strata_status status = STRATA_IO;
    for (uint64_t fail_at = 1; status != STRATA_OK; fail_at++) {
        struct part_fixture fixture;
        part_fixture_open(&fixture, 1 << 16);
        fixture.faulty.fail_at = fail_at;
        status = use_part(&fixture, &sample, &layout);
        if (status == STRATA_OK)
            assert_true(fixture.faulty.operations < fail_at);
        else
            assert_int_equal(status, STRATA_IO);
        part_fixture_close(&fixture);
    }
    sample_release(&sample);
}

static void part_is_synced_before_it_is_described(void **state)
{
    (void)state;
    struct part_fixture fixture;
    part_fixture_open(&fixture, CACHE_BYTES);
    struct sample sample = sample_create(&shapes[1]);
    const struct part_layout layout = {.unit_size = 65536, .role = ROLE_LIVE};
    assert_int_equal(part_fixture_write(&fixture, &sample, &layout), STRATA_OK);
    const char *trace = fixture.faulty.trace;
    assert_int_equal(trace[0], 'c');
    assert_int_equal(trace[1], 'a');
    assert_int_equal(trace[2], 'a');
    assert_string_equal(strchr(trace, 's'), "s");
    sample_release(&sample);
    part_fixture_close(&fixture);
}

static void a_full_part_still_has_room_for_its_footer(void **state)
{
    (void)state;
    struct part_fixture fixture;
    part_fixture_open(&fixture, CACHE_BYTES);
    struct part_writer writer;
    struct part_options options = {
        .backend = &fixture.faulty.backend,
        .allocator = &fixture.allocator,
        .identity = {.uuid = {9, 8, 7}, .incarnation = FIXTURE_INCARNATION},
        .unit_size = 4096,
        .role = ROLE_LIVE,
        .with_buckets = true,
    };
    assert_int_equal(part_writer_open(&writer, &options, FIXTURE_PART), STRATA_OK);
    uint8_t key[KEY_PREFIX_SIZE + 8] = {0}, value[VALUE_REFERENCE_SIZE];
    uint64_t rows = 0;
    for (; !part_writer_full(&writer, UINT64_MAX, 0); rows++) {
        store_ordered_u64(key + KEY_PREFIX_SIZE, rows);
        value_reference_store(
            value, (struct value_reference){.object = OBJECT_NUMBER_MAX - rows, .size = 1 << 30});
        const struct row row = {.key = bytes_of(key, sizeof(key)),
                                .value = bytes_of(value, sizeof(value)),
                                .from = 1,
                                .kind = ROW_VALUE_REFERENCE};
        assert_int_equal(part_writer_add(&writer, &row), STRATA_OK);
        assert_false(part_writer_full(&writer, part_writer_bytes(&writer) + 1, 0) &&
                     !part_writer_full(&writer, UINT64_MAX, 0));
        assert_true(part_writer_full(&writer, part_writer_bytes(&writer), 0));
    }
    assert_true(rows > 100);
    assert_int_equal(part_writer_finish(&writer, &fixture.arena, &fixture.info), STRATA_OK);
    part_writer_release(&writer);
    part_writer_release(&writer);
    struct part *part = NULL;
    assert_int_equal(part_create(&fixture.store, &fixture.info, &part), STRATA_OK);
    assert_int_equal(part_check(part, refuse_finding, NULL), STRATA_OK);
    part_drop(part);
    part_fixture_close(&fixture);
}

/* Adds rows of one byte until the part is full or has `rows_max`; each in a branch of its own with `apart`.
 * Returns their number. */
static uint64_t fill_part(struct part_fixture *fixture, uint64_t keys_min, uint64_t rows_max,
                          bool apart, struct part_writer *writer)
{
    const struct part_options options = {
        .backend = &fixture->faulty.backend,
        .allocator = &fixture->allocator,
        .identity = {.uuid = {9, 8, 7}, .incarnation = FIXTURE_INCARNATION},
        .unit_size = 4096,
        .role = ROLE_LIVE,
        .with_buckets = true,
        .memory_max = 16 << 10,
    };
    uint8_t key[KEY_PREFIX_SIZE + 8] = {0};
    uint64_t rows = 0;
    fixture->counted.bytes_peak = 0;
    assert_int_equal(part_writer_open(writer, &options, FIXTURE_PART), STRATA_OK);
    for (; rows < rows_max && !part_writer_full(writer, 8 << 20, keys_min); rows++) {
        store_ordered_u64(key + (apart ? 0 : KEY_PREFIX_SIZE), rows);
        const struct row row = {.key = bytes_of(key, sizeof(key)),
                                .value = bytes_of("v", 1),
                                .from = 1,
                                .kind = ROW_PUT};
        assert_int_equal(part_writer_add(writer, &row), STRATA_OK);
    }
    assert_int_equal(part_writer_finish(writer, &fixture->arena, &fixture->info), STRATA_OK);
    part_writer_release(writer);
    return rows;
}

/* 16 KiB have room for 1,365 keys: a part that has too few bytes by then goes on without buckets, another
 * ends. Of slices they have room for 292. */
static void a_part_keeps_to_its_memory(void **state)
{
    (void)state;
    const struct {
        uint64_t keys_min, rows_max, rows_least, rows_most;
        bool apart, buckets;
    } cases[] = {
        {.keys_min = 4 << 20,
         .rows_max = 1300,
         .rows_least = 1300,
         .rows_most = 1300,
         .buckets = true},
        {.keys_min = 4 << 20, .rows_max = 9000, .rows_least = 9000, .rows_most = 9000},
        {.keys_min = 20 << 10,
         .rows_max = 9000,
         .rows_least = 1300,
         .rows_most = 1400,
         .buckets = true},
        {.keys_min = 4 << 20,
         .rows_max = 9000,
         .rows_least = 280,
         .rows_most = 300,
         .apart = true,
         .buckets = true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct part_fixture fixture;
        struct part_writer writer;
        struct part *part = NULL;
        part_fixture_open(&fixture, CACHE_BYTES);
        const uint64_t before = fixture.counted.bytes;
        const uint64_t rows =
            fill_part(&fixture, cases[i].keys_min, cases[i].rows_max, cases[i].apart, &writer);
        assert_in_range(rows, cases[i].rows_least, cases[i].rows_most);
        assert_true(fixture.counted.bytes_peak <= before + (160 << 10));
        assert_int_equal(part_create(&fixture.store, &fixture.info, &part), STRATA_OK);
        assert_int_equal(part_check(part, refuse_finding, NULL), STRATA_OK);
        assert_int_equal(part->bucket_count > 0, cases[i].buckets);
        part_drop(part);
        part_fixture_close(&fixture);
    }
}

static void part_keeps_its_description(void **state)
{
    (void)state;
    struct part_fixture fixture;
    part_fixture_open(&fixture, CACHE_BYTES);
    struct sample sample = damage_sample();
    const struct part_layout layout = {.unit_size = 4096, .role = ROLE_LIVE};
    assert_int_equal(part_fixture_write(&fixture, &sample, &layout), STRATA_OK);
    struct manifest_artifact artifacts[2] = {{.kind = 1, .number = 5, .size = 6}, {.kind = 2}};
    fixture.info.artifacts = artifacts;
    fixture.info.artifact_count = 2;
    struct part *part = NULL;
    assert_int_equal(part_create(&fixture.store, &fixture.info, &part), STRATA_OK);
    memset(artifacts, 0, sizeof(artifacts));
    assert_true(part->info.artifacts[0].number == 5);
    assert_int_equal(part->info.artifacts[1].kind, 2);
    assert_true(bytes_equal(part->info.first_key, sample.rows[0].key));
    assert_ptr_not_equal(part->info.first_key.data, fixture.info.first_key.data);
    part_drop(part);
    sample_release(&sample);
    part_fixture_close(&fixture);
}

struct reading {
    struct epochs *epochs;
    struct part *part;
    struct sample *sample;
    uint64_t seed;
    bool sound;
};

static void read_in_thread(void *context)
{
    struct reading *reading = context;
    struct part *part = reading->part;
    struct random random = {.state = reading->seed};
    struct epoch_slot *slot;
    reading->sound = epoch_slot_take(reading->epochs, &slot) == STRATA_OK;
    for (unsigned i = 0; i < 1500 && reading->sound; i++) {
        const struct row *expected =
            &reading->sample->rows[random_next(&random) % reading->sample->count];
        struct found_row found;
        bool newer = false;
        epoch_enter(reading->epochs, slot);
        const strata_status status =
            part_find(part, expected->key, key_hash(expected->key), expected->from, &found, &newer);
        reading->sound = status == STRATA_OK && found.found && found.row.from == expected->from &&
                         bytes_equal(found.row.value, expected->value);
        cache_unpin(part->store->cache, found.pin);
        epoch_leave(slot);
        if (i % 300 == 0)
            cache_forget(part->store->cache, part->info.number);
    }
    epoch_slot_give(slot);
}

static void threads_share_a_part(void **state)
{
    (void)state;
    static const size_t cache_sizes[] = {1, 40 * 1024, 1 << 20, CACHE_BYTES};
    struct sample sample = sample_create(&shapes[0]);
    for (size_t size = 0; size < 4; size++) {
        struct part_fixture fixture;
        part_fixture_open(&fixture, cache_sizes[size]);
        struct part *part = part_fixture_part(
            &fixture, &sample,
            &(struct part_layout){.unit_size = 4096, .role = ROLE_LIVE, .with_buckets = true});
        struct reading readings[4];
        struct thread threads[4] = {0};
        for (size_t i = 0; i < 4; i++) {
            readings[i] = (struct reading){
                .epochs = &fixture.epochs, .part = part, .sample = &sample, .seed = i};
            assert_int_equal(thread_start(&threads[i], read_in_thread, &readings[i]), STRATA_OK);
        }
        for (size_t i = 0; i < 4; i++) {
            thread_join(&threads[i]);
            assert_true(readings[i].sound);
        }
        part_drop(part);
        part_fixture_close(&fixture);
    }
    sample_release(&sample);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(part_equals_the_sorted_rows),
        cmocka_unit_test(part_is_read_through_a_tiny_cache),
        cmocka_unit_test(open_deletions_do_not_raise_the_largest_end),
        cmocka_unit_test(a_flipped_byte_is_found_or_does_no_harm),
        cmocka_unit_test(a_missing_cut_or_foreign_object_is_corrupt),
        cmocka_unit_test(every_refused_request_is_a_status),
        cmocka_unit_test(every_failing_operation_is_a_status),
        cmocka_unit_test(part_is_synced_before_it_is_described),
        cmocka_unit_test(a_full_part_still_has_room_for_its_footer),
        cmocka_unit_test(a_part_keeps_to_its_memory),
        cmocka_unit_test(part_keeps_its_description),
        cmocka_unit_test(threads_share_a_part),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
