#include "durability/wal.h"

#include "core/plant.h"
#include "durability/wal_scan.h"
#include "layout/names.h"

#include <assert.h>

/* For holders of the sync lock. */
static void wal_check(const struct wal *wal)
{
    assert(wal->backend != NULL);
    assert(wal->segment_count > 0 && wal->segment_count <= WAL_SEGMENTS_MAX);
    assert(wal->segments[wal->segment_count - 1].number == wal->active_number);
    assert(wal->active_number <= wal->last_number);
    assert(wal->active == &wal->slots[0] || wal->active == &wal->slots[1]);
    assert(atomic_load(&wal->durable_version) <= atomic_load(&wal->appended_version));
    (void)wal;
}

/* ---- Halting ------------------------------------------------------------------------------ */

static strata_status wal_halted_failure(uint64_t number)
{
    char name[LAYOUT_NAME_SIZE];
    layout_wal_name(number, name);
    return failure_at(STRATA_HALTED, name, 0,
                      "%s failed, and what it holds is not certain: writes are over", name);
}

/* Ends all writing. Called right after the failure that is the reason, whose errno stays. */
static strata_status wal_halt(struct wal *wal, uint64_t number)
{
    assert(number > 0);
    strata_error reason;
    failure_save(&reason);
    atomic_store(&wal->halted_number, number);
    const strata_status status = wal_halted_failure(number);
    failure_system(reason.system_error);
    return status;
}

static strata_status wal_check_halted(const struct wal *wal)
{
    const uint64_t number = atomic_load(&wal->halted_number);
    return number == 0 ? STRATA_OK : wal_halted_failure(number);
}

/* ---- Segments ----------------------------------------------------------------------------- */

/* Where the log is when a segment begins. */
struct wal_joint {
    uint64_t previous_number;
    uint64_t previous_end;
    uint64_t previous_chain;
    uint64_t last_version; /* Durable. */
};

static strata_status segment_write_header(struct wal *wal, struct object *object,
                                          const struct wal_joint *joint, uint64_t *chain_out)
{
    const struct wal_header header = {
        .identity = wal->identity,
        .number = wal->last_number,
        .first_version = joint->last_version + 1,
        .previous_number = joint->previous_number,
        .previous_end = joint->previous_end,
        .previous_chain = joint->previous_chain,
        .durable_version = joint->last_version,
        .manifest = atomic_load(&wal->manifest),
    };
    uint8_t bytes[WAL_HEADER_SIZE];
    *chain_out = wal_header_encode(&header, bytes);
    TRY(object_append(object, bytes_of(bytes, sizeof(bytes))));
    TRY(object_sync(object));
    return backend_sync_names(wal->backend, LAYOUT_WAL_FOLDER);
}

static struct object *wal_spare_slot(struct wal *wal)
{
    struct object *slot = wal->active == &wal->slots[0] ? &wal->slots[1] : &wal->slots[0];
    assert(slot->handle == NULL);
    return slot;
}

/* Makes the segment wal->last_number the active one. The list has room. */
static void wal_install_segment(struct wal *wal, struct object *object, uint64_t bytes,
                                uint64_t first_version, uint64_t chain)
{
    assert(wal->segment_count < WAL_SEGMENTS_MAX);
    if (wal->active != NULL)
        object_close(wal->active);
    wal->active = object;
    wal->active_number = wal->last_number;
    wal->active_bytes = bytes;
    wal->chain = chain;
    wal->segments[wal->segment_count++] = (struct wal_segment){
        .number = wal->last_number,
        .first_version = first_version,
        .bytes = bytes,
        .needed = true,
    };
    atomic_fetch_add(&wal->bytes_appended, WAL_HEADER_SIZE);
    wal_check(wal);
}

/* Creates a segment of the next number and makes it the active one. After a failure the object may
 * be there; `*written` says whether a header may be in it. */
static strata_status wal_add_segment(struct wal *wal, uint64_t bytes, const struct wal_joint *joint,
                                     bool *written)
{
    assert(wal->last_number < OBJECT_NUMBER_MAX);
    char name[LAYOUT_NAME_SIZE];
    struct object *object = wal_spare_slot(wal);
    uint64_t chain;
    *written = false;
    layout_wal_name(++wal->last_number, name);
    TRY(object_create(wal->backend, name, bytes, object));
    *written = true;
    const strata_status status = segment_write_header(wal, object, joint, &chain);
    if (status == STRATA_OK)
        wal_install_segment(wal, object, bytes, joint->last_version + 1, chain);
    else
        object_close(object);
    return status;
}

/* Whether there is a number left, and room in a list of at most `count_max` segments. */
static strata_status wal_check_room(const struct wal *wal, uint32_t count_max)
{
    if (wal->segment_count >= count_max)
        return failure_at(STRATA_NO_SPACE, LAYOUT_WAL_FOLDER, 0,
                          "the log has %u segments that are not flushed", wal->segment_count);
    if (wal->last_number >= OBJECT_NUMBER_MAX)
        return failure_at(STRATA_NO_SPACE, LAYOUT_WAL_FOLDER, 0,
                          "the log has no number left for a segment");
    return STRATA_OK;
}

/* ---- Start and close ---------------------------------------------------------------------- */

static strata_status sync_segment(const strata_backend *backend, uint64_t number)
{
    char name[LAYOUT_NAME_SIZE];
    struct object object = {.handle = NULL};
    layout_wal_name(number, name);
    TRY(object_open(backend, name, &object));
    const strata_status status = object_sync(&object);
    object_close(&object);
    return status;
}

/* Keeps failing starts from filling the list: of what is not needed, only the highest stays, so that
 * its number is not used again. */
static strata_status wal_thin_out(struct wal *wal)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < wal->segment_count; i++) {
        const struct wal_segment segment = wal->segments[i];
        if (!segment.needed && i + 1 < wal->segment_count) {
            char name[LAYOUT_NAME_SIZE];
            layout_wal_name(segment.number, name);
            TRY(backend_remove(wal->backend, name));
            continue;
        }
        wal->segments[kept++] = segment;
    }
    wal->segment_count = kept;
    return STRATA_OK;
}

static strata_status wal_make_durable(struct wal *wal)
{
    for (uint32_t i = 0; i < wal->segment_count; i++) {
        if (wal->segments[i].needed)
            TRY(sync_segment(wal->backend, wal->segments[i].number));
    }
    TRY(backend_sync_names(wal->backend, LAYOUT_WAL_FOLDER));
    if (wal->segment_count > WAL_SEGMENTS_MAX / 2)
        TRY(wal_thin_out(wal));
    return wal_check_room(wal, WAL_SEGMENTS_MAX);
}

#if STRATA_PLANT == 8
/* Uses the number of the last segment again if there is no record in it. */
static strata_status wal_reuse_last(struct wal *wal, const struct wal_tail *tail,
                                    struct wal_joint *joint)
{
    const bool empty = tail->end_number != tail->last_number || tail->end == WAL_HEADER_SIZE;
    if (!empty || wal->segment_count == 0)
        return STRATA_OK;
    char name[LAYOUT_NAME_SIZE];
    layout_wal_name(wal->last_number--, name);
    wal->segment_count--;
    if (joint->previous_number > wal->last_number)
        joint->previous_number = 0;
    return backend_remove(wal->backend, name);
}
#endif

strata_status wal_start(struct wal *wal, const strata_backend *backend,
                        const strata_allocator *allocator, const struct identity *identity,
                        uint64_t segment_bytes, const struct wal_tail *tail, uint64_t manifest)
{
    assert(segment_bytes > WAL_HEADER_SIZE);
    assert(tail->segment_count <= WAL_SEGMENTS_MAX);
    assert(tail->lost_end == 0);

    *wal = (struct wal){
        .backend = backend,
        .allocator = allocator,
        .identity = *identity,
        .segment_bytes = segment_bytes,
        .segment_bytes_max = segment_bytes,
        .last_number = tail->last_number,
        .segment_count = tail->segment_count,
    };
    memcpy(wal->segments, tail->segments, tail->segment_count * sizeof(*tail->segments));
    mutex_init(&wal->sync_lock);
    atomic_store(&wal->appended_version, tail->last_version);
    atomic_store(&wal->durable_version, tail->last_version);
    atomic_store(&wal->manifest, manifest);

    strata_status status = STRATA_OK;
    bool written;
    struct wal_joint joint = {
        .previous_number = tail->end_number,
        .previous_end = tail->end,
        .previous_chain = tail->chain,
        .last_version = tail->last_version,
    };
    TRY_OUT(wal_make_durable(wal));
#if STRATA_PLANT == 8
    TRY_OUT(wal_reuse_last(wal, tail, &joint));
#endif
    /* What a failure leaves behind does no harm: no more goes into the segment before it. */
    TRY_OUT(wal_add_segment(wal, segment_bytes, &joint, &written));
    for (uint32_t i = 0; i + 1 < wal->segment_count; i++) {
        if (wal->segments[i].number > joint.previous_number)
            wal->segments[i].needed = false; /* The new header leaves it out of the log. */
    }

out:
    if (status != STRATA_OK)
        wal_close(wal);
    return status;
}

void wal_close(struct wal *wal)
{
    if (wal->backend == NULL)
        return;
    object_close(&wal->slots[0]);
    object_close(&wal->slots[1]);
    mutex_destroy(&wal->sync_lock);
    wal->backend = NULL;
    wal->active = NULL;
}

/* ---- Rotating ----------------------------------------------------------------------------- */

/* Syncs the active segment to its end. Holds the sync lock. */
static strata_status wal_sync_active(struct wal *wal)
{
    const uint64_t target = atomic_load(&wal->appended_version);
    if (target <= atomic_load(&wal->durable_version))
        return STRATA_OK;
    bool skip = false;
#if STRATA_PLANT == 1
    skip = true;
#endif
#if STRATA_PLANT == 4
    skip = atomic_load(&wal->sync_count) % 2 == 0;
#endif
    if (!skip && object_sync(wal->active) != STRATA_OK)
        return wal_halt(wal, wal->active_number);
    atomic_fetch_add(&wal->sync_count, 1);
    atomic_store(&wal->durable_version, target);
    return STRATA_OK;
}

/* Removes what a creation that failed has left. A header that survived would end the log where the
 * active segment ended then: it has to be gone for certain. */
static strata_status wal_take_back(struct wal *wal, bool written)
{
    char name[LAYOUT_NAME_SIZE];
    strata_error reason;
    failure_save(&reason);
    if (reason.status == STRATA_EXISTS)
        return failure_restore(&reason); /* Not ours. */
    layout_wal_name(wal->last_number, name);
    const bool gone = backend_remove(wal->backend, name) == STRATA_OK &&
                      backend_sync_names(wal->backend, LAYOUT_WAL_FOLDER) == STRATA_OK;
    return gone || !written ? failure_restore(&reason) : wal_halt(wal, wal->last_number);
}

/* Goes over to a new segment of `bytes`, unless the list is that long. Holds the commit lock. */
static strata_status wal_go_over(struct wal *wal, uint64_t bytes, uint32_t count_max)
{
    strata_status status = STRATA_OK;
    bool written;
    mutex_lock(&wal->sync_lock);
    wal_check(wal);
    TRY_OUT(wal_check_halted(wal));
    TRY_OUT(wal_check_room(wal, count_max));
    TRY_OUT(wal_sync_active(wal));
    const struct wal_joint joint = {
        .previous_number = wal->active_number,
        .previous_end = wal->active->appended,
        .previous_chain = wal->chain,
        .last_version = atomic_load(&wal->durable_version),
    };
    assert(joint.last_version == atomic_load(&wal->appended_version));
    status = wal_add_segment(wal, bytes, &joint, &written);
    if (status != STRATA_OK)
        status = wal_take_back(wal, written);
    wal_check(wal);

out:
    mutex_unlock(&wal->sync_lock);
    return status;
}

strata_status wal_rotate(struct wal *wal)
{
    TRY(wal_check_halted(wal));
    if (wal->active->appended == WAL_HEADER_SIZE)
        return STRATA_OK;
    return wal_go_over(wal, wal->segment_bytes, WAL_SEGMENTS_MAX - WAL_SEGMENTS_SPARE);
}

/* ---- Appending ---------------------------------------------------------------------------- */

/* An append failed, and parts of the record may be there. Once a new segment says where this one
 * ended before, no recovery takes them for a record. */
static strata_status wal_disown_record(struct wal *wal, uint64_t version)
{
    strata_error reason;
    failure_save(&reason);
    if (wal_go_over(wal, wal->segment_bytes, WAL_SEGMENTS_MAX) == STRATA_OK) {
        const strata_status status = failure_restore(&reason);
        failure_outcome(STRATA_NOT_COMMITTED, version);
        return status;
    }
    failure_restore(&reason);
    const strata_status status = wal_halt(wal, wal->active_number);
    failure_outcome(STRATA_COMMIT_UNKNOWN, version);
    return status;
}

/* Goes over to a segment with room for a record of `size`, if this one has none. */
static strata_status wal_make_room(struct wal *wal, uint64_t size)
{
    TRY(wal_check_halted(wal));
    if (wal->active->appended + size <= wal->active_bytes)
        return STRATA_OK;
    const uint64_t needed = WAL_HEADER_SIZE + size;
    /* Few segments for many commits, and little to set aside for few. */
    if (wal->segment_bytes <= wal->segment_bytes_max / 2)
        wal->segment_bytes *= 2;
    return wal_go_over(wal, needed > wal->segment_bytes ? needed : wal->segment_bytes,
                       WAL_SEGMENTS_MAX - WAL_SEGMENTS_SPARE);
}

/* Pads the record in `buffer` to `size` bytes and fills in its header. */
static strata_status wal_seal(const struct wal *wal, size_t size, struct buffer *buffer,
                              struct wal_record *record)
{
    uint8_t *padding;
    TRY(buffer_extend(buffer, size - buffer->length, &padding));
    const uint64_t offset = wal->active->appended;
    const struct wal_place place = wal_place_of(&wal->identity, wal->active_number, offset);
    wal_record_seal(record, &place.identity, place.number, place.offset, buffer->data);
    assert(record->size == buffer->length);
    return STRATA_OK;
}

static strata_status wal_not_committed(strata_status status, uint64_t version)
{
    failure_outcome(STRATA_NOT_COMMITTED, version);
    return status;
}

strata_status wal_append(struct wal *wal, uint64_t version, int64_t time_us, struct buffer *record)
{
    assert(version == atomic_load(&wal->appended_version) + 1);
    assert(record->length >= WAL_RECORD_HEADER_SIZE);

    const size_t length = record->length;
    const size_t payload = length - WAL_RECORD_HEADER_SIZE;
    if (payload > UINT32_MAX - WAL_RECORD_HEADER_SIZE - 7)
        return wal_not_committed(failure(STRATA_TOO_BIG, "a commit of %zu bytes", payload),
                                 version);
    const size_t size = wal_record_size(payload);
    strata_status status = wal_make_room(wal, size);
    if (status != STRATA_OK)
        return wal_not_committed(status, version);

    struct wal_record sealed = {
        .kind = WAL_RECORD_COMMIT,
        .version = version,
        .time_us = time_us,
        .durable_version = atomic_load(&wal->durable_version),
        .manifest = atomic_load(&wal->manifest),
        .chain = wal->chain,
        .payload = bytes_of(record->data + WAL_RECORD_HEADER_SIZE, payload),
    };
    status = wal_seal(wal, size, record, &sealed);
    if (status != STRATA_OK)
        return wal_not_committed(status, version);
    if (object_append(wal->active, buffer_view(record)) != STRATA_OK) {
        buffer_truncate(record, length);
        return wal_disown_record(wal, version);
    }
    wal->chain = sealed.checksum;
    atomic_fetch_add(&wal->bytes_appended, size);
    atomic_store(&wal->appended_version, version);
    return STRATA_OK;
}

strata_status wal_sync(struct wal *wal, uint64_t version)
{
    assert(version <= atomic_load(&wal->appended_version));
    if (atomic_load(&wal->durable_version) >= version)
        return STRATA_OK;
    mutex_lock(&wal->sync_lock);
    wal_check(wal);
    strata_status status = STRATA_OK;
    if (atomic_load(&wal->durable_version) < version) {
        status = wal_check_halted(wal);
        if (status == STRATA_OK)
            status = wal_sync_active(wal);
    }
    assert(status != STRATA_OK || atomic_load(&wal->durable_version) >= version);
    mutex_unlock(&wal->sync_lock);
    return status;
}

/* ---- The list ----------------------------------------------------------------------------- */

uint64_t wal_first_needed(struct wal *wal, uint64_t version)
{
    mutex_lock(&wal->sync_lock);
    uint64_t number = 0;
    for (uint32_t i = 0; i < wal->segment_count; i++) {
        const struct wal_segment *segment = &wal->segments[i];
        if (segment->needed && (number == 0 || segment->first_version <= version + 1))
            number = segment->number;
    }
    mutex_unlock(&wal->sync_lock);
    assert(number > 0);
    return number;
}

/* The segments that may go, counted; `*out` is the number of the first. Holds the sync lock. */
static uint32_t wal_droppable(const struct wal *wal, uint64_t first_needed, uint64_t *out)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < wal->segment_count; i++) {
        const struct wal_segment *segment = &wal->segments[i];
        if (segment->needed && segment->number >= first_needed)
            continue;
        if (count++ == 0)
            *out = segment->number;
    }
    return count;
}

/* Takes a segment off the list. Holds the sync lock. */
static void wal_forget_segment(struct wal *wal, uint64_t number)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < wal->segment_count; i++) {
        if (wal->segments[i].number != number)
            wal->segments[kept++] = wal->segments[i];
    }
    assert(kept == wal->segment_count - 1);
    wal->segment_count = kept;
    wal_check(wal);
}

strata_status wal_drop_step(struct wal *wal, uint64_t first_needed, bool *more)
{
    uint64_t number = 0;
    mutex_lock(&wal->sync_lock);
    assert(first_needed <= wal->active_number);
    uint32_t count = wal_droppable(wal, first_needed, &number);
    mutex_unlock(&wal->sync_lock);
    if (count > 0) {
        char name[LAYOUT_NAME_SIZE];
        layout_wal_name(number, name);
        TRY(backend_remove(wal->backend, name));
        mutex_lock(&wal->sync_lock);
        wal_forget_segment(wal, number);
        mutex_unlock(&wal->sync_lock);
        count--;
    }
    *more = count > 0;
    return STRATA_OK;
}

uint64_t wal_bytes(struct wal *wal)
{
    uint64_t bytes = 0;
    mutex_lock(&wal->sync_lock);
    for (uint32_t i = 0; i < wal->segment_count; i++)
        bytes += wal->segments[i].bytes;
    mutex_unlock(&wal->sync_lock);
    return bytes;
}
