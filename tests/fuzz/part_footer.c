/* Footers of parts: what is taken encodes to the same bytes. */
#include "core/memory.h"
#include "format/part.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_values(struct bytes list)
{
    bool found = true;
    while (found) {
        uint64_t object, bytes;
        if (part_values_next(&list, &found, &object, &bytes) != STRATA_OK)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct part_footer footer;
    if (part_footer_decode(bytes_of(data, size), &footer) != STRATA_OK)
        return 0;
    read_values(footer.value_list);
    for (uint32_t i = 0; i < footer.section_count; i++) {
        if (footer.sections[i].unit >= footer.units)
            abort();
    }
    struct memory memory;
    struct buffer out;
    memory_init(&memory, NULL);
    buffer_init(&out, &memory.allocator);
    if (part_footer_encode(&footer, &out) == STRATA_OK &&
        !bytes_equal(buffer_view(&out), bytes_of(data, size)))
        abort();
    buffer_release(&out);
    return 0;
}
