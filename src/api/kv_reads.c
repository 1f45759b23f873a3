#include "api/argument.h"

#include <assert.h>

enum { SCAN_OPTIONS_FIRST_SIZE = sizeof(strata_scan_options) };

static strata_status key_not_found(void)
{
    return failure(STRATA_NOT_FOUND, "there is no such key");
}

/* What every read of one key begins with. */
static strata_status argument_read(strata_txn *txn, strata_space *space, strata_bytes key,
                                   struct storage_space **out)
{
    TRY(argument_txn(txn));
    TRY(argument_key(key));
    return argument_space(txn->db, space, out);
}

/* What a read left in `out`: a value, or nothing at all. */
static strata_status value_outcome(strata_status status, strata_value *out)
{
    if (status == STRATA_OK && out->data != NULL)
        return STRATA_OK;
    held_value_release(out);
    return status != STRATA_OK ? status : key_not_found();
}

void strata_value_release(strata_value *value)
{
    held_value_release(value);
}

strata_status strata_kv_get(strata_txn *txn, strata_space *space, strata_bytes key,
                            strata_value *out)
{
    struct storage_space *interned;
    TRY(argument_given(out, "out"));
    held_value_reset(out);
    strata_status status = argument_read(txn, space, key, &interned);
    if (status == STRATA_OK)
        status = kv_get(&txn->kv, interned, bytes_of(key.data, key.size), out);
    return value_outcome(status, out);
}

strata_status strata_kv_getv(strata_txn *txn, strata_space *space, strata_bytes key, uint64_t back,
                             strata_value *out)
{
    struct storage_space *interned;
    TRY(argument_given(out, "out"));
    held_value_reset(out);
    strata_status status = argument_read(txn, space, key, &interned);
    if (status == STRATA_OK)
        status = kv_getv(&txn->kv, interned, bytes_of(key.data, key.size), back, out);
    return value_outcome(status, out);
}

strata_status strata_kv_copy(strata_txn *txn, strata_space *space, strata_bytes key,
                             uint64_t offset, strata_buffer *out)
{
    struct storage_space *interned;
    bool found = false;
    TRY(argument_given(out, "out"));
    if (out->data == NULL && out->capacity > 0)
        return failure(STRATA_INVALID, "out has a capacity of %zu bytes at NULL", out->capacity);
    TRY(argument_read(txn, space, key, &interned));
    TRY(kv_copy(&txn->kv, interned, bytes_of(key.data, key.size), offset, &found, out));
    return found ? STRATA_OK : key_not_found();
}

static strata_status many_read(strata_txn *txn, strata_space *space, const strata_bytes *keys,
                               size_t count, strata_value *values)
{
    struct storage_space *interned;
    TRY(argument_txn(txn));
    TRY(argument_space(txn->db, space, &interned));
    if (count > 0)
        TRY(argument_given(keys, "keys"));
    for (size_t i = 0; i < count; i++)
        TRY(argument_key(keys[i]));
    return kv_get_many(&txn->kv, interned, keys, count, values);
}

strata_status strata_kv_get_many(strata_txn *txn, strata_space *space, const strata_bytes *keys,
                                 size_t count, strata_value *values)
{
    if (count > 0)
        TRY(argument_given(values, "values"));
    for (size_t i = 0; i < count; i++)
        held_value_release(&values[i]);
    return many_read(txn, space, keys, count, values);
}

strata_status strata_kv_exists(strata_txn *txn, strata_space *space, strata_bytes key)
{
    struct storage_space *interned;
    bool found = false;
    TRY(argument_read(txn, space, key, &interned));
    TRY(kv_exists(&txn->kv, interned, bytes_of(key.data, key.size), &found));
    return found ? STRATA_OK : key_not_found();
}

/* ---- rows one after another ---- */

static strata_status argument_bound(strata_bytes bound, const char *name)
{
    TRY(argument_bytes(bound, name));
    if (bound.size > USER_KEY_SIZE_MAX)
        return failure(STRATA_TOO_BIG, "%s has %zu bytes, at most %d are taken", name, bound.size,
                       USER_KEY_SIZE_MAX);
    return STRATA_OK;
}

static strata_status argument_scan(const strata_scan_options *given, strata_scan_options *out)
{
    TRY(argument_options(given, SCAN_OPTIONS_FIRST_SIZE, out, sizeof(*out), "options"));
    TRY(argument_number(out->reverse, 1, "options.reverse"));
    TRY(argument_number(out->keys_only, 1, "options.keys_only"));
    TRY(argument_number(out->reserved, 0, "options.reserved"));
    TRY(argument_bound(out->first, "options.first"));
    TRY(argument_bound(out->end, "options.end"));
    TRY(argument_bound(out->prefix, "options.prefix"));
    return argument_bound(out->after, "options.after");
}

strata_status strata_kv_scan(strata_txn *txn, strata_space *space,
                             const strata_scan_options *options, strata_cursor **out)
{
    struct storage_space *interned;
    strata_scan_options checked;
    TRY(argument_txn(txn));
    TRY(argument_space(txn->db, space, &interned));
    TRY(argument_given(out, "out"));
    TRY(argument_scan(options, &checked));
    return cursor_scan(txn, interned, &checked, out);
}

strata_status strata_kv_history(strata_txn *txn, strata_space *space, strata_bytes key,
                                strata_cursor **out)
{
    struct storage_space *interned;
    TRY(argument_read(txn, space, key, &interned));
    TRY(argument_given(out, "out"));
    return cursor_history(txn, interned, bytes_of(key.data, key.size), out);
}

strata_status strata_kv_next(strata_cursor *cursor, strata_row *out)
{
    bool shown;
    if (argument_cursor_will_do(cursor, CURSOR_SCAN) && out != NULL) {
        TRY(kv_scan_next(&cursor->of.scan, &shown, out));
        return shown ? STRATA_OK : STRATA_DONE;
    }
    TRY(argument_cursor(cursor, CURSOR_HISTORY, CURSOR_SCAN));
    TRY(argument_given(out, "out"));
    assert(cursor->kind == CURSOR_HISTORY);
    TRY(kv_history_next(&cursor->of.history, out));
    return cursor->of.history.shown.present ? STRATA_OK : STRATA_DONE;
}

strata_status strata_kv_count(strata_txn *txn, strata_space *space,
                              const strata_scan_options *options, uint64_t *out)
{
    struct storage_space *interned;
    strata_scan_options checked;
    struct kv_scan scan;
    TRY(argument_txn(txn));
    TRY(argument_space(txn->db, space, &interned));
    TRY(argument_given(out, "out"));
    TRY(argument_scan(options, &checked));
    checked.keys_only = 1;
    kv_scan_init(&scan, &txn->kv);
    strata_status status = kv_scan_open(&scan, interned, &checked);
    if (status == STRATA_OK)
        status = kv_scan_count(&scan, out);
    kv_scan_release(&scan);
    return status;
}
