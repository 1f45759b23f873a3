#include "lifecycle/store.h"

#include <assert.h>

/* As much of the label as there is room for, up to the end of a UTF-8 character. */
static void reader_copy_label(char *out, size_t size, const char *label)
{
    size_t length = strlen(label);
    if (length >= size) {
        length = size - 1;
        while (length > 0 && ((unsigned char)label[length] & 0xc0) == 0x80)
            length--;
    }
    memcpy(out, label, length);
    out[length] = '\0';
}

strata_status store_reader_open(struct store *store, const char *label, struct store_reader *out)
{
    *out = (struct store_reader){.store = NULL};
    TRY(epoch_slot_take(&store->epochs, &out->slot));
    out->store = store;
    if (label != NULL)
        reader_copy_label(out->label, sizeof(out->label), label);
    out->since_us = store->options.clock->wall_us(store->options.clock->context);
    mutex_lock(&store->readers_lock);
    out->after = store->readers;
    if (out->after != NULL)
        out->after->before = out;
    store->readers = out;
    mutex_unlock(&store->readers_lock);
    atomic_fetch_add(&store->handle_count, 1);
    return STRATA_OK;
}

void store_reader_close(struct store_reader *reader)
{
    struct store *store = reader->store;
    if (store == NULL)
        return;
    mutex_lock(&store->readers_lock);
    if (reader->before != NULL)
        reader->before->after = reader->after;
    else
        store->readers = reader->after;
    if (reader->after != NULL)
        reader->after->before = reader->before;
    mutex_unlock(&store->readers_lock);
    epoch_slot_give(reader->slot);
    const uint32_t before = atomic_fetch_sub(&store->handle_count, 1);
    assert(before > 0);
    (void)before;
    *reader = (struct store_reader){.store = NULL};
}

uint64_t store_oldest_reader(struct store *store, int64_t *since_us_out, char label_out[32])
{
    uint64_t oldest = 0;
    *since_us_out = 0;
    label_out[0] = '\0';
    mutex_lock(&store->readers_lock);
    for (const struct store_reader *reader = store->readers; reader != NULL;
         reader = reader->after) {
        const uint64_t version = atomic_load(&reader->version);
        if (version == 0 || (oldest != 0 && version >= oldest))
            continue;
        oldest = version;
        *since_us_out = reader->since_us;
        memcpy(label_out, reader->label, sizeof(reader->label));
    }
    mutex_unlock(&store->readers_lock);
    return oldest;
}
