#include "engine.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <wiredtiger.h>

/* Settings from WiredTiger's own advice (tune_cache, tune_durability, tune_page_size): log on, one
 * session and cursor per thread, which pins at most one page between calls. */
#define WIREDTIGER_TABLE "table:rows"
#define WIREDTIGER_TABLE_OPTIONS                                                                   \
    "key_format=u,value_format=u,leaf_page_max=32KB,internal_page_max=16KB,"                       \
    "memory_page_max=10MB,prefix_compression=false"
enum { WIREDTIGER_LOG_MIB = 100, WIREDTIGER_CHECKPOINT_S = 60, WIREDTIGER_SESSIONS = 128 };

struct wiredtiger_database {
    WT_CONNECTION *connection;
    WT_SESSION *keeper;
};

struct wiredtiger_session {
    WT_SESSION *session;
    WT_CURSOR *cursor;
};

static int wiredtiger_failure(const char *call, int error)
{
    fprintf(stderr, "wiredtiger: %s: %s\n", call, wiredtiger_strerror(error));
    return -1;
}

static void wiredtiger_options(const struct settings *settings, char *out, size_t capacity)
{
    snprintf(out, capacity,
             "create,cache_size=%" PRIu64 "M,session_max=%d,log=(enabled=true,file_max=%dMB),"
             "transaction_sync=(enabled=%s,method=fsync),checkpoint=(wait=%d,log_size=1GB),"
             "eviction=(threads_min=1,threads_max=2)",
             settings->budget_bytes >> 20, WIREDTIGER_SESSIONS, WIREDTIGER_LOG_MIB,
             settings->synced ? "true" : "false", WIREDTIGER_CHECKPOINT_S);
}

static void wiredtiger_describe(const struct settings *settings, char *out, size_t capacity)
{
    char options[400];
    int major = 0, minor = 0, patch = 0;
    wiredtiger_options(settings, options, sizeof(options));
    wiredtiger_version(&major, &minor, &patch);
    snprintf(out, capacity, "%d.%d.%d, %s; %s", major, minor, patch, options,
             WIREDTIGER_TABLE_OPTIONS);
}

static int wiredtiger_engine_open(const struct settings *settings, void **database_out)
{
    char options[400];
    struct wiredtiger_database *database = calloc(1, sizeof(*database));
    if (database == NULL)
        return -1;
    wiredtiger_options(settings, options, sizeof(options));
    int error = wiredtiger_open(settings->folder, NULL, options, &database->connection);
    if (error == 0)
        error =
            database->connection->open_session(database->connection, NULL, NULL, &database->keeper);
    if (error == 0)
        error =
            database->keeper->create(database->keeper, WIREDTIGER_TABLE, WIREDTIGER_TABLE_OPTIONS);
    if (error != 0) {
        free(database);
        return wiredtiger_failure("open", error);
    }
    *database_out = database;
    return 0;
}

/* A checkpoint writes all that is dirty. */
static int wiredtiger_settle(void *database)
{
    const struct wiredtiger_database *own = (const struct wiredtiger_database *)database;
    const int error = own->keeper->checkpoint(own->keeper, NULL);
    return error == 0 ? 0 : wiredtiger_failure("checkpoint", error);
}

static int wiredtiger_engine_close(void *database)
{
    struct wiredtiger_database *own = (struct wiredtiger_database *)database;
    const int error = own->connection->close(own->connection, NULL);
    free(own);
    return error == 0 ? 0 : wiredtiger_failure("close", error);
}

static int wiredtiger_session_open(void *database, void **session_out)
{
    const struct wiredtiger_database *own = (const struct wiredtiger_database *)database;
    struct wiredtiger_session *session = calloc(1, sizeof(*session));
    if (session == NULL)
        return -1;
    int error = own->connection->open_session(own->connection, NULL, NULL, &session->session);
    if (error == 0)
        error = session->session->open_cursor(session->session, WIREDTIGER_TABLE, NULL, NULL,
                                              &session->cursor);
    if (error != 0) {
        free(session);
        return wiredtiger_failure("session", error);
    }
    *session_out = session;
    return 0;
}

static void wiredtiger_session_close(void *session)
{
    struct wiredtiger_session *own = (struct wiredtiger_session *)session;
    own->session->close(own->session, NULL);
    free(own);
}

static int wiredtiger_put(void *session, struct bytes key, struct bytes value)
{
    WT_CURSOR *cursor = ((struct wiredtiger_session *)session)->cursor;
    const WT_ITEM raw_key = {.data = key.data, .size = key.size};
    const WT_ITEM raw_value = {.data = value.data, .size = value.size};
    int error;
    do {
        cursor->set_key(cursor, &raw_key);
        cursor->set_value(cursor, &raw_value);
        error = cursor->insert(cursor);
    } while (error == WT_ROLLBACK);
    return error == 0 ? 0 : wiredtiger_failure("put", error);
}

/* The value is the cursor's until the next call, which sets another key or resets it. */
static int wiredtiger_get(void *session, struct bytes key, struct bytes *value_out)
{
    WT_CURSOR *cursor = ((struct wiredtiger_session *)session)->cursor;
    const WT_ITEM raw_key = {.data = key.data, .size = key.size};
    WT_ITEM value;
    cursor->set_key(cursor, &raw_key);
    int error = cursor->search(cursor);
    if (error == WT_NOTFOUND)
        return 0;
    if (error == 0)
        error = cursor->get_value(cursor, &value);
    if (error != 0)
        return wiredtiger_failure("get", error);
    *value_out = (struct bytes){value.data, value.size};
    return 1;
}

static int wiredtiger_scan(void *session, struct bytes first, unsigned rows,
                           const struct visitor *visitor)
{
    WT_CURSOR *cursor = ((struct wiredtiger_session *)session)->cursor;
    const WT_ITEM raw_key = {.data = first.data, .size = first.size};
    int order = 0;
    cursor->set_key(cursor, &raw_key);
    int error = cursor->search_near(cursor, &order);
    if (error == 0 && order < 0)
        error = cursor->next(cursor);
    for (unsigned row = 1; error == 0; row++, error = cursor->next(cursor)) {
        WT_ITEM key, value;
        if (cursor->get_key(cursor, &key) != 0 || cursor->get_value(cursor, &value) != 0)
            return wiredtiger_failure("row", EINVAL);
        visitor->row(visitor->context, (struct bytes){key.data, key.size},
                     (struct bytes){value.data, value.size});
        if (row == rows)
            break;
    }
    cursor->reset(cursor);
    return error == 0 || error == WT_NOTFOUND ? 0 : wiredtiger_failure("scan", error);
}

const struct engine engine_wiredtiger = {
    .name = "wiredtiger",
    .describe = wiredtiger_describe,
    .open = wiredtiger_engine_open,
    .settle = wiredtiger_settle,
    .rest = wiredtiger_settle,
    .close = wiredtiger_engine_close,
    .session_open = wiredtiger_session_open,
    .session_close = wiredtiger_session_close,
    .put = wiredtiger_put,
    .get = wiredtiger_get,
    .scan = wiredtiger_scan,
};
