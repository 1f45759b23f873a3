#include "durability/wal_scan.h"

#include "core/memory.h"
#include "core/plant.h"
#include "layout/names.h"

#include <assert.h>

enum {
    WAL_VAIN_FACTOR = 8,           /* Bytes hashed in vain for each byte looked through, at most. */
    WAL_RING_BYTES_MAX = 64 << 20, /* Of a ring; one that claims more is none. */
};

struct wal_place wal_place_of(const struct identity *identity, uint64_t number, uint64_t offset)
{
#if STRATA_PLANT == 9
    (void)identity, (void)number, (void)offset;
    return (struct wal_place){.offset = 0};
#else
    return (struct wal_place){.identity = *identity, .number = number, .offset = offset};
#endif
}

void wal_scan_init(struct wal_scan *scan, const strata_allocator *allocator,
                   const struct identity *identity)
{
    *scan = (struct wal_scan){.allocator = allocator, .identity = *identity};
}

void wal_scan_release(struct wal_scan *scan)
{
    object_close(&scan->object);
    release(scan->allocator, scan->data, scan->capacity);
    scan->data = NULL;
    scan->capacity = 0;
    scan->length = 0;
}

strata_status wal_scan_open(struct wal_scan *scan, const strata_backend *backend, uint64_t number)
{
    char name[LAYOUT_NAME_SIZE];
    layout_wal_name(number, name);
    object_close(&scan->object);
    scan->number = number;
    scan->start = 0;
    scan->length = 0;
    return object_open(backend, name, &scan->object);
}

strata_status wal_scan_open_ring(struct wal_scan *scan, const strata_backend *backend)
{
    assert(scan->object.handle == NULL);
    const strata_status status = object_open(backend, LAYOUT_WAL_RING, &scan->object);
    if (status != STRATA_OK)
        return status == STRATA_NOT_FOUND ? STRATA_OK : status;
    const uint64_t size = scan->object.size;
    if (size % RING_PAGE_SIZE == 0 && size <= WAL_RING_BYTES_MAX)
        scan->ring_bytes = size;
    else
        object_close(&scan->object);
    return STRATA_OK;
}

void wal_scan_turn(struct wal_scan *scan, uint64_t number)
{
    assert(scan->ring_bytes > 0);
    scan->number = number;
    scan->start = 0;
    scan->length = 0;
}

/* How much there is from `offset` on. In a ring there is always as much as it holds. */
static uint64_t wal_scan_left(const struct wal_scan *scan, uint64_t offset)
{
    return scan->ring_bytes > 0 ? scan->ring_bytes : scan->object.size - offset;
}

static inline bool wal_scan_has(const struct wal_scan *scan, uint64_t offset, uint64_t end)
{
    return scan->ring_bytes > 0 ? end <= offset + scan->ring_bytes : end <= scan->object.size;
}

static strata_status wal_scan_read(struct wal_scan *scan, uint64_t offset, size_t size)
{
    if (scan->ring_bytes == 0)
        return object_read(&scan->object, offset, scan->data, size);
    const uint64_t at = offset % scan->ring_bytes;
    const size_t first = size < scan->ring_bytes - at ? size : (size_t)(scan->ring_bytes - at);
    TRY(object_read(&scan->object, at, scan->data, first));
    return object_read(&scan->object, 0, scan->data + first, size - first);
}

/* Moves the window to `offset` and fills it with at least `size` bytes. */
static strata_status wal_scan_fill(struct wal_scan *scan, uint64_t offset, size_t size)
{
    const uint64_t left = wal_scan_left(scan, offset);
    assert(size <= left);
    size_t wanted = size > WAL_WINDOW_BYTES ? size : WAL_WINDOW_BYTES;
    if (wanted > left)
        wanted = (size_t)left;
    scan->length = 0;
    if (wanted > scan->capacity) {
        release(scan->allocator, scan->data, scan->capacity);
        scan->capacity = 0;
        scan->data = allocate(scan->allocator, wanted);
        if (scan->data == NULL)
            return failure(STRATA_NO_MEMORY, "no memory to read %zu bytes of %s", wanted,
                           scan->object.name);
        scan->capacity = wanted;
    }
    TRY(wal_scan_read(scan, offset, wanted));
    scan->start = offset;
    scan->length = wanted;
    return STRATA_OK;
}

/* All that the window has from `offset` on: at least `size` bytes, which the object has. */
static strata_status wal_scan_view(struct wal_scan *scan, uint64_t offset, size_t size,
                                   struct bytes *out)
{
    assert(size > 0);
    assert(wal_scan_has(scan, offset, offset + size));
    if (offset < scan->start || offset - scan->start > scan->length ||
        scan->length - (size_t)(offset - scan->start) < size)
        TRY(wal_scan_fill(scan, offset, size));
    *out = bytes_after(bytes_of(scan->data, scan->length), (size_t)(offset - scan->start));
    assert(out->length >= size);
    return STRATA_OK;
}

#if STRATA_PLANT == 9
/* Believes whatever the header says of itself. */
static void believe_header(struct bytes bytes, struct identity *identity, uint64_t *number)
{
    memcpy(identity->uuid, bytes.data + 24, UUID_SIZE);
    identity->incarnation = load_u64(bytes.data + 40);
    *number = load_u64(bytes.data + 48);
}
#endif

strata_status wal_scan_header(struct wal_scan *scan, bool *whole, struct wal_header *out,
                              uint64_t *chain_out)
{
    *whole = false;
    if (scan->object.size < WAL_HEADER_SIZE)
        return STRATA_OK;
    struct bytes bytes;
    struct identity identity = scan->identity;
    uint64_t number = scan->number;
    TRY(wal_scan_view(scan, 0, WAL_HEADER_SIZE, &bytes));
    bytes.length = WAL_HEADER_SIZE;
#if STRATA_PLANT == 9
    believe_header(bytes, &identity, &number);
#endif
    const strata_status status = wal_header_decode(bytes, &identity, number, out, chain_out);
    *whole = status == STRATA_OK;
    if (status == STRATA_UNSUPPORTED)
        return failure_at(status, scan->object.name, 0, "%s: %s", scan->object.name,
                          strata_error_message());
    return status == STRATA_CORRUPT ? STRATA_OK : status;
}

strata_status wal_scan_record(struct wal_scan *scan, uint64_t offset, uint64_t end, bool *whole,
                              struct wal_record *out)
{
    assert(wal_scan_has(scan, offset, end));
    *whole = false;
    if (offset > end || end - offset < WAL_RECORD_HEADER_SIZE)
        return STRATA_OK;
    struct bytes bytes;
    TRY(wal_scan_view(scan, offset, WAL_RECORD_HEADER_SIZE, &bytes));
    const uint32_t claimed = wal_record_size_claimed(bytes);
    if (claimed == 0 || claimed > end - offset)
        return STRATA_OK;
    TRY(wal_scan_view(scan, offset, claimed, &bytes));
    const struct wal_place place = wal_place_of(&scan->identity, scan->number, offset);
    wal_record_open(bytes, &place.identity, place.number, place.offset, whole, out);
    return STRATA_OK;
}

static void trace_record(struct wal_traces *traces, const struct wal_record *record,
                         uint64_t offset)
{
    if (traces->count++ == 0)
        traces->first_offset = offset;
    if (record->version < traces->min_version)
        traces->min_version = record->version;
    if (record->version > traces->max_version)
        traces->max_version = record->version;
    if (record->durable_version > traces->durable_version)
        traces->durable_version = record->durable_version;
    if (record->manifest > traces->manifest)
        traces->manifest = record->manifest;
}

/* The first place in `bytes`, at `offset`, where a record of at most `size_max` bytes may begin, or
 * else the first that they are too short to tell of. Sets its size; 0 if there is none. */
static size_t wal_likely_place(struct bytes bytes, uint64_t left, uint64_t size_max,
                               uint32_t *size_out)
{
    size_t at = 0;
    for (; bytes.length - at >= WAL_RECORD_HEADER_SIZE; at += 8) {
        const uint32_t size = wal_record_size_claimed(bytes_after(bytes, at));
        if (size != 0 && size <= left - at && size <= size_max) {
            *size_out = size;
            return at;
        }
    }
    *size_out = 0;
    return at;
}

strata_status wal_scan_traces(struct wal_scan *scan, uint64_t offset, uint64_t end,
                              struct wal_traces *out)
{
    assert(offset % 8 == 0);
    assert(wal_scan_has(scan, offset, end));
    struct wal_traces traces = {.min_version = UINT64_MAX};
    uint64_t vain_bytes = offset < end ? WAL_VAIN_FACTOR * (end - offset) : 0;
    while (offset < end && end - offset >= WAL_RECORD_HEADER_SIZE) {
        struct bytes bytes;
        TRY(wal_scan_view(scan, offset, WAL_RECORD_HEADER_SIZE, &bytes));
        if (bytes.length > end - offset)
            bytes.length = (size_t)(end - offset);
        uint32_t size;
        offset += wal_likely_place(bytes, end - offset, vain_bytes, &size);
        if (size == 0)
            continue;
        bool whole;
        struct wal_record record;
        TRY(wal_scan_record(scan, offset, end, &whole, &record));
        if (whole)
            trace_record(&traces, &record, offset);
        else
            vain_bytes -= size;
        offset += whole ? record.size : 8;
    }
    *out = traces;
    return STRATA_OK;
}
