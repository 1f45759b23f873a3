#include "durability/manifests.h"

#include "core/random.h"
#include "durability/test_disk.h"
#include "layout/names.h"

#include <errno.h>
#include <stdio.h>

enum { UNIT = 4096, RUNS_MAX = 24, STATES_MAX = 80 };

/* A manifest with the memory that it points to. */
struct state {
    struct manifest manifest;
    struct manifest_run runs[RUNS_MAX];
    struct manifest_part parts[RUNS_MAX];
};

/* A database's manifests on a test disk, and what each of them said. */
struct root {
    struct test_disk disk;
    struct manifests manifests;
    struct arena arena;
    struct manifest loaded;
    bool found;
    struct state states[STATES_MAX]; /* Published ones, in order. */
    uint32_t state_count;
    uint64_t next_run;
};

static const char *manifest_name(uint64_t number)
{
    static char name[LAYOUT_NAME_SIZE];
    layout_manifest_name(number, name);
    return name;
}

static struct root *new_root(void)
{
    struct root *root = calloc(1, sizeof(*root));
    disk_init(&root->disk);
    arena_init(&root->arena, &heap, 4096);
    root->next_run = 1;
    return root;
}

static void delete_root(struct root *root)
{
    arena_release(&root->arena);
    disk_release(&root->disk);
    free(root);
}

static strata_status load(struct root *root)
{
    arena_release(&root->arena);
    return manifests_load(&root->manifests, &root->disk.backend, &heap, &root->arena, &root->found,
                          &root->loaded);
}

static void put_zeros(struct root *root, const char *name, size_t size)
{
    uint8_t *zeros = calloc(1, size + 1);
    disk_put(&root->disk, name, zeros, size);
    free(zeros);
}

static void put_part(struct root *root, const struct manifest_part *part)
{
    char name[LAYOUT_NAME_SIZE];
    layout_table_name(part->number, name);
    put_zeros(root, name, (size_t)(part->units * part->unit_size));
}

/* The same rules for all: a run per number, one part each, newest first. */
static void add_run(struct root *root, struct state *state)
{
    struct manifest *manifest = &state->manifest;
    assert_true(manifest->run_count < RUNS_MAX);
    memmove(state->runs + 1, state->runs, manifest->run_count * sizeof(*state->runs));
    memmove(state->parts + 1, state->parts, manifest->run_count * sizeof(*state->parts));
    const uint64_t id = root->next_run++;
    state->parts[0] = (struct manifest_part){
        .number = 1000 + id,
        .incarnation = 5,
        .units = 1 + id % 3,
        .unit_size = UNIT,
        .rows = 10 * id,
        .bytes = 100 * id,
        .min_from = id,
        .max_from = id,
        .max_to = UINT64_MAX,
        .first_key = bytes_of("a first key of some bytes", 25),
        .first_from = id,
    };
    state->runs[0] = (struct manifest_run){
        .id = id,
        .role = ROLE_LIVE,
        .min_version = id - 1,
        .max_version = id,
        .part_count = 1,
    };
    put_part(root, &state->parts[0]);
    manifest->run_count++;
    manifest->flushed_version = id;
    manifest->next_object = 2000 + id;
}

static void remove_run(struct state *state, uint32_t index)
{
    struct manifest *manifest = &state->manifest;
    manifest->run_count--;
    const uint32_t after = manifest->run_count - index;
    memmove(state->runs + index, state->runs + index + 1, after * sizeof(*state->runs));
    memmove(state->parts + index, state->parts + index + 1, after * sizeof(*state->parts));
}

static void point_inward(struct state *state)
{
    for (uint32_t i = 0; i < state->manifest.run_count; i++)
        state->runs[i].parts = &state->parts[i];
    state->manifest.runs = state->runs;
}

static struct state first_state(void)
{
    struct state state = {.manifest = {.first_wal = 1, .next_object = 1, .created_us = 77}};
    memset(state.manifest.identity.uuid, 3, UUID_SIZE);
    state.manifest.identity.incarnation = 5;
    return state;
}

static struct state *newest_state(struct root *root)
{
    return root->state_count > 0 ? &root->states[root->state_count - 1] : NULL;
}

/* Publishes `state` on top of the newest, and keeps it if that worked. */
static strata_status publish(struct root *root, const struct state *state)
{
    struct state *before = newest_state(root);
    struct state *next = &root->states[root->state_count];
    assert_true(root->state_count < STATES_MAX);
    *next = *state;
    point_inward(next);
    const strata_status status = manifests_publish(
        &root->manifests, before != NULL ? &before->manifest : NULL, &next->manifest);
    root->state_count += status == STRATA_OK;
    return status;
}

/* The next state: one run more, and one less if there are many. */
static struct state changed_state(struct root *root)
{
    struct state state = newest_state(root) != NULL ? *newest_state(root) : first_state();
    add_run(root, &state);
    if (state.manifest.run_count > 20)
        remove_run(&state, state.manifest.run_count - 1 - (uint32_t)(root->next_run % 5));
    return state;
}

static strata_status publish_next(struct root *root)
{
    const struct state state = changed_state(root);
    return publish(root, &state);
}

/* A database with its first manifest, its first segment, and `count` manifests in all. */
static struct root *root_of(uint32_t count)
{
    struct root *root = new_root();
    assert_int_equal(load(root), STRATA_OK);
    assert_false(root->found);
    put_zeros(root, "wal/00000000000000000001", 4096);
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(publish_next(root), STRATA_OK);
    return root;
}

static void expect_same(const struct manifest *a, const struct manifest *b)
{
    struct buffer encoded[2];
    const struct manifest *both[2] = {a, b};
    for (int i = 0; i < 2; i++) {
        buffer_init(&encoded[i], &heap);
        assert_int_equal(manifest_encode(both[i], &encoded[i]), STRATA_OK);
    }
    assert_int_equal(encoded[0].length, encoded[1].length);
    assert_memory_equal(encoded[0].data, encoded[1].data, encoded[0].length);
    for (int i = 0; i < 2; i++)
        buffer_release(&encoded[i]);
}

/* Loads, and expects the published state of that index. */
static void expect_state(struct root *root, uint32_t index)
{
    assert_int_equal(load(root), STRATA_OK);
    assert_true(root->found);
    expect_same(&root->loaded, &root->states[index].manifest);
    assert_int_equal(root->manifests.published, root->loaded.number);
}

static bool is_delta(struct root *root, uint64_t number)
{
    size_t size;
    uint8_t *data = disk_take(&root->disk, manifest_name(number), &size);
    const bool delta = data[56] == MANIFEST_DELTA;
    free(data);
    return delta;
}

static void expect_corrupt(struct root *root, uint64_t number)
{
    assert_int_equal(load(root), STRATA_CORRUPT);
    strata_error detail = {.size = sizeof(detail)};
    strata_error_detail(&detail);
    assert_string_equal(detail.object, manifest_name(number));
    assert_non_null(strstr(detail.message, manifest_name(number)));
}

static void nothing_is_no_database(void **state)
{
    (void)state;
    struct root *root = new_root();
    assert_int_equal(load(root), STRATA_OK);
    assert_false(root->found);
    disk_put(&root->disk, "manifest/something", (const uint8_t *)"x", 1);
    assert_int_equal(load(root), STRATA_OK);
    assert_false(root->found);
    delete_root(root);
}

static void what_is_published_is_loaded(void **state)
{
    (void)state;
    struct root *root = root_of(0);
    const struct state empty = first_state();
    assert_int_equal(publish(root, &empty), STRATA_OK);
    for (uint32_t i = 0; i < 60; i++) {
        expect_state(root, i);
        assert_int_equal(publish_next(root), STRATA_OK);
    }
    expect_state(root, 60);
    assert_int_equal(root->loaded.number, 61);
    delete_root(root);
}

static void deltas_come_in_chains_of_at_most_8(void **state)
{
    (void)state;
    struct root *root = root_of(70);
    uint32_t in_row = 0, longest = 0, full = 0;
    for (uint64_t number = 1; number <= 70; number++) {
        in_row = is_delta(root, number) ? in_row + 1 : 0;
        full += in_row == 0;
        longest = in_row > longest ? in_row : longest;
        assert_true(number > 1 || in_row == 0);
    }
    assert_int_equal(longest, 8);
    assert_true(full < 35); /* Small ones are written in full. */
    expect_state(root, 69);
    /* Publishing on what was loaded continues the chain. */
    struct manifest next = root->loaded;
    assert_int_equal(manifests_publish(&root->manifests, &root->loaded, &next), STRATA_OK);
    assert_true(is_delta(root, 71) || root->manifests.chain == 0);
    delete_root(root);
}

static void a_run_that_changes_under_its_id_is_carried_by_a_delta(void **state)
{
    (void)state;
    struct root *root = root_of(20);
    struct state changed = *newest_state(root);
    const struct manifest_artifact artifact = {.kind = 1, .number = 5, .size = 9};
    changed.parts[4].artifact_count = 1;
    changed.parts[4].artifacts = &artifact;
    assert_int_equal(publish(root, &changed), STRATA_OK);
    assert_true(is_delta(root, 21));
    expect_state(root, 20);
    delete_root(root);
}

/* Readers take 32 deltas, though no writer of ours makes so many. */
static void a_chain_of_32_is_read(void **state)
{
    (void)state;
    struct root *root = root_of(40);
    uint32_t in_row = 0;
    while (root->manifests.chain != 0)
        assert_int_equal(publish_next(root), STRATA_OK);
    while (in_row < MANIFEST_CHAIN_MAX) {
        root->manifests.chain = 0;
        assert_int_equal(publish_next(root), STRATA_OK);
        in_row = is_delta(root, root->manifests.published) ? in_row + 1 : 0;
    }
    expect_state(root, root->state_count - 1);
    delete_root(root);
}

static void old_manifests_go_and_what_is_rested_on_stays(void **state)
{
    (void)state;
    struct root *root = root_of(0);
    for (uint32_t i = 0; i < 75; i++) {
        assert_int_equal(publish_next(root), STRATA_OK);
        bool more = true;
        while (more)
            assert_int_equal(manifests_drop_step(&root->manifests, &more), STRATA_OK);
        assert_int_equal(manifests_drop_step(&root->manifests, &more), STRATA_OK);
        assert_false(more);
        const uint64_t number = root->manifests.published;
        expect_state(root, i);
        if (i == 0)
            continue;
        /* The predecessor can still rule. */
        disk_flip(&root->disk, manifest_name(number), 70, 1);
        expect_state(root, i - 1);
        disk_flip(&root->disk, manifest_name(number), 70, 1);
        expect_state(root, i);
        uint64_t kept = 0;
        for (uint64_t n = 1; n <= number; n++)
            kept += disk_has(&root->disk, manifest_name(n));
        assert_true(kept <= 2 * 8 + 2);
    }
    assert_false(disk_has(&root->disk, manifest_name(1)));
    delete_root(root);
}

static void a_torn_newest_falls_back(void **state)
{
    (void)state;
    struct root *root = root_of(30);
    size_t size;
    uint8_t *data = disk_take(&root->disk, manifest_name(30), &size);
    for (size_t cut = 0; cut < size; cut += 7) {
        disk_put(&root->disk, manifest_name(30), data, cut);
        expect_state(root, 28);
        assert_int_equal(root->manifests.newest, 30);
        assert_int_equal(root->manifests.published, 29);
    }
    free(data);

    /* The next one has a new number, and may be torn as well. */
    root->state_count = 29;
    assert_int_equal(publish_next(root), STRATA_OK);
    assert_int_equal(root->manifests.published, 31);
    expect_state(root, 29);
    disk_cut(&root->disk, manifest_name(31), 100);
    expect_state(root, 28);
    assert_int_equal(root->manifests.newest, 31);
    delete_root(root);
}

static void a_damaged_newest_whose_predecessor_lacks_something_is_corrupt(void **state)
{
    (void)state;
    struct root *root = root_of(10);
    char part[LAYOUT_NAME_SIZE];
    layout_table_name(root->states[8].parts[3].number, part);
    disk_flip(&root->disk, manifest_name(10), 90, 1);
    expect_state(root, 8);

    const uint64_t size = disk_size(&root->disk, part);
    disk_cut(&root->disk, part, size - 1);
    expect_corrupt(root, 10);
    assert_non_null(strstr(strata_error_message(), part));
    disk_remove(&root->disk, part);
    expect_corrupt(root, 10);
    put_part(root, &root->states[8].parts[3]);
    expect_state(root, 8);

    disk_remove(&root->disk, "wal/00000000000000000001");
    expect_corrupt(root, 10);
    assert_non_null(strstr(strata_error_message(), "wal/00000000000000000001"));
    disk_flip(&root->disk, manifest_name(10), 90, 1); /* One that is whole is believed. */
    expect_state(root, 9);
    delete_root(root);
}

static void a_missing_artifact_does_not_matter(void **state)
{
    (void)state;
    struct root *root = root_of(10);
    struct state changed = *newest_state(root);
    const struct manifest_artifact artifact = {.kind = 1, .number = 1900, .size = 9};
    changed.parts[4].artifact_count = 1;
    changed.parts[4].artifacts = &artifact;
    assert_int_equal(publish(root, &changed), STRATA_OK);
    struct state next = changed;
    add_run(root, &next);
    assert_int_equal(publish(root, &next), STRATA_OK);
    disk_flip(&root->disk, manifest_name(12), 90, 1);
    expect_state(root, 10);
    delete_root(root);
}

static void a_damaged_base_is_corrupt(void **state)
{
    (void)state;
    struct root *root = root_of(30);
    uint64_t full = 30;
    while (is_delta(root, full))
        full--;
    assert_true(full < 29);
    for (uint64_t number = full; number < 30; number++) {
        disk_flip(&root->disk, manifest_name(number), 100, 1);
        expect_corrupt(root, number);
        disk_flip(&root->disk, manifest_name(number), 100, 1);
    }
    disk_remove(&root->disk, manifest_name(full));
    expect_corrupt(root, full);
    delete_root(root);
}

static void an_unfinished_creation_is_no_database(void **state)
{
    (void)state;
    struct root *root = new_root();
    assert_int_equal(load(root), STRATA_OK);
    assert_int_equal(publish_next(root), STRATA_OK);
    char part[LAYOUT_NAME_SIZE];
    layout_table_name(root->states[0].parts[0].number, part);
    disk_remove(&root->disk, part);

    disk_cut(&root->disk, manifest_name(1), 60);
    assert_int_equal(load(root), STRATA_OK);
    assert_false(root->found);
    disk_put(&root->disk, "wal/00000000000000000001", NULL, 0);
    expect_corrupt(root, 1);
    disk_remove(&root->disk, "wal/00000000000000000001");
    put_part(root, &root->states[0].parts[0]);
    expect_corrupt(root, 1);
    disk_remove(&root->disk, part);

    /* The number is not used again, also when that is torn too. */
    root->state_count = 0;
    assert_int_equal(load(root), STRATA_OK);
    assert_int_equal(publish_next(root), STRATA_OK);
    assert_int_equal(root->manifests.published, 2);
    expect_state(root, 0);
    disk_cut(&root->disk, manifest_name(2), 60);
    layout_table_name(root->states[0].parts[0].number, part);
    disk_remove(&root->disk, part);
    assert_int_equal(load(root), STRATA_OK);
    assert_false(root->found);
    assert_int_equal(root->manifests.newest, 2);
    delete_root(root);
}

static void a_newer_format_is_refused_at_once(void **state)
{
    (void)state;
    struct root *root = root_of(5);
    size_t size;
    uint8_t *data = disk_take(&root->disk, manifest_name(5), &size);
    static const struct identity nobody;
    store_u32(data + 16, FORMAT_VERSION + 1);
    store_u64(data,
              place_checksum(bytes_of(data, size), place_seed(&nobody, FAMILY_MANIFEST, 5, 0)));
    disk_put(&root->disk, manifest_name(5), data, size);
    free(data);
    assert_int_equal(load(root), STRATA_UNSUPPORTED);
    assert_non_null(strstr(strata_error_message(), manifest_name(5)));
    delete_root(root);
}

static void a_manifest_in_the_place_of_another_fails_its_check(void **state)
{
    (void)state;
    struct root *root = root_of(5);
    size_t size;
    uint8_t *data = disk_take(&root->disk, manifest_name(3), &size);
    disk_put(&root->disk, manifest_name(5), data, size);
    free(data);
    expect_state(root, 3);
    assert_int_equal(root->manifests.newest, 5);
    delete_root(root);
}

static void a_publication_that_leaves_nothing_whole_can_be_tried_again(void **state)
{
    (void)state;
    const uint32_t kinds[] = {DISK_CREATE, DISK_APPEND, DISK_APPEND};
    const size_t torn[] = {0, 0, 100};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct root *root = root_of(20);
        disk_fail(&root->disk, 1, kinds[i], ENOSPC);
        root->disk.torn_bytes = torn[i];
        assert_int_equal(publish_next(root), STRATA_NO_SPACE);
        assert_int_equal(root->manifests.published, 20);
        disk_heal(&root->disk);
        assert_int_equal(publish_next(root), STRATA_OK);
        assert_int_equal(root->manifests.published, 22);
        disk_cut_power(&root->disk);
        expect_state(root, 20);
        delete_root(root);
    }
}

static void a_publication_that_may_be_whole_halts(void **state)
{
    (void)state;
    const uint32_t kinds[] = {DISK_SYNC, DISK_SYNC_NAMES};
    for (int variant = 0; variant < 4; variant++) {
        struct root *root = root_of(20);
        disk_fail(&root->disk, 1, kinds[variant / 2], EIO);
        root->disk.hidden_effect = variant % 2;
        assert_int_equal(publish_next(root), STRATA_HALTED);
        disk_heal(&root->disk);
        assert_int_equal(publish_next(root), STRATA_HALTED);
        bool more;
        assert_int_equal(manifests_drop_step(&root->manifests, &more), STRATA_HALTED);
        assert_int_equal(load(root), STRATA_OK);
        assert_int_equal(root->manifests.published, 21);
        assert_false(root->manifests.halted);
        delete_root(root);
    }
}

static void any_operation_may_fail(void **state)
{
    (void)state;
    for (unsigned variant = 0; variant < 8; variant++) {
        bool reached = true;
        for (uint64_t at = 1; reached; at++) {
            struct root *root = root_of(16);
            uint32_t last = 15;
            strata_status status = STRATA_OK;
            disk_fail(&root->disk, at, DISK_ALL, EIO);
            root->disk.fail_from_then_on = variant % 2 == 1;
            root->disk.torn_bytes = variant / 2 % 2 == 1 ? 100 : SIZE_MAX;
            root->disk.hidden_effect = variant / 4 == 1;
            for (int i = 0; i < 4; i++) {
                bool more;
                status = publish_next(root);
                if (status == STRATA_HALTED)
                    break;
                last += status == STRATA_OK;
                (void)!manifests_drop_step(&root->manifests, &more);
            }
            (void)!load(root);
            reached = root->disk.operations >= at;
            disk_heal(&root->disk);
            root->disk.fail_kinds = 0;
            disk_cut_power(&root->disk);
            assert_int_equal(load(root), STRATA_OK);
            assert_true(root->found);
            assert_true(root->loaded.number >= root->states[last].manifest.number);
            if (status != STRATA_HALTED)
                expect_state(root, last);
            delete_root(root);
        }
    }
}

static void out_of_memory_changes_nothing(void **state)
{
    (void)state;
    struct root *root = root_of(25);
    struct test_heap counted;
    const strata_allocator allocator = test_heap_init(&counted);
    strata_status status = STRATA_NO_MEMORY;
    for (uint64_t at = 1; status != STRATA_OK; at++) {
        struct arena arena;
        arena_init(&arena, &allocator, 4096);
        counted.requests = 0;
        counted.fail_at = at;
        status = manifests_load(&root->manifests, &root->disk.backend, &allocator, &arena,
                                &root->found, &root->loaded);
        assert_true(status == STRATA_OK || status == STRATA_NO_MEMORY);
        if (status == STRATA_OK)
            expect_same(&root->loaded, &root->states[24].manifest);
        arena_release(&arena);
    }
    status = STRATA_NO_MEMORY;
    for (uint64_t at = 1; status != STRATA_OK; at++) {
        counted.requests = 0;
        counted.fail_at = at;
        status = publish_next(root);
        assert_true(status == STRATA_OK || status == STRATA_NO_MEMORY);
    }
    assert_int_equal(root->manifests.published, 26);
    test_heap_assert_empty(&counted);
    expect_state(root, 25);
    delete_root(root);
}

static void random_damage_never_loads_anything_else(void **state)
{
    (void)state;
    struct random random = {.state = 4711};
    struct root *root = root_of(40);
    unsigned loaded = 0, corrupt = 0;
    for (int i = 0; i < 1000; i++) {
        const uint64_t number = i % 2 == 0 ? 40 : 1 + random_next(&random) % 40;
        const uint64_t size = disk_size(&root->disk, manifest_name(number));
        const uint64_t offset = random_next(&random) % size;
        const uint8_t bits = (uint8_t)(1 << random_next(&random) % 8);
        disk_flip(&root->disk, manifest_name(number), offset, bits);
        const strata_status status = load(root);
        if (status == STRATA_OK) {
            assert_true(root->found);
            assert_true(root->loaded.number >= 39);
            expect_same(&root->loaded, &root->states[root->loaded.number - 1].manifest);
            loaded++;
        } else {
            assert_int_equal(status, STRATA_CORRUPT);
            assert_non_null(strstr(strata_error_message(), "manifest/"));
            corrupt++;
        }
        disk_flip(&root->disk, manifest_name(number), offset, bits);
    }
    assert_true(loaded > 400 && corrupt > 10);
    delete_root(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_no_database),
        cmocka_unit_test(what_is_published_is_loaded),
        cmocka_unit_test(deltas_come_in_chains_of_at_most_8),
        cmocka_unit_test(a_run_that_changes_under_its_id_is_carried_by_a_delta),
        cmocka_unit_test(a_chain_of_32_is_read),
        cmocka_unit_test(old_manifests_go_and_what_is_rested_on_stays),
        cmocka_unit_test(a_torn_newest_falls_back),
        cmocka_unit_test(a_damaged_newest_whose_predecessor_lacks_something_is_corrupt),
        cmocka_unit_test(a_missing_artifact_does_not_matter),
        cmocka_unit_test(a_damaged_base_is_corrupt),
        cmocka_unit_test(an_unfinished_creation_is_no_database),
        cmocka_unit_test(a_newer_format_is_refused_at_once),
        cmocka_unit_test(a_manifest_in_the_place_of_another_fails_its_check),
        cmocka_unit_test(a_publication_that_leaves_nothing_whole_can_be_tried_again),
        cmocka_unit_test(a_publication_that_may_be_whole_halts),
        cmocka_unit_test(any_operation_may_fail),
        cmocka_unit_test(out_of_memory_changes_nothing),
        cmocka_unit_test(random_damage_never_loads_anything_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
