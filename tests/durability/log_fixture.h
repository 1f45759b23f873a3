/* A log on a test disk, and what it should hold: each commit's bytes follow from its version and the
 * salt that it was last appended with. */
#ifndef STRATA_TESTS_DURABILITY_LOG_FIXTURE_H
#define STRATA_TESTS_DURABILITY_LOG_FIXTURE_H

#include "durability/test_disk.h"
#include "durability/wal.h"

enum { LOG_VERSIONS_MAX = 4096, LOG_SEGMENT_BYTES = 8192 };

struct log {
    struct test_disk disk;
    struct identity identity;
    struct wal wal;
    struct wal_tail tail;             /* Of the last log_read. */
    uint64_t first_number;            /* What the manifest says. */
    uint64_t first_version;           /* Likewise. */
    uint64_t appended;                /* The highest version whose append was acknowledged. */
    uint64_t durable;                 /* The highest whose sync was. */
    uint64_t salts[LOG_VERSIONS_MAX]; /* By version; 0: never appended. */
    uint64_t last_salt;
    uint64_t segment_bytes;
    uint32_t payload_size; /* 0: by version. */
    uint32_t large_size;   /* Not 0: of every fifth version. */
    uint64_t ring_bytes;   /* 0: no ring. */
    const strata_allocator *allocator;
};

void log_init(struct log *log);
void log_release(struct log *log);

/* Reads with the wanted first version and checks every record that counts. */
strata_status log_read(struct log *log);

/* log_read and wal_start; what was read is what there is now. */
strata_status log_open(struct log *log);
void log_close(struct log *log);

/* The next version. On success it is the last. */
strata_status log_append(struct log *log);
void log_append_all(struct log *log, uint64_t count);
strata_status log_sync(struct log *log);

/* The name of segment `number`, static. */
const char *log_segment(uint64_t number);

/* Where the records of the segment begin, up to its end; returns their count. */
uint32_t log_records(struct log *log, uint64_t number, uint64_t *offsets, uint32_t count_max);

uint32_t log_outcome(void);

#endif
