#include "engine/kv/held_value.h"

#include "core/lock.h"
#include "core/memory.h"

#include <assert.h>

/* A value's own block. A frame's bytes never begin this close to the start of its block, so where
 * `data` points says which of the two pin[0] is. */
struct value_copy {
    size_t size; /* Of this block. */
    uint8_t bytes[];
};

static_assert(sizeof(struct cached_frame) > sizeof(struct value_copy),
              "a frame's bytes lie further into its block than those of a copy");

uint32_t row_flags(const struct row *row)
{
    uint32_t flags = 0;
    if (row->kind == ROW_DELETE || row->kind == ROW_RANGE_DELETE)
        flags |= STRATA_ROW_TOMBSTONE;
    if (row->kind == ROW_COUNTER)
        flags |= STRATA_ROW_COUNTER;
    if (row->expires_us != 0)
        flags |= STRATA_ROW_EXPIRES;
    return flags;
}

static void value_hold(struct value_holds *holds, void *what, size_t size, strata_value *out)
{
    atomic_fetch_add(&holds->store->held_bytes, size);
    atomic_fetch_add(&holds->count, 1);
    out->pin[0] = what;
    out->pin[1] = holds;
}

/* A block for a value of `size` bytes, held by `out`. Copies beyond twice what may be pinned would
 * take the memory that everything else lives on. */
static strata_status value_copy_hold(struct value_holds *holds, uint64_t size, strata_value *out)
{
    struct store *store = holds->store;
    const uint64_t held_max = held_value_size_max(holds);
    if (size > held_max)
        return failure(STRATA_TOO_BIG,
                       "a value of %llu bytes cannot be held: read it in pieces with "
                       "strata_kv_copy",
                       (unsigned long long)size);
    const uint64_t held = atomic_load(&store->held_bytes);
    if (held + size > 2 * held_max)
        return failure(STRATA_NO_MEMORY, "values of %llu bytes are held already",
                       (unsigned long long)held);
    const size_t block_size = sizeof(struct value_copy) + (size_t)size;
    struct value_copy *copy = allocate(&store->memory.allocator, block_size);
    if (copy == NULL)
        return failure(STRATA_NO_MEMORY, "no memory for a value of %llu bytes",
                       (unsigned long long)size);
    copy->size = block_size;
    value_hold(holds, copy, block_size, out);
    out->data = copy->bytes;
    return STRATA_OK;
}

/* Whether the frame that the row lies in may stay pinned. */
static bool value_may_pin(const struct value_holds *holds, const struct storage_row *row)
{
    if (row->pin == NULL || row->row.kind == ROW_VALUE_REFERENCE)
        return false;
    const uint64_t held = atomic_load(&holds->store->held_bytes);
    return held + row->pin->frame.bytes.length <= held_value_size_max(holds);
}

strata_status held_value_take(struct value_holds *holds, struct store_reader *reader,
                              struct storage_row *row, strata_value *out)
{
    assert(row->found);
    assert(out->pin[0] == NULL);
    const uint64_t size = storage_value_size(&row->row);
    strata_status status = STRATA_OK;
    if (size <= STRATA_VALUE_INLINE_BYTES) {
        out->data = out->inline_bytes;
    } else if (value_may_pin(holds, row)) {
        value_hold(holds, row->pin, row->pin->frame.bytes.length, out);
        out->data = row->row.value.data;
        row->pin = NULL; /* The value's now. */
    } else {
        TRY(value_copy_hold(holds, size, out));
    }
    if (out->data != row->row.value.data && size > 0) {
        uint8_t *to =
            out->pin[0] != NULL ? ((struct value_copy *)out->pin[0])->bytes : out->inline_bytes;
        status = storage_value_read(reader, &row->row, 0, to, (size_t)size);
    }
    if (status != STRATA_OK) {
        held_value_release(out);
        return status;
    }
    out->size = (size_t)size;
    out->version = row->row.from;
    out->time_us = row->row.time_us;
    out->expires_us = row->row.expires_us;
    out->flags = row_flags(&row->row);
    return STRATA_OK;
}

strata_status held_value_copy(struct value_holds *holds, const strata_row *row, strata_value *out)
{
    assert(row->value.data != NULL);
    if (row->value.size <= STRATA_VALUE_INLINE_BYTES) {
        if (row->value.size > 0)
            memcpy(out->inline_bytes, row->value.data, row->value.size);
        out->data = out->inline_bytes;
    } else {
        TRY(value_copy_hold(holds, row->value.size, out));
        memcpy(((struct value_copy *)out->pin[0])->bytes, row->value.data, row->value.size);
    }
    out->size = row->value.size;
    out->version = row->version;
    out->time_us = row->time_us;
    out->expires_us = row->expires_us;
    out->flags = row->flags;
    return STRATA_OK;
}

static void value_let_go(const strata_value *value)
{
    struct value_holds *holds = value->pin[1];
    struct store *store = holds->store;
    struct value_copy *copy = value->pin[0];
    size_t size;
    if (value->data == copy->bytes) {
        size = copy->size;
        release(&store->memory.allocator, copy, size);
    } else {
        struct cached_frame *frame = value->pin[0];
        size = frame->frame.bytes.length;
        cache_unpin(&store->cache, frame);
    }
    atomic_fetch_sub(&store->held_bytes, size);
    atomic_fetch_sub(&holds->count, 1);
}

void held_value_reset(strata_value *value)
{
    const struct value_holds *holds = value->pin[1];
    /* In the child of a fork nothing may be touched: locks may be held by threads that are not there. */
    if (value->pin[0] != NULL && holds->store->process == process_generation())
        value_let_go(value);
    value->data = NULL;
    value->size = 0;
    value->version = 0;
    value->time_us = 0;
    value->expires_us = 0;
    value->flags = 0;
    value->pin[0] = value->pin[1] = NULL;
}

void held_value_release(strata_value *value)
{
    if (value == NULL)
        return;
    held_value_reset(value);
    *value = (strata_value){0};
}
