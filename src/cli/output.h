/* How the program writes: bytes as text or hex, times, JSON lines. Everything goes to stdout. */
#ifndef STRATA_CLI_OUTPUT_H
#define STRATA_CLI_OUTPUT_H

#include <stdbool.h>

#include "strata.h"

/* What bytes can be shown as, found out piece by piece. Starts from all zero. */
struct text_check {
    bool broken;         /* A byte was not UTF-8. */
    bool control;        /* A character was a control character. */
    uint8_t missing;     /* Bytes until the present character is whole. */
    uint8_t least, most; /* Of the next byte of that character. */
    uint8_t before;      /* The last byte. */
    uint8_t start[4];
    uint8_t start_size;
};

void text_check_feed(struct text_check *check, strata_bytes piece);

/* After the last piece: the bytes are UTF-8. */
bool text_check_is_utf8(const struct text_check *check);

/* After the last piece: the bytes can stand for themselves on one line and as an argument, being
 * UTF-8 without control characters that does not start with "hex:". */
bool text_check_is_plain(const struct text_check *check);

bool bytes_are_plain(strata_bytes bytes);

void write_bytes(strata_bytes bytes);
void write_hex(strata_bytes bytes);

/* As themselves if plain, else as "hex:" and digits: the form that arguments are read in. */
void write_shown(strata_bytes bytes);

enum { TIME_TEXT_SIZE = 48 };

/* Microseconds since 1970 as "2026-11-20T07:30:00.000000Z". Returns `out`. */
const char *time_text(int64_t time_us, char out[TIME_TEXT_SIZE]);

enum { NUMBER_TEXT_SIZE = 48 };

/* The shortest usual form: no decimals if whole, else three. Returns `out`. */
const char *number_text(double number, char out[NUMBER_TEXT_SIZE]);

/* One JSON object per line. Starts from all zero; objects nest. */
struct json {
    bool comma; /* The next member needs one before it. */
    unsigned depth;
};

void json_begin(struct json *json, const char *name); /* `name` NULL: the line itself. */
void json_end(struct json *json);
void json_name(struct json *json, const char *name);
void json_text(struct json *json, const char *name, const char *text); /* NULL gives null. */
void json_count(struct json *json, const char *name, uint64_t count);
void json_integer(struct json *json, const char *name, int64_t integer);
void json_number(struct json *json, const char *name, double number);
void json_bool(struct json *json, const char *name, bool truth);
void json_time(struct json *json, const char *name, int64_t time_us);

/* As a string in the form that arguments are read in: plain text, or "hex:" and digits. */
void json_shown(struct json *json, const char *name, strata_bytes bytes);

/* The inside of a JSON string. `piece` is part of a text known to be UTF-8. */
void json_escape(strata_bytes piece);

#endif
