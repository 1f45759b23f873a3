#include "format/hostile.h"

#include "support.h"

static uint8_t *exact_copy(struct bytes bytes)
{
    uint8_t *copy = malloc(bytes.length > 0 ? bytes.length : 1);
    assert_non_null(copy);
    if (bytes.length > 0)
        memcpy(copy, bytes.data, bytes.length);
    return copy;
}

void assert_changes_are_refused(struct bytes whole, accepts_function accepts, void *context)
{
    static const uint8_t changes[] = {0x01, 0x80, 0xff};
    uint8_t *copy = exact_copy(whole);
    const struct bytes changed = bytes_of(copy, whole.length);
    assert_true(accepts(context, changed));
    for (size_t at = 0; at < whole.length; at++) {
        for (size_t i = 0; i < sizeof(changes); i++) {
            copy[at] ^= changes[i];
            if (accepts(context, changed))
                fail_msg("byte %zu of %zu changed by 0x%02x, and nobody noticed", at, whole.length,
                         (unsigned)changes[i]);
            copy[at] ^= changes[i];
        }
    }
    free(copy);
}

void assert_cuts_are_refused(struct bytes whole, accepts_function accepts, void *context)
{
    for (size_t length = 0; length < whole.length; length++) {
        uint8_t *copy = exact_copy(bytes_of(whole.data, length));
        if (accepts(context, bytes_of(copy, length)))
            fail_msg("%zu of %zu bytes, and nobody noticed", length, whole.length);
        free(copy);
    }
}

void run_mutations(struct bytes whole, uint64_t seed, unsigned count,
                   void (*decode)(void *context, uint8_t *data, size_t length), void *context)
{
    struct random random = {seed};
    for (unsigned run = 0; run < count; run++) {
        size_t length = whole.length;
        if (random_next(&random) % 8 == 0)
            length = (size_t)(random_next(&random) % (length + 1));
        uint8_t *copy = exact_copy(bytes_of(whole.data, length));
        const unsigned changes = 1 + (unsigned)(random_next(&random) % 8);
        for (unsigned i = 0; length > 0 && i < changes; i++)
            copy[random_next(&random) % length] = (uint8_t)random_of_any_width(&random);
        decode(context, copy, length);
        free(copy);
    }
}

uint64_t random_of_any_width(struct random *random)
{
    const uint64_t number = random_next(random);
    return number >> random_next(random) % 64;
}
