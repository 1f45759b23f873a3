#define _POSIX_C_SOURCE 200809L

#include "report.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { PROGRESS_INTERVAL_US = 100000, THOUSANDS_TEXTS = 8, THOUSANDS_SIZE = 32 };

bool complain(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)fflush(stdout);
    (void)fputs("strata-git-history: ", stderr);
    (void)vfprintf(stderr, format, arguments);
    (void)fputc('\n', stderr);
    va_end(arguments);
    return false;
}

bool complain_strata(const char *what, strata_status status)
{
    return complain("%s: %s: %s", what, strata_status_name(status), strata_error_message());
}

struct progress progress_begin(const char *stage, uint64_t total)
{
    return (struct progress){.stage = stage, .total = total};
}

void progress_step(struct progress *progress, uint64_t done)
{
    const int64_t now_us = now_ns() / 1000;
    if (now_us - progress->shown_us < PROGRESS_INTERVAL_US)
        return;
    progress->shown_us = now_us;
    if (!isatty(STDERR_FILENO))
        return;
    progress->shown = true;
    if (progress->total > 0)
        (void)fprintf(stderr, "\r%s %s of %s\033[K", progress->stage, thousands(done),
                      thousands(progress->total));
    else
        (void)fprintf(stderr, "\r%s %s\033[K", progress->stage, thousands(done));
    (void)fflush(stderr);
}

void progress_end(struct progress *progress)
{
    if (progress->shown)
        (void)fputs("\r\033[K", stderr);
    progress->shown = false;
}

int64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

const char *thousands(uint64_t number)
{
    static char texts[THOUSANDS_TEXTS][THOUSANDS_SIZE];
    static unsigned next_text;
    char *text = texts[next_text++ % THOUSANDS_TEXTS];
    char digits[24];
    const int count = snprintf(digits, sizeof(digits), "%" PRIu64, number);
    size_t size = 0;
    for (int i = 0; i < count; i++) {
        if (i > 0 && (count - i) % 3 == 0)
            text[size++] = ',';
        text[size++] = digits[i];
    }
    text[size] = '\0';
    return text;
}
