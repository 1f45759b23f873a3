#include "format/catalog.h"

#include "format/batch.h"
#include "format/take.h"

#include <assert.h>

/* What is wrong with a record, or NULL. */
static const char *branch_record_fault(const struct branch_record *record)
{
    if ((record->flags & ~BRANCH_DELETED) != 0)
        return "it has unknown flags";
    if (record->parent == 0 && record->cap != 0)
        return "it has a cap and no parent";
    if (record->parent != 0 && record->cap >= record->created_version)
        return "its cap is not below its creation";
    if (record->name.length == 0 || record->name.length > BRANCH_NAME_SIZE_MAX)
        return "its name is empty or too long";
    return NULL;
}

strata_status branch_record_append(struct buffer *out, const struct branch_record *record)
{
    assert(branch_record_fault(record) == NULL);

    uint8_t fields[1 + 3 * VARINT_SIZE_MAX + 8];
    size_t size = 0;
    fields[size++] = record->flags;
    size += varint_encode(record->parent, fields + size);
    size += varint_encode(record->cap, fields + size);
    size += varint_encode(record->created_version, fields + size);
    store_u64(fields + size, (uint64_t)record->created_us);
    size += 8;
    uint8_t *to;
    TRY(buffer_extend(out, size + record->name.length, &to));
    memcpy(to, fields, size);
    memcpy(to + size, record->name.data, record->name.length);
    return STRATA_OK;
}

strata_status branch_record_decode(struct bytes value, struct branch_record *out)
{
    struct branch_record record = {0};
    uint64_t created_us;
    TRY(take_u8(&value, "branch record", &record.flags));
    TRY(take_varint(&value, &record.parent));
    TRY(take_varint(&value, &record.cap));
    TRY(take_varint(&value, &record.created_version));
    TRY(take_u64(&value, "time of a branch", &created_us));
    record.created_us = (int64_t)created_us;
    record.name = value;
    const char *fault = branch_record_fault(&record);
    if (fault != NULL)
        return failure(STRATA_CORRUPT, "branch record: %s", fault);
    *out = record;
    return STRATA_OK;
}

strata_status commit_pack(struct commit_packer *packer, struct buffer *out,
                          const struct packed_commit *commit)
{
    assert(!packer->started || commit->version > packer->version);
    assert(!packer->started || commit->time_us >= packer->time_us);
    assert(commit->message.length <= BATCH_MESSAGE_SIZE_MAX);

    uint8_t fields[4 * VARINT_SIZE_MAX];
    size_t size = varint_encode(packer->started ? commit->version - packer->version : 0, fields);
    if (packer->started) {
        size += varint_encode((uint64_t)commit->time_us - (uint64_t)packer->time_us, fields + size);
    } else {
        store_u64(fields + size, (uint64_t)commit->time_us);
        size += 8;
    }
    size += varint_encode(commit->rows, fields + size);
    size += varint_encode(commit->message.length, fields + size);
    uint8_t *to;
    TRY(buffer_extend(out, size + commit->message.length, &to));
    memcpy(to, fields, size);
    if (commit->message.length > 0)
        memcpy(to + size, commit->message.data, commit->message.length);
    *packer = (struct commit_packer){
        .started = true, .version = commit->version, .time_us = commit->time_us};
    return STRATA_OK;
}

/* Takes version and time, which continue those of the packer. */
static strata_status commit_unpack_moment(const struct commit_packer *packer, struct bytes *rest,
                                          struct packed_commit *commit)
{
    uint64_t version_step, time_step;
    TRY(take_varint(rest, &version_step));
    if (!packer->started && version_step != 0)
        return failure(STRATA_CORRUPT, "first of packed commits is not the version of its key");
    if (packer->started && (version_step == 0 || version_step > UINT64_MAX - packer->version))
        return failure(STRATA_CORRUPT, "packed commits are not in order of version");
    commit->version = packer->version + version_step;

    if (!packer->started) {
        TRY(take_u64(rest, "time of a packed commit", &time_step));
        commit->time_us = (int64_t)time_step;
        return STRATA_OK;
    }
    TRY(take_varint(rest, &time_step));
    if (time_step > (uint64_t)INT64_MAX - (uint64_t)packer->time_us)
        return failure(STRATA_CORRUPT, "time of a packed commit is over 63 bits");
    commit->time_us = (int64_t)((uint64_t)packer->time_us + time_step);
    return STRATA_OK;
}

strata_status commit_unpack(struct commit_packer *packer, struct bytes *value, bool *found,
                            struct packed_commit *out)
{
    if (value->length == 0) {
        *found = false;
        return STRATA_OK;
    }
    struct bytes rest = *value;
    struct packed_commit commit = {0};
    uint64_t message_length;
    TRY(commit_unpack_moment(packer, &rest, &commit));
    TRY(take_varint(&rest, &commit.rows));
    TRY(take_varint_to(&rest, BATCH_MESSAGE_SIZE_MAX, "length of a message", &message_length));
    TRY(take_bytes(&rest, message_length, "message of a packed commit", &commit.message));
    *packer = (struct commit_packer){
        .started = true, .version = commit.version, .time_us = commit.time_us};
    *value = rest;
    *found = true;
    *out = commit;
    return STRATA_OK;
}
