/* Bytes, lines and data blocks of a fast-export stream: what lies under its grammar.
 * Private to fast_export.c. */
#ifndef STRATA_DEMO_STREAM_H
#define STRATA_DEMO_STREAM_H

#include "fast_export.h"

#include <stdbool.h>

enum { STREAM_INPUT_SIZE = 64 * 1024 };

/* What goes wrong is noted once, where it is found; everyone above just returns it. */
#define TRY_STREAM(call)                                                                           \
    do {                                                                                           \
        const enum fast_export_status try_status = (call);                                         \
        if (try_status != FAST_EXPORT_OK)                                                          \
            return try_status;                                                                     \
    } while (0)

struct stream_text {
    char *data; /* NUL-terminated once anything was added. */
    size_t size;
    size_t capacity;
};

enum stream_data_form { STREAM_DATA_NONE, STREAM_DATA_COUNTED, STREAM_DATA_DELIMITED };

struct stream {
    fast_export_read read;
    void *context;
    size_t line_size_max;
    size_t input_begin; /* The unread bytes are input[input_begin, input_end). */
    size_t input_end;
    bool input_ended;
    bool line_held; /* `line` is still to be taken. */
    enum stream_data_form data_form;
    uint64_t line_number;
    uint64_t data_left;  /* Counted: bytes to come. Delimited: bytes still allowed. */
    size_t piece_offset; /* Delimited: how much of `piece` was handed out. */
    struct stream_text line;
    struct stream_text piece; /* One line with its newline. */
    struct stream_text delimiter;
    char message[256];
    uint8_t input[STREAM_INPUT_SIZE];
};

void stream_release(struct stream *stream);

/* Notes why, and returns `status`. */
enum fast_export_status stream_stop(struct stream *stream, enum fast_export_status status,
                                    const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;

enum fast_export_status stream_text_add(struct stream *stream, struct stream_text *text,
                                        const char *data, size_t size);
enum fast_export_status stream_text_set(struct stream *stream, struct stream_text *text,
                                        const char *data, size_t size);
void stream_text_release(struct stream_text *text);

/* Makes the next line current without taking it; `found` is false at the end of the input. */
enum fast_export_status stream_peek(struct stream *stream, bool *found);
void stream_take(struct stream *stream);

/* What follows `word` on the current line, or NULL if the line starts otherwise. */
const char *stream_after(const struct stream *stream, const char *word);

/* Takes the next line if it starts with `word` and gives its rest, which lasts until the next line
 * is looked at; else NULL, also at the end. */
enum fast_export_status stream_match(struct stream *stream, const char *word, const char **rest);

/* Says that `what` belongs where the present line, or the end, is. */
enum fast_export_status stream_missing(struct stream *stream, const char *what);

/* Decimal digits, at least one, up to `end`. False also beyond 64 bits. */
bool stream_number(const char *text, const char *end, uint64_t *out);

/* One past the current line. */
const char *stream_line_end(const struct stream *stream);

/* Takes a `data` line; its bytes, at most `size_max`, are then read with stream_data. */
enum fast_export_status stream_begin_data(struct stream *stream, uint64_t size_max);

/* 0 bytes: no more. */
enum fast_export_status stream_data(struct stream *stream, void *data, size_t capacity,
                                    size_t *size_out);
enum fast_export_status stream_skip_data(struct stream *stream);

#endif
