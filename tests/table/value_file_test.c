#include "table/value_file.h"

#include "backend/memory_backend.h"
#include "core/random.h"
#include "format/value_object.h"
#include "support.h"
#include "table/faulty_backend.h"

enum { NUMBER = 4711, VALUE_MAX = 3 * VALUE_BLOCK_PAYLOAD };

static const struct identity identity = {.uuid = {1, 2, 3}, .incarnation = 9};

static const size_t sizes[] = {
    1,
    100,
    VALUE_BLOCK_PAYLOAD - 1,
    VALUE_BLOCK_PAYLOAD,
    VALUE_BLOCK_PAYLOAD + 1,
    2 * VALUE_BLOCK_PAYLOAD,
    VALUE_MAX - 3,
};

static uint8_t value_bytes[VALUE_MAX];

static int fill_value(void **state)
{
    (void)state;
    struct random random = {.state = 5};
    for (size_t i = 0; i < VALUE_MAX; i++)
        value_bytes[i] = (uint8_t)random_next(&random);
    return 0;
}

/* Writes the first `size` bytes of the value in pieces of `piece`. */
static strata_status write_value(const strata_backend *backend, const strata_allocator *allocator,
                                 size_t size, size_t piece, struct value_reference *out)
{
    strata_status status = STRATA_OK;
    struct value_writer writer = {0};
    TRY_OUT(value_writer_open(&writer, backend, allocator, &identity, NUMBER));
    for (size_t at = 0; at < size; at += piece) {
        const size_t count = piece < size - at ? piece : size - at;
        TRY_OUT(value_writer_append(&writer, bytes_of(value_bytes + at, count)));
    }
    TRY_OUT(value_writer_finish(&writer, true, out));

out:
    value_writer_release(&writer);
    return status;
}

static const strata_backend *new_backend(void)
{
    const strata_backend *backend = NULL;
    assert_int_equal(memory_backend_create(&heap, &backend), STRATA_OK);
    return backend;
}

static void check_range(const strata_backend *backend, struct value_reference reference,
                        size_t offset, size_t size)
{
    uint8_t *read = test_malloc(size + 1);
    read[size] = 0x5a;
    assert_int_equal(value_file_read(backend, &heap, &identity, reference, offset, read, size),
                     STRATA_OK);
    assert_memory_equal(read, value_bytes + offset, size);
    assert_int_equal(read[size], 0x5a);
    test_free(read);
}

static void every_range_reads_back(void **state)
{
    (void)state;
    struct random random = {.state = 77};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        const strata_backend *backend = new_backend();
        struct value_reference reference = {0};
        const size_t size = sizes[i];
        assert_int_equal(write_value(backend, &heap, size, 1 + size / (i + 1), &reference),
                         STRATA_OK);
        assert_true(reference.object == NUMBER);
        assert_true(reference.size == size);
        check_range(backend, reference, 0, size);
        check_range(backend, reference, size, 0);
        check_range(backend, reference, size - 1, 1);
        for (unsigned try = 0; try < 20; try++) {
            const size_t offset = (size_t)(random_next(&random) % size);
            check_range(backend, reference, offset,
                        (size_t)(random_next(&random) % (size - offset + 1)));
        }
        memory_backend_destroy(backend);
    }
}

static void object_is_synced_before_its_name(void **state)
{
    (void)state;
    const strata_backend *inner = new_backend();
    struct faulty_backend faulty;
    faulty_backend_init(&faulty, inner);
    struct value_reference reference;
    assert_int_equal(write_value(&faulty.backend, &heap, VALUE_BLOCK_PAYLOAD + 5, 999, &reference),
                     STRATA_OK);
    assert_string_equal(faulty.trace, "caasn");
    memory_backend_destroy(inner);
}

static void value_of_another_place_or_time_is_corrupt(void **state)
{
    (void)state;
    const strata_backend *backend = new_backend();
    struct value_reference reference;
    uint8_t read[10];
    assert_int_equal(write_value(backend, &heap, 500, 500, &reference), STRATA_OK);
    struct identity other = identity;
    other.incarnation++;
    assert_int_equal(value_file_read(backend, &heap, &other, reference, 0, read, 10),
                     STRATA_CORRUPT);
    reference.size = 501;
    assert_int_equal(value_file_read(backend, &heap, &identity, reference, 0, read, 10),
                     STRATA_CORRUPT);
    reference.size = 499;
    assert_int_equal(value_file_read(backend, &heap, &identity, reference, 0, read, 10),
                     STRATA_CORRUPT);
    reference.object++;
    assert_int_equal(value_file_read(backend, &heap, &identity, reference, 0, read, 10),
                     STRATA_CORRUPT);
    assert_non_null(strstr(strata_error_message(), "tables/04/0000000000004712"));
    memory_backend_destroy(backend);
}

static void a_flipped_byte_is_corrupt_and_named(void **state)
{
    (void)state;
    const strata_backend *inner = new_backend();
    struct faulty_backend faulty;
    faulty_backend_init(&faulty, inner);
    struct value_reference reference;
    const size_t size = VALUE_BLOCK_PAYLOAD + 300;
    assert_int_equal(write_value(&faulty.backend, &heap, size, size, &reference), STRATA_OK);
    uint8_t *read = test_malloc(size);
    const uint64_t object_size = VALUE_BLOCK_SIZE + VALUE_BLOCK_HEADER_SIZE + 300;
    for (uint64_t offset = 0; offset < object_size; offset += offset % 997 < 40 ? 1 : 61) {
        faulty.flip_offset = offset;
        faulty.flip_mask = (uint8_t)(1u << offset % 8);
        assert_int_equal(
            value_file_read(&faulty.backend, &heap, &identity, reference, 0, read, size),
            STRATA_CORRUPT);
        strata_error error = {.size = sizeof(error)};
        strata_error_detail(&error);
        assert_string_equal(error.object, "tables/04/0000000000004711");
        assert_true(error.offset == offset / VALUE_BLOCK_SIZE * VALUE_BLOCK_SIZE);
    }
    faulty.flip_mask = 0;
    faulty.cut_size = object_size - 1;
    assert_int_equal(value_file_read(&faulty.backend, &heap, &identity, reference, 0, read, size),
                     STRATA_CORRUPT);
    test_free(read);
    memory_backend_destroy(inner);
}

static void every_failing_operation_is_a_status(void **state)
{
    (void)state;
    const size_t size = VALUE_BLOCK_PAYLOAD + 300;
    uint8_t *read = test_malloc(size);
    strata_status status = STRATA_IO;
    for (uint64_t fail_at = 1; status != STRATA_OK; fail_at++) {
        const strata_backend *inner = new_backend();
        struct faulty_backend faulty;
        struct test_heap counted;
        const strata_allocator allocator = test_heap_init(&counted);
        faulty_backend_init(&faulty, inner);
        faulty.fail_at = fail_at;
        struct value_reference reference;
        status = write_value(&faulty.backend, &allocator, size, 1000, &reference);
        if (status == STRATA_OK)
            status =
                value_file_read(&faulty.backend, &allocator, &identity, reference, 0, read, size);
        assert_true(status == STRATA_OK ? fail_at > faulty.operations : status == STRATA_IO);
        test_heap_assert_empty(&counted);
        memory_backend_destroy(inner);
    }
    test_free(read);
}

static void refused_memory_is_a_status(void **state)
{
    (void)state;
    const strata_backend *backend = new_backend();
    struct value_reference reference;
    uint8_t read[4];
    assert_int_equal(write_value(backend, &no_heap, 10, 10, &reference), STRATA_NO_MEMORY);
    assert_int_equal(write_value(backend, &heap, 10, 10, &reference), STRATA_OK);
    assert_int_equal(value_file_read(backend, &no_heap, &identity, reference, 0, read, 4),
                     STRATA_NO_MEMORY);
    struct value_writer writer = {0};
    value_writer_release(&writer);
    memory_backend_destroy(backend);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_range_reads_back),
        cmocka_unit_test(object_is_synced_before_its_name),
        cmocka_unit_test(value_of_another_place_or_time_is_corrupt),
        cmocka_unit_test(a_flipped_byte_is_corrupt_and_named),
        cmocka_unit_test(every_failing_operation_is_a_status),
        cmocka_unit_test(refused_memory_is_a_status),
    };
    return cmocka_run_group_tests(tests, fill_value, NULL);
}
