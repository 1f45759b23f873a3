#include "engine.h"

#include <leveldb/c.h>
#include <stdio.h>
#include <stdlib.h>

/* Settings from LevelDB's own advice (doc/index.md: cache, filters, compression). */
enum { LEVELDB_BLOOM_BITS = 10, LEVELDB_BUFFER_BYTES = 64 << 20, LEVELDB_FILES_MAX = 10000 };

struct leveldb_database {
    leveldb_t *db;
    leveldb_options_t *options;
    leveldb_cache_t *cache;
    leveldb_filterpolicy_t *filter;
    leveldb_readoptions_t *read;
    leveldb_writeoptions_t *write;
};

struct leveldb_session {
    const struct leveldb_database *database;
    char *value; /* Of the last get. */
};

/* Frees the message. */
static int leveldb_failure(const char *call, char *error)
{
    fprintf(stderr, "leveldb: %s: %s\n", call, error);
    leveldb_free(error);
    return -1;
}

/* Where memory is tight, buffer and cache share it. */
static size_t leveldb_buffer_bytes(const struct settings *settings)
{
    return settings->tight ? (size_t)(settings->budget_bytes / 8) : (size_t)LEVELDB_BUFFER_BYTES;
}

static size_t leveldb_cache_bytes(const struct settings *settings)
{
    return (size_t)(settings->tight ? settings->budget_bytes / 2 : settings->budget_bytes);
}

static void leveldb_describe(const struct settings *settings, char *out, size_t capacity)
{
    snprintf(out, capacity,
             "%d.%d, log on, sync %s, no compression, block cache %zu MiB, bloom %d bits, 4 KiB "
             "blocks, write buffer %zu MiB",
             leveldb_major_version(), leveldb_minor_version(), settings->synced ? "on" : "off",
             leveldb_cache_bytes(settings) >> 20, LEVELDB_BLOOM_BITS,
             leveldb_buffer_bytes(settings) >> 20);
}

static void leveldb_release(struct leveldb_database *database)
{
    leveldb_writeoptions_destroy(database->write);
    leveldb_readoptions_destroy(database->read);
    leveldb_options_destroy(database->options);
    leveldb_cache_destroy(database->cache);
    leveldb_filterpolicy_destroy(database->filter);
    free(database);
}

static int leveldb_engine_open(const struct settings *settings, void **database_out)
{
    struct leveldb_database *database = calloc(1, sizeof(*database));
    char *error = NULL;
    if (database == NULL)
        return -1;
    database->cache = leveldb_cache_create_lru(leveldb_cache_bytes(settings));
    database->filter = leveldb_filterpolicy_create_bloom(LEVELDB_BLOOM_BITS);
    database->options = leveldb_options_create();
    leveldb_options_set_create_if_missing(database->options, 1);
    leveldb_options_set_compression(database->options, leveldb_no_compression);
    leveldb_options_set_cache(database->options, database->cache);
    leveldb_options_set_filter_policy(database->options, database->filter);
    leveldb_options_set_write_buffer_size(database->options, leveldb_buffer_bytes(settings));
    leveldb_options_set_max_open_files(database->options, LEVELDB_FILES_MAX);
    database->read = leveldb_readoptions_create();
    database->write = leveldb_writeoptions_create();
    leveldb_writeoptions_set_sync(database->write, settings->synced);
    database->db = leveldb_open(database->options, settings->folder, &error);
    if (error != NULL) {
        leveldb_release(database);
        return leveldb_failure("open", error);
    }
    *database_out = database;
    return 0;
}

/* Compacting the range of no key writes the memtable out and no more. LevelDB does not say whether
 * it works. */
static int leveldb_settle(void *database)
{
    const struct leveldb_database *own = (const struct leveldb_database *)database;
    leveldb_compact_range(own->db, "", 0, "", 0);
    engine_idle_wait();
    return 0;
}

static int leveldb_rest(void *database)
{
    const struct leveldb_database *own = (const struct leveldb_database *)database;
    leveldb_compact_range(own->db, NULL, 0, NULL, 0);
    engine_idle_wait();
    return 0;
}

static int leveldb_engine_close(void *database)
{
    struct leveldb_database *own = (struct leveldb_database *)database;
    leveldb_close(own->db);
    leveldb_release(own);
    return 0;
}

static int leveldb_session_open(void *database, void **session_out)
{
    struct leveldb_session *session = calloc(1, sizeof(*session));
    if (session == NULL)
        return -1;
    session->database = (const struct leveldb_database *)database;
    *session_out = session;
    return 0;
}

static void leveldb_session_close(void *session)
{
    struct leveldb_session *own = (struct leveldb_session *)session;
    leveldb_free(own->value);
    free(own);
}

static int leveldb_engine_put(void *session, struct bytes key, struct bytes value)
{
    const struct leveldb_session *own = (const struct leveldb_session *)session;
    char *error = NULL;
    leveldb_put(own->database->db, own->database->write, key.data, key.size, value.data, value.size,
                &error);
    return error == NULL ? 0 : leveldb_failure("put", error);
}

static int leveldb_engine_get(void *session, struct bytes key, struct bytes *value_out)
{
    struct leveldb_session *own = (struct leveldb_session *)session;
    char *error = NULL;
    leveldb_free(own->value);
    own->value = leveldb_get(own->database->db, own->database->read, key.data, key.size,
                             &value_out->size, &error);
    if (error != NULL)
        return leveldb_failure("get", error);
    value_out->data = own->value;
    return own->value != NULL;
}

static int leveldb_scan(void *session, struct bytes first, unsigned rows,
                        const struct visitor *visitor)
{
    const struct leveldb_session *own = (const struct leveldb_session *)session;
    char *error = NULL;
    leveldb_iterator_t *iterator = leveldb_create_iterator(own->database->db, own->database->read);
    leveldb_iter_seek(iterator, first.data, first.size);
    for (unsigned row = 0; row < rows && leveldb_iter_valid(iterator); row++) {
        struct bytes key, value;
        key.data = leveldb_iter_key(iterator, &key.size);
        value.data = leveldb_iter_value(iterator, &value.size);
        visitor->row(visitor->context, key, value);
        leveldb_iter_next(iterator);
    }
    leveldb_iter_get_error(iterator, &error);
    leveldb_iter_destroy(iterator);
    return error == NULL ? 0 : leveldb_failure("scan", error);
}

const struct engine engine_leveldb = {
    .name = "leveldb",
    .describe = leveldb_describe,
    .open = leveldb_engine_open,
    .settle = leveldb_settle,
    .rest = leveldb_rest,
    .close = leveldb_engine_close,
    .session_open = leveldb_session_open,
    .session_close = leveldb_session_close,
    .put = leveldb_engine_put,
    .get = leveldb_engine_get,
    .scan = leveldb_scan,
};
