/* Transactions of the three kinds, and what is open on them. */
#ifndef STRATA_ENGINE_DATABASE_TRANSACTION_H
#define STRATA_ENGINE_DATABASE_TRANSACTION_H

#include "engine/database/database.h"
#include "engine/database/point.h"

enum txn_kind { TXN_AUTO, TXN_BEGIN, TXN_SNAPSHOT };

/* Where a mark goes back to: the writes made before it. */
struct txn_mark {
    uint64_t count;
};

struct strata_txn {
    strata *db;
    enum txn_kind kind;
    bool ended; /* Waits for renew or close. */
    bool fixed; /* A snapshot of a version or time: renewing leaves it where it is. */
    struct store_reader reader;
    struct kv_context kv; /* Its view has the branch handle. */
    struct storage_writes writes;
    struct buffer scratch;
    struct buffer marks; /* struct txn_mark of each. */
    char *message;       /* NULL: none. */
    strata_cursor *cursors;
    strata_cursor *spare; /* A closed scan, for the next; NULL: none. */
    strata_kv_writer *writers;
};

/* As strata_txn_begin takes them. */
struct txn_settings {
    bool sync;
    int64_t stall_wait_us;
    const char *label;
    const char *message; /* NULL: none. */
};

/* As strata_txn_auto, strata_txn_begin, strata_txn_snapshot. `settings` NULL: the defaults. */
STRATA_CHECKED strata_status transaction_auto(strata *db, const char *branch, strata_txn **out);
STRATA_CHECKED strata_status transaction_begin(strata *db, const char *branch,
                                               const struct txn_settings *settings,
                                               strata_txn **out);
STRATA_CHECKED strata_status transaction_snapshot(strata *db, const strata_point *point,
                                                  strata_txn **out);

/* Of one that takes writes and has not ended. Ends it, whatever becomes of the commit. */
STRATA_CHECKED strata_status transaction_commit(strata_txn *txn, strata_commit *out);

/* As strata_txn_renew and strata_txn_reset; after a failed renewal it has ended. */
STRATA_CHECKED strata_status transaction_renew(strata_txn *txn);
void transaction_reset(strata_txn *txn);
STRATA_CHECKED strata_status transaction_mark(strata_txn *txn, uint32_t *out);
STRATA_CHECKED strata_status transaction_undo(strata_txn *txn, uint32_t mark);
void transaction_close(strata_txn *txn);

/* The number that strata_txn_version gives. */
uint64_t transaction_version(const strata_txn *txn);

/* A cursor of an auto handle opened or closed: says which version holds history back. */
void transaction_show_version(strata_txn *txn);

#endif
