/* The values of system rows: branches and the log of commits. Keys: layout/key.h.
 *
 * Branch record (SYSTEM_BRANCHES):
 *
 *     u8      flags: 1 deleted
 *     varint  parent, 0: none     varint  cap: the parent's rows with `from` up to it are inherited
 *     varint  version and u64 time of its creation
 *     name
 *
 * Packed commits (SYSTEM_LOG): the commits of one branch in order of version, the first one's version
 * being the key:
 *
 *     each: varint version - that of the one before (0 for the first)
 *           varint time - that of the one before (of the first: i64 in 8 bytes, little-endian)
 *           varint rows written
 *           varint message length, message */
#ifndef STRATA_FORMAT_CATALOG_H
#define STRATA_FORMAT_CATALOG_H

#include "core/buffer.h"

enum { BRANCH_DELETED = 1, BRANCH_NAME_SIZE_MAX = 255 };

struct branch_record {
    uint8_t flags;
    uint64_t parent;
    uint64_t cap;
    uint64_t created_version;
    int64_t created_us;
    struct bytes name; /* 1 to 255 bytes. Of a deleted branch, its last name. */
};

STRATA_CHECKED strata_status branch_record_append(struct buffer *out,
                                                  const struct branch_record *record);
STRATA_CHECKED strata_status branch_record_decode(struct bytes value, struct branch_record *out);

struct packed_commit {
    uint64_t version;
    int64_t time_us;
    uint64_t rows;
    struct bytes message; /* Empty: none. */
};

/* Reads or writes one after another; start from zero, with `version` the key's when reading. */
struct commit_packer {
    bool started;
    uint64_t version;
    int64_t time_us;
};

STRATA_CHECKED strata_status commit_pack(struct commit_packer *packer, struct buffer *out,
                                         const struct packed_commit *commit);

/* Takes the next off `value`; `*found` false at its end. */
STRATA_CHECKED strata_status commit_unpack(struct commit_packer *packer, struct bytes *value,
                                           bool *found, struct packed_commit *out);

#endif
