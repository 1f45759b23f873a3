#include "format/wal_record.h"

#include "format/take.h"

#include <assert.h>

static const uint8_t wal_magic[8] = {'S', 'T', 'R', 'A', 'T', 'A', 'W', 'L'};

static uint64_t wal_checksum(struct bytes bytes, const struct identity *identity, uint64_t number,
                             uint64_t offset)
{
    return place_checksum(bytes, place_seed(identity, FAMILY_WAL, number, offset));
}

uint64_t wal_header_encode(const struct wal_header *header, uint8_t out[WAL_HEADER_SIZE])
{
    assert(header->number <= OBJECT_NUMBER_MAX);
    assert(header->previous_number == 0 || header->previous_number < header->number);
    assert(header->durable_version < header->first_version);

    memset(out, 0, WAL_HEADER_SIZE);
    memcpy(out + 8, wal_magic, sizeof(wal_magic));
    store_u32(out + 16, FORMAT_VERSION);
    memcpy(out + 24, header->identity.uuid, UUID_SIZE);
    store_u64(out + 40, header->identity.incarnation);
    store_u64(out + 48, header->number);
    store_u64(out + 56, header->first_version);
    store_u64(out + 64, header->previous_number);
    store_u64(out + 72, header->previous_end);
    store_u64(out + 80, header->previous_chain);
    store_u64(out + 88, header->durable_version);
    store_u64(out + 96, header->manifest);
    const uint64_t checksum =
        wal_checksum(bytes_of(out, WAL_HEADER_SIZE), &header->identity, header->number, 0);
    store_u64(out, checksum);
    return checksum;
}

static strata_status wal_header_check(const struct wal_header *header,
                                      const struct identity *identity, uint64_t number)
{
    if (memcmp(header->identity.uuid, identity->uuid, UUID_SIZE) != 0 ||
        header->identity.incarnation != identity->incarnation)
        return failure(STRATA_CORRUPT, "log segment is of another database");
    if (header->number != number || number > OBJECT_NUMBER_MAX)
        return failure(STRATA_CORRUPT, "log segment says that its number is %" PRIu64,
                       header->number);
    if (header->durable_version >= header->first_version)
        return failure(STRATA_CORRUPT,
                       "log segment from version %" PRIu64 " on knows %" PRIu64 " as durable",
                       header->first_version, header->durable_version);
    if (header->previous_number == 0)
        return STRATA_OK;
    if (header->previous_number >= number)
        return failure(STRATA_CORRUPT, "log segment comes after segment %" PRIu64,
                       header->previous_number);
    if (header->previous_end < WAL_HEADER_SIZE || header->previous_end % 8 != 0)
        return failure(STRATA_CORRUPT, "log segment before this one ends at byte %" PRIu64,
                       header->previous_end);
    return STRATA_OK;
}

strata_status wal_header_decode(struct bytes bytes, const struct identity *identity,
                                uint64_t number, struct wal_header *out, uint64_t *chain_out)
{
    if (bytes.length < WAL_HEADER_SIZE)
        return failure(STRATA_CORRUPT, "log segment of %zu bytes has no header", bytes.length);
    const uint8_t *data = bytes.data;
    const uint64_t checksum = load_u64(data);
    if (memcmp(data + 8, wal_magic, sizeof(wal_magic)) != 0)
        return failure(STRATA_CORRUPT, "log segment does not begin with STRATAWL");
    if (checksum != wal_checksum(bytes_of(data, WAL_HEADER_SIZE), identity, number, 0))
        return failure(STRATA_CORRUPT, "log segment's header fails its checksum");
    TRY(format_version_check(load_u32(data + 16)));
    if (load_u32(data + 20) != 0)
        return failure(STRATA_CORRUPT, "log segment's reserved bytes are not zero");

    struct wal_header header = {
        .identity = {.incarnation = load_u64(data + 40)},
        .number = load_u64(data + 48),
        .first_version = load_u64(data + 56),
        .previous_number = load_u64(data + 64),
        .previous_end = load_u64(data + 72),
        .previous_chain = load_u64(data + 80),
        .durable_version = load_u64(data + 88),
        .manifest = load_u64(data + 96),
    };
    memcpy(header.identity.uuid, data + 24, UUID_SIZE);
    TRY(wal_header_check(&header, identity, number));
    *out = header;
    *chain_out = checksum;
    return STRATA_OK;
}

void wal_record_seal(struct wal_record *record, const struct identity *identity, uint64_t number,
                     uint64_t offset, uint8_t *out)
{
    const size_t payload = record->payload.length;
    assert(offset % 8 == 0);
    assert(payload <= UINT32_MAX - WAL_RECORD_HEADER_SIZE - 7);
    assert(record->durable_version < record->version);

    const size_t size = wal_record_size(payload);
    store_u32(out + 8, (uint32_t)size);
    store_u32(out + 12, (uint32_t)payload);
    memset(out + 16, 0, 8);
    out[16] = record->kind;
    store_u64(out + 24, record->version);
    store_u64(out + 32, (uint64_t)record->time_us);
    store_u64(out + 40, record->durable_version);
    store_u64(out + 48, record->manifest);
    store_u64(out + 56, record->chain);
    memset(out + WAL_RECORD_HEADER_SIZE + payload, 0, size - WAL_RECORD_HEADER_SIZE - payload);
    record->size = (uint32_t)size;
    record->checksum = wal_checksum(bytes_of(out, size), identity, number, offset);
    store_u64(out, record->checksum);
}

uint32_t wal_record_size_claimed(struct bytes bytes)
{
    if (bytes.length < WAL_RECORD_HEADER_SIZE)
        return 0;
    const uint8_t *data = bytes.data;
    const uint32_t size = load_u32(data + 8);
    const uint32_t payload = load_u32(data + 12);
    if (size < WAL_RECORD_HEADER_SIZE || size % 8 != 0)
        return 0;
    /* As wal_record_size() would have it, without the sum, which could overflow. */
    const uint32_t behind_header = size - WAL_RECORD_HEADER_SIZE;
    if (payload > behind_header || behind_header - payload >= 8)
        return 0;
    if (data[16] != WAL_RECORD_COMMIT || data[17] != 0 || load_u16(data + 18) != 0 ||
        load_u32(data + 20) != 0)
        return 0;
    return size;
}

void wal_record_open(struct bytes bytes, const struct identity *identity, uint64_t number,
                     uint64_t offset, bool *whole, struct wal_record *out)
{
    *whole = false;
    const uint32_t size = wal_record_size_claimed(bytes);
    if (size == 0 || size > bytes.length)
        return;
    const uint8_t *data = bytes.data;
    const uint64_t checksum = load_u64(data);
    if (checksum != wal_checksum(bytes_of(data, size), identity, number, offset))
        return;
    const struct wal_record record = {
        .kind = data[16],
        .version = load_u64(data + 24),
        .time_us = (int64_t)load_u64(data + 32),
        .durable_version = load_u64(data + 40),
        .manifest = load_u64(data + 48),
        .chain = load_u64(data + 56),
        .payload = bytes_of(data + WAL_RECORD_HEADER_SIZE, load_u32(data + 12)),
        .size = size,
        .checksum = checksum,
    };
    if (record.durable_version >= record.version)
        return;
    *whole = true;
    *out = record;
}
