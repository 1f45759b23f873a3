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

void value_holds_init(struct value_holds *holds, struct store *store)
{
    *holds = (struct value_holds){.store = store};
    for (unsigned i = 0; i < VALUE_LANES; i++)
        holds->lanes[i].holds = holds;
}

uint64_t value_holds_bytes(const struct value_holds *holds)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < VALUE_LANES; i++)
        sum += atomic_load_explicit(&holds->lanes[i].bytes, memory_order_relaxed);
    return sum;
}

uint64_t value_holds_count(const struct value_holds *holds)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < VALUE_LANES; i++)
        sum += atomic_load_explicit(&holds->lanes[i].count, memory_order_acquire);
    return sum;
}

/* The lane of a reader. Their slots lie in lines of their own. */
static struct value_lane *value_lane_of(struct value_holds *holds,
                                        const struct store_reader *reader)
{
    return &holds->lanes[(uintptr_t)reader->slot / sizeof(*reader->slot) % VALUE_LANES];
}

/* Whether `size` more bytes stay below `most`. Looks at the other lanes only if this one has more than
 * its part. */
static bool value_fits(const struct value_lane *lane, uint64_t size, uint64_t most)
{
    const uint64_t here = atomic_load_explicit(&lane->bytes, memory_order_relaxed);
    return here + size <= most / VALUE_LANES || value_holds_bytes(lane->holds) + size <= most;
}

static void value_hold(struct value_lane *lane, void *what, size_t size, strata_value *out)
{
    atomic_fetch_add_explicit(&lane->bytes, size, memory_order_relaxed);
    atomic_fetch_add_explicit(&lane->count, 1, memory_order_relaxed);
    out->pin[0] = what;
    out->pin[1] = lane;
}

/* A block for a value of `size` bytes, held by `out`. Copies beyond twice what may be pinned would
 * take the memory that everything else lives on. */
static strata_status value_copy_hold(struct value_lane *lane, uint64_t size, strata_value *out)
{
    const struct value_holds *holds = lane->holds;
    struct store *store = holds->store;
    const uint64_t held_max = held_value_size_max(holds);
    if (size > held_max)
        return failure(STRATA_TOO_BIG,
                       "a value of %llu bytes cannot be held: read it in pieces with "
                       "strata_kv_copy",
                       (unsigned long long)size);
    if (!value_fits(lane, size, 2 * held_max))
        return failure(STRATA_NO_MEMORY, "values of %llu bytes are held already",
                       (unsigned long long)value_holds_bytes(holds));
    const size_t block_size = sizeof(struct value_copy) + (size_t)size;
    struct value_copy *copy = allocate(&store->memory.allocator, block_size);
    if (copy == NULL)
        return failure(STRATA_NO_MEMORY, "no memory for a value of %llu bytes",
                       (unsigned long long)size);
    copy->size = block_size;
    value_hold(lane, copy, block_size, out);
    out->data = copy->bytes;
    return STRATA_OK;
}

/* Whether the frame that the row lies in may stay pinned. */
static bool value_may_pin(const struct value_lane *lane, const struct storage_row *row)
{
    if (row->frame == NULL || row->row.kind == ROW_VALUE_REFERENCE)
        return false;
    return value_fits(lane, row->frame->frame.bytes.length, held_value_size_max(lane->holds));
}

/* Has the value keep the frame that the row lies in, and its pin, if it has one. */
static void value_take_pin(struct value_lane *lane, struct storage_row *row, strata_value *out)
{
    assert(row->pin == NULL || row->pin == row->frame);
    if (row->pin == NULL)
        cache_pin(&lane->holds->store->cache, row->frame);
    value_hold(lane, row->frame, row->frame->frame.bytes.length, out);
    out->data = row->row.value.data;
    row->pin = NULL;
}

/* Into a pin or a block of its own. */
static strata_status value_take_large(struct value_holds *holds, struct store_reader *reader,
                                      struct storage_row *row, strata_value *out)
{
    struct value_lane *lane = value_lane_of(holds, reader);
    const uint64_t size = storage_value_size(&row->row);
    if (size > STRATA_VALUE_INLINE_BYTES && value_may_pin(lane, row)) {
        value_take_pin(lane, row, out);
    } else {
        uint8_t *to = out->inline_bytes;
        if (size > STRATA_VALUE_INLINE_BYTES) {
            TRY(value_copy_hold(lane, size, out));
            to = ((struct value_copy *)out->pin[0])->bytes;
        }
        out->data = to;
        TRY(storage_value_read(reader, &row->row, 0, to, (size_t)size));
    }
    out->size = (size_t)size;
    return STRATA_OK;
}

strata_status held_value_take(struct value_holds *holds, struct store_reader *reader,
                              struct storage_row *row, strata_value *out)
{
    const struct bytes value = row->row.value;
    assert(row->found);
    assert(out->pin[0] == NULL);
    if (value.length <= STRATA_VALUE_INLINE_BYTES && row->row.kind != ROW_VALUE_REFERENCE) {
        if (value.length > 0)
            memcpy(out->inline_bytes, value.data, value.length);
        out->data = out->inline_bytes;
        out->size = value.length;
    } else {
        const strata_status status = value_take_large(holds, reader, row, out);
        if (status != STRATA_OK) {
            held_value_release(out);
            return status;
        }
    }
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
        TRY(value_copy_hold(&holds->lanes[0], row->value.size, out));
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
    struct value_lane *lane = value->pin[1];
    struct store *store = lane->holds->store;
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
    atomic_fetch_sub_explicit(&lane->bytes, size, memory_order_relaxed);
    atomic_fetch_sub_explicit(&lane->count, 1, memory_order_release);
}

void held_value_reset(strata_value *value)
{
    const struct value_lane *lane = value->pin[1];
    /* In the child of a fork nothing may be touched: locks may be held by threads that are not there. */
    if (value->pin[0] != NULL && lane->holds->store->process == process_generation())
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
