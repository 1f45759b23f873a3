#include "stream.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void stream_release(struct stream *stream)
{
    stream_text_release(&stream->line);
    stream_text_release(&stream->piece);
    stream_text_release(&stream->delimiter);
}

enum fast_export_status stream_stop(struct stream *stream, enum fast_export_status status,
                                    const char *format, ...)
{
    char text[200];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    (void)snprintf(stream->message, sizeof(stream->message), "line %" PRIu64 ": %s",
                   stream->line_number, text);
    return status;
}

/* ---- Text ---------------------------------------------------------------------------------- */

static bool text_grow(struct stream_text *text, const char *data, size_t size)
{
    if (size >= text->capacity - text->size || text->capacity == 0) {
        size_t capacity = text->capacity > 0 ? text->capacity : 128;
        while (capacity - text->size <= size)
            capacity *= 2;
        char *grown = realloc(text->data, capacity);
        if (grown == NULL)
            return false;
        text->data = grown;
        text->capacity = capacity;
    }
    if (size > 0)
        memcpy(text->data + text->size, data, size);
    text->size += size;
    text->data[text->size] = '\0';
    return true;
}

enum fast_export_status stream_text_add(struct stream *stream, struct stream_text *text,
                                        const char *data, size_t size)
{
    if (!text_grow(text, data, size))
        return stream_stop(stream, FAST_EXPORT_NO_MEMORY, "no memory for %zu bytes",
                           text->size + size);
    return FAST_EXPORT_OK;
}

enum fast_export_status stream_text_set(struct stream *stream, struct stream_text *text,
                                        const char *data, size_t size)
{
    text->size = 0;
    return stream_text_add(stream, text, data, size);
}

void stream_text_release(struct stream_text *text)
{
    free(text->data);
    *text = (struct stream_text){0};
}

/* ---- Input --------------------------------------------------------------------------------- */

/* Leaves at least one unread byte, unless the input has ended. */
static enum fast_export_status input_fill(struct stream *stream)
{
    if (stream->input_begin < stream->input_end || stream->input_ended)
        return FAST_EXPORT_OK;
    size_t size = 0;
    if (stream->read(stream->context, stream->input, STREAM_INPUT_SIZE, &size) != 0)
        return stream_stop(stream, FAST_EXPORT_READ_FAILED, "the stream cannot be read");
    assert(size <= STREAM_INPUT_SIZE);
    stream->input_begin = 0;
    stream->input_end = size;
    stream->input_ended = size == 0;
    return FAST_EXPORT_OK;
}

/* Adds input to `text` up to a newline, which is taken and left out. `found` is false at the end of
 * the input. */
static enum fast_export_status input_line(struct stream *stream, struct stream_text *text,
                                          bool *found)
{
    *found = false;
    text->size = 0;
    for (;;) {
        TRY_STREAM(input_fill(stream));
        if (stream->input_ended)
            break;
        const char *begin = (const char *)stream->input + stream->input_begin;
        const size_t available = stream->input_end - stream->input_begin;
        const char *newline = memchr(begin, '\n', available);
        const size_t size = newline != NULL ? (size_t)(newline - begin) : available;
        if (text->size + size > stream->line_size_max)
            return stream_stop(stream, FAST_EXPORT_TOO_BIG, "a line of over %zu bytes",
                               stream->line_size_max);
        TRY_STREAM(stream_text_add(stream, text, begin, size));
        stream->input_begin += size;
        if (newline != NULL) {
            stream->input_begin++;
            stream->line_number++;
            *found = true;
            return FAST_EXPORT_OK;
        }
    }
    if (text->size > 0)
        return stream_stop(stream, FAST_EXPORT_CUT_SHORT, "the stream ends inside a line");
    return FAST_EXPORT_OK;
}

enum fast_export_status stream_peek(struct stream *stream, bool *found)
{
    *found = true;
    if (stream->line_held)
        return FAST_EXPORT_OK;
    TRY_STREAM(input_line(stream, &stream->line, found));
    if (!*found)
        return FAST_EXPORT_OK;
    if (memchr(stream->line.data, '\0', stream->line.size) != NULL)
        return stream_stop(stream, FAST_EXPORT_MALFORMED, "a zero byte in a command");
    stream->line_held = true;
    return FAST_EXPORT_OK;
}

void stream_take(struct stream *stream)
{
    assert(stream->line_held);
    stream->line_held = false;
}

const char *stream_after(const struct stream *stream, const char *word)
{
    const size_t size = strlen(word);
    assert(stream->line_held);
    if (stream->line.size < size || memcmp(stream->line.data, word, size) != 0)
        return NULL;
    return stream->line.data + size;
}

enum fast_export_status stream_match(struct stream *stream, const char *word, const char **rest)
{
    bool found;
    *rest = NULL;
    TRY_STREAM(stream_peek(stream, &found));
    if (!found)
        return FAST_EXPORT_OK;
    *rest = stream_after(stream, word);
    if (*rest != NULL)
        stream_take(stream);
    return FAST_EXPORT_OK;
}

const char *stream_line_end(const struct stream *stream)
{
    return stream->line.data + stream->line.size;
}

enum fast_export_status stream_missing(struct stream *stream, const char *what)
{
    if (stream->line_held)
        return stream_stop(stream, FAST_EXPORT_MALFORMED, "no %s where one belongs", what);
    return stream_stop(stream, FAST_EXPORT_CUT_SHORT, "the stream ends where %s belongs", what);
}

bool stream_number(const char *text, const char *end, uint64_t *out)
{
    uint64_t value = 0;
    if (text == end)
        return false;
    for (; text < end; text++) {
        if (*text < '0' || *text > '9')
            return false;
        const uint64_t digit = (uint64_t)(*text - '0');
        if (value > (UINT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *out = value;
    return true;
}

/* ---- Data ---------------------------------------------------------------------------------- */

enum fast_export_status stream_begin_data(struct stream *stream, uint64_t size_max)
{
    const char *rest;
    TRY_STREAM(stream_match(stream, "data ", &rest));
    if (rest == NULL)
        return stream_missing(stream, "data");
    const char *end = stream_line_end(stream);
    if (end - rest > 2 && memcmp(rest, "<<", 2) == 0) {
        stream->data_form = STREAM_DATA_DELIMITED;
        stream->data_left = size_max;
        stream->piece.size = 0;
        stream->piece_offset = 0;
        return stream_text_set(stream, &stream->delimiter, rest + 2, (size_t)(end - rest) - 2);
    }
    if (!stream_number(rest, end, &stream->data_left))
        return stream_stop(stream, FAST_EXPORT_MALFORMED, "data without a size");
    if (stream->data_left > size_max)
        return stream_stop(stream, FAST_EXPORT_TOO_BIG, "data of %" PRIu64 " bytes, limit %" PRIu64,
                           stream->data_left, size_max);
    stream->data_form = STREAM_DATA_COUNTED;
    return FAST_EXPORT_OK;
}

/* A newline after counted data is not part of it. */
static enum fast_export_status end_counted_data(struct stream *stream)
{
    stream->data_form = STREAM_DATA_NONE;
    TRY_STREAM(input_fill(stream));
    if (!stream->input_ended && stream->input[stream->input_begin] == '\n') {
        stream->input_begin++;
        stream->line_number++;
    }
    return FAST_EXPORT_OK;
}

static enum fast_export_status counted_data(struct stream *stream, char *data, size_t capacity,
                                            size_t *size_out)
{
    if (stream->data_left == 0)
        return end_counted_data(stream);
    TRY_STREAM(input_fill(stream));
    if (stream->input_ended)
        return stream_stop(stream, FAST_EXPORT_CUT_SHORT,
                           "the stream ends %" PRIu64 " bytes before data does", stream->data_left);
    size_t size = stream->input_end - stream->input_begin;
    if (size > capacity)
        size = capacity;
    if (size > stream->data_left)
        size = (size_t)stream->data_left;
    const uint8_t *from = stream->input + stream->input_begin;
    for (size_t i = 0; i < size; i++)
        stream->line_number += from[i] == '\n';
    memcpy(data, from, size);
    stream->input_begin += size;
    stream->data_left -= size;
    *size_out = size;
    return FAST_EXPORT_OK;
}

static enum fast_export_status delimited_data(struct stream *stream, char *data, size_t capacity,
                                              size_t *size_out)
{
    if (stream->piece_offset == stream->piece.size) {
        bool found;
        TRY_STREAM(input_line(stream, &stream->piece, &found));
        if (!found)
            return stream_stop(stream, FAST_EXPORT_CUT_SHORT, "the stream ends before data does");
        stream->piece_offset = 0;
        if (stream->piece.size == stream->delimiter.size &&
            memcmp(stream->piece.data, stream->delimiter.data, stream->piece.size) == 0) {
            stream->data_form = STREAM_DATA_NONE;
            return FAST_EXPORT_OK;
        }
        TRY_STREAM(stream_text_add(stream, &stream->piece, "\n", 1));
        if (stream->piece.size > stream->data_left)
            return stream_stop(stream, FAST_EXPORT_TOO_BIG, "data beyond its limit");
        stream->data_left -= stream->piece.size;
    }
    size_t size = stream->piece.size - stream->piece_offset;
    if (size > capacity)
        size = capacity;
    memcpy(data, stream->piece.data + stream->piece_offset, size);
    stream->piece_offset += size;
    *size_out = size;
    return FAST_EXPORT_OK;
}

enum fast_export_status stream_data(struct stream *stream, void *data, size_t capacity,
                                    size_t *size_out)
{
    assert(capacity > 0 && !stream->line_held);
    *size_out = 0;
    if (stream->data_form == STREAM_DATA_COUNTED)
        return counted_data(stream, data, capacity, size_out);
    if (stream->data_form == STREAM_DATA_DELIMITED)
        return delimited_data(stream, data, capacity, size_out);
    return FAST_EXPORT_OK;
}

enum fast_export_status stream_skip_data(struct stream *stream)
{
    char ignored[4096];
    size_t size;
    while (stream->data_form != STREAM_DATA_NONE)
        TRY_STREAM(stream_data(stream, ignored, sizeof(ignored), &size));
    return FAST_EXPORT_OK;
}
