/* Values that callers hold beyond the read that gave them: in the struct itself, as a pinned frame, or
 * as a copy. */
#ifndef STRATA_ENGINE_KV_HELD_VALUE_H
#define STRATA_ENGINE_KV_HELD_VALUE_H

#include "storage/storage.h"

enum { VALUE_LANES = 8, VALUE_LANE_SIZE = 64 };

/* What the values that some readers hold come to. */
struct value_lane {
    _Atomic uint64_t bytes;
    _Atomic uint64_t count; /* Values that pin or own something. */
    struct value_holds *holds;
    uint8_t apart[VALUE_LANE_SIZE - 3 * sizeof(uint64_t)];
};

/* What held values go back to. One per database; it does not move. Readers of different threads mostly
 * count in different lanes, so that none writes what another reads. */
struct value_holds {
    struct store *store;
    struct value_lane lanes[VALUE_LANES];
};

void value_holds_init(struct value_holds *holds, struct store *store);

/* Sums over the lanes. */
uint64_t value_holds_bytes(const struct value_holds *holds);
uint64_t value_holds_count(const struct value_holds *holds);

/* The largest value that can be held in one piece. */
static inline uint64_t held_value_size_max(const struct value_holds *holds)
{
    return holds->store->profile.held_bytes_max;
}

/* The STRATA_ROW_ flags of a row. */
static inline uint32_t row_flags(const struct row *row)
{
    const bool gone = row->kind == ROW_DELETE || row->kind == ROW_RANGE_DELETE;
    return (gone ? (uint32_t)STRATA_ROW_TOMBSTONE : 0) |
           (row->kind == ROW_COUNTER ? (uint32_t)STRATA_ROW_COUNTER : 0) |
           (row->expires_us != 0 ? (uint32_t)STRATA_ROW_EXPIRES : 0);
}

/* Fills `out`, which is reset, from a row that was read; may take over the row's pin. Inside. On
 * failure it is all zero. STRATA_TOO_BIG beyond held_value_size_max, STRATA_NO_MEMORY. */
STRATA_CHECKED strata_status held_value_take(struct value_holds *holds, struct store_reader *reader,
                                             struct storage_row *row, strata_value *out);

/* Fills `out`, which is reset, with a copy of the value of `row`. */
STRATA_CHECKED strata_status held_value_copy(struct value_holds *holds, const strata_row *row,
                                             strata_value *out);

/* As strata_value_release. NULL and zero are fine. */
void held_value_release(strata_value *value);

/* Lets go of what `value` holds and makes it zero but for its inline bytes, for a read that is about
 * to fill it. */
void held_value_reset(strata_value *value);

#endif
