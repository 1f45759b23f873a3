/* An owned, growing run of bytes. */
#ifndef STRATA_CORE_BUFFER_H
#define STRATA_CORE_BUFFER_H

#include "core/bytes.h"
#include "core/status.h"

/* Invariant: length <= capacity, and data is NULL exactly when capacity is zero. */
struct buffer {
    const strata_allocator *allocator;
    uint8_t *data;
    size_t length;
    size_t capacity;
};

void buffer_init(struct buffer *buffer, const strata_allocator *allocator);
void buffer_release(struct buffer *buffer);

/* Appends `size` bytes, whose content is undefined, and points `out` at the first; `out` is valid
 * until the next growth. Fails with STRATA_NO_MEMORY and leaves the buffer unchanged. */
STRATA_CHECKED strata_status buffer_extend(struct buffer *buffer, size_t size, uint8_t **out);

/* Makes room for `size` more bytes, so that the next appends of that many cannot fail. */
STRATA_CHECKED strata_status buffer_reserve(struct buffer *buffer, size_t size);

/* The same without room for growth behind them. */
STRATA_CHECKED strata_status buffer_reserve_exactly(struct buffer *buffer, size_t size);

STRATA_CHECKED strata_status buffer_append(struct buffer *buffer, struct bytes bytes);
/* Makes `bytes`, which are not its own, all that it has. */
STRATA_CHECKED static inline strata_status buffer_set(struct buffer *buffer, struct bytes bytes)
{
    buffer->length = 0;
    if (bytes.length == 0 || bytes.length > buffer->capacity)
        return buffer_append(buffer, bytes);
    memcpy(buffer->data, bytes.data, bytes.length);
    buffer->length = bytes.length;
    return STRATA_OK;
}

STRATA_CHECKED strata_status buffer_append_u8(struct buffer *buffer, uint8_t value);
STRATA_CHECKED strata_status buffer_append_u32(struct buffer *buffer, uint32_t value);
STRATA_CHECKED strata_status buffer_append_u64(struct buffer *buffer, uint64_t value);
STRATA_CHECKED strata_status buffer_append_varint(struct buffer *buffer, uint64_t value);

/* Forgets what lies past `length`; keeps the capacity. */
void buffer_truncate(struct buffer *buffer, size_t length);

struct bytes buffer_view(const struct buffer *buffer);

#endif
