#define _XOPEN_SOURCE 700

#include "backend/backend.h"
#include "backend/local.h"
#include "backend/memory_backend.h"
#include "backend/scratch.h"

#include <errno.h>
#include <stddef.h>

/* ---- The statuses that effects become, from a backend whose answers the test dictates. ---- */

struct scripted {
    strata_backend backend;
    int effect;
    int error;
    size_t read_size; /* What read claims. */
    int closed;
    int calls;
    char holder[128];
};

static int scripted_result(void *context, int *error_out)
{
    struct scripted *scripted = context;
    scripted->calls++;
    *error_out = scripted->error;
    return scripted->effect;
}

static strata_object *scripted_handle(void *context)
{
    return context;
}

static int scripted_create(void *context, const char *name, uint64_t reserve_bytes,
                           strata_object **out, int *error_out)
{
    (void)name, (void)reserve_bytes;
    *out = scripted_handle(context);
    return scripted_result(context, error_out);
}

static int scripted_open(void *context, const char *name, strata_object **out, uint64_t *size_out,
                         int *error_out)
{
    (void)name;
    *out = scripted_handle(context);
    *size_out = 1234;
    return scripted_result(context, error_out);
}

static void scripted_close(void *context, strata_object *object)
{
    struct scripted *scripted = context;
    assert_ptr_equal(object, scripted_handle(context));
    scripted->closed++;
}

static int scripted_read(void *context, strata_object *object, uint64_t offset, strata_buffer *out,
                         int *error_out)
{
    (void)object, (void)offset;
    const struct scripted *scripted = context;
    out->size = scripted->read_size;
    return scripted_result(context, error_out);
}

static int scripted_append(void *context, strata_object *object, uint64_t offset, strata_bytes data,
                           int *error_out)
{
    (void)object, (void)offset, (void)data;
    return scripted_result(context, error_out);
}

static int scripted_sync(void *context, strata_object *object, int *error_out)
{
    (void)object;
    return scripted_result(context, error_out);
}

static int scripted_name(void *context, const char *name, int *error_out)
{
    (void)name;
    return scripted_result(context, error_out);
}

static int scripted_list(void *context, const char *folder,
                         int (*found)(void *found_context, const char *name, uint64_t object_size),
                         void *found_context, int *error_out)
{
    (void)folder, (void)found, (void)found_context;
    return scripted_result(context, error_out);
}

static int scripted_lock(void *context, int exclusive, strata_bytes owner,
                         strata_buffer *holder_out, int *error_out)
{
    (void)exclusive, (void)owner;
    const struct scripted *scripted = context;
    holder_out->size = strlen(scripted->holder);
    assert_true(holder_out->size <= holder_out->capacity);
    memcpy(holder_out->data, scripted->holder, holder_out->size);
    return scripted_result(context, error_out);
}

static void scripted_init(struct scripted *scripted, int effect, int error)
{
    *scripted = (struct scripted){.effect = effect, .error = error};
    scripted->backend = (strata_backend){.size = sizeof(strata_backend),
                                         .context = scripted,
                                         .create = scripted_create,
                                         .open = scripted_open,
                                         .close = scripted_close,
                                         .read = scripted_read,
                                         .append = scripted_append,
                                         .sync = scripted_sync,
                                         .sync_names = scripted_name,
                                         .remove = scripted_name,
                                         .list = scripted_list,
                                         .lock = scripted_lock};
}

static int find_nothing(void *context, const char *name, uint64_t size)
{
    (void)context, (void)name, (void)size;
    return 0;
}

static strata_error detail(void)
{
    strata_error error = {.size = sizeof(error)};
    strata_error_detail(&error);
    return error;
}

static void errors_become_statuses_that_name_the_object(void **state)
{
    (void)state;
    static const struct {
        int effect;
        int error;
        strata_status status;
    } cases[] = {
        {STRATA_EFFECT_NONE, ENOSPC, STRATA_NO_SPACE},
        {STRATA_EFFECT_NONE, EDQUOT, STRATA_NO_SPACE},
        {STRATA_EFFECT_UNKNOWN, EIO, STRATA_IO},
        {STRATA_EFFECT_NONE, ENOMEM, STRATA_NO_MEMORY},
        {STRATA_EFFECT_NONE, EROFS, STRATA_READ_ONLY},
        {STRATA_EFFECT_NONE, EACCES, STRATA_IO},
        {STRATA_EFFECT_UNKNOWN, 0, STRATA_IO},
        {99, 0, STRATA_IO},
        {STRATA_EFFECT_UNKNOWN, ENOSPC, STRATA_NO_SPACE},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct scripted scripted;
        scripted_init(&scripted, STRATA_EFFECT_DONE, 0);
        struct object object;
        assert_int_equal(object_create(&scripted.backend, "wal/1", 0, &object), STRATA_OK);
        scripted.effect = cases[i].effect;
        scripted.error = cases[i].error;
        object.appended = 512;

        struct object other = {0};
        uint8_t byte = 0;
        size_t size = 0;
        char holder[8];
        const strata_status statuses[] = {
            object_create(&scripted.backend, "wal/1", 0, &other),
            object_open(&scripted.backend, "wal/1", &other),
            object_read(&object, 512, &byte, 1),
            object_read_some(&object, 512, &byte, 1, &size),
            object_sync(&object),
            backend_remove(&scripted.backend, "wal/1"),
            backend_list(&scripted.backend, "wal", find_nothing, NULL),
            backend_sync_names(&scripted.backend, "wal"),
            backend_lock(&scripted.backend, NULL, true, bytes_of(NULL, 0), holder, sizeof(holder)),
            object_append(&object, bytes_of(&byte, 1)),
        };
        for (size_t j = 0; j < sizeof(statuses) / sizeof(statuses[0]); j++)
            assert_int_equal(statuses[j], cases[i].status);
        assert_null(other.handle);
        assert_int_equal(object.appended, 512);

        const strata_error error = detail();
        assert_int_equal(error.system_error, cases[i].error);
        assert_int_equal(error.offset, 512);
        assert_string_equal(error.object, "wal/1");
        assert_non_null(strstr(error.message, "wal/1 cannot be appended to: "));
        if (cases[i].error != 0)
            assert_non_null(strstr(error.message, strerror(cases[i].error)));
        object_close(&object);
    }
}

static void errors_of_paths_are_explained(void **state)
{
    (void)state;
    struct scripted scripted;
    struct object object;
    scripted_init(&scripted, STRATA_EFFECT_NONE, ENOTDIR);
    assert_int_equal(object_create(&scripted.backend, "wal/1", 0, &object), STRATA_IO);
    assert_string_equal(strata_error_message(),
                        "wal/1 cannot be created: the root, or a folder in it, is not a directory");
    scripted.error = ELOOP;
    assert_int_equal(object_open(&scripted.backend, "wal/1", &object), STRATA_IO);
    assert_string_equal(strata_error_message(), "wal/1 cannot be opened: it is a symbolic link");
    assert_int_equal(backend_sync_names(&scripted.backend, ""), STRATA_IO);
    assert_non_null(strstr(strata_error_message(), "the root cannot be synced"));
}

static void taken_and_missing_names_have_statuses_of_their_own(void **state)
{
    (void)state;
    struct scripted scripted;
    struct object object = {0};
    scripted_init(&scripted, STRATA_EFFECT_TAKEN, EEXIST);
    assert_int_equal(object_create(&scripted.backend, "wal/1", 0, &object), STRATA_EXISTS);
    assert_string_equal(strata_error_message(), "wal/1 exists already");
    scripted.effect = STRATA_EFFECT_MISSING;
    assert_int_equal(object_open(&scripted.backend, "wal/1", &object), STRATA_NOT_FOUND);
    assert_string_equal(strata_error_message(), "wal/1 does not exist");
    assert_int_equal(backend_remove(&scripted.backend, "wal/1"), STRATA_OK);
    assert_int_equal(backend_list(&scripted.backend, "wal", find_nothing, NULL), STRATA_OK);
    assert_null(object.handle);
}

static void an_object_that_ends_early_is_corrupt(void **state)
{
    (void)state;
    struct scripted scripted;
    struct object object;
    uint8_t bytes[8];
    size_t size = 77;
    scripted_init(&scripted, STRATA_EFFECT_DONE, 0);
    assert_int_equal(object_open(&scripted.backend, "tables/00/1", &object), STRATA_OK);
    assert_int_equal(object.size, 1234);
    scripted.read_size = 3;
    assert_int_equal(object_read_some(&object, 40, bytes, sizeof(bytes), &size), STRATA_OK);
    assert_int_equal(size, 3);
    assert_int_equal(object_read(&object, 40, bytes, sizeof(bytes)), STRATA_CORRUPT);
    assert_non_null(strstr(strata_error_message(), "tables/00/1 is cut short"));
    assert_int_equal(detail().offset, 40);
    scripted.read_size = sizeof(bytes) + 1;
    assert_int_equal(object_read(&object, 40, bytes, sizeof(bytes)), STRATA_IO);
    object_close(&object);
}

static void closing_twice_or_nothing_is_fine(void **state)
{
    (void)state;
    struct scripted scripted;
    scripted_init(&scripted, STRATA_EFFECT_DONE, 0);
    struct object object;
    assert_int_equal(object_open(&scripted.backend, "wal/1", &object), STRATA_OK);
    object_close(&object);
    object_close(&object);
    assert_int_equal(scripted.closed, 1);
    struct object none = {0};
    object_close(&none);
}

static void appending_nothing_asks_nobody(void **state)
{
    (void)state;
    struct scripted scripted;
    scripted_init(&scripted, STRATA_EFFECT_DONE, 0);
    struct object object;
    assert_int_equal(object_create(&scripted.backend, "wal/1", 0, &object), STRATA_OK);
    scripted.effect = STRATA_EFFECT_NONE;
    const int calls = scripted.calls;
    assert_int_equal(object_append(&object, bytes_of(NULL, 0)), STRATA_OK);
    assert_int_equal(scripted.calls, calls);
}

static void a_taken_lock_is_busy_and_tells_the_holder(void **state)
{
    (void)state;
    struct scripted scripted;
    scripted_init(&scripted, STRATA_EFFECT_TAKEN, 0);
    const char *text = "pid 17\non \x01host";
    memcpy(scripted.holder, text, strlen(text));
    char holder[64];
    const struct bytes owner = bytes_of("me", 2);
    assert_int_equal(backend_lock(&scripted.backend, NULL, true, owner, holder, sizeof(holder)),
                     STRATA_BUSY);
    assert_string_equal(holder, text);
    assert_string_equal(strata_error_message(), "another owner has the database: pid 17 on  host");
    assert_int_equal(detail().retry, STRATA_RETRY_LATER);

    assert_int_equal(backend_lock(&scripted.backend, NULL, true, owner, holder, 4), STRATA_BUSY);
    assert_string_equal(holder, "pid");
    memset(scripted.holder, 0, sizeof(scripted.holder));
    assert_int_equal(backend_lock(&scripted.backend, NULL, true, owner, holder, sizeof(holder)),
                     STRATA_BUSY);
    assert_string_equal(holder, "");
    memset(scripted.holder, 'x', sizeof(scripted.holder) - 1);
    char all[200];
    assert_int_equal(backend_lock(&scripted.backend, NULL, true, owner, all, sizeof(all)),
                     STRATA_BUSY);
    assert_int_equal(strlen(all), sizeof(scripted.holder) - 1);

    scripted.effect = STRATA_EFFECT_MISSING;
    assert_int_equal(backend_lock(&scripted.backend, NULL, false, owner, holder, sizeof(holder)),
                     STRATA_NOT_FOUND);
}

/* ---- What every backend has to do: strata_backend.h, on each one of ours. ---- */

static void on_each_backend(void (*body)(const strata_backend *backend))
{
    struct test_heap counted;
    const strata_allocator allocator = test_heap_init(&counted);
    const strata_backend *backend = NULL;
    assert_int_equal(memory_backend_create(&allocator, &backend), STRATA_OK);
    body(backend);
    memory_backend_destroy(backend);
    test_heap_assert_empty(&counted);

    struct scratch scratch;
    scratch_init(&scratch);
    assert_int_equal(local_backend_create(scratch.root, &allocator, &backend), STRATA_OK);
    body(backend);
    local_backend_destroy(backend);
    scratch_release(&scratch);
    test_heap_assert_empty(&counted);
}

enum { LARGE = 300000 }; /* Several chunks of the memory backend, and no multiple of any. */

static void check_content(const struct object *object, uint64_t offset, size_t size)
{
    static uint8_t bytes[LARGE];
    assert_int_equal(object_read(object, offset, bytes, size), STRATA_OK);
    for (size_t i = 0; i < size; i++)
        assert_int_equal(bytes[i], (uint8_t)((offset + i) * 31 + (offset + i) / 256));
}

static void fill_object(const strata_backend *backend, const char *name)
{
    static uint8_t bytes[LARGE];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 31 + i / 256);
    struct object object;
    assert_int_equal(object_create(backend, name, 0, &object), STRATA_OK);
    for (size_t done = 0; done < sizeof(bytes);) {
        const size_t wanted = done % 1000 * 70 + 1;
        const size_t size = wanted < sizeof(bytes) - done ? wanted : sizeof(bytes) - done;
        assert_int_equal(object_append(&object, bytes_of(bytes + done, size)), STRATA_OK);
        done += size;
    }
    assert_int_equal(object.appended, LARGE);
    assert_int_equal(object_sync(&object), STRATA_OK);
    object_close(&object);
}

static void read_back(const strata_backend *backend)
{
    fill_object(backend, "tables/07/0000000000007001");
    assert_int_equal(backend_sync_names(backend, "tables/07"), STRATA_OK);
    struct object object;
    assert_int_equal(object_open(backend, "tables/07/0000000000007001", &object), STRATA_OK);
    assert_int_equal(object.size, LARGE);
    assert_string_equal(object.name, "tables/07/0000000000007001");
    check_content(&object, 0, LARGE);
    check_content(&object, 65535, 2);
    check_content(&object, 65536, 65536);
    check_content(&object, LARGE - 1, 1);

    uint8_t bytes[10];
    size_t size = 77;
    assert_int_equal(object_read_some(&object, LARGE - 4, bytes, sizeof(bytes), &size), STRATA_OK);
    assert_int_equal(size, 4);
    assert_int_equal(object_read_some(&object, LARGE, bytes, sizeof(bytes), &size), STRATA_OK);
    assert_int_equal(size, 0);
    assert_int_equal(object_read_some(&object, UINT64_MAX, bytes, sizeof(bytes), &size), STRATA_OK);
    assert_int_equal(size, 0);
    assert_int_equal(object_read_some(&object, INT64_MAX, bytes, sizeof(bytes), &size), STRATA_OK);
    assert_int_equal(size, 0);
    assert_int_equal(object_read_some(&object, 5, NULL, 0, &size), STRATA_OK);
    assert_int_equal(size, 0);
    assert_int_equal(object_read(&object, LARGE - 4, bytes, sizeof(bytes)), STRATA_CORRUPT);
    object_close(&object);
}

static void what_is_appended_reads_back(void **state)
{
    (void)state;
    on_each_backend(read_back);
}

static void read_while_appending(const strata_backend *backend)
{
    struct object writer;
    struct object reader;
    assert_int_equal(object_create(backend, "wal/1", 0, &writer), STRATA_OK);
    assert_int_equal(object_append(&writer, bytes_of("abc", 3)), STRATA_OK);
    assert_int_equal(object_open(backend, "wal/1", &reader), STRATA_OK);
    assert_int_equal(reader.size, 3);
    assert_int_equal(object_append(&writer, bytes_of("def", 3)), STRATA_OK);
    char bytes[6];
    assert_int_equal(object_read(&reader, 0, bytes, sizeof(bytes)), STRATA_OK);
    assert_memory_equal(bytes, "abcdef", sizeof(bytes));
    assert_int_equal(object_read(&writer, 0, bytes, sizeof(bytes)), STRATA_OK);
    object_close(&reader);
    object_close(&writer);
}

static void an_open_object_shows_later_appends(void **state)
{
    (void)state;
    on_each_backend(read_while_appending);
}

static void reuse_names(const strata_backend *backend)
{
    struct object object;
    struct object second = {0};
    assert_int_equal(object_open(backend, "wal/1", &object), STRATA_NOT_FOUND);
    assert_int_equal(object_create(backend, "wal/1", 0, &object), STRATA_OK);
    assert_int_equal(object_create(backend, "wal/1", 0, &second), STRATA_EXISTS);
    assert_null(second.handle);
    object_close(&object);
    assert_int_equal(object_create(backend, "wal/1", 100, &second), STRATA_EXISTS);
    assert_int_equal(backend_remove(backend, "wal/1"), STRATA_OK);
    assert_int_equal(backend_remove(backend, "wal/1"), STRATA_OK);
    assert_int_equal(backend_remove(backend, "nowhere/1"), STRATA_OK);
    assert_int_equal(object_open(backend, "wal/1", &object), STRATA_NOT_FOUND);
}

static void a_name_is_taken_until_it_is_removed(void **state)
{
    (void)state;
    on_each_backend(reuse_names);
}

static void read_removed(const strata_backend *backend)
{
    fill_object(backend, "tables/00/1");
    struct object object;
    assert_int_equal(object_open(backend, "tables/00/1", &object), STRATA_OK);
    assert_int_equal(backend_remove(backend, "tables/00/1"), STRATA_OK);
    check_content(&object, 1000, 100000);
    struct object gone;
    assert_int_equal(object_open(backend, "tables/00/1", &gone), STRATA_NOT_FOUND);
    object_close(&object);
}

static void a_removed_object_that_is_open_stays_readable(void **state)
{
    (void)state;
    on_each_backend(read_removed);
}

struct listing {
    const strata_backend *backend;
    int count;
    int stop_at;
    int remove;
    uint64_t bytes;
    char names[8][64];
};

static int note_found(void *context, const char *name, uint64_t size)
{
    struct listing *listing = context;
    assert_in_range(listing->count, 0, 7);
    snprintf(listing->names[listing->count++], sizeof(listing->names[0]), "%s", name);
    listing->bytes += size;
    if (listing->remove)
        assert_int_equal(backend_remove(listing->backend, name), STRATA_OK);
    return listing->count == listing->stop_at;
}

static int times_listed(const struct listing *listing, const char *name)
{
    int times = 0;
    for (int i = 0; i < listing->count; i++)
        times += strcmp(listing->names[i], name) == 0;
    return times;
}

static void make_objects(const strata_backend *backend)
{
    static const char *const names[] = {"top",         "wal/1",       "wal/2",       "wal/3",
                                        "tables/00/1", "tables/00/2", "tables/01/3", "walter/1"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct object object;
        assert_int_equal(object_create(backend, names[i], 0, &object), STRATA_OK);
        assert_int_equal(object_append(&object, bytes_of("12345", 5)), STRATA_OK);
        object_close(&object);
    }
}

static void list_folders(const strata_backend *backend)
{
    struct listing listing = {.backend = backend};
    assert_int_equal(backend_list(backend, "wal", note_found, &listing), STRATA_OK);
    assert_int_equal(listing.count, 0);
    make_objects(backend);

    assert_int_equal(backend_list(backend, "wal", note_found, &listing), STRATA_OK);
    assert_int_equal(listing.count, 3);
    assert_int_equal(listing.bytes, 15);
    assert_int_equal(times_listed(&listing, "wal/1"), 1);
    assert_int_equal(times_listed(&listing, "wal/2"), 1);
    assert_int_equal(times_listed(&listing, "wal/3"), 1);

    listing = (struct listing){.backend = backend};
    assert_int_equal(backend_list(backend, "", note_found, &listing), STRATA_OK);
    assert_int_equal(listing.count, 1);
    assert_string_equal(listing.names[0], "top");

    listing = (struct listing){.backend = backend};
    assert_int_equal(backend_list(backend, "tables", note_found, &listing), STRATA_OK);
    assert_int_equal(backend_list(backend, "manifest", note_found, &listing), STRATA_OK);
    assert_int_equal(listing.count, 0);
    assert_int_equal(backend_list(backend, "tables/01", note_found, &listing), STRATA_OK);
    assert_string_equal(listing.names[0], "tables/01/3");

    listing = (struct listing){.backend = backend, .stop_at = 2};
    assert_int_equal(backend_list(backend, "wal", note_found, &listing), STRATA_OK);
    assert_int_equal(listing.count, 2);
}

static void a_listing_has_the_objects_of_one_folder(void **state)
{
    (void)state;
    on_each_backend(list_folders);
}

static void remove_while_listing(const strata_backend *backend)
{
    make_objects(backend);
    struct listing listing = {.backend = backend, .remove = 1};
    assert_int_equal(backend_list(backend, "wal", note_found, &listing), STRATA_OK);
    assert_int_equal(listing.count, 3);
    assert_int_equal(backend_list(backend, "wal", note_found, &listing), STRATA_OK);
    assert_int_equal(listing.count, 3);
}

static void what_is_listed_may_be_removed_meanwhile(void **state)
{
    (void)state;
    on_each_backend(remove_while_listing);
}

static void sync_everything(const strata_backend *backend)
{
    make_objects(backend);
    static const char *const folders[] = {"", "wal", "tables", "tables/00", "tables/01", "wal", ""};
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
        assert_int_equal(backend_sync_names(backend, folders[i]), STRATA_OK);
    assert_int_equal(backend_sync_names(backend, "manifest"), STRATA_OK);
}

static void names_of_any_folder_can_be_synced(void **state)
{
    (void)state;
    on_each_backend(sync_everything);
}

static void lock_and_unlock(const strata_backend *backend)
{
    char holder[129];
    const struct bytes owner = bytes_of("owner 1", 7);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(backend_lock(backend, NULL, true, owner, holder, sizeof(holder)),
                         STRATA_OK);
        assert_int_equal(backend_lock(backend, NULL, true, owner, holder, sizeof(holder)),
                         STRATA_BUSY);
        assert_string_equal(holder, "owner 1");
        assert_int_equal(backend_lock(backend, NULL, false, owner, holder, sizeof(holder)),
                         STRATA_BUSY);
        assert_string_equal(holder, "owner 1");
        backend->unlock(backend->context);
    }
    assert_int_equal(backend_lock(backend, NULL, false, owner, holder, sizeof(holder)), STRATA_OK);
    assert_int_equal(backend_lock(backend, NULL, true, owner, holder, sizeof(holder)), STRATA_BUSY);
    assert_string_equal(holder, "");
    backend->unlock(backend->context);
    assert_int_equal(backend_lock(backend, NULL, true, owner, holder, sizeof(holder)), STRATA_OK);
    backend->unlock(backend->context);
}

static void one_owner_or_readers_hold_the_lock(void **state)
{
    (void)state;
    on_each_backend(lock_and_unlock);
}

static uint8_t scripted_bytes[16384];

/* Gives `read_size` bytes. */
static int scripted_ring(void *context, const char *name, uint64_t size, strata_object **out,
                         void **bytes_out, uint64_t *size_out, int *error_out)
{
    const struct scripted *scripted = context;
    assert_string_equal(name, "wal/ring");
    assert_int_equal(size, sizeof(scripted_bytes));
    *out = scripted_handle(context);
    *bytes_out = scripted_bytes;
    *size_out = scripted->read_size;
    return scripted_result(context, error_out);
}

static void a_ring_is_taken_only_from_those_who_give_one(void **state)
{
    (void)state;
    static const struct {
        int effect;
        size_t given;
        bool usable;
    } cases[] = {
        {STRATA_EFFECT_DONE, 16384, true},  {STRATA_EFFECT_DONE, 8192, true},
        {STRATA_EFFECT_DONE, 0, false},     {STRATA_EFFECT_DONE, 4096, false},
        {STRATA_EFFECT_DONE, 24576, false}, {STRATA_EFFECT_NONE, 16384, false},
        {STRATA_EFFECT_UNKNOWN, 0, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct scripted scripted;
        struct ring ring;
        scripted_init(&scripted, cases[i].effect, EIO);
        ring_open(&scripted.backend, "wal/ring", sizeof(scripted_bytes), &ring);
        assert_null(ring.bytes); /* There is no such verb. */
        scripted.backend.ring = scripted_ring;
        scripted.backend.size = offsetof(strata_backend, ring);
        ring_open(&scripted.backend, "wal/ring", sizeof(scripted_bytes), &ring);
        assert_null(ring.bytes); /* It is beyond what the caller knew. */
        assert_int_equal(scripted.calls, 0);
        scripted.backend.size = sizeof(strata_backend);
        scripted.read_size = cases[i].given;
        ring_open(&scripted.backend, "wal/ring", 0, &ring);
        assert_null(ring.bytes);
        ring_open(&scripted.backend, "wal/ring", sizeof(scripted_bytes), &ring);
        assert_int_equal(ring.bytes != NULL, cases[i].usable);
        ring_close(&ring);
        assert_int_equal(scripted.closed, cases[i].effect == STRATA_EFFECT_DONE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ring_is_taken_only_from_those_who_give_one),
        cmocka_unit_test(errors_become_statuses_that_name_the_object),
        cmocka_unit_test(errors_of_paths_are_explained),
        cmocka_unit_test(taken_and_missing_names_have_statuses_of_their_own),
        cmocka_unit_test(an_object_that_ends_early_is_corrupt),
        cmocka_unit_test(closing_twice_or_nothing_is_fine),
        cmocka_unit_test(appending_nothing_asks_nobody),
        cmocka_unit_test(a_taken_lock_is_busy_and_tells_the_holder),
        cmocka_unit_test(what_is_appended_reads_back),
        cmocka_unit_test(an_open_object_shows_later_appends),
        cmocka_unit_test(a_name_is_taken_until_it_is_removed),
        cmocka_unit_test(a_removed_object_that_is_open_stays_readable),
        cmocka_unit_test(a_listing_has_the_objects_of_one_folder),
        cmocka_unit_test(what_is_listed_may_be_removed_meanwhile),
        cmocka_unit_test(names_of_any_folder_can_be_synced),
        cmocka_unit_test(one_owner_or_readers_hold_the_lock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
