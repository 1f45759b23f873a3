#include "core/buffer.h"
#include "core/varint.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

/* Small enough not to matter, large enough for a record's head. */
enum { BUFFER_CAPACITY_MIN = 64 };

static void buffer_check(const struct buffer *buffer)
{
    assert(buffer->allocator != NULL);
    assert(buffer->length <= buffer->capacity);
    assert((buffer->data == NULL) == (buffer->capacity == 0));
    (void)buffer;
}

void buffer_init(struct buffer *buffer, const strata_allocator *allocator)
{
    assert(allocator != NULL);
    *buffer = (struct buffer){.allocator = allocator};
}

void buffer_release(struct buffer *buffer)
{
    buffer_check(buffer);
    const strata_allocator *allocator = buffer->allocator;
    if (buffer->data != NULL)
        allocator->resize(allocator->context, buffer->data, buffer->capacity, 0);
    buffer_init(buffer, allocator);
}

/* Doubling keeps the cost of n appends linear. */
static size_t grown_capacity(size_t capacity, size_t needed)
{
    const size_t doubled = capacity > SIZE_MAX / 2 ? SIZE_MAX : capacity * 2;
    const size_t grown = doubled > needed ? doubled : needed;
    return grown > BUFFER_CAPACITY_MIN ? grown : BUFFER_CAPACITY_MIN;
}

static strata_status buffer_make_room(struct buffer *buffer, size_t size, bool exactly)
{
    buffer_check(buffer);

    if (size <= buffer->capacity - buffer->length)
        return STRATA_OK;
    if (size > SIZE_MAX - buffer->length)
        return failure(STRATA_NO_MEMORY, "buffer of %zu bytes cannot grow by %zu", buffer->length,
                       size);

    const strata_allocator *allocator = buffer->allocator;
    const size_t needed = buffer->length + size;
    const size_t capacity = exactly ? needed : grown_capacity(buffer->capacity, needed);
    uint8_t *data = allocator->resize(allocator->context, buffer->data, buffer->capacity, capacity);
    if (data == NULL)
        return failure(STRATA_NO_MEMORY, "no memory for a buffer of %zu bytes", needed);
    buffer->data = data;
    buffer->capacity = capacity;
    buffer_check(buffer);
    return STRATA_OK;
}

strata_status buffer_reserve(struct buffer *buffer, size_t size)
{
    return buffer_make_room(buffer, size, false);
}

strata_status buffer_reserve_exactly(struct buffer *buffer, size_t size)
{
    return buffer_make_room(buffer, size, true);
}

strata_status buffer_extend(struct buffer *buffer, size_t size, uint8_t **out)
{
    if (size == 0 && buffer->data == NULL) {
        *out = NULL;
        return STRATA_OK;
    }
    TRY(buffer_reserve(buffer, size));
    *out = buffer->data + buffer->length;
    buffer->length += size;
    buffer_check(buffer);
    return STRATA_OK;
}

strata_status buffer_append(struct buffer *buffer, struct bytes bytes)
{
    assert(bytes.data != NULL || bytes.length == 0);
    /* Bytes of the buffer itself would move away under the copy. */
    assert(bytes.length == 0 || buffer->data == NULL ||
           bytes.data >= buffer->data + buffer->capacity ||
           bytes.data + bytes.length <= buffer->data);

    uint8_t *to;
    TRY(buffer_extend(buffer, bytes.length, &to));
    if (bytes.length > 0)
        memcpy(to, bytes.data, bytes.length);
    return STRATA_OK;
}

strata_status buffer_append_u8(struct buffer *buffer, uint8_t value)
{
    uint8_t *to;
    TRY(buffer_extend(buffer, sizeof(value), &to));
    *to = value;
    return STRATA_OK;
}

strata_status buffer_append_u32(struct buffer *buffer, uint32_t value)
{
    uint8_t *to;
    TRY(buffer_extend(buffer, sizeof(value), &to));
    store_u32(to, value);
    return STRATA_OK;
}

strata_status buffer_append_u64(struct buffer *buffer, uint64_t value)
{
    uint8_t *to;
    TRY(buffer_extend(buffer, sizeof(value), &to));
    store_u64(to, value);
    return STRATA_OK;
}

strata_status buffer_append_varint(struct buffer *buffer, uint64_t value)
{
    uint8_t encoded[VARINT_SIZE_MAX];
    const size_t size = varint_encode(value, encoded);
    return buffer_append(buffer, bytes_of(encoded, size));
}

void buffer_truncate(struct buffer *buffer, size_t length)
{
    buffer_check(buffer);
    assert(length <= buffer->length);
    buffer->length = length;
}

struct bytes buffer_view(const struct buffer *buffer)
{
    buffer_check(buffer);
    return bytes_of(buffer->data, buffer->length);
}
