/* Batches: the rows of one commit, as a transaction encodes them and the log keeps them.
 *
 *     varint branch   varint rows   varint message length   message
 *     rows: u8      kind | 0x10 if its branch is BRANCH_SYSTEM | 0x20 absolute expiry follows
 *                        | 0x40 time to live follows | 0x80 the value is an increment, not a value
 *           varint  storage space
 *           varint  key length
 *           varint  value length
 *           i64     expiry, or microseconds to live from the commit's time
 *           user key, value
 *
 * 0x80 stands only in a batch that is not committed yet: the commit turns it into the value. */
#ifndef STRATA_FORMAT_BATCH_H
#define STRATA_FORMAT_BATCH_H

#include "core/buffer.h"
#include "format/row.h"

enum {
    BATCH_SYSTEM = 0x10,
    BATCH_EXPIRES = 0x20,
    BATCH_LIVES = 0x40,
    BATCH_INCREMENT = 0x80,
    BATCH_MESSAGE_SIZE_MAX = 1023
};

/* One row of a batch. */
struct batch_row {
    uint8_t kind;  /* enum row_kind */
    uint8_t flags; /* BATCH_ */
    uint32_t space;
    struct bytes key; /* User key. */
    struct bytes value;
    int64_t expires_us; /* Absolute or to live, by flags; 0 without. */
};

struct batch_header {
    uint64_t branch;
    uint64_t row_count;
    struct bytes message; /* Empty: none. */
};

STRATA_CHECKED strata_status batch_header_append(struct buffer *out,
                                                 const struct batch_header *header);
STRATA_CHECKED strata_status batch_row_append(struct buffer *out, const struct batch_row *row);

/* Take the header, then row by row, off the front of `batch`. STRATA_CORRUPT on any broken rule: key
 * sizes, kinds, sizes of counters and references, both expiries, unknown flags, empty keys that are
 * no range deletion. */
STRATA_CHECKED strata_status batch_header_take(struct bytes *batch, struct batch_header *out);
STRATA_CHECKED strata_status batch_row_take(struct bytes *batch, struct batch_row *out);

#endif
