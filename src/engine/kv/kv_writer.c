#include "engine/kv/kv_writer.h"

#include <assert.h>

static strata_status writer_copy_options(struct kv_writer *writer,
                                         const strata_kv_put_options *options)
{
    if (options == NULL)
        return STRATA_OK;
    writer->options = *options;
    TRY(buffer_append(&writer->expected,
                      bytes_of(options->expected_value.data, options->expected_value.size)));
    writer->options.expected_value = strata_view(writer->expected.data, writer->expected.length);
    return STRATA_OK;
}

strata_status kv_writer_open(struct kv_context *context, struct storage_space *space,
                             struct bytes key, const strata_kv_put_options *options,
                             struct kv_writer *out)
{
    const strata_allocator *allocator = &context->storage->store->memory.allocator;
    *out = (struct kv_writer){.context = context, .space = space};
    buffer_init(&out->key, allocator);
    buffer_init(&out->expected, allocator);
    buffer_init(&out->start, allocator);
    strata_status status = buffer_append(&out->key, key);
    if (status == STRATA_OK)
        status = writer_copy_options(out, options);
    if (status != STRATA_OK)
        kv_writer_release(out);
    return status;
}

/* Gives the object, which nothing refers to, up as garbage. */
static void writer_drop_object(struct kv_writer *writer)
{
    if (!writer->long_value)
        return;
    const uint64_t number = writer->object.number;
    value_writer_release(&writer->object);
    store_discard_object(writer->context->storage->store, number);
    writer->long_value = false;
}

/* Starts the object with what there is. */
static strata_status writer_spill(struct kv_writer *writer)
{
    TRY(storage_value_open(writer->context->storage, &writer->object));
    writer->long_value = true;
    if (writer->start.length > 0)
        TRY(value_writer_append(&writer->object, buffer_view(&writer->start)));
    buffer_release(&writer->start);
    return STRATA_OK;
}

static strata_status writer_take(struct kv_writer *writer, struct bytes piece)
{
    if (piece.length > VALUE_SIZE_MAX - writer->size)
        return failure(STRATA_TOO_BIG, "a value has at most %d bytes", VALUE_SIZE_MAX);
    if (!writer->long_value && writer->size + piece.length <= kv_inline_size_max(writer->context)) {
        TRY(buffer_append(&writer->start, piece));
    } else {
        if (!writer->long_value)
            TRY(writer_spill(writer));
        TRY(value_writer_append(&writer->object, piece));
    }
    writer->size += piece.length;
    return STRATA_OK;
}

strata_status kv_writer_append(struct kv_writer *writer, struct bytes piece)
{
    assert(writer->context != NULL);
    if (writer->fault.status != STRATA_OK)
        return failure_restore(&writer->fault);
    if (piece.length == 0)
        return STRATA_OK;
    const strata_status status = writer_take(writer, piece);
    if (status != STRATA_OK) {
        failure_save(&writer->fault);
        writer_drop_object(writer);
        buffer_release(&writer->start);
        return failure_restore(&writer->fault);
    }
    return status;
}

static strata_status writer_finish_long(struct kv_writer *writer)
{
    struct kv_context *context = writer->context;
    struct value_reference reference;
    /* Synced whatever the commit is: see value_write_object in kv_write.c. */
    TRY(value_writer_finish(&writer->object, true, &reference));
    TRY(kv_note_object(context, reference.object));
    writer->long_value = false; /* The transaction's now. */
    value_writer_release(&writer->object);
    return kv_put_reference(context, writer->space, buffer_view(&writer->key), reference,
                            &writer->options);
}

strata_status kv_writer_finish(struct kv_writer *writer)
{
    assert(writer->context != NULL);
    if (writer->fault.status != STRATA_OK)
        return failure_restore(&writer->fault);
    if (writer->long_value)
        return writer_finish_long(writer);
    return kv_put(writer->context, writer->space, buffer_view(&writer->key),
                  buffer_view(&writer->start), &writer->options);
}

void kv_writer_release(struct kv_writer *writer)
{
    if (writer->context == NULL)
        return;
    writer_drop_object(writer);
    buffer_release(&writer->key);
    buffer_release(&writer->expected);
    buffer_release(&writer->start);
    writer->context = NULL;
}
