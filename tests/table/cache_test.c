#include "table/cache.h"

#include "core/lock.h"
#include "table/part_fixture.h"

enum { UNIT_SIZE = 4096, FRAMES_MAX = 400 };

/* A part of many frames, and where they start. */
struct frames {
    struct part_fixture fixture;
    struct sample sample;
    struct part *part;
    uint32_t units[FRAMES_MAX];
    size_t count;
};

static void frames_open(struct frames *frames, size_t cache_bytes)
{
    part_fixture_open(&frames->fixture, cache_bytes);
    frames->sample = sample_create(&(struct sample_shape){.seed = 3,
                                                          .key_count = 900,
                                                          .versions_max = 2,
                                                          .value_size_max = 1500,
                                                          .keys = SAMPLE_ORDERED});
    frames->part = part_fixture_part(
        &frames->fixture, &frames->sample,
        &(struct part_layout){.unit_size = UNIT_SIZE, .role = ROLE_LIVE, .with_buckets = true});
    frames->count = 0;
    for (uint32_t unit = 0; unit < frames->part->info.units; frames->count++) {
        struct cached_frame *frame;
        assert_true(frames->count < FRAMES_MAX);
        assert_int_equal(part_read_frame(frames->part, unit, &frame), STRATA_OK);
        frames->units[frames->count] = unit;
        unit += frame->frame.units;
        frames->fixture.allocator.resize(frames->fixture.allocator.context, frame, frame->size, 0);
    }
    assert_true(frames->count > 40);
}

static void frames_close(struct frames *frames)
{
    part_drop(frames->part);
    sample_release(&frames->sample);
    part_fixture_close(&frames->fixture);
}

static struct cached_frame *get_frame(struct frames *frames, size_t index)
{
    struct cached_frame *frame = NULL;
    assert_int_equal(cache_get(&frames->fixture.cache, frames->part, frames->units[index], &frame),
                     STRATA_OK);
    assert_int_equal(frame->unit, frames->units[index]);
    return frame;
}

static size_t listed_bytes(const struct cache *cache)
{
    size_t bytes = 0;
    for (unsigned i = 0; i < cache->shard_count; i++) {
        assert_true(cache->shards[i].bytes <= cache->shard_bytes_max);
        bytes += cache->shards[i].bytes;
    }
    return bytes;
}

static void frames_are_read_once_while_they_fit(void **state)
{
    (void)state;
    struct frames frames;
    frames_open(&frames, 8 << 20);
    struct cache *cache = &frames.fixture.cache;
    assert_int_equal(cache->shard_count, CACHE_SHARDS);
    const uint64_t operations = frames.fixture.faulty.operations;
    for (unsigned round = 0; round < 3; round++) {
        for (size_t i = 0; i < frames.count; i++)
            cache_unpin(cache, get_frame(&frames, i));
    }
    /* A frame that is longer than most takes a second operation. */
    assert_true(frames.fixture.faulty.operations >= operations + frames.count);
    assert_true(frames.fixture.faulty.operations < operations + 2 * frames.count);
    assert_true(cache->misses == frames.count);
    assert_true(cache->hits == 2 * frames.count);
    assert_true(cache->pinned_bytes == 0);
    frames_close(&frames);
}

static void a_cache_stays_below_its_bound(void **state)
{
    (void)state;
    static const size_t bounds[] = {0, 1, 3 * UNIT_SIZE, 64 * 1024, 200 * 1024};
    for (size_t bound = 0; bound < sizeof(bounds) / sizeof(bounds[0]); bound++) {
        struct frames frames;
        frames_open(&frames, bounds[bound]);
        struct cache *cache = &frames.fixture.cache;
        struct random random = {.state = bound};
        const uint64_t before = frames.fixture.counted.bytes;
        for (unsigned i = 0; i < 2000; i++) {
            cache_unpin(cache, get_frame(&frames, (size_t)(random_next(&random) % frames.count)));
            assert_true(listed_bytes(cache) <= bounds[bound]);
            assert_true(frames.fixture.counted.bytes - before == listed_bytes(cache));
        }
        frames_close(&frames);
    }
}

static void a_pinned_frame_stays_as_it_is(void **state)
{
    (void)state;
    struct frames frames;
    frames_open(&frames, 64 * 1024);
    struct cache *cache = &frames.fixture.cache;
    struct cached_frame *pinned[8], *again = NULL;
    uint8_t copies[8][UNIT_SIZE];
    for (size_t i = 0; i < 8; i++) {
        pinned[i] = get_frame(&frames, i);
        memcpy(copies[i], pinned[i]->frame.bytes.data, UNIT_SIZE);
    }
    for (size_t i = 0; i < frames.count; i++)
        cache_unpin(cache, get_frame(&frames, i));
    for (size_t i = 0; i < 8; i++) {
        again = get_frame(&frames, i);
        assert_ptr_equal(again, pinned[i]);
        assert_memory_equal(again->frame.bytes.data, copies[i], UNIT_SIZE);
        cache_unpin(cache, again);
        assert_true(cache->pinned_bytes > 0);
        cache_pin(cache, pinned[i]);
        cache_unpin(cache, pinned[i]);
        cache_unpin(cache, pinned[i]);
    }
    cache_unpin(cache, NULL);
    assert_true(cache->pinned_bytes == 0);
    frames_close(&frames);
}

static void what_does_not_fit_beside_pins_goes_with_its_last_pin(void **state)
{
    (void)state;
    struct frames frames;
    frames_open(&frames, 5 * UNIT_SIZE);
    struct cache *cache = &frames.fixture.cache;
    struct cached_frame *pinned[30];
    const uint64_t before = frames.fixture.counted.bytes;
    for (size_t i = 0; i < 30; i++)
        pinned[i] = get_frame(&frames, i);
    assert_true(listed_bytes(cache) <= 5 * UNIT_SIZE);
    assert_true(cache->pinned_bytes == frames.fixture.counted.bytes - before);
    for (size_t i = 0; i < 30; i++)
        cache_unpin(cache, pinned[i]);
    assert_true(frames.fixture.counted.bytes - before == listed_bytes(cache));
    assert_true(cache->pinned_bytes == 0);
    frames_close(&frames);
}

static void a_frame_in_use_outlives_one_that_is_not(void **state)
{
    (void)state;
    struct frames frames;
    frames_open(&frames, 10 * (UNIT_SIZE + 256));
    struct cache *cache = &frames.fixture.cache;
    cache_unpin(cache, get_frame(&frames, 0));
    uint64_t missed = 0;
    for (size_t i = 1; i < frames.count; i++) {
        const uint64_t misses = cache->misses;
        cache_unpin(cache, get_frame(&frames, 0));
        missed += cache->misses - misses;
        cache_unpin(cache, get_frame(&frames, i));
    }
    assert_true(missed == 0);
    frames_close(&frames);
}

static void forgotten_frames_go_when_unpinned(void **state)
{
    (void)state;
    struct frames frames;
    frames_open(&frames, 8 << 20);
    struct cache *cache = &frames.fixture.cache;
    const uint64_t before = frames.fixture.counted.bytes;
    for (size_t i = 0; i < frames.count; i++)
        cache_unpin(cache, get_frame(&frames, i));
    struct cached_frame *pinned = get_frame(&frames, 5);
    cache_forget(cache, FIXTURE_PART + 1);
    assert_true(listed_bytes(cache) > frames.count * UNIT_SIZE);
    cache_forget(cache, FIXTURE_PART);
    assert_true(listed_bytes(cache) == 0);
    assert_true(frames.fixture.counted.bytes - before == pinned->size);
    assert_int_equal(pinned->frame.bytes.length, pinned->frame.units * UNIT_SIZE);
    cache_unpin(cache, pinned);
    assert_true(frames.fixture.counted.bytes == before);
    frames_close(&frames);
}

/* Gets the frame that is being read, as another thread might. */
static void read_meanwhile(struct faulty_backend *faulty)
{
    struct frames *frames = faulty->on_read_context;
    faulty->on_read = NULL;
    cache_unpin(&frames->fixture.cache, get_frame(frames, 7));
}

static void of_two_reads_of_a_frame_one_copy_stays(void **state)
{
    (void)state;
    struct frames frames;
    frames_open(&frames, 8 << 20);
    struct cache *cache = &frames.fixture.cache;
    frames.fixture.faulty.on_read_context = &frames;
    frames.fixture.faulty.on_read = read_meanwhile;
    const uint64_t before = frames.fixture.counted.bytes;
    struct cached_frame *frame = get_frame(&frames, 7);
    assert_true(cache->misses == 2);
    assert_true(frames.fixture.counted.bytes - before == frame->size);
    assert_true(listed_bytes(cache) == frame->size);
    cache_unpin(cache, frame);
    frames_close(&frames);
}

static void a_frame_that_cannot_be_read_leaves_nothing(void **state)
{
    (void)state;
    struct frames frames;
    frames_open(&frames, 8 << 20);
    struct cache *cache = &frames.fixture.cache;
    struct cached_frame *frame = NULL;
    const uint64_t before = frames.fixture.counted.bytes;
    frames.fixture.faulty.flip_offset = 77;
    frames.fixture.faulty.flip_mask = 1;
    assert_int_equal(cache_get(cache, frames.part, 0, &frame), STRATA_CORRUPT);
    frames.fixture.faulty.flip_mask = 0;
    frames.fixture.faulty.fail_at = 1;
    assert_int_equal(cache_get(cache, frames.part, 0, &frame), STRATA_IO);
    frames.fixture.faulty.fail_at = 0;
    frames.fixture.counted.fail_at = frames.fixture.counted.requests + 1;
    assert_int_equal(cache_get(cache, frames.part, 0, &frame), STRATA_NO_MEMORY);
    assert_null(frame);
    assert_true(frames.fixture.counted.bytes == before);
    cache_unpin(cache, get_frame(&frames, 0));
    frames_close(&frames);
}

static void a_cache_without_memory_is_not_made(void **state)
{
    (void)state;
    for (uint64_t fail_at = 1; fail_at <= CACHE_SHARDS; fail_at++) {
        struct test_heap counted;
        const strata_allocator allocator = test_heap_init(&counted);
        struct cache cache;
        counted.fail_at = fail_at;
        assert_int_equal(cache_init(&cache, &allocator, 32 << 20), STRATA_NO_MEMORY);
        test_heap_assert_empty(&counted);
    }
    struct cache never = {.allocator = NULL};
    cache_destroy(&never);
}

struct churn {
    struct frames *frames;
    uint64_t seed;
    bool sound;
};

static void churn_frames(void *context)
{
    struct churn *churn = context;
    struct frames *frames = churn->frames;
    struct cache *cache = &frames->fixture.cache;
    struct random random = {.state = churn->seed};
    struct cached_frame *held[4] = {NULL};
    churn->sound = true;
    for (unsigned i = 0; i < 3000; i++) {
        const uint32_t unit = frames->units[random_next(&random) % frames->count];
        struct cached_frame *frame = NULL;
        churn->sound = churn->sound && cache_get(cache, frames->part, unit, &frame) == STRATA_OK &&
                       frame->unit == unit && load_u64(frame->frame.bytes.data) != 0;
        cache_unpin(cache, held[i % 4]);
        held[i % 4] = frame;
        if (i % 500 == 0)
            cache_forget(cache, FIXTURE_PART);
    }
    for (size_t i = 0; i < 4; i++)
        cache_unpin(cache, held[i]);
}

static void threads_share_a_cache(void **state)
{
    (void)state;
    static const size_t bounds[] = {6 * UNIT_SIZE, 1 << 20};
    for (size_t bound = 0; bound < 2; bound++) {
        struct frames frames;
        frames_open(&frames, bounds[bound]);
        struct churn churns[4];
        struct thread threads[4] = {0};
        for (size_t i = 0; i < 4; i++) {
            churns[i] = (struct churn){.frames = &frames, .seed = i};
            assert_int_equal(thread_start(&threads[i], churn_frames, &churns[i]), STRATA_OK);
        }
        for (size_t i = 0; i < 4; i++) {
            thread_join(&threads[i]);
            assert_true(churns[i].sound);
        }
        assert_true(frames.fixture.cache.pinned_bytes == 0);
        assert_true(listed_bytes(&frames.fixture.cache) <= bounds[bound]);
        frames_close(&frames);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_are_read_once_while_they_fit),
        cmocka_unit_test(a_cache_stays_below_its_bound),
        cmocka_unit_test(a_pinned_frame_stays_as_it_is),
        cmocka_unit_test(what_does_not_fit_beside_pins_goes_with_its_last_pin),
        cmocka_unit_test(a_frame_in_use_outlives_one_that_is_not),
        cmocka_unit_test(forgotten_frames_go_when_unpinned),
        cmocka_unit_test(of_two_reads_of_a_frame_one_copy_stays),
        cmocka_unit_test(a_frame_that_cannot_be_read_leaves_nothing),
        cmocka_unit_test(a_cache_without_memory_is_not_made),
        cmocka_unit_test(threads_share_a_cache),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
