/* The reader of git's export streams, on any bytes, with small limits and short reads. */
#include "../../docs/demo/fast_export.h"

#include "../../docs/demo/fast_export.c"
#include "../../docs/demo/stream.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz_input {
    const uint8_t *data;
    size_t size;
    size_t read_size_max;
};

static int read_input(void *context, void *data, size_t capacity, size_t *size_out)
{
    struct fuzz_input *input = context;
    size_t size = input->size < capacity ? input->size : capacity;
    if (size > input->read_size_max)
        size = input->read_size_max;
    if (size > 0)
        memcpy(data, input->data, size);
    input->data += size;
    input->size -= size;
    *size_out = size;
    return 0;
}

static void require(bool holds)
{
    if (!holds)
        abort();
}

/* Reads every byte, so that the sanitizer sees a view that is wrong. */
static void touch(struct fast_export_text text)
{
    volatile unsigned char sum = 0;
    for (size_t i = 0; i < text.size; i++)
        sum = (unsigned char)(sum + (unsigned char)text.data[i]);
}

static void check_fuzzed_path(struct fast_export_text path, bool needed)
{
    require((path.size > 0) == needed && path.size <= 64);
    if (needed)
        require(path.data[0] != '/' && path.data[path.size - 1] != '/' &&
                memchr(path.data, '\0', path.size) == NULL);
}

static void check_event(const struct fast_export_event *event)
{
    const bool moves = event->kind == FAST_EXPORT_RENAME || event->kind == FAST_EXPORT_COPY;
    check_fuzzed_path(event->source, moves);
    check_fuzzed_path(event->path, moves || event->kind == FAST_EXPORT_MODIFY ||
                                       event->kind == FAST_EXPORT_DELETE);
    require(event->message.size <= 200 && event->merge_count <= 3);
    touch(event->name);
    touch(event->author);
    touch(event->committer);
    touch(event->encoding);
    touch(event->message);
    for (size_t i = 0; i < event->merge_count; i++)
        require(event->merges[i].link == FAST_EXPORT_MARK ||
                event->merges[i].link == FAST_EXPORT_ID);
}

static void read_content(struct fast_export *reader)
{
    uint8_t piece[7];
    uint64_t total = 0;
    size_t size;
    while (fast_export_data(reader, piece, sizeof(piece), &size) == FAST_EXPORT_OK && size > 0) {
        require(size <= sizeof(piece));
        total += size;
    }
    require(total <= 1000);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct fast_export_limits limits = {.line_size = 200,
                                              .path_size = 64,
                                              .message_size = 200,
                                              .data_size = 1000,
                                              .merge_count = 3};
    struct fuzz_input input = {data, size, size % 3 == 0 ? 1 : 100};
    struct fast_export *reader = fast_export_create(read_input, &input, &limits);
    struct fast_export_event event;
    enum fast_export_status status;
    bool in_commit = false;
    if (reader == NULL)
        return 0;
    while ((status = fast_export_next(reader, &event)) == FAST_EXPORT_OK) {
        const bool top = event.kind == FAST_EXPORT_BLOB || event.kind == FAST_EXPORT_COMMIT ||
                         event.kind == FAST_EXPORT_TAG || event.kind == FAST_EXPORT_RESET;
        require(top == !in_commit);
        in_commit =
            event.kind == FAST_EXPORT_COMMIT || (in_commit && event.kind != FAST_EXPORT_COMMIT_END);
        check_event(&event);
        if (event.mark % 2 == 1 || event.object.link == FAST_EXPORT_INLINE)
            read_content(reader);
    }
    require(fast_export_next(reader, &event) == status);
    require((status == FAST_EXPORT_END) == (fast_export_message(reader)[0] == '\0'));
    fast_export_destroy(reader);
    return 0;
}
