#include "table/value_file.h"

#include "core/memory.h"
#include "format/value_object.h"
#include "layout/names.h"

#include <assert.h>

static_assert((int)LAYOUT_NAME_SIZE <= (int)OBJECT_NAME_SIZE, "names of objects fit");

static void value_writer_check(const struct value_writer *writer)
{
    assert(writer->block != NULL);
    assert(writer->used < VALUE_BLOCK_PAYLOAD);
    assert(writer->used <= writer->size);
    assert((writer->size - writer->used) % VALUE_BLOCK_PAYLOAD == 0);
    (void)writer;
}

strata_status value_writer_open(struct value_writer *writer, const strata_backend *backend,
                                const strata_allocator *allocator, const struct identity *identity,
                                uint64_t number)
{
    assert(backend != NULL);
    assert(allocator != NULL);

    *writer =
        (struct value_writer){.allocator = allocator, .identity = *identity, .number = number};
    writer->block = allocate(allocator, VALUE_BLOCK_SIZE);
    if (writer->block == NULL)
        return failure(STRATA_NO_MEMORY, "no memory for a block of a value");
    char name[LAYOUT_NAME_SIZE];
    layout_table_name(number, name);
    TRY(object_create(backend, name, 0, &writer->object));
    value_writer_check(writer);
    return STRATA_OK;
}

/* Appends the block as far as it is filled. */
static strata_status value_writer_flush(struct value_writer *writer)
{
    assert(writer->used > 0);
    assert(writer->used <= VALUE_BLOCK_PAYLOAD);

    const uint64_t index = (writer->size - writer->used) / VALUE_BLOCK_PAYLOAD;
    const uint64_t offset = value_block_offset(index);
    assert(offset == writer->object.appended);
    value_block_seal(writer->block, index, writer->used,
                     place_seed(&writer->identity, FAMILY_TABLE, writer->number, offset));
    const size_t size = VALUE_BLOCK_HEADER_SIZE + (size_t)writer->used;
    TRY(object_append(&writer->object, bytes_of(writer->block, size)));
    writer->used = 0;
    return STRATA_OK;
}

strata_status value_writer_append(struct value_writer *writer, struct bytes piece)
{
    value_writer_check(writer);

    while (piece.length > 0) {
        const size_t room = VALUE_BLOCK_PAYLOAD - writer->used;
        const size_t size = piece.length < room ? piece.length : room;
        memcpy(writer->block + VALUE_BLOCK_HEADER_SIZE + writer->used, piece.data, size);
        writer->used += (uint32_t)size;
        writer->size += size;
        piece = bytes_after(piece, size);
        if (writer->used == VALUE_BLOCK_PAYLOAD)
            TRY(value_writer_flush(writer));
    }
    value_writer_check(writer);
    return STRATA_OK;
}

strata_status value_writer_finish(struct value_writer *writer, bool sync,
                                  struct value_reference *out)
{
    value_writer_check(writer);
    assert(writer->size > 0);

    if (writer->used > 0)
        TRY(value_writer_flush(writer));
    if (sync) {
        char folder[LAYOUT_NAME_SIZE];
        layout_table_folder(writer->number, folder);
        TRY(object_sync(&writer->object));
        TRY(backend_sync_names(writer->object.backend, folder));
    }
    *out = (struct value_reference){.object = writer->number, .size = writer->size};
    return STRATA_OK;
}

void value_writer_release(struct value_writer *writer)
{
    if (writer->allocator == NULL)
        return;
    object_close(&writer->object);
    release(writer->allocator, writer->block, VALUE_BLOCK_SIZE);
    *writer = (struct value_writer){0};
}

/* One reading of a value. */
struct value_reading {
    const struct identity *identity;
    struct value_reference reference;
    struct object object;
    uint8_t *block; /* VALUE_BLOCK_SIZE bytes. */
};

static strata_status value_open(struct value_reading *reading, const strata_backend *backend)
{
    assert(reading->object.handle == NULL);
    char name[LAYOUT_NAME_SIZE];
    layout_table_name(reading->reference.object, name);
    const strata_status status = object_open(backend, name, &reading->object);
    if (status == STRATA_NOT_FOUND)
        return failure_at(STRATA_CORRUPT, name, 0, "%s, which holds a value, is missing", name);
    return status;
}

/* Reads and checks one block; `out` points into reading->block. */
static strata_status value_read_block(struct value_reading *reading, uint64_t index,
                                      struct bytes *out)
{
    assert(index * VALUE_BLOCK_PAYLOAD < reading->reference.size);
    const uint64_t left = reading->reference.size - index * VALUE_BLOCK_PAYLOAD;
    const uint32_t used = left < VALUE_BLOCK_PAYLOAD ? (uint32_t)left : VALUE_BLOCK_PAYLOAD;
    const uint64_t offset = value_block_offset(index);
    const struct bytes block = bytes_of(reading->block, VALUE_BLOCK_HEADER_SIZE + (size_t)used);
    TRY(object_read(&reading->object, offset, reading->block, block.length));

    const uint64_t seed =
        place_seed(reading->identity, FAMILY_TABLE, reading->reference.object, offset);
    const strata_status status = value_block_open(block, index, used, seed, out);
    if (status == STRATA_OK)
        return STRATA_OK;
    return failure_at(status, reading->object.name, offset, "%s, at byte %llu: %s",
                      reading->object.name, (unsigned long long)offset, strata_error_message());
}

static strata_status value_copy(struct value_reading *reading, uint64_t offset, uint8_t *to,
                                size_t size)
{
    assert(size <= reading->reference.size - offset);
    while (size > 0) {
        struct bytes bytes;
        TRY(value_read_block(reading, offset / VALUE_BLOCK_PAYLOAD, &bytes));
        bytes = bytes_after(bytes, (size_t)(offset % VALUE_BLOCK_PAYLOAD));
        const size_t count = bytes.length < size ? bytes.length : size;
        assert(count > 0);
        memcpy(to, bytes.data, count);
        to += count;
        offset += count;
        size -= count;
    }
    return STRATA_OK;
}

strata_status value_file_read(const strata_backend *backend, const strata_allocator *allocator,
                              const struct identity *identity, struct value_reference reference,
                              uint64_t offset, void *to, size_t size)
{
    assert(to != NULL || size == 0);
    assert(offset <= reference.size);
    assert(size <= reference.size - offset);

    if (size == 0)
        return STRATA_OK;
    strata_status status = STRATA_OK;
    struct value_reading reading = {.identity = identity, .reference = reference};
    TRY_OUT(value_open(&reading, backend));
    reading.block = allocate(allocator, VALUE_BLOCK_SIZE);
    if (reading.block == NULL) {
        status = failure(STRATA_NO_MEMORY, "no memory for a block of a value");
        goto out;
    }
    TRY_OUT(value_copy(&reading, offset, to, size));

out:
    release(allocator, reading.block, VALUE_BLOCK_SIZE);
    object_close(&reading.object);
    return status;
}
