#include "support.h"

#include "../../docs/demo/fast_export.c"
#include "../../docs/demo/stream.c"

struct test_input {
    const char *data;
    size_t size;
    size_t read_size; /* Bytes per read. */
};

static int read_test_input(void *context, void *data, size_t capacity, size_t *size_out)
{
    struct test_input *input = context;
    size_t size = input->size < capacity ? input->size : capacity;
    if (size > input->read_size)
        size = input->read_size;
    memcpy(data, input->data, size);
    input->data += size;
    input->size -= size;
    *size_out = size;
    return 0;
}

static int refuse_to_read(void *context, void *data, size_t capacity, size_t *size_out)
{
    (void)context, (void)data, (void)capacity, (void)size_out;
    return -1;
}

/* A reader of `text`, which is read so many bytes at a time. */
static struct fast_export *reader_of(struct test_input *input, const char *text, size_t read_size,
                                     const struct fast_export_limits *limits)
{
    *input = (struct test_input){text, strlen(text), read_size};
    struct fast_export *reader = fast_export_create(read_test_input, input, limits);
    assert_non_null(reader);
    return reader;
}

static struct fast_export_event expect_event(struct fast_export *reader, enum fast_export_kind kind)
{
    struct fast_export_event event;
    const enum fast_export_status status = fast_export_next(reader, &event);
    if (status != FAST_EXPORT_OK)
        print_error("%s\n", fast_export_message(reader));
    assert_int_equal(status, FAST_EXPORT_OK);
    assert_int_equal(event.kind, kind);
    return event;
}

static void expect_text(struct fast_export_text text, const char *expected)
{
    assert_int_equal(text.size, strlen(expected));
    assert_memory_equal(text.data, expected, text.size);
}

static void expect_content(struct fast_export *reader, const char *expected)
{
    char content[256];
    size_t total = 0, size;
    do {
        assert_int_equal(fast_export_data(reader, content + total, sizeof(content) - total, &size),
                         FAST_EXPORT_OK);
        total += size;
    } while (size > 0);
    expect_text((struct fast_export_text){content, total}, expected);
}

/* Reads on until the stream is over, taking no content. */
static enum fast_export_status status_of(const char *text, size_t size,
                                         const struct fast_export_limits *limits)
{
    struct test_input input = {text, size, 1000};
    struct fast_export *reader = fast_export_create(read_test_input, &input, limits);
    struct fast_export_event event;
    enum fast_export_status status;
    assert_non_null(reader);
    while ((status = fast_export_next(reader, &event)) == FAST_EXPORT_OK) {
    }
    assert_int_equal(fast_export_next(reader, &event), status);
    assert_int_equal(status == FAST_EXPORT_END, fast_export_message(reader)[0] == '\0');
    fast_export_destroy(reader);
    return status;
}

#define ID_1 "1111111111111111111111111111111111111111"
#define ID_2 "2222222222222222222222222222222222222222"

static void a_whole_stream_reads_as_it_was_written(void **state)
{
    (void)state;
    static const char text[] = "feature done\n"
                               "blob\nmark :1\noriginal-oid " ID_1 "\ndata 6\nhello\n\n"
                               "reset refs/heads/main\n"
                               "commit refs/heads/main\nmark :2\noriginal-oid " ID_2 "\n"
                               "author A U <a@b> 1 +0000\ncommitter C <c@d> 2 -0100\n"
                               "encoding latin1\ndata 4\nwhy\nfrom :7\nmerge :8\nmerge " ID_1 "\n"
                               "M 100755 :1 a b\nM 160000 " ID_2 " sub\nD \"x\\ty\\303\\244\"\n"
                               "R \"old name\" new name\nC a/b c/d\ndeleteall\n"
                               "M 644 inline in\ndata 3\nabc\n\n"
                               "progress half\ncheckpoint\n"
                               "tag v1\nfrom :2\noriginal-oid " ID_1 "\ntagger T <t@u> 3 +0000\n"
                               "data 3\ntag\nreset refs/heads/other\nfrom :2\n\ndone\n";
    for (size_t read_size = 1; read_size < 200; read_size += 6) {
        struct test_input input;
        struct fast_export *reader = reader_of(&input, text, read_size, NULL);
        struct fast_export_event event = expect_event(reader, FAST_EXPORT_BLOB);
        assert_int_equal(event.mark, 1);
        assert_string_equal(event.id, ID_1);
        expect_content(reader, "hello\n");
        event = expect_event(reader, FAST_EXPORT_RESET);
        expect_text(event.name, "refs/heads/main");
        assert_int_equal(event.from.link, FAST_EXPORT_NOTHING);
        event = expect_event(reader, FAST_EXPORT_COMMIT);
        expect_text(event.author, "A U <a@b> 1 +0000");
        expect_text(event.committer, "C <c@d> 2 -0100");
        expect_text(event.encoding, "latin1");
        expect_text(event.message, "why\n");
        assert_int_equal(event.from.mark, 7);
        assert_int_equal(event.merge_count, 2);
        assert_int_equal(event.merges[0].mark, 8);
        assert_string_equal(event.merges[1].id, ID_1);
        event = expect_event(reader, FAST_EXPORT_MODIFY);
        assert_int_equal(event.mode, 0100755);
        expect_text(event.path, "a b");
        event = expect_event(reader, FAST_EXPORT_MODIFY);
        assert_int_equal(event.mode, 0160000);
        assert_string_equal(event.object.id, ID_2);
        expect_text(expect_event(reader, FAST_EXPORT_DELETE).path, "x\ty\303\244");
        event = expect_event(reader, FAST_EXPORT_RENAME);
        expect_text(event.source, "old name");
        expect_text(event.path, "new name");
        expect_text(expect_event(reader, FAST_EXPORT_COPY).source, "a/b");
        (void)expect_event(reader, FAST_EXPORT_DELETE_ALL);
        event = expect_event(reader, FAST_EXPORT_MODIFY);
        assert_int_equal(event.object.link, FAST_EXPORT_INLINE);
        expect_text(event.path, "in");
        expect_content(reader, "abc");
        (void)expect_event(reader, FAST_EXPORT_COMMIT_END);
        event = expect_event(reader, FAST_EXPORT_TAG);
        expect_text(event.name, "v1");
        expect_text(event.message, "tag");
        assert_int_equal(expect_event(reader, FAST_EXPORT_RESET).from.mark, 2);
        assert_int_equal(fast_export_next(reader, &event), FAST_EXPORT_END);
        fast_export_destroy(reader);
    }
}

static void a_message_without_a_newline_ends_where_it_is_counted(void **state)
{
    (void)state;
    struct test_input input;
    struct fast_export *reader =
        reader_of(&input, "commit x\ncommitter C <c> 1 +0000\ndata 3\nabcfrom :1\nD y\n", 5, NULL);
    const struct fast_export_event event = expect_event(reader, FAST_EXPORT_COMMIT);
    expect_text(event.message, "abc");
    assert_int_equal(event.from.mark, 1);
    expect_text(expect_event(reader, FAST_EXPORT_DELETE).path, "y");
    (void)expect_event(reader, FAST_EXPORT_COMMIT_END);
    fast_export_destroy(reader);
}

static void delimited_data_ends_at_its_delimiter(void **state)
{
    (void)state;
    struct test_input input;
    struct fast_export *reader = reader_of(
        &input, "blob\nmark :1\ndata <<END\na\nEND \n\nEND\nblob\ndata <<E\nE\n", 3, NULL);
    (void)expect_event(reader, FAST_EXPORT_BLOB);
    expect_content(reader, "a\nEND \n\n");
    (void)expect_event(reader, FAST_EXPORT_BLOB);
    expect_content(reader, "");
    fast_export_destroy(reader);
}

static void content_that_nobody_asks_for_is_skipped(void **state)
{
    (void)state;
    static const char text[] =
        "blob\ndata 9\ncommit x\n\nblob\ndata <<E\nblob\nE\nblob\ndata 0\n\n";
    struct test_input input;
    struct fast_export_event event;
    struct fast_export *reader = reader_of(&input, text, 4, NULL);
    for (int i = 0; i < 3; i++)
        (void)expect_event(reader, FAST_EXPORT_BLOB);
    assert_int_equal(fast_export_next(reader, &event), FAST_EXPORT_END);
    fast_export_destroy(reader);
}

#define COMMIT "commit x\ncommitter C <c> 1 +0000\ndata 0\n\n"

static void bad_streams_end_with_their_kind_of_failure(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum fast_export_status expected;
    } cases[] = {
        {"", FAST_EXPORT_END},
        {"\n\n# a comment\n", FAST_EXPORT_END},
        {"done\nrubbish", FAST_EXPORT_END},
        {"feature done\n", FAST_EXPORT_CUT_SHORT},
        {"blo", FAST_EXPORT_CUT_SHORT},
        {"blob\n", FAST_EXPORT_CUT_SHORT},
        {"blob\ndata 5\nab", FAST_EXPORT_CUT_SHORT},
        {"blob\ndata <<E\nab\n", FAST_EXPORT_CUT_SHORT},
        {"commit x\n", FAST_EXPORT_CUT_SHORT},
        {"tag x\n", FAST_EXPORT_CUT_SHORT},
        {"rubbish\n", FAST_EXPORT_MALFORMED},
        {"blob\nmark :0\ndata 0\n", FAST_EXPORT_MALFORMED},
        {"blob\nmark :1x\ndata 0\n", FAST_EXPORT_MALFORMED},
        {"blob\nmark :18446744073709551616\ndata 0\n", FAST_EXPORT_MALFORMED},
        {"blob\ndata\n", FAST_EXPORT_MALFORMED},
        {"blob\ndata -1\n", FAST_EXPORT_MALFORMED},
        {"commit x\ndata 0\n", FAST_EXPORT_MALFORMED},
        {COMMIT "from :x\n", FAST_EXPORT_MALFORMED},
        {COMMIT "M 100644 :1\n", FAST_EXPORT_MALFORMED},
        {COMMIT "M 100644\n", FAST_EXPORT_MALFORMED},
        {COMMIT "M 100600 :1 a\n", FAST_EXPORT_MALFORMED},
        {COMMIT "M 100644 : a\n", FAST_EXPORT_MALFORMED},
        {COMMIT "M 100644 :1 \n", FAST_EXPORT_MALFORMED},
        {COMMIT "M 100644 :1 /a\n", FAST_EXPORT_MALFORMED},
        {COMMIT "M 100644 :1 a//b\n", FAST_EXPORT_MALFORMED},
        {COMMIT "M 100644 :1 a/\n", FAST_EXPORT_MALFORMED},
        {COMMIT "M 100644 :1 \"a\n", FAST_EXPORT_MALFORMED},
        {COMMIT "M 100644 :1 \"a\" b\n", FAST_EXPORT_MALFORMED},
        {COMMIT "D \"\\000\"\n", FAST_EXPORT_MALFORMED},
        {COMMIT "D \"\\400\"\n", FAST_EXPORT_MALFORMED},
        {COMMIT "D \"\\8\"\n", FAST_EXPORT_MALFORMED},
        {COMMIT "D \"\\07\"\n", FAST_EXPORT_MALFORMED},
        {COMMIT "D \"\\", FAST_EXPORT_CUT_SHORT},
        {COMMIT "D \"\"\n", FAST_EXPORT_MALFORMED},
        {COMMIT "R a\n", FAST_EXPORT_MALFORMED},
        {COMMIT "C \"a\"b\n", FAST_EXPORT_MALFORMED},
        {COMMIT "deletealles\n", FAST_EXPORT_MALFORMED},
        {COMMIT "M 040000 " ID_1 " a\n", FAST_EXPORT_UNSUPPORTED},
        {COMMIT "M 100644 " ID_1 " a\n", FAST_EXPORT_UNSUPPORTED},
        {COMMIT "M 160000 :1 a\n", FAST_EXPORT_UNSUPPORTED},
        {COMMIT "N :1 " ID_1 "\n", FAST_EXPORT_UNSUPPORTED},
        {"commit x\ncommitter C <c> 1 +0000\ndata 0\nfrom refs/heads/main\n",
         FAST_EXPORT_UNSUPPORTED},
        {"blob\noriginal-oid 11\ndata 0\n", FAST_EXPORT_UNSUPPORTED},
        {"feature import-marks=/etc/passwd\n", FAST_EXPORT_UNSUPPORTED},
        {"ls :1 a\n", FAST_EXPORT_UNSUPPORTED},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const enum fast_export_status status =
            status_of(cases[i].text, strlen(cases[i].text), NULL);
        if (status != cases[i].expected)
            print_error("case %zu: %s\n", i, cases[i].text);
        assert_int_equal(status, cases[i].expected);
    }
    static const char zero[] = "reset a\0b\n";
    assert_int_equal(status_of(zero, sizeof(zero) - 1, NULL), FAST_EXPORT_MALFORMED);
}

static void what_is_beyond_a_limit_is_too_big(void **state)
{
    (void)state;
    static const struct fast_export_limits limits = {
        .line_size = 60, .path_size = 8, .message_size = 10, .data_size = 20, .merge_count = 2};
    static const struct {
        const char *text;
        enum fast_export_status expected;
    } cases[] = {
        {"blob\ndata 20\n12345678901234567890", FAST_EXPORT_END},
        {"blob\ndata 21\n123456789012345678901", FAST_EXPORT_TOO_BIG},
        {"blob\ndata 1073741824\n", FAST_EXPORT_TOO_BIG},
        {"blob\ndata <<E\n1234567890123456789\nE\n", FAST_EXPORT_END},
        {"blob\ndata <<E\n12345678\n12345678901\nE\n", FAST_EXPORT_TOO_BIG},
        {COMMIT "D 12345678\n", FAST_EXPORT_END},
        {COMMIT "D 123456789\n", FAST_EXPORT_TOO_BIG},
        {"commit x\ncommitter C\ndata 10\n1234567890\n", FAST_EXPORT_END},
        {"commit x\ncommitter C\ndata 11\n12345678901\n", FAST_EXPORT_TOO_BIG},
        {"commit x\ncommitter C\ndata 0\nmerge :1\nmerge :2\n", FAST_EXPORT_END},
        {"commit x\ncommitter C\ndata 0\nmerge :1\nmerge :2\nmerge :3\n", FAST_EXPORT_TOO_BIG},
        {"reset 123456789012345678901234567890123456789012345678901234567890\n",
         FAST_EXPORT_TOO_BIG},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const enum fast_export_status status =
            status_of(cases[i].text, strlen(cases[i].text), &limits);
        if (status != cases[i].expected)
            print_error("case %zu: %s\n", i, cases[i].text);
        assert_int_equal(status, cases[i].expected);
    }
}

static void every_cut_of_a_stream_ends_cleanly(void **state)
{
    (void)state;
    static const char text[] =
        "feature done\nblob\nmark :1\ndata 3\nabc\n" COMMIT
        "M 100644 :1 \"q\\\"\"\nM 644 inline a\ndata <<E\nx\nE\nR a b\nC \"b\" c\n\n"
        "tag t\nfrom :2\ntagger T\ndata 1\nx\ndone\n";
    for (size_t size = 0; size + 1 < sizeof(text) - 1; size++) {
        /* An exact block, so that the sanitizer sees a read past the end. */
        char *cut = malloc(size + 1);
        assert_non_null(cut);
        memcpy(cut, text, size);
        const enum fast_export_status status = status_of(cut, size, NULL);
        assert_true(status == FAST_EXPORT_CUT_SHORT || status == FAST_EXPORT_MALFORMED ||
                    (size < 13 && status == FAST_EXPORT_END));
        free(cut);
    }
    assert_int_equal(status_of(text, sizeof(text) - 1, NULL), FAST_EXPORT_END);
}

static void a_failing_read_is_said(void **state)
{
    (void)state;
    struct fast_export_event event;
    struct fast_export *reader = fast_export_create(refuse_to_read, NULL, NULL);
    assert_non_null(reader);
    assert_int_equal(fast_export_next(reader, &event), FAST_EXPORT_READ_FAILED);
    fast_export_destroy(reader);
    fast_export_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_stream_reads_as_it_was_written),
        cmocka_unit_test(a_message_without_a_newline_ends_where_it_is_counted),
        cmocka_unit_test(delimited_data_ends_at_its_delimiter),
        cmocka_unit_test(content_that_nobody_asks_for_is_skipped),
        cmocka_unit_test(bad_streams_end_with_their_kind_of_failure),
        cmocka_unit_test(what_is_beyond_a_limit_is_too_big),
        cmocka_unit_test(every_cut_of_a_stream_ends_cleanly),
        cmocka_unit_test(a_failing_read_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
