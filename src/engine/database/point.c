#include "engine/database/point.h"

#include <assert.h>

/* ---- what a point means ---- */

/* The last commit up to `version` and `time_us` that the target's branch sees. */
static strata_status point_find_commit(struct storage *storage, struct store_reader *reader,
                                       uint64_t version, int64_t time_us,
                                       struct point_target *target)
{
    struct storage_log_entry entry;
    bool found = false;
    TRY(storage_log_find(storage, reader, target->branch, version, time_us, &found, &entry));
    target->version = found ? entry.version : 0;
    target->time_us = found ? entry.time_us : 0;
    target->as_of_us = target->time_us;
    return STRATA_OK;
}

static strata_status point_find_moment(struct storage *storage, struct store_reader *reader,
                                       const strata_point *point, struct point_target *target)
{
    uint64_t newest;
    int64_t now_us;
    storage_head(storage, &newest, &now_us);
    if (point->version > newest)
        return failure(STRATA_HISTORY_UNAVAILABLE, "version %llu is beyond the newest, %llu",
                       (unsigned long long)point->version, (unsigned long long)newest);
    if (point->version != 0)
        return point_find_commit(storage, reader, point->version, INT64_MAX, target);
    if (point->time_us != 0) {
        TRY(point_find_commit(storage, reader, newest, point->time_us, target));
        target->as_of_us = point->time_us < now_us ? point->time_us : now_us;
        return STRATA_OK;
    }
    target->head = true;
    target->version = newest;
    target->time_us = target->as_of_us = now_us;
    return STRATA_OK;
}

strata_status point_settle(struct storage *storage, struct store_reader *reader,
                           struct point_target *target)
{
    if (!target->head)
        return STRATA_OK;
    return point_find_commit(storage, reader, target->version, INT64_MAX, target);
}

const char *point_branch(const strata_point *point)
{
    return point->branch != NULL ? point->branch : "main";
}

bool point_is_head(const strata_point *point)
{
    return point->tag == NULL && point->version == 0 && point->time_us == 0;
}

strata_status point_find(struct storage *storage, struct store_reader *reader,
                         const strata_point *point, struct point_target *out)
{
    struct point_target target = {.branch = NULL};
    if (point->tag != NULL)
        return failure(STRATA_NOT_FOUND, "there is no such tag");
    TRY(storage_branch_open(storage, reader, point_branch(point), &target.branch));
    const strata_status status = point_find_moment(storage, reader, point, &target);
    if (status != STRATA_OK) {
        storage_branch_close(storage, target.branch);
        return status;
    }
    *out = target;
    return STRATA_OK;
}

/* ---- the text of a point ---- */

static bool is_digit(char letter)
{
    return letter >= '0' && letter <= '9';
}

/* Text that is read from front to back. */
struct point_text {
    const char *start;
    const char *at;
};

static strata_status point_fault(const struct point_text *text, const char *wanted)
{
    return failure(STRATA_INVALID, "byte %zu of the point should be %s",
                   (size_t)(text->at - text->start) + 1, wanted);
}

/* Exactly `digits` digits, of a number from `least` to `most`. */
static strata_status take_number(struct point_text *text, unsigned digits, int64_t least,
                                 int64_t most, const char *wanted, int64_t *out)
{
    const struct point_text before = *text;
    int64_t number = 0;
    for (unsigned i = 0; i < digits; i++) {
        if (!is_digit(*text->at))
            return point_fault(text, "a digit");
        number = number * 10 + (*text->at++ - '0');
    }
    if (number < least || number > most)
        return point_fault(&before, wanted);
    *out = number;
    return STRATA_OK;
}

static strata_status take_letter(struct point_text *text, char letter, const char *wanted)
{
    if (*text->at != letter)
        return point_fault(text, wanted);
    text->at++;
    return STRATA_OK;
}

static bool is_leap_year(int64_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int64_t days_of_month(int64_t year, int64_t month)
{
    static const uint8_t days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    assert(month >= 1 && month <= 12);
    return days[month - 1] + (month == 2 && is_leap_year(year));
}

/* From 1970-01-01 on. */
static int64_t days_before(int64_t year, int64_t month, int64_t day)
{
    const int64_t past = year - 1;
    int64_t days = past * 365 + past / 4 - past / 100 + past / 400 - 719162;
    for (int64_t i = 1; i < month; i++)
        days += days_of_month(year, i);
    return days + day - 1;
}

static strata_status take_date(struct point_text *text, int64_t *days_out)
{
    int64_t year, month, day;
    TRY(take_number(text, 4, 1, 9999, "a year", &year));
    TRY(take_letter(text, '-', "a dash"));
    TRY(take_number(text, 2, 1, 12, "a month", &month));
    TRY(take_letter(text, '-', "a dash"));
    TRY(take_number(text, 2, 1, days_of_month(year, month), "a day of that month", &day));
    *days_out = days_before(year, month, day);
    return STRATA_OK;
}

static strata_status take_fraction(struct point_text *text, int64_t *us_out)
{
    int64_t us = 0, unit = 100000;
    *us_out = 0;
    if (*text->at != '.')
        return STRATA_OK;
    text->at++;
    if (!is_digit(*text->at))
        return point_fault(text, "a digit");
    for (; is_digit(*text->at); text->at++) {
        if (unit == 0)
            return point_fault(text, "the end of six decimals");
        us += (*text->at - '0') * unit;
        unit /= 10;
    }
    *us_out = us;
    return STRATA_OK;
}

static strata_status take_time(struct point_text *text, int64_t *out)
{
    int64_t days, hour, minute, second, us;
    TRY(take_date(text, &days));
    TRY(take_letter(text, 'T', "the letter T"));
    TRY(take_number(text, 2, 0, 23, "an hour", &hour));
    TRY(take_letter(text, ':', "a colon"));
    TRY(take_number(text, 2, 0, 59, "a minute", &minute));
    TRY(take_letter(text, ':', "a colon"));
    TRY(take_number(text, 2, 0, 59, "a second", &second));
    TRY(take_fraction(text, &us));
    TRY(take_letter(text, 'Z', "the letter Z"));
    *out = (((days * 24 + hour) * 60 + minute) * 60 + second) * 1000000 + us;
    return STRATA_OK;
}

static strata_status take_version(struct point_text *text, uint64_t *out)
{
    uint64_t version = 0;
    const struct point_text before = *text;
    for (; is_digit(*text->at); text->at++) {
        const uint64_t digit = (uint64_t)(*text->at - '0');
        if (version > (UINT64_MAX - digit) / 10)
            return point_fault(&before, "a version below 2^64");
        version = version * 10 + digit;
    }
    if (version == 0)
        return point_fault(&before, "a version, from 1, or a time");
    *out = version;
    return STRATA_OK;
}

/* After the '@'. */
static strata_status take_moment(struct point_text *text, strata_point *out)
{
    const char *end = text->at;
    while (is_digit(*end))
        end++;
    if (*end == '-' && end > text->at) {
        TRY(take_time(text, &out->time_us));
        if (out->time_us == 0)
            return failure(STRATA_INVALID, "the first microsecond of 1970 cannot be meant");
    } else {
        TRY(take_version(text, &out->version));
    }
    if (*text->at != '\0')
        return point_fault(text, "the end");
    return STRATA_OK;
}

strata_status point_parse(const char *text, char name[BRANCH_NAME_SIZE_MAX + 1], strata_point *out)
{
    struct point_text rest = {.start = text, .at = text};
    strata_point point = {.branch = NULL};
    const bool tag = *text == '@';
    if (tag)
        rest.at++;
    const size_t size = strcspn(rest.at, "@");
    if (size == 0)
        return point_fault(&rest, tag ? "the name of a tag" : "the name of a branch");
    if (size > BRANCH_NAME_SIZE_MAX)
        return failure(STRATA_INVALID, "the name of a point has at most %d bytes",
                       BRANCH_NAME_SIZE_MAX);
    const char *start = rest.at;
    rest.at += size;
    if (*rest.at == '@' && tag)
        return point_fault(&rest, "the end: a tag is a moment already");
    if (*rest.at == '@') {
        rest.at++;
        TRY(take_moment(&rest, &point));
    }
    memcpy(name, start, size);
    name[size] = '\0';
    if (tag)
        point.tag = name;
    else
        point.branch = name;
    *out = point;
    return STRATA_OK;
}
