#include "format/manifest.h"

#include "format/take.h"
#include "layout/key.h"

#include <assert.h>

/* The least bytes that each may take, so that a count is believed no further than its bytes go. */
enum {
    MANIFEST_RUN_SIZE_MIN = 6,
    MANIFEST_PART_SIZE_MIN = 29,
    MANIFEST_ARTIFACT_SIZE_MIN = 3,
    LIVE_TIER_MAX = 2
};

static const uint8_t manifest_magic[8] = {'S', 'T', 'R', 'A', 'T', 'A', 'M', 'F'};

/* The identity is inside, so the seed cannot depend on it. */
static uint64_t manifest_checksum(struct bytes object, uint64_t number)
{
    static const struct identity nobody = {.incarnation = 0};
    return place_checksum(object, place_seed(&nobody, FAMILY_MANIFEST, number, 0));
}

/* Negative if `a` is listed before `b`; 0 only for runs of one id. */
static int manifest_run_order(const struct manifest_run *a, const struct manifest_run *b)
{
    if (a->role != b->role)
        return a->role < b->role ? -1 : 1;
    if (a->max_version != b->max_version)
        return a->max_version > b->max_version ? -1 : 1;
    if (a->role == ROLE_LIVE && a->tier != b->tier)
        return a->tier < b->tier ? -1 : 1;
    return (a->id < b->id) - (a->id > b->id);
}

/* What is wrong with a part by itself, or NULL. */
static const char *manifest_part_fault(const struct manifest_part *part, uint64_t next_object)
{
    const uint32_t unit_size = part->unit_size;
    if (part->number >= next_object)
        return "its number is not below the next object's";
    if (part->units == 0 || part->units > UINT32_MAX)
        return "it has no units, or over 32 bits of them";
    if (unit_size < FRAME_UNIT_SIZE_MIN || unit_size > FRAME_UNIT_SIZE_MAX ||
        (unit_size & (unit_size - 1)) != 0)
        return "its unit is no power of two from 4,096 to 65,536";
    if (part->min_from > part->max_from)
        return "its least version is above its greatest";
    if (part->first_key.length > STORAGE_KEY_SIZE_MAX)
        return "its first key is too long";
    for (uint32_t i = 0; i < part->artifact_count; i++) {
        if (part->artifacts[i].number >= next_object)
            return "the number of an artifact is not below the next object's";
    }
    return NULL;
}

/* What is wrong with a run, or NULL. Its parts may be partly read: `part_count` of them. */
static const char *manifest_run_fault(const struct manifest_run *run)
{
    if (run->role != ROLE_LIVE && run->role != ROLE_HISTORY)
        return "its role is unknown";
    if (run->role == ROLE_LIVE && run->tier > LIVE_TIER_MAX)
        return "its tier is unknown";
    if (run->min_version > run->max_version)
        return "its least version is above its greatest";
    if (run->part_count == 0)
        return "it has no parts";
    for (uint32_t i = 1; i < run->part_count; i++) {
        const struct manifest_part *last = &run->parts[i - 1], *part = &run->parts[i];
        if (row_order(last->first_key, last->first_from, part->first_key, part->first_from) >= 0)
            return "its parts are not in order";
    }
    return NULL;
}

/* What is wrong with the header's numbers, or NULL. */
static const char *manifest_header_fault(const struct manifest *manifest)
{
    if (manifest->number > OBJECT_NUMBER_MAX || manifest->first_wal > OBJECT_NUMBER_MAX ||
        manifest->next_object > OBJECT_NUMBER_MAX)
        return "an object's number is over 56 bits";
    if (manifest->next_space > SPACE_LIMIT)
        return "the next space is over 26 bits";
    if (manifest->kind != MANIFEST_FULL && manifest->kind != MANIFEST_DELTA)
        return "its kind is unknown";
    if (manifest->kind == MANIFEST_FULL && manifest->base != 0)
        return "it is full and has a base";
    if (manifest->kind == MANIFEST_DELTA &&
        (manifest->base == 0 || manifest->base >= manifest->number))
        return "its base is not before it";
    if (manifest->kind == MANIFEST_FULL && manifest->removed_count > 0)
        return "it is full and removes runs";
    return NULL;
}

/* What the reader verifies. */
static void manifest_check(const struct manifest *manifest)
{
    assert(manifest_header_fault(manifest) == NULL);
    for (uint32_t i = 0; i < manifest->run_count; i++) {
        const struct manifest_run *run = &manifest->runs[i];
        assert(manifest_run_fault(run) == NULL);
        assert(i == 0 || manifest_run_order(run - 1, run) < 0);
        for (uint32_t part = 0; part < run->part_count; part++)
            assert(manifest_part_fault(&run->parts[part], manifest->next_object) == NULL);
        (void)run;
    }
    (void)manifest;
}

static strata_status manifest_append_part(struct buffer *out, const struct manifest_part *part)
{
    TRY(buffer_append_varint(out, part->number));
    TRY(buffer_append_u64(out, part->incarnation));
    TRY(buffer_append_varint(out, part->units));
    TRY(buffer_append_u32(out, part->unit_size));
    TRY(buffer_append_varint(out, part->rows));
    TRY(buffer_append_varint(out, part->bytes));
    TRY(buffer_append_varint(out, part->min_from));
    TRY(buffer_append_varint(out, part->max_from));
    TRY(buffer_append_u64(out, part->max_to));
    TRY(buffer_append_varint(out, part->first_key.length));
    TRY(buffer_append(out, part->first_key));
    TRY(buffer_append_varint(out, part->first_from));
    TRY(buffer_append_varint(out, part->artifact_count));
    for (uint32_t i = 0; i < part->artifact_count; i++) {
        TRY(buffer_append_varint(out, part->artifacts[i].kind));
        TRY(buffer_append_varint(out, part->artifacts[i].number));
        TRY(buffer_append_varint(out, part->artifacts[i].size));
    }
    return STRATA_OK;
}

static strata_status manifest_append_run(struct buffer *out, const struct manifest_run *run)
{
    TRY(buffer_append_varint(out, run->id));
    TRY(buffer_append_u8(out, run->role));
    TRY(buffer_append_u8(out, run->tier));
    TRY(buffer_append_varint(out, run->min_version));
    TRY(buffer_append_varint(out, run->max_version));
    TRY(buffer_append_varint(out, run->part_count));
    for (uint32_t i = 0; i < run->part_count; i++)
        TRY(manifest_append_part(out, &run->parts[i]));
    return STRATA_OK;
}

static void manifest_store_header(const struct manifest *manifest, uint8_t *to)
{
    memset(to, 0, MANIFEST_HEADER_SIZE);
    memcpy(to + 8, manifest_magic, sizeof(manifest_magic));
    store_u32(to + 16, FORMAT_VERSION);
    memcpy(to + 24, manifest->identity.uuid, UUID_SIZE);
    store_u64(to + 40, manifest->identity.incarnation);
    store_u64(to + 48, manifest->number);
    to[56] = manifest->kind;
    store_u64(to + 64, manifest->base);
    store_u64(to + 72, manifest->flushed_version);
    store_u64(to + 80, (uint64_t)manifest->flushed_time_us);
    to[58] = manifest->log_empty ? MANIFEST_LOG_EMPTY : 0;
    store_u64(to + 88, manifest->first_wal);
    store_u64(to + 96, manifest->next_object);
    store_u64(to + 104, manifest->next_branch);
    store_u32(to + 112, manifest->next_space);
    store_u64(to + 120, (uint64_t)manifest->created_us);
}

/* Appends all but size and checksum. On failure `out` may have grown. */
static strata_status manifest_append(const struct manifest *manifest, struct buffer *out)
{
    uint8_t *header;
    TRY(buffer_extend(out, MANIFEST_HEADER_SIZE, &header));
    manifest_store_header(manifest, header);
    TRY(buffer_append_varint(out, manifest->removed_count));
    for (uint32_t i = 0; i < manifest->removed_count; i++)
        TRY(buffer_append_varint(out, manifest->removed[i]));
    TRY(buffer_append_varint(out, manifest->run_count));
    for (uint32_t i = 0; i < manifest->run_count; i++)
        TRY(manifest_append_run(out, &manifest->runs[i]));
    return STRATA_OK;
}

strata_status manifest_encode(const struct manifest *manifest, struct buffer *out)
{
    manifest_check(manifest);
    if (manifest->run_count > MANIFEST_RUNS_MAX || manifest->removed_count > MANIFEST_RUNS_MAX)
        return failure(STRATA_TOO_BIG, "manifest of %" PRIu32 " runs, limit %d",
                       manifest->run_count, MANIFEST_RUNS_MAX);

    strata_status status = STRATA_OK;
    const size_t start = out->length;
    TRY_OUT(manifest_append(manifest, out));
    const size_t size = out->length - start;
    if (size > UINT32_MAX) {
        status = failure(STRATA_TOO_BIG, "manifest of %zu bytes", size);
        goto out;
    }
    uint8_t *object = out->data + start;
    store_u32(object + 20, (uint32_t)size);
    store_u64(object, manifest_checksum(bytes_of(object, size), manifest->number));

out:
    if (status != STRATA_OK)
        buffer_truncate(out, start);
    return status;
}

/* Takes the count of an array whose elements have at least `size_min` bytes each, and memory for
 * them of `size` each. */
static strata_status manifest_take_count(struct bytes *rest, size_t size_min, size_t size,
                                         struct arena *arena, uint32_t *count_out, void **out)
{
    uint64_t count;
    TRY(take_varint(rest, &count));
    if (count > rest->length / size_min || count > UINT32_MAX)
        return failure(STRATA_CORRUPT, "manifest has an array of %" PRIu64 " in %zu bytes", count,
                       rest->length);
    *out = NULL;
    *count_out = (uint32_t)count;
    if (count == 0)
        return STRATA_OK;
    if (count <= SIZE_MAX / size)
        *out = arena_take(arena, (size_t)count * size);
    if (*out == NULL)
        return failure(STRATA_NO_MEMORY, "no memory for an array of %" PRIu64 " in a manifest",
                       count);
    return STRATA_OK;
}

static strata_status manifest_take_artifacts(struct bytes *rest, struct arena *arena,
                                             struct manifest_part *part)
{
    void *memory;
    TRY(manifest_take_count(rest, MANIFEST_ARTIFACT_SIZE_MIN, sizeof(*part->artifacts), arena,
                            &part->artifact_count, &memory));
    struct manifest_artifact *artifacts = memory;
    for (uint32_t i = 0; i < part->artifact_count; i++) {
        uint64_t kind;
        TRY(take_varint_to(rest, UINT32_MAX, "kind of an artifact", &kind));
        artifacts[i].kind = (uint32_t)kind;
        TRY(take_varint(rest, &artifacts[i].number));
        TRY(take_varint(rest, &artifacts[i].size));
    }
    part->artifacts = artifacts;
    return STRATA_OK;
}

static strata_status manifest_take_key(struct bytes *rest, struct arena *arena, struct bytes *out)
{
    struct bytes key;
    uint64_t length;
    TRY(take_varint_to(rest, STORAGE_KEY_SIZE_MAX, "length of a first key", &length));
    TRY(take_bytes(rest, length, "first key", &key));
    if (key.length == 0) {
        *out = bytes_of(NULL, 0);
        return STRATA_OK;
    }
    uint8_t *copy = arena_take(arena, key.length);
    if (copy == NULL)
        return failure(STRATA_NO_MEMORY, "no memory for a key of %zu bytes", key.length);
    memcpy(copy, key.data, key.length);
    *out = bytes_of(copy, key.length);
    return STRATA_OK;
}

static strata_status manifest_take_part(struct bytes *rest, struct arena *arena,
                                        struct manifest_part *part)
{
    TRY(take_varint(rest, &part->number));
    TRY(take_u64(rest, "incarnation of a part", &part->incarnation));
    TRY(take_varint(rest, &part->units));
    TRY(take_u32(rest, "unit size of a part", &part->unit_size));
    TRY(take_varint(rest, &part->rows));
    TRY(take_varint(rest, &part->bytes));
    TRY(take_varint(rest, &part->min_from));
    TRY(take_varint(rest, &part->max_from));
    TRY(take_u64(rest, "max to of a part", &part->max_to));
    TRY(manifest_take_key(rest, arena, &part->first_key));
    TRY(take_varint(rest, &part->first_from));
    return manifest_take_artifacts(rest, arena, part);
}

static strata_status manifest_take_run(struct bytes *rest, struct arena *arena,
                                       uint64_t next_object, struct manifest_run *run)
{
    TRY(take_varint(rest, &run->id));
    TRY(take_u8(rest, "role of a run", &run->role));
    TRY(take_u8(rest, "tier of a run", &run->tier));
    TRY(take_varint(rest, &run->min_version));
    TRY(take_varint(rest, &run->max_version));
    void *memory;
    TRY(manifest_take_count(rest, MANIFEST_PART_SIZE_MIN, sizeof(*run->parts), arena,
                            &run->part_count, &memory));
    struct manifest_part *parts = memory;
    for (uint32_t i = 0; i < run->part_count; i++) {
        TRY(manifest_take_part(rest, arena, &parts[i]));
        const char *fault = manifest_part_fault(&parts[i], next_object);
        if (fault != NULL)
            return failure(STRATA_CORRUPT, "manifest's part %" PRIu64 ": %s", parts[i].number,
                           fault);
    }
    run->parts = parts;
    const char *fault = manifest_run_fault(run);
    if (fault != NULL)
        return failure(STRATA_CORRUPT, "manifest's run %" PRIu64 ": %s", run->id, fault);
    return STRATA_OK;
}

static bool manifest_has_run(const struct manifest_run *runs, uint32_t count, uint64_t id)
{
    for (uint32_t i = 0; i < count; i++) {
        if (runs[i].id == id)
            return true;
    }
    return false;
}

static strata_status manifest_take_runs(struct bytes *rest, struct arena *arena,
                                        struct manifest *manifest)
{
    void *memory;
    TRY(manifest_take_count(rest, MANIFEST_RUN_SIZE_MIN, sizeof(*manifest->runs), arena,
                            &manifest->run_count, &memory));
    struct manifest_run *runs = memory;
    if (manifest->run_count > MANIFEST_RUNS_MAX)
        return failure(STRATA_CORRUPT, "manifest of %" PRIu32 " runs, limit %d",
                       manifest->run_count, MANIFEST_RUNS_MAX);
    for (uint32_t i = 0; i < manifest->run_count; i++) {
        TRY(manifest_take_run(rest, arena, manifest->next_object, &runs[i]));
        if (i > 0 && manifest_run_order(&runs[i - 1], &runs[i]) >= 0)
            return failure(STRATA_CORRUPT, "manifest's run %" PRIu64 " is out of order",
                           runs[i].id);
        if (manifest_has_run(runs, i, runs[i].id))
            return failure(STRATA_CORRUPT, "manifest's run %" PRIu64 " is there twice", runs[i].id);
    }
    manifest->runs = runs;
    return STRATA_OK;
}

static strata_status manifest_take_removed(struct bytes *rest, struct arena *arena,
                                           struct manifest *manifest)
{
    void *memory;
    TRY(manifest_take_count(rest, 1, sizeof(*manifest->removed), arena, &manifest->removed_count,
                            &memory));
    uint64_t *removed = memory;
    if (manifest->removed_count > MANIFEST_RUNS_MAX)
        return failure(STRATA_CORRUPT, "manifest removes %" PRIu32 " runs, limit %d",
                       manifest->removed_count, MANIFEST_RUNS_MAX);
    for (uint32_t i = 0; i < manifest->removed_count; i++)
        TRY(take_varint(rest, &removed[i]));
    manifest->removed = removed;
    return STRATA_OK;
}

/* Size, checksum and format: what must hold before any other byte is looked at. */
static strata_status manifest_check_whole(struct bytes object, uint64_t number)
{
    if (object.length < MANIFEST_HEADER_SIZE)
        return failure(STRATA_CORRUPT, "manifest of %zu bytes has no header", object.length);
    if (memcmp(object.data + 8, manifest_magic, sizeof(manifest_magic)) != 0)
        return failure(STRATA_CORRUPT, "manifest does not begin with STRATAMF");
    if (load_u32(object.data + 20) != object.length)
        return failure(STRATA_CORRUPT, "manifest of %zu bytes says that it has %" PRIu32,
                       object.length, load_u32(object.data + 20));
    if (load_u64(object.data) != manifest_checksum(object, number))
        return failure(STRATA_CORRUPT, "manifest fails its checksum");
    TRY(format_version_check(load_u32(object.data + 16)));
    if (object.data[57] != 0)
        return failure(STRATA_UNSUPPORTED, "manifest has transform %u, which this library lacks",
                       (unsigned)object.data[57]);
    if (object.data[58] > MANIFEST_LOG_EMPTY || object.data[59] != 0 ||
        load_u32(object.data + 60) != 0 || load_u32(object.data + 116) != 0)
        return failure(STRATA_CORRUPT, "manifest's reserved bytes are not zero");
    if (load_u64(object.data + 48) != number)
        return failure(STRATA_CORRUPT, "manifest says that its number is %" PRIu64,
                       load_u64(object.data + 48));
    return STRATA_OK;
}

strata_status manifest_decode(struct bytes object, uint64_t number, struct arena *arena,
                              struct manifest *out)
{
    TRY(manifest_check_whole(object, number));
    const uint8_t *data = object.data;
    struct manifest manifest = {
        .identity = {.incarnation = load_u64(data + 40)},
        .number = number,
        .kind = data[56],
        .base = load_u64(data + 64),
        .flushed_version = load_u64(data + 72),
        .flushed_time_us = (int64_t)load_u64(data + 80),
        .first_wal = load_u64(data + 88),
        .log_empty = data[58] == MANIFEST_LOG_EMPTY,
        .next_object = load_u64(data + 96),
        .next_branch = load_u64(data + 104),
        .next_space = load_u32(data + 112),
        .created_us = (int64_t)load_u64(data + 120),
    };
    memcpy(manifest.identity.uuid, data + 24, UUID_SIZE);

    struct bytes rest = bytes_after(object, MANIFEST_HEADER_SIZE);
    TRY(manifest_take_removed(&rest, arena, &manifest));
    const char *fault = manifest_header_fault(&manifest);
    if (fault != NULL)
        return failure(STRATA_CORRUPT, "manifest: %s", fault);
    TRY(manifest_take_runs(&rest, arena, &manifest));
    if (rest.length != 0)
        return failure(STRATA_CORRUPT, "manifest has %zu bytes behind its end", rest.length);
    *out = manifest;
    return STRATA_OK;
}

/* Whether `delta` may follow `base`: nothing that only grows has shrunk. */
static strata_status manifest_check_successor(const struct manifest *base,
                                              const struct manifest *delta)
{
    if (delta->base != base->number)
        return failure(STRATA_CORRUPT, "manifest %" PRIu64 " does not build on %" PRIu64,
                       delta->number, base->number);
    if (memcmp(base->identity.uuid, delta->identity.uuid, UUID_SIZE) != 0 ||
        base->identity.incarnation != delta->identity.incarnation)
        return failure(STRATA_CORRUPT, "manifest %" PRIu64 " is of another database",
                       delta->number);
    if (delta->flushed_version < base->flushed_version || delta->first_wal < base->first_wal ||
        delta->next_object < base->next_object || delta->next_branch < base->next_branch ||
        delta->next_space < base->next_space)
        return failure(STRATA_CORRUPT, "manifest %" PRIu64 " goes back behind %" PRIu64,
                       delta->number, base->number);
    return STRATA_OK;
}

/* Copies to `kept`, which has room for all, the base's runs that the delta does not remove. */
static strata_status manifest_keep_runs(const struct manifest *base, const struct manifest *delta,
                                        struct manifest_run *kept, uint32_t *count_out)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < base->run_count; i++) {
        const uint64_t id = base->runs[i].id;
        bool removed = false;
        for (uint32_t r = 0; r < delta->removed_count && !removed; r++)
            removed = delta->removed[r] == id;
        if (removed)
            continue;
        if (manifest_has_run(delta->runs, delta->run_count, id))
            return failure(STRATA_CORRUPT,
                           "manifest %" PRIu64 " adds run %" PRIu64 ", which is there",
                           delta->number, id);
        kept[count++] = base->runs[i];
    }
    for (uint32_t r = 0; r < delta->removed_count; r++) {
        if (!manifest_has_run(base->runs, base->run_count, delta->removed[r]))
            return failure(STRATA_CORRUPT,
                           "manifest %" PRIu64 " removes run %" PRIu64 ", which is not there",
                           delta->number, delta->removed[r]);
    }
    *count_out = count;
    return STRATA_OK;
}

/* Merges `added` into the first `count` runs of `runs`, from the back, where there is room. */
static void manifest_merge_runs(struct manifest_run *runs, uint32_t count,
                                const struct manifest_run *added, uint32_t added_count)
{
    uint32_t to = count + added_count;
    while (added_count > 0) {
        const int order =
            count > 0 ? manifest_run_order(&runs[count - 1], &added[added_count - 1]) : -1;
        assert(order != 0);
        if (count > 0 && order > 0)
            runs[--to] = runs[--count];
        else
            runs[--to] = added[--added_count];
    }
}

strata_status manifest_apply(const struct manifest *base, const struct manifest *delta,
                             struct arena *arena, struct manifest *out)
{
    assert(base->kind == MANIFEST_FULL);
    assert(delta->kind == MANIFEST_DELTA);

    TRY(manifest_check_successor(base, delta));
    struct manifest_run *runs = NULL;
    uint32_t count = 0;
    const size_t room = (size_t)base->run_count + delta->run_count;
    if (room > 0) {
        runs = arena_take(arena, room * sizeof(*runs));
        if (runs == NULL)
            return failure(STRATA_NO_MEMORY, "no memory for the %zu runs of a manifest", room);
    }
    TRY(manifest_keep_runs(base, delta, runs, &count));
    if (count + delta->run_count > MANIFEST_RUNS_MAX)
        return failure(STRATA_CORRUPT, "manifest of %" PRIu32 " runs, limit %d",
                       count + delta->run_count, MANIFEST_RUNS_MAX);
    manifest_merge_runs(runs, count, delta->runs, delta->run_count);

    struct manifest whole = *delta;
    whole.kind = MANIFEST_FULL;
    whole.base = 0;
    whole.removed_count = 0;
    whole.removed = NULL;
    whole.run_count = count + delta->run_count;
    whole.runs = runs;
    *out = whole;
    return STRATA_OK;
}
