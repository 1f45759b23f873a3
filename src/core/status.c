#include "core/status.h"

#include <assert.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

/* All zero until the thread's first failure: status OK, no object, an empty message. */
static _Thread_local strata_error last_failure;

static strata_retry default_retry(strata_status status)
{
    if (status == STRATA_CONFLICT)
        return STRATA_RETRY_NOW;
    if (status == STRATA_HALTED)
        return STRATA_RETRY_REOPEN;
    const bool passes = status == STRATA_BUSY || status == STRATA_TIMEOUT ||
                        status == STRATA_NO_SPACE || status == STRATA_NO_MEMORY;
    return passes ? STRATA_RETRY_LATER : STRATA_RETRY_NEVER;
}

/* Makes an all new failure. It is built aside, since the arguments may point into the old one. */
__attribute__((format(printf, 4, 0))) static void
record_failure(strata_status status, const char *object, uint64_t offset, const char *format,
               va_list arguments)
{
    assert(status != STRATA_OK);
    assert(format != NULL);

    strata_error error = {.size = sizeof(error), .status = (int32_t)status, .offset = offset};
    error.retry = (uint32_t)default_retry(status);
    vsnprintf(error.message, sizeof(error.message), format, arguments);
    if (object != NULL)
        snprintf(error.object, sizeof(error.object), "%s", object);
    last_failure = error;
}

strata_status(failure)(strata_status status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    record_failure(status, NULL, 0, format, arguments);
    va_end(arguments);
    return status;
}

strata_status(failure_at)(strata_status status, const char *object, uint64_t offset,
                          const char *format, ...)
{
    assert(object != NULL);

    va_list arguments;
    va_start(arguments, format);
    record_failure(status, object, offset, format, arguments);
    va_end(arguments);
    return status;
}

void failure_system(int system_error)
{
    assert(last_failure.status != STRATA_OK);
    last_failure.system_error = system_error;
}

void failure_outcome(strata_outcome outcome, uint64_t version)
{
    assert(last_failure.status != STRATA_OK);
    last_failure.outcome = (uint32_t)outcome;
    last_failure.version = version;
}

void failure_holder(uint32_t pid, int64_t since_us)
{
    assert(last_failure.status != STRATA_OK);
    last_failure.holder_pid = pid;
    last_failure.holder_since_us = since_us;
}

void failure_save(strata_error *saved)
{
    *saved = last_failure;
}

strata_status failure_restore(const strata_error *saved)
{
    last_failure = *saved;
    return (strata_status)saved->status;
}

const char *strata_error_message(void)
{
    return last_failure.message;
}

void strata_error_detail(strata_error *out)
{
    if (out == NULL)
        return;
    /* A caller with an older header has a shorter struct, one with a newer header a longer one. */
    const uint32_t size = out->size;
    memcpy(out, &last_failure, size < sizeof(last_failure) ? size : sizeof(last_failure));
    if (size >= sizeof(out->size))
        out->size = size;
}

const char *strata_status_name(strata_status status)
{
    switch (status) {
    case STRATA_OK:
        return "ok";
    case STRATA_NOT_FOUND:
        return "not_found";
    case STRATA_DONE:
        return "done";
    case STRATA_EXISTS:
        return "exists";
    case STRATA_CONFLICT:
        return "conflict";
    case STRATA_INVALID:
        return "invalid";
    case STRATA_MISMATCH:
        return "mismatch";
    case STRATA_TOO_BIG:
        return "too_big";
    case STRATA_READ_ONLY:
        return "read_only";
    case STRATA_BUSY:
        return "busy";
    case STRATA_TIMEOUT:
        return "timeout";
    case STRATA_INTERRUPTED:
        return "interrupted";
    case STRATA_HISTORY_UNAVAILABLE:
        return "history_unavailable";
    case STRATA_CORRUPT:
        return "corrupt";
    case STRATA_DATA_LOSS:
        return "data_loss";
    case STRATA_HALTED:
        return "halted";
    case STRATA_UNSUPPORTED:
        return "unsupported";
    case STRATA_NO_SPACE:
        return "no_space";
    case STRATA_NO_MEMORY:
        return "no_memory";
    case STRATA_IO:
        return "io";
    case STRATA_CLOSED:
        return "closed";
    }
    return "unknown";
}
