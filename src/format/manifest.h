/* The manifest's bytes: the root of reachability. `manifest/<number>`:
 *
 *     0   u64 checksum       place_checksum of the whole object, place (MANIFEST, number, 0), with
 *                            an identity of zeros: the identity is inside
 *     8   "STRATAMF"         16  u32 format version   20  u32 size of the whole object
 *     24  u8 uuid[16]        40  u64 incarnation      48  u64 number
 *     56  u8 kind            1 full, 2 delta on `base`   57 u8 transform 0
 *     58  u8 flags           1: the log is empty, no segment is needed   59 u8 0, u32 0
 *     64  u64 base           the manifest a delta changes; 0 in a full one
 *     72  u64 flushed version: every commit up to it is in the runs
 *     80  i64 time of that commit                      88  u64 first WAL segment that is needed
 *     96  u64 next object   no table object has this number or a higher one, unless it is an orphan
 *     104 u64 next branch   112 u32 next space         116 u32 zero
 *     120 i64 creation time of the database
 *     128 varint count of removed runs (0 in a full one), each varint id
 *         varint count of runs, each:
 *           varint id, u8 role, u8 tier, varint min version, varint max version, varint parts, each:
 *             varint number, u64 incarnation, varint units, u32 unit size, varint rows, varint bytes,
 *             varint min from, varint max from, u64 max to,
 *             varint first key length, first key, varint first from,
 *             varint artifacts, each: varint kind, varint number, varint size
 *
 * Order of runs: live before history, then by max version, the greatest first; of the same, live ones
 * by tier, the youngest first; then by id, the greatest first. A run's parts are in row order of
 * (first key, first from). A delta's runs take their places in that order. */
#ifndef STRATA_FORMAT_MANIFEST_H
#define STRATA_FORMAT_MANIFEST_H

#include "core/arena.h"
#include "core/buffer.h"
#include "format/part.h"
#include "format/place.h"

enum { MANIFEST_HEADER_SIZE = 128, MANIFEST_LOG_EMPTY = 1, MANIFEST_RUNS_MAX = 4096 };
enum manifest_kind { MANIFEST_FULL = 1, MANIFEST_DELTA = 2 };

/* A derived artifact of a part. */
struct manifest_artifact {
    uint32_t kind;
    uint64_t number;
    uint64_t size;
};

struct manifest_part {
    uint64_t number;
    uint64_t incarnation;
    uint64_t units;
    uint32_t unit_size;
    uint64_t rows;
    uint64_t bytes;
    uint64_t min_from;
    uint64_t max_from;
    uint64_t max_to;        /* As in an index row. */
    struct bytes first_key; /* At most the first key, above the last key of the part before. */
    uint64_t first_from;
    uint32_t artifact_count;
    const struct manifest_artifact *artifacts;
};

/* Versions are (min_version, max_version]: what it was made from. */
struct manifest_run {
    uint64_t id;
    uint8_t role; /* enum part_role */
    uint8_t tier; /* 0 young, 1 middle, 2 base; history: 0 fresh, then higher. */
    uint64_t min_version;
    uint64_t max_version;
    uint32_t part_count;
    const struct manifest_part *parts;
};

struct manifest {
    struct identity identity;
    uint64_t number;
    uint8_t kind; /* enum manifest_kind */
    uint64_t base;
    uint64_t flushed_version;
    int64_t flushed_time_us;
    uint64_t first_wal;
    bool log_empty; /* No segment is needed, and none may be there. */
    uint64_t next_object;
    uint64_t next_branch;
    uint32_t next_space;
    int64_t created_us;
    uint32_t removed_count;
    const uint64_t *removed;
    uint32_t run_count;
    const struct manifest_run *runs;
};

/* Appends the whole object. STRATA_TOO_BIG beyond MANIFEST_RUNS_MAX runs or removed runs. */
STRATA_CHECKED strata_status manifest_encode(const struct manifest *manifest, struct buffer *out);

/* Checks everything and takes memory from `arena` for what `out` points to; first keys are copied
 * there too. STRATA_CORRUPT; STRATA_UNSUPPORTED for a newer format that is whole. No more memory is
 * taken than a small multiple of the object's size. */
STRATA_CHECKED strata_status manifest_decode(struct bytes object, uint64_t number,
                                             struct arena *arena, struct manifest *out);

/* What `base`, full, becomes under `delta`, which names it: full, with the delta's header. Points
 * into both. STRATA_CORRUPT if a removed run is not there or the result breaks an order. */
STRATA_CHECKED strata_status manifest_apply(const struct manifest *base,
                                            const struct manifest *delta, struct arena *arena,
                                            struct manifest *out);

#endif
