/* What a whole part of version 1 looks like, byte for byte: tests/golden/part.bin. It is written from
 * the rows below, which must never change, on any host. STRATA_GOLDEN_WRITE=folder writes the file
 * instead of comparing it. */
#include "backend/memory_backend.h"
#include "layout/key.h"
#include "layout/names.h"
#include "support.h"
#include "table/part_find.h"
#include "table/part_writer.h"
#include "table/sample.h"

#include <stdio.h>

enum { GOLDEN_PART = 21, GOLDEN_ROWS = 64, PATH_SIZE = 4096, PART_BYTES_MAX = 32 * 1024 };

static const struct identity here = {.uuid = {0x10, 0x21, 0x32, 0x43, 0x54, 0x65, 0x76, 0x87, 0x98,
                                              0xa9, 0xba, 0xcb, 0xdc, 0xed, 0xfe, 0x0f},
                                     .incarnation = 0x0102030405060708};

/* 2026-01-01 00:00:00 UTC. */
static const int64_t start_us = 1767225600000000;

static void path_of(char path[PATH_SIZE])
{
    const char *root = getenv("SOURCE_DIR"), *folder = getenv("STRATA_GOLDEN_WRITE");
    if (folder != NULL)
        snprintf(path, PATH_SIZE, "%s/part.bin", folder);
    else
        snprintf(path, PATH_SIZE, "%s/tests/golden/part.bin", root != NULL ? root : ".");
}

static uint8_t *take(struct arena *arena, size_t size)
{
    uint8_t *bytes = arena_take(arena, size > 0 ? size : 1);
    assert_non_null(bytes);
    return bytes;
}

static void add_row(struct sample *sample, uint64_t branch, const char *user_key, struct row row)
{
    const size_t length = strlen(user_key);
    uint8_t *key = take(&sample->arena, KEY_PREFIX_SIZE + length);
    key_prefix_store(key, branch, storage_space(SPACE_DEFAULT, KIND_KV));
    memcpy(key + KEY_PREFIX_SIZE, user_key, length);
    row.key = bytes_of(key, KEY_PREFIX_SIZE + length);
    row.time_us = start_us + (int64_t)row.from * 1000;
    assert_true(sample->count < GOLDEN_ROWS);
    sample->rows[sample->count++] = row;
}

static struct bytes value_of(struct sample *sample, size_t size, unsigned seed)
{
    uint8_t *value = take(&sample->arena, size);
    for (size_t i = 0; i < size; i++)
        value[i] = (uint8_t)(i * (seed + 3) >> 3);
    return bytes_of(value, size);
}

/* Small rows of one branch, all kinds among them; then those of another, whose values are so long
 * that their frame needs two units. */
static void golden_rows(struct sample *sample)
{
    uint8_t *reference = take(&sample->arena, VALUE_REFERENCE_SIZE);
    value_reference_store(reference, (struct value_reference){.object = 22, .size = 70000});
    add_row(sample, 1, "", (struct row){.from = 300, .kind = ROW_RANGE_DELETE});
    add_row(sample, 1, "big",
            (struct row){.value = bytes_of(reference, VALUE_REFERENCE_SIZE),
                         .from = 20000,
                         .kind = ROW_VALUE_REFERENCE});
    add_row(sample, 1, "count",
            (struct row){.value = bytes_of("\xfe\xff\xff\xff\xff\xff\xff\xff", COUNTER_SIZE),
                         .from = 20001,
                         .kind = ROW_COUNTER});
    add_row(sample, 1, "gone", (struct row){.from = 500, .kind = ROW_DELETE});
    add_row(sample, 1, "key", (struct row){.from = 20001, .kind = ROW_PUT});
    for (unsigned i = 0; i < 45; i++) {
        char key[16];
        snprintf(key, sizeof(key), "key%03u", i);
        const int64_t expires_us = i % 7 == 0 ? start_us + 1000 + i : 0;
        add_row(sample, 1, key,
                (struct row){.value = value_of(sample, 8 + i * 31 % 77, i),
                             .from = 400 + (uint64_t)i * 37 % 500,
                             .expires_us = expires_us,
                             .kind = ROW_PUT});
    }
    for (unsigned i = 0; i < 5; i++) {
        static const char *const keys[] = {"a", "b", "c", "d", "e"};
        add_row(sample, 2, keys[i],
                (struct row){.value = value_of(sample, 1400, i), .from = 600 + i, .kind = ROW_PUT});
    }
}

static void write_part(const strata_backend *backend, const struct sample *sample,
                       struct arena *arena, struct manifest_part *info)
{
    struct part_writer writer;
    const struct part_options options = {.backend = backend,
                                         .allocator = &heap,
                                         .identity = here,
                                         .unit_size = 4096,
                                         .frame_size = 4096,
                                         .role = ROLE_LIVE,
                                         .with_buckets = true};
    assert_int_equal(part_writer_open(&writer, &options, GOLDEN_PART), STRATA_OK);
    for (size_t i = 0; i < sample->count; i++)
        assert_int_equal(part_writer_add(&writer, &sample->rows[i]), STRATA_OK);
    assert_int_equal(part_writer_finish(&writer, arena, info), STRATA_OK);
    part_writer_release(&writer);
}

static size_t read_object(const strata_backend *backend, uint8_t bytes[PART_BYTES_MAX])
{
    char name[LAYOUT_NAME_SIZE];
    struct object object;
    layout_table_name(GOLDEN_PART, name);
    assert_int_equal(object_open(backend, name, &object), STRATA_OK);
    assert_true(object.size <= PART_BYTES_MAX);
    const size_t size = (size_t)object.size;
    assert_int_equal(object_read(&object, 0, bytes, size), STRATA_OK);
    object_close(&object);
    return size;
}

static void refuse_finding(void *context, uint64_t offset, const char *message)
{
    (void)context, (void)offset;
    fail_msg("found: %s", message);
}

/* Every row is there, through the buckets and in order, and every rule is kept. */
static void read_part(const strata_backend *backend, const struct sample *sample,
                      const struct manifest_part *info)
{
    struct cache cache;
    struct epochs epochs;
    struct epoch_slot *slot;
    epochs_init(&epochs, &heap);
    assert_int_equal(epoch_slot_take(&epochs, &slot), STRATA_OK);
    assert_int_equal(cache_init(&cache, &heap, &epochs, CACHE_LARGE_BYTES_MIN), STRATA_OK);
    struct part_store store = {.backend = backend, .allocator = &heap, .cache = &cache};
    memcpy(store.uuid, here.uuid, UUID_SIZE);
    struct part *part = NULL;
    assert_int_equal(part_create(&store, info, &part), STRATA_OK);
    assert_int_equal(part_check(part, refuse_finding, NULL), STRATA_OK);
    assert_int_equal(part->leaf_count, 2);
    assert_true(part->rows_root > 0 && part->bucket_count > 0);

    struct part_source source;
    epoch_enter(&epochs, slot);
    part_source_init(&source, part, false);
    assert_int_equal(source_seek(&source.source, (struct bytes){0}, UINT64_MAX), STRATA_OK);
    for (size_t i = 0; i < sample->count; i++) {
        struct found_row found;
        bool newer = false;
        const struct bytes key = sample->rows[i].key;
        assert_true(source.source.valid);
        assert_rows_equal(&source.source.row, &sample->rows[i]);
        assert_int_equal(part_find(part, key, key_hash(key), UINT64_MAX, &found, &newer),
                         STRATA_OK);
        assert_true(found.found && found.row.from == sample->rows[i].from);
        cache_unpin(&cache, found.pin);
        assert_int_equal(source_next(&source.source), STRATA_OK);
    }
    assert_false(source.source.valid);
    source_release(&source.source);
    epoch_leave(slot);
    part_drop(part);
    cache_destroy(&cache);
    epoch_slot_give(slot);
    epochs_destroy(&epochs);
}

/* Compares `bytes` with the golden file, or writes that. */
static void meet_golden(const uint8_t *bytes, size_t size)
{
    static uint8_t golden[PART_BYTES_MAX + 1];
    char path[PATH_SIZE];
    path_of(path);
    const bool writes = getenv("STRATA_GOLDEN_WRITE") != NULL;
    FILE *file = fopen(path, writes ? "wb" : "rb");
    if (file == NULL)
        fail_msg("%s cannot be opened", path);
    if (writes) {
        assert_int_equal(fwrite(bytes, 1, size, file), size);
        assert_int_equal(fclose(file), 0);
        return;
    }
    assert_int_equal(fread(golden, 1, sizeof(golden), file), size);
    fclose(file);
    for (size_t i = 0; i < size; i++) {
        if (golden[i] != bytes[i])
            fail_msg("%s: byte %zu is 0x%02x, was 0x%02x", path, i, (unsigned)bytes[i],
                     (unsigned)golden[i]);
    }
}

static void parts_are_the_same_and_are_read(void **state)
{
    (void)state;
    static uint8_t bytes[PART_BYTES_MAX];
    struct row rows[GOLDEN_ROWS];
    struct sample sample = {.rows = rows};
    struct arena arena;
    struct manifest_part info;
    const strata_backend *backend = NULL;
    arena_init(&sample.arena, &heap, 65536);
    arena_init(&arena, &heap, 4096);
    assert_int_equal(memory_backend_create(&heap, &backend), STRATA_OK);
    golden_rows(&sample);
    write_part(backend, &sample, &arena, &info);
    const size_t size = read_object(backend, bytes);
    meet_golden(bytes, size);
    read_part(backend, &sample, &info);
    memory_backend_destroy(backend);
    arena_release(&arena);
    arena_release(&sample.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(parts_are_the_same_and_are_read)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
