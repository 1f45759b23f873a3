#define _POSIX_C_SOURCE 200809L /* nanosleep */

#include "engine.h"

#include <rocksdb/c.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* Settings from RocksDB's own advice (its wiki: Setup Options and Basic Tuning, and Memory usage),
 * with blocks of 4 KiB, which suit data in memory. */
enum { BLOOM_BITS = 10, BLOCK_BYTES = 4096, JOBS = 2 };
enum { WRITE_BUFFER_BYTES = 64 << 20, BYTES_PER_SYNC = 1 << 20 };

/* Where memory is tight, buffers and cache share it. */
static size_t rocksdb_buffer_bytes(const struct settings *settings)
{
    return settings->tight ? (size_t)(settings->budget_bytes / 8) : (size_t)WRITE_BUFFER_BYTES;
}

static size_t rocksdb_cache_bytes(const struct settings *settings)
{
    return (size_t)(settings->tight ? settings->budget_bytes / 2 : settings->budget_bytes);
}

struct rocksdb_database {
    rocksdb_t *db;
    rocksdb_options_t *options;
    rocksdb_block_based_table_options_t *table;
    rocksdb_cache_t *cache; /* NULL with mapped files. */
    rocksdb_readoptions_t *read;
    rocksdb_writeoptions_t *write;
};

struct rocksdb_session {
    const struct rocksdb_database *database;
    rocksdb_pinnableslice_t *value; /* Of the last get. */
};

/* Frees the message. */
static int rocksdb_failure(const char *call, char *error)
{
    fprintf(stderr, "rocksdb: %s: %s\n", call, error);
    rocksdb_free(error);
    return -1;
}

static void describe_as(const struct settings *settings, const char *reads, char *out,
                        size_t capacity)
{
    snprintf(out, capacity,
             "WAL on, sync %s, no compression, %s, bloom %d bits, %d KiB blocks with hash index, "
             "write buffer %zu MiB, dynamic levels, %d background jobs",
             settings->synced ? "on" : "off", reads, BLOOM_BITS, BLOCK_BYTES >> 10,
             rocksdb_buffer_bytes(settings) >> 20, JOBS);
}

static void cached_describe(const struct settings *settings, char *out, size_t capacity)
{
    char reads[64];
    snprintf(reads, sizeof(reads), "block cache %zu MiB", rocksdb_cache_bytes(settings) >> 20);
    describe_as(settings, reads, out, capacity);
}

static void mapped_describe(const struct settings *settings, char *out, size_t capacity)
{
    describe_as(settings, "mapped files without block cache, checksums not verified on reads", out,
                capacity);
}

static void table_options_set(struct rocksdb_database *database, const struct settings *settings,
                              bool mapped)
{
    rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();
    rocksdb_block_based_options_set_block_size(table, BLOCK_BYTES);
    rocksdb_block_based_options_set_filter_policy(
        table, rocksdb_filterpolicy_create_bloom_full(BLOOM_BITS));
    rocksdb_block_based_options_set_format_version(table, 5);
    rocksdb_block_based_options_set_data_block_index_type(
        table, rocksdb_block_based_table_data_block_index_type_binary_search_and_hash);
    rocksdb_block_based_options_set_data_block_hash_ratio(table, 0.75);
    if (mapped) {
        rocksdb_block_based_options_set_no_block_cache(table, 1);
    } else {
        database->cache = rocksdb_cache_create_lru(rocksdb_cache_bytes(settings));
        rocksdb_block_based_options_set_block_cache(table, database->cache);
    }
    database->table = table;
    rocksdb_options_set_block_based_table_factory(database->options, table);
}

static void rocksdb_release(struct rocksdb_database *database)
{
    rocksdb_writeoptions_destroy(database->write);
    rocksdb_readoptions_destroy(database->read);
    rocksdb_block_based_options_destroy(database->table);
    if (database->cache != NULL)
        rocksdb_cache_destroy(database->cache);
    rocksdb_options_destroy(database->options);
    free(database);
}

static int open_as(const struct settings *settings, bool mapped, void **database_out)
{
    struct rocksdb_database *database = calloc(1, sizeof(*database));
    char *error = NULL;
    if (database == NULL)
        return -1;
    rocksdb_options_t *options = rocksdb_options_create();
    database->options = options;
    rocksdb_options_set_create_if_missing(options, 1);
    rocksdb_options_set_compression(options, rocksdb_no_compression);
    rocksdb_options_set_write_buffer_size(options, rocksdb_buffer_bytes(settings));
    rocksdb_options_set_max_write_buffer_number(options, 4);
    rocksdb_options_set_max_background_jobs(options, JOBS);
    rocksdb_options_set_level_compaction_dynamic_level_bytes(options, 1);
    rocksdb_options_set_bytes_per_sync(options, BYTES_PER_SYNC);
    rocksdb_options_set_memtable_whole_key_filtering(options, 1);
    rocksdb_options_set_memtable_prefix_bloom_size_ratio(options, 0.05);
    rocksdb_options_set_max_open_files(options, -1);
    rocksdb_options_set_allow_mmap_reads(options, mapped);
    table_options_set(database, settings, mapped);
    database->read = rocksdb_readoptions_create();
    rocksdb_readoptions_set_verify_checksums(database->read, !mapped);
    database->write = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(database->write, settings->synced);

    database->db = rocksdb_open(options, settings->folder, &error);
    if (error != NULL) {
        rocksdb_release(database);
        return rocksdb_failure("open", error);
    }
    *database_out = database;
    return 0;
}

static int cached_open(const struct settings *settings, void **database_out)
{
    return open_as(settings, false, database_out);
}

static int mapped_open(const struct settings *settings, void **database_out)
{
    return open_as(settings, true, database_out);
}

static bool rocksdb_works(rocksdb_t *db)
{
    static const char *const properties[] = {
        "rocksdb.mem-table-flush-pending", "rocksdb.num-running-flushes",
        "rocksdb.compaction-pending", "rocksdb.num-running-compactions"};
    for (size_t i = 0; i < sizeof(properties) / sizeof(properties[0]); i++) {
        uint64_t count = 0;
        if (rocksdb_property_int(db, properties[i], &count) == 0 && count > 0)
            return true;
    }
    return false;
}

/* One job may start another, so three looks in a row must find it idle. */
static int rocksdb_settle(void *database)
{
    const struct rocksdb_database *own = (const struct rocksdb_database *)database;
    const struct timespec pause = {.tv_nsec = 10000000};
    char *error = NULL;
    rocksdb_flushoptions_t *flush = rocksdb_flushoptions_create();
    rocksdb_flushoptions_set_wait(flush, 1);
    rocksdb_flush(own->db, flush, &error);
    rocksdb_flushoptions_destroy(flush);
    if (error != NULL)
        return rocksdb_failure("flush", error);
    for (int idle = 0; idle < 3; idle++) {
        if (rocksdb_works(own->db))
            idle = -1;
        nanosleep(&pause, NULL);
    }
    return 0;
}

static int rocksdb_rest(void *database)
{
    const struct rocksdb_database *own = (const struct rocksdb_database *)database;
    if (rocksdb_settle(database) != 0)
        return -1;
    rocksdb_compact_range(own->db, NULL, 0, NULL, 0);
    return rocksdb_settle(database);
}

static int rocksdb_engine_close(void *database)
{
    struct rocksdb_database *own = (struct rocksdb_database *)database;
    rocksdb_close(own->db);
    rocksdb_release(own);
    return 0;
}

static int rocksdb_session_open(void *database, void **session_out)
{
    struct rocksdb_session *session = calloc(1, sizeof(*session));
    if (session == NULL)
        return -1;
    session->database = (const struct rocksdb_database *)database;
    *session_out = session;
    return 0;
}

static void rocksdb_session_close(void *session)
{
    struct rocksdb_session *own = (struct rocksdb_session *)session;
    rocksdb_pinnableslice_destroy(own->value);
    free(own);
}

static int rocksdb_engine_put(void *session, struct bytes key, struct bytes value)
{
    const struct rocksdb_session *own = (const struct rocksdb_session *)session;
    char *error = NULL;
    rocksdb_put(own->database->db, own->database->write, key.data, key.size, value.data, value.size,
                &error);
    return error == NULL ? 0 : rocksdb_failure("put", error);
}

static int rocksdb_engine_get(void *session, struct bytes key, struct bytes *value_out)
{
    struct rocksdb_session *own = (struct rocksdb_session *)session;
    char *error = NULL;
    rocksdb_pinnableslice_destroy(own->value);
    own->value =
        rocksdb_get_pinned(own->database->db, own->database->read, key.data, key.size, &error);
    if (error != NULL)
        return rocksdb_failure("get", error);
    if (own->value == NULL)
        return 0;
    value_out->data = rocksdb_pinnableslice_value(own->value, &value_out->size);
    return 1;
}

static int rocksdb_scan(void *session, struct bytes first, unsigned rows,
                        const struct visitor *visitor)
{
    const struct rocksdb_session *own = (const struct rocksdb_session *)session;
    char *error = NULL;
    rocksdb_iterator_t *iterator = rocksdb_create_iterator(own->database->db, own->database->read);
    rocksdb_iter_seek(iterator, first.data, first.size);
    for (unsigned row = 0; row < rows && rocksdb_iter_valid(iterator); row++) {
        struct bytes key, value;
        key.data = rocksdb_iter_key(iterator, &key.size);
        value.data = rocksdb_iter_value(iterator, &value.size);
        visitor->row(visitor->context, key, value);
        rocksdb_iter_next(iterator);
    }
    rocksdb_iter_get_error(iterator, &error);
    rocksdb_iter_destroy(iterator);
    return error == NULL ? 0 : rocksdb_failure("scan", error);
}

#define ROCKSDB_NOTE                                                                               \
    "Debian builds RocksDB with asserts, about 1.36x slower per get: a ratio against its package " \
    "counts only divided by 1.36"

const struct engine engine_rocksdb = {
    .name = "rocksdb",
    .note = ROCKSDB_NOTE,
    .build_penalty = 1.36,
    .describe = cached_describe,
    .open = cached_open,
    .settle = rocksdb_settle,
    .rest = rocksdb_rest,
    .close = rocksdb_engine_close,
    .session_open = rocksdb_session_open,
    .session_close = rocksdb_session_close,
    .put = rocksdb_engine_put,
    .get = rocksdb_engine_get,
    .scan = rocksdb_scan,
};

const struct engine engine_rocksdb_mmap = {
    .name = "rocksdb-mmap",
    .note = ROCKSDB_NOTE,
    .build_penalty = 1.36,
    .describe = mapped_describe,
    .open = mapped_open,
    .settle = rocksdb_settle,
    .rest = rocksdb_rest,
    .close = rocksdb_engine_close,
    .session_open = rocksdb_session_open,
    .session_close = rocksdb_session_close,
    .put = rocksdb_engine_put,
    .get = rocksdb_engine_get,
    .scan = rocksdb_scan,
};
