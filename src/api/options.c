/* Options by name: one table for each struct. */
#include "api/argument.h"

#include <stddef.h>

enum option_form {
    OPTION_SIZE,        /* uint64_t bytes. */
    OPTION_DURATION_US, /* int64_t. */
    OPTION_DURATION_MS, /* int32_t. */
    OPTION_INTEGER,     /* int32_t, 0 or more. */
    OPTION_NUMBER,      /* uint64_t. */
    OPTION_FLAG,        /* uint32_t. */
    OPTION_WORD         /* uint32_t, an enum. */
};

enum { OPTION_WORDS_MAX = 5, OPTIONS_SIZE_MAX = 256, OPTION_TEXT_MAX = 64 };

struct option_class {
    strata_option_info info;
    enum option_form form;
    size_t offset;
    bool none;                           /* 0 is the default, so a plain 0 is STRATA_NONE. */
    const char *words[OPTION_WORDS_MAX]; /* [value of the enum]; NULL after the last. */
};

static const struct option_class open_classes[] = {
    {{"mode", "one of create|existing|new|read_only", "create",
      "what is opened, and whether it may be new"},
     OPTION_WORD,
     offsetof(strata_open_options, mode),
     false,
     {"create", "existing", "new", "read_only"}},
    {{"durability", "one of default|standard|always|cache", "standard",
      "what a commit survives when it returns"},
     OPTION_WORD,
     offsetof(strata_open_options, durability),
     false,
     {"default", "standard", "always", "cache"}},
    {{"background_threads", "integer", "2", "threads of its own; 0: strata_maintain does the work"},
     OPTION_INTEGER,
     offsetof(strata_open_options, background_threads),
     true,
     {NULL}},
    {{"memory_budget", "size", "a quarter of RAM, at most 256MiB", "all heap; at least 1MiB"},
     OPTION_SIZE,
     offsetof(strata_open_options, memory_budget_bytes),
     false,
     {NULL}},
    {{"lock_wait", "duration", "5s", "how long to wait for another owner to go"},
     OPTION_DURATION_US,
     offsetof(strata_open_options, lock_wait_us),
     true,
     {NULL}},
    {{"sync_interval", "duration", "100ms", "until a standard commit survives a power cut"},
     OPTION_DURATION_MS,
     offsetof(strata_open_options, sync_interval_ms),
     true,
     {NULL}},
    {{"lossy", "flag", "0", "1: open read-only over lost data instead of refusing"},
     OPTION_FLAG,
     offsetof(strata_open_options, lossy),
     false,
     {NULL}},
    {{"seed", "integer", "from the system", "of every random choice"},
     OPTION_NUMBER,
     offsetof(strata_open_options, seed),
     false,
     {NULL}},
};

static const struct option_class txn_classes[] = {
    {{"durability", "one of default|standard|always", "default",
      "what the commit survives when it returns"},
     OPTION_WORD,
     offsetof(strata_txn_options, durability),
     false,
     {"default", "standard", "always"}},
    {{"stall_wait", "duration", "30s", "how long to wait for memory under back-pressure"},
     OPTION_DURATION_US,
     offsetof(strata_txn_options, stall_wait_us),
     true,
     {NULL}},
};

/* The options of one struct. */
struct option_table {
    const struct option_class *classes;
    uint32_t count;
    size_t size;       /* Of the struct. */
    size_t first_size; /* In the first version of this library. */
};

static strata_status option_table_of(strata_options_kind kind, struct option_table *out)
{
    switch (kind) {
    case STRATA_OPTIONS_OPEN:
        *out = (struct option_table){open_classes, sizeof(open_classes) / sizeof(open_classes[0]),
                                     sizeof(strata_open_options), sizeof(strata_open_options)};
        return STRATA_OK;
    case STRATA_OPTIONS_TXN:
        *out = (struct option_table){txn_classes, sizeof(txn_classes) / sizeof(txn_classes[0]),
                                     sizeof(strata_txn_options), sizeof(strata_txn_options)};
        return STRATA_OK;
    case STRATA_OPTIONS_BRANCH:
        *out = (struct option_table){NULL, 0, sizeof(strata_branch_options),
                                     sizeof(strata_branch_options)};
        return STRATA_OK;
    }
    return failure(STRATA_INVALID, "kind is %d, which is no kind of options", (int)kind);
}

/* ---- values ---- */

/* A word of the text: "name=value". */
struct option_word {
    struct bytes name;
    struct bytes value;
};

static strata_status option_fault(const struct option_word *word, const char *wanted)
{
    return failure(STRATA_INVALID, "%.*s=%.*s: %s", (int)word->name.length,
                   (const char *)word->name.data, (int)word->value.length,
                   (const char *)word->value.data, wanted);
}

static bool bytes_are(struct bytes bytes, const char *text)
{
    return bytes_equal(bytes, bytes_of(text, strlen(text)));
}

/* A unit that a number is followed by. */
struct option_unit {
    const char *name;
    uint64_t factor;
};

static const struct option_unit size_units[] = {
    {"", 1}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {NULL, 0}};

static const struct option_unit time_units[] = {{"us", 1},
                                                {"ms", 1000},
                                                {"s", 1000000},
                                                {"min", (uint64_t)60 * 1000000},
                                                {"h", (uint64_t)3600 * 1000000},
                                                {"d", (uint64_t)86400 * 1000000},
                                                {NULL, 0}};

static const struct option_unit no_units[] = {{"", 1}, {NULL, 0}};

/* A number with one of the units; a plain 0 needs none. */
static strata_status option_number(const struct option_word *word, const struct option_unit *units,
                                   uint64_t most, const char *wanted, uint64_t *out)
{
    uint64_t number = 0;
    size_t digits = 0;
    for (; digits < word->value.length; digits++) {
        const uint8_t letter = word->value.data[digits];
        if (letter < '0' || letter > '9')
            break;
        if (number > (UINT64_MAX - (letter - '0')) / 10)
            return option_fault(word, "the number is too large");
        number = number * 10 + (letter - '0');
    }
    const struct bytes unit = bytes_after(word->value, digits);
    const bool plain_zero = number == 0 && unit.length == 0;
    const struct option_unit *at = units;
    while (at->name != NULL && !bytes_are(unit, at->name))
        at++;
    if (digits == 0 || (at->name == NULL && !plain_zero))
        return option_fault(word, wanted);
    if (at->name != NULL && number > most / at->factor)
        return option_fault(word, "the number is too large");
    *out = at->name != NULL ? number * at->factor : 0;
    return STRATA_OK;
}

static strata_status option_named(const struct option_class *class, const struct option_word *word,
                                  uint64_t *out)
{
    for (uint32_t i = 0; i < OPTION_WORDS_MAX && class->words[i] != NULL; i++) {
        if (bytes_are(word->value, class->words[i])) {
            *out = i;
            return STRATA_OK;
        }
    }
    return option_fault(word, class->info.type);
}

static strata_status option_value(const struct option_class *class, const struct option_word *word,
                                  uint64_t *out)
{
    static const char duration[] = "a duration is a number and us, ms, s, min, h or d";
    switch (class->form) {
    case OPTION_SIZE:
        return option_number(word, size_units, INT64_MAX, "a size is a number, and KiB, MiB or GiB",
                             out);
    case OPTION_DURATION_US:
        return option_number(word, time_units, INT64_MAX, duration, out);
    case OPTION_DURATION_MS:
        TRY(option_number(word, time_units, (uint64_t)INT32_MAX * 1000, duration, out));
        if (*out % 1000 != 0)
            return option_fault(word, "whole milliseconds are taken");
        *out /= 1000;
        return STRATA_OK;
    case OPTION_INTEGER:
        return option_number(word, no_units, INT32_MAX, "an integer is a number", out);
    case OPTION_NUMBER:
        return option_number(word, no_units, UINT64_MAX, "an integer is a number", out);
    case OPTION_FLAG:
        return option_number(word, no_units, 1, "a flag is 0 or 1", out);
    case OPTION_WORD:
        break;
    }
    return option_named(class, word, out);
}

/* ---- fields ---- */

static size_t option_field_size(enum option_form form)
{
    const bool is_long = form == OPTION_SIZE || form == OPTION_DURATION_US || form == OPTION_NUMBER;
    return is_long ? sizeof(uint64_t) : sizeof(uint32_t);
}

/* Sets the field in `options`, a struct of `size` bytes of the caller's. */
static strata_status option_set(const struct option_class *class, const struct option_word *word,
                                uint32_t size, uint8_t *options)
{
    const size_t field_size = option_field_size(class->form);
    uint64_t value = 0;
    TRY(option_value(class, word, &value));
    if (class->offset + field_size > size)
        return option_fault(word, "the struct is of an older version and lacks it");
    if (value == 0 && (class->form == OPTION_SIZE || class->form == OPTION_NUMBER))
        return option_fault(word, "it cannot be zero");
    const int64_t number = value == 0 && class->none ? STRATA_NONE : (int64_t)value;
    const int32_t short_number = (int32_t)number;
    if (field_size == sizeof(number))
        memcpy(options + class->offset, &number, sizeof(number));
    else
        memcpy(options + class->offset, &short_number, sizeof(short_number));
    return STRATA_OK;
}

/* ---- text ---- */

static bool is_blank(char letter)
{
    return letter == ' ' || letter == '\t' || letter == '\n' || letter == '\r';
}

/* Takes the next word off `*text`; a name of length 0 at the end. */
static strata_status option_take(const char **text, struct option_word *out)
{
    while (is_blank(**text))
        (*text)++;
    const char *start = *text;
    while (**text != '\0' && !is_blank(**text))
        (*text)++;
    const size_t size = (size_t)(*text - start);
    const char *equals = size > 0 ? memchr(start, '=', size) : NULL;
    *out = (struct option_word){.name = bytes_of(start, 0)};
    if (size > 0 && (equals == NULL || equals == start))
        return failure(STRATA_INVALID, "%.*s: an option is name=value",
                       (int)(size < OPTION_TEXT_MAX ? size : OPTION_TEXT_MAX), start);
    if (size == 0)
        return STRATA_OK;
    const size_t name_size = (size_t)(equals - start);
    out->name = bytes_of(start, name_size < OPTION_TEXT_MAX ? name_size : OPTION_TEXT_MAX);
    out->value = bytes_of(equals + 1, size - name_size - 1);
    if (out->value.length > OPTION_TEXT_MAX)
        return failure(STRATA_INVALID, "%.*s: the value is too long", (int)out->name.length, start);
    return STRATA_OK;
}

static strata_status option_apply(const struct option_table *table, const struct option_word *word,
                                  uint32_t size, uint8_t *options)
{
    for (uint32_t i = 0; i < table->count; i++) {
        if (bytes_are(word->name, table->classes[i].info.name))
            return option_set(&table->classes[i], word, size, options);
    }
    return failure(STRATA_INVALID, "%.*s: there is no such option", (int)word->name.length,
                   (const char *)word->name.data);
}

strata_status strata_options_parse(strata_options_kind kind, const char *text, void *options)
{
    struct option_table table;
    uint8_t copy[OPTIONS_SIZE_MAX];
    uint32_t size;
    TRY(option_table_of(kind, &table));
    TRY(argument_given(text, "text"));
    TRY(argument_filled(options, table.first_size, "options"));
    memcpy(&size, options, sizeof(size));
    const size_t known = size < table.size ? size : table.size;
    memcpy(copy, options, known);
    for (const char *at = text;;) {
        struct option_word word;
        TRY(option_take(&at, &word));
        if (word.name.length == 0)
            break;
        TRY(option_apply(&table, &word, size, copy));
    }
    memcpy(options, copy, known);
    return STRATA_OK;
}

strata_status strata_option_get(strata_options_kind kind, uint32_t index, strata_option_info *out)
{
    struct option_table table;
    TRY(option_table_of(kind, &table));
    TRY(argument_given(out, "out"));
    if (index >= table.count)
        return failure(STRATA_NOT_FOUND, "there are %u options of that kind", table.count);
    *out = table.classes[index].info;
    return STRATA_OK;
}
