/* Parts in memory, made from samples, for the tests of parts and of the cache. */
#ifndef STRATA_TESTS_TABLE_PART_FIXTURE_H
#define STRATA_TESTS_TABLE_PART_FIXTURE_H

#include "table/faulty_backend.h"
#include "table/part_reader.h"
#include "table/part_writer.h"
#include "table/sample.h"

#include "support.h"

enum { FIXTURE_PART = 1234, FIXTURE_INCARNATION = 77 };

/* The backend's memory is not counted, the rest is. */
struct part_fixture {
    struct test_heap counted;
    strata_allocator allocator;
    const strata_backend *inner;
    struct faulty_backend faulty;
    struct epochs epochs;
    struct epoch_slot *slot; /* Inside, all the time but for part_fixture_step. */
    struct cache cache;
    struct part_store store;
    struct arena arena; /* On the plain heap. */
    struct manifest_part info;
};

struct part_layout {
    uint32_t unit_size;
    uint32_t frame_size; /* 0: as a unit. */
    enum part_role role;
    bool with_buckets;
};

/* Does not move afterwards. */
void part_fixture_open(struct part_fixture *fixture, size_t cache_bytes);
void part_fixture_close(struct part_fixture *fixture);

/* Leaves the epoch for a moment: what was found before may go. */
void part_fixture_step(struct part_fixture *fixture);

/* Drops all cached frames. */
void part_fixture_empty_cache(struct part_fixture *fixture, size_t cache_bytes);

/* Writes the sample as part FIXTURE_PART and describes it in fixture->info. */
strata_status part_fixture_write(struct part_fixture *fixture, const struct sample *sample,
                                 const struct part_layout *layout);

/* The bytes of the part's object, from the plain heap (test_free); and an object of such bytes in its
 * place. */
uint8_t *part_fixture_bytes(struct part_fixture *fixture);
void part_fixture_replace(struct part_fixture *fixture, const uint8_t *bytes);

/* Seals anew the frame of `units` units at `unit` of such bytes. */
void part_fixture_reseal(const struct part_fixture *fixture, uint8_t *bytes, uint32_t unit,
                         uint32_t units);

/* part_fixture_write, with a part to read. */
struct part *part_fixture_part(struct part_fixture *fixture, const struct sample *sample,
                               const struct part_layout *layout);

#endif
