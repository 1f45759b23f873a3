#include "durability/wal.h"

#include "core/plant.h"
#include "durability/wal_ring.h"
#include "durability/wal_scan.h"
#include "layout/names.h"

#include <assert.h>

/* Syncs are few if there are at least so many bytes for each. */
#define WAL_SYNC_SHARE ((uint64_t)256 * 1024)

/* For holders of the sync lock. */
static void wal_check(const struct wal *wal)
{
    assert(wal->backend != NULL);
    assert(wal->segment_count > 0 && wal->segment_count <= WAL_SEGMENTS_MAX);
    assert(wal->segments[wal->segment_count - 1].number == wal->active_number);
    assert(wal->active_number <= wal->last_number);
    assert(wal->active >= wal->slots && wal->active < wal->slots + WAL_SLOTS);
    assert(wal->active != wal->spare);
    assert(atomic_load(&wal->durable_version) <= atomic_load(&wal->appended_version));
    (void)wal;
}

/* Where the records end, for the appender, who alone moves it. */
static uint64_t wal_end(const struct wal *wal)
{
    return atomic_load_explicit(&wal->end, memory_order_relaxed);
}

static void wal_count_bytes(struct wal *wal, uint64_t bytes)
{
    const uint64_t before = atomic_load_explicit(&wal->bytes_appended, memory_order_relaxed);
    atomic_store_explicit(&wal->bytes_appended, before + bytes, memory_order_relaxed);
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
    uint64_t number; /* Its own. */
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
        .number = joint->number,
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

/* Holds the sync lock. */
static struct object *wal_free_slot(struct wal *wal)
{
    struct object *slot = wal->slots;
    while (slot == wal->active || slot == wal->spare)
        slot++;
    assert(slot < wal->slots + WAL_SLOTS);
    assert(slot->handle == NULL);
    return slot;
}

/* Makes segment joint->number the active one. The list has room. */
static void wal_install_segment(struct wal *wal, struct object *object, uint64_t bytes,
                                const struct wal_joint *joint, uint64_t chain)
{
    assert(wal->segment_count < WAL_SEGMENTS_MAX);
    if (wal->active != NULL)
        object_close(wal->active);
    wal->active = object;
    wal->active_number = joint->number;
    wal->active_bytes = bytes;
    wal->chain = chain;
    wal->sync_count_before = atomic_load(&wal->sync_count);
    assert(object->appended == WAL_HEADER_SIZE);
    atomic_store(&wal->copied, WAL_HEADER_SIZE);
    atomic_store(&wal->end, WAL_HEADER_SIZE);
    wal->segments[wal->segment_count++] = (struct wal_segment){
        .number = joint->number,
        .first_version = joint->last_version + 1,
        .bytes = bytes,
        .needed = true,
    };
    wal_count_bytes(wal, WAL_HEADER_SIZE);
    wal_check(wal);
}

/* A segment is filled with zeros before its records come, so that syncing these is quick. Where a ring
 * collects them and few are synced, that would only be writing everything twice. */
static bool wal_syncs_seldom(const struct wal *wal)
{
    const uint64_t syncs = atomic_load(&wal->sync_count) - wal->sync_count_before;
    return wal->ring.bytes != NULL && syncs <= (wal_end(wal) - WAL_HEADER_SIZE) / WAL_SYNC_SHARE;
}

/* An object for a segment of `bytes`. Any thread. */
static strata_status wal_create_object(struct wal *wal, const char *name, uint64_t bytes, bool lazy,
                                       struct object *out)
{
    return lazy ? object_create_lazy(wal->backend, name, bytes, out)
                : object_create(wal->backend, name, bytes, out);
}

/* A segment of at least `*bytes` that has no header yet: the one made ahead, or a new one. */
static strata_status wal_take_segment(struct wal *wal, uint64_t *number, uint64_t *bytes,
                                      struct object **out)
{
    assert(wal->last_number < OBJECT_NUMBER_MAX);
    if (wal->spare_ready && wal->spare_bytes >= *bytes) {
        *out = wal->spare;
        *number = wal->spare_number;
        *bytes = wal->spare_bytes;
        wal->spare = NULL;
        wal->spare_ready = false;
        return STRATA_OK;
    }
    char name[LAYOUT_NAME_SIZE];
    if (wal->spare_ready) /* Too small, and its number will be too low. */
        wal_drop_spare(wal);
    *out = wal_free_slot(wal);
    *number = ++wal->last_number;
    layout_wal_name(*number, name);
    return wal_create_object(wal, name, *bytes, wal_syncs_seldom(wal), *out);
}

/* Creates a segment of the next number and makes it the active one. After a failure the object may
 * be there; `*written` says whether a header may be in it. Sets joint->number. */
static strata_status wal_add_segment(struct wal *wal, uint64_t bytes, struct wal_joint *joint,
                                     bool *written)
{
    struct object *object;
    uint64_t chain;
    *written = false;
    TRY(wal_take_segment(wal, &joint->number, &bytes, &object));
    *written = true;
    const strata_status status = segment_write_header(wal, object, joint, &chain);
    if (status == STRATA_OK)
        wal_install_segment(wal, object, bytes, joint, chain);
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
    assert(!tail->ring_used || tail->end_number == 0);

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
    wal_turns_init(&wal->turns);
    mutex_init(&wal->copy_lock);
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

void wal_use_ring(struct wal *wal, uint64_t bytes)
{
    assert(wal->ring.bytes == NULL);
    assert(atomic_load(&wal->end) == WAL_HEADER_SIZE);
    ring_open(wal->backend, LAYOUT_WAL_RING, bytes, &wal->ring);
}

void wal_close(struct wal *wal)
{
    if (wal->backend == NULL)
        return;
    ring_close(&wal->ring);
    for (size_t i = 0; i < WAL_SLOTS; i++)
        object_close(&wal->slots[i]);
    wal->spare = NULL;
    wal->spare_ready = false;
    mutex_destroy(&wal->copy_lock);
    wal_turns_destroy(&wal->turns);
    mutex_destroy(&wal->sync_lock);
    wal->backend = NULL;
    wal->active = NULL;
}

/* ---- Copying and rotating ----------------------------------------------------------------- */

/* Brings the segment up to `end`. Holds the commit lock or the sync lock. */
static strata_status wal_copy(struct wal *wal)
{
    if (wal->ring.bytes == NULL)
        return STRATA_OK;
    mutex_lock(&wal->copy_lock);
    strata_status status = wal_check_halted(wal);
    if (status == STRATA_OK &&
        wal_ring_copy(&wal->ring, wal->active, atomic_load(&wal->end)) != STRATA_OK)
        status = wal_halt(wal, wal->active_number);
    if (status == STRATA_OK)
        atomic_store(&wal->copied, wal->active->appended);
    mutex_unlock(&wal->copy_lock);
    return status;
}

/* Syncs the active segment, up to version `target` at least. Holds the sync lock, or has its turn. */
static strata_status wal_sync_active(struct wal *wal, uint64_t target)
{
    if (target <= atomic_load(&wal->durable_version))
        return STRATA_OK;
#if STRATA_PLANT != 35
    TRY(wal_check_halted(wal)); /* The sync that was waited for may have failed. */
#endif
    TRY(wal_copy(wal));
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
#if STRATA_PLANT == 36
    atomic_store(&wal->durable_version, atomic_load(&wal->appended_version));
    return STRATA_OK;
#endif
    atomic_store(&wal->durable_version, target);
    return STRATA_OK;
}

/* Removes what a creation that failed has left. A header that survived would end the log where the
 * active segment ended then: it has to be gone for certain. */
static strata_status wal_take_back(struct wal *wal, uint64_t number, bool written)
{
    char name[LAYOUT_NAME_SIZE];
    strata_error reason;
    failure_save(&reason);
    if (reason.status == STRATA_EXISTS)
        return failure_restore(&reason); /* Not ours. */
    layout_wal_name(number, name);
    const bool gone = backend_remove(wal->backend, name) == STRATA_OK &&
                      backend_sync_names(wal->backend, LAYOUT_WAL_FOLDER) == STRATA_OK;
    return gone || !written ? failure_restore(&reason) : wal_halt(wal, number);
}

/* Goes over to a new segment of `bytes`, unless the list is that long. Holds the commit lock. */
static strata_status wal_go_over(struct wal *wal, uint64_t bytes, uint32_t count_max)
{
    strata_status status = STRATA_OK;
    bool written;
    mutex_lock(&wal->sync_lock);
    wal_turns_settle(&wal->turns, &wal->sync_lock);
    wal_check(wal);
    TRY_OUT(wal_check_halted(wal));
    TRY_OUT(wal_check_room(wal, count_max));
    TRY_OUT(wal_sync_active(wal, atomic_load(&wal->appended_version)));
    struct wal_joint joint = {
        .previous_number = wal->active_number,
        .previous_end = atomic_load(&wal->end),
        .previous_chain = wal->chain,
        .last_version = atomic_load(&wal->durable_version),
    };
    assert(joint.last_version == atomic_load(&wal->appended_version));
    assert(joint.previous_end == wal->active->appended || wal->ring.bytes == NULL);
    status = wal_add_segment(wal, bytes, &joint, &written);
    if (status != STRATA_OK)
        status = wal_take_back(wal, joint.number, written);
    wal_check(wal);

out:
    mutex_unlock(&wal->sync_lock);
    return status;
}

strata_status wal_rotate(struct wal *wal)
{
    TRY(wal_check_halted(wal));
    if (atomic_load(&wal->end) == WAL_HEADER_SIZE)
        return STRATA_OK;
    return wal_go_over(wal, wal->segment_bytes, WAL_SEGMENTS_MAX - WAL_SEGMENTS_SPARE);
}

/* ---- Making segments ahead ---------------------------------------------------------------- */

/* Closes what was made ahead and removes it; it has held nothing, and its number is not used again. */
static void wal_give_up_spare(struct wal *wal, struct object *spare)
{
    char name[OBJECT_NAME_SIZE];
    if (spare->handle == NULL)
        return;
    memcpy(name, spare->name, sizeof(name));
    object_close(spare);
    const strata_status removed = backend_remove(wal->backend, name);
    (void)removed; /* If it is still there, the next start finds it. */
}

/* Takes a number and a slot for it, if it is wanted. */
static bool wal_begin_spare(struct wal *wal)
{
    mutex_lock(&wal->sync_lock);
    const bool used = atomic_load_explicit(&wal->end, memory_order_relaxed) - WAL_HEADER_SIZE >
                      (wal->active_bytes - WAL_HEADER_SIZE) / 4;
    const bool wanted = used && wal->spare == NULL && wal->spare_after != wal->active_number &&
                        atomic_load(&wal->halted_number) == 0 &&
                        wal->last_number < OBJECT_NUMBER_MAX - 1;
    if (wanted) {
        wal->spare = wal_free_slot(wal);
        wal->spare_number = ++wal->last_number;
        wal->spare_after = wal->active_number;
        wal->spare_lazy = wal_syncs_seldom(wal);
        wal->spare_bytes = wal->active_bytes < wal->segment_bytes_max / 2 ? wal->active_bytes * 2
                                                                          : wal->segment_bytes_max;
    }
    mutex_unlock(&wal->sync_lock);
    return wanted;
}

void wal_prepare(struct wal *wal)
{
    char name[LAYOUT_NAME_SIZE];
    if (!wal_begin_spare(wal))
        return;
    layout_wal_name(wal->spare_number, name);
    const bool made =
        wal_create_object(wal, name, wal->spare_bytes, wal->spare_lazy, wal->spare) == STRATA_OK &&
        object_sync(wal->spare) == STRATA_OK;
    mutex_lock(&wal->sync_lock);
    struct object *late = NULL;
    if (made && wal->spare_number > wal->active_number) {
        wal->spare_ready = true;
    } else {
        late = wal->spare;
    }
    mutex_unlock(&wal->sync_lock);
    if (late == NULL)
        return;
    wal_give_up_spare(wal, late);
    mutex_lock(&wal->sync_lock);
    wal->spare = NULL; /* Only now is its slot free. */
    mutex_unlock(&wal->sync_lock);
}

void wal_drop_spare(struct wal *wal)
{
    assert(wal->spare == NULL || wal->spare_ready);
    if (wal->spare != NULL)
        wal_give_up_spare(wal, wal->spare);
    wal->spare = NULL;
    wal->spare_ready = false;
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
    if (wal_end(wal) + size <= wal->active_bytes)
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
    TRY(buffer_reserve_exactly(buffer, size - buffer->length)); /* Not twice a large record. */
    TRY(buffer_extend(buffer, size - buffer->length, &padding));
    const uint64_t offset = wal_end(wal);
    const struct wal_place place = wal_place_of(&wal->identity, wal->active_number, offset);
    wal_record_seal(record, &place.identity, place.number, place.offset, buffer->data);
    assert(record->size == buffer->length);
    return STRATA_OK;
}

/* Straight to the segment, which then has all that there is. */
static strata_status wal_put_straight(struct wal *wal, struct bytes record)
{
    mutex_lock(&wal->copy_lock);
    const strata_status status = object_append(wal->active, record);
    if (status == STRATA_OK) {
        atomic_store(&wal->end, wal->active->appended);
        atomic_store(&wal->copied, wal->active->appended);
    }
    mutex_unlock(&wal->copy_lock);
    return status;
}

/* Whether the record of `size` goes to the ring, where there is room for it then. */
static strata_status wal_make_ring_room(struct wal *wal, uint64_t size, bool *fits)
{
    uint64_t room = wal_ring_half(&wal->ring);
    *fits = wal->ring.bytes != NULL && size <= room;
#if STRATA_PLANT == 19
    room += wal->ring.size;
#endif
    /* Acquire: whoever moved `copied` has read the bytes that may be overwritten from here on. */
    if (*fits &&
        wal_end(wal) + size - atomic_load_explicit(&wal->copied, memory_order_acquire) <= room)
        return STRATA_OK;
    return wal_copy(wal);
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
    bool in_ring = false;
    strata_status status = wal_make_room(wal, size);
    if (status == STRATA_OK)
        status = wal_make_ring_room(wal, size, &in_ring);
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
    if (in_ring) {
        wal_ring_put(&wal->ring, wal_end(wal), buffer_view(record));
        /* Release: whoever copies up to here finds the bytes. */
        atomic_store_explicit(&wal->end, wal_end(wal) + size, memory_order_release);
    } else if (wal_put_straight(wal, buffer_view(record)) != STRATA_OK) {
        buffer_truncate(record, length);
        return wal_disown_record(wal, version);
    }
    wal->chain = sealed.checksum;
    wal_count_bytes(wal, size);
    /* Release: whoever reads the version finds the end behind its record. */
    atomic_store_explicit(&wal->appended_version, version, memory_order_release);
    return STRATA_OK;
}

void wal_mark(struct wal *wal, uint64_t *number, uint64_t *end)
{
    mutex_lock(&wal->sync_lock);
    if (atomic_load(&wal->halted_number) == 0)
        (void)wal_copy(wal); /* What it cannot copy is not read either. */
    *number = wal->active_number;
    *end = atomic_load(&wal->copied);
    mutex_unlock(&wal->sync_lock);
}

strata_status wal_sync(struct wal *wal, uint64_t version)
{
    assert(version <= atomic_load(&wal->appended_version));
    strata_status status = STRATA_OK;
    while (status == STRATA_OK && atomic_load(&wal->durable_version) < version) {
        uint64_t target;
        status = wal_check_halted(wal);
        if (status == STRATA_OK && wal_turns_take(&wal->turns, &wal->sync_lock, version,
                                                  &wal->appended_version, &target)) {
            status = wal_sync_active(wal, target);
            wal_turns_end(&wal->turns, &wal->sync_lock);
        }
    }
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
    uint64_t bytes = wal->ring.size;
    mutex_lock(&wal->sync_lock);
    for (uint32_t i = 0; i < wal->segment_count; i++)
        bytes += wal->segments[i].bytes;
    bytes += wal->spare_ready ? wal->spare_bytes : 0;
    mutex_unlock(&wal->sync_lock);
    return bytes;
}
