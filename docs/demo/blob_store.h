/* What the stream has said by mark so far: blobs, and which mark was which commit.
 *
 * The contents of blobs lie in a nameless temporary file, since the stream may come back to any of
 * them as long as it runs. Memory: 24 to 48 bytes per mark, and one buffer. */
#ifndef STRATA_DEMO_BLOB_STORE_H
#define STRATA_DEMO_BLOB_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BLOB_STORE_BUFFER_SIZE = 256 * 1024 };

struct blob {
    uint64_t offset;
    uint64_t size;
};

struct marked {
    uint64_t mark; /* 0: the place is free. */
    union {
        struct blob blob;
        uint32_t commit;
    } is;
    bool is_commit;
};

struct blob_store {
    int file;
    uint64_t file_size; /* Bytes written out; the rest waits in `buffer`. */
    size_t buffer_size;
    uint64_t blob_begin;  /* Of the blob being added. */
    struct marked *table; /* [table_size], open addressing. */
    size_t table_size;
    size_t mark_count;
    uint8_t *buffer; /* [BLOB_STORE_BUFFER_SIZE] */
};

/* The file goes to $TMPDIR, or /tmp. All functions complain themselves. */
bool blob_store_open(struct blob_store *out);
void blob_store_close(struct blob_store *store);

/* A blob is begun, added to, and ended. */
void blob_store_begin(struct blob_store *store);
bool blob_store_add(struct blob_store *store, const void *data, size_t size);
struct blob blob_store_end(struct blob_store *store);

/* Reads all of [offset, offset + size) of the blob, which has them. */
bool blob_store_read(struct blob_store *store, struct blob blob, uint64_t offset, void *data,
                     size_t size);

/* A mark that is used again means its last object. */
bool blob_store_mark_blob(struct blob_store *store, uint64_t mark, struct blob blob);
bool blob_store_mark_commit(struct blob_store *store, uint64_t mark, uint32_t commit);

/* NULL if the mark was not seen. */
const struct marked *blob_store_find(const struct blob_store *store, uint64_t mark);

#endif
