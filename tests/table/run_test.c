#include "table/run_input.h"

#include "core/lock.h"
#include "layout/key.h"
#include "table/part_fixture.h"
#include "table/run_output.h"
#include "table/run_warm.h"

static const struct sample_shape shapes[] = {
    {.seed = 1, .key_count = 900, .versions_max = 3, .value_size_max = 60, .keys = SAMPLE_SHORT},
    {.seed = 2, .key_count = 3000, .versions_max = 1, .value_size_max = 90, .keys = SAMPLE_ORDERED},
    {.seed = 4, .key_count = 9, .versions_max = 900, .value_size_max = 30, .keys = SAMPLE_ORDERED},
    {.seed = 5, .key_count = 90, .versions_max = 5, .value_size_max = 900, .keys = SAMPLE_ALIKE},
    {.seed = 6, .key_count = 200, .versions_max = 20, .value_size_max = 3, .keys = SAMPLE_NESTED},
    {.seed = 7, .key_count = 60, .versions_max = 9, .value_size_max = 300, .keys = SAMPLE_LONG},
};

/* A run made of a sample. */
struct run_fixture {
    struct part_fixture parts;
    struct garbage garbage;
    struct sample sample;
    struct run *run;
    uint64_t next_number;
};

static strata_status take_number(void *context, uint64_t *out)
{
    struct run_fixture *fixture = context;
    *out = fixture->next_number++;
    return STRATA_OK;
}

static void run_fixture_open(struct run_fixture *fixture, const struct sample_shape *shape,
                             size_t cache_bytes, uint64_t part_bytes_max)
{
    part_fixture_open(&fixture->parts, cache_bytes);
    garbage_init(&fixture->garbage, &heap);
    fixture->sample = sample_create(shape);
    fixture->next_number = 1;
    const enum part_role role = shape->closed ? ROLE_HISTORY : ROLE_LIVE;
    const struct output_options options = {
        .part = {.backend = &fixture->parts.faulty.backend,
                 .allocator = &heap,
                 .identity = {.uuid = {9, 8, 7}, .incarnation = FIXTURE_INCARNATION},
                 .unit_size = 4096,
                 .frame_size = 4096,
                 .with_buckets = true},
        .part_bytes_max = part_bytes_max,
        .number_context = fixture,
        .take_number = take_number};
    struct run_output output;
    run_output_init(&output, &options, role, &fixture->parts.arena);
    for (size_t i = 0; i < fixture->sample.count; i++)
        assert_int_equal(run_output_add(&output, &fixture->sample.rows[i]), STRATA_OK);
    assert_int_equal(run_output_finish(&output), STRATA_OK);
    const struct manifest_run info = {.id = 1,
                                      .role = (uint8_t)role,
                                      .max_version = 200000,
                                      .part_count = output.part_count,
                                      .parts = output.parts};
    assert_int_equal(run_create(&fixture->parts.store, &fixture->garbage, &info, &fixture->run),
                     STRATA_OK);
    run_output_release(&output);
}

static void run_fixture_close(struct run_fixture *fixture)
{
    run_drop(fixture->run);
    garbage_destroy(&fixture->garbage);
    sample_release(&fixture->sample);
    part_fixture_close(&fixture->parts);
}

/* The first row from `at` on that is visible at `cap`. */
static size_t visible_from(const struct sample *sample, size_t at, uint64_t cap)
{
    while (at < sample->count && sample->rows[at].from > cap)
        at++;
    return at;
}

static size_t visible_after(const struct sample *sample, size_t at, uint64_t cap)
{
    const struct bytes key = sample->rows[at].key;
    if (sample->rows[at].from > cap)
        return visible_from(sample, at, cap);
    while (at < sample->count && bytes_equal(sample->rows[at].key, key))
        at++;
    return visible_from(sample, at, cap);
}

/* Goes on from rows above the cap. */
static strata_status settled(strata_status status, struct source *rows, uint64_t cap)
{
    while (status == STRATA_OK && rows->valid && rows->row.from > cap)
        status = source_next_visible(rows, cap);
    return status;
}

static strata_status settled_by_rows(strata_status status, struct source *rows, uint64_t cap)
{
    while (status == STRATA_OK && rows->valid && rows->row.from > cap)
        status = source_next_visible_by_rows(rows, &heap, cap);
    return status;
}

static void assert_stands_on(const struct source *rows, const struct sample *sample, size_t at)
{
    assert_int_equal(rows->valid, at < sample->count);
    if (rows->valid)
        assert_rows_equal(&rows->row, &sample->rows[at]);
}

static uint64_t draw_cap(struct random *random)
{
    const uint64_t drawn = random_next(random);
    return drawn % 3 == 0 ? UINT64_MAX >> 1 : drawn % 110000;
}

/* One walk of a few steps, quick and by rows, in between by other moves. */
static void walk_visible(struct run_fixture *fixture, struct source *quick, struct source *by_rows,
                         struct random *random)
{
    const struct sample *sample = &fixture->sample;
    const struct bytes key = sample_probe(&fixture->sample, random);
    uint64_t cap = draw_cap(random);
    size_t at = visible_from(sample, sample_lower_bound(sample, key, cap), cap);
    assert_int_equal(settled(source_seek_visible(quick, key, cap), quick, cap), STRATA_OK);
    assert_int_equal(settled_by_rows(source_seek_visible_by_rows(by_rows, key, cap), by_rows, cap),
                     STRATA_OK);
    for (unsigned step = 0; step < 40; step++) {
        assert_stands_on(quick, sample, at);
        assert_stands_on(by_rows, sample, at);
        if (!quick->valid)
            return;
        const unsigned turn = (unsigned)(random_next(random) % 16);
        if (turn == 0) {
            assert_int_equal(source_next(quick), STRATA_OK);
            assert_int_equal(source_next(by_rows), STRATA_OK);
            at++;
        } else if (turn == 1) {
            assert_int_equal(source_previous(quick), STRATA_OK);
            assert_int_equal(source_previous(by_rows), STRATA_OK);
            at = at == 0 ? SIZE_MAX : at - 1;
        } else {
            cap = turn == 2 ? draw_cap(random) : cap;
            at = visible_after(sample, at, cap);
            assert_int_equal(settled(source_next_visible(quick, cap), quick, cap), STRATA_OK);
            assert_int_equal(
                settled_by_rows(source_next_visible_by_rows(by_rows, &heap, cap), by_rows, cap),
                STRATA_OK);
        }
    }
}

static void check_visible(const struct sample_shape *shape, size_t cache_bytes,
                          uint64_t part_bytes_max)
{
    struct run_fixture fixture;
    struct random random = {.state = shape->seed};
    struct run_source quick, by_rows;
    run_fixture_open(&fixture, shape, cache_bytes, part_bytes_max);
    run_source_init(&quick, fixture.run);
    run_source_init(&by_rows, fixture.run);
    for (unsigned i = 0; i < 150; i++)
        walk_visible(&fixture, &quick.source, &by_rows.source, &random);
    source_release(&quick.source);
    source_release(&by_rows.source);
    run_fixture_close(&fixture);
}

static void visible_rows_are_those_that_a_walk_over_all_finds(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        struct sample_shape shape = shapes[i];
        check_visible(&shape, CACHE_LARGE_BYTES_MIN, 1 << 20);
        check_visible(&shape, 64 * 1024, 40 * 1024);
        shape.closed = true;
        check_visible(&shape, CACHE_LARGE_BYTES_MIN, 40 * 1024);
    }
}

/* All of a run, once, in pieces of any size, past the cache. */
static void an_input_gives_every_row_and_leaves_no_trace(void **state)
{
    (void)state;
    static const uint32_t pieces[] = {1, 4096, 20000, 1 << 20};
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        struct run_fixture fixture;
        struct run_input input;
        run_fixture_open(&fixture, &shapes[i], CACHE_LARGE_BYTES_MIN, 40 * 1024);
        const uint64_t hits = cache_hits(&fixture.parts.cache);
        const uint64_t misses = cache_misses(&fixture.parts.cache);
        run_input_init(&input, fixture.run, pieces[i % 4]);
        assert_int_equal(source_seek(&input.source, (struct bytes){0}, UINT64_MAX), STRATA_OK);
        for (size_t at = 0; at < fixture.sample.count; at++) {
            assert_stands_on(&input.source, &fixture.sample, at);
            assert_int_equal(source_next(&input.source), STRATA_OK);
        }
        assert_false(input.source.valid);
        assert_true(cache_hits(&fixture.parts.cache) == hits);
        assert_true(cache_misses(&fixture.parts.cache) == misses);
        source_release(&input.source);
        source_release(&input.source);
        run_fixture_close(&fixture);
    }
}

static strata_status read_input(struct run *run, uint32_t piece_bytes, size_t *rows)
{
    struct run_input input;
    *rows = 0;
    run_input_init(&input, run, piece_bytes);
    strata_status status = source_seek(&input.source, (struct bytes){0}, UINT64_MAX);
    while (status == STRATA_OK && input.source.valid) {
        ++*rows;
        status = source_next(&input.source);
    }
    source_release(&input.source);
    return status;
}

/* In a frame of rows, or of the index between them, which is passed over. */
static void an_input_finds_every_damaged_frame(void **state)
{
    (void)state;
    struct run_fixture fixture;
    size_t rows;
    run_fixture_open(&fixture, &shapes[0], 64 * 1024, 1 << 20);
    assert_int_equal(fixture.run->part_count, 1);
    assert_int_equal(read_input(fixture.run, 8192, &rows), STRATA_OK);
    assert_int_equal(rows, fixture.sample.count);
    const struct part *part = fixture.run->parts[0];
    const uint64_t end = (uint64_t)part->leaf_count * 4096;
    assert_true(part->leaf_count > 2);
    for (uint64_t offset = 0; offset < end; offset += 61) {
        fixture.parts.faulty.flip_offset = offset;
        fixture.parts.faulty.flip_mask = (uint8_t)(1 + offset % 255);
        assert_int_equal(read_input(fixture.run, 4096 << offset % 4, &rows), STRATA_CORRUPT);
        strata_error error = {.size = sizeof(error)};
        strata_error_detail(&error);
        assert_string_equal(error.object, part->name);
        assert_true(error.offset == offset / 4096 * 4096);
    }
    fixture.parts.faulty.flip_mask = 0;
    run_fixture_close(&fixture);
}

static void warm_all(struct run_warm *warm, size_t piece_bytes)
{
    bool done = false;
    while (!done)
        assert_int_equal(run_warm_step(warm, piece_bytes, &done), STRATA_OK);
}

/* After that nothing is read from the parts any more, whatever the pieces, and however long frames are. */
static void a_warm_run_is_read_from_memory(void **state)
{
    (void)state;
    static const size_t pieces[] = {1, 4096, 20000, 1 << 20};
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        struct run_fixture fixture;
        struct run_source source;
        struct run_warm warm = {.run = NULL};
        run_fixture_open(&fixture, &shapes[i], (size_t)8 * CACHE_LARGE_BYTES_MIN, 40 * 1024);
        run_warm_begin(&warm, fixture.run);
        warm_all(&warm, pieces[i % 4]);
        run_warm_release(&warm);
        run_source_init(&source, fixture.run);
        assert_int_equal(source_seek(&source.source, (struct bytes){0}, UINT64_MAX), STRATA_OK);
        for (size_t at = 0; at < fixture.sample.count; at++) {
            assert_stands_on(&source.source, &fixture.sample, at);
            assert_int_equal(source_next(&source.source), STRATA_OK);
        }
        assert_true(cache_hits(&fixture.parts.cache) > 0);
        assert_true(cache_misses(&fixture.parts.cache) == 0);
        source_release(&source.source);
        run_fixture_close(&fixture);
    }
}

/* What is there stays, and what does not fit is left to readers. */
static void warming_takes_only_what_is_free(void **state)
{
    (void)state;
    struct sample_shape shape = shapes[1];
    shape.key_count = 30000;
    shape.value_size_max = 3000;
    struct run_fixture fixture;
    struct run_warm warm = {.run = NULL};
    run_fixture_open(&fixture, &shape, CACHE_LARGE_BYTES_MIN, 1 << 20);
    struct cache *cache = &fixture.parts.cache;
    assert_true(fixture.run->bytes > CACHE_LARGE_BYTES_MIN);
    run_warm_begin(&warm, fixture.run);
    warm_all(&warm, 1 << 16);
    run_warm_release(&warm);
    const size_t used = cache->space.used_bytes;
    assert_true(used > CACHE_LARGE_BYTES_MIN / 2 && used < CACHE_LARGE_BYTES_MIN);
    assert_true(cache->evicted == NULL);
    run_warm_begin(&warm, fixture.run);
    warm_all(&warm, 1 << 16);
    run_warm_release(&warm);
    assert_true(cache->space.used_bytes == used);
    assert_true(cache->evicted == NULL);
    run_fixture_close(&fixture);
}

/* A damaged frame does not get in; a small cache has no use for any. */
static void warming_checks_what_it_reads(void **state)
{
    (void)state;
    struct run_fixture fixture;
    struct run_warm warm = {.run = NULL};
    bool done;
    run_fixture_open(&fixture, &shapes[0], CACHE_LARGE_BYTES_MIN, 1 << 20);
    fixture.parts.faulty.flip_offset = 5000;
    fixture.parts.faulty.flip_mask = 1;
    run_warm_begin(&warm, fixture.run);
    assert_int_equal(run_warm_step(&warm, 1 << 16, &done), STRATA_CORRUPT);
    assert_true(done);
    run_warm_release(&warm);
    run_warm_release(&warm);
    fixture.parts.faulty.flip_mask = 0;
    run_fixture_close(&fixture);

    run_fixture_open(&fixture, &shapes[0], 64 * 1024, 1 << 20);
    run_warm_begin(&warm, fixture.run);
    assert_null(warm.run);
    run_fixture_close(&fixture);
}

/* Moving a source in memory, as scans do, does not matter to it. */
static void a_source_may_move(void **state)
{
    (void)state;
    struct run_fixture fixture;
    run_fixture_open(&fixture, &shapes[1], CACHE_LARGE_BYTES_MIN, 1 << 20);
    struct run_source first, second;
    run_source_init(&first, fixture.run);
    const uint64_t cap = UINT64_MAX >> 1;
    assert_int_equal(source_seek_visible(&first.source, (struct bytes){0}, cap), STRATA_OK);
    for (size_t at = 0; at < fixture.sample.count; at = visible_after(&fixture.sample, at, cap)) {
        second = first;
        memset(&first, 0xee, sizeof(first));
        first = second;
        assert_stands_on(&first.source, &fixture.sample, at);
        assert_int_equal(source_next_visible(&first.source, cap), STRATA_OK);
    }
    assert_false(first.source.valid);
    source_release(&first.source);
    run_fixture_close(&fixture);
}

/* All that a source holds outlives the run but for what it would show next. */
static void a_source_may_be_released_when_its_run_is_gone(void **state)
{
    (void)state;
    static const size_t cache_sizes[] = {64 * 1024, CACHE_LARGE_BYTES_MIN};
    for (size_t i = 0; i < 2; i++) {
        struct run_fixture fixture;
        struct run_source source;
        run_fixture_open(&fixture, &shapes[0], cache_sizes[i], 1 << 20);
        run_source_init(&source, fixture.run);
        assert_int_equal(source_seek(&source.source, (struct bytes){0}, UINT64_MAX), STRATA_OK);
        assert_stands_on(&source.source, &fixture.sample, 0);
        run_drop(fixture.run);
        fixture.run = NULL;
        assert_stands_on(&source.source, &fixture.sample, 0);
        source_release(&source.source);
        if (!fixture.parts.cache.large)
            cache_forget(&fixture.parts.cache, 1);
        run_fixture_close(&fixture);
    }
}

/* Rows that a cap does not see are passed a few at a time, versions of one key by a jump. */
static void no_move_passes_many_rows_that_are_not_seen(void **state)
{
    (void)state;
    static const size_t cache_sizes[] = {64 * 1024, CACHE_LARGE_BYTES_MIN};
    for (size_t i = 0; i < 4; i++) {
        const struct sample_shape *shape = &shapes[i % 2 == 0 ? 1 : 2];
        struct run_fixture fixture;
        struct run_source rows;
        size_t moves = 1;
        run_fixture_open(&fixture, shape, cache_sizes[i / 2], 1 << 20);
        run_source_init(&rows, fixture.run);
        assert_int_equal(source_seek_visible(&rows.source, (struct bytes){0}, 0), STRATA_OK);
        for (; rows.source.valid; moves++)
            assert_int_equal(source_next_visible(&rows.source, 0), STRATA_OK);
        if (shape->versions_max == 1)
            assert_true(moves >= fixture.sample.count / 20);
        else
            assert_true(moves <= shape->key_count * 4);
        source_release(&rows.source);
        run_fixture_close(&fixture);
    }
}

/* ---- threads ---- */

struct scanning {
    struct run_fixture *fixture;
    uint64_t seed;
    bool sound;
};

static bool rows_alike(const struct row *a, const struct row *b)
{
    return bytes_equal(a->key, b->key) && a->from == b->from && bytes_equal(a->value, b->value);
}

/* A scan that holds its place while it is in no epoch. */
static bool scan_some(struct run_fixture *fixture, struct epoch_slot *slot, struct random *random)
{
    struct epochs *epochs = &fixture->parts.epochs;
    const struct sample *sample = &fixture->sample;
    size_t at = (size_t)(random_next(random) % sample->count);
    const uint64_t cap = sample->rows[at].from;
    struct run_source source;
    bool sound = true;
    run_source_init(&source, fixture->run);
    epoch_enter(epochs, slot);
    sound = settled(source_seek_visible(&source.source, sample->rows[at].key, cap), &source.source,
                    cap) == STRATA_OK;
    for (unsigned step = 0; step < 60 && sound && at < sample->count; step++) {
        sound = source.source.valid && rows_alike(&source.source.row, &sample->rows[at]);
        if (step % 7 == 0) {
            epoch_leave(slot);
            epoch_enter(epochs, slot);
        }
        at = visible_after(sample, at, cap);
        sound = sound &&
                settled(source_next_visible(&source.source, cap), &source.source, cap) == STRATA_OK;
    }
    epoch_leave(slot);
    source_release(&source.source);
    return sound;
}

static bool find_some(struct run_fixture *fixture, struct epoch_slot *slot, struct random *random)
{
    bool sound = true;
    epoch_enter(&fixture->parts.epochs, slot);
    for (unsigned i = 0; i < 20 && sound; i++) {
        const struct row *row = &fixture->sample.rows[random_next(random) % fixture->sample.count];
        struct found_row found;
        bool newer = false;
        sound = run_find(fixture->run, row->key, key_hash(row->key), row->from, &found, &newer) ==
                    STRATA_OK &&
                found.found && rows_alike(&found.row, row);
        if (sound)
            cache_unpin(&fixture->parts.cache, found.pin);
    }
    epoch_leave(slot);
    return sound;
}

static void scan_in_thread(void *context)
{
    struct scanning *scanning = context;
    struct run_fixture *fixture = scanning->fixture;
    struct random random = {.state = scanning->seed};
    struct epoch_slot *slot;
    scanning->sound = epoch_slot_take(&fixture->parts.epochs, &slot) == STRATA_OK;
    for (unsigned i = 0; i < 120 && scanning->sound; i++)
        scanning->sound = scan_some(fixture, slot, &random) && find_some(fixture, slot, &random);
    epoch_slot_give(slot);
}

static void threads_read_a_run_that_does_not_fit_into_the_cache(void **state)
{
    (void)state;
    const struct sample_shape shape = {.seed = 8,
                                       .key_count = 5000,
                                       .versions_max = 2,
                                       .value_size_max = 6000,
                                       .keys = SAMPLE_ORDERED};
    struct run_fixture fixture;
    struct scanning scannings[4];
    struct thread threads[4] = {0};
    run_fixture_open(&fixture, &shape, CACHE_LARGE_BYTES_MIN, 1 << 20);
    assert_true(fixture.run->bytes > CACHE_LARGE_BYTES_MIN);
    epoch_leave(fixture.parts.slot);
    for (size_t i = 0; i < 4; i++) {
        scannings[i] = (struct scanning){.fixture = &fixture, .seed = i};
        assert_int_equal(thread_start(&threads[i], scan_in_thread, &scannings[i]), STRATA_OK);
    }
    for (size_t i = 0; i < 4; i++) {
        thread_join(&threads[i]);
        assert_true(scannings[i].sound);
    }
    epoch_enter(&fixture.parts.epochs, fixture.parts.slot);
    run_fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(visible_rows_are_those_that_a_walk_over_all_finds),
        cmocka_unit_test(an_input_gives_every_row_and_leaves_no_trace),
        cmocka_unit_test(an_input_finds_every_damaged_frame),
        cmocka_unit_test(no_move_passes_many_rows_that_are_not_seen),
        cmocka_unit_test(a_warm_run_is_read_from_memory),
        cmocka_unit_test(warming_takes_only_what_is_free),
        cmocka_unit_test(warming_checks_what_it_reads),
        cmocka_unit_test(a_source_may_move),
        cmocka_unit_test(a_source_may_be_released_when_its_run_is_gone),
        cmocka_unit_test(threads_read_a_run_that_does_not_fit_into_the_cache),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
