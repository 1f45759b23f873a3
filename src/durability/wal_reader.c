#include "durability/wal.h"

#include "core/memory.h"
#include "core/plant.h"
#include "durability/wal_scan.h"
#include "layout/names.h"

#include <assert.h>

/* The newest whole header decides: it names the segment before it, and where that ended; so does
 * that one's, down to the first. Then the log is read upward along this chain.
 *
 * Where the end of a segment is known from its successor, every byte up to it has to be a record that
 * continues the one before: anything else is loss. Where it is not, the first byte that is no such
 * record ends the log; what lies behind is looked through for records that prove themselves, since
 * each knows of versions that had been durable when it was written: at least all that came before its
 * segment. If anything knows of a durable version that was not read, it is lost.
 *
 * In the last segment of the chain a record may lie in the ring instead, or as well. What is stale
 * there was sealed for another place, so that each record is taken from wherever it is whole. */

/* A segment from the first that is needed on. */
struct log_segment {
    uint64_t number;
    uint64_t bytes;
    bool headed;            /* It has a whole header, */
    bool chained;           /* and is part of the chain. */
    bool begins;            /* Without header: its first record is whole. */
    uint64_t first_version; /* Without header: of the first whole record; UINT64_MAX: none. */
    uint64_t previous_number;
    uint64_t previous_end;
    uint64_t previous_chain;
    uint64_t chain; /* The header's checksum. */
};

struct log_reader {
    struct wal_reading what;
    struct wal_scan scan;
    struct wal_scan ring;                          /* ring_bytes 0: there is none. */
    struct log_segment segments[WAL_SEGMENTS_MAX]; /* By number. */
    uint32_t segment_count;
    bool too_many;
    /* What the next record has to continue, and where it begins. */
    uint64_t next_version;
    uint64_t chain;
    int64_t time_us;
    uint64_t offset;
    /* What has been found out so far. */
    uint64_t highest_version; /* Of any record, whether it counts or not. */
    uint64_t trace_count;
    uint64_t suspect;     /* The segment in which reading stopped. */
    struct wal_tail tail; /* `segments` begins with those below the first. */
};

static_assert(sizeof(struct log_reader) + WAL_WINDOW_BYTES <= 64 << 10,
              "reading the log takes 64 KiB beside a record, without the ring");

static uint64_t greater_of(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Keeps `reader->segments` and the older ones in `reader->tail.segments` sorted. */
static void note_older_segment(struct wal_tail *tail, uint64_t number, uint64_t bytes)
{
    if (tail->segment_count == WAL_SEGMENTS_MAX)
        return; /* The rest will be met when some are gone. */
    uint32_t at = tail->segment_count++;
    for (; at > 0 && tail->segments[at - 1].number > number; at--)
        tail->segments[at] = tail->segments[at - 1];
    tail->segments[at] = (struct wal_segment){.number = number, .bytes = bytes};
}

static int note_listed_segment(void *context, const char *name, uint64_t size)
{
    struct log_reader *reader = context;
    const uint64_t last = reader->what.last_number;
    uint64_t number;
    reader->tail.ring = reader->tail.ring || strcmp(name, LAYOUT_WAL_RING) == 0;
    if (!layout_parse_wal(name, &number) || number == 0 || number > OBJECT_NUMBER_MAX)
        return 0; /* Not one of ours. */
    if (last != 0 && number > last)
        return 0;
    if (number < reader->what.first_number) {
        note_older_segment(&reader->tail, number, size);
        return 0;
    }
    if (reader->segment_count == WAL_SEGMENTS_MAX) {
        reader->too_many = true;
        return 1;
    }
    uint32_t at = reader->segment_count++;
    for (; at > 0 && reader->segments[at - 1].number > number; at--)
        reader->segments[at] = reader->segments[at - 1];
    reader->segments[at] = (struct log_segment){.number = number, .bytes = size};
    return 0;
}

static void know_durable(struct log_reader *reader, uint64_t durable_version, uint64_t manifest)
{
    struct wal_tail *tail = &reader->tail;
    tail->durable_version = greater_of(tail->durable_version, durable_version);
    tail->manifest = greater_of(tail->manifest, manifest);
}

static strata_status open_listed_segment(struct log_reader *reader, uint64_t number)
{
    const strata_status status = wal_scan_open(&reader->scan, reader->what.backend, number);
    struct object *object = &reader->scan.object;
    if (status == STRATA_OK && number == reader->what.last_number &&
        object->size > reader->what.last_end)
        object->size = reader->what.last_end;
    if (status != STRATA_NOT_FOUND)
        return status;
    char name[LAYOUT_NAME_SIZE];
    layout_wal_name(number, name);
    return failure_at(STRATA_IO, name, 0, "%s is listed and cannot be found", name);
}

static strata_status read_segment_header(struct log_reader *reader, struct log_segment *segment)
{
    struct wal_header header;
    TRY(open_listed_segment(reader, segment->number));
    TRY(wal_scan_header(&reader->scan, &segment->headed, &header, &segment->chain));
    segment->chained = segment->headed;
    if (!segment->headed)
        return STRATA_OK;
    segment->first_version = header.first_version;
    segment->previous_number = header.previous_number;
    segment->previous_end = header.previous_end;
    segment->previous_chain = header.previous_chain;
    assert(header.first_version > 0);
    know_durable(reader, header.first_version - 1, header.manifest);
    return STRATA_OK;
}

/* Takes off the chain what lies between a segment and the one that it names as the one before. */
static void leave_strays_out(struct log_reader *reader)
{
    uint64_t limit = UINT64_MAX;
    for (uint32_t i = reader->segment_count; i-- > 0;) {
        struct log_segment *segment = &reader->segments[i];
        if (!segment->chained)
            continue;
        if (segment->number > limit)
            segment->chained = false;
        else
            limit = segment->previous_number;
    }
}

/* Looks through [offset, end) for what it may know. */
static strata_status note_traces(struct log_reader *reader, struct wal_scan *scan, uint64_t offset,
                                 uint64_t end, struct wal_traces *traces)
{
    TRY(wal_scan_traces(scan, offset, end, traces));
    know_durable(reader, traces->durable_version, traces->manifest);
    reader->trace_count += traces->count;
    reader->highest_version = greater_of(reader->highest_version, traces->max_version);
    return STRATA_OK;
}

static strata_status search_unchained_segment(struct log_reader *reader,
                                              struct log_segment *segment)
{
    struct wal_traces traces;
    TRY(open_listed_segment(reader, segment->number));
    TRY(note_traces(reader, &reader->scan, WAL_HEADER_SIZE, reader->scan.object.size, &traces));
    if (segment->headed)
        return STRATA_OK;
    segment->first_version = traces.min_version;
    segment->begins = traces.first_offset == WAL_HEADER_SIZE;
    return STRATA_OK;
}

static uint32_t next_chained_segment(const struct log_reader *reader, uint32_t from)
{
    while (from < reader->segment_count && !reader->segments[from].chained)
        from++;
    return from;
}

/* The segment after `index` in the chain, or NULL. */
static const struct log_segment *chain_successor(const struct log_reader *reader, uint32_t index)
{
    const uint32_t next = next_chained_segment(reader, index + 1);
    return next < reader->segment_count ? &reader->segments[next] : NULL;
}

/* The first segment without header between `index` and its successor that holds records, or NULL. */
static const struct log_segment *broken_segment_behind(const struct log_reader *reader,
                                                       uint32_t index)
{
    for (uint32_t i = index + 1; i < reader->segment_count && !reader->segments[i].chained; i++) {
        if (!reader->segments[i].headed && reader->segments[i].first_version != UINT64_MAX)
            return &reader->segments[i];
    }
    return NULL;
}

static bool record_continues(const struct log_reader *reader, const struct wal_record *record,
                             uint64_t limit)
{
#if STRATA_PLANT != 9
    if (record->chain != reader->chain)
        return false;
#endif
    return record->version == reader->next_version && record->version < limit &&
           record->time_us >= reader->time_us;
}

/* What is to be read of a segment: up to `end`, and records of versions below `limit`. */
struct log_extent {
    uint64_t end;
    uint64_t limit;
    bool apply;
    bool ring; /* Some of it may be there. */
};

#if STRATA_PLANT == 20
/* Takes what an earlier lap left in the ring. */
static strata_status take_stale(struct log_reader *reader, bool *found, struct wal_record *out)
{
    const uint64_t lap = reader->ring.ring_bytes;
    if (*found || reader->offset < lap + WAL_HEADER_SIZE)
        return STRATA_OK;
    const uint64_t before = reader->offset - lap;
    TRY(wal_scan_record(&reader->ring, before, before + lap, found, out));
    out->version = reader->next_version;
    return STRATA_OK;
}
#endif

/* The record at reader->offset that continues the log; `*found` false if there is none. */
static strata_status next_record(struct log_reader *reader, const struct log_extent *extent,
                                 bool *found, struct wal_record *out)
{
    bool whole;
    TRY(wal_scan_record(&reader->scan, reader->offset, extent->end, &whole, out));
    *found = whole && record_continues(reader, out, extent->limit);
    if (*found || !extent->ring)
        return STRATA_OK;
    const uint64_t end = reader->offset + reader->ring.ring_bytes;
    TRY(wal_scan_record(&reader->ring, reader->offset, end, &whole, out));
    *found = whole && record_continues(reader, out, extent->limit);
#if STRATA_PLANT == 20
    TRY(take_stale(reader, found, out));
#endif
    reader->tail.ring_used = reader->tail.ring_used || (*found && extent->apply);
    return STRATA_OK;
}

/* Reads from reader->offset to the end of `extent`, or to what is no record that continues the log. */
static strata_status read_segment_records(struct log_reader *reader,
                                          const struct log_extent *extent)
{
    for (;;) {
        bool found;
        struct wal_record record;
        TRY(next_record(reader, extent, &found, &record));
        if (!found)
            return STRATA_OK;
        know_durable(reader, record.durable_version, record.manifest);
        reader->highest_version = greater_of(reader->highest_version, record.version);
        if (extent->apply && record.version >= reader->what.first_version) {
            TRY(reader->what.apply(reader->what.context, &record));
            reader->tail.last_version = record.version;
            reader->tail.last_time_us = record.time_us;
        }
        reader->next_version = record.version + 1;
        reader->chain = record.checksum;
        reader->time_us = record.time_us;
        reader->offset += record.size;
    }
}

static void go_to_segment(struct log_reader *reader, const struct log_segment *segment,
                          int64_t time_us)
{
    reader->next_version = segment->first_version;
    reader->chain = segment->chain;
    reader->time_us = time_us;
    reader->offset = WAL_HEADER_SIZE;
}

/* The segment's end is not known, and its true successor is damaged or gone. Then its last record may
 * be one whose append failed, and whose version the successor gave to another: better to miss a
 * record than to take that one. */
static strata_status hold_back_last(struct log_reader *reader, uint32_t index,
                                    struct log_extent *extent)
{
    const struct log_segment *segment = &reader->segments[index];
    const struct log_segment *broken = broken_segment_behind(reader, index);
    const int64_t time_us = reader->time_us;
    struct log_extent trial = *extent;
    trial.apply = false;
    TRY(read_segment_records(reader, &trial));
    const uint64_t next_version = reader->next_version;
    go_to_segment(reader, segment, time_us);
    if (broken == NULL || !broken->begins || broken->first_version != next_version)
        extent->limit = next_version - 1;
    return STRATA_OK;
}

/* Behind the end of the log: what the segment knows and, of the last one, the ring. A record that both
 * have is counted once. */
static strata_status note_traces_behind(struct log_reader *reader, bool ring)
{
    struct wal_traces traces;
    const uint64_t offset = reader->offset;
    TRY(note_traces(reader, &reader->scan, offset, reader->scan.object.size, &traces));
    const uint64_t count = traces.count;
    if (!ring)
        return STRATA_OK;
    TRY(note_traces(reader, &reader->ring, offset, offset + reader->ring.ring_bytes, &traces));
    reader->trace_count -= traces.count < count ? traces.count : count;
    return STRATA_OK;
}

static strata_status read_chained_segment(struct log_reader *reader, uint32_t index)
{
    const struct log_segment *segment = &reader->segments[index];
    const struct log_segment *next = chain_successor(reader, index);
    const struct log_segment *broken = broken_segment_behind(reader, index);
    assert(segment->chained);
    TRY(open_listed_segment(reader, segment->number));
    go_to_segment(reader, segment, reader->time_us);

    const uint64_t size = reader->scan.object.size;
    struct log_extent extent = {.end = size, .limit = UINT64_MAX, .apply = true};
    if (next != NULL)
        extent.limit = next->first_version;
    extent.ring = next == NULL && reader->ring.ring_bytes > 0;
    if (extent.ring)
        wal_scan_turn(&reader->ring, segment->number);
    if (next != NULL && next->previous_number == segment->number) {
        extent.end = next->previous_end < size ? next->previous_end : size;
    } else {
        if (broken != NULL && broken->first_version < extent.limit)
            extent.limit = broken->first_version;
        if (next != NULL ? next->first_version > reader->what.first_version : broken != NULL)
            TRY(hold_back_last(reader, index, &extent));
    }
    TRY(read_segment_records(reader, &extent));
    return note_traces_behind(reader, extent.ring);
}

/* Whether everything between what has been read, of `segment`, and `next` is there or not needed. */
static bool segment_leads_to(const struct log_reader *reader, const struct log_segment *segment,
                             const struct log_segment *next)
{
    if (next->first_version <= reader->what.first_version)
        return true;
    return next->previous_number == segment->number && next->previous_end == reader->offset &&
           next->previous_chain == reader->chain && next->first_version == reader->next_version;
}

/* The log is not read any further: what segments from `index` on know still counts. */
static strata_status note_unread_segments(struct log_reader *reader, uint32_t index)
{
    for (; index < reader->segment_count; index++) {
        struct wal_traces traces;
        if (!reader->segments[index].chained)
            continue; /* Searched already. */
        TRY(open_listed_segment(reader, reader->segments[index].number));
        TRY(note_traces(reader, &reader->scan, WAL_HEADER_SIZE, reader->scan.object.size, &traces));
    }
    return STRATA_OK;
}

/* The last of the chain has been read, `before` right before it (NULL: none). What is wrong, if
 * something is, is in it or behind it. */
static void end_log(struct log_reader *reader, const struct log_segment *before, uint32_t index)
{
    const struct log_segment *segment = &reader->segments[index];
    struct wal_tail *tail = &reader->tail;
    tail->end_number = segment->number;
    tail->end = reader->offset;
    tail->chain = reader->chain;
    if (reader->offset == WAL_HEADER_SIZE && before != NULL &&
        before->number == segment->previous_number) {
        /* An empty one is left out of the chain, so that many starts do not make it long. */
        tail->end_number = segment->previous_number;
        tail->end = segment->previous_end;
        tail->chain = segment->previous_chain;
    }
    reader->suspect = segment->number;
    const struct log_segment *broken = broken_segment_behind(reader, index);
    if (broken != NULL && (!broken->begins || broken->first_version == reader->next_version))
        reader->suspect = broken->number;
}

/* The segment that keeps the first of the chain from being what the manifest says. */
static uint64_t missing_first(const struct log_reader *reader, const struct log_segment *first)
{
    if (first->number == reader->what.first_number)
        return first->number;
    return greater_of(first->previous_number, reader->what.first_number);
}

static strata_status read_chain(struct log_reader *reader)
{
    reader->suspect = reader->what.first_number;
    uint32_t index = next_chained_segment(reader, 0);
    if (index == reader->segment_count)
        return STRATA_OK;
    if (reader->segments[index].first_version > reader->what.first_version) {
        reader->suspect = missing_first(reader, &reader->segments[index]);
        return note_unread_segments(reader, index);
    }
    const struct log_segment *before = NULL;
    for (;;) {
        const struct log_segment *segment = &reader->segments[index];
        TRY(read_chained_segment(reader, index));
        const uint32_t next_index = next_chained_segment(reader, index + 1);
        if (next_index == reader->segment_count) {
            end_log(reader, before, index);
            return STRATA_OK;
        }
        const struct log_segment *next = &reader->segments[next_index];
        if (!segment_leads_to(reader, segment, next)) {
            reader->suspect = greater_of(next->previous_number, segment->number);
            return note_unread_segments(reader, next_index);
        }
        before = segment;
        index = next_index;
    }
}

/* Fills in what follows from all that was found. */
static void conclude_tail(struct log_reader *reader)
{
    struct wal_tail *tail = &reader->tail;
    const uint64_t room = WAL_SEGMENTS_MAX - reader->segment_count;
    if (tail->segment_count > room)
        tail->segment_count = (uint32_t)room;
    for (uint32_t i = 0; i < reader->segment_count; i++) {
        const struct log_segment *segment = &reader->segments[i];
        tail->last_number = segment->number;
        tail->segments[tail->segment_count++] = (struct wal_segment){
            .number = segment->number,
            .first_version = segment->chained ? segment->first_version : 0,
            .bytes = segment->bytes,
            .needed = segment->chained,
        };
    }
    tail->unknown_commits = reader->trace_count;
    if (tail->durable_version <= tail->last_version)
        return;
    tail->lost_end = tail->durable_version + 1;
    layout_wal_name(reader->suspect, tail->lost_object);
    tail->unknown_commits = reader->highest_version > tail->durable_version
                                ? reader->highest_version - tail->durable_version
                                : 0;
}

static strata_status read_log(struct log_reader *reader)
{
    TRY(backend_list(reader->what.backend, LAYOUT_WAL_FOLDER, note_listed_segment, reader));
    if (reader->too_many)
        return failure_at(STRATA_CORRUPT, LAYOUT_WAL_FOLDER, 0, "the log has over %d segments",
                          WAL_SEGMENTS_MAX);
    for (uint32_t i = 0; i < reader->segment_count; i++)
        TRY(read_segment_header(reader, &reader->segments[i]));
    leave_strays_out(reader);
    if (reader->tail.ring && reader->what.last_number == 0)
        TRY(wal_scan_open_ring(&reader->ring, reader->what.backend));
    for (uint32_t i = 0; i < reader->segment_count; i++) {
        if (!reader->segments[i].chained)
            TRY(search_unchained_segment(reader, &reader->segments[i]));
    }
    TRY(read_chain(reader));
    conclude_tail(reader);
    return STRATA_OK;
}

strata_status wal_read(const struct wal_reading *reading, struct wal_tail *out)
{
    assert(reading->first_number > 0);
    assert(reading->first_version > 0);
    assert(reading->apply != NULL);

    struct log_reader *reader = allocate_zeroed(reading->allocator, sizeof(*reader));
    if (reader == NULL)
        return failure(STRATA_NO_MEMORY, "no memory to read the log");
    reader->what = *reading;
    reader->time_us = INT64_MIN;
    reader->tail.last_version = reading->first_version - 1;
    reader->tail.last_number = reading->first_number - 1;
    wal_scan_init(&reader->scan, reading->allocator, reading->identity);
    wal_scan_init(&reader->ring, reading->allocator, reading->identity);

    const strata_status status = read_log(reader);
    if (status == STRATA_OK)
        *out = reader->tail;
    wal_scan_release(&reader->ring);
    wal_scan_release(&reader->scan);
    release(reading->allocator, reader, sizeof(*reader));
    return status;
}
