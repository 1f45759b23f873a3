#include "format/samples.h"

#include "layout/key.h"
#include "support.h"

enum { SPACES = 3, CHUNK_BYTES = 64 * 1024 };

static uint8_t *take(struct sample *sample, size_t size)
{
    uint8_t *bytes = arena_take(&sample->arena, size > 0 ? size : 1);
    assert_non_null(bytes);
    return bytes;
}

static size_t up_to(struct random *random, size_t limit)
{
    return (size_t)(random_next(random) % (limit + 1));
}

/* A key that often begins like others do. */
static struct bytes random_key(struct sample *sample, const struct sample_shape *shape,
                               struct random *random)
{
    const size_t length = KEY_PREFIX_SIZE + 1 + up_to(random, shape->user_key_max - 1);
    uint8_t *key = take(sample, length);
    memset(key, 'k', length);
    key_prefix_store(key, BRANCH_MAIN, storage_space((uint32_t)up_to(random, SPACES - 1), KIND_KV));
    const size_t varied = length - KEY_PREFIX_SIZE < 4 ? length - KEY_PREFIX_SIZE : 4;
    for (size_t i = length - varied; i < length; i++)
        key[i] = (uint8_t)random_next(random);
    return bytes_of(key, length);
}

static int compare_keys(const void *a, const void *b)
{
    return bytes_compare(*(const struct bytes *)a, *(const struct bytes *)b);
}

static void random_value(struct sample *sample, const struct sample_shape *shape,
                         struct random *random, struct row *row)
{
    static const uint8_t kinds[] = {ROW_PUT,     ROW_PUT,    ROW_PUT, ROW_VALUE_REFERENCE,
                                    ROW_COUNTER, ROW_DELETE, ROW_PUT};
    row->kind = kinds[up_to(random, sizeof(kinds) - 1)];
    size_t length = up_to(random, shape->value_max);
    if (row->kind == ROW_DELETE)
        length = 0;
    if (row->kind == ROW_COUNTER)
        length = COUNTER_SIZE;
    if (row->kind == ROW_VALUE_REFERENCE)
        length = VALUE_REFERENCE_SIZE;
    uint8_t *value = take(sample, length);
    for (size_t i = 0; i < length; i++)
        value[i] = (uint8_t)random_next(random);
    if (row->kind == ROW_VALUE_REFERENCE)
        value_reference_store(value, (struct value_reference){.object = up_to(random, 1 << 20),
                                                              .size = 1 + up_to(random, 1 << 29)});
    row->value = bytes_of(value, length);
}

static uint64_t random_from(const struct sample_shape *shape, struct random *random)
{
    return shape->wide ? random_next(random) : 1000 + random_next(random) % 50;
}

/* The versions of one key, newest first. */
static void add_versions(struct sample *sample, const struct sample_shape *shape,
                         struct random *random, struct bytes key)
{
    uint64_t newer = 0;
    const size_t versions = 1 + up_to(random, 2);
    for (size_t version = 0; version < versions; version++) {
        struct row row = {.key = key, .from = random_from(shape, random)};
        if (version > 0 && row.from >= newer)
            break;
        row.to = version > 0 ? newer : 0;
        row.time_us = shape->wide ? (int64_t)random_next(random)
                                  : 1700000000000000 + (int64_t)(random_next(random) % 100000);
        if (up_to(random, 3) == 0)
            row.expires_us = (int64_t)(random_next(random) | 1);
        random_value(sample, shape, random, &row);
        sample->rows[sample->count++] = row;
        newer = row.from;
    }
}

void sample_create(struct sample *sample, const struct sample_shape *shape, uint64_t seed)
{
    struct random random = {seed};
    arena_init(&sample->arena, &heap, CHUNK_BYTES);
    struct bytes *keys = (void *)take(sample, (shape->keys + 1) * sizeof(*keys));
    for (unsigned i = 0; i < shape->keys; i++)
        keys[i] = random_key(sample, shape, &random);
    uint8_t *empty = take(sample, KEY_PREFIX_SIZE);
    key_prefix_store(empty, BRANCH_MAIN, storage_space(1, KIND_KV));
    keys[shape->keys] = bytes_of(empty, KEY_PREFIX_SIZE);
    qsort(keys, shape->keys + 1, sizeof(*keys), compare_keys);

    sample->count = 0;
    sample->rows = (void *)take(sample, (shape->keys + 1) * 3 * sizeof(*sample->rows));
    for (unsigned i = 0; i <= shape->keys; i++) {
        if (i > 0 && bytes_equal(keys[i - 1], keys[i]))
            continue;
        if (keys[i].length == KEY_PREFIX_SIZE)
            sample->rows[sample->count++] =
                (struct row){.key = keys[i], .from = 1007, .kind = ROW_RANGE_DELETE};
        else
            add_versions(sample, shape, &random, keys[i]);
    }
}

void sample_release(struct sample *sample)
{
    arena_release(&sample->arena);
}

struct row sample_row(struct sample *sample, size_t user_key_size, size_t value_size)
{
    uint8_t *key = take(sample, KEY_PREFIX_SIZE + user_key_size);
    uint8_t *value = take(sample, value_size);
    key_prefix_store(key, BRANCH_MAIN, storage_space(SPACE_DEFAULT, KIND_KV));
    memset(key + KEY_PREFIX_SIZE, 'x', user_key_size);
    memset(value, 'v', value_size);
    return (struct row){.key = bytes_of(key, KEY_PREFIX_SIZE + user_key_size),
                        .value = bytes_of(value, value_size),
                        .from = 9,
                        .time_us = 1,
                        .kind = user_key_size > 0 ? ROW_PUT : ROW_RANGE_DELETE};
}
