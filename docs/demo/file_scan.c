#include "file_scan.h"

#include <stdlib.h>
#include <string.h>

enum { REMEMBERED_PLACES = FILE_SCAN_REMEMBERED_MAX * 2 };

/* Two runs of FNV-1a from different starts, mixed at the end: 128 bits, against accidents only.
 * Source: draft-eastlake-fnv; finalizer of splitmix64. */
static uint64_t key_hash(strata_bytes key, uint64_t start)
{
    const uint8_t *bytes = key.data;
    uint64_t hash = 0xcbf29ce484222325u ^ start;
    for (size_t i = 0; i < key.size; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3u;
    hash = (hash ^ hash >> 30) * 0xbf58476d1ce4e5b9u;
    hash = (hash ^ hash >> 27) * 0x94d049bb133111ebu;
    return hash ^ hash >> 31;
}

/* Where the row is, or would go. NULL when out of memory, which only means to hash again. */
static struct remembered_file *remembered_place(struct file_scanner *scanner,
                                                const struct remembered_file *wanted)
{
    if (scanner->table == NULL)
        scanner->table = calloc(REMEMBERED_PLACES, sizeof(struct remembered_file));
    if (scanner->table == NULL)
        return NULL;
    size_t place =
        (wanted->key_hash[0] ^ wanted->version * 0x9e3779b97f4a7c15u) & (REMEMBERED_PLACES - 1);
    for (;;) {
        struct remembered_file *at = &scanner->table[place];
        if (at->version == 0 ||
            (at->version == wanted->version && at->key_hash[0] == wanted->key_hash[0] &&
             at->key_hash[1] == wanted->key_hash[1]))
            return at;
        place = (place + 1) & (REMEMBERED_PLACES - 1);
    }
}

static void remember(struct file_scanner *scanner, const struct remembered_file *file)
{
    if (scanner->remembered_count == FILE_SCAN_REMEMBERED_MAX) {
        memset(scanner->table, 0, REMEMBERED_PLACES * sizeof(struct remembered_file));
        scanner->remembered_count = 0;
    }
    struct remembered_file *place = remembered_place(scanner, file);
    if (place == NULL)
        return;
    *place = *file;
    scanner->remembered_count++;
}

/* A submodule's id is its value, 40 digits. */
static void submodule_id(const uint8_t *digits, size_t size, struct remembered_file *out)
{
    char text[SHA1_HEX_SIZE];
    if (size == SHA1_HEX_SIZE)
        memcpy(text, digits, SHA1_HEX_SIZE);
    if (size != SHA1_HEX_SIZE || !sha1_from_hex(text, out->id))
        out->mode = 0;
}

static void whole_value_id(struct file_scanner *scanner, strata_bytes value,
                           struct remembered_file *out)
{
    const uint8_t *bytes = value.data;
    out->size = value.size;
    out->mode = 0;
    if (!file_value_read_mode(bytes, value.size, &out->mode))
        return;
    bytes += FILE_VALUE_MODE_SIZE;
    const size_t size = value.size - FILE_VALUE_MODE_SIZE;
    if (out->mode == FILE_VALUE_SUBMODULE) {
        submodule_id(bytes, size, out);
        return;
    }
    struct sha1 sha1;
    sha1_begin_object(&sha1, "blob", size);
    sha1_add(&sha1, bytes, size);
    sha1_end(&sha1, out->id);
    scanner->bytes += size;
}

/* The same for a value that is read piece by piece. */
static strata_status value_id_in_pieces(struct file_scan *scan, strata_bytes key,
                                        struct remembered_file *out)
{
    struct file_scanner *scanner = scan->scanner;
    strata_buffer buffer = {.data = scanner->piece, .capacity = FILE_VALUE_PIECE_SIZE};
    strata_status status = strata_kv_copy(scan->txn, NULL, key, 0, &buffer);
    if (status != STRATA_OK)
        return status;
    const strata_bytes first = strata_view(scanner->piece, buffer.size);
    out->size = buffer.total;
    if (buffer.size == buffer.total) {
        whole_value_id(scanner, first, out);
        return STRATA_OK;
    }
    if (!file_value_read_mode(first.data, first.size, &out->mode))
        return STRATA_OK;

    struct sha1 sha1;
    uint64_t offset = buffer.size;
    sha1_begin_object(&sha1, "blob", buffer.total - FILE_VALUE_MODE_SIZE);
    sha1_add(&sha1, scanner->piece + FILE_VALUE_MODE_SIZE, first.size - FILE_VALUE_MODE_SIZE);
    scanner->bytes += first.size - FILE_VALUE_MODE_SIZE;
    while (offset < out->size) {
        status = strata_kv_copy(scan->txn, NULL, key, offset, &buffer);
        if (status != STRATA_OK)
            return status;
        if (buffer.size == 0 || buffer.total != out->size) {
            out->mode = 0;
            return STRATA_OK;
        }
        sha1_add(&sha1, buffer.data, buffer.size);
        scanner->bytes += buffer.size;
        offset += buffer.size;
    }
    sha1_end(&sha1, out->id);
    return STRATA_OK;
}

static strata_status row_id(struct file_scan *scan, const strata_row *row,
                            struct remembered_file *out)
{
    struct file_scanner *scanner = scan->scanner;
    *out = (struct remembered_file){.version = row->version};
    if (!scanner->in_pieces && row->value.size <= FILE_SCAN_SMALL_SIZE) {
        whole_value_id(scanner, row->value, out);
        return STRATA_OK;
    }
    out->key_hash[0] = key_hash(row->key, 0);
    out->key_hash[1] = key_hash(row->key, 0x5851f42d4c957f2du);
    const struct remembered_file *known = remembered_place(scanner, out);
    if (known != NULL && known->version == row->version) {
        *out = *known;
        /* The bytes were hashed before; that they are as many must still hold. */
        if (!scanner->in_pieces && row->value.size != known->size)
            out->mode = 0;
        return STRATA_OK;
    }
    strata_status status = STRATA_OK;
    if (scanner->in_pieces)
        status = value_id_in_pieces(scan, row->key, out);
    else
        whole_value_id(scanner, row->value, out);
    if (status == STRATA_OK)
        remember(scanner, out);
    return status;
}

void file_scanner_release(struct file_scanner *scanner)
{
    free(scanner->table);
    scanner->table = NULL;
}

strata_status file_scan_open(struct file_scanner *scanner, strata_txn *txn, struct file_scan *out)
{
    strata_scan_options options = {.size = sizeof(options)};
    options.keys_only = scanner->in_pieces;
    *out = (struct file_scan){.scanner = scanner, .txn = txn};
    return strata_kv_scan(txn, NULL, &options, &out->cursor);
}

strata_status file_scan_next(struct file_scan *scan, struct scanned_file *out)
{
    strata_row row;
    struct remembered_file file;
    strata_status status = strata_kv_next(scan->cursor, &row);
    if (status == STRATA_OK)
        status = row_id(scan, &row, &file);
    if (status == STRATA_TOO_BIG || status == STRATA_NO_MEMORY)
        scan->scanner->in_pieces = true;
    if (status != STRATA_OK)
        return status;
    scan->scanner->rows++;
    out->path = row.key;
    out->mode = file.mode;
    memcpy(out->id, file.id, SHA1_SIZE);
    return STRATA_OK;
}

void file_scan_close(struct file_scan *scan)
{
    strata_cursor_close(scan->cursor);
    scan->cursor = NULL;
}
