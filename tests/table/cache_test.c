#include "table/cache.h"

#include "core/lock.h"
#include "table/part_fixture.h"

enum {
    UNIT_SIZE = 4096,
    FRAMES_MAX = 4000,
    SMALL = 2 << 20, /* Sizes of caches in which some frames all fit. */
    LARGE = 8 << 20,
    TIGHT = CACHE_LARGE_BYTES_MIN /* A large cache in which many frames do not. */
};

/* A part of many frames, and where they start. */
struct frames {
    struct part_fixture fixture;
    struct sample sample;
    struct part *part;
    uint32_t units[FRAMES_MAX];
    size_t count;
};

static void frames_open_of(struct frames *frames, size_t cache_bytes, unsigned key_count,
                           size_t value_size_max)
{
    part_fixture_open(&frames->fixture, cache_bytes);
    frames->sample = sample_create(&(struct sample_shape){.seed = 3,
                                                          .key_count = key_count,
                                                          .versions_max = 2,
                                                          .value_size_max = value_size_max,
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
        cached_frame_free(&frames->fixture.allocator, frame);
    }
    assert_true(frames->count > 40);
}

static void frames_open(struct frames *frames, size_t cache_bytes)
{
    frames_open_of(frames, cache_bytes, 900, 1500);
}

/* About 7 MB. */
static void many_frames_open(struct frames *frames, size_t cache_bytes)
{
    frames_open_of(frames, cache_bytes, 6000, 6000);
    assert_true(frames->part->info.units * UNIT_SIZE > 3 * (size_t)TIGHT / 2);
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

/* What a cache has taken of the heap. */
static size_t listed_bytes(const struct cache *cache)
{
    size_t bytes = 0;
    if (cache->large) {
        assert_true(cache->space.used_bytes <= cache->space.area_count * cache->space.area_bytes);
        assert_true(cache->evicted_bytes <= cache->space.used_bytes);
        return cache->space.area_count * cache->space.area_bytes;
    }
    for (unsigned i = 0; i < cache->shard_count; i++) {
        assert_true(cache->shards[i].bytes <= cache->shard_bytes_max);
        bytes += cache->shards[i].bytes;
    }
    return bytes;
}

static void read_frames_thrice(size_t cache_bytes)
{
    struct frames frames;
    frames_open(&frames, cache_bytes);
    struct cache *cache = &frames.fixture.cache;
    const uint64_t operations = frames.fixture.faulty.operations;
    for (unsigned round = 0; round < 3; round++) {
        for (size_t i = 0; i < frames.count; i++)
            cache_unpin(cache, get_frame(&frames, i));
    }
    /* A frame that is longer than most takes a second operation. */
    assert_true(frames.fixture.faulty.operations >= operations + frames.count);
    assert_true(frames.fixture.faulty.operations < operations + 2 * frames.count);
    assert_true(cache_misses(cache) == frames.count);
    assert_true(cache_hits(cache) == 2 * frames.count);
    assert_true(cache_pinned_bytes(cache) == 0);
    frames_close(&frames);
}

static void frames_are_read_once_while_they_fit(void **state)
{
    (void)state;
    read_frames_thrice(SMALL);
    read_frames_thrice(LARGE);
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

/* What others lack is taken from a small cache, but for what is pinned, and given back. */
static void a_small_cache_gives_way_to_others(void **state)
{
    (void)state;
    enum { BOUND = 200 * 1024, OTHERS_MAX = 1 << 20, LACKING = 90 * 1024 };
    struct frames frames;
    _Atomic size_t live = OTHERS_MAX;
    frames_open(&frames, BOUND);
    struct cache *cache = &frames.fixture.cache;
    cache_share(cache, &live, OTHERS_MAX);
    for (size_t i = 0; i < frames.count; i++)
        cache_unpin(cache, get_frame(&frames, i));
    const size_t full = listed_bytes(cache);
    assert_true(full > BOUND / 2);
    cache_yield(cache);
    assert_true(listed_bytes(cache) == full);
    live = OTHERS_MAX + LACKING;
    cache_yield(cache);
    assert_true(listed_bytes(cache) <= full - LACKING);
    assert_true(listed_bytes(cache) > 0);
    struct cached_frame *pinned = get_frame(&frames, 0);
    live = 2 * OTHERS_MAX;
    cache_yield(cache);
    assert_true(listed_bytes(cache) <= pinned->size);
    for (size_t i = 0; i < frames.count; i++) {
        cache_unpin(cache, get_frame(&frames, i));
        assert_true(listed_bytes(cache) <= pinned->size);
    }
    cache_unpin(cache, pinned);
    live = 0;
    for (size_t i = 0; i < frames.count; i++)
        cache_unpin(cache, get_frame(&frames, i));
    assert_true(listed_bytes(cache) > BOUND / 2);
    frames_close(&frames);
}

/* With and without moments between epochs, in which evicted frames can go. */
static void a_large_cache_stays_below_its_bound(void **state)
{
    (void)state;
    struct frames frames;
    many_frames_open(&frames, TIGHT);
    struct cache *cache = &frames.fixture.cache;
    struct random random = {.state = 5};
    const uint64_t before = frames.fixture.counted.bytes;
    size_t most = 0;
    for (unsigned i = 0; i < 30000; i++) {
        cache_unpin(cache, get_frame(&frames, (size_t)(random_next(&random) % frames.count)));
        if (i < 10000 || i > 20000)
            part_fixture_step(&frames.fixture);
        assert_true(listed_bytes(cache) <= TIGHT);
        assert_true(frames.fixture.counted.bytes - before == listed_bytes(cache));
        most = cache->space.used_bytes > most ? cache->space.used_bytes : most;
    }
    assert_true(most > (size_t)TIGHT * 9 / 10);
    /* At the end, frames come and go again, and most are hit. */
    const uint64_t misses = cache_misses(cache);
    for (unsigned i = 0; i < 2000; i++) {
        cache_unpin(cache, get_frame(&frames, i % 100));
        part_fixture_step(&frames.fixture);
    }
    assert_true(cache_misses(cache) - misses <= 100);
    frames_close(&frames);
}

static void what_was_found_in_an_epoch_stays_until_it_ends(void **state)
{
    (void)state;
    enum { LOANS = 50 };
    struct frames frames;
    many_frames_open(&frames, TIGHT);
    struct cache *cache = &frames.fixture.cache;
    struct frame_loan loans[LOANS];
    uint8_t *copies = test_malloc(LOANS * UNIT_SIZE);
    for (size_t i = 0; i < LOANS; i++) {
        assert_int_equal(cache_borrow(cache, frames.part, frames.units[i], &loans[i]), STRATA_OK);
        assert_false(loans[i].pinned);
        memcpy(copies + i * UNIT_SIZE, loans[i].frame->frame.bytes.data, UNIT_SIZE);
    }
    for (unsigned round = 0; round < 3; round++) {
        for (size_t i = LOANS; i < frames.count; i++)
            cache_unpin(cache, get_frame(&frames, i));
    }
    for (size_t i = 0; i < LOANS; i++) {
        assert_memory_equal(loans[i].frame->frame.bytes.data, copies + i * UNIT_SIZE, UNIT_SIZE);
        cache_return(cache, loans[i]);
    }
    /* A pin taken in time lasts beyond it, whatever became of the frame meanwhile. */
    struct cached_frame *kept = cache_keep(cache, loans[0]);
    for (size_t i = LOANS; i < frames.count; i++) {
        part_fixture_step(&frames.fixture);
        cache_unpin(cache, get_frame(&frames, i));
    }
    assert_memory_equal(kept->frame.bytes.data, copies, UNIT_SIZE);
    assert_true(cache_pinned_bytes(cache) == kept->size);
    const size_t used = cache->space.used_bytes;
    cache_unpin(cache, kept);
    assert_true(cache->space.used_bytes < used); /* It was evicted long ago. */
    test_free(copies);
    frames_close(&frames);
}

/* All is pinned: what comes then is read, and does not stay. */
static void what_does_not_fit_into_a_large_cache_goes_with_its_last_pin(void **state)
{
    (void)state;
    struct frames frames;
    many_frames_open(&frames, TIGHT);
    struct cache *cache = &frames.fixture.cache;
    struct cached_frame **pinned = test_malloc(frames.count * sizeof(*pinned));
    const uint64_t before = frames.fixture.counted.bytes;
    for (size_t i = 0; i < frames.count; i++) {
        pinned[i] = get_frame(&frames, i);
        part_fixture_step(&frames.fixture);
    }
    assert_true(listed_bytes(cache) <= TIGHT);
    assert_true(cache_pinned_bytes(cache) > 3 * (size_t)TIGHT / 2);
    for (size_t i = 0; i < frames.count; i++) {
        assert_int_equal(pinned[i]->unit, frames.units[i]);
        cache_unpin(cache, pinned[i]);
    }
    assert_true(frames.fixture.counted.bytes - before == listed_bytes(cache));
    assert_true(cache_pinned_bytes(cache) == 0);
    test_free(pinned);
    frames_close(&frames);
}

/* With the part goes what a large cache has of it; what is pinned goes when unpinned. */
static void a_part_takes_its_frames_along(void **state)
{
    (void)state;
    struct frames frames;
    frames_open(&frames, LARGE);
    struct cache *cache = &frames.fixture.cache;
    for (size_t i = 0; i < frames.count; i++)
        cache_unpin(cache, get_frame(&frames, i));
    struct cached_frame *pinned = get_frame(&frames, 5);
    assert_true(cache->space.used_bytes > frames.count * UNIT_SIZE);
    part_drop(frames.part);
    assert_true(cache->space.used_bytes == frame_space_size(pinned->size));
    assert_int_equal(pinned->frame.bytes.length, pinned->frame.units * UNIT_SIZE);
    cache_unpin(cache, pinned);
    assert_true(cache->space.used_bytes == 0);
    assert_true(cache->space.area_count == 1);
    sample_release(&frames.sample);
    part_fixture_close(&frames.fixture);
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
        assert_true(cache_pinned_bytes(cache) > 0);
        cache_pin(cache, pinned[i]);
        cache_unpin(cache, pinned[i]);
        cache_unpin(cache, pinned[i]);
    }
    cache_unpin(cache, NULL);
    assert_true(cache_pinned_bytes(cache) == 0);
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
    assert_true(cache_pinned_bytes(cache) == frames.fixture.counted.bytes - before);
    for (size_t i = 0; i < 30; i++)
        cache_unpin(cache, pinned[i]);
    assert_true(frames.fixture.counted.bytes - before == listed_bytes(cache));
    assert_true(cache_pinned_bytes(cache) == 0);
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
        const uint64_t misses = cache_misses(cache);
        cache_unpin(cache, get_frame(&frames, 0));
        missed += cache_misses(cache) - misses;
        cache_unpin(cache, get_frame(&frames, i));
    }
    assert_true(missed == 0);
    frames_close(&frames);
}

static void forgotten_frames_go_when_unpinned(void **state)
{
    (void)state;
    struct frames frames;
    frames_open(&frames, SMALL);
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

static void read_a_frame_twice_at_once(size_t cache_bytes)
{
    struct frames frames;
    frames_open(&frames, cache_bytes);
    struct cache *cache = &frames.fixture.cache;
    frames.fixture.faulty.on_read_context = &frames;
    frames.fixture.faulty.on_read = read_meanwhile;
    const uint64_t before = frames.fixture.counted.bytes;
    struct cached_frame *frame = get_frame(&frames, 7);
    assert_true(cache_misses(cache) == 2);
    assert_true(frames.fixture.counted.bytes - before == listed_bytes(cache));
    assert_true(cache->shards[0].frame_count <= 1);
    if (!cache->large)
        assert_true(listed_bytes(cache) == frame->size);
    cache_unpin(cache, frame);
    frames_close(&frames);
}

static void of_two_reads_of_a_frame_one_copy_stays(void **state)
{
    (void)state;
    read_a_frame_twice_at_once(SMALL);
    read_a_frame_twice_at_once(LARGE);
}

static void fail_to_read_a_frame(size_t cache_bytes)
{
    struct frames frames;
    frames_open(&frames, cache_bytes);
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

static void a_frame_that_cannot_be_read_leaves_nothing(void **state)
{
    (void)state;
    fail_to_read_a_frame(SMALL);
    fail_to_read_a_frame(LARGE);
}

/* Without memory for an area of frames they are their readers' alone. */
static void a_frame_that_cannot_be_listed_is_read_all_the_same(void **state)
{
    (void)state;
    struct frames frames;
    frames_open(&frames, LARGE);
    struct cache *cache = &frames.fixture.cache;
    const uint64_t before = frames.fixture.counted.bytes;
    frames.fixture.counted.fail_at = frames.fixture.counted.requests + 2;
    frames.fixture.counted.fail_from_then_on = 1;
    struct cached_frame *frame = get_frame(&frames, 0);
    assert_true(listed_bytes(cache) == 0);
    cache_unpin(cache, frame);
    assert_true(frames.fixture.counted.bytes == before);
    frames_close(&frames);
}

static void a_cache_without_memory_is_not_made(void **state)
{
    (void)state;
    for (uint64_t fail_at = 1; fail_at <= CACHE_SHARDS; fail_at++) {
        struct test_heap counted;
        const strata_allocator allocator = test_heap_init(&counted);
        struct epochs epochs;
        struct cache cache;
        epochs_init(&epochs, &allocator);
        counted.fail_at = fail_at;
        assert_int_equal(cache_init(&cache, &allocator, &epochs, SMALL), STRATA_NO_MEMORY);
        epochs_destroy(&epochs);
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

/* A frame that was read is the one of its unit, and whole. */
static bool frame_is_sound(const struct cached_frame *frame, uint32_t unit)
{
    const uint8_t *last = frame->frame.bytes.data + frame->frame.used - 1;
    return frame->unit == unit && load_u64(frame->frame.bytes.data) != 0 &&
           *last == frame->frame.bytes.data[frame->frame.used - 1];
}

/* Reads frames, now with pins that last beyond their epoch, now without. */
static void churn_frames(void *context)
{
    struct churn *churn = context;
    struct frames *frames = churn->frames;
    struct cache *cache = &frames->fixture.cache;
    struct random random = {.state = churn->seed};
    struct cached_frame *held[4] = {NULL};
    struct epoch_slot *slot;
    churn->sound = epoch_slot_take(&frames->fixture.epochs, &slot) == STRATA_OK;
    for (unsigned i = 0; i < 3000 && churn->sound; i++) {
        struct frame_loan loans[8];
        epoch_enter(&frames->fixture.epochs, slot);
        for (unsigned j = 0; j < 8; j++) {
            const uint32_t unit = frames->units[random_next(&random) % frames->count];
            churn->sound = churn->sound &&
                           cache_borrow(cache, frames->part, unit, &loans[j]) == STRATA_OK &&
                           frame_is_sound(loans[j].frame, unit);
        }
        cache_unpin(cache, held[i % 4]);
        held[i % 4] = cache_keep(cache, loans[0]);
        for (unsigned j = 1; j < 8; j++) {
            churn->sound = churn->sound && frame_is_sound(loans[j].frame, loans[j].frame->unit);
            cache_return(cache, loans[j]);
        }
        epoch_leave(slot);
        churn->sound = churn->sound && frame_is_sound(held[i % 4], held[i % 4]->unit);
        if (i % 500 == 0)
            cache_forget(cache, FIXTURE_PART);
    }
    for (size_t i = 0; i < 4; i++)
        cache_unpin(cache, held[i]);
    epoch_slot_give(slot);
}

static void churn_in_threads(struct frames *frames, size_t bytes_max)
{
    struct churn churns[4];
    struct thread threads[4] = {0};
    epoch_leave(frames->fixture.slot);
    for (size_t i = 0; i < 4; i++) {
        churns[i] = (struct churn){.frames = frames, .seed = i};
        assert_int_equal(thread_start(&threads[i], churn_frames, &churns[i]), STRATA_OK);
    }
    for (size_t i = 0; i < 4; i++) {
        thread_join(&threads[i]);
        assert_true(churns[i].sound);
    }
    epoch_enter(&frames->fixture.epochs, frames->fixture.slot);
    assert_true(cache_pinned_bytes(&frames->fixture.cache) == 0);
    assert_true(listed_bytes(&frames->fixture.cache) <= bytes_max);
}

static void threads_share_a_cache(void **state)
{
    (void)state;
    static const size_t bounds[] = {6 * UNIT_SIZE, 1 << 20, LARGE};
    for (size_t bound = 0; bound < 3; bound++) {
        struct frames frames;
        frames_open(&frames, bounds[bound]);
        churn_in_threads(&frames, bounds[bound]);
        frames_close(&frames);
    }
}

/* Frames are evicted under readers that have no pin on them. */
static void threads_share_a_large_cache_that_evicts(void **state)
{
    (void)state;
    struct frames frames;
    many_frames_open(&frames, TIGHT);
    churn_in_threads(&frames, TIGHT);
    assert_true(cache_misses(&frames.fixture.cache) > 2 * frames.count);
    frames_close(&frames);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_are_read_once_while_they_fit),
        cmocka_unit_test(a_cache_stays_below_its_bound),
        cmocka_unit_test(a_small_cache_gives_way_to_others),
        cmocka_unit_test(a_large_cache_stays_below_its_bound),
        cmocka_unit_test(what_was_found_in_an_epoch_stays_until_it_ends),
        cmocka_unit_test(what_does_not_fit_into_a_large_cache_goes_with_its_last_pin),
        cmocka_unit_test(a_part_takes_its_frames_along),
        cmocka_unit_test(a_pinned_frame_stays_as_it_is),
        cmocka_unit_test(what_does_not_fit_beside_pins_goes_with_its_last_pin),
        cmocka_unit_test(a_frame_in_use_outlives_one_that_is_not),
        cmocka_unit_test(forgotten_frames_go_when_unpinned),
        cmocka_unit_test(of_two_reads_of_a_frame_one_copy_stays),
        cmocka_unit_test(a_frame_that_cannot_be_read_leaves_nothing),
        cmocka_unit_test(a_frame_that_cannot_be_listed_is_read_all_the_same),
        cmocka_unit_test(a_cache_without_memory_is_not_made),
        cmocka_unit_test(threads_share_a_cache),
        cmocka_unit_test(threads_share_a_large_cache_that_evicts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
