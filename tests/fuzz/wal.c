/* A segment of the log: its header, and records one after another. The input is the first 128 bytes of
 * the header, then the records; all of them are sealed. */
#include "format/wal_record.h"

#include <stdlib.h>

enum { HEADER_INPUT = 128, SIZE_MAX_TRIED = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_header(uint8_t *segment)
{
    struct identity identity = {.incarnation = load_u64(segment + 40)};
    memcpy(identity.uuid, segment + 24, UUID_SIZE);
    const uint64_t number = load_u64(segment + 48);
    store_u64(segment, place_checksum(bytes_of(segment, WAL_HEADER_SIZE),
                                      place_seed(&identity, FAMILY_WAL, number, 0)));
    struct wal_header header;
    uint64_t chain;
    if (wal_header_decode(bytes_of(segment, WAL_HEADER_SIZE), &identity, number, &header, &chain) !=
        STRATA_OK)
        return;
    static uint8_t again[WAL_HEADER_SIZE];
    if (wal_header_encode(&header, again) == chain)
        return;
    /* Only what no field holds may differ. */
    if (memcmp(again + 8, segment + 8, 96) != 0)
        abort();
}

static void read_records(uint8_t *segment, size_t size)
{
    const struct identity identity = {.incarnation = 1};
    size_t offset = WAL_HEADER_SIZE;
    while (offset < size) {
        uint8_t *at = segment + offset;
        const struct bytes rest = bytes_of(at, size - offset);
        const uint32_t claimed = wal_record_size_claimed(rest);
        if (claimed != 0 && claimed <= rest.length)
            store_u64(at, place_checksum(bytes_of(at, claimed),
                                         place_seed(&identity, FAMILY_WAL, 2, offset)));
        bool whole;
        struct wal_record record;
        wal_record_open(rest, &identity, 2, offset, &whole, &record);
        if (whole && (record.size != claimed || record.payload.length > claimed))
            abort();
        offset += whole ? record.size : 8;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < HEADER_INPUT || size > SIZE_MAX_TRIED)
        return 0;
    const size_t segment_size = WAL_HEADER_SIZE + size - HEADER_INPUT;
    uint8_t *segment = calloc(1, segment_size);
    if (segment == NULL)
        abort();
    memcpy(segment, data, HEADER_INPUT);
    memcpy(segment + WAL_HEADER_SIZE, data + HEADER_INPUT, size - HEADER_INPUT);
    read_header(segment);
    read_records(segment, segment_size);
    free(segment);
    return 0;
}
