#include "api/argument.h"

enum { PUT_OPTIONS_FIRST_SIZE = sizeof(strata_kv_put_options) };

/* Where a write goes. */
struct write_place {
    strata_txn *txn;
    struct storage_space *space;
    bool measured;    /* An auto handle's commit whose time counts. */
    int64_t start_us; /* Of that. */
    uint64_t version; /* Of its last commit before. */
};

/* Asking for the time twice takes a tenth of a commit that is not synced: few of them are measured. */
enum { MEASURED_EVERY = 16 };

static bool write_measured(const strata_txn *txn)
{
    return txn->kind == TXN_AUTO &&
           (txn->kv.commit.sync || txn->kv.last.version % MEASURED_EVERY == 0);
}

static strata_status write_start(strata_txn *txn, strata_space *space, struct write_place *out)
{
    TRY(argument_writable_txn(txn));
    out->txn = txn;
    out->version = txn->kv.last.version;
    out->measured = write_measured(txn);
    out->start_us = out->measured ? database_monotonic(txn->db) : 0;
    return argument_space(txn->db, space, &out->space);
}

/* Measures the commit, if there was one. */
static strata_status write_end(const struct write_place *place, strata_status status)
{
    const strata_txn *txn = place->txn;
    if (place->measured && txn->kv.last.version != place->version)
        latency_add(&txn->db->commits, (uint64_t)(database_monotonic(txn->db) - place->start_us));
    return status;
}

strata_status strata_kv_put(strata_txn *txn, strata_space *space, strata_bytes key,
                            strata_bytes value)
{
    struct write_place place;
    TRY(argument_key(key));
    TRY(argument_value(value));
    TRY(write_start(txn, space, &place));
    return write_end(&place, kv_put(&txn->kv, place.space, bytes_of(key.data, key.size),
                                    bytes_of(value.data, value.size), NULL));
}

strata_status strata_kv_delete(strata_txn *txn, strata_space *space, strata_bytes key)
{
    struct write_place place;
    const strata_kv_put_options options = {.size = sizeof(options), .remove = 1};
    TRY(argument_key(key));
    TRY(write_start(txn, space, &place));
    return write_end(&place, kv_put(&txn->kv, place.space, bytes_of(key.data, key.size),
                                    bytes_of(NULL, 0), &options));
}

/* ---- options ---- */

static strata_status argument_expiry(const strata_kv_put_options *options)
{
    if (options->ttl_us < 0)
        return failure(STRATA_INVALID, "options.ttl_us is negative");
    if (options->expires_us < 0)
        return failure(STRATA_INVALID, "options.expires_us is negative");
    if (options->ttl_us != 0 && options->expires_us != 0)
        return failure(STRATA_INVALID, "options has both ttl_us and expires_us");
    if (options->remove != 0 && (options->ttl_us != 0 || options->expires_us != 0))
        return failure(STRATA_INVALID, "what options removes cannot expire");
    return STRATA_OK;
}

static strata_status argument_condition(const strata_kv_put_options *options)
{
    TRY(argument_number(options->condition, STRATA_IF_VALUE, "options.condition"));
    if (options->condition != STRATA_IF_VERSION && options->expected_version != 0)
        return failure(STRATA_INVALID, "options.expected_version is set without its condition");
    if (options->condition != STRATA_IF_VALUE &&
        (options->expected_value.data != NULL || options->expected_value.size != 0))
        return failure(STRATA_INVALID, "options.expected_value is set without its condition");
    return argument_bytes(options->expected_value, "options.expected_value");
}

static strata_status argument_put(const strata_kv_put_options *given, strata_kv_put_options *out)
{
    TRY(argument_options(given, PUT_OPTIONS_FIRST_SIZE, out, sizeof(*out), "options"));
    TRY(argument_number(out->remove, 1, "options.remove"));
    TRY(argument_number(out->reserved, 0, "options.reserved"));
    TRY(argument_condition(out));
    return argument_expiry(out);
}

strata_status strata_kv_put_with(strata_txn *txn, strata_space *space, strata_bytes key,
                                 strata_bytes value, const strata_kv_put_options *options)
{
    struct write_place place;
    strata_kv_put_options checked;
    TRY(argument_key(key));
    TRY(argument_put(options, &checked));
    if (checked.remove == 0)
        TRY(argument_value(value));
    TRY(write_start(txn, space, &place));
    return write_end(&place, kv_put(&txn->kv, place.space, bytes_of(key.data, key.size),
                                    bytes_of(value.data, value.size), &checked));
}

/* ---- many ---- */

static strata_status argument_write(const strata_kv_write *write)
{
    TRY(argument_key(write->key));
    TRY(argument_number(write->remove, 1, "remove"));
    TRY(argument_number(write->reserved, 0, "reserved"));
    if (write->ttl_us < 0)
        return failure(STRATA_INVALID, "ttl_us is negative");
    if (write->remove != 0 && write->ttl_us != 0)
        return failure(STRATA_INVALID, "what a write removes cannot expire");
    return write->remove != 0 ? STRATA_OK : argument_value(write->value);
}

strata_status strata_kv_put_many(strata_txn *txn, strata_space *space,
                                 const strata_kv_write *writes, size_t count)
{
    struct write_place place;
    TRY(write_start(txn, space, &place));
    if (count > 0)
        TRY(argument_given(writes, "writes"));
    for (size_t i = 0; i < count; i++)
        TRY(argument_write(&writes[i]));
    return write_end(&place, kv_put_many(&txn->kv, place.space, writes, count));
}

strata_status strata_kv_increment(strata_txn *txn, strata_space *space, strata_bytes key,
                                  int64_t delta, int64_t *out)
{
    struct write_place place;
    TRY(argument_key(key));
    TRY(write_start(txn, space, &place));
    return write_end(&place,
                     kv_increment(&txn->kv, place.space, bytes_of(key.data, key.size), delta, out));
}

/* ---- in pieces ---- */

strata_status strata_kv_write_open(strata_txn *txn, strata_space *space, strata_bytes key,
                                   const strata_kv_put_options *options, strata_kv_writer **out)
{
    struct write_place place;
    strata_kv_put_options checked;
    TRY(argument_key(key));
    TRY(argument_given(out, "out"));
    TRY(argument_put(options, &checked));
    if (checked.remove != 0)
        return failure(STRATA_INVALID, "options.remove is set for a value to be written");
    TRY(write_start(txn, space, &place));
    return writer_create(txn, place.space, bytes_of(key.data, key.size), &checked, out);
}

static strata_status argument_writer(const strata_kv_writer *writer)
{
    TRY(argument_given(writer, "writer"));
    TRY(argument_db(writer->db));
    return !writer->ended ? STRATA_OK
                          : failure(STRATA_CLOSED, "the transaction of the writer has ended");
}

strata_status strata_kv_write_append(strata_kv_writer *writer, strata_bytes piece)
{
    TRY(argument_writer(writer));
    TRY(argument_bytes(piece, "piece"));
    return kv_writer_append(&writer->of, bytes_of(piece.data, piece.size));
}

strata_status strata_kv_write_close(strata_kv_writer *writer, int keep)
{
    if (writer == NULL)
        return STRATA_OK;
    TRY(argument_db(writer->db));
    strata_status status = STRATA_OK;
    if (keep != 0)
        status = argument_writer(writer);
    if (keep != 0 && status == STRATA_OK) {
        const struct write_place place = {.txn = writer->txn,
                                          .version = writer->txn->kv.last.version,
                                          .start_us = database_monotonic(writer->db)};
        status = write_end(&place, kv_writer_finish(&writer->of));
    }
    writer_destroy(writer);
    return status;
}
