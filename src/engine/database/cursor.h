/* What is open on a transaction, or on the database itself: cursors of every kind, and writers. */
#ifndef STRATA_ENGINE_DATABASE_CURSOR_H
#define STRATA_ENGINE_DATABASE_CURSOR_H

#include "engine/database/transaction.h"
#include "engine/kv/kv_cursor.h"
#include "engine/kv/kv_writer.h"

enum cursor_kind { CURSOR_SCAN, CURSOR_HISTORY, CURSOR_NAMES, CURSOR_BRANCHES, CURSOR_LOG };

/* The names of the spaces of a view. */
struct name_cursor {
    struct storage_view view; /* With a branch handle of its own. */
    char name[BRANCH_NAME_SIZE_MAX + 1];
};

struct branch_cursor {
    struct store_reader reader;
    bool started;
    char prefix[BRANCH_NAME_SIZE_MAX + 1];
    char last[BRANCH_NAME_SIZE_MAX + 1];
    struct storage_branch_info info;
};

struct log_cursor {
    struct store_reader reader;
    struct branch *branch; /* A handle. */
    uint64_t version;      /* Commits up to it are still to come. */
    char name[BRANCH_NAME_SIZE_MAX + 1];
    struct storage_log_entry entry;
};

struct strata_cursor {
    strata *db;
    enum cursor_kind kind;
    strata_txn *txn; /* NULL: of no transaction, or of one that was closed. */
    bool of_txn;
    bool ended; /* Its transaction has ended; `of` is empty. */
    bool done;
    strata_cursor *before, *after; /* On the same transaction. */
    union {
        struct kv_scan scan;
        struct kv_history history;
        struct name_cursor names;
        struct branch_cursor branches;
        struct log_cursor log;
    } of;
};

struct strata_kv_writer {
    strata *db;
    strata_txn *txn; /* NULL: it was closed. */
    bool ended;
    strata_kv_writer *before, *after;
    struct kv_writer of;
};

/* ---- of a transaction ---- */

/* As strata_kv_scan, strata_kv_history, strata_space_list. */
STRATA_CHECKED strata_status cursor_scan(strata_txn *txn, const struct storage_space *space,
                                         const strata_scan_options *options, strata_cursor **out);
STRATA_CHECKED strata_status cursor_history(strata_txn *txn, const struct storage_space *space,
                                            struct bytes key, strata_cursor **out);
STRATA_CHECKED strata_status cursor_names(strata_txn *txn, strata_cursor **out);

/* As strata_kv_write_open. */
STRATA_CHECKED strata_status writer_create(strata_txn *txn, struct storage_space *space,
                                           struct bytes key, const strata_kv_put_options *options,
                                           strata_kv_writer **out);
void writer_destroy(strata_kv_writer *writer);

/* Ends all of a transaction's; and forgets that it was theirs, before it goes. */
void cursors_end(strata_cursor *first);
void cursors_detach(strata_cursor *first);
void writers_end(strata_kv_writer *first);
void writers_detach(strata_kv_writer *first);

/* Frees what a transaction keeps for its next scan. */
void cursor_free_spare(strata_txn *txn);

/* The least version that the cursors of an auto handle read; 0: none. */
uint64_t cursors_oldest_version(const strata_cursor *first);

/* ---- of the database ---- */

/* As strata_branch_list (prefix "": all) and strata_log_open. */
STRATA_CHECKED strata_status cursor_branches(strata *db, const char *prefix, strata_cursor **out);
STRATA_CHECKED strata_status cursor_log(strata *db, const strata_point *from, strata_cursor **out);

/* Move on; at the end `cursor->done`. */
STRATA_CHECKED strata_status cursor_next_name(strata_cursor *cursor);
STRATA_CHECKED strata_status cursor_next_branch(strata_cursor *cursor);
STRATA_CHECKED strata_status cursor_next_commit(strata_cursor *cursor);

void cursor_destroy(strata_cursor *cursor);

#endif
