#include "table/part_fixture.h"

#include "backend/memory_backend.h"
#include "layout/names.h"

void part_fixture_open(struct part_fixture *fixture, size_t cache_bytes)
{
    memset(fixture, 0, sizeof(*fixture));
    fixture->allocator = test_heap_init(&fixture->counted);
    assert_int_equal(memory_backend_create(&heap, &fixture->inner), STRATA_OK);
    faulty_backend_init(&fixture->faulty, fixture->inner);
    epochs_init(&fixture->epochs, &heap);
    assert_int_equal(epoch_slot_take(&fixture->epochs, &fixture->slot), STRATA_OK);
    epoch_enter(&fixture->epochs, fixture->slot);
    assert_int_equal(
        cache_init(&fixture->cache, &fixture->allocator, &fixture->epochs, cache_bytes), STRATA_OK);
    arena_init(&fixture->arena, &heap, 65536);
    fixture->store = (struct part_store){
        .backend = &fixture->faulty.backend,
        .allocator = &fixture->allocator,
        .cache = &fixture->cache,
        .uuid = {9, 8, 7},
    };
}

void part_fixture_close(struct part_fixture *fixture)
{
    assert_true(cache_pinned_bytes(&fixture->cache) == 0);
    cache_destroy(&fixture->cache);
    test_heap_assert_empty(&fixture->counted);
    epoch_leave(fixture->slot);
    epoch_slot_give(fixture->slot);
    epochs_destroy(&fixture->epochs);
    arena_release(&fixture->arena);
    memory_backend_destroy(fixture->inner);
}

void part_fixture_step(struct part_fixture *fixture)
{
    epoch_leave(fixture->slot);
    epoch_enter(&fixture->epochs, fixture->slot);
}

void part_fixture_empty_cache(struct part_fixture *fixture, size_t cache_bytes)
{
    assert_true(cache_pinned_bytes(&fixture->cache) == 0);
    cache_destroy(&fixture->cache);
    assert_int_equal(
        cache_init(&fixture->cache, &fixture->allocator, &fixture->epochs, cache_bytes), STRATA_OK);
}

strata_status part_fixture_write(struct part_fixture *fixture, const struct sample *sample,
                                 const struct part_layout *layout)
{
    strata_status status = STRATA_OK;
    struct part_writer writer = {0};
    struct part_options options = {
        .backend = &fixture->faulty.backend,
        .allocator = &fixture->allocator,
        .identity = {.uuid = {9, 8, 7}, .incarnation = FIXTURE_INCARNATION},
        .unit_size = layout->unit_size,
        .frame_size = layout->frame_size,
        .role = layout->role,
        .with_buckets = layout->with_buckets,
    };
    TRY_OUT(part_writer_open(&writer, &options, FIXTURE_PART));
    for (size_t i = 0; i < sample->count; i++)
        TRY_OUT(part_writer_add(&writer, &sample->rows[i]));
    TRY_OUT(part_writer_finish(&writer, &fixture->arena, &fixture->info));
    assert_true(fixture->info.rows == sample->count);

out:
    part_writer_release(&writer);
    return status;
}

uint8_t *part_fixture_bytes(struct part_fixture *fixture)
{
    char name[LAYOUT_NAME_SIZE];
    struct object object;
    layout_table_name(FIXTURE_PART, name);
    assert_int_equal(object_open(fixture->inner, name, &object), STRATA_OK);
    uint8_t *bytes = test_malloc((size_t)object.size);
    assert_int_equal(object_read(&object, 0, bytes, (size_t)object.size), STRATA_OK);
    object_close(&object);
    return bytes;
}

void part_fixture_replace(struct part_fixture *fixture, const uint8_t *bytes)
{
    char name[LAYOUT_NAME_SIZE];
    struct object object;
    const size_t size = (size_t)(fixture->info.units * fixture->info.unit_size);
    layout_table_name(FIXTURE_PART, name);
    assert_int_equal(backend_remove(fixture->inner, name), STRATA_OK);
    assert_int_equal(object_create(fixture->inner, name, 0, &object), STRATA_OK);
    assert_int_equal(object_append(&object, bytes_of(bytes, size)), STRATA_OK);
    object_close(&object);
}

void part_fixture_reseal(const struct part_fixture *fixture, uint8_t *bytes, uint32_t unit,
                         uint32_t units)
{
    const struct identity identity = {.uuid = {9, 8, 7}, .incarnation = FIXTURE_INCARNATION};
    const size_t unit_size = fixture->info.unit_size, offset = unit * unit_size;
    const uint64_t seed = place_seed(&identity, FAMILY_TABLE, FIXTURE_PART, offset);
    store_u64(bytes + offset, place_checksum(bytes_of(bytes + offset, units * unit_size), seed));
}

struct part *part_fixture_part(struct part_fixture *fixture, const struct sample *sample,
                               const struct part_layout *layout)
{
    struct part *part = NULL;
    assert_int_equal(part_fixture_write(fixture, sample, layout), STRATA_OK);
    assert_int_equal(part_create(&fixture->store, &fixture->info, &part), STRATA_OK);
    return part;
}
