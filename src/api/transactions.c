#include "api/argument.h"

enum { STALL_WAIT_US = 30 * 1000 * 1000, TXN_OPTIONS_FIRST_SIZE = sizeof(strata_txn_options) };

/* ---- opening ---- */

strata_status strata_txn_auto(strata *db, const char *branch, strata_txn **out)
{
    TRY(argument_db(db));
    TRY(argument_name(branch, "branch"));
    TRY(argument_given(out, "out"));
    return transaction_auto(db, branch, out);
}

static strata_status txn_settings_of(const strata *db, const strata_txn_options *given,
                                     struct txn_settings *out)
{
    strata_txn_options options;
    TRY(argument_options(given, TXN_OPTIONS_FIRST_SIZE, &options, sizeof(options), "options"));
    TRY(argument_number(options.durability, STRATA_ALWAYS, "options.durability"));
    TRY(argument_setting(options.stall_wait_us, STALL_WAIT_US, STRATA_FOREVER,
                         "options.stall_wait_us", &out->stall_wait_us));
    TRY(argument_text(options.label, "label"));
    TRY(argument_message(options.message));
    out->sync = options.durability == STRATA_DURABILITY_DEFAULT
                    ? db->always
                    : options.durability == STRATA_ALWAYS;
    out->label = options.label != NULL ? options.label : "";
    out->message = options.message != NULL && options.message[0] != '\0' ? options.message : NULL;
    return STRATA_OK;
}

strata_status strata_txn_begin(strata *db, const char *branch, const strata_txn_options *options,
                               strata_txn **out)
{
    struct txn_settings settings;
    TRY(argument_writable_db(db));
    TRY(argument_name(branch, "branch"));
    TRY(argument_given(out, "out"));
    TRY(txn_settings_of(db, options, &settings));
    return transaction_begin(db, branch, &settings, out);
}

strata_status strata_txn_snapshot(strata *db, strata_point point, strata_txn **out)
{
    TRY(argument_db(db));
    TRY(argument_given(out, "out"));
    TRY(argument_point(&point));
    return transaction_snapshot(db, &point, out);
}

/* ---- ending ---- */

/* A write transaction that has not ended. */
static strata_status argument_begun(const strata_txn *txn, const char *wanted)
{
    TRY(argument_handle(txn));
    if (txn->kind != TXN_BEGIN)
        return failure(STRATA_INVALID, "%s takes a transaction from strata_txn_begin", wanted);
    return argument_txn(txn);
}

strata_status strata_txn_commit(strata_txn *txn, strata_commit *out)
{
    strata_commit commit;
    TRY(argument_begun(txn, "a commit"));
    TRY(transaction_commit(txn, &commit));
    if (out != NULL)
        *out = commit;
    return STRATA_OK;
}

strata_status strata_txn_renew(strata_txn *txn)
{
    TRY(argument_handle(txn));
    return transaction_renew(txn);
}

void strata_txn_reset(strata_txn *txn)
{
    if (txn != NULL && argument_handle(txn) == STRATA_OK)
        transaction_reset(txn);
}

strata_status strata_txn_mark(strata_txn *txn, uint32_t *out)
{
    TRY(argument_begun(txn, "a mark"));
    TRY(argument_given(out, "out"));
    return transaction_mark(txn, out);
}

strata_status strata_txn_undo(strata_txn *txn, uint32_t mark)
{
    TRY(argument_begun(txn, "undoing"));
    return transaction_undo(txn, mark);
}

void strata_txn_close(strata_txn *txn)
{
    if (txn != NULL && argument_handle(txn) == STRATA_OK)
        transaction_close(txn);
}

uint64_t strata_txn_version(const strata_txn *txn)
{
    return txn != NULL ? transaction_version(txn) : 0;
}

/* ---- spaces ---- */

strata_status strata_space_open(strata *db, const char *name, strata_space **out)
{
    TRY(argument_db(db));
    TRY(argument_name(name, "name"));
    TRY(argument_given(out, "out"));
    return database_space(db, name, out);
}

void strata_space_close(strata_space *space)
{
    (void)space; /* A name is kept until strata_close. */
}

const char *strata_space_name(const strata_space *space)
{
    return space != NULL ? space->interned->name : "default";
}

strata_status strata_space_delete(strata_txn *txn, strata_space *space)
{
    struct storage_space *interned;
    TRY(argument_writable_txn(txn));
    TRY(argument_space(txn->db, space, &interned));
    return kv_delete_all(&txn->kv, interned);
}

/* ---- cursors ---- */

void strata_cursor_close(strata_cursor *cursor)
{
    if (cursor != NULL && argument_db(cursor->db) == STRATA_OK)
        cursor_destroy(cursor);
}

strata_status strata_cursor_seek(strata_cursor *cursor, strata_bytes key)
{
    TRY(argument_cursor(cursor, CURSOR_SCAN, CURSOR_SCAN));
    TRY(argument_key(key));
    return kv_scan_seek(&cursor->of.scan, bytes_of(key.data, key.size));
}

strata_status strata_cursor_keep(strata_cursor *cursor, strata_value *out)
{
    TRY(argument_given(out, "out"));
    held_value_release(out);
    TRY(argument_cursor(cursor, CURSOR_SCAN, CURSOR_HISTORY));
    strata_row row = {.version = 0};
    const bool present = cursor->kind == CURSOR_SCAN
                             ? kv_scan_present(&cursor->of.scan, &row)
                             : kv_history_present(&cursor->of.history, &row);
    if (!present)
        return failure(STRATA_INVALID, "the cursor stands on no row");
    if (row.value.data == NULL)
        return failure(STRATA_INVALID, "the row of the cursor has no value");
    const strata_status status = held_value_copy(&cursor->db->holds, &row, out);
    if (status != STRATA_OK)
        held_value_release(out);
    return status;
}

strata_status strata_space_list(strata_txn *txn, strata_cursor **out)
{
    TRY(argument_txn(txn));
    TRY(argument_given(out, "out"));
    return cursor_names(txn, out);
}

strata_status strata_name_next(strata_cursor *cursor, const char **out)
{
    TRY(argument_cursor(cursor, CURSOR_NAMES, CURSOR_NAMES));
    TRY(argument_given((const void *)out, "out"));
    TRY(cursor_next_name(cursor));
    if (cursor->done)
        return STRATA_DONE;
    *out = cursor->of.names.name;
    return STRATA_OK;
}
