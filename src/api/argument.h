/* What is checked of every argument before the engine sees it. All fail with STRATA_INVALID, naming the
 * argument, unless they say otherwise. */
#ifndef STRATA_API_ARGUMENT_H
#define STRATA_API_ARGUMENT_H

#include "core/lock.h"
#include "engine/database/cursor.h"

/* Not NULL. */
STRATA_CHECKED strata_status argument_given(const void *pointer, const char *name);

/* An open database, not in the child of a fork: STRATA_CLOSED. */
STRATA_CHECKED strata_status argument_db(const strata *db);

/* The same, and it takes writes: STRATA_READ_ONLY. */
STRATA_CHECKED strata_status argument_writable_db(const strata *db);

/* A transaction of such a database, whether it has ended or not. */
STRATA_CHECKED strata_status argument_handle(const strata_txn *txn);

/* One that has not ended: STRATA_CLOSED. */
STRATA_CHECKED strata_status argument_txn(const strata_txn *txn);

/* One that takes writes: STRATA_READ_ONLY. */
STRATA_CHECKED strata_status argument_writable_txn(const strata_txn *txn);

/* One of the two kinds, whose transaction has not ended: STRATA_CLOSED. */
STRATA_CHECKED strata_status argument_cursor(const strata_cursor *cursor, enum cursor_kind kind,
                                             enum cursor_kind other_kind);

/* Whether that would do for a cursor of that kind: for calls that do little else. */
static inline bool argument_cursor_will_do(const strata_cursor *cursor, enum cursor_kind kind)
{
    return cursor != NULL && cursor->kind == kind && !cursor->ended &&
           cursor->db->process == process_generation();
}

/* NULL, or a space of `db`. */
STRATA_CHECKED strata_status argument_space(strata *db, strata_space *space,
                                            struct storage_space **out);

/* STRATA_TOO_BIG if it is too long. */
STRATA_CHECKED strata_status argument_key(strata_bytes key);
STRATA_CHECKED strata_status argument_value(strata_bytes value);

/* Bytes, which may be none: data is not NULL where size is not 0. */
STRATA_CHECKED strata_status argument_bytes(strata_bytes bytes, const char *name);

/* The name of a branch, space or tag. STRATA_TOO_BIG if it is too long. */
STRATA_CHECKED strata_status argument_name(const char *text, const char *name);

/* NULL, or valid UTF-8. */
STRATA_CHECKED strata_status argument_text(const char *text, const char *name);

/* NULL, or the message of a commit, which is such text. STRATA_TOO_BIG if it is too long. */
STRATA_CHECKED strata_status argument_message(const char *message);
STRATA_CHECKED strata_status argument_point(const strata_point *point);
STRATA_CHECKED strata_status argument_progress(const strata_progress *progress);

/* Copies to `known` what this library, whose struct has `known_size` bytes, knows of `options`, whose
 * first version had `first_size`; the rest is zero. NULL options: all zero but for the size. */
STRATA_CHECKED strata_status argument_options(const void *options, size_t first_size, void *known,
                                              size_t known_size, const char *name);

/* A struct to be filled, whose size is set. */
STRATA_CHECKED strata_status argument_filled(const void *out, size_t first_size, const char *name);

/* Copies what was filled in to the caller's struct, which may be an older or newer one. */
void fill_struct(void *out, const void *known, size_t known_size);

/* A number from 0 to `most`. */
STRATA_CHECKED strata_status argument_number(uint64_t number, uint64_t most, const char *name);

/* A field in which 0 means `by_default` and STRATA_NONE means 0. */
STRATA_CHECKED strata_status argument_setting(int64_t number, int64_t by_default, int64_t most,
                                              const char *name, int64_t *out);

#endif
