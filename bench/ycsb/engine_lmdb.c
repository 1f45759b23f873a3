#include "engine.h"

#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>

struct lmdb_session {
    MDB_env *environment;
    MDB_dbi database;
    MDB_txn *reader; /* Begun once, then reset and renewed. */
    MDB_cursor *cursor;
    bool reading;
};

struct lmdb_database {
    MDB_env *environment;
    MDB_dbi database;
};

static int lmdb_failure(const char *call, int error)
{
    fprintf(stderr, "lmdb: %s: %s\n", call, mdb_strerror(error));
    return -1;
}

static void lmdb_describe(const struct settings *settings, char *out, size_t capacity)
{
    snprintf(out, capacity, "%s, %s%s, one transaction per operation, reader renewed",
             mdb_version(NULL, NULL, NULL),
             settings->synced ? "no flags" : "MDB_NOSYNC | MDB_WRITEMAP",
             settings->tight ? " | MDB_NORDAHEAD" : "");
}

static int lmdb_open(const struct settings *settings, void **database_out)
{
    struct lmdb_database *database = calloc(1, sizeof(*database));
    MDB_txn *txn = NULL;
    const unsigned flags =
        (settings->synced ? 0 : MDB_NOSYNC | MDB_WRITEMAP) | (settings->tight ? MDB_NORDAHEAD : 0);
    const size_t map_bytes = (size_t)(settings->data_bytes * 4 + (256u << 20));
    if (database == NULL)
        return -1;
    int error = mdb_env_create(&database->environment);
    if (error == 0)
        error = mdb_env_set_mapsize(database->environment, map_bytes);
    if (error == 0)
        error = mdb_env_open(database->environment, settings->folder, flags | MDB_NOTLS, 0644);
    if (error == 0)
        error = mdb_txn_begin(database->environment, NULL, 0, &txn);
    if (error == 0)
        error = mdb_dbi_open(txn, NULL, 0, &database->database);
    if (error == 0)
        error = mdb_txn_commit(txn);
    if (error != 0) {
        mdb_env_close(database->environment);
        free(database);
        return lmdb_failure("open", error);
    }
    *database_out = database;
    return 0;
}

/* LMDB works in the caller's thread only and has nowhere else to put data. */
static int lmdb_settle(void *database)
{
    (void)database;
    return 0;
}

static int lmdb_close(void *database)
{
    struct lmdb_database *lmdb = (struct lmdb_database *)database;
    const int error = mdb_env_sync(lmdb->environment, 1);
    mdb_env_close(lmdb->environment);
    free(lmdb);
    return error == 0 ? 0 : lmdb_failure("sync", error);
}

static int lmdb_session_open(void *database, void **session_out)
{
    const struct lmdb_database *lmdb = (const struct lmdb_database *)database;
    struct lmdb_session *session = calloc(1, sizeof(*session));
    if (session == NULL)
        return -1;
    session->environment = lmdb->environment;
    session->database = lmdb->database;
    int error = mdb_txn_begin(lmdb->environment, NULL, MDB_RDONLY, &session->reader);
    if (error == 0)
        error = mdb_cursor_open(session->reader, lmdb->database, &session->cursor);
    if (error != 0) {
        mdb_txn_abort(session->reader);
        free(session);
        return lmdb_failure("begin", error);
    }
    mdb_txn_reset(session->reader);
    *session_out = session;
    return 0;
}

static void lmdb_session_close(void *session)
{
    struct lmdb_session *lmdb = (struct lmdb_session *)session;
    mdb_cursor_close(lmdb->cursor);
    mdb_txn_abort(lmdb->reader);
    free(lmdb);
}

/* Ends what the last read saw; its value is valid no more. */
static void reader_rest(struct lmdb_session *session)
{
    if (session->reading)
        mdb_txn_reset(session->reader);
    session->reading = false;
}

static int reader_renew(struct lmdb_session *session)
{
    reader_rest(session);
    const int error = mdb_txn_renew(session->reader);
    if (error != 0)
        return lmdb_failure("renew", error);
    session->reading = true;
    return 0;
}

static MDB_val lmdb_value(struct bytes bytes)
{
    /* LMDB does not write through it. */
    MDB_val value = {.mv_size = bytes.size};
    union {
        const void *from;
        void *to;
    } data = {.from = bytes.data};
    value.mv_data = data.to;
    return value;
}

static int lmdb_put(void *session, struct bytes key, struct bytes value)
{
    struct lmdb_session *lmdb = (struct lmdb_session *)session;
    MDB_txn *txn = NULL;
    MDB_val raw_key = lmdb_value(key), raw_value = lmdb_value(value);
    reader_rest(lmdb);
    int error = mdb_txn_begin(lmdb->environment, NULL, 0, &txn);
    if (error != 0)
        return lmdb_failure("begin", error);
    error = mdb_put(txn, lmdb->database, &raw_key, &raw_value, 0);
    if (error != 0) {
        mdb_txn_abort(txn);
        return lmdb_failure("put", error);
    }
    error = mdb_txn_commit(txn);
    return error == 0 ? 0 : lmdb_failure("commit", error);
}

static int lmdb_get(void *session, struct bytes key, struct bytes *value_out)
{
    struct lmdb_session *lmdb = (struct lmdb_session *)session;
    MDB_val raw_key = lmdb_value(key), raw_value;
    if (reader_renew(lmdb) != 0)
        return -1;
    const int error = mdb_get(lmdb->reader, lmdb->database, &raw_key, &raw_value);
    if (error == MDB_NOTFOUND)
        return 0;
    if (error != 0)
        return lmdb_failure("get", error);
    *value_out = (struct bytes){raw_value.mv_data, raw_value.mv_size};
    return 1;
}

static int lmdb_scan(void *session, struct bytes first, unsigned rows,
                     const struct visitor *visitor)
{
    struct lmdb_session *lmdb = (struct lmdb_session *)session;
    MDB_val key = lmdb_value(first), value;
    if (reader_renew(lmdb) != 0)
        return -1;
    int error = mdb_cursor_renew(lmdb->reader, lmdb->cursor);
    if (error == 0)
        error = mdb_cursor_get(lmdb->cursor, &key, &value, MDB_SET_RANGE);
    for (unsigned row = 0; error == 0;
         error = mdb_cursor_get(lmdb->cursor, &key, &value, MDB_NEXT)) {
        visitor->row(visitor->context, (struct bytes){key.mv_data, key.mv_size},
                     (struct bytes){value.mv_data, value.mv_size});
        row++;
        if (row == rows)
            break;
    }
    return error == 0 || error == MDB_NOTFOUND ? 0 : lmdb_failure("scan", error);
}

const struct engine engine_lmdb = {
    .name = "lmdb",
    .describe = lmdb_describe,
    .open = lmdb_open,
    .settle = lmdb_settle,
    .rest = lmdb_settle,
    .close = lmdb_close,
    .session_open = lmdb_session_open,
    .session_close = lmdb_session_close,
    .put = lmdb_put,
    .get = lmdb_get,
    .scan = lmdb_scan,
};
