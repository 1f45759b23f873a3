#include "cli/cli.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "cli/item.h"

enum { KEY_BYTES_MAX = 16384, INPUT_BYTES = 1 << 16 };

/* ---- Writing ---- */

/* Commits and says, for --json, what came of it. `counter` may be NULL. */
static int write_finish(struct cli *cli, strata_txn *txn, strata_bytes key, const int64_t *counter)
{
    strata_commit commit = {0};
    const strata_status status = strata_txn_commit(txn, &commit);
    if (status != STRATA_OK)
        return cli_result(status);
    if (cli->json) {
        struct json json = {0};
        json_begin(&json, NULL);
        json_shown(&json, "key", key);
        if (counter != NULL)
            json_integer(&json, "value", *counter);
        json_count(&json, "version", commit.version);
        json_time(&json, "time", commit.time_us);
        json_end(&json);
    } else if (counter != NULL) {
        printf("%" PRId64 "\n", *counter);
    }
    return CLI_OK;
}

static strata_status write_begin(struct cli *cli, strata_txn **out)
{
    const strata_txn_options options = {.size = sizeof(options), .durability = STRATA_ALWAYS};
    return strata_txn_begin(cli->db, cli->branch, &options, out);
}

/* The rest of standard input, after `size` bytes already in `bytes[INPUT_BYTES]`. */
static int put_stream(struct cli *cli, strata_txn *txn, strata_bytes key, uint8_t *bytes,
                      size_t size)
{
    strata_kv_writer *writer = NULL;
    strata_status status = strata_kv_write_open(txn, cli->space, key, NULL, &writer);
    if (status != STRATA_OK)
        return cli_result(status);
    while (status == STRATA_OK && size > 0) {
        status = strata_kv_write_append(writer, strata_view(bytes, size));
        if (status == STRATA_OK)
            size = fread(bytes, 1, INPUT_BYTES, stdin);
    }
    if (status != STRATA_OK) {
        const int code = cli_result(status);
        (void)strata_kv_write_close(writer, 0);
        return code;
    }
    if (ferror(stdin)) {
        (void)strata_kv_write_close(writer, 0);
        return cli_complain(CLI_ERROR, "the input cannot be read: %s", strerror(errno));
    }
    return cli_result(strata_kv_write_close(writer, 1));
}

static int put_input(struct cli *cli, strata_txn *txn, strata_bytes key)
{
    static uint8_t bytes[INPUT_BYTES];
    const size_t size = fread(bytes, 1, sizeof(bytes), stdin);
    if (ferror(stdin))
        return cli_complain(CLI_ERROR, "the input cannot be read: %s", strerror(errno));
    if (size == sizeof(bytes))
        return put_stream(cli, txn, key, bytes, size);
    return cli_result(strata_kv_put(txn, cli->space, key, strata_view(bytes, size)));
}

int kv_put(struct cli *cli)
{
    strata_txn *txn = NULL;
    const strata_bytes key = cli->bytes[0], value = cli->bytes[1];
    int code = cli_result(write_begin(cli, &txn));
    if (code == CLI_OK && value.data == NULL)
        code = put_input(cli, txn, key);
    else if (code == CLI_OK)
        code = cli_result(strata_kv_put(txn, cli->space, key, value));
    if (code == CLI_OK)
        code = write_finish(cli, txn, key, NULL);
    strata_txn_close(txn);
    return code;
}

int kv_delete(struct cli *cli)
{
    const strata_kv_put_options options = {
        .size = sizeof(options), .condition = STRATA_IF_PRESENT, .remove = 1};
    strata_txn *txn = NULL;
    const strata_bytes key = cli->bytes[0];
    int code = cli_result(write_begin(cli, &txn));
    if (code == CLI_OK) {
        const strata_status status =
            strata_kv_put_with(txn, cli->space, key, strata_view(NULL, 0), &options);
        code = status == STRATA_CONFLICT ? cli_complain(CLI_NOT_FOUND, "no such key")
                                         : cli_result(status);
    }
    if (code == CLI_OK)
        code = write_finish(cli, txn, key, NULL);
    strata_txn_close(txn);
    return code;
}

int kv_increment(struct cli *cli)
{
    strata_txn *txn = NULL;
    const strata_bytes key = cli->bytes[0];
    const int64_t delta = cli->argument_count == 2 ? cli->integer : 1;
    int64_t sum = 0;
    int code = cli_result(write_begin(cli, &txn));
    if (code == CLI_OK)
        code = cli_result(strata_kv_increment(txn, cli->space, key, delta, &sum));
    if (code == CLI_OK)
        code = write_finish(cli, txn, key, &sum);
    strata_txn_close(txn);
    return code;
}

/* ---- Reading one key ---- */

/* What is known of a row without its value, which is then read in pieces. */
static strata_status item_find(struct cli *cli, strata_txn *txn, strata_bytes key, struct item *out)
{
    const strata_scan_options options = {
        .size = sizeof(options), .first = key, .limit = 1, .keys_only = 1};
    strata_cursor *cursor = NULL;
    strata_row row;
    strata_status status = strata_kv_scan(txn, cli->space, &options, &cursor);
    if (status == STRATA_OK)
        status = strata_kv_next(cursor, &row);
    if (status == STRATA_OK) {
        *out = item_of_row(&row);
        out->key = key;
        out->in_pieces = true;
        out->txn = txn;
        out->space = cli->space;
    }
    strata_cursor_close(cursor);
    return status;
}

int kv_get(struct cli *cli)
{
    strata_txn *txn = NULL;
    strata_value value = {0};
    struct item item = {0};
    const strata_bytes key = cli->bytes[0];
    strata_status status = strata_txn_snapshot(cli->db, cli->point, &txn);
    if (status == STRATA_OK)
        status = strata_kv_get(txn, cli->space, key, &value);
    if (status == STRATA_OK)
        item = item_of_value(key, &value);
    else if (status == STRATA_TOO_BIG && key.size <= KEY_BYTES_MAX) /* The value is. */
        status = item_find(cli, txn, key, &item);
    if (status == STRATA_OK)
        status = cli->json ? item_write_json(&item) : item_write(&item);
    if (status == STRATA_OK && cli->aligned)
        putchar('\n');

    const int code = cli_result(status);
    strata_value_release(&value);
    strata_txn_close(txn);
    return code;
}

int kv_exists(struct cli *cli)
{
    strata_txn *txn = NULL;
    const strata_bytes key = cli->bytes[0];
    int code = cli_result(strata_txn_snapshot(cli->db, cli->point, &txn));
    if (code == CLI_OK) {
        const strata_status status = strata_kv_exists(txn, cli->space, key);
        code = status == STRATA_NOT_FOUND ? CLI_NOT_FOUND : cli_result(status);
        if (cli->json && (status == STRATA_OK || status == STRATA_NOT_FOUND)) {
            struct json json = {0};
            json_begin(&json, NULL);
            json_shown(&json, "key", key);
            json_bool(&json, "exists", status == STRATA_OK);
            json_end(&json);
        }
    }
    strata_txn_close(txn);
    return code;
}

static const char *row_kind(uint32_t flags)
{
    if ((flags & STRATA_ROW_TOMBSTONE) != 0)
        return "delete";
    return (flags & STRATA_ROW_COUNTER) != 0 ? "counter" : "put";
}

static strata_status history_show(struct cli *cli, struct table *table, const struct item *item)
{
    if (cli->json)
        return item_write_json(item);
    table_count(table, item->version);
    table_time(table, item->time_us);
    table_text(table, row_kind(item->flags));
    if ((item->flags & STRATA_ROW_TOMBSTONE) == 0)
        return item_tabulate(item, table);
    table_text(table, "");
    return STRATA_OK;
}

int kv_history(struct cli *cli)
{
    static const char *const titles[] = {"VERSION", "TIME", "KIND", "VALUE"};
    static struct table table;
    strata_txn *txn = NULL;
    strata_cursor *cursor = NULL;
    const strata_bytes key = cli->bytes[0];
    strata_row row;
    uint64_t rows = 0;
    table_begin(&table, cli->aligned, titles, 4);
    strata_status status = strata_txn_snapshot(cli->db, cli->point, &txn);
    if (status == STRATA_OK)
        status = strata_kv_history(txn, cli->space, key, &cursor);
    while (status == STRATA_OK && (cli->limit == 0 || rows < cli->limit)) {
        status = strata_kv_next(cursor, &row);
        if (status != STRATA_OK)
            break;
        const struct item item = item_of_row(&row);
        status = history_show(cli, &table, &item);
        rows++;
    }
    int code = cli_result(status == STRATA_DONE ? STRATA_OK : status);
    table_end(&table);
    if (code == CLI_OK && rows == 0)
        code = cli_complain(CLI_NOT_FOUND, "no such key");
    strata_cursor_close(cursor);
    strata_txn_close(txn);
    return code;
}

/* ---- Reading many keys ---- */

struct listing {
    struct cli *cli;
    strata_txn *txn;
    strata_scan_options scan; /* Of the rows still to come. */
    bool limited;
    struct table *table;
    uint8_t last_key[KEY_BYTES_MAX]; /* What scan.after points to. */
};

static strata_status listing_show(struct listing *listing, const struct item *item)
{
    strata_status status;
    if (listing->cli->json) {
        status = item_write_json(item);
    } else {
        table_shown(listing->table, item->key);
        status = item_tabulate(item, listing->table);
    }
    assert(item->key.size <= sizeof(listing->last_key));
    memcpy(listing->last_key, item->key.data, item->key.size);
    listing->scan.after = strata_view(listing->last_key, item->key.size);
    listing->scan.limit -= listing->limited;
    return status;
}

/* Shows the row that comes next, whose value is too large to hold. */
static strata_status listing_show_large(struct listing *listing)
{
    strata_scan_options scan = listing->scan;
    strata_cursor *cursor = NULL;
    strata_row row;
    scan.limit = 1;
    scan.keys_only = 1;
    strata_status status = strata_kv_scan(listing->txn, listing->cli->space, &scan, &cursor);
    if (status == STRATA_OK)
        status = strata_kv_next(cursor, &row);
    if (status == STRATA_OK) {
        struct item item = item_of_row(&row);
        item.in_pieces = true;
        item.txn = listing->txn;
        item.space = listing->cli->space;
        status = listing_show(listing, &item);
    }
    strata_cursor_close(cursor);
    return status;
}

/* Shows rows until the end, the limit, or a value too large to hold. */
static strata_status listing_show_some(struct listing *listing)
{
    strata_cursor *cursor = NULL;
    strata_row row;
    strata_status status =
        strata_kv_scan(listing->txn, listing->cli->space, &listing->scan, &cursor);
    while (status == STRATA_OK) {
        status = strata_kv_next(cursor, &row);
        if (status != STRATA_OK)
            break;
        const struct item item = item_of_row(&row);
        status = listing_show(listing, &item);
    }
    strata_cursor_close(cursor);
    return status;
}

static strata_scan_options scan_options(const struct cli *cli)
{
    return (strata_scan_options){
        .size = sizeof(strata_scan_options),
        .reverse = (cli->given & OPTION_REVERSE) != 0,
        .prefix = cli->bytes[0],
        .after = cli->after,
        .limit = cli->limit,
    };
}

int kv_list(struct cli *cli)
{
    static const char *const titles[] = {"KEY", "VALUE"};
    static struct table table;
    static struct listing listing;
    listing.scan = scan_options(cli);
    listing.cli = cli;
    listing.table = &table;
    listing.limited = cli->limit > 0;

    table_begin(&table, cli->aligned, titles, 2);
    strata_status status = strata_txn_snapshot(cli->db, cli->point, &listing.txn);
    while (status == STRATA_OK && (!listing.limited || listing.scan.limit > 0)) {
        status = listing_show_some(&listing);
        if (status == STRATA_TOO_BIG)
            status = listing_show_large(&listing);
    }
    const int code = cli_result(status == STRATA_DONE ? STRATA_OK : status);
    table_end(&table);
    strata_txn_close(listing.txn);
    return code;
}

int kv_count(struct cli *cli)
{
    strata_txn *txn = NULL;
    const strata_scan_options options = scan_options(cli);
    uint64_t count = 0;
    strata_status status = strata_txn_snapshot(cli->db, cli->point, &txn);
    if (status == STRATA_OK)
        status = strata_kv_count(txn, cli->space, &options, &count);
    const int code = cli_result(status);
    if (code == CLI_OK && cli->json) {
        struct json json = {0};
        json_begin(&json, NULL);
        json_count(&json, "count", count);
        json_end(&json);
    } else if (code == CLI_OK) {
        printf("%" PRIu64 "\n", count);
    }
    strata_txn_close(txn);
    return code;
}
