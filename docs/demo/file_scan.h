/* The files that a transaction sees, each with its mode and git's id of its bytes.
 *
 * Values of up to FILE_SCAN_SMALL_SIZE are read and hashed every time. The id of a larger one is
 * remembered by its key and version, which together never mean other bytes; so its bytes are hashed
 * once, though they are still read with every scan. Should the library find a value too large for
 * its memory in a scan, all scans from then on list keys and versions only, and read what is not
 * remembered in pieces. */
#ifndef STRATA_DEMO_FILE_SCAN_H
#define STRATA_DEMO_FILE_SCAN_H

#include "file_value.h"
#include "sha1.h"
#include "strata.h"

enum { FILE_SCAN_SMALL_SIZE = 256, FILE_SCAN_REMEMBERED_MAX = 1 << 19 };

struct remembered_file {
    uint64_t key_hash[2];
    uint64_t version; /* 0: the place is free. */
    uint64_t size;
    uint32_t mode;
    uint8_t id[SHA1_SIZE];
};

/* Starts all zero. */
struct file_scanner {
    struct remembered_file *table; /* [FILE_SCAN_REMEMBERED_MAX * 2] */
    size_t remembered_count;
    bool in_pieces;
    uint64_t rows;  /* Seen by all scans. */
    uint64_t bytes; /* Hashed by all scans. */
    uint8_t piece[FILE_VALUE_PIECE_SIZE];
};

struct file_scan {
    struct file_scanner *scanner;
    strata_txn *txn;
    strata_cursor *cursor;
};

struct scanned_file {
    strata_bytes path; /* Lasts until the next. */
    uint32_t mode;     /* 0: the value is not one of ours. */
    uint8_t id[SHA1_SIZE];
};

void file_scanner_release(struct file_scanner *scanner);

strata_status file_scan_open(struct file_scanner *scanner, strata_txn *txn, struct file_scan *out);

/* STRATA_DONE after the last. After STRATA_TOO_BIG or STRATA_NO_MEMORY with `in_pieces` newly set,
 * scan again from the start. */
strata_status file_scan_next(struct file_scan *scan, struct scanned_file *out);
void file_scan_close(struct file_scan *scan);

#endif
