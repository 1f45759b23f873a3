#include "lifecycle/lab.h"

#include "layout/key.h"
#include "layout/names.h"
#include "table/value_file.h"

#include <string.h>

enum { LAB_TEXT_MAX = 256 };

static int64_t lab_wall(void *context)
{
    const struct lab *lab = context;
    return lab->wall_us;
}

static int64_t lab_monotonic(void *context)
{
    struct lab *lab = context;
    return atomic_fetch_add(&lab->monotonic_us, lab->tick_us) + lab->tick_us;
}

static void lab_wait(void *context, int64_t until_us, const volatile int32_t *wake)
{
    struct lab *lab = context;
    (void)wake;
    atomic_store(&lab->monotonic_us, until_us);
}

void lab_create(struct lab *lab)
{
    memset(lab, 0, sizeof(*lab));
    lab->allocator = test_heap_init(&lab->counted);
    lab->clock = (strata_clock){
        .context = lab, .wall_us = lab_wall, .monotonic_us = lab_monotonic, .wait = lab_wait};
    lab->wall_us = 1000000;
    lab->monotonic_us = 1000000;
    lab->disk = simdisk_create();
    lab->options = (struct store_options){.path = "lab",
                                          .memory_budget = 1 << 20,
                                          .sync_interval_us = 1000000,
                                          .seed = 42,
                                          .allocator = &lab->allocator,
                                          .clock = &lab->clock};
}

void lab_destroy(struct lab *lab)
{
    if (lab->store != NULL)
        lab_close(lab);
    assert_string_equal(simdisk_misuse(lab->disk), "");
    simdisk_destroy(lab->disk);
    test_heap_assert_empty(&lab->counted);
}

strata_status lab_try_open(struct lab *lab)
{
    lab->options.backend = simdisk_backend(lab->disk);
    TRY(store_open(&lab->options, &lab->store));
    return epoch_slot_take(&lab->store->epochs, &lab->slot);
}

void lab_open(struct lab *lab)
{
    const strata_status status = lab_try_open(lab);
    if (status != STRATA_OK)
        fail_msg("open: %s", strata_error_message());
}

strata_status lab_try_close(struct lab *lab)
{
    epoch_slot_give(lab->slot);
    struct store *store = lab->store;
    lab->store = NULL;
    return store_close(store);
}

void lab_close(struct lab *lab)
{
    assert_int_equal(lab_try_close(lab), STRATA_OK);
}

void lab_crash(struct lab *lab, bool lose)
{
    struct simdisk_image *image = simdisk_capture(lab->disk);
    const size_t count = simdisk_pending(image);
    unsigned char *lost = malloc(count + 1);
    memset(lost, lose, count + 1);
    const struct sim_survivors survivors = {.lost = lost, .torn = SIM_NOT_TORN};
    struct simdisk *disk = simdisk_mount(image, &survivors);
    free(lost);
    simdisk_release(image);
    if (lab->store != NULL) {
        epoch_slot_give(lab->slot);
        store_free(lab->store);
        lab->store = NULL;
    }
    simdisk_destroy(lab->disk);
    lab->disk = disk;
}

/* ---- commits ---- */

static strata_status lab_commit(struct lab *lab, uint64_t branch, const struct batch_row *rows,
                                uint64_t count, int64_t stall_wait_us, uint64_t *version_out)
{
    strata_status status = STRATA_OK;
    strata_commit commit;
    uint8_t *room;
    struct buffer record;
    buffer_init(&record, &lab->allocator);
    TRY_OUT(buffer_extend(&record, WAL_RECORD_HEADER_SIZE, &room));
    memset(room, 0, WAL_RECORD_HEADER_SIZE);
    TRY_OUT(
        batch_header_append(&record, &(struct batch_header){.branch = branch, .row_count = count}));
    for (uint64_t i = 0; i < count; i++)
        TRY_OUT(batch_row_append(&record, &rows[i]));
    struct commit_request request = {
        .record = &record, .rows = count, .stall_wait_us = stall_wait_us};
    TRY_OUT(committer_commit(&lab->store->committer, lab->slot, &request, &commit));
    if (version_out != NULL)
        *version_out = commit.version;

out:
    buffer_release(&record);
    return status;
}

strata_status lab_try_put(struct lab *lab, uint64_t branch, const char *key, const char *value,
                          int64_t stall_wait_us, uint64_t *version_out)
{
    const struct batch_row row = {.kind = value == NULL ? ROW_DELETE : ROW_PUT,
                                  .space = storage_space(SPACE_DEFAULT, KIND_KV),
                                  .key = bytes_of(key, strlen(key)),
                                  .value = bytes_of(value, value == NULL ? 0 : strlen(value))};
    return lab_commit(lab, branch, &row, 1, stall_wait_us, version_out);
}

uint64_t lab_put(struct lab *lab, uint64_t branch, const char *key, const char *value)
{
    uint64_t version = 0;
    if (lab_try_put(lab, branch, key, value, INT64_MAX, &version) != STRATA_OK)
        fail_msg("put: %s", strata_error_message());
    return version;
}

/* The value in an object of its own; `reference` is what stands in the row. */
static strata_status lab_write_object(struct lab *lab, struct bytes value,
                                      uint8_t reference[VALUE_REFERENCE_SIZE])
{
    strata_status status = STRATA_OK;
    struct store *store = lab->store;
    struct value_writer writer = {.allocator = NULL};
    struct value_reference made;
    uint64_t number;
    TRY(store_take_number(store, &number));
    TRY_OUT(value_writer_open(&writer, store->backend, store->memory_allocator, &store->identity,
                              number));
    TRY_OUT(value_writer_append(&writer, value));
    TRY_OUT(value_writer_finish(&writer, true, &made));
    value_reference_store(reference, made);

out:
    value_writer_release(&writer);
    return status;
}

strata_status lab_try_put_filled(struct lab *lab, uint64_t branch, const char *key, size_t size,
                                 char fill)
{
    uint8_t reference[VALUE_REFERENCE_SIZE];
    uint8_t *value = malloc(size);
    memset(value, fill, size);
    struct batch_row row = {.kind = ROW_PUT,
                            .space = storage_space(SPACE_DEFAULT, KIND_KV),
                            .key = bytes_of(key, strlen(key)),
                            .value = bytes_of(value, size)};
    strata_status status = STRATA_OK;
    if (size >= INLINE_VALUE_SIZE_MAX) {
        status = lab_write_object(lab, row.value, reference);
        row.kind = ROW_VALUE_REFERENCE;
        row.value = bytes_of(reference, sizeof(reference));
    }
    if (status == STRATA_OK)
        status = lab_commit(lab, branch, &row, 1, INT64_MAX, NULL);
    free(value);
    return status;
}

uint64_t lab_put_filled(struct lab *lab, uint64_t branch, const char *key, size_t size, char fill)
{
    if (lab_try_put_filled(lab, branch, key, size, fill) != STRATA_OK)
        fail_msg("put: %s", strata_error_message());
    return atomic_load(&lab->store->committer.visible);
}

uint64_t lab_put_numbered(struct lab *lab, uint64_t branch, uint64_t number, size_t size)
{
    char key[32];
    snprintf(key, sizeof(key), "key-%08llu", (unsigned long long)number);
    return lab_put_filled(lab, branch, key, size, (char)('a' + number % 26));
}

/* ---- branches ---- */

static uint64_t lab_write_branch(struct lab *lab, uint64_t id, const struct branch_record *record)
{
    uint8_t id_key[CATALOG_ID_KEY_SIZE], child_key[CATALOG_CHILD_KEY_SIZE];
    uint64_t version;
    struct buffer value;
    store_ordered_u64(id_key, id);
    catalog_child_key(record->parent, record->cap, id, child_key);
    buffer_init(&value, &lab->allocator);
    assert_int_equal(branch_record_append(&value, record), STRATA_OK);
    const struct batch_row rows[2] = {{.kind = ROW_PUT,
                                       .flags = BATCH_SYSTEM,
                                       .space = SYSTEM_BRANCHES,
                                       .key = bytes_of(id_key, sizeof(id_key)),
                                       .value = buffer_view(&value)},
                                      {.kind = ROW_PUT,
                                       .flags = BATCH_SYSTEM,
                                       .space = SYSTEM_CHILDREN,
                                       .key = bytes_of(child_key, sizeof(child_key))}};
    assert_int_equal(lab_commit(lab, BRANCH_SYSTEM, rows, 2, INT64_MAX, &version), STRATA_OK);
    buffer_release(&value);
    return version;
}

uint64_t lab_fork(struct lab *lab, uint64_t id, uint64_t parent, uint64_t cap)
{
    const uint64_t version = atomic_load(&lab->store->committer.visible) + 1;
    const struct branch_record record = {
        .parent = parent, .cap = cap, .created_version = version, .name = bytes_of("b", 1)};
    return lab_write_branch(lab, id, &record);
}

uint64_t lab_delete_branch(struct lab *lab, uint64_t id, uint64_t parent, uint64_t cap)
{
    const struct branch_record record = {.flags = BRANCH_DELETED,
                                         .parent = parent,
                                         .cap = cap,
                                         .created_version = cap + 1,
                                         .name = bytes_of("b", 1)};
    const uint64_t version = lab_write_branch(lab, id, &record);
    branches_mark_deleted(&lab->store->branches, id);
    return version;
}

/* ---- reading ---- */

static strata_status lab_copy(struct lab *lab, const struct row *row, char text[LAB_TEXT_MAX])
{
    const struct store *store = lab->store;
    size_t size = row->value.length;
    if (row->kind == ROW_VALUE_REFERENCE) {
        const struct value_reference reference = value_reference_load(row->value);
        size = reference.size < LAB_TEXT_MAX - 1 ? (size_t)reference.size : LAB_TEXT_MAX - 1;
        TRY(value_file_read(store->backend, store->memory_allocator, &store->identity, reference,
                            reference.size - size, text, size));
    } else {
        size = size < LAB_TEXT_MAX - 1 ? size : LAB_TEXT_MAX - 1;
        if (size > 0)
            memcpy(text, row->value.data, size);
    }
    text[size] = '\0';
    return STRATA_OK;
}

static strata_status lab_find(struct lab *lab, const struct branch *branch, const char *key,
                              uint64_t version, char text[LAB_TEXT_MAX], const char **out)
{
    uint8_t storage_key[KEY_PREFIX_SIZE + 64];
    const size_t length = strlen(key);
    assert_true(length <= 64);
    memcpy(storage_key + KEY_PREFIX_SIZE, key, length);
    *out = NULL;
    for (struct lineage at = lineage_start(branch, version); at.branch != NULL; lineage_up(&at)) {
        struct found_row found;
        key_prefix_store(storage_key, at.branch->id, storage_space(SPACE_DEFAULT, KIND_KV));
        TRY(tableset_find(atomic_load(&lab->store->tables.current),
                          bytes_of(storage_key, KEY_PREFIX_SIZE + length), at.cap, &found));
        if (!found.found)
            continue;
        strata_status status = STRATA_OK;
        if (found.row.kind != ROW_DELETE) {
            status = lab_copy(lab, &found.row, text);
            *out = text;
        }
        cache_unpin(&lab->store->cache, found.pin);
        return status;
    }
    return STRATA_OK;
}

strata_status lab_try_get(struct lab *lab, uint64_t branch, const char *key, uint64_t version,
                          const char **out)
{
    static char text[LAB_TEXT_MAX];
    struct branch *node;
    epoch_enter(&lab->store->epochs, lab->slot);
    strata_status status = branches_acquire(&lab->store->branches, branch, &node);
    if (status == STRATA_OK) {
        status = lab_find(lab, node, key, version, text, out);
        branches_release(&lab->store->branches, node);
    }
    epoch_leave(lab->slot);
    return status;
}

const char *lab_get(struct lab *lab, uint64_t branch, const char *key, uint64_t version)
{
    const char *value = NULL;
    if (lab_try_get(lab, branch, key, version, &value) != STRATA_OK)
        fail_msg("get: %s", strata_error_message());
    return value;
}

/* ---- work ---- */

void lab_flush(struct lab *lab)
{
    if (store_flush_all(lab->store) != STRATA_OK)
        fail_msg("flush: %s", strata_error_message());
}

void lab_compact(struct lab *lab)
{
    if (store_compact(lab->store, NULL) != STRATA_OK)
        fail_msg("compact: %s", strata_error_message());
}

void lab_settle(struct lab *lab)
{
    bool did = true;
    while (did)
        assert_int_equal(store_step(lab->store, lab->slot, &did), STRATA_OK);
}

static void count_table(void *context, const char *name, uint64_t size)
{
    uint64_t number;
    (void)size;
    *(uint64_t *)context += layout_parse_table(name, &number);
}

uint64_t lab_table_objects(struct lab *lab)
{
    uint64_t count = 0;
    simdisk_each(lab->disk, count_table, &count);
    return count;
}

static strata_status count_value(void *context, uint64_t object, uint64_t live_bytes)
{
    (void)object, (void)live_bytes;
    ++*(uint64_t *)context;
    return STRATA_OK;
}

uint64_t lab_listed_objects(struct lab *lab)
{
    uint64_t count = 0;
    epoch_enter(&lab->store->epochs, lab->slot);
    const struct tableset *set = atomic_load(&lab->store->tables.current);
    for (uint32_t i = 0; i < set->live_count + set->history_count; i++) {
        for (uint32_t j = 0; j < set->live[i]->part_count; j++) {
            struct part *part = set->live[i]->parts[j];
            count += 1 + part->info.artifact_count;
            assert_int_equal(part_values(part, count_value, &count), STRATA_OK);
        }
    }
    epoch_leave(lab->slot);
    return count;
}

uint32_t lab_live_runs(struct lab *lab)
{
    epoch_enter(&lab->store->epochs, lab->slot);
    const uint32_t count = atomic_load(&lab->store->tables.current)->live_count;
    epoch_leave(lab->slot);
    return count;
}

uint32_t lab_memtables(struct lab *lab)
{
    epoch_enter(&lab->store->epochs, lab->slot);
    const uint32_t count = atomic_load(&lab->store->tables.current)->memtable_count;
    epoch_leave(lab->slot);
    return count;
}
