/* How a fallible function reports failure, and how its callers pass the failure on. */
#ifndef STRATA_CORE_STATUS_H
#define STRATA_CORE_STATUS_H

#include "core/public.h"

/* Records why for strata_error_message() and returns `status`. Clears the detail (errno, object,
 * offset, outcome, holder) of the failure before and sets the retry advice that goes with `status`.
 * Call it once, where the fault is found; every caller above passes the status on untouched. */
strata_status failure(strata_status status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* As failure(), for a fault at byte `offset` of `object`: both go into the detail. The message
 * should name the object too. */
strata_status failure_at(strata_status status, const char *object, uint64_t offset,
                         const char *format, ...) __attribute__((format(printf, 4, 5)));

/* So that compilers see what a function's contract says: its result is not STRATA_OK. */
#define failure(status, ...)    (failure((status), __VA_ARGS__), (status))
#define failure_at(status, ...) (failure_at((status), __VA_ARGS__), (status))

/* Add to the detail of this thread's last failure; call right after failure(). */
void failure_system(int system_error);
void failure_outcome(strata_outcome outcome, uint64_t version);
void failure_holder(uint32_t pid, int64_t since_us);

/* This thread's last failure, kept and brought back, e.g. around a clean-up that may fail itself, or
 * to repeat on another thread what a background thread met. `saved` is plain memory. */
void failure_save(strata_error *saved);
strata_status failure_restore(const strata_error *saved);

/* Returns to our caller if `call` fails. For functions that hold nothing yet. */
#define TRY(call)                                                                                  \
    do {                                                                                           \
        const strata_status try_status = (call);                                                   \
        if (try_status != STRATA_OK)                                                               \
            return try_status;                                                                     \
    } while (0)

/* Jumps to `out:` with `status` set if `call` fails. For functions that hold something. */
#define TRY_OUT(call)                                                                              \
    do {                                                                                           \
        status = (call);                                                                           \
        if (status != STRATA_OK)                                                                   \
            goto out;                                                                              \
    } while (0)

#endif
