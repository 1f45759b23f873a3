/* Reads the stream that `git fast-export` writes, command by command. The stream counts as hostile:
 * whatever its bytes, the reader stays inside its limits and ends with a typed failure at worst.
 * Memory: one input block, one line, one path pair, one commit message; never a blob.
 * Source: git-fast-import(1), "Input format".
 *
 *     while ((status = fast_export_next(reader, &event)) == FAST_EXPORT_OK) { ... }
 *     if (status != FAST_EXPORT_END) { ... fast_export_message(reader) ... }
 *
 * A commit is the event FAST_EXPORT_COMMIT, its file changes in order, FAST_EXPORT_COMMIT_END.
 * `feature`, `option`, `progress` and `checkpoint` are taken in silence or refused; `done` ends. */
#ifndef STRATA_DEMO_FAST_EXPORT_H
#define STRATA_DEMO_FAST_EXPORT_H

#include <stddef.h>
#include <stdint.h>

enum fast_export_status {
    FAST_EXPORT_OK,
    FAST_EXPORT_END,         /* The stream is over, and was whole. */
    FAST_EXPORT_CUT_SHORT,   /* It ends inside a command, or before a promised `done`. */
    FAST_EXPORT_MALFORMED,   /* Not the grammar. */
    FAST_EXPORT_TOO_BIG,     /* Beyond a limit. */
    FAST_EXPORT_UNSUPPORTED, /* Grammar, but nothing that git fast-export writes by itself. */
    FAST_EXPORT_NO_MEMORY,
    FAST_EXPORT_READ_FAILED
};

enum fast_export_kind {
    FAST_EXPORT_BLOB, /* Its content waits: see fast_export_data. */
    FAST_EXPORT_COMMIT,
    FAST_EXPORT_MODIFY, /* Content waits if `object` is inline. */
    FAST_EXPORT_DELETE, /* A file, or all below a folder. */
    FAST_EXPORT_RENAME,
    FAST_EXPORT_COPY,
    FAST_EXPORT_DELETE_ALL,
    FAST_EXPORT_COMMIT_END,
    FAST_EXPORT_TAG,
    FAST_EXPORT_RESET
};

enum fast_export_link { FAST_EXPORT_NOTHING, FAST_EXPORT_MARK, FAST_EXPORT_ID, FAST_EXPORT_INLINE };

/* How one object of the stream names another. */
struct fast_export_object {
    enum fast_export_link link;
    uint64_t mark;
    char id[41]; /* Lower-case hex digits. */
};

/* Not NUL-terminated; lasts until the next call of fast_export_next. */
struct fast_export_text {
    const char *data;
    size_t size;
};

struct fast_export_event {
    enum fast_export_kind kind;
    uint32_t mode;                           /* MODIFY: 0100644, 0100755, 0120000 or 0160000. */
    uint64_t mark;                           /* BLOB, COMMIT, TAG; 0: none. */
    char id[41];                             /* The same: original-oid, or empty. */
    struct fast_export_text name;            /* COMMIT, RESET: the ref. TAG: the tag. */
    struct fast_export_text author;          /* COMMIT: "Name <mail> seconds zone", or empty. */
    struct fast_export_text committer;       /* The same; TAG: the tagger. */
    struct fast_export_text encoding;        /* COMMIT: of the message; empty is UTF-8. */
    struct fast_export_text message;         /* COMMIT, TAG. */
    struct fast_export_object from;          /* COMMIT: the first parent. RESET, TAG: the target. */
    const struct fast_export_object *merges; /* COMMIT: the other parents [merge_count]. */
    size_t merge_count;
    struct fast_export_object object; /* MODIFY */
    struct fast_export_text path;   /* MODIFY, DELETE; RENAME, COPY: the target. No empty parts. */
    struct fast_export_text source; /* RENAME, COPY */
};

/* Zero means the default. */
struct fast_export_limits {
    size_t line_size;    /* Default 256 KiB. */
    size_t path_size;    /* Default 16,384, which is what a key may have. */
    size_t message_size; /* Default 16 MiB. */
    uint64_t data_size;  /* Of a blob. Default 2^30 - 16. */
    size_t merge_count;  /* Default 4,096. */
};

/* Puts up to `capacity` bytes into `data` and their number, 0 at the end, into `size_out`. Not 0:
 * reading failed. */
typedef int (*fast_export_read)(void *context, void *data, size_t capacity, size_t *size_out);

struct fast_export;

/* Limits may be NULL. NULL when out of memory. */
struct fast_export *fast_export_create(fast_export_read read, void *context,
                                       const struct fast_export_limits *limits);
void fast_export_destroy(struct fast_export *reader);

/* Fills `out` only with FAST_EXPORT_OK. Any other answer is final and repeats. Content that was not
 * asked for is skipped. */
enum fast_export_status fast_export_next(struct fast_export *reader, struct fast_export_event *out);

/* The next bytes of the content that the last event announced; 0 bytes: no more. */
enum fast_export_status fast_export_data(struct fast_export *reader, void *data, size_t capacity,
                                         size_t *size_out);

/* One line on what ended the stream, with the line's number; "" after a good end. */
const char *fast_export_message(const struct fast_export *reader);

#endif
