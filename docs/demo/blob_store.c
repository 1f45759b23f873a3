#define _POSIX_C_SOURCE 200809L

#include "blob_store.h"

#include "report.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MARKS_SIZE_MIN = 1024 };

bool blob_store_open(struct blob_store *out)
{
    char path[4096];
    const char *folder = getenv("TMPDIR");
    *out = (struct blob_store){.file = -1};
    const int length = snprintf(path, sizeof(path), "%s/strata-git-history-XXXXXX",
                                folder != NULL && folder[0] != '\0' ? folder : "/tmp");
    if (length < 0 || (size_t)length >= sizeof(path))
        return complain("TMPDIR is too long");
    out->file = mkstemp(path);
    if (out->file < 0)
        return complain("no temporary file %s: %s", path, strerror(errno));
    (void)unlink(path);
    out->buffer = malloc(BLOB_STORE_BUFFER_SIZE);
    out->table = calloc(MARKS_SIZE_MIN, sizeof(struct marked));
    if (out->buffer == NULL || out->table == NULL)
        return complain("no memory to keep blobs");
    out->table_size = MARKS_SIZE_MIN;
    return true;
}

void blob_store_close(struct blob_store *store)
{
    if (store->file >= 0)
        (void)close(store->file);
    free(store->buffer);
    free(store->table);
    *store = (struct blob_store){.file = -1};
}

static bool write_out(struct blob_store *store)
{
    size_t written = 0;
    while (written < store->buffer_size) {
        const ssize_t size =
            pwrite(store->file, store->buffer + written, store->buffer_size - written,
                   (off_t)(store->file_size + written));
        if (size < 0 && errno != EINTR)
            return complain("the temporary file cannot be written: %s", strerror(errno));
        if (size > 0)
            written += (size_t)size;
    }
    store->file_size += written;
    store->buffer_size = 0;
    return true;
}

void blob_store_begin(struct blob_store *store)
{
    store->blob_begin = store->file_size + store->buffer_size;
}

bool blob_store_add(struct blob_store *store, const void *data, size_t size)
{
    const uint8_t *bytes = data;
    while (size > 0) {
        if (store->buffer_size == BLOB_STORE_BUFFER_SIZE && !write_out(store))
            return false;
        const size_t room = BLOB_STORE_BUFFER_SIZE - store->buffer_size;
        const size_t taken = size < room ? size : room;
        memcpy(store->buffer + store->buffer_size, bytes, taken);
        store->buffer_size += taken;
        bytes += taken;
        size -= taken;
    }
    return true;
}

struct blob blob_store_end(struct blob_store *store)
{
    const uint64_t end = store->file_size + store->buffer_size;
    return (struct blob){store->blob_begin, end - store->blob_begin};
}

/* The part of [offset, offset + size) of the file that was written out. */
static bool read_back(const struct blob_store *store, uint64_t offset, uint8_t *data, size_t size)
{
    while (size > 0) {
        const ssize_t got = pread(store->file, data, size, (off_t)offset);
        if (got == 0 || (got < 0 && errno != EINTR))
            return complain("the temporary file cannot be read: %s",
                            got == 0 ? "it was cut short" : strerror(errno));
        if (got > 0) {
            data += got;
            offset += (uint64_t)got;
            size -= (size_t)got;
        }
    }
    return true;
}

bool blob_store_read(struct blob_store *store, struct blob blob, uint64_t offset, void *data,
                     size_t size)
{
    uint64_t at = blob.offset + offset;
    uint8_t *out = data;
    assert(offset <= blob.size && size <= blob.size - offset);
    if (at < store->file_size) {
        const uint64_t in_file = store->file_size - at;
        const size_t taken = size < in_file ? size : (size_t)in_file;
        if (!read_back(store, at, out, taken))
            return false;
        at += taken;
        out += taken;
        size -= taken;
    }
    if (size > 0)
        memcpy(out, store->buffer + (at - store->file_size), size);
    return true;
}

/* ---- Marks --------------------------------------------------------------------------------- */

static struct marked *mark_place(struct marked *table, size_t table_size, uint64_t mark)
{
    /* Source: Fibonacci hashing, Knuth, TAOCP 3, 6.4. */
    size_t place = (size_t)(mark * 0x9e3779b97f4a7c15u >> 20) & (table_size - 1);
    while (table[place].mark != 0 && table[place].mark != mark)
        place = (place + 1) & (table_size - 1);
    return &table[place];
}

static bool marks_grow(struct blob_store *store)
{
    const size_t size = store->table_size * 2;
    struct marked *table = calloc(size, sizeof(struct marked));
    if (table == NULL)
        return complain("no memory for %zu marks", size);
    for (size_t i = 0; i < store->table_size; i++)
        if (store->table[i].mark != 0)
            *mark_place(table, size, store->table[i].mark) = store->table[i];
    free(store->table);
    store->table = table;
    store->table_size = size;
    return true;
}

static bool mark_keep(struct blob_store *store, struct marked marked)
{
    if (marked.mark == 0)
        return true;
    if (store->mark_count >= store->table_size / 4 * 3 && !marks_grow(store))
        return false;
    struct marked *place = mark_place(store->table, store->table_size, marked.mark);
    store->mark_count += place->mark == 0;
    *place = marked;
    return true;
}

bool blob_store_mark_blob(struct blob_store *store, uint64_t mark, struct blob blob)
{
    return mark_keep(store, (struct marked){.mark = mark, .is.blob = blob});
}

bool blob_store_mark_commit(struct blob_store *store, uint64_t mark, uint32_t commit)
{
    return mark_keep(store, (struct marked){.mark = mark, .is.commit = commit, .is_commit = true});
}

const struct marked *blob_store_find(const struct blob_store *store, uint64_t mark)
{
    const struct marked *place = mark_place(store->table, store->table_size, mark);
    return mark != 0 && place->mark == mark ? place : NULL;
}
