/* Looking at one segment of the log through a window of bounded size. For this folder only. */
#ifndef STRATA_DURABILITY_WAL_SCAN_H
#define STRATA_DURABILITY_WAL_SCAN_H

#include "backend/backend.h"
#include "format/wal_record.h"

enum { WAL_WINDOW_BYTES = 32 << 10 };

/* What a record's checksum is bound to. */
struct wal_place {
    struct identity identity;
    uint64_t number;
    uint64_t offset;
};

struct wal_place wal_place_of(const struct identity *identity, uint64_t number, uint64_t offset);

/* An open segment and a part of its bytes. Memory: WAL_WINDOW_BYTES, or the largest record met. */
struct wal_scan {
    const strata_allocator *allocator;
    struct identity identity;
    uint64_t number;
    struct object object;
    uint64_t
        ring_bytes; /* Not 0: `object` is a ring of that size, read as if it were the segment. */
    uint8_t *data;
    size_t capacity;
    uint64_t start; /* `data` holds [start, start + length) of the object. */
    size_t length;
};

void wal_scan_init(struct wal_scan *scan, const strata_allocator *allocator,
                   const struct identity *identity);
void wal_scan_release(struct wal_scan *scan);

/* Opens the ring, if there is one: ring_bytes is not 0 then, and that many bytes of segment
 * scan->number can be looked at from anywhere. Fails with STRATA_IO. */
STRATA_CHECKED strata_status wal_scan_open_ring(struct wal_scan *scan,
                                                const strata_backend *backend);

/* Of a ring: goes over to the bytes of segment `number`. */
void wal_scan_turn(struct wal_scan *scan, uint64_t number);

/* Goes over to segment `number`. Fails with STRATA_NOT_FOUND if there is none. */
STRATA_CHECKED strata_status wal_scan_open(struct wal_scan *scan, const strata_backend *backend,
                                           uint64_t number);

/* The segment's header; `*whole` false if it has none that counts. STRATA_UNSUPPORTED. */
STRATA_CHECKED strata_status wal_scan_header(struct wal_scan *scan, bool *whole,
                                             struct wal_header *out, uint64_t *chain_out);

/* The record at `offset`, if one is there that is valid and ends by `end`. Its payload is valid until
 * the next call. */
STRATA_CHECKED strata_status wal_scan_record(struct wal_scan *scan, uint64_t offset, uint64_t end,
                                             bool *whole, struct wal_record *out);

/* What is known of records that a place check proves, without a chain that leads to them. */
struct wal_traces {
    uint64_t count;
    uint64_t min_version; /* UINT64_MAX if none. */
    uint64_t max_version;
    uint64_t first_offset; /* Of the first one. */
    uint64_t durable_version;
    uint64_t manifest;
};

/* Looks for records at every multiple of 8 in [offset, end). The time is linear in the bytes, also
 * where they were made to look like records: there some may be overlooked. */
STRATA_CHECKED strata_status wal_scan_traces(struct wal_scan *scan, uint64_t offset, uint64_t end,
                                             struct wal_traces *out);

#endif
