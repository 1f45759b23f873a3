#define _POSIX_C_SOURCE 200809L

#include "history_store.h"

#include "report.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void library_in(struct history *history)
{
    history->entered_ns = now_ns();
}

/* Wraps a call, which is over when this begins. */
static strata_status library_out(struct history *history, strata_status status)
{
    history->totals.library_ns += now_ns() - history->entered_ns;
    return status;
}

/* ---- Open and close ------------------------------------------------------------------------ */

bool history_parse_budget(const char *budget, strata_open_options *options)
{
    char text[64];
    const int size = snprintf(text, sizeof(text), "memory_budget=%s", budget);
    if (size < 0 || (size_t)size >= sizeof(text) || strchr(budget, ' ') != NULL)
        return complain("--budget %s: not a size", budget);
    const strata_status status = strata_options_parse(STRATA_OPTIONS_OPEN, text, options);
    return status == STRATA_OK || complain_strata("--budget", status);
}

bool history_open_database(const char *folder, const char *budget, bool existing, strata **out)
{
    strata_open_options options = {.size = sizeof(options)};
    options.mode = existing ? STRATA_OPEN_EXISTING : STRATA_OPEN_NEW;
    if (budget != NULL && !history_parse_budget(budget, &options))
        return false;
    const strata_status status = strata_open(folder, &options, out);
    return status == STRATA_OK || complain_strata(folder, status);
}

bool history_open(struct history *history, const char *folder, const char *budget)
{
    library_in(history);
    const bool opened = history_open_database(folder, budget, false, &history->db);
    (void)library_out(history, STRATA_OK);
    if (!opened)
        return false;
    const strata_status status =
        strata_space_open(history->db, HISTORY_COMMIT_SPACE, &history->commit_space);
    return status == STRATA_OK || complain_strata("the space of commits", status);
}

static double metric(const strata *db, const char *name)
{
    strata_metric found;
    return strata_metric_find(db, name, &found) == STRATA_OK ? found.value : 0;
}

static void conflicts_clear(struct history_conflicts *conflicts)
{
    for (size_t i = 0; i < conflicts->count; i++)
        free(conflicts->paths[i]);
    conflicts->count = 0;
}

bool history_close(struct history *history)
{
    conflicts_clear(&history->conflicts);
    free(history->conflicts.paths);
    free(history->conflicts.sizes);
    history->conflicts = (struct history_conflicts){0};
    if (history->db == NULL)
        return true;
    library_in(history);
    for (size_t i = 0; i < HISTORY_HANDLES_MAX; i++)
        strata_txn_close(history->handles[i].txn);
    strata_space_close(history->commit_space);
    history->totals.flushes = metric(history->db, "flush.count");
    history->totals.merges = metric(history->db, "merge.count");
    const strata_status status = library_out(history, strata_close(history->db));
    history->db = NULL;
    return status == STRATA_OK || complain_strata("closing the database", status);
}

/* ---- Branches ------------------------------------------------------------------------------ */

bool history_fork(struct history *history, const char *parent, uint64_t version, const char *name,
                  bool *taken)
{
    struct history_totals *totals = &history->totals;
    const int64_t before_ns = totals->library_ns;
    library_in(history);
    const strata_status status = library_out(
        history, strata_branch_fork(history->db, strata_at_version(parent, version), name, NULL));
    *taken = status == STRATA_EXISTS;
    if (*taken)
        return true;
    if (status != STRATA_OK)
        return complain_strata(name, status);
    const int64_t took_ns = totals->library_ns - before_ns;
    const uint32_t sample = took_ns < UINT32_MAX ? (uint32_t)took_ns : UINT32_MAX;
    if (totals->forks < HISTORY_FORK_SAMPLES)
        totals->first_fork_ns[totals->forks] = sample;
    totals->last_fork_ns[totals->forks % HISTORY_FORK_SAMPLES] = sample;
    totals->forks++;
    return true;
}

bool history_create(struct history *history, const char *name, bool *taken)
{
    *taken = false;
    if (strcmp(name, "main") == 0)
        return true;
    library_in(history);
    const strata_status status =
        library_out(history, strata_branch_create(history->db, name, NULL));
    *taken = status == STRATA_EXISTS;
    return *taken || status == STRATA_OK || complain_strata(name, status);
}

/* The handle of `line`, or the one that was not used for longest, emptied. */
static struct history_handle *handle_of_line(struct history *history, uint32_t line)
{
    struct history_handle *oldest = &history->handles[0];
    for (size_t i = 0; i < HISTORY_HANDLES_MAX; i++) {
        struct history_handle *handle = &history->handles[i];
        if (handle->txn != NULL && handle->line == line)
            return handle;
        if (handle->used_at < oldest->used_at)
            oldest = handle;
    }
    strata_txn_close(oldest->txn);
    *oldest = (struct history_handle){.line = line};
    return oldest;
}

bool history_begin(struct history *history, uint32_t line, const char *branch)
{
    assert(history->txn == NULL);
    library_in(history);
    struct history_handle *handle = handle_of_line(history, line);
    const strata_status status = library_out(
        history, handle->txn != NULL ? strata_txn_renew(handle->txn)
                                     : strata_txn_begin(history->db, branch, NULL, &handle->txn));
    if (status != STRATA_OK)
        return complain_strata(branch, status);
    handle->used_at = ++history->use_count;
    history->txn = handle->txn;
    return true;
}

/* ---- Single rows --------------------------------------------------------------------------- */

/* STRATA_OK or STRATA_NOT_FOUND; everything else is complained about and becomes false. */
static bool file_exists(struct history *history, strata_bytes path, bool *found)
{
    library_in(history);
    const strata_status status = library_out(history, strata_kv_exists(history->txn, NULL, path));
    *found = status == STRATA_OK;
    return *found || status == STRATA_NOT_FOUND || complain_strata("looking for a path", status);
}

static bool complain_write(strata_status status)
{
    (void)complain_strata("writing a file", status);
    if (status == STRATA_TOO_BIG)
        (void)complain("a commit of git is one transaction; a larger --budget lets it be larger");
    return false;
}

static bool delete_row(struct history *history, strata_bytes key)
{
    library_in(history);
    const strata_status status = library_out(history, strata_kv_delete(history->txn, NULL, key));
    history->totals.deletes++;
    history->totals.raw_bytes += key.size;
    return status == STRATA_OK || complain_write(status);
}

/* Where the bytes of a value come from: [0, size) in order. */
struct value_source {
    uint64_t size;
    bool (*read)(struct history *history, const struct value_source *source, uint64_t offset,
                 uint8_t *data, size_t size);
    uint32_t mode; /* Of a blob. */
    struct blob_store *store;
    struct blob blob;
    strata_bytes bytes; /* Of a text, or the key of a row to copy. */
};

static bool read_text(struct history *history, const struct value_source *source, uint64_t offset,
                      uint8_t *data, size_t size)
{
    (void)history;
    memcpy(data, (const uint8_t *)source->bytes.data + offset, size);
    return true;
}

static bool read_blob(struct history *history, const struct value_source *source, uint64_t offset,
                      uint8_t *data, size_t size)
{
    uint8_t mode[FILE_VALUE_MODE_SIZE];
    (void)history;
    if (offset >= FILE_VALUE_MODE_SIZE)
        return blob_store_read(source->store, source->blob, offset - FILE_VALUE_MODE_SIZE, data,
                               size);
    assert(offset == 0 && size >= FILE_VALUE_MODE_SIZE);
    file_value_write_mode(source->mode, mode);
    memcpy(data, mode, FILE_VALUE_MODE_SIZE);
    return blob_store_read(source->store, source->blob, 0, data + FILE_VALUE_MODE_SIZE,
                           size - FILE_VALUE_MODE_SIZE);
}

static bool read_row(struct history *history, const struct value_source *source, uint64_t offset,
                     uint8_t *data, size_t size)
{
    strata_buffer buffer = {.data = data, .capacity = size};
    library_in(history);
    const strata_status status =
        library_out(history, strata_kv_copy(history->txn, NULL, source->bytes, offset, &buffer));
    if (status != STRATA_OK)
        return complain_strata("reading a file to copy", status);
    return buffer.size == size || complain("a file to copy ends early");
}

static bool append_pieces(struct history *history, strata_kv_writer *writer,
                          const struct value_source *source)
{
    for (uint64_t offset = 0; offset < source->size; offset += FILE_VALUE_PIECE_SIZE) {
        const uint64_t left = source->size - offset;
        const size_t size = left < FILE_VALUE_PIECE_SIZE ? (size_t)left : FILE_VALUE_PIECE_SIZE;
        if (!source->read(history, source, offset, history->piece, size))
            return false;
        library_in(history);
        const strata_status status =
            library_out(history, strata_kv_write_append(writer, strata_view(history->piece, size)));
        if (status != STRATA_OK)
            return complain_write(status);
    }
    return true;
}

static bool put_in_pieces(struct history *history, strata_space *space, strata_bytes key,
                          const struct value_source *source)
{
    strata_kv_writer *writer = NULL;
    library_in(history);
    const strata_status opened =
        library_out(history, strata_kv_write_open(history->txn, space, key, NULL, &writer));
    if (opened != STRATA_OK)
        return complain_write(opened);
    const bool whole = append_pieces(history, writer, source);
    library_in(history);
    const strata_status closed = library_out(history, strata_kv_write_close(writer, whole));
    return whole && (closed == STRATA_OK || complain_write(closed));
}

static bool put_row(struct history *history, strata_space *space, strata_bytes key,
                    const struct value_source *source)
{
    history->totals.puts++;
    history->totals.raw_bytes += key.size + source->size;
    if (source->size > FILE_VALUE_PIECE_SIZE)
        return put_in_pieces(history, space, key, source);
    const size_t size = (size_t)source->size;
    if (!source->read(history, source, 0, history->piece, size))
        return false;
    library_in(history);
    const strata_status status = library_out(
        history, strata_kv_put(history->txn, space, key, strata_view(history->piece, size)));
    return status == STRATA_OK || complain_write(status);
}

/* ---- Files and folders --------------------------------------------------------------------- */

/* "path/" in the key buffer. */
static strata_bytes folder_prefix(struct history *history, strata_bytes path)
{
    assert(path.size < sizeof(history->key));
    memcpy(history->key, path.data, path.size);
    history->key[path.size] = '/';
    return strata_view(history->key, path.size + 1);
}

/* No key is long enough to lie below a path of this length. */
static bool too_long_for_folder(strata_bytes path)
{
    return path.size + 2 > HISTORY_KEY_SIZE_MAX;
}

/* Opens a scan of the keys below a folder. */
static bool scan_folder(struct history *history, strata_bytes path, uint64_t limit,
                        strata_cursor **out)
{
    strata_scan_options options = {.size = sizeof(options)};
    options.prefix = folder_prefix(history, path);
    options.keys_only = 1;
    options.limit = limit;
    library_in(history);
    const strata_status status =
        library_out(history, strata_kv_scan(history->txn, NULL, &options, out));
    return status == STRATA_OK || complain_strata("listing a folder", status);
}

/* `found` is false after the last. */
static bool next_file(struct history *history, strata_cursor *cursor, strata_bytes *path,
                      bool *found)
{
    strata_row row;
    library_in(history);
    const strata_status status = library_out(history, strata_kv_next(cursor, &row));
    *found = status == STRATA_OK;
    if (*found)
        *path = row.key;
    return *found || status == STRATA_DONE || complain_strata("listing a folder", status);
}

static bool delete_below(struct history *history, strata_bytes path)
{
    strata_cursor *cursor;
    strata_bytes file;
    bool found = true;
    if (too_long_for_folder(path))
        return true;
    if (!scan_folder(history, path, 0, &cursor))
        return false;
    bool done = next_file(history, cursor, &file, &found);
    while (done && found)
        done = delete_row(history, file) && next_file(history, cursor, &file, &found);
    strata_cursor_close(cursor);
    return done;
}

static bool any_below(struct history *history, strata_bytes path, bool *found)
{
    strata_cursor *cursor;
    strata_bytes file;
    *found = false;
    if (too_long_for_folder(path))
        return true;
    if (!scan_folder(history, path, 1, &cursor))
        return false;
    const bool done = next_file(history, cursor, &file, found);
    strata_cursor_close(cursor);
    return done;
}

/* The place of `path` among the conflicts, or their count. */
static size_t conflict_place(const struct history_conflicts *conflicts, strata_bytes path)
{
    size_t place = 0;
    while (place < conflicts->count && (conflicts->sizes[place] != path.size ||
                                        memcmp(conflicts->paths[place], path.data, path.size) != 0))
        place++;
    return place;
}

static bool add_conflict(struct history_conflicts *conflicts, strata_bytes path)
{
    if (conflict_place(conflicts, path) < conflicts->count)
        return true;
    if (conflicts->count == conflicts->capacity) {
        const size_t capacity = conflicts->capacity > 0 ? conflicts->capacity * 2 : 8;
        char **paths = realloc(conflicts->paths, capacity * sizeof(char *));
        if (paths != NULL)
            conflicts->paths = paths;
        size_t *sizes = realloc(conflicts->sizes, capacity * sizeof(size_t));
        if (sizes != NULL)
            conflicts->sizes = sizes;
        if (paths == NULL || sizes == NULL)
            return complain("no memory for %zu paths", capacity);
        conflicts->capacity = capacity;
    }
    char *copy = malloc(path.size);
    if (copy == NULL)
        return complain("no memory for a path");
    memcpy(copy, path.data, path.size);
    conflicts->paths[conflicts->count] = copy;
    conflicts->sizes[conflicts->count++] = path.size;
    return true;
}

static void drop_conflict(struct history_conflicts *conflicts, size_t place)
{
    free(conflicts->paths[place]);
    conflicts->count--;
    conflicts->paths[place] = conflicts->paths[conflicts->count];
    conflicts->sizes[place] = conflicts->sizes[conflicts->count];
}

/* After a file was put that `existed` before or not: a folder of that name goes now. A file that has
 * the name of one of its folders goes when the commit ends, since git exports "M d/e" before the
 * "D d" that belongs to it, and a "D d" that came to a folder would take d/e along. */
static bool clear_way(struct history *history, strata_bytes path, bool existed)
{
    struct history_conflicts *conflicts = &history->conflicts;
    const char *text = path.data;
    if (existed) {
        const size_t place = conflict_place(conflicts, path);
        if (place == conflicts->count)
            return true;
        drop_conflict(conflicts, place);
        return delete_below(history, path);
    }
    if (!delete_below(history, path))
        return false;
    for (size_t i = 1; i < path.size; i++) {
        const strata_bytes folder = strata_view(text, i);
        bool found = false;
        if (text[i] == '/' &&
            (!file_exists(history, folder, &found) || (found && !add_conflict(conflicts, folder))))
            return false;
    }
    return true;
}

static bool put_file_row(struct history *history, strata_bytes path,
                         const struct value_source *source)
{
    bool existed;
    return file_exists(history, path, &existed) && put_row(history, NULL, path, source) &&
           clear_way(history, path, existed);
}

static bool settle_conflicts(struct history *history)
{
    struct history_conflicts *conflicts = &history->conflicts;
    for (size_t i = 0; i < conflicts->count; i++) {
        const strata_bytes path = strata_view(conflicts->paths[i], conflicts->sizes[i]);
        bool is_file, is_folder = false;
        if (!file_exists(history, path, &is_file) ||
            (is_file && !any_below(history, path, &is_folder)) ||
            (is_folder && !delete_row(history, path)))
            return false;
    }
    conflicts_clear(conflicts);
    return true;
}

bool history_put_blob(struct history *history, strata_bytes path, uint32_t mode,
                      struct blob_store *store, struct blob blob)
{
    const struct value_source source = {.size = FILE_VALUE_MODE_SIZE + blob.size,
                                        .read = read_blob,
                                        .mode = mode,
                                        .store = store,
                                        .blob = blob};
    return put_file_row(history, path, &source);
}

bool history_put_submodule(struct history *history, strata_bytes path, const char *id)
{
    uint8_t value[FILE_VALUE_MODE_SIZE + 40] = {0};
    const struct value_source source = {
        .size = sizeof(value), .read = read_text, .bytes = strata_view(value, sizeof(value))};
    file_value_write_mode(FILE_VALUE_SUBMODULE, value);
    memcpy(value + FILE_VALUE_MODE_SIZE, id, 40);
    return put_file_row(history, path, &source);
}

bool history_delete(struct history *history, strata_bytes path)
{
    bool found;
    if (!file_exists(history, path, &found))
        return false;
    return found ? delete_row(history, path) : delete_below(history, path);
}

bool history_delete_all(struct history *history)
{
    conflicts_clear(&history->conflicts);
    library_in(history);
    const strata_status status = library_out(history, strata_space_delete(history->txn, NULL));
    history->totals.deletes++;
    return status == STRATA_OK || complain_strata("deleting all files", status);
}

/* ---- Copies -------------------------------------------------------------------------------- */

static bool copy_file(struct history *history, strata_bytes from, strata_bytes to, bool rename)
{
    struct value_source source = {.read = read_row, .bytes = from};
    uint8_t nothing[1];
    strata_buffer buffer = {.data = nothing, .capacity = sizeof(nothing)};
    library_in(history);
    const strata_status status =
        library_out(history, strata_kv_copy(history->txn, NULL, from, 0, &buffer));
    if (status != STRATA_OK)
        return complain_strata("reading a file to copy", status);
    source.size = buffer.total;
    return put_file_row(history, to, &source) && (!rename || delete_row(history, from));
}

/* Copies the file at `from`, which lies below `source`, to the same place below `target`. */
static bool copy_below(struct history *history, strata_bytes from, strata_bytes source,
                       strata_bytes target, bool rename)
{
    const size_t rest_size = from.size - source.size;
    char *path = malloc(target.size + rest_size);
    if (path == NULL)
        return complain("no memory for a path");
    memcpy(path, target.data, target.size);
    memcpy(path + target.size, (const char *)from.data + source.size, rest_size);
    const bool done = copy_file(history, from, strata_view(path, target.size + rest_size), rename);
    free(path);
    return done;
}

static bool lies_within(strata_bytes path, strata_bytes folder)
{
    return path.size >= folder.size && memcmp(path.data, folder.data, folder.size) == 0 &&
           (path.size == folder.size || ((const char *)path.data)[folder.size] == '/');
}

bool history_copy(struct history *history, strata_bytes source, strata_bytes target, bool rename)
{
    bool found, any = false;
    strata_cursor *cursor;
    strata_bytes file;
    if (!file_exists(history, source, &found))
        return false;
    if (found)
        return copy_file(history, source, target, rename);

    if (lies_within(source, target) || lies_within(target, source))
        return complain("a copy of a folder into itself is not supported");
    if (too_long_for_folder(source))
        return complain("the stream copies a path that is not there");
    if (!history_delete(history, target) || !scan_folder(history, source, 0, &cursor))
        return false;
    bool done = next_file(history, cursor, &file, &found);
    while (done && found) {
        any = true;
        done = copy_below(history, file, source, target, rename) &&
               next_file(history, cursor, &file, &found);
    }
    strata_cursor_close(cursor);
    return done && (any || complain("the stream copies a path that is not there"));
}

/* ---- Commit -------------------------------------------------------------------------------- */

bool history_commit(struct history *history, strata_bytes id, strata_bytes text,
                    uint64_t *version_out)
{
    const struct value_source source = {.size = text.size, .read = read_text, .bytes = text};
    strata_commit commit;
    if (!settle_conflicts(history) || !put_row(history, history->commit_space, id, &source))
        return false;
    library_in(history);
    const strata_status status = library_out(history, strata_txn_commit(history->txn, &commit));
    if (status != STRATA_OK)
        return complain_strata("commit", status);
    history->txn = NULL;
    history->totals.commits++;
    *version_out = commit.version;
    return true;
}
