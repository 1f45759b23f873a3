#include "durability/manifests.h"

#include "layout/names.h"

#include <assert.h>

/* Of manifests in a row that fail their check: each was torn in a crash of its own. */
enum { MANIFESTS_TORN_MAX = 64 };

/* No table object has this number: layout/names.h has sixteen digits. */
static const uint64_t table_numbers_end = 10000000000000000u;

/* ---- Listing ------------------------------------------------------------------------------ */

struct manifest_listing {
    uint64_t limit; /* Numbers from here on are passed over. */
    uint64_t lowest;
    uint64_t highest; /* Both 0 if there is none. */
    uint64_t count;
};

static int note_listed_manifest(void *context, const char *name, uint64_t size)
{
    (void)size;
    struct manifest_listing *listing = context;
    uint64_t number;
    if (!layout_parse_manifest(name, &number) || number == 0 || number > OBJECT_NUMBER_MAX)
        return 0; /* Not one of ours. */
    if (number >= listing->limit)
        return 0;
    if (listing->count++ == 0 || number < listing->lowest)
        listing->lowest = number;
    if (number > listing->highest)
        listing->highest = number;
    return 0;
}

static strata_status list_manifests(const strata_backend *backend, uint64_t limit,
                                    struct manifest_listing *out)
{
    *out = (struct manifest_listing){.limit = limit};
    return backend_list(backend, LAYOUT_MANIFEST_FOLDER, note_listed_manifest, out);
}

static int note_any_object(void *context, const char *name, uint64_t size)
{
    (void)name, (void)size;
    *(bool *)context = true;
    return 1;
}

strata_status manifests_find_traces(const strata_backend *backend, bool *out)
{
    *out = false;
    TRY(backend_list(backend, LAYOUT_WAL_FOLDER, note_any_object, out));
    for (unsigned i = 0; i < LAYOUT_TABLE_FOLDERS && !*out; i++) {
        char folder[LAYOUT_NAME_SIZE];
        layout_table_folder_at(i, folder);
        TRY(backend_list(backend, folder, note_any_object, out));
    }
    return STRATA_OK;
}

/* ---- Loading one -------------------------------------------------------------------------- */

static strata_status manifest_fault_named(const char *name, strata_status status)
{
    strata_error reason;
    if (status != STRATA_CORRUPT && status != STRATA_UNSUPPORTED)
        return status;
    failure_save(&reason);
    return failure_at(status, name, 0, "%s: %s", name, reason.message);
}

/* Decodes the object, be it full or a delta. STRATA_CORRUPT also if it does not exist. */
static strata_status read_manifest(const struct manifests *manifests, uint64_t number,
                                   struct arena *arena, struct manifest *out)
{
    strata_status status = STRATA_OK;
    char name[LAYOUT_NAME_SIZE];
    struct object object = {.handle = NULL};
    struct buffer bytes;
    uint8_t *to;
    buffer_init(&bytes, manifests->allocator);
    layout_manifest_name(number, name);

    TRY_OUT(object_open(manifests->backend, name, &object));
    if (object.size < MANIFEST_HEADER_SIZE || object.size > MANIFEST_SIZE_MAX) {
        status = failure_at(STRATA_CORRUPT, name, 0, "%s has %llu bytes", name,
                            (unsigned long long)object.size);
        goto out;
    }
    TRY_OUT(buffer_extend(&bytes, (size_t)object.size, &to));
    TRY_OUT(object_read(&object, 0, to, (size_t)object.size));
    TRY_OUT(manifest_fault_named(name, manifest_decode(buffer_view(&bytes), number, arena, out)));
    assert(out->number == number);

out:
    object_close(&object);
    buffer_release(&bytes);
    if (status == STRATA_NOT_FOUND)
        status = failure_at(STRATA_CORRUPT, name, 0, "%s is missing", name);
    return status;
}

/* What a manifest says with all that it rests on. */
struct manifest_chain {
    struct manifest whole;
    uint64_t full;
    uint32_t delta_count;
};

/* `*torn`: it is the object itself that fails its check, nothing that it rests on. */
static strata_status load_manifest(const struct manifests *manifests, uint64_t number,
                                   struct arena *arena, bool *torn, struct manifest_chain *out)
{
    struct manifest links[MANIFEST_CHAIN_MAX + 1]; /* Newest first. */
    uint32_t count = 0;
    const strata_status status = read_manifest(manifests, number, arena, &links[0]);
    *torn = status == STRATA_CORRUPT;
    TRY(status);
    char name[LAYOUT_NAME_SIZE];
    layout_manifest_name(number, name);
    for (; links[count].kind == MANIFEST_DELTA; count++) {
        if (count == MANIFEST_CHAIN_MAX)
            return failure_at(STRATA_CORRUPT, name, 0, "%s rests on over %d deltas", name,
                              MANIFEST_CHAIN_MAX);
        TRY(read_manifest(manifests, links[count].base, arena, &links[count + 1]));
    }
    out->full = links[count].number;
    out->delta_count = count;
    out->whole = links[count];
    while (count-- > 0) {
        struct manifest applied;
        layout_manifest_name(links[count].number, name);
        TRY(manifest_fault_named(name,
                                 manifest_apply(&out->whole, &links[count], arena, &applied)));
        out->whole = applied;
    }
    assert(out->whole.number == number);
    return STRATA_OK;
}

/* ---- The fallback ------------------------------------------------------------------------- */

/* `*missing` true: there is no object of that name, or, if `size` is not 0, none of that size. */
static strata_status check_object_there(const strata_backend *backend, const char *name,
                                        uint64_t size, bool *missing)
{
    struct object object = {.handle = NULL};
    const strata_status status = object_open(backend, name, &object);
    *missing =
        status == STRATA_NOT_FOUND || (status == STRATA_OK && size != 0 && object.size != size);
    object_close(&object);
    return status == STRATA_NOT_FOUND ? STRATA_OK : status;
}

static strata_status check_part_there(const strata_backend *backend,
                                      const struct manifest_part *part, char name[LAYOUT_NAME_SIZE],
                                      bool *missing)
{
    *missing = part->number >= table_numbers_end;
    layout_table_name(part->number % table_numbers_end, name);
    if (*missing)
        return STRATA_OK;
    return check_object_there(backend, name, part->units * part->unit_size, missing);
}

/* Looks for everything that `manifest` needs and nobody can make anew; `name` is that of the object
 * missing, if one is. Artifacts are derived, so they do not matter. */
static strata_status find_missing_object(const strata_backend *backend,
                                         const struct manifest *manifest,
                                         char name[LAYOUT_NAME_SIZE], bool *missing)
{
    *missing = false;
    layout_wal_name(manifest->first_wal, name);
    /* Where the log was empty, its next segment goes no earlier than with the manifest after next. */
    if (!manifest->log_empty)
        TRY(check_object_there(backend, name, 0, missing));
    for (uint32_t run = 0; run < manifest->run_count && !*missing; run++) {
        const struct manifest_run *parts_of = &manifest->runs[run];
        for (uint32_t i = 0; i < parts_of->part_count && !*missing; i++)
            TRY(check_part_there(backend, &parts_of->parts[i], name, missing));
    }
    return STRATA_OK;
}

/* The newest fails its check, for `reason`: may `fallback` rule? */
static strata_status check_fallback(const struct manifests *manifests,
                                    const struct manifest *fallback, const strata_error *reason)
{
    bool missing;
    char newest[LAYOUT_NAME_SIZE], name[LAYOUT_NAME_SIZE];
    TRY(find_missing_object(manifests->backend, fallback, name, &missing));
    if (!missing)
        return STRATA_OK;
    layout_manifest_name(manifests->newest, newest);
    return failure_at(STRATA_CORRUPT, newest, 0, "%s; %s, which the one before needs, is gone",
                      reason->message, name);
}

/* None passes its check, the newest for `reason`. That is fine if nothing came of any of them. */
static strata_status check_unfinished_creation(const struct manifests *manifests,
                                               const strata_error *reason)
{
    bool exists;
    TRY(manifests_find_traces(manifests->backend, &exists));
    return exists ? failure_restore(reason) : STRATA_OK;
}

/* There is no manifest at all. A database without one has lost it: nothing may be created there. */
static strata_status check_nothing_is_there(const struct manifests *manifests)
{
    bool exists;
    TRY(manifests_find_traces(manifests->backend, &exists));
    if (!exists)
        return STRATA_OK;
    return failure_at(STRATA_CORRUPT, LAYOUT_MANIFEST_FOLDER, 0,
                      "every manifest is gone, though there are tables or logs");
}

/* Loads the newest that passes its check; `*found` false if none has to. */
static strata_status load_newest(const struct manifests *manifests, struct arena *arena,
                                 bool *found, struct manifest_chain *out)
{
    strata_error reason = {.status = STRATA_OK};
    uint64_t number = manifests->newest;
    for (unsigned torn_count = 0; torn_count < MANIFESTS_TORN_MAX; torn_count++) {
        bool torn;
        const strata_status status = load_manifest(manifests, number, arena, &torn, out);
        if (status == STRATA_OK) {
            *found = true;
            return torn_count == 0 ? STRATA_OK : check_fallback(manifests, &out->whole, &reason);
        }
        if (!torn)
            return status;
        if (torn_count == 0)
            failure_save(&reason);
        struct manifest_listing listing;
        TRY(list_manifests(manifests->backend, number, &listing));
        if (listing.count == 0) {
            *found = false;
            return check_unfinished_creation(manifests, &reason);
        }
        number = listing.highest;
    }
    return failure_restore(&reason);
}

strata_status manifests_load(struct manifests *manifests, const strata_backend *backend,
                             const strata_allocator *allocator, struct arena *arena, bool *found,
                             struct manifest *out)
{
    struct manifest_listing listing;
    TRY(list_manifests(backend, UINT64_MAX, &listing));
    struct manifests loaded = {
        .backend = backend,
        .allocator = allocator,
        .newest = listing.highest,
        .oldest = listing.lowest,
    };
    bool exists = false;
    struct manifest_chain chain;
    if (listing.count > 0)
        TRY(load_newest(&loaded, arena, &exists, &chain));
    else
        TRY(check_nothing_is_there(&loaded));
    if (exists) {
        loaded.published = chain.whole.number;
        loaded.full = chain.full;
        loaded.chain = chain.delta_count;
        /* What a full one's predecessor rests on nobody says: so nothing goes before the next. */
        loaded.previous_full = chain.delta_count > 0 ? chain.full : loaded.oldest;
        *out = chain.whole;
    }
    *manifests = loaded;
    *found = exists;
    return STRATA_OK;
}

/* ---- Dropping ----------------------------------------------------------------------------- */

strata_status manifests_drop_step(struct manifests *manifests, bool *more)
{
    if (manifests->halted)
        return failure(STRATA_HALTED, "which manifest rules is not certain: none may go");
    if (manifests->oldest >= manifests->previous_full) {
        *more = false;
        return STRATA_OK;
    }
    struct manifest_listing listing;
    TRY(list_manifests(manifests->backend, manifests->previous_full, &listing));
    if (listing.count > 0) {
        char name[LAYOUT_NAME_SIZE];
        layout_manifest_name(listing.lowest, name);
        TRY(backend_remove(manifests->backend, name));
    }
    *more = listing.count > 1;
    manifests->oldest = *more ? listing.lowest + 1 : manifests->previous_full;
    return STRATA_OK;
}
