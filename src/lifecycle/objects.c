#include "lifecycle/objects.h"

#include "layout/names.h"

#include <assert.h>

/* Where `number` is, or would be. */
static uint32_t object_page_place(const struct object_page *page, uint64_t number)
{
    uint32_t low = 0;
    uint32_t high = page->count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (page->numbers[middle] < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int object_page_add(void *context, const char *name, uint64_t size)
{
    struct object_page *page = context;
    uint64_t number;
    if (!layout_parse_table(name, &number) || number < page->from || number >= page->below)
        return 0;
    const uint32_t at = object_page_place(page, number);
    if (page->count == OBJECTS_PER_PAGE) {
        page->more = true;
        if (at == OBJECTS_PER_PAGE)
            return 0;
        page->count--;
    }
    const size_t behind = page->count - at;
    memmove(page->numbers + at + 1, page->numbers + at, behind * sizeof(page->numbers[0]));
    memmove(page->sizes + at + 1, page->sizes + at, behind * sizeof(page->sizes[0]));
    page->numbers[at] = number;
    page->sizes[at] = size;
    page->count++;
    return 0;
}

strata_status object_page_fill(struct object_page *page, struct store *store, unsigned folder)
{
    char name[LAYOUT_NAME_SIZE];
    assert(folder < LAYOUT_TABLE_FOLDERS);
    assert(page->from <= page->below);
    page->more = false;
    page->count = 0;
    page->known_count = 0;
    memset(page->uses, 0, sizeof(page->uses));
    layout_table_folder_at(folder, name);
    return backend_list(store->backend, name, object_page_add, page);
}

bool object_page_open(const struct object_page *page)
{
    return page->known_count < page->count;
}

bool object_page_find(const struct object_page *page, uint64_t number, uint32_t *at_out)
{
    *at_out = object_page_place(page, number);
    return *at_out < page->count && page->numbers[*at_out] == number;
}

void object_page_note(struct object_page *page, uint64_t number, enum object_use use)
{
    uint32_t at;
    if (!object_page_find(page, number, &at) || page->uses[at] != 0)
        return;
    page->uses[at] = (uint8_t)use;
    page->known_count++;
}

/* Objects of runs, without their values: they are known without reading. */
static void note_runs(struct object_page *page, struct run *const *runs, uint32_t count,
                      enum object_use use)
{
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t j = 0; j < runs[i]->part_count; j++) {
            const struct manifest_part *info = &runs[i]->parts[j]->info;
            object_page_note(page, info->number, use);
            for (uint32_t k = 0; k < info->artifact_count; k++)
                object_page_note(page, info->artifacts[k].number, OBJECT_DERIVED);
        }
    }
}

struct value_notes {
    struct object_page *page;
    enum object_use use;
};

static strata_status note_value(void *context, uint64_t object, uint64_t live_bytes)
{
    const struct value_notes *notes = context;
    (void)live_bytes;
    object_page_note(notes->page, object, notes->use);
    return STRATA_OK;
}

static strata_status note_values(struct object_page *page, struct run *const *runs, uint32_t count,
                                 enum object_use use, bool *damaged)
{
    struct value_notes notes = {.page = page, .use = use};
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t j = 0; j < runs[i]->part_count && object_page_open(page); j++) {
            const strata_status status = part_values(runs[i]->parts[j], note_value, &notes);
            if (damaged == NULL || (status != STRATA_CORRUPT && status != STRATA_UNSUPPORTED))
                TRY(status);
            else
                *damaged = true;
        }
    }
    return STRATA_OK;
}

static strata_status note_memtable(struct object_page *page, const struct memtable *memtable)
{
    struct memtable_source rows;
    memtable_source_init(&rows, memtable);
    TRY(source_seek(&rows.source, (struct bytes){0}, UINT64_MAX));
    while (rows.source.valid) {
        if (rows.source.row.kind == ROW_VALUE_REFERENCE)
            object_page_note(page, value_reference_load(rows.source.row.value).object, OBJECT_LIVE);
        TRY(source_next(&rows.source));
    }
    return STRATA_OK;
}

strata_status object_page_note_set(struct object_page *page, const struct tableset *set,
                                   bool *damaged)
{
    note_runs(page, set->live, set->live_count, OBJECT_LIVE);
    note_runs(page, set->history, set->history_count, OBJECT_HISTORY);
    for (uint32_t i = 0; i < set->memtable_count && object_page_open(page); i++)
        TRY(note_memtable(page, set->memtables[i]));
    TRY(note_values(page, set->live, set->live_count, OBJECT_LIVE, damaged));
    return note_values(page, set->history, set->history_count, OBJECT_HISTORY, damaged);
}
