#include "table/merge.h"

#include "core/random.h"
#include "support.h"
#include "table/sample.h"

enum { SOURCES_MAX = 40, ROUNDS = 400, KEYS_MAX = 24 };

/* Some of the rows of an array, in its order. */
struct part_of_rows {
    struct source source;
    const struct row *rows;
    const uint8_t *owner; /* Of each row, the number of its source. */
    size_t count;
    size_t at;
    uint8_t number;
};

static struct part_of_rows *part_of(struct source *source)
{
    void *self = source;
    return self;
}

static strata_status part_show(struct part_of_rows *self)
{
    while (self->at < self->count && self->owner[self->at] != self->number)
        self->at++;
    self->source.valid = self->at < self->count;
    if (self->source.valid)
        self->source.row = self->rows[self->at];
    return STRATA_OK;
}

static strata_status part_seek(struct source *source, struct bytes key, uint64_t from)
{
    assert_int_equal(key.length, 0);
    assert_true(from == UINT64_MAX);
    part_of(source)->at = 0;
    return part_show(part_of(source));
}

static strata_status part_next(struct source *source)
{
    assert_true(source->valid);
    part_of(source)->at++;
    return part_show(part_of(source));
}

static const struct source_class part_class = {.seek = part_seek, .next = part_next};

/* Deals `rows` to `count` sources, in stretches of `stretch` at most, and merges them: the rows come
 * back in their order. */
static void merge_and_compare(const struct row *rows, size_t row_count, unsigned count,
                              unsigned stretch, struct random *random)
{
    struct part_of_rows parts[SOURCES_MAX];
    struct source *sources[SOURCES_MAX];
    struct merge merge;
    struct test_heap counted;
    const strata_allocator allocator = test_heap_init(&counted);
    uint8_t *owner = malloc(row_count + 1);
    assert_non_null(owner);
    for (size_t i = 0; i < row_count;) {
        const uint8_t number = (uint8_t)(random_next(random) % count);
        const size_t length = 1 + random_next(random) % stretch;
        for (size_t j = 0; j < length && i < row_count; j++)
            owner[i++] = number;
    }
    for (unsigned i = 0; i < count; i++) {
        parts[i] = (struct part_of_rows){.source = {.class = &part_class},
                                         .rows = rows,
                                         .owner = owner,
                                         .count = row_count,
                                         .number = (uint8_t)i};
        sources[i] = &parts[i].source;
    }
    assert_int_equal(merge_start(&merge, &allocator, sources, count), STRATA_OK);
    for (size_t i = 0; i < row_count; i++) {
        assert_non_null(merge.current);
        assert_true(bytes_equal(merge.current->row.key, rows[i].key));
        assert_true(merge.current->row.from == rows[i].from);
        const bool repeats = i > 0 && bytes_equal(rows[i].key, rows[i - 1].key);
        assert_int_equal(merge.repeats, repeats);
        if (i > 0)
            assert_true(merge.last_from == rows[i - 1].from);
        assert_int_equal(merge_next(&merge), STRATA_OK);
    }
    assert_null(merge.current);
    merge_release(&merge);
    merge_release(&merge);
    test_heap_assert_empty(&counted);
    free(owner);
}

static void rows_come_in_order_however_they_are_dealt(void **state)
{
    (void)state;
    struct random random = {.state = 5};
    static const enum sample_keys kinds[] = {SAMPLE_SHORT, SAMPLE_ORDERED, SAMPLE_LONG,
                                             SAMPLE_ALIKE, SAMPLE_NESTED};
    for (unsigned i = 0; i < 60; i++) {
        struct sample sample =
            sample_create(&(struct sample_shape){.seed = i,
                                                 .key_count = i % 5 == 2 ? 30 : 300,
                                                 .versions_max = 1 + i % 7,
                                                 .value_size_max = 10,
                                                 .keys = kinds[i % 5]});
        merge_and_compare(sample.rows, sample.count, 1 + i % SOURCES_MAX, 1 + i % 13, &random);
        sample_release(&sample);
    }
}

static int row_compare(const void *a, const void *b)
{
    const struct row *first = a, *second = b;
    return row_order(first->key, first->from, second->key, second->from);
}

/* Words of zeros are what a shorter key counts as having. */
static void keys_that_end_in_zeros_are_told_apart(void **state)
{
    (void)state;
    struct random random = {.state = 6};
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint8_t bytes[KEYS_MAX][64] = {{0}};
        struct row rows[KEYS_MAX];
        for (unsigned i = 0; i < KEYS_MAX; i++) {
            const size_t length = 1 + random_next(&random) % (round % 2 == 0 ? 20 : 63);
            for (size_t j = 0; j < length; j++)
                bytes[i][j] =
                    random_next(&random) % 5 == 0 ? (uint8_t)(random_next(&random) % 3) : 0;
            rows[i] = (struct row){.key = bytes_of(bytes[i], length), .from = 1 + i};
        }
        qsort(rows, KEYS_MAX, sizeof(rows[0]), row_compare);
        merge_and_compare(rows, KEYS_MAX, 1 + round % 5, 1 + round % 4, &random);
    }
}

static void rows_out_of_order_are_corrupt(void **state)
{
    (void)state;
    const struct row by_key[] = {{.key = {(const uint8_t *)"key-b", 5}, .from = 1},
                                 {.key = {(const uint8_t *)"key-a", 5}, .from = 1}};
    const struct row by_version[] = {{.key = {(const uint8_t *)"key-a", 5}, .from = 1},
                                     {.key = {(const uint8_t *)"key-a", 5}, .from = 2}};
    const struct row *const wrong[] = {by_key, by_version};
    static const uint8_t owner[2] = {0, 0};
    for (unsigned i = 0; i < 2; i++) {
        struct part_of_rows part = {
            .source = {.class = &part_class}, .rows = wrong[i], .owner = owner, .count = 2};
        struct source *source = &part.source;
        struct merge merge;
        assert_int_equal(merge_start(&merge, &heap, &source, 1), STRATA_OK);
        assert_int_equal(merge_next(&merge), STRATA_CORRUPT);
        merge_release(&merge);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_come_in_order_however_they_are_dealt),
        cmocka_unit_test(keys_that_end_in_zeros_are_told_apart),
        cmocka_unit_test(rows_out_of_order_are_corrupt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
