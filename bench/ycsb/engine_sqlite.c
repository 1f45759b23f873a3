#include "engine.h"

#include <inttypes.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

/* Settings from SQLite's own advice (wal.html, withoutrowid.html, pragma.html): one connection and
 * its prepared statements per thread. With one thread the wal-index needs no shared memory, so the
 * lock is exclusive. Writers would find each other busy and sleep; waiting in a line is faster. */
enum { SQLITE_BUSY_MS = 60000, SQLITE_STATEMENTS = 3 };

struct sqlite_database {
    struct settings settings;
    char path[600];
    sqlite3 *keeper; /* Several threads: keeps the log from being checkpointed by each close. */
    struct sqlite_session *only; /* One thread: the session outlives its users. */
    pthread_mutex_t writing;
};

struct sqlite_session {
    struct sqlite_database *database;
    sqlite3 *connection;
    sqlite3_stmt *put, *get, *scan;
    bool reading; /* `get` stands on a row. */
};

static int sqlite_failure(sqlite3 *connection, const char *call)
{
    fprintf(stderr, "sqlite: %s: %s\n", call, sqlite3_errmsg(connection));
    return -1;
}

static const char *sqlite_synchronous(const struct settings *settings)
{
    return settings->synced ? "FULL" : "OFF";
}

/* Each connection has a cache of its own. */
static uint64_t sqlite_cache_kib(const struct settings *settings)
{
    return (settings->budget_bytes >> 10) / settings->threads;
}

/* A row of more than a quarter of its page spills over, which is three times slower. */
static int sqlite_page_bytes(const struct settings *settings)
{
    return settings->value_bytes < 800 ? 4096 : 8192;
}

static const char *sqlite_locking(const struct settings *settings)
{
    return settings->threads == 1 ? "EXCLUSIVE" : "NORMAL";
}

static void sqlite_describe(const struct settings *settings, char *out, size_t capacity)
{
    snprintf(
        out, capacity,
        "%s, WAL, synchronous=%s, WITHOUT ROWID, prepared statements, page_size=%d, cache %" PRIu64
        " MiB per thread, locking_mode=%s, checkpoints of themselves",
        sqlite3_libversion(), sqlite_synchronous(settings), sqlite_page_bytes(settings),
        sqlite_cache_kib(settings) >> 10, sqlite_locking(settings));
}

static int connection_open(const struct sqlite_database *database, sqlite3 **out)
{
    char pragmas[400];
    const struct settings *settings = &database->settings;
    sqlite3 *connection = NULL;
    snprintf(pragmas, sizeof(pragmas),
             "PRAGMA page_size=%d; PRAGMA locking_mode=%s; PRAGMA journal_mode=WAL; PRAGMA "
             "synchronous=%s; "
             "PRAGMA cache_size=-%" PRIu64 "; PRAGMA temp_store=MEMORY; "
             "CREATE TABLE IF NOT EXISTS t(k BLOB PRIMARY KEY, v BLOB NOT NULL) WITHOUT ROWID",
             sqlite_page_bytes(settings), sqlite_locking(settings), sqlite_synchronous(settings),
             sqlite_cache_kib(settings));
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    if (sqlite3_open_v2(database->path, &connection, flags, NULL) != SQLITE_OK ||
        sqlite3_busy_timeout(connection, SQLITE_BUSY_MS) != SQLITE_OK ||
        sqlite3_exec(connection, pragmas, NULL, NULL, NULL) != SQLITE_OK) {
        sqlite_failure(connection, "open");
        sqlite3_close(connection);
        return -1;
    }
    *out = connection;
    return 0;
}

static void session_end(struct sqlite_session *session)
{
    if (session == NULL)
        return;
    sqlite3_finalize(session->put);
    sqlite3_finalize(session->get);
    sqlite3_finalize(session->scan);
    sqlite3_close(session->connection);
    free(session);
}

static int session_begin(struct sqlite_database *database, struct sqlite_session **out)
{
    static const char *const texts[SQLITE_STATEMENTS] = {
        "INSERT INTO t VALUES(?1, ?2) ON CONFLICT(k) DO UPDATE SET v = excluded.v",
        "SELECT v FROM t WHERE k = ?1", "SELECT k, v FROM t WHERE k >= ?1 ORDER BY k LIMIT ?2"};
    struct sqlite_session *session = calloc(1, sizeof(*session));
    if (session == NULL)
        return -1;
    session->database = database;
    sqlite3_stmt **const statements[SQLITE_STATEMENTS] = {&session->put, &session->get,
                                                          &session->scan};
    int status = connection_open(database, &session->connection);
    for (size_t i = 0; status == 0 && i < SQLITE_STATEMENTS; i++) {
        if (sqlite3_prepare_v3(session->connection, texts[i], -1, SQLITE_PREPARE_PERSISTENT,
                               statements[i], NULL) != SQLITE_OK)
            status = sqlite_failure(session->connection, "prepare");
    }
    if (status != 0) {
        session_end(session);
        return -1;
    }
    *out = session;
    return 0;
}

static int sqlite_open(const struct settings *settings, void **database_out)
{
    struct sqlite_database *database = calloc(1, sizeof(*database));
    if (database == NULL)
        return -1;
    database->settings = *settings;
    pthread_mutex_init(&database->writing, NULL);
    snprintf(database->path, sizeof(database->path), "%s/sqlite.db", settings->folder);
    const int status = settings->threads == 1 ? session_begin(database, &database->only)
                                              : connection_open(database, &database->keeper);
    if (status != 0) {
        free(database);
        return -1;
    }
    *database_out = database;
    return 0;
}

static sqlite3 *any_connection(const struct sqlite_database *database)
{
    return database->only != NULL ? database->only->connection : database->keeper;
}

/* SQLite works in the caller's thread only; what it puts off is the checkpoint. */
static int sqlite_settle(void *database)
{
    const struct sqlite_database *own = (const struct sqlite_database *)database;
    sqlite3 *connection = any_connection(own);
    if (sqlite3_wal_checkpoint_v2(connection, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) !=
        SQLITE_OK)
        return sqlite_failure(connection, "checkpoint");
    return 0;
}

static int sqlite_close(void *database)
{
    struct sqlite_database *own = (struct sqlite_database *)database;
    session_end(own->only);
    sqlite3_close(own->keeper);
    pthread_mutex_destroy(&own->writing);
    free(own);
    return 0;
}

static int sqlite_session_open(void *database, void **session_out)
{
    struct sqlite_database *own = (struct sqlite_database *)database;
    struct sqlite_session *session = own->only;
    if (session == NULL && session_begin(own, &session) != 0)
        return -1;
    *session_out = session;
    return 0;
}

/* Ends what the last get saw; its value is valid no more. */
static void get_rest(struct sqlite_session *session)
{
    if (session->reading)
        sqlite3_reset(session->get);
    session->reading = false;
}

static void sqlite_session_close(void *session)
{
    struct sqlite_session *own = (struct sqlite_session *)session;
    get_rest(own);
    if (own != own->database->only)
        session_end(own);
}

static int sqlite_put(void *session, struct bytes key, struct bytes value)
{
    struct sqlite_session *own = (struct sqlite_session *)session;
    const bool alone = own == own->database->only;
    get_rest(own);
    sqlite3_bind_blob(own->put, 1, key.data, (int)key.size, SQLITE_STATIC);
    sqlite3_bind_blob(own->put, 2, value.data, (int)value.size, SQLITE_STATIC);
    if (!alone)
        pthread_mutex_lock(&own->database->writing);
    const int step = sqlite3_step(own->put);
    const int reset = sqlite3_reset(own->put);
    if (!alone)
        pthread_mutex_unlock(&own->database->writing);
    return step == SQLITE_DONE && reset == SQLITE_OK ? 0 : sqlite_failure(own->connection, "put");
}

static int sqlite_get(void *session, struct bytes key, struct bytes *value_out)
{
    struct sqlite_session *own = (struct sqlite_session *)session;
    get_rest(own);
    sqlite3_bind_blob(own->get, 1, key.data, (int)key.size, SQLITE_STATIC);
    const int step = sqlite3_step(own->get);
    own->reading = true;
    if (step == SQLITE_DONE)
        return 0;
    if (step != SQLITE_ROW)
        return sqlite_failure(own->connection, "get");
    value_out->data = sqlite3_column_blob(own->get, 0);
    value_out->size = (size_t)sqlite3_column_bytes(own->get, 0);
    return 1;
}

static int sqlite_scan(void *session, struct bytes first, unsigned rows,
                       const struct visitor *visitor)
{
    struct sqlite_session *own = (struct sqlite_session *)session;
    int step;
    get_rest(own);
    sqlite3_bind_blob(own->scan, 1, first.data, (int)first.size, SQLITE_STATIC);
    sqlite3_bind_int64(own->scan, 2, rows);
    while ((step = sqlite3_step(own->scan)) == SQLITE_ROW) {
        const struct bytes key = {sqlite3_column_blob(own->scan, 0),
                                  (size_t)sqlite3_column_bytes(own->scan, 0)};
        const struct bytes value = {sqlite3_column_blob(own->scan, 1),
                                    (size_t)sqlite3_column_bytes(own->scan, 1)};
        visitor->row(visitor->context, key, value);
    }
    sqlite3_reset(own->scan);
    return step == SQLITE_DONE ? 0 : sqlite_failure(own->connection, "scan");
}

const struct engine engine_sqlite = {
    .name = "sqlite",
    .describe = sqlite_describe,
    .open = sqlite_open,
    .settle = sqlite_settle,
    .rest = sqlite_settle,
    .close = sqlite_close,
    .session_open = sqlite_session_open,
    .session_close = sqlite_session_close,
    .put = sqlite_put,
    .get = sqlite_get,
    .scan = sqlite_scan,
};
