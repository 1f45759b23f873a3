/* What version 1 of the format looks like, byte for byte: tests/golden/. Each file is written from the
 * inputs below, which must never change, on any host. STRATA_GOLDEN_WRITE=folder writes the files
 * instead of comparing them. The files of frames leave out the zeros that pad them. */
#include "format/batch.h"
#include "format/catalog.h"
#include "format/manifest.h"
#include "format/part.h"
#include "format/value_object.h"
#include "format/wal_record.h"
#include "layout/key.h"
#include "support.h"

#include <stdio.h>
#include <string.h>

enum { UNIT = 4096, PART = 21, SEGMENT = 6, VALUE_OBJECT = 22, PATH_SIZE = 4096 };

static const struct identity here = {.uuid = {0x10, 0x21, 0x32, 0x43, 0x54, 0x65, 0x76, 0x87, 0x98,
                                              0xa9, 0xba, 0xcb, 0xdc, 0xed, 0xfe, 0x0f},
                                     .incarnation = 0x0102030405060708};

/* 2026-01-01 00:00:00 UTC. */
static const int64_t start_us = 1767225600000000;

static const char *folder_to_write;

static void path_of(char path[PATH_SIZE], const char *name)
{
    const char *root = getenv("SOURCE_DIR");
    if (folder_to_write != NULL)
        snprintf(path, PATH_SIZE, "%s/%s.bin", folder_to_write, name);
    else
        snprintf(path, PATH_SIZE, "%s/tests/golden/%s.bin", root != NULL ? root : ".", name);
}

static void write_golden(const char *path, struct bytes bytes)
{
    FILE *file = fopen(path, "wb");
    if (file == NULL)
        fail_msg("%s cannot be written", path);
    assert_int_equal(fwrite(bytes.data, 1, bytes.length, file), bytes.length);
    assert_int_equal(fclose(file), 0);
}

static void compare_golden(const char *path, struct bytes bytes)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        fail_msg("%s is not there", path);
    uint8_t *golden = malloc(bytes.length + 1);
    assert_non_null(golden);
    const size_t size = fread(golden, 1, bytes.length + 1, file);
    fclose(file);
    for (size_t i = 0; i < bytes.length && i < size; i++) {
        if (golden[i] != bytes.data[i])
            fail_msg("%s: byte %zu is 0x%02x, was 0x%02x", path, i, (unsigned)bytes.data[i],
                     (unsigned)golden[i]);
    }
    assert_int_equal(size, bytes.length);
    free(golden);
}

/* Takes the buffer. */
static void meet_golden(const char *name, struct buffer *out)
{
    char path[PATH_SIZE];
    path_of(path, name);
    if (folder_to_write != NULL)
        write_golden(path, buffer_view(out));
    else
        compare_golden(path, buffer_view(out));
    buffer_release(out);
}

/* The same for one frame of one unit. */
static void meet_golden_frame(const char *name, struct buffer *out)
{
    const uint32_t used = load_u32(out->data + 12);
    assert_int_equal(out->length, UNIT);
    for (size_t i = used; i < UNIT; i++)
        assert_int_equal(out->data[i], 0);
    buffer_truncate(out, used);
    meet_golden(name, out);
}

static uint64_t unit_seed(uint64_t unit)
{
    return place_seed(&here, FAMILY_TABLE, PART, unit * UNIT);
}

static struct bytes text(const char *string)
{
    return bytes_of(string, strlen(string));
}

/* A storage key in `memory`. */
static struct bytes key_in(uint8_t *memory, uint64_t branch, uint32_t space, const char *user_key)
{
    key_prefix_store(memory, branch, space);
    memcpy(memory + KEY_PREFIX_SIZE, user_key, strlen(user_key));
    return bytes_of(memory, KEY_PREFIX_SIZE + strlen(user_key));
}

static void add_row(struct frame_builder *builder, const char *user_key, struct row row)
{
    uint8_t memory[64];
    row.key = key_in(memory, BRANCH_MAIN, storage_space(SPACE_DEFAULT, KIND_KV), user_key);
    assert_true(frame_builder_fits(builder, &row));
    assert_int_equal(frame_builder_add(builder, &row), STRATA_OK);
}

static void row_frames_are_the_same(void **state)
{
    (void)state;
    uint8_t reference[VALUE_REFERENCE_SIZE];
    value_reference_store(reference,
                          (struct value_reference){.object = VALUE_OBJECT, .size = 70000});
    const struct bytes counter = bytes_of("\xfe\xff\xff\xff\xff\xff\xff\xff", 8);
    struct frame_builder builder;
    frame_builder_init(&builder, &heap, UNIT, UNIT, FRAME_ROWS);
    add_row(&builder, "", (struct row){.from = 300, .time_us = start_us, .kind = ROW_RANGE_DELETE});
    add_row(
        &builder, "agent/goal",
        (struct row){
            .value = text("write tests"), .from = 1000, .time_us = start_us + 5, .kind = ROW_PUT});
    add_row(&builder, "agent/goal",
            (struct row){.value = text("plan"),
                         .from = 400,
                         .to = 1000,
                         .time_us = start_us + 3,
                         .expires_us = start_us + 1000,
                         .kind = ROW_PUT});
    add_row(&builder, "agent/plan",
            (struct row){.from = 500, .time_us = start_us + 4, .kind = ROW_DELETE});
    add_row(&builder, "big",
            (struct row){.value = bytes_of(reference, sizeof(reference)),
                         .from = 20000,
                         .time_us = start_us + 900000,
                         .kind = ROW_VALUE_REFERENCE});
    add_row(
        &builder, "count",
        (struct row){
            .value = counter, .from = 20001, .time_us = start_us + 900000, .kind = ROW_COUNTER});
    struct buffer out;
    uint32_t units;
    buffer_init(&out, &heap);
    assert_int_equal(frame_builder_finish(&builder, unit_seed(0), &out, &units), STRATA_OK);
    frame_builder_release(&builder);
    meet_golden_frame("frame_rows", &out);
}

static void index_frames_are_the_same(void **state)
{
    (void)state;
    static const char *const separators[] = {"a", "agent/goal", "b"};
    struct frame_builder builder;
    frame_builder_init(&builder, &heap, UNIT, UNIT, FRAME_INDEX);
    for (unsigned i = 0; i < 3; i++) {
        uint8_t value[INDEX_ENTRY_SIZE];
        index_entry_store(value, &(struct index_entry){.unit = i,
                                                       .min_from = 300 + i,
                                                       .max_to = i == 1 ? 1000 : TO_OPEN});
        add_row(&builder, separators[i],
                (struct row){.value = bytes_of(value, sizeof(value)),
                             .from = i == 1 ? 400 : UINT64_MAX,
                             .kind = ROW_PUT});
    }
    struct buffer out;
    uint32_t units;
    buffer_init(&out, &heap);
    assert_int_equal(frame_builder_finish(&builder, unit_seed(3), &out, &units), STRATA_OK);
    frame_builder_release(&builder);
    meet_golden_frame("frame_index", &out);
}

static void directory_frames_are_the_same(void **state)
{
    (void)state;
    struct frame_builder builder;
    frame_builder_init(&builder, &heap, UNIT, UNIT, FRAME_DIRECTORY);
    for (uint32_t branch = BRANCH_MAIN; branch < BRANCH_MAIN + 3; branch++) {
        uint8_t memory[KEY_PREFIX_SIZE], value[SLICE_ENTRY_SIZE];
        slice_entry_store(value, &(struct slice_entry){.rows = branch * 10,
                                                       .bytes = branch * 1000,
                                                       .first_unit = branch - 1,
                                                       .max_from = 20001,
                                                       .max_to = TO_OPEN});
        const struct row row = {
            .key = key_in(memory, branch, storage_space(SPACE_DEFAULT, KIND_KV), ""),
            .value = bytes_of(value, sizeof(value)),
            .from = 300,
            .kind = ROW_PUT};
        assert_int_equal(frame_builder_add(&builder, &row), STRATA_OK);
    }
    struct buffer out;
    uint32_t units;
    buffer_init(&out, &heap);
    assert_int_equal(frame_builder_finish(&builder, unit_seed(4), &out, &units), STRATA_OK);
    frame_builder_release(&builder);
    meet_golden_frame("frame_directory", &out);
}

static void bucket_frames_are_the_same(void **state)
{
    (void)state;
    uint8_t buckets[2 * BUCKET_SIZE] = {0};
    for (uint32_t i = 0; i < 12; i++) {
        const uint64_t hash = (uint64_t)i * 0x0123456789abcdef;
        uint64_t bucket = bucket_of(hash, 2);
        if (!bucket_add(buckets + bucket * BUCKET_SIZE, hash,
                        row_place(i, (i + 16) * FRAME_ROW_ALIGNMENT)))
            assert_true(bucket_add(buckets + (1 - bucket) * BUCKET_SIZE, hash, i));
    }
    struct buffer out;
    uint32_t units;
    buffer_init(&out, &heap);
    assert_int_equal(frame_seal_content(FRAME_BUCKETS, UNIT, BUCKETS_OFFSET,
                                        bytes_of(buckets, sizeof(buckets)), unit_seed(5), &out,
                                        &units),
                     STRATA_OK);
    meet_golden_frame("frame_buckets", &out);
}

static void part_footers_are_the_same(void **state)
{
    (void)state;
    struct buffer list, content, out;
    buffer_init(&list, &heap);
    buffer_init(&content, &heap);
    buffer_init(&out, &heap);
    assert_int_equal(part_values_append(&list, VALUE_OBJECT, 70000), STRATA_OK);
    assert_int_equal(part_values_append(&list, 300, 0), STRATA_OK);
    const struct part_footer footer = {
        .number = PART,
        .units = 7,
        .rows = 60,
        .min_from = 300,
        .max_from = 20001,
        .max_to = TO_OPEN,
        .bytes = 6000,
        .unit_size = UNIT,
        .role = ROLE_LIVE,
        .section_count = 3,
        .sections = {{.kind = SECTION_ROWS, .required = true, .unit = 3, .count = 3},
                     {.kind = SECTION_DIRECTORY, .required = true, .unit = 4, .count = 3},
                     {.kind = SECTION_BUCKETS, .unit = 5, .count = 2}},
        .value_list = buffer_view(&list),
    };
    uint32_t units;
    assert_int_equal(part_footer_encode(&footer, &content), STRATA_OK);
    assert_int_equal(frame_seal_content(FRAME_FOOTER, UNIT, FRAME_HEADER_SIZE,
                                        buffer_view(&content), unit_seed(6), &out, &units),
                     STRATA_OK);
    buffer_release(&list);
    buffer_release(&content);
    meet_golden_frame("part_footer", &out);
}

static void value_blocks_are_the_same(void **state)
{
    (void)state;
    enum { USED = 66000 - VALUE_BLOCK_PAYLOAD };
    struct buffer out;
    uint8_t *block;
    buffer_init(&out, &heap);
    assert_int_equal(buffer_extend(&out, VALUE_BLOCK_HEADER_SIZE + USED, &block), STRATA_OK);
    for (uint32_t i = 0; i < USED; i++)
        block[VALUE_BLOCK_HEADER_SIZE + i] = (uint8_t)(i * i >> 4);
    value_block_seal(block, 1, USED,
                     place_seed(&here, FAMILY_TABLE, VALUE_OBJECT, value_block_offset(1)));
    meet_golden("value_block", &out);
}

/* Every kind of row; the last, an increment, is for batches not committed yet. */
static void encode_batch(struct buffer *out, bool committed)
{
    uint8_t reference[VALUE_REFERENCE_SIZE];
    value_reference_store(reference,
                          (struct value_reference){.object = VALUE_OBJECT, .size = 70000});
    const uint32_t space = storage_space(SPACE_DEFAULT, KIND_KV);
    const struct batch_row rows[] = {
        {.kind = ROW_RANGE_DELETE, .space = space},
        {.kind = ROW_PUT, .space = space, .key = text("agent/goal"), .value = text("write tests")},
        {.kind = ROW_PUT,
         .flags = BATCH_EXPIRES,
         .space = space,
         .key = text("soon"),
         .expires_us = start_us + 1000},
        {.kind = ROW_PUT,
         .flags = BATCH_LIVES,
         .space = space,
         .key = text("later"),
         .value = text("x"),
         .expires_us = 3600000000},
        {.kind = ROW_DELETE, .space = space, .key = text("agent/plan")},
        {.kind = ROW_VALUE_REFERENCE,
         .space = space,
         .key = text("big"),
         .value = bytes_of(reference, sizeof(reference))},
        {.kind = ROW_COUNTER,
         .space = space,
         .key = text("count"),
         .value = bytes_of("\xfe\xff\xff\xff\xff\xff\xff\xff", 8)},
        {.kind = ROW_PUT,
         .flags = BATCH_SYSTEM,
         .space = SYSTEM_SPACES,
         .key = text("notes"),
         .value = bytes_of("\2\0\0\0\0", 5)},
        {.kind = ROW_COUNTER,
         .flags = BATCH_INCREMENT,
         .space = space,
         .key = text("hits"),
         .value = bytes_of("\1\0\0\0\0\0\0\0", 8)},
    };
    const size_t count = sizeof(rows) / sizeof(rows[0]) - (committed ? 1 : 0);
    const struct batch_header header = {
        .branch = BRANCH_MAIN, .row_count = count, .message = text("first steps")};
    assert_int_equal(batch_header_append(out, &header), STRATA_OK);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(batch_row_append(out, &rows[i]), STRATA_OK);
}

static void batches_are_the_same(void **state)
{
    (void)state;
    struct buffer out;
    buffer_init(&out, &heap);
    encode_batch(&out, false);
    meet_golden("batch", &out);
}

/* A whole segment: its header, and two records, the second chained to the first. */
static void log_segments_are_the_same(void **state)
{
    (void)state;
    struct buffer out, batch;
    uint8_t *to;
    buffer_init(&out, &heap);
    buffer_init(&batch, &heap);
    encode_batch(&batch, true);
    const struct wal_header header = {.identity = here,
                                      .number = SEGMENT,
                                      .first_version = 20000,
                                      .previous_number = SEGMENT - 1,
                                      .previous_end = 65536,
                                      .previous_chain = 0x8877665544332211,
                                      .durable_version = 19990,
                                      .manifest = 3};
    assert_int_equal(buffer_extend(&out, WAL_HEADER_SIZE, &to), STRATA_OK);
    uint64_t chain = wal_header_encode(&header, to);
    for (uint64_t i = 0; i < 2; i++) {
        const size_t payload = batch.length;
        const size_t offset = out.length;
        assert_int_equal(buffer_extend(&out, wal_record_size(payload), &to), STRATA_OK);
        memcpy(to + WAL_RECORD_HEADER_SIZE, batch.data, payload);
        struct wal_record record = {.kind = WAL_RECORD_COMMIT,
                                    .version = 20000 + i,
                                    .time_us = start_us + 900000 + (int64_t)i,
                                    .durable_version = 19995 + i,
                                    .manifest = 3,
                                    .chain = chain,
                                    .payload = bytes_of(to + WAL_RECORD_HEADER_SIZE, payload)};
        wal_record_seal(&record, &here, SEGMENT, offset, to);
        chain = record.checksum;
    }
    buffer_release(&batch);
    meet_golden("wal", &out);
}

static void catalogs_are_the_same(void **state)
{
    (void)state;
    struct buffer out;
    buffer_init(&out, &heap);
    const struct branch_record record = {.flags = BRANCH_DELETED,
                                         .parent = BRANCH_MAIN,
                                         .cap = 20000,
                                         .created_version = 20001,
                                         .created_us = start_us,
                                         .name = text("experiment")};
    assert_int_equal(branch_record_append(&out, &record), STRATA_OK);
    const struct packed_commit commits[] = {
        {.version = 300, .time_us = start_us, .rows = 1, .message = text("clear")},
        {.version = 301, .time_us = start_us, .rows = 200},
        {.version = 20000, .time_us = start_us + 900000, .rows = 9, .message = text("first steps")},
    };
    struct commit_packer packer = {0};
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(commit_pack(&packer, &out, &commits[i]), STRATA_OK);
    meet_golden("catalog", &out);
}

static struct manifest_part golden_part(uint64_t number, const char *first_key)
{
    return (struct manifest_part){.number = number,
                                  .incarnation = here.incarnation,
                                  .units = 7,
                                  .unit_size = UNIT,
                                  .rows = 60,
                                  .bytes = 6000,
                                  .min_from = 300,
                                  .max_from = 20001,
                                  .max_to = TO_OPEN,
                                  .first_key = text(first_key),
                                  .first_from = 20001};
}

static void meet_manifest(const char *name, const struct manifest *manifest)
{
    struct buffer out;
    buffer_init(&out, &heap);
    assert_int_equal(manifest_encode(manifest, &out), STRATA_OK);
    meet_golden(name, &out);
}

static void manifests_are_the_same(void **state)
{
    (void)state;
    const struct manifest_artifact artifact = {.kind = 1, .number = 30, .size = 12345};
    struct manifest_part parts[] = {golden_part(PART, "a"), golden_part(23, "m")};
    parts[1].artifact_count = 1;
    parts[1].artifacts = &artifact;
    const struct manifest_run runs[] = {
        {.id = 4,
         .role = ROLE_LIVE,
         .min_version = 15000,
         .max_version = 20001,
         .part_count = 1,
         .parts = parts},
        {.id = 2,
         .role = ROLE_LIVE,
         .tier = 2,
         .max_version = 15000,
         .part_count = 2,
         .parts = parts},
        {.id = 5,
         .role = ROLE_HISTORY,
         .min_version = 15000,
         .max_version = 20001,
         .part_count = 1,
         .parts = parts},
    };
    struct manifest manifest = {.identity = here,
                                .number = 3,
                                .kind = MANIFEST_FULL,
                                .flushed_version = 20001,
                                .flushed_time_us = start_us + 900000,
                                .first_wal = SEGMENT,
                                .next_object = 31,
                                .next_branch = 4,
                                .next_space = 3,
                                .created_us = start_us,
                                .run_count = 3,
                                .runs = runs};
    meet_manifest("manifest_full", &manifest);

    static const uint64_t removed[] = {4, 2};
    struct manifest_run merged = runs[1];
    merged.id = 6;
    merged.max_version = 20001;
    manifest.number = 4;
    manifest.kind = MANIFEST_DELTA;
    manifest.base = 3;
    manifest.removed_count = 2;
    manifest.removed = removed;
    manifest.run_count = 1;
    manifest.runs = &merged;
    meet_manifest("manifest_delta", &manifest);
}

int main(void)
{
    folder_to_write = getenv("STRATA_GOLDEN_WRITE");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(row_frames_are_the_same),
        cmocka_unit_test(index_frames_are_the_same),
        cmocka_unit_test(directory_frames_are_the_same),
        cmocka_unit_test(bucket_frames_are_the_same),
        cmocka_unit_test(part_footers_are_the_same),
        cmocka_unit_test(value_blocks_are_the_same),
        cmocka_unit_test(batches_are_the_same),
        cmocka_unit_test(log_segments_are_the_same),
        cmocka_unit_test(catalogs_are_the_same),
        cmocka_unit_test(manifests_are_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
