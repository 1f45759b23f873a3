#include "storage/storage_fixture.h"

#include "backend/memory_backend.h"

#include <stdio.h>

enum { TEXT_SIZE_MAX = 1 << 16 };

static int64_t fixture_now(void *context)
{
    const struct fixture *fixture = context;
    return fixture->now_us;
}

static void fixture_wait(void *context, int64_t until_us, const volatile int32_t *wake)
{
    struct fixture *fixture = context;
    (void)wake;
    fixture->now_us = until_us;
}

void fixture_open(struct fixture *fixture)
{
    const struct store_options options = {.path = "test",
                                          .memory_budget = fixture->memory_budget,
                                          .sync_interval_us = 1000000,
                                          .seed = 42,
                                          .allocator = &fixture->allocator,
                                          .clock = &fixture->clock,
                                          .backend = fixture->backend};
    assert_int_equal(storage_open(&options, &fixture->storage), STRATA_OK);
    assert_int_equal(store_reader_open(fixture->storage.store, "test", &fixture->reader),
                     STRATA_OK);
    fixture->main_branch = fixture_branch(fixture, "main");
    storage_writes_init(&fixture->writes, &fixture->storage, BRANCH_MAIN);
    buffer_init(&fixture->scratch, &fixture->allocator);
}

static void fixture_let_go(struct fixture *fixture)
{
    buffer_release(&fixture->scratch);
    storage_writes_release(&fixture->writes);
    storage_branch_close(&fixture->storage, fixture->main_branch);
    store_reader_close(&fixture->reader);
}

void fixture_close(struct fixture *fixture)
{
    fixture_let_go(fixture);
    assert_int_equal(storage_close(&fixture->storage), STRATA_OK);
}

void fixture_crash(struct fixture *fixture)
{
    struct storage *storage = &fixture->storage;
    fixture_let_go(fixture);
    while (storage->spaces != NULL) {
        struct storage_space *space = storage->spaces;
        storage->spaces = space->next;
        release(storage->store->memory_allocator, space, sizeof(*space));
    }
    store_free(storage->store);
    fixture_open(fixture);
}

void fixture_create_sized(struct fixture *fixture, uint64_t memory_budget)
{
    memset(fixture, 0, sizeof(*fixture));
    fixture->allocator = test_heap_init(&fixture->counted);
    fixture->clock = (strata_clock){.context = fixture,
                                    .wall_us = fixture_now,
                                    .monotonic_us = fixture_now,
                                    .wait = fixture_wait};
    fixture->now_us = 1000;
    fixture->memory_budget = memory_budget;
    assert_int_equal(memory_backend_create(&fixture->allocator, &fixture->backend), STRATA_OK);
    fixture_open(fixture);
}

void fixture_create(struct fixture *fixture)
{
    fixture_create_sized(fixture, 1 << 20);
}

void fixture_destroy(struct fixture *fixture)
{
    fixture_close(fixture);
    memory_backend_destroy(fixture->backend);
    test_heap_assert_empty(&fixture->counted);
}

void fixture_flush(struct fixture *fixture)
{
    assert_int_equal(store_flush_all(fixture->storage.store), STRATA_OK);
}

void fixture_compact(struct fixture *fixture)
{
    assert_int_equal(store_compact(fixture->storage.store, NULL), STRATA_OK);
}

struct bytes text_bytes(const char *text)
{
    return bytes_of(text, text == NULL ? 0 : strlen(text));
}

struct storage_space *fixture_space(struct fixture *fixture, const char *name)
{
    struct storage_space *space = NULL;
    assert_int_equal(storage_space_find(&fixture->storage, &fixture->reader, name, &space),
                     STRATA_OK);
    return space;
}

struct branch *fixture_branch(struct fixture *fixture, const char *name)
{
    struct branch *branch = NULL;
    assert_int_equal(storage_branch_open(&fixture->storage, &fixture->reader, name, &branch),
                     STRATA_OK);
    return branch;
}

void fixture_leave_branch(struct fixture *fixture, struct branch *branch)
{
    storage_branch_close(&fixture->storage, branch);
}

struct storage_view fixture_head(struct fixture *fixture, struct branch *branch)
{
    struct storage_view view = {.branch = branch};
    storage_head(&fixture->storage, &view.version, &view.time_us);
    return view;
}

struct storage_write fixture_write(struct fixture *fixture, const char *key, const char *value)
{
    struct storage_write write = {.space = &fixture->storage.default_space,
                                  .kind = KIND_KV,
                                  .row = ROW_DELETE,
                                  .key = text_bytes(key),
                                  .value = text_bytes(value)};
    if (value != NULL)
        write.row = ROW_PUT;
    else if (key[0] == '\0')
        write.row = ROW_RANGE_DELETE;
    return write;
}

strata_status fixture_commit_one(struct fixture *fixture, struct branch *branch,
                                 const struct storage_write *write, strata_commit *out)
{
    const struct storage_commit_options options = {.branch = branch};
    return storage_commit_one(&fixture->storage, &fixture->reader, write, NULL, NULL, &options,
                              &fixture->scratch, out);
}

uint64_t fixture_put(struct fixture *fixture, struct branch *branch, struct storage_space *space,
                     const char *key, const char *value)
{
    strata_commit commit;
    struct storage_write write = fixture_write(fixture, key, value);
    write.space = space;
    assert_int_equal(fixture_commit_one(fixture, branch, &write, &commit), STRATA_OK);
    return commit.version;
}

void fixture_add(struct fixture *fixture, struct storage_writes *writes, const char *key,
                 const char *value)
{
    const struct storage_write write = fixture_write(fixture, key, value);
    assert_int_equal(storage_writes_add(writes, &write, fixture->now_us), STRATA_OK);
}

strata_status fixture_commit(struct fixture *fixture, struct storage_writes *writes,
                             struct branch *branch, uint64_t since, strata_commit *out)
{
    const struct storage_commit_options options = {.branch = branch, .since = since, .check = true};
    return storage_commit(writes, &fixture->reader, &options, out);
}

static void fixture_read_text(struct fixture *fixture, const struct row *row, char *to)
{
    const uint64_t size = storage_value_size(row);
    assert_true(size < TEXT_SIZE_MAX);
    assert_int_equal(storage_value_read(&fixture->reader, row, 0, to, (size_t)size), STRATA_OK);
    to[size] = '\0';
}

const char *fixture_get(struct fixture *fixture, const struct storage_view *view,
                        const struct storage_space *space, const char *key)
{
    static char text[TEXT_SIZE_MAX];
    struct storage_row row;
    storage_enter(&fixture->reader);
    assert_int_equal(storage_get(&fixture->reader, view, space, KIND_KV, text_bytes(key), &row),
                     STRATA_OK);
    const bool found = row.found;
    if (found)
        fixture_read_text(fixture, &row.row, text);
    storage_unpin(&fixture->reader, &row);
    storage_leave(&fixture->reader);
    return found ? text : NULL;
}

static void append_text(char *to, const char *separator, struct bytes bytes)
{
    const size_t length = strlen(to);
    snprintf(to + length, TEXT_SIZE_MAX - length, "%s%.*s", separator, (int)bytes.length,
             (const char *)bytes.data);
}

const char *fixture_scan(struct fixture *fixture, const struct storage_view *view,
                         const struct storage_space *space, const char *first, const char *end,
                         bool reverse)
{
    static char text[TEXT_SIZE_MAX];
    struct storage_scan scan;
    const struct storage_scan_options options = {
        .view = *view,
        .space = space,
        .kind = KIND_KV,
        .bounds = {.first = text_bytes(first), .end = text_bytes(end)},
        .reverse = reverse};
    text[0] = '\0';
    storage_scan_init(&scan, &fixture->storage);
    assert_int_equal(storage_scan_open(&scan, &fixture->reader, &options), STRATA_OK);
    for (;;) {
        storage_enter(&fixture->reader);
        assert_int_equal(storage_scan_next(&scan), STRATA_OK);
        if (scan.valid) {
            append_text(text, text[0] == '\0' ? "" : " ", scan.row->key);
            append_text(text, "=", scan.row->value);
        }
        storage_leave(&fixture->reader);
        if (!scan.valid)
            break;
    }
    storage_scan_release(&scan);
    return text;
}

const char *fixture_history(struct fixture *fixture, const struct storage_view *view,
                            const struct storage_space *space, const char *key)
{
    static char text[TEXT_SIZE_MAX];
    struct storage_history history;
    text[0] = '\0';
    assert_int_equal(storage_history_open(&fixture->reader, &fixture->storage, view, space, KIND_KV,
                                          text_bytes(key), &history),
                     STRATA_OK);
    for (;;) {
        storage_enter(&fixture->reader);
        assert_int_equal(storage_history_next(&history), STRATA_OK);
        if (history.row.found) {
            const struct row *row = &history.row.row;
            char version[32];
            const int length =
                snprintf(version, sizeof(version), "%llu%s", (unsigned long long)row->from,
                         row->kind == ROW_DELETE ? "-" : "=");
            append_text(text, text[0] == '\0' ? "" : " ", bytes_of(version, (size_t)length));
            append_text(text, "", row->value);
        }
        storage_leave(&fixture->reader);
        if (!history.row.found)
            break;
    }
    storage_history_close(&history);
    return text;
}
