#include "table/sample.h"

#include "core/hash.h"
#include "layout/key.h"
#include "support.h"

static size_t draw(struct random *random, size_t limit)
{
    return (size_t)(random_next(random) % limit);
}

static size_t fill_short(struct random *random, uint8_t *to)
{
    static const uint8_t letters[] = {0, 1, 'a', 'b', 255};
    const size_t length = draw(random, 14);
    for (size_t i = 0; i < length; i++)
        to[i] = letters[draw(random, sizeof(letters))];
    return length;
}

static size_t fill_user_key(const struct sample_shape *shape, struct random *random, uint8_t *to)
{
    size_t length = 0;
    if (shape->keys == SAMPLE_SHORT)
        return fill_short(random, to);
    if (shape->keys == SAMPLE_LONG) {
        length = draw(random, 8) == 0 ? USER_KEY_SIZE_MAX : 1 + draw(random, 3000);
        for (size_t i = 0; i < length; i++)
            to[i] = (uint8_t)(i < 700 ? 'k' : random_next(random));
        to[draw(random, length)] = (uint8_t)random_next(random);
        return length;
    }
    if (shape->keys == SAMPLE_FORKED) {
        length = draw(random, 61);
        memset(to, 'x', length);
        for (size_t rest = 1 + draw(random, 10); rest > 0; rest--)
            to[length++] = (uint8_t)random_next(random);
        return length;
    }
    if (shape->keys == SAMPLE_ALIKE)
        length = 1500 + draw(random, 3) * 5000;
    if (shape->keys == SAMPLE_NESTED)
        length = 450;
    memset(to, 'x', length);
    store_ordered_u64(to + length, random_next(random) % (shape->key_count * 2));
    return length + 8;
}

static struct bytes make_key(const struct sample_shape *shape, struct random *random,
                             struct arena *arena)
{
    static uint8_t key[STORAGE_KEY_SIZE_MAX];
    key_prefix_store(key, 1 + draw(random, 3), storage_space((uint32_t)draw(random, 3), KIND_KV));
    const size_t length = KEY_PREFIX_SIZE + fill_user_key(shape, random, key + KEY_PREFIX_SIZE);
    uint8_t *copy = arena_take(arena, length);
    assert_non_null(copy);
    memcpy(copy, key, length);
    return bytes_of(copy, length);
}

static struct bytes make_value(const struct sample_shape *shape, struct random *random,
                               struct arena *arena, uint8_t kind)
{
    size_t size = draw(random, 4) == 0 ? draw(random, shape->value_size_max + 1)
                                       : draw(random, shape->value_size_max / 8 + 1);
    if (kind == ROW_DELETE || kind == ROW_RANGE_DELETE)
        return (struct bytes){0};
    if (kind == ROW_COUNTER)
        size = 8;
    if (kind == ROW_VALUE_REFERENCE)
        size = VALUE_REFERENCE_SIZE;
    uint8_t *value = arena_take(arena, size);
    assert_non_null(value);
    for (size_t i = 0; i < size; i++)
        value[i] = (uint8_t)random_next(random);
    if (kind == ROW_VALUE_REFERENCE)
        value_reference_store(value, (struct value_reference){.object = 1000 + draw(random, 20),
                                                              .size = 65537 + draw(random, 9999)});
    return bytes_of(value, size);
}

static uint8_t draw_kind(struct random *random)
{
    static const uint8_t kinds[] = {ROW_PUT,     ROW_PUT, ROW_PUT,    ROW_PUT,
                                    ROW_COUNTER, ROW_PUT, ROW_DELETE, ROW_VALUE_REFERENCE};
    return kinds[draw(random, sizeof(kinds))];
}

static int compare_rows(const void *left, const void *right)
{
    const struct row *a = left, *b = right;
    return row_order(a->key, a->from, b->key, b->from);
}

struct sample sample_create(const struct sample_shape *shape)
{
    struct sample sample = {.rows = NULL};
    struct random random = {.state = shape->seed};
    const size_t rows_max = (size_t)shape->key_count * shape->versions_max;
    arena_init(&sample.arena, &heap, 1 << 20);
    struct row *rows = arena_take(&sample.arena, rows_max * sizeof(*rows));
    assert_non_null(rows);
    size_t count = 0;
    for (unsigned i = 0; i < shape->key_count; i++) {
        const struct bytes key = make_key(shape, &random, &sample.arena);
        const size_t versions = 1 + draw(&random, shape->versions_max);
        for (size_t version = 0; version < versions; version++) {
            struct row row = {.key = key, .from = 1 + draw(&random, 100000)};
            row.kind = key.length == KEY_PREFIX_SIZE ? ROW_RANGE_DELETE : draw_kind(&random);
            row.value = make_value(shape, &random, &sample.arena, row.kind);
            row.time_us = (int64_t)draw(&random, 1u << 30) - (1 << 20);
            row.expires_us = draw(&random, 5) == 0 ? (int64_t)(1 + draw(&random, 1u << 30)) : 0;
            row.to = shape->closed && draw(&random, 9) != 0 ? row.from + 1 + draw(&random, 300) : 0;
            rows[count++] = row;
        }
    }
    qsort(rows, count, sizeof(*rows), compare_rows);
    for (size_t i = 0; i < count; i++) {
        if (sample.count == 0 || compare_rows(&rows[sample.count - 1], &rows[i]) != 0)
            rows[sample.count++] = rows[i];
    }
    sample.rows = rows;
    return sample;
}

void sample_release(struct sample *sample)
{
    arena_release(&sample->arena);
}

size_t sample_lower_bound(const struct sample *sample, struct bytes key, uint64_t from)
{
    size_t low = 0, high = sample->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const struct row *row = &sample->rows[middle];
        if (row_order(row->key, row->from, key, from) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct row *sample_find(const struct sample *sample, struct bytes key, uint64_t cap)
{
    const size_t index = sample_lower_bound(sample, key, cap);
    if (index == sample->count || !bytes_equal(sample->rows[index].key, key))
        return NULL;
    return &sample->rows[index];
}

struct bytes sample_probe(struct sample *sample, struct random *random)
{
    const struct bytes key = sample->rows[draw(random, sample->count)].key;
    const size_t way = draw(random, 6);
    if (way > 2 || key.length == STORAGE_KEY_SIZE_MAX)
        return key;
    uint8_t *copy = arena_take(&sample->arena, key.length + 1);
    assert_non_null(copy);
    memcpy(copy, key.data, key.length);
    copy[key.length] = 0;
    if (way == 0)
        return bytes_of(copy, key.length + 1);
    if (way == 1 && key.length > KEY_PREFIX_SIZE)
        return bytes_of(copy, key.length - 1);
    copy[key.length - 1] ^= (uint8_t)(1u << draw(random, 8));
    return bytes_of(copy, key.length);
}

void assert_rows_equal(const struct row *actual, const struct row *expected)
{
    assert_true(bytes_equal(actual->key, expected->key));
    assert_true(actual->from == expected->from);
    assert_true(actual->to == expected->to);
    assert_true(actual->time_us == expected->time_us);
    assert_true(actual->expires_us == expected->expires_us);
    assert_int_equal(actual->kind, expected->kind);
    assert_true(bytes_equal(actual->value, expected->value));
}

uint64_t key_hash(struct bytes key)
{
    return hash64_pair(bytes_of(key.data, KEY_PREFIX_SIZE), bytes_after(key, KEY_PREFIX_SIZE));
}
