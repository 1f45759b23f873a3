#include "cli/output.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

/* ---- Text ---- */

/* Takes the first byte of a character. The table is that of RFC 3629: no surrogates, nothing
 * longer than it need be, nothing past U+10FFFF. */
static void character_begin(struct text_check *check, uint8_t byte)
{
    check->least = 0x80;
    check->most = 0xbf;
    if (byte < 0x80) {
        if (byte < 0x20 || byte == 0x7f)
            check->control = true;
    } else if (byte >= 0xc2 && byte <= 0xdf) {
        check->missing = 1;
    } else if (byte >= 0xe0 && byte <= 0xef) {
        check->missing = 2;
        check->least = byte == 0xe0 ? 0xa0 : 0x80;
        check->most = byte == 0xed ? 0x9f : 0xbf;
    } else if (byte >= 0xf0 && byte <= 0xf4) {
        check->missing = 3;
        check->least = byte == 0xf0 ? 0x90 : 0x80;
        check->most = byte == 0xf4 ? 0x8f : 0xbf;
    } else {
        check->broken = true;
    }
}

void text_check_feed(struct text_check *check, strata_bytes piece)
{
    const uint8_t *bytes = (const uint8_t *)piece.data;
    for (size_t i = 0; i < piece.size && !check->broken; check->before = bytes[i++]) {
        if (check->start_size < sizeof(check->start))
            check->start[check->start_size++] = bytes[i];
        if (check->missing == 0) {
            character_begin(check, bytes[i]);
            continue;
        }
        if (bytes[i] < check->least || bytes[i] > check->most)
            check->broken = true;
        /* U+0080 to U+009F are control characters too; terminals obey them. */
        if (check->before == 0xc2 && bytes[i] < 0xa0)
            check->control = true;
        check->missing--;
        check->least = 0x80;
        check->most = 0xbf;
    }
}

bool text_check_is_utf8(const struct text_check *check)
{
    return !check->broken && check->missing == 0;
}

bool text_check_is_plain(const struct text_check *check)
{
    const bool looks_like_hex =
        check->start_size == sizeof(check->start) && memcmp(check->start, "hex:", 4) == 0;
    return text_check_is_utf8(check) && !check->control && !looks_like_hex;
}

bool bytes_are_plain(strata_bytes bytes)
{
    struct text_check check = {0};
    text_check_feed(&check, bytes);
    return text_check_is_plain(&check);
}

void write_bytes(strata_bytes bytes)
{
    if (bytes.size > 0)
        (void)fwrite(bytes.data, 1, bytes.size, stdout);
}

void write_hex(strata_bytes bytes)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < bytes.size; i++) {
        const uint8_t byte = ((const uint8_t *)bytes.data)[i];
        putchar(digits[byte >> 4]);
        putchar(digits[byte & 15]);
    }
}

void write_shown(strata_bytes bytes)
{
    if (bytes_are_plain(bytes)) {
        write_bytes(bytes);
        return;
    }
    fputs("hex:", stdout);
    write_hex(bytes);
}

const char *time_text(int64_t time_us, char out[TIME_TEXT_SIZE])
{
    const int64_t second_us = 1000000, day_s = 86400;
    int64_t seconds = time_us / second_us, fraction_us = time_us % second_us;
    if (fraction_us < 0) {
        fraction_us += second_us;
        seconds--;
    }
    int64_t days = seconds / day_s, rest = seconds % day_s;
    if (rest < 0) {
        rest += day_s;
        days--;
    }

    /* Days to a date of the Gregorian calendar, in years that begin in March and eras of 400 of
     * them. Source: H. Hinnant, chrono-Compatible Low-Level Date Algorithms, civil_from_days. */
    days += 719468;
    const int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    const int64_t day_of_era = days - era * 146097;
    const int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    const int64_t day_of_year =
        day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const int64_t shifted_month = (5 * day_of_year + 2) / 153;
    const int64_t day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    const int64_t month = shifted_month < 10 ? shifted_month + 3 : shifted_month - 9;
    const int64_t year = year_of_era + era * 400 + (month <= 2 ? 1 : 0);

    snprintf(out, TIME_TEXT_SIZE,
             "%04" PRId64 "-%02" PRId64 "-%02" PRId64 "T%02" PRId64 ":%02" PRId64 ":%02" PRId64
             ".%06" PRId64 "Z",
             year, month, day, rest / 3600, rest / 60 % 60, rest % 60, fraction_us);
    return out;
}

const char *number_text(double number, char out[NUMBER_TEXT_SIZE])
{
    const double exact = 9007199254740992.0; /* 2^53: whole numbers below are exact. */
    if (number > exact || number < -exact)
        snprintf(out, NUMBER_TEXT_SIZE, "%.6g", number);
    else
        snprintf(out, NUMBER_TEXT_SIZE, (double)(int64_t)number != number ? "%.3f" : "%.0f",
                 number);
    return out;
}

/* ---- JSON ---- */

void json_begin(struct json *json, const char *name)
{
    if (name != NULL)
        json_name(json, name);
    putchar('{');
    json->comma = false;
    json->depth++;
}

void json_end(struct json *json)
{
    putchar('}');
    json->comma = true;
    json->depth--;
    if (json->depth == 0) {
        putchar('\n');
        json->comma = false;
    }
}

void json_name(struct json *json, const char *name)
{
    printf("%s\"%s\":", json->comma ? "," : "", name);
    json->comma = true;
}

void json_escape(strata_bytes piece)
{
    const uint8_t *bytes = (const uint8_t *)piece.data;
    for (size_t i = 0; i < piece.size; i++) {
        if (bytes[i] == '"' || bytes[i] == '\\')
            printf("\\%c", bytes[i]);
        else if (bytes[i] == '\n')
            fputs("\\n", stdout);
        else if (bytes[i] == '\t')
            fputs("\\t", stdout);
        else if (bytes[i] < 0x20 || bytes[i] == 0x7f)
            printf("\\u%04x", bytes[i]);
        else
            putchar(bytes[i]);
    }
}

void json_text(struct json *json, const char *name, const char *text)
{
    json_name(json, name);
    if (text == NULL) {
        fputs("null", stdout);
        return;
    }
    struct text_check check = {0};
    text_check_feed(&check, strata_text(text));
    putchar('"');
    if (text_check_is_utf8(&check)) {
        json_escape(strata_text(text));
    } else {
        /* A path in another encoding: keep the line valid, mark what cannot be said. */
        for (const char *c = text; *c != '\0'; c++) {
            if ((unsigned char)*c < 0x80)
                json_escape(strata_view(c, 1));
            else
                fputs("\\ufffd", stdout);
        }
    }
    putchar('"');
}

void json_count(struct json *json, const char *name, uint64_t count)
{
    json_name(json, name);
    printf("%" PRIu64, count);
}

void json_integer(struct json *json, const char *name, int64_t integer)
{
    json_name(json, name);
    printf("%" PRId64, integer);
}

void json_number(struct json *json, const char *name, double number)
{
    char text[NUMBER_TEXT_SIZE];
    json_name(json, name);
    fputs(isfinite(number) ? number_text(number, text) : "null", stdout);
}

void json_bool(struct json *json, const char *name, bool truth)
{
    json_name(json, name);
    fputs(truth ? "true" : "false", stdout);
}

void json_time(struct json *json, const char *name, int64_t time_us)
{
    char text[TIME_TEXT_SIZE];
    json_text(json, name, time_text(time_us, text));
}

void json_shown(struct json *json, const char *name, strata_bytes bytes)
{
    json_name(json, name);
    putchar('"');
    if (bytes_are_plain(bytes)) {
        json_escape(bytes);
    } else {
        fputs("hex:", stdout);
        write_hex(bytes);
    }
    putchar('"');
}
