#include "format/manifest.h"

#include "format/hostile.h"
#include "layout/key.h"
#include "support.h"

enum { NUMBER = 7, CHUNK = 4096 };

static const struct manifest_artifact artifacts[] = {{.kind = 3, .number = 90, .size = 1 << 20},
                                                     {.kind = UINT32_MAX, .number = 0}};

static const struct manifest_part parts[] = {
    {.number = 50,
     .incarnation = 1,
     .units = 100,
     .unit_size = 4096,
     .rows = 1000,
     .bytes = 300000,
     .min_from = 1,
     .max_from = 500,
     .max_to = TO_OPEN,
     .first_key = {(const uint8_t *)"apple", 5},
     .first_from = 500,
     .artifact_count = 2,
     .artifacts = artifacts},
    {.number = 51,
     .incarnation = UINT64_MAX,
     .units = UINT32_MAX,
     .unit_size = 65536,
     .rows = UINT64_MAX,
     .bytes = UINT64_MAX,
     .min_from = 0,
     .max_from = UINT64_MAX,
     .max_to = 0,
     .first_key = {(const uint8_t *)"apple", 5},
     .first_from = 499},
    {.number = 52,
     .units = 1,
     .unit_size = 8192,
     .rows = 1,
     .first_key = {(const uint8_t *)"b", 1}},
};

static const struct manifest_run base_runs[] = {
    {.id = 9,
     .role = ROLE_LIVE,
     .tier = 0,
     .min_version = 900,
     .max_version = 1000,
     .part_count = 1,
     .parts = parts},
    {.id = 8,
     .role = ROLE_LIVE,
     .tier = 0,
     .min_version = 800,
     .max_version = 900,
     .part_count = 1,
     .parts = parts},
    {.id = 5,
     .role = ROLE_LIVE,
     .tier = 1,
     .min_version = 500,
     .max_version = 800,
     .part_count = 3,
     .parts = parts},
    {.id = 3,
     .role = ROLE_LIVE,
     .tier = 2,
     .min_version = 0,
     .max_version = 800,
     .part_count = 2,
     .parts = parts},
    {.id = 10,
     .role = ROLE_HISTORY,
     .tier = 0,
     .min_version = 800,
     .max_version = 1000,
     .part_count = 1,
     .parts = parts},
    {.id = 7,
     .role = ROLE_HISTORY,
     .tier = 0,
     .min_version = 500,
     .max_version = 800,
     .part_count = 1,
     .parts = parts},
    {.id = 6,
     .role = ROLE_HISTORY,
     .tier = 200,
     .min_version = 0,
     .max_version = 800,
     .part_count = 1,
     .parts = parts},
};
enum { BASE_RUNS = 7 };

static struct manifest sample(void)
{
    return (struct manifest){.identity = {.uuid = {1, 2, 3}, .incarnation = 4},
                             .number = NUMBER,
                             .kind = MANIFEST_FULL,
                             .flushed_version = 1000,
                             .flushed_time_us = -1,
                             .first_wal = 12,
                             .next_object = 91,
                             .next_branch = 2,
                             .next_space = SPACE_FIRST_NAMED,
                             .created_us = 1700000000000000,
                             .run_count = BASE_RUNS,
                             .runs = base_runs};
}

static struct manifest sample_delta(const uint64_t *removed, uint32_t removed_count,
                                    const struct manifest_run *runs, uint32_t run_count)
{
    struct manifest delta = sample();
    delta.number = NUMBER + 1;
    delta.kind = MANIFEST_DELTA;
    delta.base = NUMBER;
    delta.flushed_version = 1100;
    delta.first_wal = 13;
    delta.log_empty = true;
    delta.next_object = 100;
    delta.removed = removed;
    delta.removed_count = removed_count;
    delta.runs = runs;
    delta.run_count = run_count;
    return delta;
}

static void assert_part_equals(const struct manifest_part *a, const struct manifest_part *b)
{
    assert_true(a->number == b->number && a->incarnation == b->incarnation);
    assert_true(a->units == b->units && a->unit_size == b->unit_size);
    assert_true(a->rows == b->rows && a->bytes == b->bytes);
    assert_true(a->min_from == b->min_from && a->max_from == b->max_from);
    assert_true(a->max_to == b->max_to && a->first_from == b->first_from);
    assert_true(bytes_equal(a->first_key, b->first_key));
    assert_int_equal(a->artifact_count, b->artifact_count);
    for (uint32_t i = 0; i < a->artifact_count; i++) {
        assert_int_equal(a->artifacts[i].kind, b->artifacts[i].kind);
        assert_true(a->artifacts[i].number == b->artifacts[i].number);
        assert_true(a->artifacts[i].size == b->artifacts[i].size);
    }
}

static void assert_manifest_equals(const struct manifest *a, const struct manifest *b)
{
    assert_memory_equal(a->identity.uuid, b->identity.uuid, UUID_SIZE);
    assert_true(a->identity.incarnation == b->identity.incarnation);
    assert_true(a->number == b->number && a->kind == b->kind && a->base == b->base);
    assert_true(a->flushed_version == b->flushed_version);
    assert_true(a->flushed_time_us == b->flushed_time_us && a->created_us == b->created_us);
    assert_true(a->log_empty == b->log_empty);
    assert_true(a->first_wal == b->first_wal && a->next_object == b->next_object);
    assert_true(a->next_branch == b->next_branch && a->next_space == b->next_space);
    assert_int_equal(a->removed_count, b->removed_count);
    for (uint32_t i = 0; i < a->removed_count; i++)
        assert_true(a->removed[i] == b->removed[i]);
    assert_int_equal(a->run_count, b->run_count);
    for (uint32_t i = 0; i < a->run_count; i++) {
        const struct manifest_run *run = &a->runs[i], *other = &b->runs[i];
        assert_true(run->id == other->id && run->role == other->role && run->tier == other->tier);
        assert_true(run->min_version == other->min_version);
        assert_true(run->max_version == other->max_version);
        assert_int_equal(run->part_count, other->part_count);
        for (uint32_t part = 0; part < run->part_count; part++)
            assert_part_equals(&run->parts[part], &other->parts[part]);
    }
}

static void assert_round_trip(const struct manifest *manifest)
{
    struct buffer out;
    struct arena arena;
    struct manifest read;
    buffer_init(&out, &heap);
    arena_init(&arena, &heap, CHUNK);
    assert_int_equal(manifest_encode(manifest, &out), STRATA_OK);
    assert_int_equal(manifest_decode(buffer_view(&out), manifest->number, &arena, &read),
                     STRATA_OK);
    memset(out.data, 0xee, out.length); /* Nothing points into the object. */
    assert_manifest_equals(manifest, &read);
    arena_release(&arena);
    buffer_release(&out);
}

static void manifests_round_trip(void **state)
{
    (void)state;
    struct manifest manifest = sample();
    assert_round_trip(&manifest);
    manifest.run_count = 0;
    assert_round_trip(&manifest);

    static const uint64_t removed[] = {9, 8, UINT64_MAX};
    const struct manifest delta = sample_delta(removed, 3, base_runs, 2);
    assert_round_trip(&delta);

    uint8_t key[STORAGE_KEY_SIZE_MAX];
    memset(key, 'k', sizeof(key));
    struct manifest_part part = parts[2];
    part.first_key = bytes_of(key, sizeof(key));
    struct manifest_run run = base_runs[0];
    run.parts = &part;
    manifest.runs = &run;
    manifest.run_count = 1;
    assert_round_trip(&manifest);
}

static bool manifest_accepts(void *context, struct bytes bytes)
{
    (void)context;
    struct arena arena;
    struct manifest manifest;
    arena_init(&arena, &heap, CHUNK);
    const bool accepted = manifest_decode(bytes, NUMBER, &arena, &manifest) == STRATA_OK;
    arena_release(&arena);
    return accepted;
}

static void every_changed_or_missing_byte_is_noticed(void **state)
{
    (void)state;
    struct buffer out;
    buffer_init(&out, &heap);
    const struct manifest manifest = sample();
    assert_int_equal(manifest_encode(&manifest, &out), STRATA_OK);
    assert_changes_are_refused(buffer_view(&out), manifest_accepts, NULL);
    assert_cuts_are_refused(buffer_view(&out), manifest_accepts, NULL);
    struct arena arena;
    struct manifest read;
    arena_init(&arena, &heap, CHUNK);
    assert_int_equal(manifest_decode(buffer_view(&out), NUMBER + 1, &arena, &read), STRATA_CORRUPT);
    assert_int_equal(buffer_append_u8(&out, 0), STRATA_OK);
    assert_int_equal(manifest_decode(buffer_view(&out), NUMBER, &arena, &read), STRATA_CORRUPT);
    arena_release(&arena);
    buffer_release(&out);
}

static void reseal(uint8_t *data, size_t length)
{
    const struct identity nobody = {.incarnation = 0};
    const uint64_t seed = place_seed(&nobody, FAMILY_MANIFEST, NUMBER, 0);
    store_u64(data, place_checksum(bytes_of(data, length), seed));
}

struct header_case {
    size_t offset;
    size_t width;
    uint64_t value;
    strata_status expected;
};

static void header_rules_hold_even_under_a_right_checksum(void **state)
{
    (void)state;
    static const struct header_case cases[] = {
        {8, 1, 'X', STRATA_CORRUPT},
        {16, 4, 2, STRATA_UNSUPPORTED},
        {16, 4, 0, STRATA_CORRUPT},
        {20, 4, 128, STRATA_CORRUPT},
        {48, 8, NUMBER + 1, STRATA_CORRUPT},
        {56, 1, 0, STRATA_CORRUPT},
        {56, 1, 3, STRATA_CORRUPT},
        {56, 1, MANIFEST_DELTA, STRATA_CORRUPT},
        {57, 1, 1, STRATA_UNSUPPORTED},
        {58, 1, 1, STRATA_OK}, /* The log is empty. */
        {58, 1, 2, STRATA_CORRUPT},
        {59, 1, 1, STRATA_CORRUPT},
        {60, 4, 1, STRATA_CORRUPT},
        {64, 8, 1, STRATA_CORRUPT},
        {88, 8, OBJECT_NUMBER_MAX + 1, STRATA_CORRUPT},
        {96, 8, OBJECT_NUMBER_MAX + 1, STRATA_CORRUPT},
        {96, 8, 90, STRATA_CORRUPT},
        {96, 8, 51, STRATA_CORRUPT},
        {112, 4, SPACE_LIMIT + 1, STRATA_CORRUPT},
        {112, 4, SPACE_LIMIT, STRATA_OK},
        {116, 4, 1, STRATA_CORRUPT},
        {128, 1, 1, STRATA_CORRUPT}, /* A full one removes a run. */
        {129, 1, 6, STRATA_CORRUPT}, /* One run fewer. */
        {129, 1, 8, STRATA_CORRUPT}, /* One more. */
        {129, 1, 127, STRATA_CORRUPT},
    };
    const struct manifest manifest = sample();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buffer out;
        struct arena arena;
        struct manifest read;
        buffer_init(&out, &heap);
        arena_init(&arena, &heap, CHUNK);
        assert_int_equal(manifest_encode(&manifest, &out), STRATA_OK);
        for (size_t byte = 0; byte < cases[i].width; byte++)
            out.data[cases[i].offset + byte] = (uint8_t)(cases[i].value >> 8 * byte);
        reseal(out.data, out.length);
        if (manifest_decode(buffer_view(&out), NUMBER, &arena, &read) != cases[i].expected)
            fail_msg("case %zu: %s", i, strata_error_message());
        arena_release(&arena);
        buffer_release(&out);
    }
}

/* Each byte of the body set to some values: whatever is taken obeys the rules, and takes memory in
 * proportion. */
static void decode_sealed(void *context, uint8_t *data, size_t length)
{
    (void)context;
    if (length < MANIFEST_HEADER_SIZE)
        return;
    store_u32(data + 20, (uint32_t)length);
    reseal(data, length);
    struct arena arena;
    struct manifest read;
    arena_init(&arena, &heap, CHUNK);
    const strata_status status = manifest_decode(bytes_of(data, length), NUMBER, &arena, &read);
    assert_true(arena.total_bytes <= 2 * CHUNK + 12 * length);
    if (status == STRATA_OK) {
        struct buffer out;
        buffer_init(&out, &heap);
        assert_int_equal(manifest_encode(&read, &out), STRATA_OK);
        assert_true(bytes_equal(buffer_view(&out), bytes_of(data, length)));
        buffer_release(&out);
    }
    arena_release(&arena);
}

static void sealed_bytes_of_an_enemy_are_read_within_bounds(void **state)
{
    (void)state;
    struct buffer out;
    buffer_init(&out, &heap);
    const struct manifest manifest = sample();
    assert_int_equal(manifest_encode(&manifest, &out), STRATA_OK);
    run_mutations(buffer_view(&out), 1, 20000, decode_sealed, NULL);
    for (size_t at = MANIFEST_HEADER_SIZE; at < out.length; at++) {
        static const uint8_t values[] = {0, 1, 2, 3, 0x7f, 0x80, 0xff};
        for (size_t i = 0; i < sizeof(values); i++) {
            const uint8_t before = out.data[at];
            out.data[at] = values[i];
            decode_sealed(NULL, out.data, out.length);
            out.data[at] = before;
        }
    }
    buffer_release(&out);
}

static void huge_counts_take_no_memory(void **state)
{
    (void)state;
    static const char *const bodies[] = {"\xff\xff\xff\xff\x0f", "\x00\xff\xff\xff\xff\x0f",
                                         "\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"};
    for (size_t i = 0; i < 3; i++) {
        struct manifest manifest = sample();
        struct buffer out;
        struct arena arena;
        struct manifest read;
        manifest.run_count = 0;
        buffer_init(&out, &heap);
        arena_init(&arena, &heap, CHUNK);
        assert_int_equal(manifest_encode(&manifest, &out), STRATA_OK);
        buffer_truncate(&out, MANIFEST_HEADER_SIZE);
        assert_int_equal(buffer_append(&out, bytes_of(bodies[i], i == 0   ? 5
                                                                 : i == 1 ? 6
                                                                          : 11)),
                         STRATA_OK);
        store_u32(out.data + 20, (uint32_t)out.length);
        reseal(out.data, out.length);
        assert_int_equal(manifest_decode(buffer_view(&out), NUMBER, &arena, &read), STRATA_CORRUPT);
        assert_int_equal(arena.total_bytes, 0);
        arena_release(&arena);
        buffer_release(&out);
    }
}

/* Applies to the sample; `ids` are those of the runs that must come out, in order. */
static void assert_applied(const struct manifest *delta, const uint64_t *ids, uint32_t count)
{
    struct arena arena;
    struct manifest out;
    arena_init(&arena, &heap, CHUNK);
    const struct manifest base = sample();
    assert_int_equal(manifest_apply(&base, delta, &arena, &out), STRATA_OK);
    assert_int_equal(out.kind, MANIFEST_FULL);
    assert_true(out.base == 0 && out.number == delta->number);
    assert_true(out.flushed_version == delta->flushed_version);
    assert_int_equal(out.removed_count, 0);
    assert_int_equal(out.run_count, count);
    for (uint32_t i = 0; i < count; i++)
        assert_true(out.runs[i].id == ids[i]);
    assert_round_trip(&out);
    arena_release(&arena);
}

static void a_delta_puts_its_runs_in_their_places(void **state)
{
    (void)state;
    static const uint64_t nothing_changed[] = {9, 8, 5, 3, 10, 7, 6};
    struct manifest delta = sample_delta(NULL, 0, NULL, 0);
    assert_applied(&delta, nothing_changed, 7);

    /* A flush. */
    struct manifest_run flushed[] = {base_runs[0], base_runs[4]};
    flushed[0].id = 11;
    flushed[1].id = 12;
    flushed[0].min_version = flushed[1].min_version = 1000;
    flushed[0].max_version = flushed[1].max_version = 1100;
    static const uint64_t after_flush[] = {11, 9, 8, 5, 3, 12, 10, 7, 6};
    delta = sample_delta(NULL, 0, flushed, 2);
    assert_applied(&delta, after_flush, 9);

    /* A merge of the two young runs into a middle one, and of two histories into one. */
    struct manifest_run merged[] = {base_runs[2], base_runs[6]};
    merged[0].id = 13;
    merged[0].min_version = 800;
    merged[0].max_version = 1000;
    merged[1].id = 14;
    static const uint64_t young[] = {8, 9, 7, 6};
    static const uint64_t after_merge[] = {13, 5, 3, 10, 14};
    delta = sample_delta(young, 4, merged, 2);
    assert_applied(&delta, after_merge, 5);

    /* History of the same newest version: the greatest id comes first. */
    merged[1].id = 65;
    static const uint64_t after_tie[] = {9, 8, 5, 3, 10, 65, 7, 6};
    delta = sample_delta(NULL, 0, &merged[1], 1);
    assert_applied(&delta, after_tie, 8);

    static const uint64_t all[] = {9, 8, 5, 3, 10, 7, 6};
    delta = sample_delta(all, 7, NULL, 0);
    assert_applied(&delta, NULL, 0);
}

static void assert_refused(const struct manifest *delta)
{
    struct arena arena;
    struct manifest out;
    arena_init(&arena, &heap, CHUNK);
    const struct manifest base = sample();
    assert_int_equal(manifest_apply(&base, delta, &arena, &out), STRATA_CORRUPT);
    arena_release(&arena);
}

static void a_delta_that_does_not_fit_its_base_is_refused(void **state)
{
    (void)state;
    static const uint64_t absent[] = {9, 44};
    struct manifest delta = sample_delta(absent, 2, NULL, 0);
    assert_refused(&delta);
    delta = sample_delta(NULL, 0, base_runs, 1); /* Run 9 is there. */
    assert_refused(&delta);
    delta = sample_delta(NULL, 0, NULL, 0);
    delta.base = NUMBER - 1;
    assert_refused(&delta);
    delta = sample_delta(NULL, 0, NULL, 0);
    delta.identity.uuid[0] ^= 1;
    assert_refused(&delta);
    delta = sample_delta(NULL, 0, NULL, 0);
    delta.flushed_version = 999;
    assert_refused(&delta);
    delta = sample_delta(NULL, 0, NULL, 0);
    delta.next_object = 90;
    assert_refused(&delta);
    delta = sample_delta(NULL, 0, NULL, 0);
    delta.first_wal = 11;
    assert_refused(&delta);
}

static void more_runs_than_the_format_allows_are_too_many(void **state)
{
    (void)state;
    struct manifest_run *runs = calloc(MANIFEST_RUNS_MAX + 1, sizeof(*runs));
    assert_non_null(runs);
    for (uint32_t i = 0; i <= MANIFEST_RUNS_MAX; i++) {
        runs[i] = base_runs[0];
        runs[i].id = 100 + i;
        runs[i].min_version = runs[i].max_version = 100000 - i;
    }
    struct manifest manifest = sample();
    manifest.runs = runs;
    manifest.run_count = MANIFEST_RUNS_MAX;
    assert_round_trip(&manifest);
    manifest.run_count++;
    struct buffer out;
    buffer_init(&out, &heap);
    assert_int_equal(manifest_encode(&manifest, &out), STRATA_TOO_BIG);
    assert_int_equal(out.length, 0);
    buffer_release(&out);
    free(runs);
}

static void coding_without_memory_fails_and_leaves_no_trace(void **state)
{
    (void)state;
    struct test_heap counted;
    const strata_allocator allocator = test_heap_init(&counted);
    const struct manifest manifest = sample();
    struct buffer whole;
    buffer_init(&whole, &heap);
    assert_int_equal(manifest_encode(&manifest, &whole), STRATA_OK);
    bool complete = false;
    for (uint64_t fail_at = 1; !complete; fail_at++) {
        counted.requests = 0;
        counted.fail_at = fail_at;
        struct buffer out;
        struct arena arena;
        struct manifest read;
        buffer_init(&out, &allocator);
        arena_init(&arena, &allocator, 256);
        strata_status status = manifest_encode(&manifest, &out);
        assert_true(status == STRATA_OK || out.length == 0);
        if (status == STRATA_OK)
            status = manifest_decode(buffer_view(&whole), NUMBER, &arena, &read);
        complete = fail_at > counted.requests;
        assert_int_equal(status, complete ? STRATA_OK : STRATA_NO_MEMORY);
        arena_release(&arena);
        buffer_release(&out);
        test_heap_assert_empty(&counted);
    }
    buffer_release(&whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(manifests_round_trip),
        cmocka_unit_test(every_changed_or_missing_byte_is_noticed),
        cmocka_unit_test(header_rules_hold_even_under_a_right_checksum),
        cmocka_unit_test(sealed_bytes_of_an_enemy_are_read_within_bounds),
        cmocka_unit_test(huge_counts_take_no_memory),
        cmocka_unit_test(a_delta_puts_its_runs_in_their_places),
        cmocka_unit_test(a_delta_that_does_not_fit_its_base_is_refused),
        cmocka_unit_test(more_runs_than_the_format_allows_are_too_many),
        cmocka_unit_test(coding_without_memory_fails_and_leaves_no_trace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
