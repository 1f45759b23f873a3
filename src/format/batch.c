#include "format/batch.h"

#include "format/take.h"
#include "layout/key.h"

#include <assert.h>

enum { BATCH_ROW_SIZE_MIN = 4, BATCH_KIND = 0x0f };

strata_status batch_header_append(struct buffer *out, const struct batch_header *header)
{
    assert(header->message.length <= BATCH_MESSAGE_SIZE_MAX);

    uint8_t fields[3 * VARINT_SIZE_MAX];
    size_t size = varint_encode(header->branch, fields);
    size += varint_encode(header->row_count, fields + size);
    size += varint_encode(header->message.length, fields + size);
    uint8_t *to;
    TRY(buffer_extend(out, size + header->message.length, &to));
    memcpy(to, fields, size);
    if (header->message.length > 0)
        memcpy(to + size, header->message.data, header->message.length);
    return STRATA_OK;
}

/* What is wrong with a row, or NULL. */
static const char *batch_row_fault(const struct batch_row *row)
{
    const bool expires = (row->flags & BATCH_EXPIRES) != 0;
    const bool lives = (row->flags & BATCH_LIVES) != 0;
    if (!row_value_valid(row->kind, row->value))
        return "its kind is unknown or its value not one of its kind";
    if (row->key.length > USER_KEY_SIZE_MAX)
        return "its key is too long";
    if ((row->key.length == 0) != (row->kind == ROW_RANGE_DELETE))
        return "the empty key is for range deletions, and they for it";
    if (expires && lives)
        return "it has an expiry and a time to live";
    if (expires && row->expires_us == 0)
        return "it expires at 0, which means never";
    if (lives && row->expires_us <= 0)
        return "its time to live is not positive";
    if ((row->flags & BATCH_INCREMENT) != 0 && row->kind != ROW_COUNTER)
        return "it increments what is no counter";
    return NULL;
}

strata_status batch_row_append(struct buffer *out, const struct batch_row *row)
{
    assert(batch_row_fault(row) == NULL);
    assert((row->flags & BATCH_KIND) == 0);

    uint8_t fields[1 + 3 * VARINT_SIZE_MAX + 8];
    size_t size = 0;
    fields[size++] = row->kind | row->flags;
    size += varint_encode(row->space, fields + size);
    size += varint_encode(row->key.length, fields + size);
    size += varint_encode(row->value.length, fields + size);
    if ((row->flags & (BATCH_EXPIRES | BATCH_LIVES)) != 0) {
        store_u64(fields + size, (uint64_t)row->expires_us);
        size += 8;
    }
    uint8_t *to;
    TRY(buffer_extend(out, size + row->key.length + row->value.length, &to));
    memcpy(to, fields, size);
    if (row->key.length > 0)
        memcpy(to + size, row->key.data, row->key.length);
    if (row->value.length > 0)
        memcpy(to + size + row->key.length, row->value.data, row->value.length);
    return STRATA_OK;
}

strata_status batch_header_take(struct bytes *batch, struct batch_header *out)
{
    struct bytes rest = *batch;
    struct batch_header header;
    uint64_t message_length;
    TRY(take_varint(&rest, &header.branch));
    TRY(take_varint(&rest, &header.row_count));
    TRY(take_varint_to(&rest, BATCH_MESSAGE_SIZE_MAX, "length of a message", &message_length));
    TRY(take_bytes(&rest, message_length, "message", &header.message));
    if (header.row_count > rest.length / BATCH_ROW_SIZE_MIN)
        return failure(STRATA_CORRUPT, "batch names %" PRIu64 " rows in %zu bytes",
                       header.row_count, rest.length);
    *batch = rest;
    *out = header;
    return STRATA_OK;
}

strata_status batch_row_take(struct bytes *batch, struct batch_row *out)
{
    struct bytes rest = *batch;
    uint8_t first;
    uint64_t space, key_length, value_length, expires_us = 0;
    TRY(take_u8(&rest, "row of a batch", &first));
    const char *reserved = row_kind_reserved(first & BATCH_KIND);
    if (reserved != NULL)
        return failure(STRATA_UNSUPPORTED, "batch has rows for %s, which this library lacks",
                       reserved);
    TRY(take_varint_to(&rest, UINT32_MAX, "storage space", &space));
    TRY(take_varint_to(&rest, USER_KEY_SIZE_MAX, "length of a key", &key_length));
    TRY(take_varint_to(&rest, INLINE_VALUE_SIZE_MAX, "length of a value", &value_length));
    if ((first & (BATCH_EXPIRES | BATCH_LIVES)) != 0)
        TRY(take_u64(&rest, "expiry", &expires_us));

    struct batch_row row = {
        .kind = first & BATCH_KIND,
        .flags = (uint8_t)(first & ~BATCH_KIND),
        .space = (uint32_t)space,
        .expires_us = (int64_t)expires_us,
    };
    TRY(take_bytes(&rest, key_length, "key", &row.key));
    TRY(take_bytes(&rest, value_length, "value", &row.value));
    const char *fault = batch_row_fault(&row);
    if (fault != NULL)
        return failure(STRATA_CORRUPT, "row of a batch: %s", fault);
    *batch = rest;
    *out = row;
    return STRATA_OK;
}
