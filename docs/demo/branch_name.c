#include "branch_name.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum { SHORTENED_SIZE_MAX = 230, SHORTENED_DIGITS = 20 };

/* Bytes of the character at the front of `text`, or 0 if it is no valid UTF-8 or a control
 * character. Source: the table of well-formed sequences in Unicode 15, 3.9. */
static size_t plain_character_size(const unsigned char *text)
{
    const unsigned char lead = text[0];
    if (lead < 0x80)
        return lead >= 0x20 && lead != 0x7f;
    const size_t size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4)
        return 0;
    for (size_t i = 1; i < size; i++)
        if ((text[i] & 0xc0) != 0x80) /* A NUL ends it here at the latest. */
            return 0;
    if ((lead == 0xc2 && text[1] < 0xa0) || (lead == 0xe0 && text[1] < 0xa0) ||
        (lead == 0xed && text[1] > 0x9f) || (lead == 0xf0 && text[1] < 0x90) ||
        (lead == 0xf4 && text[1] > 0x8f))
        return 0;
    return size;
}

/* Whether a head of this name would be taken for a full ref or for a line without one; gives the
 * offset of the byte that tells them apart once it is escaped. */
static bool looks_like_other_kind(const char *head, size_t *offset)
{
    if (strncmp(head, "refs/", 5) == 0) {
        *offset = 4;
        return true;
    }
    const size_t digits =
        strspn(head[0] == 'x' && head[1] == '-' ? head + 2 : "", "0123456789abcdef");
    *offset = 1;
    return digits >= BRANCH_LINE_DIGITS && head[2 + digits] == '\0';
}

static void shortened_tail(const char *ref, char out[SHORTENED_DIGITS + 3])
{
    struct sha1 sha1;
    uint8_t id[SHA1_SIZE];
    char hex[SHA1_HEX_SIZE + 1];
    sha1_begin(&sha1);
    sha1_add(&sha1, ref, strlen(ref));
    sha1_end(&sha1, id);
    sha1_to_hex(id, hex);
    (void)snprintf(out, SHORTENED_DIGITS + 3, "%%~%.*s", SHORTENED_DIGITS, hex);
}

void branch_name_of_ref(const char *ref, char out[BRANCH_NAME_SIZE])
{
    const bool is_head = strncmp(ref, "refs/heads/", 11) == 0;
    const char *text = is_head ? ref + 11 : ref;
    size_t escaped_offset = 0, size = 0, shortened_size = 0;
    const bool escapes_one = is_head && looks_like_other_kind(text, &escaped_offset);

    for (size_t i = 0; text[i] != '\0' && size < BRANCH_NAME_SIZE;) {
        const unsigned char byte = (unsigned char)text[i];
        size_t character_size = plain_character_size((const unsigned char *)text + i);
        if (byte == '@' || byte == '%' || (byte == '-' && i == 0) ||
            (escapes_one && i == escaped_offset))
            character_size = 0;
        if (size <= SHORTENED_SIZE_MAX)
            shortened_size = size;
        if (size + 4 >= BRANCH_NAME_SIZE) { /* No room for either form of it. */
            char tail[SHORTENED_DIGITS + 3];
            shortened_tail(ref, tail);
            (void)snprintf(out + shortened_size, BRANCH_NAME_SIZE - shortened_size, "%s", tail);
            return;
        }
        if (character_size == 0) {
            (void)snprintf(out + size, 4, "%%%02X", byte);
            size += 3;
            i++;
        } else {
            memcpy(out + size, text + i, character_size);
            size += character_size;
            i += character_size;
        }
    }
    assert(size < BRANCH_NAME_SIZE);
    out[size] = '\0';
}

void branch_name_of_line(const uint8_t first_commit[SHA1_SIZE], unsigned digits,
                         char out[BRANCH_NAME_SIZE])
{
    char hex[SHA1_HEX_SIZE + 1];
    assert(digits <= SHA1_HEX_SIZE);
    sha1_to_hex(first_commit, hex);
    (void)snprintf(out, BRANCH_NAME_SIZE, "x-%.*s", (int)digits, hex);
}
