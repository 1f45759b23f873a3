/* Batches: what is taken encodes to the same bytes. */
#include "core/memory.h"
#include "format/batch.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Takes as much as is good, and encodes it again. */
static strata_status copy_batch(struct bytes *rest, struct buffer *out)
{
    struct batch_header header;
    TRY(batch_header_take(rest, &header));
    TRY(batch_header_append(out, &header));
    for (uint64_t i = 0; i < header.row_count; i++) {
        struct batch_row row;
        TRY(batch_row_take(rest, &row));
        TRY(batch_row_append(out, &row));
    }
    return STRATA_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct memory memory;
    struct buffer out;
    memory_init(&memory, NULL);
    buffer_init(&out, &memory.allocator);
    struct bytes rest = bytes_of(data, size);
    (void)!copy_batch(&rest, &out);
    if (!bytes_equal(buffer_view(&out), bytes_of(data, size - rest.length)))
        abort();
    buffer_release(&out);
    return 0;
}
