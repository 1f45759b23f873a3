#include "durability/manifests.h"

#include "layout/names.h"

#include <assert.h>

/* A delta is worth its link in the chain if the whole is this many times as large. Each is a file, of which
 * there are to be few: chains are shorter than what readers take. */
enum { DELTA_ADVANTAGE = 4, DELTA_ARENA_BYTES = 16 << 10, CHAIN_WRITTEN_MAX = 8 };
static_assert((int)CHAIN_WRITTEN_MAX <= (int)MANIFEST_CHAIN_MAX, "what is written can be read");

static void manifests_check(const struct manifests *manifests)
{
    assert(manifests->published <= manifests->newest);
    assert(manifests->full <= manifests->published);
    assert(manifests->previous_full <= manifests->full);
    assert(manifests->chain <= MANIFEST_CHAIN_MAX);
    (void)manifests;
}

/* ---- Deltas ------------------------------------------------------------------------------- */

static bool same_artifacts(const struct manifest_part *a, const struct manifest_part *b)
{
    if (a->artifact_count != b->artifact_count)
        return false;
    for (uint32_t i = 0; i < a->artifact_count; i++) {
        const struct manifest_artifact *one = &a->artifacts[i], *other = &b->artifacts[i];
        if (one->kind != other->kind || one->number != other->number || one->size != other->size)
            return false;
    }
    return true;
}

static bool same_part(const struct manifest_part *a, const struct manifest_part *b)
{
    return a->number == b->number && a->incarnation == b->incarnation && a->units == b->units &&
           a->unit_size == b->unit_size && a->rows == b->rows && a->bytes == b->bytes &&
           a->min_from == b->min_from && a->max_from == b->max_from && a->max_to == b->max_to &&
           a->first_from == b->first_from && bytes_equal(a->first_key, b->first_key) &&
           same_artifacts(a, b);
}

static bool same_run(const struct manifest_run *a, const struct manifest_run *b)
{
    if (a->id != b->id || a->role != b->role || a->tier != b->tier ||
        a->min_version != b->min_version || a->max_version != b->max_version ||
        a->part_count != b->part_count)
        return false;
    for (uint32_t i = 0; i < a->part_count; i++) {
        if (!same_part(&a->parts[i], &b->parts[i]))
            return false;
    }
    return true;
}

static bool manifest_lists_run(const struct manifest *manifest, const struct manifest_run *run)
{
    for (uint32_t i = 0; i < manifest->run_count; i++) {
        if (manifest->runs[i].id == run->id)
            return same_run(&manifest->runs[i], run);
    }
    return false;
}

/* What turns `previous` into `whole`, which has its number already. Points into both, and `arena`. */
static strata_status manifest_difference(const struct manifest *previous,
                                         const struct manifest *whole, struct arena *arena,
                                         struct manifest *out)
{
    const size_t removed_size = (previous->run_count + (size_t)1) * sizeof(uint64_t);
    const size_t runs_size = (whole->run_count + (size_t)1) * sizeof(struct manifest_run);
    uint64_t *removed = arena_take(arena, removed_size);
    struct manifest_run *runs = arena_take(arena, runs_size);
    if (removed == NULL || runs == NULL)
        return failure(STRATA_NO_MEMORY, "no memory for the changes of a manifest");

    struct manifest delta = *whole;
    delta.kind = MANIFEST_DELTA;
    delta.base = previous->number;
    delta.removed = removed;
    delta.runs = runs;
    delta.run_count = 0;
    for (uint32_t i = 0; i < previous->run_count; i++) {
        if (!manifest_lists_run(whole, &previous->runs[i]))
            removed[delta.removed_count++] = previous->runs[i].id;
    }
    for (uint32_t i = 0; i < whole->run_count; i++) {
        if (!manifest_lists_run(previous, &whole->runs[i]))
            runs[delta.run_count++] = whole->runs[i];
    }
    *out = delta;
    return STRATA_OK;
}

/* Encodes `whole` as a delta on `previous` into `bytes`; leaves that empty if it cannot be one. */
static strata_status encode_delta(const struct manifest *previous, const struct manifest *whole,
                                  const strata_allocator *allocator, struct buffer *bytes)
{
    strata_status status = STRATA_OK;
    struct arena arena;
    struct manifest base = *previous, delta, applied;
    base.kind = MANIFEST_FULL;
    base.base = 0;
    arena_init(&arena, allocator, DELTA_ARENA_BYTES);
    TRY_OUT(manifest_difference(&base, whole, &arena, &delta));
    /* As the reader will do it: a difference that it would refuse is written in full. */
    status = manifest_apply(&base, &delta, &arena, &applied);
    if (status == STRATA_CORRUPT) {
        status = STRATA_OK;
        goto out;
    }
    TRY_OUT(status);
    assert(applied.run_count == whole->run_count);
    TRY_OUT(manifest_encode(&delta, bytes));

out:
    arena_release(&arena);
    return status;
}

/* ---- Publishing --------------------------------------------------------------------------- */

/* How far a manifest came that was not published. */
enum manifest_fate {
    FATE_NOTHING, /* There is no object, or none that can ever pass its check. */
    FATE_UNKNOWN  /* It may be whole, now or after a crash. */
};

/* Whether an append that failed has left less than the whole; then the rest never comes. */
static enum manifest_fate fate_of_torn(const struct object *object, struct bytes bytes)
{
    uint8_t last;
    size_t size;
    if (object_read_some(object, bytes.length - 1, &last, 1, &size) != STRATA_OK)
        return FATE_UNKNOWN;
    return size == 0 ? FATE_NOTHING : FATE_UNKNOWN;
}

/* Writes the object and makes it and its name durable. */
static strata_status write_manifest(const strata_backend *backend, const char *name,
                                    struct bytes bytes, enum manifest_fate *fate)
{
    strata_status status = STRATA_OK;
    struct object object = {.handle = NULL};
    *fate = FATE_NOTHING;
    TRY(object_create(backend, name, 0, &object));
    status = object_append(&object, bytes);
    if (status != STRATA_OK) {
        strata_error reason;
        failure_save(&reason);
        *fate = fate_of_torn(&object, bytes);
        status = failure_restore(&reason);
        goto out;
    }
    *fate = FATE_UNKNOWN;
    TRY_OUT(object_sync(&object));
    TRY_OUT(backend_sync_names(backend, LAYOUT_MANIFEST_FOLDER));

out:
    object_close(&object);
    return status;
}

static strata_status manifests_halt(struct manifests *manifests, const char *name)
{
    strata_error reason;
    failure_save(&reason);
    manifests->halted = true;
    const strata_status status =
        failure_at(STRATA_HALTED, name, 0, "%s may be whole or not: writes are over", name);
    failure_system(reason.system_error);
    return status;
}

/* A torn object stays: it is passed over, and keeps its number from being taken again. One that may
 * be whole ends all writing, for it may rule after a crash; but of a creation, it would say no more
 * than that the database is empty. */
static strata_status publish_bytes(struct manifests *manifests, uint64_t number, struct bytes bytes)
{
    char name[LAYOUT_NAME_SIZE];
    enum manifest_fate fate;
    layout_manifest_name(number, name);
    if (bytes.length > MANIFEST_SIZE_MAX)
        return failure_at(STRATA_TOO_BIG, name, 0, "%s would have %zu bytes", name, bytes.length);
    manifests->newest = number; /* Whatever comes of it, the number is used. */
    const strata_status status = write_manifest(manifests->backend, name, bytes, &fate);
    if (status != STRATA_OK && fate == FATE_UNKNOWN && manifests->published != 0)
        return manifests_halt(manifests, name);
    return status;
}

static void note_published(struct manifests *manifests, uint64_t number, bool as_delta)
{
    manifests->previous_full = manifests->published == 0 ? number : manifests->full;
    if (manifests->oldest == 0)
        manifests->oldest = number;
    if (!as_delta)
        manifests->full = number;
    manifests->chain = as_delta ? manifests->chain + 1 : 0;
    manifests->published = number;
    manifests_check(manifests);
}

strata_status manifests_publish(struct manifests *manifests, const struct manifest *previous,
                                struct manifest *next)
{
    assert(previous == NULL || previous->number == manifests->published);
    manifests_check(manifests);
    if (manifests->halted)
        return failure(STRATA_HALTED, "which manifest rules is not certain: writes are over");
    if (manifests->newest >= OBJECT_NUMBER_MAX)
        return failure(STRATA_NO_SPACE, "there is no number left for a manifest");

    strata_status status = STRATA_OK;
    struct manifest whole = *next;
    struct buffer full, delta;
    buffer_init(&full, manifests->allocator);
    buffer_init(&delta, manifests->allocator);
    whole.number = manifests->newest + 1;
    whole.kind = MANIFEST_FULL;
    whole.base = 0;
    whole.removed_count = 0;
    whole.removed = NULL;
    TRY_OUT(manifest_encode(&whole, &full));
    if (previous != NULL && manifests->chain < CHAIN_WRITTEN_MAX)
        TRY_OUT(encode_delta(previous, &whole, manifests->allocator, &delta));
    const bool as_delta = delta.length > 0 && delta.length * DELTA_ADVANTAGE <= full.length;
    TRY_OUT(publish_bytes(manifests, whole.number, buffer_view(as_delta ? &delta : &full)));
    note_published(manifests, whole.number, as_delta);
    *next = whole;

out:
    buffer_release(&full);
    buffer_release(&delta);
    return status;
}
