#include "storage/storage_inner.h"

#include "core/hash.h"

#include <assert.h>

enum {
    OWN_CHUNK_BYTES = 4096,
    OWN_ROW_BYTES = 192 /* At least what a memtable needs for a row beside key and value. */
};

/* In an element of storage_writes.values while the batch is made: it refers to the object. */
#define VALUE_KEPT ((uint64_t)1 << 63)

static uint64_t *own_values(struct storage_writes *writes, size_t *count)
{
    void *elements = writes->values.data;
    *count = writes->values.length / sizeof(uint64_t);
    return elements;
}

/* ---- the writes of a transaction ---- */

void storage_writes_init(struct storage_writes *writes, struct storage *storage, uint64_t branch)
{
    const strata_allocator *allocator = storage->store->memory_allocator;
    *writes = (struct storage_writes){.storage = storage, .branch = branch};
    buffer_init(&writes->spaces, allocator);
    buffer_init(&writes->values, allocator);
    buffer_init(&writes->lives, allocator);
    buffer_init(&writes->record, allocator);
}

void own_values_discard(struct storage_writes *writes)
{
    struct store *store = writes->storage->store;
    size_t count;
    const uint64_t *values = own_values(writes, &count);
    if (count == 0)
        return;
    for (size_t i = 0; i < count; i++) {
        if ((values[i] & VALUE_KEPT) == 0)
            store_discard_object(store, values[i]);
    }
    buffer_truncate(&writes->values, 0);
}

void own_values_unmark(struct storage_writes *writes)
{
    size_t count;
    uint64_t *values = own_values(writes, &count);
    for (size_t i = 0; i < count; i++)
        values[i] &= ~VALUE_KEPT;
}

void own_values_mark(struct storage_writes *writes, struct bytes value)
{
    const uint64_t object = value_reference_load(value).object;
    size_t count;
    uint64_t *values = own_values(writes, &count);
    for (size_t i = 0; i < count; i++) {
        if (values[i] == object)
            values[i] |= VALUE_KEPT;
    }
}

void storage_writes_clear(struct storage_writes *writes, bool committed)
{
    if (writes->memtable != NULL)
        memtable_drop(writes->memtable);
    writes->memtable = NULL;
    for (uint32_t i = 0; i < writes->retired_count; i++)
        memtable_drop(writes->retired[i]);
    if (writes->retired != NULL)
        release(writes->storage->store->memory_allocator, writes->retired,
                writes->retired_count * sizeof(*writes->retired));
    writes->retired = NULL;
    writes->retired_count = 0;
    writes->count = 0;
    writes->bytes = 0;
    writes->deletions = false;
    buffer_truncate(&writes->spaces, 0);
    buffer_truncate(&writes->lives, 0);
    if (committed)
        buffer_truncate(&writes->values, 0);
    else
        own_values_discard(writes);
}

void storage_writes_release(struct storage_writes *writes)
{
    if (writes->storage == NULL)
        return;
    storage_writes_clear(writes, false);
    buffer_release(&writes->spaces);
    buffer_release(&writes->values);
    buffer_release(&writes->lives);
    buffer_release(&writes->record);
    writes->storage = NULL;
}

strata_status space_claim(struct storage *storage, struct storage_space *space, bool deletes,
                          bool *unregistered)
{
    struct store *store = storage->store;
    strata_status status = STRATA_OK;
    *unregistered = false;
    if (atomic_load(&space->registered) && (!deletes || atomic_load(&space->deletions)))
        return STRATA_OK;
    mutex_lock(&storage->spaces_lock);
    if (atomic_load(&space->number) == 0) {
        const uint32_t number = atomic_fetch_add(&store->next_space, 1);
        if (number < SPACE_LIMIT) {
            atomic_store(&space->number, number);
        } else {
            atomic_store(&store->next_space, SPACE_LIMIT);
            status = failure(STRATA_TOO_BIG, "there are %u spaces already", SPACE_LIMIT);
        }
    }
    if (status == STRATA_OK && deletes && !atomic_load(&space->deletions)) {
        atomic_store(&space->registered, false);
        atomic_store(&space->deletions, true);
    }
    *unregistered = !atomic_load(&space->registered);
    mutex_unlock(&storage->spaces_lock);
    return status;
}

static strata_status own_note_space(struct storage_writes *writes, struct storage_space *space)
{
    size_t count;
    const struct own_space *spaces = own_spaces(&writes->spaces, &count);
    for (size_t i = 0; i < count; i++) {
        if (spaces[i].space == space)
            return STRATA_OK;
    }
    const struct own_space element = {.space = space};
    return buffer_append(&writes->spaces, bytes_of(&element, sizeof(element)));
}

static strata_status own_insert(struct storage_writes *writes, struct memtable *memtable,
                                const struct row *row)
{
    TRY(memtable_reserve_rows(memtable, 1, row->key.length + row->value.length));
    memtable_insert(memtable, row);
    writes->bytes += row_charge(row);
    return STRATA_OK;
}

bool own_find(const struct storage_writes *writes, struct bytes key, uint64_t cap, struct row *out)
{
    return memtable_find(writes->memtable, key, hash64(key, 0), cap, out);
}

static strata_status own_memtable_create(const struct storage_writes *writes, struct memtable **out)
{
    return memtable_create(writes->storage->store->memory_allocator, OWN_CHUNK_BYTES,
                           OWN_VERSION_BASE, out);
}

/* Makes room for everything, then adds the row. */
static strata_status own_add(struct storage_writes *writes, const struct storage_write *write,
                             bool unregistered, struct row *row)
{
    const uint64_t bytes_max = writes->storage->store->profile.batch_bytes_max;
    if (writes->bytes + row_charge(row) + OWN_ROW_BYTES > bytes_max)
        return failure(STRATA_TOO_BIG, "a transaction may write %llu bytes",
                       (unsigned long long)bytes_max);
    if (unregistered)
        TRY(own_note_space(writes, write->space));
    TRY(buffer_reserve(&writes->lives, sizeof(struct own_life)));
    if (writes->memtable == NULL)
        TRY(own_memtable_create(writes, &writes->memtable));
    row->from = OWN_VERSION_BASE + writes->count + 1;
    TRY(own_insert(writes, writes->memtable, row));
    writes->count++;
    return STRATA_OK;
}

/* What the write asks for beside its row; room was reserved. */
static strata_status own_remember(struct storage_writes *writes, const struct storage_write *write)
{
    if ((write->flags & BATCH_LIVES) != 0) {
        const struct own_life life = {.number = OWN_VERSION_BASE + writes->count,
                                      .lives_us = write->expires_us};
        TRY(buffer_append(&writes->lives, bytes_of(&life, sizeof(life))));
    }
    if (write->row == ROW_RANGE_DELETE)
        writes->deletions = true;
    return STRATA_OK;
}

/* The row of a write, but for its key. `increment` is where a pending increment goes. */
static struct row own_row(const struct storage_write *write, int64_t now_us,
                          uint8_t increment[INCREMENT_SIZE])
{
    struct row row = {.value = write->value, .time_us = now_us, .kind = write->row};
    const struct batch_row timed = {.flags = write->flags, .expires_us = write->expires_us};
    if ((write->flags & (BATCH_LIVES | BATCH_EXPIRES)) != 0)
        row.expires_us = batch_row_expiry(&timed, now_us);
    if ((write->flags & BATCH_INCREMENT) != 0) {
        assert(write->row == ROW_COUNTER && write->value.length == COUNTER_SIZE);
        memcpy(increment, write->value.data, COUNTER_SIZE);
        increment[COUNTER_SIZE] = 1;
        row.value = bytes_of(increment, INCREMENT_SIZE);
    }
    return row;
}

strata_status storage_writes_add(struct storage_writes *writes, const struct storage_write *write,
                                 int64_t now_us)
{
    struct storage *storage = writes->storage;
    uint8_t increment[INCREMENT_SIZE];
    struct row row = own_row(write, now_us, increment);
    struct lookup_key key;
    bool unregistered;
    assert((write->key.length == 0) == (write->row == ROW_RANGE_DELETE));
    strata_status status =
        space_claim(storage, write->space, write->row == ROW_RANGE_DELETE, &unregistered);
    if (status == STRATA_OK)
        status = lookup_key_init(&key, storage->store->memory_allocator,
                                 storage_space(atomic_load(&write->space->number), write->kind),
                                 write->key);
    if (status == STRATA_OK) {
        row.key = lookup_key_in(&key, writes->branch);
        status = own_add(writes, write, unregistered, &row);
        lookup_key_release(&key);
    }
    return status == STRATA_OK ? own_remember(writes, write) : status;
}

void storage_writes_consider(const struct storage_writes *writes, const char *from, bool *found,
                             char out[BRANCH_NAME_SIZE_MAX + 1])
{
    const void *elements = writes->spaces.data;
    const struct own_space *spaces = elements;
    const size_t count = writes->spaces.length / sizeof(*spaces);
    for (size_t i = 0; i < count; i++)
        name_consider(spaces[i].space->name, from, true, found, out);
}

/* Keeps a memtable for the cursors that read it. */
static strata_status own_retire(struct storage_writes *writes, struct memtable *memtable)
{
    const strata_allocator *allocator = writes->storage->store->memory_allocator;
    const size_t size = writes->retired_count * sizeof(*writes->retired);
    struct memtable **retired = allocate(allocator, size + sizeof(*retired));
    if (retired == NULL)
        return failure(STRATA_NO_MEMORY, "no memory to take writes back");
    if (writes->retired != NULL) {
        memcpy(retired, writes->retired, size);
        release(allocator, writes->retired, size);
    }
    retired[writes->retired_count++] = memtable;
    writes->retired = retired;
    return STRATA_OK;
}

static strata_status own_copy_rows(struct storage_writes *writes, uint64_t cap, struct memtable *to)
{
    struct memtable_source from;
    uint8_t end[KEY_PREFIX_SIZE];
    /* Backwards, since a memtable takes the versions of a key oldest first. */
    key_prefix_store(end, writes->branch, UINT32_MAX);
    memtable_source_init(&from, writes->memtable);
    TRY(source_seek_before(&from.source, bytes_of(end, sizeof(end))));
    while (from.source.valid) {
        if (from.source.row.from <= cap)
            TRY(own_insert(writes, to, &from.source.row));
        TRY(source_previous(&from.source));
    }
    return STRATA_OK;
}

strata_status storage_writes_undo(struct storage_writes *writes, uint64_t count)
{
    const uint64_t bytes = writes->bytes;
    const uint64_t cap = OWN_VERSION_BASE + count;
    struct memtable *rebuilt = NULL;
    if (writes->memtable == NULL || count >= writes->count)
        return STRATA_OK;
    TRY(own_memtable_create(writes, &rebuilt));
    writes->bytes = 0;
    strata_status status = own_copy_rows(writes, cap, rebuilt);
    if (status == STRATA_OK)
        status = own_retire(writes, writes->memtable);
    if (status != STRATA_OK) {
        memtable_drop(rebuilt);
        writes->bytes = bytes;
        return status;
    }
    writes->memtable = rebuilt;
    writes->count = count;
    size_t lives;
    const struct own_life *life = own_lives(writes, &lives);
    while (lives > 0 && life[lives - 1].number > cap)
        lives--;
    buffer_truncate(&writes->lives, lives * sizeof(*life));
    return STRATA_OK;
}

/* ---- long values ---- */

strata_status storage_value_open(struct storage *storage, struct value_writer *out)
{
    struct store *store = storage->store;
    uint64_t number;
    *out = (struct value_writer){.allocator = NULL};
    TRY(storage_check_writable(storage));
    TRY(store_take_number(store, &number));
    const strata_status status =
        value_writer_open(out, store->backend, store->memory_allocator, &store->identity, number);
    if (status != STRATA_OK) {
        store_discard_object(store, number);
        value_writer_release(out);
    }
    return status;
}
