#include "format/part.h"

#include "format/take.h"

#include <assert.h>

enum { FOOTER_FIXED_SIZE = 84, FOOTER_SECTION_SIZE = 16 };

static const uint8_t footer_magic[8] = {'S', 'T', 'R', 'A', 'T', 'A', 'P', 'T'};

void index_entry_store(uint8_t to[INDEX_ENTRY_SIZE], const struct index_entry *entry)
{
    store_u32(to, entry->unit);
    store_u64(to + 4, entry->min_from);
    store_u64(to + 12, entry->max_to);
}

strata_status index_entry_load(struct bytes value, struct index_entry *out)
{
    if (value.length != INDEX_ENTRY_SIZE)
        return failure(STRATA_CORRUPT, "index entry of %zu bytes", value.length);
    *out = (struct index_entry){.unit = load_u32(value.data),
                                .min_from = load_u64(value.data + 4),
                                .max_to = load_u64(value.data + 12)};
    return STRATA_OK;
}

void slice_entry_store(uint8_t to[SLICE_ENTRY_SIZE], const struct slice_entry *entry)
{
    store_u64(to, entry->rows);
    store_u64(to + 8, entry->bytes);
    store_u32(to + 16, entry->first_unit);
    store_u64(to + 20, entry->max_from);
    store_u64(to + 28, entry->max_to);
}

strata_status slice_entry_load(struct bytes value, struct slice_entry *out)
{
    if (value.length != SLICE_ENTRY_SIZE)
        return failure(STRATA_CORRUPT, "slice entry of %zu bytes", value.length);
    *out = (struct slice_entry){.rows = load_u64(value.data),
                                .bytes = load_u64(value.data + 8),
                                .first_unit = load_u32(value.data + 16),
                                .max_from = load_u64(value.data + 20),
                                .max_to = load_u64(value.data + 28)};
    return STRATA_OK;
}

struct bytes separator_between(struct bytes last, struct bytes first)
{
    assert(bytes_compare(last, first) < 0);

    size_t shared = 0;
    while (shared < last.length && last.data[shared] == first.data[shared])
        shared++;
    assert(shared < first.length);
    return bytes_of(first.data, shared + 1);
}

static uint16_t bucket_tag(uint64_t hash)
{
    return (uint16_t)(hash >> 48);
}

bool bucket_add(uint8_t bucket[BUCKET_SIZE], uint64_t hash, uint32_t place)
{
    const unsigned slot = bucket[60];
    assert(slot <= BUCKET_SLOTS);
    if (slot == BUCKET_SLOTS) {
        bucket[61] = 1;
        return false;
    }
    store_u16(bucket + slot * (size_t)2, bucket_tag(hash));
    store_u32(bucket + 20 + slot * (size_t)4, place);
    bucket[60] = (uint8_t)(slot + 1);
    return true;
}

strata_status part_footer_encode(const struct part_footer *footer, struct buffer *out)
{
    assert(footer->section_count <= PART_SECTIONS_MAX);
    assert(footer->role == ROLE_LIVE || footer->role == ROLE_HISTORY);
    assert(footer->min_from <= footer->max_from);

    uint8_t fixed[FOOTER_FIXED_SIZE] = {0};
    memcpy(fixed, footer_magic, sizeof(footer_magic));
    store_u32(fixed + 8, FORMAT_VERSION);
    store_u32(fixed + 12, footer->unit_size);
    store_u64(fixed + 16, footer->number);
    store_u64(fixed + 24, footer->units);
    store_u64(fixed + 32, footer->rows);
    store_u64(fixed + 40, footer->min_from);
    store_u64(fixed + 48, footer->max_from);
    store_u64(fixed + 56, footer->max_to);
    store_u64(fixed + 64, footer->bytes);
    fixed[72] = footer->role;
    store_u32(fixed + 80, footer->section_count);
    TRY(buffer_reserve(out, sizeof(fixed) + PART_SECTIONS_MAX * FOOTER_SECTION_SIZE +
                                footer->value_list.length));
    TRY(buffer_append(out, bytes_of(fixed, sizeof(fixed))));
    for (uint32_t i = 0; i < footer->section_count; i++) {
        const struct part_section *section = &footer->sections[i];
        uint8_t bytes[FOOTER_SECTION_SIZE];
        store_u16(bytes, section->kind);
        store_u16(bytes + 2, section->required ? 1 : 0);
        store_u32(bytes + 4, section->unit);
        store_u64(bytes + 8, section->count);
        TRY(buffer_append(out, bytes_of(bytes, sizeof(bytes))));
    }
    return footer->value_list.length == 0 ? STRATA_OK : buffer_append(out, footer->value_list);
}

static strata_status footer_check(const struct part_footer *footer)
{
    if (footer->unit_size < FRAME_UNIT_SIZE_MIN || footer->unit_size > FRAME_UNIT_SIZE_MAX ||
        (footer->unit_size & (footer->unit_size - 1)) != 0)
        return failure(STRATA_CORRUPT, "footer names units of %" PRIu32 " bytes",
                       footer->unit_size);
    if (footer->number > OBJECT_NUMBER_MAX)
        return failure(STRATA_CORRUPT, "footer names part %" PRIu64, footer->number);
    if (footer->units == 0 || footer->units > UINT32_MAX)
        return failure(STRATA_CORRUPT, "footer names %" PRIu64 " units", footer->units);
    if (footer->rows == 0 || footer->rows > footer->units * footer->unit_size / FRAME_ROW_SPACE_MIN)
        return failure(STRATA_CORRUPT, "footer names %" PRIu64 " rows in %" PRIu64 " units",
                       footer->rows, footer->units);
    if (footer->min_from > footer->max_from)
        return failure(STRATA_CORRUPT, "footer's least version is above its greatest");
    if (footer->role != ROLE_LIVE && footer->role != ROLE_HISTORY)
        return failure(STRATA_CORRUPT, "footer has unknown role %u", (unsigned)footer->role);
    if (footer->section_count > PART_SECTIONS_MAX)
        return failure(STRATA_CORRUPT, "footer has %" PRIu32 " sections", footer->section_count);
    return STRATA_OK;
}

/* Bounds of a section; `before` are those in front of it. */
static strata_status footer_check_section(const struct part_footer *footer, uint32_t before)
{
    const struct part_section *section = &footer->sections[before];
    if (section->unit >= footer->units)
        return failure(STRATA_CORRUPT, "section %u is at unit %" PRIu32 " of %" PRIu64,
                       (unsigned)section->kind, section->unit, footer->units);
    for (uint32_t i = 0; i < before; i++) {
        if (footer->sections[i].kind == section->kind)
            return failure(STRATA_CORRUPT, "section %u is there twice", (unsigned)section->kind);
    }
    const bool known = section->kind >= SECTION_ROWS && section->kind <= SECTION_BUCKETS;
    if (!known && section->required)
        return failure(STRATA_UNSUPPORTED, "section %u is required, and this library lacks it",
                       (unsigned)section->kind);
    uint64_t count_max = UINT64_MAX;
    if (section->kind == SECTION_ROWS)
        count_max = footer->units;
    if (section->kind == SECTION_DIRECTORY)
        count_max = footer->rows;
    if (section->kind == SECTION_BUCKETS)
        count_max = (footer->units - section->unit) * buckets_per_unit(footer->unit_size);
    if (section->kind == SECTION_BUCKETS && count_max > UINT32_MAX)
        count_max = UINT32_MAX;
    if (known && (section->count == 0 || section->count > count_max))
        return failure(STRATA_CORRUPT, "section %u counts %" PRIu64 ", limit %" PRIu64,
                       (unsigned)section->kind, section->count, count_max);
    return STRATA_OK;
}

static strata_status footer_take_sections(struct bytes *content, struct part_footer *footer)
{
    for (uint32_t i = 0; i < footer->section_count; i++) {
        struct bytes fields;
        TRY(take_bytes(content, FOOTER_SECTION_SIZE, "section", &fields));
        const unsigned required = load_u16(fields.data + 2);
        if (required > 1)
            return failure(STRATA_CORRUPT, "section has unknown flags %u", required);
        footer->sections[i] = (struct part_section){.kind = load_u16(fields.data),
                                                    .required = required == 1,
                                                    .unit = load_u32(fields.data + 4),
                                                    .count = load_u64(fields.data + 8)};
        TRY(footer_check_section(footer, i));
    }
    if (part_section_find(footer, SECTION_ROWS) == NULL)
        return failure(STRATA_CORRUPT, "footer has no section of rows");
    return STRATA_OK;
}

static strata_status footer_check_values(struct bytes list)
{
    bool found = true;
    while (found) {
        uint64_t object, live_bytes;
        TRY(part_values_next(&list, &found, &object, &live_bytes));
    }
    return STRATA_OK;
}

strata_status part_footer_decode(struct bytes content, struct part_footer *out)
{
    struct bytes fixed;
    TRY(take_bytes(&content, FOOTER_FIXED_SIZE, "footer", &fixed));
    const uint8_t *data = fixed.data;
    if (memcmp(data, footer_magic, sizeof(footer_magic)) != 0)
        return failure(STRATA_CORRUPT, "footer does not begin with STRATAPT");
    TRY(format_version_check(load_u32(data + 8)));
    if (data[73] != 0 || load_u16(data + 74) != 0 || load_u32(data + 76) != 0)
        return failure(STRATA_CORRUPT, "footer's reserved bytes are not zero");

    struct part_footer footer = {
        .number = load_u64(data + 16),
        .units = load_u64(data + 24),
        .rows = load_u64(data + 32),
        .min_from = load_u64(data + 40),
        .max_from = load_u64(data + 48),
        .max_to = load_u64(data + 56),
        .bytes = load_u64(data + 64),
        .unit_size = load_u32(data + 12),
        .role = data[72],
        .section_count = load_u32(data + 80),
    };
    TRY(footer_check(&footer));
    TRY(footer_take_sections(&content, &footer));
    TRY(footer_check_values(content));
    footer.value_list = content;
    *out = footer;
    return STRATA_OK;
}

const struct part_section *part_section_find(const struct part_footer *footer,
                                             enum section_kind kind)
{
    for (uint32_t i = 0; i < footer->section_count; i++) {
        if (footer->sections[i].kind == kind)
            return &footer->sections[i];
    }
    return NULL;
}

strata_status part_values_append(struct buffer *list, uint64_t object, uint64_t live_bytes)
{
    assert(object <= OBJECT_NUMBER_MAX);
    uint8_t entry[2 * VARINT_SIZE_MAX];
    size_t size = varint_encode(object, entry);
    size += varint_encode(live_bytes, entry + size);
    return buffer_append(list, bytes_of(entry, size));
}

strata_status part_values_next(struct bytes *list, bool *found, uint64_t *object_out,
                               uint64_t *bytes_out)
{
    if (list->length == 0) {
        *found = false;
        return STRATA_OK;
    }
    struct bytes rest = *list;
    uint64_t object, live_bytes;
    TRY(take_varint_to(&rest, OBJECT_NUMBER_MAX, "number of a value object", &object));
    TRY(take_varint(&rest, &live_bytes));
    *list = rest;
    *found = true;
    *object_out = object;
    *bytes_out = live_bytes;
    return STRATA_OK;
}
