/* Values of system rows: what is taken encodes to the same bytes. */
#include "core/memory.h"
#include "format/catalog.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_branch(struct bytes value, struct buffer *out)
{
    struct branch_record record;
    if (branch_record_decode(value, &record) != STRATA_OK)
        return;
    if (branch_record_append(out, &record) != STRATA_OK || !bytes_equal(buffer_view(out), value))
        abort();
}

static void read_commits(struct bytes value, struct buffer *out)
{
    struct commit_packer reader = {.version = 1000}, writer = {.started = false};
    struct bytes rest = value;
    struct packed_commit commit;
    bool found = true;
    while (commit_unpack(&reader, &rest, &found, &commit) == STRATA_OK && found) {
        if (commit_pack(&writer, out, &commit) != STRATA_OK)
            abort();
    }
    if (!bytes_equal(buffer_view(out), bytes_of(value.data, value.length - rest.length)))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct memory memory;
    struct buffer out;
    memory_init(&memory, NULL);
    buffer_init(&out, &memory.allocator);
    read_branch(bytes_of(data, size), &out);
    buffer_truncate(&out, 0);
    read_commits(bytes_of(data, size), &out);
    buffer_release(&out);
    return 0;
}
