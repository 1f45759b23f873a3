#include "fast_export.h"

#include "stream.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { ID_DIGITS = 40 };

static const struct fast_export_limits default_limits = {
    .line_size = 256 * 1024,
    .path_size = 16384,
    .message_size = (size_t)16 << 20,
    .data_size = ((uint64_t)1 << 30) - 16, /* The mode goes before it, in one value. */
    .merge_count = 4096,
};

struct fast_export {
    struct stream stream;
    struct fast_export_limits limits;
    bool in_commit;
    bool done_promised;
    enum fast_export_status final; /* Not OK once the stream is over. */
    struct stream_text name, author, committer, encoding, message, path, source;
    struct fast_export_object *merges; /* [merge_capacity] */
    size_t merge_capacity;
};

static struct fast_export_text text_view(const struct stream_text *text)
{
    return (struct fast_export_text){text->size > 0 ? text->data : "", text->size};
}

/* ---- Words --------------------------------------------------------------------------------- */

static bool parse_id(const char *text, const char *end, char out[ID_DIGITS + 1])
{
    if (end - text != ID_DIGITS)
        return false;
    for (size_t i = 0; i < ID_DIGITS; i++)
        if (!((text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f')))
            return false;
    memcpy(out, text, ID_DIGITS);
    out[ID_DIGITS] = '\0';
    return true;
}

/* Mark 0 is none. */
static bool parse_mark(const char *text, const char *end, uint64_t *out)
{
    return stream_number(text, end, out) && *out != 0;
}

static enum fast_export_status parse_object(struct fast_export *reader, const char *text,
                                            const char *end, struct fast_export_object *out)
{
    *out = (struct fast_export_object){0};
    if (text < end && *text == ':') {
        out->link = FAST_EXPORT_MARK;
        if (!parse_mark(text + 1, end, &out->mark))
            return stream_stop(&reader->stream, FAST_EXPORT_MALFORMED, "not a mark");
        return FAST_EXPORT_OK;
    }
    out->link = FAST_EXPORT_ID;
    if (parse_id(text, end, out->id))
        return FAST_EXPORT_OK;
    return stream_stop(&reader->stream, FAST_EXPORT_UNSUPPORTED,
                       "an object given neither by mark nor by 40 digits");
}

static bool is_octal(char byte)
{
    return byte >= '0' && byte <= '7';
}

/* What stands after a backslash. Returns the bytes used, 0 if it is no escape of C's. */
static size_t unescape(const char *text, const char *end, char *out)
{
    static const char letters[] = "abfnrtv\\\"";
    static const char meanings[] = "\a\b\f\n\r\t\v\\\"";
    if (text == end)
        return 0;
    const char *letter = strchr(letters, *text);
    if (letter != NULL && *letter != '\0') {
        *out = meanings[letter - letters];
        return 1;
    }
    if (end - text < 3 || *text > '3' || !is_octal(text[0]) || !is_octal(text[1]) ||
        !is_octal(text[2]))
        return 0;
    *out = (char)(unsigned char)((text[0] - '0') << 6 | (text[1] - '0') << 3 | (text[2] - '0'));
    return 3;
}

/* Takes "..." with C's escapes off the front of `*text`. */
static enum fast_export_status parse_quoted(struct fast_export *reader, const char **text,
                                            const char *end, struct stream_text *out)
{
    const char *at = *text + 1;
    TRY_STREAM(stream_text_set(&reader->stream, out, "", 0));
    while (at < end && *at != '"') {
        char byte = *at++;
        if (byte == '\\') {
            const size_t used = unescape(at, end, &byte);
            if (used == 0)
                return stream_stop(&reader->stream, FAST_EXPORT_MALFORMED,
                                   "a bad escape in a quoted path");
            at += used;
        }
        TRY_STREAM(stream_text_add(&reader->stream, out, &byte, 1));
    }
    if (at == end)
        return stream_stop(&reader->stream, FAST_EXPORT_MALFORMED, "a quoted path without its end");
    *text = at + 1;
    return FAST_EXPORT_OK;
}

/* A path that a tree can hold: parts between slashes, none empty, no zero bytes. */
static enum fast_export_status check_path(struct fast_export *reader,
                                          const struct stream_text *path)
{
    bool part_empty = true;
    if (path->size > reader->limits.path_size)
        return stream_stop(&reader->stream, FAST_EXPORT_TOO_BIG, "a path of %zu bytes, limit %zu",
                           path->size, reader->limits.path_size);
    for (size_t i = 0; i < path->size; i++) {
        const bool slash = path->data[i] == '/';
        if (path->data[i] == '\0' || (slash && part_empty))
            return stream_stop(&reader->stream, FAST_EXPORT_MALFORMED,
                               "a path with an empty part or a zero byte");
        part_empty = slash;
    }
    if (part_empty)
        return stream_stop(&reader->stream, FAST_EXPORT_MALFORMED,
                           "an empty path, or one ending in a slash");
    return FAST_EXPORT_OK;
}

/* Takes one path off the front of `*text`. Without quotes it goes to the end of the line, or to the
 * first space if another is to follow. */
static enum fast_export_status parse_path(struct fast_export *reader, const char **text,
                                          const char *end, bool another_follows,
                                          struct stream_text *out)
{
    if (*text < end && **text == '"') {
        TRY_STREAM(parse_quoted(reader, text, end, out));
    } else {
        const char *space = another_follows ? memchr(*text, ' ', (size_t)(end - *text)) : NULL;
        const char *path_end = space != NULL ? space : end;
        TRY_STREAM(stream_text_set(&reader->stream, out, *text, (size_t)(path_end - *text)));
        *text = path_end;
    }
    TRY_STREAM(check_path(reader, out));
    if (another_follows) {
        if (*text == end || **text != ' ')
            return stream_stop(&reader->stream, FAST_EXPORT_MALFORMED, "one path where two belong");
        ++*text;
    } else if (*text != end) {
        return stream_stop(&reader->stream, FAST_EXPORT_MALFORMED, "bytes after a path");
    }
    return FAST_EXPORT_OK;
}

static enum fast_export_status parse_mode(struct fast_export *reader, const char *text,
                                          const char *end, uint32_t *out)
{
    static const struct {
        const char *text;
        uint32_t mode;
    } modes[] = {{"100644", 0100644}, {"644", 0100644},    {"100755", 0100755},
                 {"755", 0100755},    {"120000", 0120000}, {"160000", 0160000}};
    const size_t size = (size_t)(end - text);
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
        if (strlen(modes[i].text) == size && memcmp(modes[i].text, text, size) == 0) {
            *out = modes[i].mode;
            return FAST_EXPORT_OK;
        }
    if (size >= 5 && memcmp(end - 5, "40000", 5) == 0)
        return stream_stop(&reader->stream, FAST_EXPORT_UNSUPPORTED,
                           "a whole folder given by its tree");
    return stream_stop(&reader->stream, FAST_EXPORT_MALFORMED, "an unknown file mode");
}

/* ---- Lines of a commit or tag -------------------------------------------------------------- */

/* The optional lines `mark` and `original-oid`. */
static enum fast_export_status parse_identity(struct fast_export *reader,
                                              struct fast_export_event *event)
{
    const char *rest;
    TRY_STREAM(stream_match(&reader->stream, "mark :", &rest));
    if (rest != NULL && !parse_mark(rest, stream_line_end(&reader->stream), &event->mark))
        return stream_stop(&reader->stream, FAST_EXPORT_MALFORMED, "not a mark");
    TRY_STREAM(stream_match(&reader->stream, "original-oid ", &rest));
    if (rest != NULL && !parse_id(rest, stream_line_end(&reader->stream), event->id))
        return stream_stop(&reader->stream, FAST_EXPORT_UNSUPPORTED,
                           "an original-oid that is no SHA-1");
    return FAST_EXPORT_OK;
}

/* A line that may be there, whose rest is kept as it is. */
static enum fast_export_status parse_line(struct fast_export *reader, const char *word,
                                          struct stream_text *out)
{
    const char *rest;
    out->size = 0;
    TRY_STREAM(stream_match(&reader->stream, word, &rest));
    if (rest == NULL)
        return FAST_EXPORT_OK;
    return stream_text_set(&reader->stream, out, rest,
                           (size_t)(stream_line_end(&reader->stream) - rest));
}

static enum fast_export_status parse_from(struct fast_export *reader,
                                          struct fast_export_object *out)
{
    const char *rest;
    TRY_STREAM(stream_match(&reader->stream, "from ", &rest));
    if (rest == NULL)
        return FAST_EXPORT_OK;
    return parse_object(reader, rest, stream_line_end(&reader->stream), out);
}

static enum fast_export_status merges_reserve(struct fast_export *reader, size_t count)
{
    if (count > reader->limits.merge_count)
        return stream_stop(&reader->stream, FAST_EXPORT_TOO_BIG, "a merge of over %zu commits",
                           reader->limits.merge_count);
    if (count <= reader->merge_capacity)
        return FAST_EXPORT_OK;
    const size_t capacity = reader->merge_capacity > 0 ? reader->merge_capacity * 2 : 8;
    struct fast_export_object *grown =
        realloc(reader->merges, capacity * sizeof(struct fast_export_object));
    if (grown == NULL)
        return stream_stop(&reader->stream, FAST_EXPORT_NO_MEMORY, "no memory for %zu parents",
                           capacity);
    reader->merges = grown;
    reader->merge_capacity = capacity;
    return FAST_EXPORT_OK;
}

static enum fast_export_status parse_merges(struct fast_export *reader,
                                            struct fast_export_event *event)
{
    for (;;) {
        const char *rest;
        TRY_STREAM(stream_match(&reader->stream, "merge ", &rest));
        if (rest == NULL)
            return FAST_EXPORT_OK;
        TRY_STREAM(merges_reserve(reader, event->merge_count + 1));
        TRY_STREAM(parse_object(reader, rest, stream_line_end(&reader->stream),
                                &reader->merges[event->merge_count]));
        event->merge_count++;
        event->merges = reader->merges;
    }
}

/* A signature says nothing about the files. */
static enum fast_export_status skip_signatures(struct fast_export *reader)
{
    for (;;) {
        const char *rest;
        TRY_STREAM(stream_match(&reader->stream, "gpgsig ", &rest));
        if (rest == NULL)
            return FAST_EXPORT_OK;
        TRY_STREAM(stream_begin_data(&reader->stream, reader->limits.message_size));
        TRY_STREAM(stream_skip_data(&reader->stream));
    }
}

static enum fast_export_status parse_message(struct fast_export *reader)
{
    char piece[4096];
    TRY_STREAM(stream_begin_data(&reader->stream, reader->limits.message_size));
    TRY_STREAM(stream_text_set(&reader->stream, &reader->message, "", 0));
    for (;;) {
        size_t size;
        TRY_STREAM(stream_data(&reader->stream, piece, sizeof(piece), &size));
        if (size == 0)
            return FAST_EXPORT_OK;
        TRY_STREAM(stream_text_add(&reader->stream, &reader->message, piece, size));
    }
}

/* ---- Commands ------------------------------------------------------------------------------ */

static enum fast_export_status parse_commit(struct fast_export *reader,
                                            struct fast_export_event *event)
{
    event->kind = FAST_EXPORT_COMMIT;
    TRY_STREAM(parse_line(reader, "commit ", &reader->name));
    TRY_STREAM(parse_identity(reader, event));
    TRY_STREAM(parse_line(reader, "author ", &reader->author));
    TRY_STREAM(parse_line(reader, "committer ", &reader->committer));
    if (reader->committer.size == 0)
        return stream_missing(&reader->stream, "committer");
    TRY_STREAM(skip_signatures(reader));
    TRY_STREAM(parse_line(reader, "encoding ", &reader->encoding));
    TRY_STREAM(parse_message(reader));
    TRY_STREAM(parse_from(reader, &event->from));
    TRY_STREAM(parse_merges(reader, event));
    event->name = text_view(&reader->name);
    event->author = text_view(&reader->author);
    event->committer = text_view(&reader->committer);
    event->encoding = text_view(&reader->encoding);
    event->message = text_view(&reader->message);
    reader->in_commit = true;
    return FAST_EXPORT_OK;
}

static enum fast_export_status parse_tag(struct fast_export *reader,
                                         struct fast_export_event *event)
{
    event->kind = FAST_EXPORT_TAG;
    TRY_STREAM(parse_line(reader, "tag ", &reader->name));
    TRY_STREAM(parse_identity(reader, event));
    TRY_STREAM(parse_from(reader, &event->from));
    if (event->from.link == FAST_EXPORT_NOTHING)
        return stream_missing(&reader->stream, "target of a tag");
    TRY_STREAM(parse_identity(reader, event));
    TRY_STREAM(parse_line(reader, "tagger ", &reader->committer));
    TRY_STREAM(parse_message(reader));
    event->name = text_view(&reader->name);
    event->committer = text_view(&reader->committer);
    event->message = text_view(&reader->message);
    return FAST_EXPORT_OK;
}

static enum fast_export_status parse_reset(struct fast_export *reader,
                                           struct fast_export_event *event)
{
    event->kind = FAST_EXPORT_RESET;
    TRY_STREAM(parse_line(reader, "reset ", &reader->name));
    TRY_STREAM(parse_from(reader, &event->from));
    event->name = text_view(&reader->name);
    return FAST_EXPORT_OK;
}

static enum fast_export_status parse_blob(struct fast_export *reader,
                                          struct fast_export_event *event)
{
    event->kind = FAST_EXPORT_BLOB;
    stream_take(&reader->stream);
    TRY_STREAM(parse_identity(reader, event));
    return stream_begin_data(&reader->stream, reader->limits.data_size);
}

/* `M mode object path`. */
static enum fast_export_status parse_modify(struct fast_export *reader, const char *text,
                                            struct fast_export_event *event)
{
    const char *end = stream_line_end(&reader->stream);
    const char *mode_end = memchr(text, ' ', (size_t)(end - text));
    event->kind = FAST_EXPORT_MODIFY;
    if (mode_end == NULL)
        return stream_stop(&reader->stream, FAST_EXPORT_MALFORMED, "a change without an object");
    TRY_STREAM(parse_mode(reader, text, mode_end, &event->mode));
    const char *object = mode_end + 1;
    const char *object_end = memchr(object, ' ', (size_t)(end - object));
    if (object_end == NULL)
        return stream_stop(&reader->stream, FAST_EXPORT_MALFORMED, "a change without a path");
    if (object_end - object == 6 && memcmp(object, "inline", 6) == 0)
        event->object.link = FAST_EXPORT_INLINE;
    else
        TRY_STREAM(parse_object(reader, object, object_end, &event->object));
    if (event->mode == 0160000 && event->object.link != FAST_EXPORT_ID)
        return stream_stop(&reader->stream, FAST_EXPORT_UNSUPPORTED,
                           "a submodule not given by 40 digits");
    if (event->mode != 0160000 && event->object.link == FAST_EXPORT_ID)
        return stream_stop(&reader->stream, FAST_EXPORT_UNSUPPORTED,
                           "a file whose content is not in the stream");
    const char *path = object_end + 1;
    TRY_STREAM(parse_path(reader, &path, end, false, &reader->path));
    event->path = text_view(&reader->path);
    if (event->object.link == FAST_EXPORT_INLINE)
        TRY_STREAM(stream_begin_data(&reader->stream, reader->limits.data_size));
    return FAST_EXPORT_OK;
}

static enum fast_export_status parse_delete(struct fast_export *reader, const char *text,
                                            struct fast_export_event *event)
{
    event->kind = FAST_EXPORT_DELETE;
    TRY_STREAM(parse_path(reader, &text, stream_line_end(&reader->stream), false, &reader->path));
    event->path = text_view(&reader->path);
    return FAST_EXPORT_OK;
}

static enum fast_export_status parse_move(struct fast_export *reader, const char *text,
                                          enum fast_export_kind kind,
                                          struct fast_export_event *event)
{
    const char *end = stream_line_end(&reader->stream);
    event->kind = kind;
    TRY_STREAM(parse_path(reader, &text, end, true, &reader->source));
    TRY_STREAM(parse_path(reader, &text, end, false, &reader->path));
    event->source = text_view(&reader->source);
    event->path = text_view(&reader->path);
    return FAST_EXPORT_OK;
}

/* The next change of the commit, or its end: an empty line, or anything that is not a change. */
static enum fast_export_status parse_change(struct fast_export *reader,
                                            struct fast_export_event *event)
{
    struct stream *stream = &reader->stream;
    const char *rest;
    TRY_STREAM(stream_match(stream, "M ", &rest));
    if (rest != NULL)
        return parse_modify(reader, rest, event);
    TRY_STREAM(stream_match(stream, "D ", &rest));
    if (rest != NULL)
        return parse_delete(reader, rest, event);
    TRY_STREAM(stream_match(stream, "R ", &rest));
    if (rest != NULL)
        return parse_move(reader, rest, FAST_EXPORT_RENAME, event);
    TRY_STREAM(stream_match(stream, "C ", &rest));
    if (rest != NULL)
        return parse_move(reader, rest, FAST_EXPORT_COPY, event);
    TRY_STREAM(stream_match(stream, "N ", &rest));
    if (rest != NULL)
        return stream_stop(stream, FAST_EXPORT_UNSUPPORTED, "a note given as a note");
    TRY_STREAM(stream_match(stream, "deleteall", &rest));
    if (rest != NULL && rest != stream_line_end(stream))
        return stream_stop(stream, FAST_EXPORT_MALFORMED, "bytes after deleteall");
    event->kind = rest != NULL ? FAST_EXPORT_DELETE_ALL : FAST_EXPORT_COMMIT_END;
    reader->in_commit = rest != NULL;
    return FAST_EXPORT_OK;
}

/* Commands that change nothing here. `known` is false, and the line not taken, if it is another. */
static enum fast_export_status parse_aside(struct fast_export *reader, bool *known)
{
    static const char *const asides[] = {"#", "progress ", "checkpoint", "feature date-format=raw",
                                         "option git quiet"};
    struct stream *stream = &reader->stream;
    const char *rest;
    *known = true;
    if (stream->line.size == 0) {
        stream_take(stream);
        return FAST_EXPORT_OK;
    }
    TRY_STREAM(stream_match(stream, "feature done", &rest));
    if (rest != NULL) {
        reader->done_promised = true;
        return FAST_EXPORT_OK;
    }
    for (size_t i = 0; i < sizeof(asides) / sizeof(asides[0]); i++) {
        TRY_STREAM(stream_match(stream, asides[i], &rest));
        if (rest != NULL)
            return FAST_EXPORT_OK;
    }
    *known = false;
    return FAST_EXPORT_OK;
}

static enum fast_export_status parse_end(struct fast_export *reader, bool done_said)
{
    if (reader->done_promised && !done_said)
        return stream_stop(&reader->stream, FAST_EXPORT_CUT_SHORT,
                           "the stream ends without the promised done");
    return FAST_EXPORT_END;
}

static enum fast_export_status parse_command(struct fast_export *reader,
                                             struct fast_export_event *event)
{
    struct stream *stream = &reader->stream;
    bool found, known = true;
    while (known) {
        TRY_STREAM(stream_peek(stream, &found));
        if (!found)
            return parse_end(reader, false);
        TRY_STREAM(parse_aside(reader, &known));
    }
    if (stream_after(stream, "blob") == stream_line_end(stream))
        return parse_blob(reader, event);
    if (stream_after(stream, "commit ") != NULL)
        return parse_commit(reader, event);
    if (stream_after(stream, "reset ") != NULL)
        return parse_reset(reader, event);
    if (stream_after(stream, "tag ") != NULL)
        return parse_tag(reader, event);
    if (stream_after(stream, "done") == stream_line_end(stream))
        return parse_end(reader, true);
    static const char *const others[] = {"feature ",  "option ",   "alias",
                                         "get-mark ", "cat-blob ", "ls "};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (stream_after(stream, others[i]) != NULL)
            return stream_stop(stream, FAST_EXPORT_UNSUPPORTED, "the command %s", others[i]);
    return stream_stop(stream, FAST_EXPORT_MALFORMED, "an unknown command");
}

/* ---- Public -------------------------------------------------------------------------------- */

static struct fast_export_limits limits_or_defaults(const struct fast_export_limits *limits)
{
    struct fast_export_limits result = default_limits;
    if (limits == NULL)
        return result;
    if (limits->line_size > 0)
        result.line_size = limits->line_size;
    if (limits->path_size > 0)
        result.path_size = limits->path_size;
    if (limits->message_size > 0)
        result.message_size = limits->message_size;
    if (limits->data_size > 0)
        result.data_size = limits->data_size;
    if (limits->merge_count > 0)
        result.merge_count = limits->merge_count;
    return result;
}

struct fast_export *fast_export_create(fast_export_read read, void *context,
                                       const struct fast_export_limits *limits)
{
    struct fast_export *reader = calloc(1, sizeof(struct fast_export));
    if (reader == NULL)
        return NULL;
    reader->limits = limits_or_defaults(limits);
    reader->stream.read = read;
    reader->stream.context = context;
    reader->stream.line_size_max = reader->limits.line_size;
    return reader;
}

void fast_export_destroy(struct fast_export *reader)
{
    if (reader == NULL)
        return;
    stream_release(&reader->stream);
    stream_text_release(&reader->name);
    stream_text_release(&reader->author);
    stream_text_release(&reader->committer);
    stream_text_release(&reader->encoding);
    stream_text_release(&reader->message);
    stream_text_release(&reader->path);
    stream_text_release(&reader->source);
    free(reader->merges);
    free(reader);
}

enum fast_export_status fast_export_next(struct fast_export *reader, struct fast_export_event *out)
{
    struct fast_export_event event = {0};
    if (reader->final != FAST_EXPORT_OK)
        return reader->final;
    reader->final = stream_skip_data(&reader->stream);
    if (reader->final == FAST_EXPORT_OK)
        reader->final =
            reader->in_commit ? parse_change(reader, &event) : parse_command(reader, &event);
    if (reader->final == FAST_EXPORT_OK)
        *out = event;
    return reader->final;
}

enum fast_export_status fast_export_data(struct fast_export *reader, void *data, size_t capacity,
                                         size_t *size_out)
{
    *size_out = 0;
    if (reader->final != FAST_EXPORT_OK)
        return reader->final;
    if (reader->stream.data_form == STREAM_DATA_NONE)
        return FAST_EXPORT_OK;
    reader->final = stream_data(&reader->stream, data, capacity, size_out);
    return reader->final;
}

const char *fast_export_message(const struct fast_export *reader)
{
    return reader->stream.message;
}
