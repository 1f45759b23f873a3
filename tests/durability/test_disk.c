#include "durability/test_disk.h"

#include "backend/memory_backend.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

/* What a handle points to. */
struct disk_handle {
    strata_object *inner;
    char name[OBJECT_NAME_SIZE];
};

static struct disk_handle *handle_of(strata_object *object)
{
    void *handle = object;
    return handle;
}

static struct disk_entry *find_entry(struct test_disk *disk, const char *name)
{
    for (uint32_t i = 0; i < disk->entry_count; i++) {
        if (strcmp(disk->entries[i].name, name) == 0)
            return &disk->entries[i];
    }
    return NULL;
}

static struct disk_entry *add_entry(struct test_disk *disk, const char *name)
{
    assert_true(disk->entry_count < DISK_OBJECTS_MAX);
    struct disk_entry *entry = &disk->entries[disk->entry_count++];
    *entry = (struct disk_entry){.appended = 0};
    snprintf(entry->name, sizeof(entry->name), "%s", name);
    return entry;
}

static void drop_entry(struct test_disk *disk, const char *name)
{
    struct disk_entry *entry = find_entry(disk, name);
    if (entry != NULL)
        *entry = disk->entries[--disk->entry_count];
}

static bool operation_fails(struct test_disk *disk, uint32_t kind, int *error_out)
{
    if ((disk->fail_kinds & kind) == 0)
        return false;
    mutex_lock(&disk->lock);
    const uint64_t operation = ++disk->operations;
    mutex_unlock(&disk->lock);
    const bool fails =
        disk->fail_at != 0 &&
        (operation == disk->fail_at || (operation > disk->fail_at && disk->fail_from_then_on));
    if (fails)
        *error_out = disk->fail_error;
    return fails;
}

static int disk_backend_create(void *context, const char *name, uint64_t reserve_bytes,
                               strata_object **out, int *error_out)
{
    struct test_disk *disk = context;
    if (operation_fails(disk, DISK_CREATE, error_out))
        return STRATA_EFFECT_UNKNOWN;
    strata_object *inner;
    const int effect =
        disk->inner->create(disk->inner->context, name, reserve_bytes, &inner, error_out);
    if (effect != STRATA_EFFECT_DONE)
        return effect;
    struct disk_handle *handle = calloc(1, sizeof(*handle));
    handle->inner = inner;
    snprintf(handle->name, sizeof(handle->name), "%s", name);
    mutex_lock(&disk->lock);
    add_entry(disk, name)->reserved = reserve_bytes;
    mutex_unlock(&disk->lock);
    void *outside = handle;
    *out = outside;
    return STRATA_EFFECT_DONE;
}

static int disk_backend_create_lazy(void *context, const char *name, uint64_t reserve_bytes,
                                    strata_object **out, int *error_out)
{
    struct test_disk *disk = context;
    disk->lazy_count++;
    return disk_backend_create(context, name, reserve_bytes, out, error_out);
}

static int disk_backend_open(void *context, const char *name, strata_object **out,
                             uint64_t *size_out, int *error_out)
{
    struct test_disk *disk = context;
    if (operation_fails(disk, DISK_OPEN, error_out))
        return STRATA_EFFECT_NONE;
    strata_object *inner;
    const int effect = disk->inner->open(disk->inner->context, name, &inner, size_out, error_out);
    if (effect != STRATA_EFFECT_DONE)
        return effect;
    struct disk_handle *handle = calloc(1, sizeof(*handle));
    handle->inner = inner;
    snprintf(handle->name, sizeof(handle->name), "%s", name);
    void *outside = handle;
    *out = outside;
    return STRATA_EFFECT_DONE;
}

static void disk_backend_close(void *context, strata_object *object)
{
    struct test_disk *disk = context;
    disk->inner->close(disk->inner->context, handle_of(object)->inner);
    free(handle_of(object));
}

static int disk_backend_read(void *context, strata_object *object, uint64_t offset,
                             strata_buffer *out, int *error_out)
{
    struct test_disk *disk = context;
    if (operation_fails(disk, DISK_READ, error_out))
        return STRATA_EFFECT_NONE;
    return disk->inner->read(disk->inner->context, handle_of(object)->inner, offset, out,
                             error_out);
}

static int disk_backend_append(void *context, strata_object *object, uint64_t offset,
                               strata_bytes data, int *error_out)
{
    struct test_disk *disk = context;
    const bool fails = operation_fails(disk, DISK_APPEND, error_out);
    int ignored;
    if (fails && data.size > disk->torn_bytes)
        data.size = disk->torn_bytes;
    const int effect = disk->inner->append(disk->inner->context, handle_of(object)->inner, offset,
                                           data, fails ? &ignored : error_out);
    if (effect != STRATA_EFFECT_DONE)
        return effect;
    mutex_lock(&disk->lock);
    find_entry(disk, handle_of(object)->name)->appended = offset + data.size;
    mutex_unlock(&disk->lock);
    return fails ? STRATA_EFFECT_UNKNOWN : STRATA_EFFECT_DONE;
}

static int disk_backend_sync(void *context, strata_object *object, int *error_out)
{
    struct test_disk *disk = context;
    mutex_lock(&disk->lock);
    struct disk_entry *entry = find_entry(disk, handle_of(object)->name);
    const uint64_t durable = entry != NULL ? entry->appended : 0;
    mutex_unlock(&disk->lock);
    if (disk->in_sync != NULL)
        disk->in_sync(disk->in_sync_context);
    if (operation_fails(disk, DISK_SYNC, error_out))
        return STRATA_EFFECT_UNKNOWN;
    mutex_lock(&disk->lock);
    entry = find_entry(disk, handle_of(object)->name);
    if (entry != NULL)
        entry->durable = durable;
    disk->syncs++;
    mutex_unlock(&disk->lock);
    return STRATA_EFFECT_DONE;
}

static int disk_backend_sync_names(void *context, const char *folder, int *error_out)
{
    struct test_disk *disk = context;
    const bool fails = operation_fails(disk, DISK_SYNC_NAMES, error_out);
    if (fails && !disk->hidden_effect)
        return STRATA_EFFECT_UNKNOWN;
    const size_t length = strlen(folder);
    mutex_lock(&disk->lock);
    for (uint32_t i = 0; i < disk->entry_count; i++) {
        if (strncmp(disk->entries[i].name, folder, length) == 0)
            disk->entries[i].name_durable = true;
    }
    mutex_unlock(&disk->lock);
    return fails ? STRATA_EFFECT_UNKNOWN : STRATA_EFFECT_DONE;
}

static int disk_backend_remove(void *context, const char *name, int *error_out)
{
    struct test_disk *disk = context;
    const bool fails = operation_fails(disk, DISK_REMOVE, error_out);
    if (fails && !disk->hidden_effect)
        return STRATA_EFFECT_UNKNOWN;
    int ignored;
    const int effect =
        disk->inner->remove(disk->inner->context, name, fails ? &ignored : error_out);
    mutex_lock(&disk->lock);
    drop_entry(disk, name);
    mutex_unlock(&disk->lock);
    return fails ? STRATA_EFFECT_UNKNOWN : effect;
}

static int disk_backend_list(void *context, const char *folder,
                             int (*found)(void *found_context, const char *name,
                                          uint64_t object_size),
                             void *found_context, int *error_out)
{
    struct test_disk *disk = context;
    if (operation_fails(disk, DISK_LIST, error_out))
        return STRATA_EFFECT_NONE;
    return disk->inner->list(disk->inner->context, folder, found, found_context, error_out);
}

static int disk_backend_lock(void *context, int exclusive, strata_bytes owner,
                             strata_buffer *holder_out, int *error_out)
{
    (void)context, (void)exclusive, (void)owner, (void)holder_out, (void)error_out;
    return STRATA_EFFECT_DONE;
}

static void disk_backend_unlock(void *context)
{
    (void)context;
}

static int disk_backend_ring(void *context, const char *name, uint64_t size, strata_object **out,
                             void **bytes_out, uint64_t *size_out, int *error_out)
{
    struct test_disk *disk = context;
    if (operation_fails(disk, DISK_RING, error_out) || disk->ring_bytes == 0)
        return STRATA_EFFECT_NONE;
    strata_object *inner;
    const uint64_t given = size < disk->ring_bytes ? size : disk->ring_bytes;
    const int effect = disk->inner->ring(disk->inner->context, name, given, &inner, bytes_out,
                                         size_out, error_out);
    if (effect != STRATA_EFFECT_DONE)
        return effect;
    struct disk_handle *handle = calloc(1, sizeof(*handle));
    handle->inner = inner;
    snprintf(handle->name, sizeof(handle->name), "%s", name);
    disk->ring = *bytes_out;
    void *outside = handle;
    *out = outside;
    return STRATA_EFFECT_DONE;
}

void disk_init(struct test_disk *disk)
{
    *disk = (struct test_disk){
        .backend =
            {
                .size = sizeof(disk->backend),
                .context = disk,
                .create = disk_backend_create,
                .open = disk_backend_open,
                .close = disk_backend_close,
                .read = disk_backend_read,
                .append = disk_backend_append,
                .sync = disk_backend_sync,
                .sync_names = disk_backend_sync_names,
                .remove = disk_backend_remove,
                .list = disk_backend_list,
                .lock = disk_backend_lock,
                .unlock = disk_backend_unlock,
                .ring = disk_backend_ring,
                .create_lazy = disk_backend_create_lazy,
            },
    };
    mutex_init(&disk->lock);
    assert_int_equal(memory_backend_create(&heap, &disk->inner), STRATA_OK);
}

void disk_release(struct test_disk *disk)
{
    memory_backend_destroy(disk->inner);
    mutex_destroy(&disk->lock);
}

void disk_fail(struct test_disk *disk, uint64_t at, uint32_t kinds, int error)
{
    disk->operations = 0;
    disk->fail_at = at;
    disk->fail_kinds = kinds;
    disk->fail_error = error;
}

void disk_heal(struct test_disk *disk)
{
    disk->fail_at = 0;
    disk->fail_from_then_on = false;
    disk->torn_bytes = 0;
    disk->hidden_effect = false;
}

bool disk_has(struct test_disk *disk, const char *name)
{
    return find_entry(disk, name) != NULL;
}

uint8_t *disk_take(struct test_disk *disk, const char *name, size_t *size)
{
    strata_object *object;
    uint64_t object_size;
    int error;
    assert_int_equal(disk->inner->open(disk->inner->context, name, &object, &object_size, &error),
                     STRATA_EFFECT_DONE);
    uint8_t *data = malloc((size_t)object_size + 1);
    strata_buffer buffer = {.data = data, .capacity = (size_t)object_size};
    assert_int_equal(disk->inner->read(disk->inner->context, object, 0, &buffer, &error),
                     STRATA_EFFECT_DONE);
    assert_int_equal(buffer.size, object_size);
    disk->inner->close(disk->inner->context, object);
    *size = buffer.size;
    return data;
}

uint64_t disk_size(struct test_disk *disk, const char *name)
{
    size_t size;
    free(disk_take(disk, name, &size));
    return size;
}

void disk_put(struct test_disk *disk, const char *name, const uint8_t *data, size_t size)
{
    strata_object *object;
    int error;
    disk_remove(disk, name);
    assert_int_equal(disk->inner->create(disk->inner->context, name, 0, &object, &error),
                     STRATA_EFFECT_DONE);
    if (size > 0)
        assert_int_equal(disk->inner->append(disk->inner->context, object, 0,
                                             (strata_bytes){.data = data, .size = size}, &error),
                         STRATA_EFFECT_DONE);
    disk->inner->close(disk->inner->context, object);
    struct disk_entry *entry = add_entry(disk, name);
    entry->appended = entry->durable = size;
    entry->name_durable = true;
}

void disk_remove(struct test_disk *disk, const char *name)
{
    int error;
    disk->inner->remove(disk->inner->context, name, &error);
    drop_entry(disk, name);
}

void disk_flip(struct test_disk *disk, const char *name, uint64_t offset, uint8_t bits)
{
    size_t size;
    uint8_t *data = disk_take(disk, name, &size);
    assert_true(offset < size);
    data[offset] ^= bits;
    disk_put(disk, name, data, size);
    free(data);
}

void disk_cut(struct test_disk *disk, const char *name, uint64_t cut_size)
{
    size_t size;
    uint8_t *data = disk_take(disk, name, &size);
    assert_true(cut_size <= size);
    disk_put(disk, name, data, (size_t)cut_size);
    free(data);
}

void disk_cut_power(struct test_disk *disk)
{
    uint32_t i = 0;
    while (i < disk->entry_count) {
        const struct disk_entry entry = disk->entries[i];
        if (!entry.name_durable) {
            disk_remove(disk, entry.name);
            continue;
        }
        size_t size;
        uint8_t *data = disk_take(disk, entry.name, &size);
        const size_t durable = (size_t)entry.durable;
        assert_true(durable <= size);
        memset(data + durable, 0, size - durable);
        if (durable < entry.appended) {
            disk_put(disk, entry.name, data, entry.reserved > durable ? size : durable);
            i = 0; /* The order has changed. */
        } else {
            i++;
        }
        free(data);
    }
}

void disk_pad(struct test_disk *disk, const char *prefix)
{
    uint32_t i = 0;
    while (i < disk->entry_count) {
        const struct disk_entry entry = disk->entries[i];
        size_t size;
        uint8_t *data = disk_take(disk, entry.name, &size);
        if (size < entry.reserved && strncmp(entry.name, prefix, strlen(prefix)) == 0) {
            data = realloc(data, (size_t)entry.reserved);
            memset(data + size, 0, (size_t)entry.reserved - size);
            disk_put(disk, entry.name, data, (size_t)entry.reserved);
            i = 0; /* The order has changed. */
        } else {
            i++;
        }
        free(data);
    }
}

void disk_copy(struct test_disk *disk, struct test_disk *to)
{
    while (to->entry_count > 0) {
        char name[OBJECT_NAME_SIZE];
        snprintf(name, sizeof(name), "%s", to->entries[0].name);
        disk_remove(to, name);
    }
    for (uint32_t i = 0; i < disk->entry_count; i++) {
        size_t size;
        uint8_t *data = disk_take(disk, disk->entries[i].name, &size);
        disk_put(to, disk->entries[i].name, data, size);
        free(data);
    }
}
