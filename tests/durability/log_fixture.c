#include "durability/log_fixture.h"

#include "layout/names.h"

#include <stdio.h>

static uint64_t mix(uint64_t x)
{
    x ^= x >> 30;
    x *= 0xbf58476d1ce4e5b9u;
    x ^= x >> 27;
    x *= 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static size_t payload_size_of(const struct log *log, uint64_t version)
{
    if (log->large_size > 0 && version % 5 == 0)
        return log->large_size;
    return log->payload_size > 0 ? log->payload_size : 16 + (size_t)(version * 37 % 300);
}

static void payload_fill(uint8_t *to, size_t size, uint64_t version, uint64_t salt)
{
    for (size_t i = 0; i < size; i++)
        to[i] = (uint8_t)mix(version * 1000003 + salt * 7919 + i);
}

void log_init(struct log *log)
{
    memset(log, 0, sizeof(*log));
    disk_init(&log->disk);
    memset(log->identity.uuid, 7, UUID_SIZE);
    log->identity.incarnation = 99;
    log->first_number = 1;
    log->first_version = 1;
    log->segment_bytes = LOG_SEGMENT_BYTES;
    log->allocator = &heap;
}

void log_release(struct log *log)
{
    wal_close(&log->wal);
    disk_release(&log->disk);
}

/* What a log_read is in the middle of. */
struct log_reading {
    struct log *log;
    uint64_t next_version;
    int64_t time_us;
};

static strata_status check_record(void *context, const struct wal_record *record)
{
    struct log_reading *reading = context;
    uint8_t expected[1 << 16];
    const uint64_t version = record->version;
    assert_true(version == reading->next_version);
    assert_true(version < LOG_VERSIONS_MAX);
    assert_true(reading->log->salts[version] != 0);
    assert_true(record->time_us >= reading->time_us);
    const size_t size = payload_size_of(reading->log, version);
    assert_true(size <= sizeof(expected));
    assert_int_equal(record->payload.length, size);
    payload_fill(expected, size, version, reading->log->salts[version]);
    assert_memory_equal(record->payload.data, expected, size);
    reading->next_version++;
    reading->time_us = record->time_us;
    return STRATA_OK;
}

strata_status log_read(struct log *log)
{
    struct log_reading reading = {.log = log, .next_version = log->first_version};
    const strata_status status = wal_read(&(struct wal_reading){.backend = &log->disk.backend,
                                                                .allocator = log->allocator,
                                                                .identity = &log->identity,
                                                                .first_number = log->first_number,
                                                                .first_version = log->first_version,
                                                                .apply = check_record,
                                                                .context = &reading},
                                          &log->tail);
    if (status == STRATA_OK)
        assert_true(log->tail.last_version == reading.next_version - 1);
    return status;
}

/* What only the ring had is elsewhere from now on, as if the manifest said so. */
static void move_elsewhere(struct log *log)
{
    struct wal_tail *tail = &log->tail;
    log->first_number = tail->last_number + 1;
    log->first_version = tail->last_version + 1;
    tail->end_number = 0;
    for (uint32_t i = 0; i < tail->segment_count; i++)
        tail->segments[i].needed = false;
}

strata_status log_open(struct log *log)
{
    TRY(log_read(log));
    assert_true(log->tail.lost_end == 0);
    if (log->tail.ring_used)
        move_elsewhere(log);
    TRY(wal_start(&log->wal, &log->disk.backend, log->allocator, &log->identity, log->segment_bytes,
                  &log->tail, 1));
    if (log->ring_bytes > 0)
        wal_use_ring(&log->wal, log->ring_bytes);
    log->appended = log->tail.last_version;
    log->durable = log->tail.last_version;
    return STRATA_OK;
}

void log_close(struct log *log)
{
    if (log->wal.durable_version > log->durable)
        log->durable = log->wal.durable_version;
    wal_close(&log->wal);
}

strata_status log_append(struct log *log)
{
    strata_status status = STRATA_OK;
    const uint64_t version = log->appended + 1;
    const size_t size = payload_size_of(log, version);
    struct buffer record;
    uint8_t *to;
    assert_true(version < LOG_VERSIONS_MAX);
    buffer_init(&record, log->allocator);
    TRY_OUT(buffer_extend(&record, WAL_RECORD_HEADER_SIZE + size, &to));
    const uint64_t former_salt = log->salts[version];
    log->salts[version] = ++log->last_salt;
    payload_fill(to + WAL_RECORD_HEADER_SIZE, size, version, log->last_salt);
    status = wal_append(&log->wal, version, (int64_t)(1000 + version / 3), &record);
    if (status == STRATA_OK)
        log->appended = version;
    else if (log_outcome() == STRATA_NOT_COMMITTED)
        log->salts[version] = former_salt;

out:
    buffer_release(&record);
    return status;
}

void log_append_all(struct log *log, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        assert_int_equal(log_append(log), STRATA_OK);
}

strata_status log_sync(struct log *log)
{
    const strata_status status = wal_sync(&log->wal, log->appended);
    if (status == STRATA_OK)
        log->durable = log->appended;
    return status;
}

const char *log_segment(uint64_t number)
{
    static char name[LAYOUT_NAME_SIZE];
    layout_wal_name(number, name);
    return name;
}

uint32_t log_records(struct log *log, uint64_t number, uint64_t *offsets, uint32_t count_max)
{
    size_t size;
    uint8_t *data = disk_take(&log->disk, log_segment(number), &size);
    uint32_t count = 0;
    size_t offset = WAL_HEADER_SIZE;
    while (offset < size) {
        const uint32_t claimed = wal_record_size_claimed(bytes_of(data + offset, size - offset));
        if (claimed == 0)
            break;
        assert_true(count < count_max);
        offsets[count++] = offset;
        offset += claimed;
    }
    assert_true(count < count_max);
    offsets[count] = offset;
    free(data);
    return count;
}

uint32_t log_outcome(void)
{
    strata_error detail = {.size = sizeof(detail)};
    strata_error_detail(&detail);
    return detail.outcome;
}
