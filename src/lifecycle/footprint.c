#include "lifecycle/footprint.h"

#include "layout/names.h"
#include "lifecycle/objects.h"

#include <assert.h>

struct folder_total {
    uint64_t bytes;
    uint32_t count;
    bool (*ours)(const char *name, uint64_t *number_out);
};

static int folder_total_add(void *context, const char *name, uint64_t size)
{
    struct folder_total *total = context;
    uint64_t number;
    if (total->ours(name, &number)) {
        total->bytes += size;
        total->count++;
    }
    return 0;
}

static uint64_t *footprint_place(struct footprint *footprint, uint8_t use)
{
    switch (use) {
    case OBJECT_LIVE:
        return &footprint->live;
    case OBJECT_HISTORY:
        return &footprint->history;
    case OBJECT_DERIVED:
        return &footprint->derived;
    case OBJECT_HELD:
        return &footprint->pinned;
    case OBJECT_DEAD:
        return &footprint->dead;
    default:
        return &footprint->other;
    }
}

static void footprint_add_page(struct footprint *footprint, const struct object_page *page)
{
    for (uint32_t i = 0; i < page->count; i++)
        *footprint_place(footprint, page->uses[i]) += page->sizes[i];
    footprint->file_count += page->count;
}

/* Takes the buckets of parts in the page, which was added, from the rows to what is derived. */
static strata_status footprint_move_buckets(struct footprint *footprint,
                                            const struct object_page *page, struct run *const *runs,
                                            uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t j = 0; j < runs[i]->part_count; j++) {
            struct part *part = runs[i]->parts[j];
            uint32_t at;
            uint64_t bytes;
            if (!object_page_find(page, part->info.number, &at))
                continue;
            const strata_status status = part_derived_bytes(part, &bytes);
            if (status == STRATA_CORRUPT || status == STRATA_UNSUPPORTED)
                continue;
            TRY(status);
            bytes = bytes < page->sizes[at] ? bytes : page->sizes[at];
            *footprint_place(footprint, page->uses[at]) -= bytes;
            footprint->derived += bytes;
        }
    }
    return STRATA_OK;
}

static void footprint_note_garbage(void *context, uint64_t number, bool held)
{
    object_page_note(context, number, held ? OBJECT_HELD : OBJECT_DEAD);
}

/* What a crash left behind: nothing lists it, and its number is of a life before. */
static void footprint_note_orphans(struct object_page *page, uint64_t below)
{
    for (uint32_t i = 0; i < page->count && page->numbers[i] < below; i++)
        object_page_note(page, page->numbers[i], OBJECT_DEAD);
}

static strata_status footprint_add_tables(struct footprint *footprint, struct store *store,
                                          const struct tableset *set, struct object_page *page)
{
    for (unsigned folder = 0; folder < LAYOUT_TABLE_FOLDERS; folder++) {
        page->from = 0;
        page->below = UINT64_MAX;
        do {
            bool damaged = false;
            TRY(object_page_fill(page, store, folder));
            if (page->count == 0)
                break;
            TRY(object_page_note_set(page, set, &damaged));
            garbage_visit(&store->garbage, footprint_note_garbage, page);
            if (!damaged)
                footprint_note_orphans(page, atomic_load(&store->orphans_below));
            footprint_add_page(footprint, page);
            TRY(footprint_move_buckets(footprint, page, set->live,
                                       set->live_count + set->history_count));
            page->from = page->numbers[page->count - 1] + 1;
        } while (page->more);
    }
    return STRATA_OK;
}

/* Segments and the ring. */
static bool footprint_is_log(const char *name, uint64_t *number_out)
{
    return strcmp(name, LAYOUT_WAL_RING) == 0 || layout_parse_wal(name, number_out);
}

static strata_status footprint_add_folders(struct footprint *footprint, struct store *store)
{
    struct folder_total log = {.ours = footprint_is_log};
    struct folder_total manifests = {.ours = layout_parse_manifest};
    TRY(backend_list(store->backend, LAYOUT_WAL_FOLDER, folder_total_add, &log));
    TRY(backend_list(store->backend, LAYOUT_MANIFEST_FOLDER, folder_total_add, &manifests));
    footprint->log += log.bytes;
    footprint->other += manifests.bytes;
    footprint->file_count += log.count + manifests.count;
    return STRATA_OK;
}

strata_status store_footprint(struct store *store, struct footprint *out)
{
    struct footprint footprint = {.live = 0};
    struct epoch_slot *slot;
    struct object_page *page = allocate(store->memory_allocator, sizeof(*page));
    if (page == NULL)
        return failure(STRATA_NO_MEMORY, "no memory to count files");
    strata_status status = epoch_slot_take(&store->epochs, &slot);
    if (status == STRATA_OK) {
        (void)epoch_reclaim(&store->epochs); /* What nobody reads any more is not pinned. */
        epoch_enter(&store->epochs, slot);
        const struct tableset *set = atomic_load(&store->tables.current);
        status = footprint_add_tables(&footprint, store, set, page);
        epoch_leave(slot);
        epoch_slot_give(slot);
    }
    if (status == STRATA_OK)
        status = footprint_add_folders(&footprint, store);
    release(store->memory_allocator, page, sizeof(*page));
    if (status == STRATA_OK)
        *out = footprint;
    return status;
}
