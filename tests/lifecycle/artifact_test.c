/* The interface of derived artifacts, by a builder that is here only: the sums of the bytes of a
 * part's rows. */
#include "lifecycle/lab.h"

#include "core/random.h"
#include "layout/key.h"
#include "layout/names.h"
#include "table/value_file.h"

#include <stdio.h>

enum { SUM_KIND = 77 };

struct sum {
    const strata_allocator *allocator;
    uint64_t rows;
    uint64_t bytes;
};

/* What the builder was asked for. */
struct sums {
    unsigned open; /* Builds that are neither finished nor cancelled. */
    unsigned finished;
    unsigned cancelled;
    bool fail;
    bool nothing; /* Give no bytes. */
};

static struct sums sums;

static bool sum_wants(void *context, uint32_t space)
{
    return context == &sums && space == storage_space(SPACE_DEFAULT, KIND_KV);
}

static strata_status sum_begin(void *context, const strata_allocator *allocator, void **build_out)
{
    struct sum *sum = allocator->resize(allocator->context, NULL, 0, sizeof(*sum));
    assert_ptr_equal(context, &sums);
    if (sum == NULL)
        return failure(STRATA_NO_MEMORY, "no memory for a sum");
    *sum = (struct sum){.allocator = allocator};
    sums.open++;
    *build_out = sum;
    return STRATA_OK;
}

static strata_status sum_add(void *build, const struct row *row)
{
    struct sum *sum = build;
    assert_int_equal(key_space(row->key.data), storage_space(SPACE_DEFAULT, KIND_KV));
    sum->rows++;
    sum->bytes += row->key.length + row->value.length;
    return sums.fail ? failure(STRATA_IO, "the builder fails") : STRATA_OK;
}

static void sum_end(struct sum *sum)
{
    sums.open--;
    sum->allocator->resize(sum->allocator->context, sum, sizeof(*sum), 0);
}

static strata_status sum_finish(void *build, struct buffer *out)
{
    struct sum *sum = build;
    strata_status status = STRATA_OK;
    if (!sums.nothing && sum->rows > 0)
        status = buffer_append_u64(out, sum->rows);
    if (status == STRATA_OK && !sums.nothing && sum->rows > 0)
        status = buffer_append_u64(out, sum->bytes);
    sums.finished++;
    sum_end(sum);
    return status;
}

static void sum_cancel(void *build)
{
    sums.cancelled++;
    sum_end(build);
}

static const struct artifact_builder sum_builder = {.kind = SUM_KIND,
                                                    .context = &sums,
                                                    .wants = sum_wants,
                                                    .begin = sum_begin,
                                                    .add = sum_add,
                                                    .finish = sum_finish,
                                                    .cancel = sum_cancel};

static void sums_create(struct lab *lab)
{
    sums = (struct sums){.open = 0};
    lab_create(lab);
    lab->options.builders = &sum_builder;
    lab->options.builder_count = 1;
}

static void put_keys(struct lab *lab, unsigned round)
{
    for (unsigned i = 0; i < 100; i++) {
        char key[16], value[32];
        snprintf(key, sizeof(key), "key-%03u", i);
        snprintf(value, sizeof(value), "value-%u-%u", round, i);
        lab_put(lab, BRANCH_MAIN, key, value);
    }
}

static void check_keys(struct lab *lab, unsigned round)
{
    for (unsigned i = 0; i < 100; i++) {
        char key[16], value[32];
        snprintf(key, sizeof(key), "key-%03u", i);
        snprintf(value, sizeof(value), "value-%u-%u", round, i);
        assert_string_equal(lab_get(lab, BRANCH_MAIN, key, UINT64_MAX), value);
    }
}

/* Recomputes the artifact of a part from its rows; false if it has none or it cannot be read. */
static bool check_artifact(struct lab *lab, struct part *part)
{
    struct store *store = lab->store;
    struct part_source rows;
    uint64_t expected[2] = {0, 0};
    uint8_t bytes[16];
    part_source_init(&rows, part, false);
    assert_int_equal(source_seek(&rows.source, (struct bytes){0}, UINT64_MAX), STRATA_OK);
    while (rows.source.valid) {
        const struct row *row = &rows.source.row;
        if (key_space(row->key.data) == storage_space(SPACE_DEFAULT, KIND_KV)) {
            expected[0]++;
            expected[1] += row->key.length + row->value.length;
        }
        assert_int_equal(source_next(&rows.source), STRATA_OK);
    }
    source_release(&rows.source);
    if (part->info.artifact_count == 0)
        return false;
    assert_int_equal(part->info.artifacts[0].kind, SUM_KIND);
    const struct value_reference reference = {.object = part->info.artifacts[0].number,
                                              .size = part->info.artifacts[0].size};
    assert_int_equal(reference.size, sizeof(bytes));
    if (value_file_read(store->backend, store->memory_allocator, &store->identity, reference, 0,
                        bytes, sizeof(bytes)) != STRATA_OK)
        return false;
    assert_int_equal(load_u64(bytes), expected[0]);
    assert_int_equal(load_u64(bytes + 8), expected[1]);
    return true;
}

/* Parts with an artifact that is right. */
static unsigned count_artifacts(struct lab *lab)
{
    unsigned count = 0;
    epoch_enter(&lab->store->epochs, lab->slot);
    const struct tableset *set = atomic_load(&lab->store->tables.current);
    for (uint32_t i = 0; i < set->live_count + set->history_count; i++) {
        for (uint32_t j = 0; j < set->live[i]->part_count; j++)
            count += check_artifact(lab, set->live[i]->parts[j]);
    }
    epoch_leave(lab->slot);
    return count;
}

static void artifacts_come_with_flushes_and_merges_and_go_with_their_parts(void **state)
{
    (void)state;
    struct lab lab;
    sums_create(&lab);
    lab_open(&lab);
    for (unsigned round = 0; round < 12; round++) {
        put_keys(&lab, round);
        lab_flush(&lab);
        assert_true(count_artifacts(&lab) > 0);
        if (round % 5 == 4)
            lab_compact(&lab);
    }
    lab_compact(&lab);
    assert_int_equal(count_artifacts(&lab), 2);
    lab_settle(&lab);
    assert_int_equal(lab_table_objects(&lab), 4);
    check_keys(&lab, 11);
    lab_close(&lab);
    lab_open(&lab);
    assert_int_equal(count_artifacts(&lab), 2);
    assert_int_equal(sums.open, 0);
    lab_destroy(&lab);
}

static void a_crash_leaves_no_artifact_behind(void **state)
{
    (void)state;
    for (unsigned at = 1; at < 40; at++) {
        struct lab lab;
        bool did;
        sums_create(&lab);
        lab_open(&lab);
        put_keys(&lab, 0);
        assert_int_equal(store_sync(lab.store), STRATA_OK);
        mutex_lock(&lab.store->committer.lock);
        assert_int_equal(committer_freeze(&lab.store->committer, 4096), STRATA_OK);
        mutex_unlock(&lab.store->committer.lock);
        simdisk_fail(lab.disk, (struct sim_fault){.operation = simdisk_operations(lab.disk) + at,
                                                  .forever = true,
                                                  .error = 5,
                                                  .effect = STRATA_EFFECT_UNKNOWN,
                                                  .seed = at});
        while (store_step(lab.store, lab.slot, &did) == STRATA_OK && did)
            continue;
        simdisk_fail(lab.disk, (struct sim_fault){0});
        lab_crash(&lab, at % 2 == 0);
        assert_int_equal(sums.open, 0);
        lab_open(&lab);
        check_keys(&lab, 0);
        lab_settle(&lab);
        assert_int_equal(lab_table_objects(&lab), lab_listed_objects(&lab));
        lab_destroy(&lab);
    }
}

struct findings {
    unsigned derived;
    unsigned others;
};

static void count_finding(void *context, const strata_finding *finding)
{
    struct findings *findings = context;
    *(finding->derived ? &findings->derived : &findings->others) += 1;
}

static void damage_to_artifacts_changes_no_answer_and_is_found(void **state)
{
    (void)state;
    for (unsigned missing = 0; missing < 2; missing++) {
        struct lab lab;
        struct findings findings = {0};
        char name[LAYOUT_NAME_SIZE];
        sums_create(&lab);
        lab_open(&lab);
        put_keys(&lab, 0);
        put_keys(&lab, 1);
        lab_flush(&lab);
        const struct tableset *set = atomic_load(&lab.store->tables.current);
        layout_table_name(set->live[0]->parts[0]->info.artifacts[0].number, name);
        assert_int_equal(store_check(lab.store, lab.slot, NULL, count_finding, &findings),
                         STRATA_OK);
        assert_int_equal(findings.derived + findings.others, 0);
        if (missing == 1)
            assert_true(simdisk_vanish(lab.disk, name));
        else
            assert_true(simdisk_poke(lab.disk, name, 30, "x", 1));
        assert_int_equal(store_check(lab.store, lab.slot, NULL, count_finding, &findings),
                         STRATA_OK);
        assert_int_equal(findings.derived, 1);
        assert_int_equal(findings.others, 0);
        check_keys(&lab, 1);
        lab_close(&lab);
        lab_open(&lab);
        check_keys(&lab, 1);
        put_keys(&lab, 2);
        lab_compact(&lab);
        assert_int_equal(count_artifacts(&lab), 2);
        assert_int_equal(lab_table_objects(&lab), lab_listed_objects(&lab));
        check_keys(&lab, 2);
        lab_destroy(&lab);
    }
}

static void a_builder_that_fails_or_has_nothing_leaves_nothing(void **state)
{
    (void)state;
    struct lab lab;
    sums_create(&lab);
    lab_open(&lab);
    put_keys(&lab, 0);
    sums.fail = true;
    assert_int_equal(store_flush_all(lab.store), STRATA_IO);
    assert_true(sums.cancelled > 0);
    assert_int_equal(sums.open, 0);
    check_keys(&lab, 0);
    sums.fail = false;
    sums.nothing = true;
    lab.monotonic_us += 10 * JOB_RETRY_US;
    put_keys(&lab, 1);
    lab_compact(&lab);
    lab_settle(&lab);
    assert_int_equal(count_artifacts(&lab), 0);
    assert_int_equal(lab_table_objects(&lab), lab_listed_objects(&lab));
    check_keys(&lab, 1);
    lab_destroy(&lab);
}

static void memory_may_run_out_at_any_time(void **state)
{
    (void)state;
    bool failed = true;
    for (uint64_t at = 1; failed; at += 3) {
        struct lab lab;
        sums_create(&lab);
        lab_open(&lab);
        put_keys(&lab, 0);
        lab.counted.fail_at = lab.counted.requests + at;
        const uint64_t before = lab.counted.fail_at;
        (void)!store_compact(lab.store, NULL);
        failed = lab.counted.requests >= before;
        lab.counted.fail_at = 0;
        lab.monotonic_us += 10 * JOB_RETRY_US;
        check_keys(&lab, 0);
        lab_compact(&lab);
        lab_close(&lab);
        lab_open(&lab);
        lab_settle(&lab);
        check_keys(&lab, 0);
        assert_int_equal(lab_table_objects(&lab), lab_listed_objects(&lab));
        assert_int_equal(sums.open, 0);
        lab_destroy(&lab);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(artifacts_come_with_flushes_and_merges_and_go_with_their_parts),
        cmocka_unit_test(a_crash_leaves_no_artifact_behind),
        cmocka_unit_test(damage_to_artifacts_changes_no_answer_and_is_found),
        cmocka_unit_test(a_builder_that_fails_or_has_nothing_leaves_nothing),
        cmocka_unit_test(memory_may_run_out_at_any_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
