/* The write-ahead log's bytes: segments of records.
 *
 * Segment `wal/<number>`: its header in the first WAL_HEADER_SIZE bytes, records from there on, each
 * at a multiple of 8, zeros behind the last.
 *
 *     0   u64 checksum        place_checksum of the WAL_HEADER_SIZE bytes, place (WAL, number, 0)
 *     8   "STRATAWL"          16  u32 format version    20  u32 zero
 *     24  u8 uuid[16]         40  u64 incarnation       48  u64 number
 *     56  u64 first version   the version that the first record has
 *     64  u64 previous number, 0: none                  72  u64 previous end: bytes in use there
 *     80  u64 previous chain: checksum of its last record, or of its header if it has none
 *     88  u64 durable version   96  u64 manifest        both known durable when it was written
 *     104 zeros
 *
 * Record:
 *
 *     0   u64 checksum   place_checksum of the record, place (WAL, number, offset)
 *     8   u32 size       of the whole record, a multiple of 8, padding of zeros included
 *     12  u32 payload    bytes of payload
 *     16  u8 kind        1: commit; the payload is a batch
 *     17  u8 transform 0, u16 0, u32 0
 *     24  u64 version    32  i64 time
 *     40  u64 durable version   48  u64 manifest   both known durable when it was written
 *     56  u64 chain: checksum of the record before, or of the segment's header
 *     64  payload */
#ifndef STRATA_FORMAT_WAL_RECORD_H
#define STRATA_FORMAT_WAL_RECORD_H

#include "core/buffer.h"
#include "format/place.h"

enum { WAL_HEADER_SIZE = 4096, WAL_RECORD_HEADER_SIZE = 64, WAL_RECORD_COMMIT = 1 };

struct wal_header {
    struct identity identity;
    uint64_t number;
    uint64_t first_version;
    uint64_t previous_number;
    uint64_t previous_end;
    uint64_t previous_chain;
    uint64_t durable_version;
    uint64_t manifest;
};

/* Writes WAL_HEADER_SIZE bytes; returns the checksum, which the first record chains to. */
uint64_t wal_header_encode(const struct wal_header *header, uint8_t out[WAL_HEADER_SIZE]);

/* Checks against `identity` and `number`. STRATA_UNSUPPORTED: a newer format, whole. */
STRATA_CHECKED strata_status wal_header_decode(struct bytes bytes, const struct identity *identity,
                                               uint64_t number, struct wal_header *out,
                                               uint64_t *chain_out);

struct wal_record {
    uint8_t kind;
    uint64_t version;
    int64_t time_us;
    uint64_t durable_version;
    uint64_t manifest;
    uint64_t chain;
    struct bytes payload;
    uint32_t size;     /* Of the whole record; out. */
    uint64_t checksum; /* Out. */
};

/* Bytes of a record with a payload of that size. */
static inline size_t wal_record_size(size_t payload)
{
    return (WAL_RECORD_HEADER_SIZE + payload + 7) & ~(size_t)7;
}

/* Fills the header and padding around a payload that already lies at out + WAL_RECORD_HEADER_SIZE;
 * `out` has wal_record_size() bytes. Sets record->size and checksum. */
void wal_record_seal(struct wal_record *record, const struct identity *identity, uint64_t number,
                     uint64_t offset, uint8_t *out);

/* Checks the record at the front of `bytes` (of what is left of the segment), chain excepted.
 * `*whole` false: not a valid record there, which is no failure. */
void wal_record_open(struct bytes bytes, const struct identity *identity, uint64_t number,
                     uint64_t offset, bool *whole, struct wal_record *out);

/* The size that a record at the front of `bytes` claims, unchecked; 0 if it is not even plausible
 * (below the header's, not a multiple of 8, a kind or transform that does not exist). */
uint32_t wal_record_size_claimed(struct bytes bytes);

#endif
