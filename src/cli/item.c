#include "cli/item.h"

#include <inttypes.h>
#include <stdio.h>

enum { PIECE_BYTES = 1 << 16 };

struct item item_of_row(const strata_row *row)
{
    return (struct item){
        .key = row->key,
        .value = row->value,
        .version = row->version,
        .time_us = row->time_us,
        .expires_us = row->expires_us,
        .flags = row->flags,
    };
}

struct item item_of_value(strata_bytes key, const strata_value *value)
{
    return (struct item){
        .key = key,
        .value = strata_value_view(value),
        .version = value->version,
        .time_us = value->time_us,
        .expires_us = value->expires_us,
        .flags = value->flags,
    };
}

int64_t item_counter(const struct item *item)
{
    uint64_t bits = 0;
    for (size_t i = item->value.size; i > 0; i--)
        bits = bits << 8 | ((const uint8_t *)item->value.data)[i - 1];
    int64_t number;
    memcpy(&number, &bits, sizeof(number));
    return number;
}

/* Calls `use` with the value from front to back. */
static strata_status value_walk(const struct item *item,
                                void (*use)(void *context, strata_bytes piece), void *context)
{
    uint8_t bytes[PIECE_BYTES];
    if (!item->in_pieces) {
        use(context, item->value);
        return STRATA_OK;
    }
    for (uint64_t offset = 0;;) {
        strata_buffer buffer = {.data = bytes, .capacity = sizeof(bytes)};
        const strata_status status =
            strata_kv_copy(item->txn, item->space, item->key, offset, &buffer);
        if (status != STRATA_OK || buffer.size == 0)
            return status;
        use(context, strata_view(bytes, buffer.size));
        offset += buffer.size;
    }
}

static void use_as_bytes(void *context, strata_bytes piece)
{
    (void)context;
    write_bytes(piece);
}

static void use_as_hex(void *context, strata_bytes piece)
{
    (void)context;
    write_hex(piece);
}

static void use_as_json(void *context, strata_bytes piece)
{
    (void)context;
    json_escape(piece);
}

static void use_for_check(void *context, strata_bytes piece)
{
    text_check_feed((struct text_check *)context, piece);
}

strata_status item_write(const struct item *item)
{
    if ((item->flags & STRATA_ROW_COUNTER) != 0) {
        printf("%" PRId64, item_counter(item));
        return STRATA_OK;
    }
    return value_walk(item, use_as_bytes, NULL);
}

/* The start of a large value is enough for a cell that is cut anyway. */
static strata_status tabulate_start(const struct item *item, struct table *table)
{
    uint8_t bytes[2 * TABLE_CELL_BYTES_MAX];
    strata_buffer buffer = {.data = bytes, .capacity = sizeof(bytes)};
    const strata_status status = strata_kv_copy(item->txn, item->space, item->key, 0, &buffer);
    if (status != STRATA_OK)
        return status;
    /* The last character may be cut; go without it. */
    while (buffer.size > TABLE_CELL_BYTES_MAX + 1 && (bytes[buffer.size - 1] & 0xc0) == 0x80)
        buffer.size--;
    if (buffer.size > TABLE_CELL_BYTES_MAX + 1 && bytes[buffer.size - 1] >= 0xc0)
        buffer.size--;
    table_shown(table, strata_view(bytes, buffer.size));
    return STRATA_OK;
}

strata_status item_tabulate(const struct item *item, struct table *table)
{
    if ((item->flags & STRATA_ROW_COUNTER) != 0) {
        table_integer(table, item_counter(item));
        return STRATA_OK;
    }
    if (!item->in_pieces) {
        table_shown(table, item->value);
        return STRATA_OK;
    }
    if (table->aligned)
        return tabulate_start(item, table);

    struct text_check check = {0};
    strata_status status = value_walk(item, use_for_check, &check);
    if (status != STRATA_OK)
        return status;
    table_open_cell(table);
    if (text_check_is_plain(&check)) {
        status = value_walk(item, use_as_bytes, NULL);
    } else {
        fputs("hex:", stdout);
        status = value_walk(item, use_as_hex, NULL);
    }
    table_close_cell(table);
    return status;
}

static strata_status value_write_json(const struct item *item, struct json *json)
{
    if ((item->flags & STRATA_ROW_COUNTER) != 0) {
        json_integer(json, "value", item_counter(item));
        return STRATA_OK;
    }
    struct text_check check = {0};
    strata_status status = value_walk(item, use_for_check, &check);
    if (status != STRATA_OK)
        return status;
    const bool text = text_check_is_utf8(&check);
    json_name(json, text ? "value" : "value_hex");
    putchar('"');
    status = value_walk(item, text ? use_as_json : use_as_hex, NULL);
    putchar('"');
    return status;
}

strata_status item_write_json(const struct item *item)
{
    strata_status status = STRATA_OK;
    struct json json = {0};
    json_begin(&json, NULL);
    json_shown(&json, "key", item->key);
    if ((item->flags & STRATA_ROW_TOMBSTONE) != 0)
        json_bool(&json, "deleted", true);
    else
        status = value_write_json(item, &json);
    json_count(&json, "version", item->version);
    json_time(&json, "time", item->time_us);
    if (item->expires_us != 0)
        json_time(&json, "expires", item->expires_us);
    json_end(&json);
    return status;
}
