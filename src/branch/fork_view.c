#include "branch/fork_view.h"

#include "branch/branches.h"
#include "core/memory.h"
#include "core/plant.h"

#include <assert.h>

enum {
    WALKS_BEFORE_VIEW = 8,
    WALKS_BEFORE_RETRY = 1000, /* After there was no room. */
    FEW_ROWS = 1024,           /* Of one branch. */
    FEW_BYTES = 64 * 1024,
    GROUP_LEVELS = 16,  /* Collected from at a time. */
    GROUP_ATTEMPTS = 4, /* Until no branch has too much. */
    VIEW_SHARE = 4      /* No overlay has more than this part of the room for all. */
};

void fork_views_init(struct fork_views *views, const strata_allocator *allocator,
                     struct epochs *epochs)
{
    *views = (struct fork_views){.allocator = allocator, .epochs = epochs};
    mutex_init(&views->lock);
}

/* ---- life: the lock is held, or nobody else is left ---- */

static void inheritance_drop(struct fork_views *views, struct inheritance *inherited)
{
    assert(inherited->references > 0);
    if (--inherited->references > 0)
        return;
    assert(views->bytes >= inherited->size);
    views->bytes -= inherited->size;
    overlay_destroy(inherited->overlay);
    release(views->allocator, inherited,
            sizeof(*inherited) + inherited->level_count * sizeof(struct level));
}

static size_t view_size(const struct fork_view *view)
{
    return sizeof(*view) + (view->own == NULL ? 0 : view->own->size);
}

static void view_destroy(struct fork_view *view)
{
    struct fork_views *views = view->views;
    assert(views->bytes >= view_size(view));
    views->bytes -= view_size(view);
    inheritance_drop(views, view->inherited);
    overlay_destroy(view->own);
    release(views->allocator, view, sizeof(*view));
}

static void view_free(struct epoch_retired *retired, void *context)
{
    struct fork_views *views = context;
    mutex_lock(&views->lock);
    view_destroy((struct fork_view *)retired);
    mutex_unlock(&views->lock);
}

/* Takes it out of both lists. */
static void view_unlink(struct fork_view *view)
{
    struct fork_views *views = view->views;
    _Atomic(struct fork_view *) *link = &view->branch->views;
    while (atomic_load(link) != view)
        link = &atomic_load(link)->next;
    atomic_store(link, atomic_load(&view->next));
    *(view->before == NULL ? &views->newest : &view->before->after) = view->after;
    *(view->after == NULL ? &views->oldest : &view->after->before) = view->before;
}

static void view_retire(struct fork_view *view)
{
    view_unlink(view);
    view->retired.free_thing = view_free;
    view->retired.context = view->views;
    epoch_retire(view->views->epochs, &view->retired);
}

void fork_views_forget(struct fork_views *views, struct branch *branch)
{
    if (atomic_load(&branch->views) == NULL)
        return;
    mutex_lock(&views->lock);
    for (;;) {
        struct fork_view *view = atomic_load(&branch->views);
        if (view == NULL)
            break;
        view_unlink(view);
        view_destroy(view);
    }
    mutex_unlock(&views->lock);
}

/* Lets go of inheritances that no view has. */
static void inheritances_clear(struct fork_views *views)
{
    struct inheritance **link = &views->inheritances;
    while (*link != NULL) {
        struct inheritance *inherited = *link;
        if (inherited->references > 1) {
            link = &inherited->next;
            continue;
        }
        *link = inherited->next;
        inheritance_drop(views, inherited);
    }
}

void fork_views_destroy(struct fork_views *views)
{
    assert(views->newest == NULL);
    inheritances_clear(views);
    assert(views->bytes == 0);
    mutex_destroy(&views->lock);
}

/* Whether there is room for all that was counted. If not, views go that nobody has used since the
 * last time: their memory comes when their epoch has ended. The lock is held. */
static bool views_have_room(struct fork_views *views, uint64_t generation)
{
    if (views->bytes <= views->bytes_max)
        return true;
    inheritances_clear(views);
    if (views->bytes <= views->bytes_max)
        return true;
    struct fork_view *before;
    for (struct fork_view *view = views->oldest; view != NULL; view = before) {
        before = view->before;
        const bool used = atomic_exchange(&view->used, false);
        if (!used || view->generation != generation)
            view_retire(view);
    }
    return false;
}

/* ---- collecting ---- */

/* An ancestor on the way up. */
struct fork_level {
    struct branch *branch;
    struct level level;
    bool much; /* It has written much: it is read where it wrote. */
    uint32_t rows;
    size_t bytes;
};

struct fork_collector {
    struct fork_views *views;
    const struct tableset *set;
    uint32_t space;
    struct scan scan;
    struct overlay_builder builder;
};

static void collector_init(struct fork_collector *collector, struct fork_views *views,
                           const struct tableset *set, uint32_t space)
{
    *collector = (struct fork_collector){.views = views, .set = set, .space = space};
    scan_init(&collector->scan, views->allocator);
    overlay_builder_init(&collector->builder, views->allocator);
}

static void collector_release(struct fork_collector *collector)
{
    scan_release(&collector->scan);
    overlay_builder_release(&collector->builder);
}

/* The level that a row with this `from` is of; NULL: of an ancestor behind them. */
static struct fork_level *level_of(struct fork_level *levels, uint32_t count, uint64_t from)
{
    uint32_t low = 0, high = count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (levels[middle].branch->created_version < from)
            high = middle;
        else
            low = middle + 1;
    }
    return low < count ? &levels[low] : NULL;
}

/* Counts a row; `*fits` false: its branch has written too much, or all of them have. */
static void collector_count(const struct fork_collector *collector, struct fork_level *levels,
                            uint32_t count, const struct row *row, bool *fits)
{
    struct fork_level *level = level_of(levels, count, row->from);
    *fits = overlay_builder_count(&collector->builder) < OVERLAY_ROWS_MAX &&
            overlay_builder_size(&collector->builder) + row->key.length + row->value.length <=
                collector->views->bytes_max / VIEW_SHARE;
    if (level == NULL)
        return;
    level->rows++;
    level->bytes += row->key.length + row->value.length;
    if (level->rows > FEW_ROWS || level->bytes > FEW_BYTES) {
        level->much = true;
        *fits = false;
    }
}

/* Collects the rows of the levels that have written little, over those of `base`. */
static strata_status collector_gather(struct fork_collector *collector, struct fork_level *levels,
                                      uint32_t count, const struct overlay *base, bool *fits)
{
    struct level few[GROUP_LEVELS];
    uint32_t few_count = 0;
    assert(count <= GROUP_LEVELS);
    for (uint32_t i = 0; i < count; i++) {
        levels[i].rows = 0;
        levels[i].bytes = 0;
        if (!levels[i].much)
            few[few_count++] = levels[i].level;
    }
    *fits = few_count > 0;
    if (few_count == 0)
        return STRATA_OK;
    const struct scan_options options = {.set = collector->set,
                                         .levels = few,
                                         .level_count = few_count,
                                         .space = collector->space,
                                         .overlays = {base}};
    overlay_builder_clear(&collector->builder);
    scan_close(&collector->scan);
    TRY(scan_open(&collector->scan, &options));
    TRY(scan_seek(&collector->scan, (struct bytes){0}, false));
    while (collector->scan.valid) {
        collector_count(collector, levels, count, &collector->scan.row, fits);
        if (!*fits)
            return STRATA_OK;
        TRY(overlay_builder_add(&collector->builder, &collector->scan.row));
        TRY(scan_next(&collector->scan));
    }
    return STRATA_OK;
}

/* Notes that branches have written much, so that the next time nobody has to find out. */
static bool levels_note_much(const struct fork_level *levels, uint32_t count, uint32_t space)
{
    bool any = false;
    for (uint32_t i = 0; i < count; i++) {
        if (levels[i].much && levels[i].rows > 0) {
            atomic_store_explicit(&levels[i].branch->much_space, space, memory_order_relaxed);
            any = true;
        }
    }
    return any;
}

/* Puts the rows of the levels over those of `*overlay`. Where that is too much, all of the levels are
 * to be read where they are. */
static strata_status collector_add_group(struct fork_collector *collector,
                                         struct fork_level *levels, uint32_t count, uint64_t branch,
                                         struct overlay **overlay)
{
    bool fits = false;
    bool again = true;
    for (unsigned i = 0; i < GROUP_ATTEMPTS && again; i++) {
        TRY(collector_gather(collector, levels, count, *overlay, &fits));
        again = !fits && levels_note_much(levels, count, collector->space);
    }
    if (!fits) {
        for (uint32_t i = 0; i < count; i++)
            levels[i].much = true;
        return STRATA_OK;
    }
    struct overlay *built;
    scan_close(&collector->scan);
    TRY(overlay_build(&collector->builder, branch, collector->space, &built));
    overlay_destroy(*overlay);
    *overlay = built;
    return STRATA_OK;
}

/* ---- what is inherited ---- */

static uint32_t fork_depth(const struct branch *branch)
{
    uint32_t depth = 0;
    for (; branch != NULL; branch = branch->parent)
        depth++;
    return depth;
}

static void levels_fill(struct fork_level *levels, uint32_t count, const struct branch *branch,
                        uint32_t space)
{
    struct lineage at = lineage_start(branch, UINT64_MAX);
    struct branch *ancestor = branch->parent;
    for (uint32_t i = 0; i < count; i++) {
        lineage_up(&at);
        levels[i] = (struct fork_level){.branch = ancestor,
                                        .level = {.branch = ancestor->id, .cap = at.cap}};
        levels[i].much = atomic_load_explicit(&ancestor->much_space, memory_order_relaxed) == space;
#if STRATA_PLANT == 21
        levels[i].level.cap--;
#endif
        ancestor = ancestor->parent;
    }
}

static strata_status inheritance_create(struct fork_views *views, const struct branch *branch,
                                        uint32_t space, const struct fork_level *levels,
                                        uint32_t count, struct inheritance **out)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++)
        kept += levels[i].much && levels[i].level.cap > 0;
    const size_t size = sizeof(struct inheritance) + kept * sizeof(struct level);
    struct inheritance *inherited = allocate_zeroed(views->allocator, size);
    if (inherited == NULL)
        return failure(STRATA_NO_MEMORY, "no memory for what a fork inherits");
    inherited->parent = branch->parent->id;
    inherited->cap = branch->cap;
    inherited->space = space;
    inherited->references = 1;
    inherited->size = size;
    for (uint32_t i = 0; i < count; i++) {
        if (levels[i].much && levels[i].level.cap > 0)
            inherited->levels[inherited->level_count++] = levels[i].level;
    }
    *out = inherited;
    return STRATA_OK;
}

/* From the root down, group by group. */
static strata_status inheritance_collect(struct fork_collector *collector,
                                         const struct branch *branch, struct fork_level *levels,
                                         uint32_t count, struct inheritance **out)
{
    struct overlay *overlay = NULL;
    strata_status status = STRATA_OK;
    for (uint32_t end = count; end > 0 && status == STRATA_OK;) {
        const uint32_t first = end > GROUP_LEVELS ? end - GROUP_LEVELS : 0;
        status = collector_add_group(collector, levels + first, end - first, branch->parent->id,
                                     &overlay);
        end = first;
    }
    if (status == STRATA_OK)
        status = inheritance_create(collector->views, branch, collector->space, levels, count, out);
    if (status != STRATA_OK) {
        overlay_destroy(overlay);
        return status;
    }
    (*out)->overlay = overlay;
    (*out)->size += overlay == NULL ? 0 : overlay->size;
    return STRATA_OK;
}

static strata_status inheritance_make(struct fork_collector *collector, const struct branch *branch,
                                      struct inheritance **out)
{
    const uint32_t count = fork_depth(branch->parent);
    const size_t size = count * sizeof(struct fork_level);
    struct fork_level *levels = allocate(collector->views->allocator, size);
    if (levels == NULL)
        return failure(STRATA_NO_MEMORY, "no memory for %u ancestors", count);
    levels_fill(levels, count, branch, collector->space);
    const strata_status status = inheritance_collect(collector, branch, levels, count, out);
    release(collector->views->allocator, levels, size);
    return status;
}

/* One that is there already, with another reference, or NULL. The lock is held. */
static struct inheritance *inheritance_find(const struct fork_views *views,
                                            const struct branch *branch, uint32_t space)
{
    struct inheritance *inherited = views->inheritances;
    while (inherited != NULL && (inherited->parent != branch->parent->id ||
                                 inherited->cap != branch->cap || inherited->space != space))
        inherited = inherited->next;
    if (inherited != NULL)
        inherited->references++;
    return inherited;
}

/* What the branch inherits, with a reference: found, or made and put on the list if there is room. */
static strata_status inheritance_acquire(struct fork_collector *collector,
                                         const struct branch *branch, struct inheritance **out)
{
    struct fork_views *views = collector->views;
    mutex_lock(&views->lock);
    *out = inheritance_find(views, branch, collector->space);
    mutex_unlock(&views->lock);
    if (*out != NULL)
        return STRATA_OK;
    struct inheritance *made = NULL;
    TRY(inheritance_make(collector, branch, &made));
    mutex_lock(&views->lock);
    views->bytes += made->size;
    *out = inheritance_find(views, branch, collector->space);
    if (*out != NULL) { /* Somebody else was faster. */
        inheritance_drop(views, made);
    } else if (views_have_room(views, collector->set->generation)) {
        made->references++;
        made->next = views->inheritances;
        views->inheritances = made;
        *out = made;
    } else {
        inheritance_drop(views, made);
    }
    mutex_unlock(&views->lock);
    return STRATA_OK;
}

/* ---- views ---- */

/* Of the branch and the space, of whatever set. */
static inline struct fork_view *view_look_up(const struct branch *branch, uint32_t space)
{
    struct fork_view *view = atomic_load_explicit(&branch->views, memory_order_acquire);
    while (view != NULL && view->space != space)
        view = atomic_load_explicit(&view->next, memory_order_acquire);
    return view;
}

/* The newest version that is in runs. */
static uint64_t set_flushed_to(const struct tableset *set)
{
    uint64_t most = 0;
    for (uint32_t i = 0; i < set->live_count; i++)
        most = set->live[i]->max_version > most ? set->live[i]->max_version : most;
    for (uint32_t i = 0; i < set->history_count; i++)
        most = set->history[i]->max_version > most ? set->history[i]->max_version : most;
    return most;
}

/* The branch's own rows in runs; NULL if they are too many. */
static strata_status view_collect_own(struct fork_collector *collector, struct branch *branch,
                                      struct overlay **out)
{
    struct fork_level own = {
        .branch = branch,
        .level = {.branch = branch->id, .cap = UINT64_MAX, .passed_over = LEVEL_MEMTABLES}};
    bool fits;
    *out = NULL;
    own.much = atomic_load_explicit(&branch->much_space, memory_order_relaxed) == collector->space;
    TRY(collector_gather(collector, &own, 1, NULL, &fits));
    scan_close(&collector->scan);
    if (fits)
        return overlay_build(&collector->builder, branch->id, collector->space, out);
    (void)levels_note_much(&own, 1, collector->space);
    return STRATA_OK;
}

/* With all that it needs, but in no list. `*out` is NULL if there is no room. */
static strata_status view_create(struct fork_collector *collector, struct branch *branch,
                                 struct fork_view **out)
{
    struct inheritance *inherited = NULL;
    struct overlay *own = NULL;
    *out = NULL;
    TRY(inheritance_acquire(collector, branch, &inherited));
    if (inherited == NULL)
        return STRATA_OK;
    strata_status status = view_collect_own(collector, branch, &own);
    struct fork_view *view = NULL;
    if (status == STRATA_OK) {
        view = allocate_zeroed(collector->views->allocator, sizeof(*view));
        if (view == NULL)
            status = failure(STRATA_NO_MEMORY, "no memory for the view of a fork");
    }
    if (status != STRATA_OK) {
        overlay_destroy(own);
        mutex_lock(&collector->views->lock);
        inheritance_drop(collector->views, inherited);
        mutex_unlock(&collector->views->lock);
        return status;
    }
    const bool flushed = own == NULL || own->row_count > 0;
    const uint64_t flushed_to = flushed ? set_flushed_to(collector->set) : 0;
    view->views = collector->views;
    view->branch = branch;
    view->generation = collector->set->generation;
    view->since = branch->cap > flushed_to ? branch->cap : flushed_to;
    view->space = collector->space;
    view->own = own;
    view->inherited = inherited;
    atomic_init(&view->used, true);
    *out = view;
    return STRATA_OK;
}

/* Puts a view into the place of the one before it. False: there is no room, or somebody else was
 * faster, and it is gone. */
static bool view_publish(struct fork_view *view)
{
    struct fork_views *views = view->views;
    mutex_lock(&views->lock);
    views->bytes += view_size(view);
    const bool room = views_have_room(views, view->generation);
    struct fork_view *before = view_look_up(view->branch, view->space);
    if (!room || (before != NULL && before->generation >= view->generation)) {
        view_destroy(view);
        mutex_unlock(&views->lock);
        return false;
    }
    if (before != NULL)
        view_retire(before);
    view->serial = ++views->serial;
    view->after = views->newest;
    *(views->newest == NULL ? &views->oldest : &views->newest->before) = view;
    views->newest = view;
    atomic_store(&view->next, atomic_load(&view->branch->views));
    atomic_store(&view->branch->views, view);
    mutex_unlock(&views->lock);
    return true;
}

/* Counts a read that has to walk; makes the view if it is the one too many. */
static const struct fork_view *view_consider(struct fork_views *views, struct branch *branch,
                                             const struct tableset *set, uint32_t space,
                                             int32_t weight)
{
    if (views->bytes_max == 0)
        return NULL;
    const int32_t walks =
        atomic_fetch_add_explicit(&branch->walks, weight, memory_order_relaxed) + weight;
    if (walks < WALKS_BEFORE_VIEW)
        return NULL;
    atomic_store_explicit(&branch->walks, 0, memory_order_relaxed);
    struct fork_collector collector;
    struct fork_view *view = NULL;
    collector_init(&collector, views, set, space);
    /* A walk can do without, and says itself what is wrong. */
    const strata_status status = view_create(&collector, branch, &view);
    collector_release(&collector);
    if (status == STRATA_OK && view != NULL && view_publish(view))
        return view;
    atomic_store_explicit(&branch->walks, -WALKS_BEFORE_RETRY, memory_order_relaxed);
    return NULL;
}

const struct fork_view *fork_view_of(struct fork_views *views, struct branch *branch,
                                     const struct tableset *set, uint32_t space, uint64_t version,
                                     int32_t weight)
{
    assert(branch->parent != NULL);
    const struct fork_view *view;
    struct fork_view *known = view_look_up(branch, space);
    if (known != NULL && known->generation == set->generation) {
        if (!atomic_load_explicit(&known->used, memory_order_relaxed))
            atomic_store_explicit(&known->used, true, memory_order_relaxed);
        view = known;
    } else {
        view = version < branch->cap ? NULL : view_consider(views, branch, set, space, weight);
    }
    return view != NULL && view->since <= version ? view : NULL;
}

bool fork_view_stays(const struct branch *branch, uint32_t space, uint64_t serial)
{
    const struct fork_view *view = view_look_up(branch, space);
    return view != NULL && view->serial == serial;
}
