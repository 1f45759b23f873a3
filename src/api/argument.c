#include "api/argument.h"

#include <assert.h>

strata_status argument_given(const void *pointer, const char *name)
{
    return pointer != NULL ? STRATA_OK : failure(STRATA_INVALID, "%s is NULL", name);
}

/* ---- handles ---- */

static strata_status argument_process(const strata *db)
{
    if (db->process == process_generation())
        return STRATA_OK;
    return failure(STRATA_CLOSED, "the handle is not this process's: it was opened before a fork");
}

strata_status argument_db(const strata *db)
{
    TRY(argument_given(db, "db"));
    return argument_process(db);
}

strata_status argument_writable_db(const strata *db)
{
    TRY(argument_db(db));
    if (db->storage.store->read_only)
        return failure(STRATA_READ_ONLY, "the database was opened read-only");
    return STRATA_OK;
}

strata_status argument_handle(const strata_txn *txn)
{
    TRY(argument_given(txn, "txn"));
    return argument_process(txn->db);
}

strata_status argument_txn(const strata_txn *txn)
{
    TRY(argument_handle(txn));
    return !txn->ended ? STRATA_OK : failure(STRATA_CLOSED, "the transaction has ended");
}

strata_status argument_writable_txn(const strata_txn *txn)
{
    TRY(argument_txn(txn));
    if (txn->kind == TXN_SNAPSHOT)
        return failure(STRATA_READ_ONLY, "a snapshot takes no writes");
    return argument_writable_db(txn->db);
}

strata_status argument_cursor(const strata_cursor *cursor, enum cursor_kind kind,
                              enum cursor_kind other_kind)
{
    TRY(argument_given(cursor, "cursor"));
    TRY(argument_process(cursor->db));
    if (cursor->kind != kind && cursor->kind != other_kind)
        return failure(STRATA_INVALID, "the cursor is of another kind than this call reads");
    if (cursor->ended)
        return failure(STRATA_CLOSED, "the transaction of the cursor has ended");
    return STRATA_OK;
}

strata_status argument_space(strata *db, strata_space *space, struct storage_space **out)
{
    if (space != NULL && space->db != db)
        return failure(STRATA_INVALID, "space is of another database");
    *out = space != NULL ? space->interned : &db->storage.default_space;
    return STRATA_OK;
}

/* ---- bytes ---- */

strata_status argument_bytes(strata_bytes bytes, const char *name)
{
    if (bytes.data == NULL && bytes.size > 0)
        return failure(STRATA_INVALID, "%s has %zu bytes at NULL", name, bytes.size);
    return STRATA_OK;
}

strata_status argument_key(strata_bytes key)
{
    TRY(argument_bytes(key, "key"));
    if (key.size == 0)
        return failure(STRATA_INVALID, "key is empty");
    if (key.size > USER_KEY_SIZE_MAX)
        return failure(STRATA_TOO_BIG, "key has %zu bytes, at most %d are taken", key.size,
                       USER_KEY_SIZE_MAX);
    return STRATA_OK;
}

strata_status argument_value(strata_bytes value)
{
    TRY(argument_bytes(value, "value"));
    if (value.size > VALUE_SIZE_MAX)
        return failure(STRATA_TOO_BIG, "value has %zu bytes, at most %d are taken", value.size,
                       VALUE_SIZE_MAX);
    return STRATA_OK;
}

/* ---- names ---- */

/* The number of bytes of the UTF-8 character at `text`, and the character; 0 if it is none. The text
 * ends in a NUL, which no character goes on with. */
static size_t character_at(const char *text, uint32_t *code_out)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    const uint8_t lead = (uint8_t)text[0];
    *code_out = lead;
    if (lead < 0x80)
        return 1;
    const size_t size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4)
        return 0;
    uint32_t code = lead & (0x7fu >> size);
    for (size_t i = 1; i < size; i++) {
        const uint8_t byte = (uint8_t)text[i];
        if ((byte & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (byte & 0x3f);
    }
    *code_out = code;
    const bool surrogate = code >= 0xd800 && code <= 0xdfff;
    return code < least[size] || code > 0x10ffff || surrogate ? 0 : size;
}

static bool is_control(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code <= 0x9f);
}

static strata_status byte_fault(const char *text, const char *at, const char *name,
                                const char *what)
{
    return failure(STRATA_INVALID, "byte %zu of %s is %s", (size_t)(at - text) + 1, name, what);
}

strata_status argument_name(const char *text, const char *name)
{
    TRY(argument_given(text, name));
    if (text[0] == '\0')
        return failure(STRATA_INVALID, "%s is empty", name);
    if (text[0] == '-')
        return failure(STRATA_INVALID, "%s starts with a dash", name);
    for (const char *at = text; *at != '\0';) {
        uint32_t code;
        const size_t size = character_at(at, &code);
        if (size == 0)
            return byte_fault(text, at, name, "not valid UTF-8");
        if (is_control(code) || code == '@')
            return byte_fault(text, at, name, code == '@' ? "'@'" : "a control character");
        at += size;
        if (at - text > BRANCH_NAME_SIZE_MAX)
            return failure(STRATA_TOO_BIG, "%s has more than %d bytes", name, BRANCH_NAME_SIZE_MAX);
    }
    return STRATA_OK;
}

strata_status argument_text(const char *text, const char *name)
{
    for (const char *at = text; at != NULL && *at != '\0';) {
        uint32_t code;
        const size_t size = character_at(at, &code);
        if (size == 0)
            return byte_fault(text, at, name, "not valid UTF-8");
        at += size;
    }
    return STRATA_OK;
}

strata_status argument_message(const char *message)
{
    if (message != NULL && strlen(message) > BATCH_MESSAGE_SIZE_MAX)
        return failure(STRATA_TOO_BIG, "message has %zu bytes, at most %d are taken",
                       strlen(message), BATCH_MESSAGE_SIZE_MAX);
    return argument_text(message, "message");
}

strata_status argument_point(const strata_point *point)
{
    const int moments = (point->version != 0) + (point->time_us != 0) + (point->tag != NULL);
    if (moments > 1)
        return failure(STRATA_INVALID, "a point has more than one of version, time_us and tag");
    if (point->tag != NULL && point->branch != NULL)
        return failure(STRATA_INVALID, "a point has both a tag and a branch");
    if (point->tag != NULL)
        return argument_name(point->tag, "point.tag");
    return point->branch == NULL ? STRATA_OK : argument_name(point->branch, "point.branch");
}

/* ---- structs ---- */

strata_status argument_progress(const strata_progress *progress)
{
    return progress == NULL
               ? STRATA_OK
               : argument_given((const void *)(uintptr_t)progress->report, "progress.report");
}

/* The size that a growing struct says it has. */
static uint32_t stated_size(const void *growing)
{
    uint32_t size;
    memcpy(&size, growing, sizeof(size));
    return size;
}

strata_status argument_filled(const void *out, size_t first_size, const char *name)
{
    TRY(argument_given(out, name));
    const uint32_t size = stated_size(out);
    if (size < first_size)
        return failure(STRATA_INVALID, "%s.size is %u, at least %zu is expected", name, size,
                       first_size);
    return STRATA_OK;
}

strata_status argument_options(const void *options, size_t first_size, void *known,
                               size_t known_size, const char *name)
{
    const uint32_t known_size_field = (uint32_t)known_size;
    memset(known, 0, known_size);
    memcpy(known, &known_size_field, sizeof(known_size_field));
    if (options == NULL)
        return STRATA_OK;
    TRY(argument_filled(options, first_size, name));
    const uint32_t size = stated_size(options);
    const uint8_t *bytes = options;
    for (size_t i = known_size; i < size; i++) {
        if (bytes[i] != 0)
            return failure(STRATA_INVALID, "%s has byte %zu set, which this library does not know",
                           name, i);
    }
    memcpy(known, options, size < known_size ? size : known_size);
    return STRATA_OK;
}

void fill_struct(void *out, const void *known, size_t known_size)
{
    const uint32_t size = stated_size(out);
    uint8_t *bytes = out;
    memcpy(out, known, size < known_size ? size : known_size);
    if (size > known_size)
        memset(bytes + known_size, 0, size - known_size);
    memcpy(out, &size, sizeof(size));
}

/* ---- numbers ---- */

strata_status argument_number(uint64_t number, uint64_t most, const char *name)
{
    if (number <= most)
        return STRATA_OK;
    return failure(STRATA_INVALID, "%s is %llu, at most %llu is known", name,
                   (unsigned long long)number, (unsigned long long)most);
}

strata_status argument_setting(int64_t number, int64_t by_default, int64_t most, const char *name,
                               int64_t *out)
{
    if (number < STRATA_NONE || number > most)
        return failure(STRATA_INVALID, "%s is %lld, which is not from 0 to %lld", name,
                       (long long)number, (long long)most);
    *out = number == 0 ? by_default : number == STRATA_NONE ? 0 : number;
    return STRATA_OK;
}
