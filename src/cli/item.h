/* One row as the program shows it. Its value may be too large for memory; then it is read in pieces
 * while it is written. */
#ifndef STRATA_CLI_ITEM_H
#define STRATA_CLI_ITEM_H

#include "cli/table.h"

struct item {
    strata_bytes key;
    strata_bytes value; /* Not with in_pieces. */
    uint64_t version;
    int64_t time_us;
    int64_t expires_us;
    uint32_t flags; /* STRATA_ROW_ */
    bool in_pieces; /* The value is that of `key` in `txn`. */
    strata_txn *txn;
    strata_space *space;
};

/* Both borrow the bytes. */
struct item item_of_row(const strata_row *row);
struct item item_of_value(strata_bytes key, const strata_value *value);

/* The number that a counter holds. */
int64_t item_counter(const struct item *item);

/* Exactly the bytes; of a counter, its decimal digits. */
STRATA_CHECKED strata_status item_write(const struct item *item);

/* One cell. */
STRATA_CHECKED strata_status item_tabulate(const struct item *item, struct table *table);

/* One line: key, value or value_hex, version, time. */
STRATA_CHECKED strata_status item_write_json(const struct item *item);

#endif
