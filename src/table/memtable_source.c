#include "table/memtable.h"

#include "core/prefetch.h"
#include "table/memtable_node.h"

#include <assert.h>

enum {
    SOURCE_KEYS_AHEAD = 8,     /* Whose first versions are fetched. */
    SOURCE_VERSIONS_AHEAD = 3, /* Whose newest versions are, where these are others. */
    SOURCE_KEYS_PASSED = 16,   /* Without a version that is seen: then others have their turn. */
    SOURCE_ROW_SIZE = 192      /* Of most rows. */
};

static struct memtable_source *memtable_source_of(struct source *source)
{
    void *self = source;
    return self;
}

/* ---- fetching ahead ---- */

static void source_prefetch_name(const struct memtable_source *self, uint32_t name)
{
    prefetch_bytes(region_at(&self->memtable->region, name), SOURCE_ROW_SIZE);
}

static void source_prefetch_key(const struct memtable_source *self, uint32_t index)
{
    if (index < self->page.count)
        source_prefetch_name(self, self->page.names[index]);
}

/* The same of a key at or behind page.index, which may be on the next page. */
static void source_prefetch_ahead(const struct memtable_source *self, uint32_t index)
{
    const struct memtable_page *page = &self->page;
    if (index < page->count) {
        source_prefetch_name(self, page->names[index]);
        return;
    }
    const uint32_t name =
        memtable_tree_peek(&self->memtable->tree, page->next, index - page->count);
    if (name != 0)
        source_prefetch_name(self, name);
}

static void source_prefetch_newest(const struct memtable_source *self, uint32_t index)
{
    if (index >= self->page.count)
        return;
    const uint32_t name = self->page.names[index];
    const uint32_t newest = node_link(node_at(&self->memtable->region, name));
    if (newest != name)
        source_prefetch_name(self, newest);
}

/* When a page begins; `step` is 1 or UINT32_MAX, for backwards. */
static void source_prefetch_page(const struct memtable_source *self, uint32_t step)
{
    for (uint32_t i = 0; i < SOURCE_KEYS_AHEAD; i++)
        source_prefetch_key(self, self->page.index + i * step);
}

/* ---- moving ---- */

static strata_status source_show(struct memtable_source *self, const struct memtable_node *node)
{
    self->node = node;
    self->source.valid = node != NULL;
    if (node != NULL)
        self->source.row = node_row(node, self->memtable->first_version);
    return STRATA_OK;
}

/* The newest version of the key at page.index, which is there. */
static const struct memtable_node *source_newest(struct memtable_source *self)
{
    const struct region *region = &self->memtable->region;
    const uint32_t name = self->page.names[self->page.index];
    self->first = node_at(region, name);
    const uint32_t link = node_link(self->first);
    return link == name ? self->first : node_at(region, link);
}

/* ---- keys that the tree does not have yet ---- */

static struct bytes source_key_of(const struct memtable_source *self, uint32_t name)
{
    return node_key(node_at(&self->memtable->region, name));
}

/* What a page was looked for with. */
struct page_wish {
    struct bytes key;
    bool before; /* The last key before it; else the first at it, */
    bool behind; /* or only behind it. */
    bool found;  /* Before it there was one in the tree. */
};

/* Whether a key that the tree may not have lies between what the page before and the page after this one
 * will have. `order` compares it with the wish's. */
static bool page_reaches(const struct memtable_source *self, const struct page_wish *wish,
                         struct bytes key, int order)
{
    const struct memtable_page *page = &self->page;
    assert(page->count > 0);
    if (bytes_compare(key, source_key_of(self, page->names[0])) < 0)
        return wish->before ? !wish->found : order > 0 || (order == 0 && !wish->behind);
    if (bytes_compare(key, source_key_of(self, page->names[page->count - 1])) > 0)
        return page->next == 0 || (wish->before && order < 0);
    return true;
}

/* Adds a key to the page, unless it is there. */
static bool page_add(struct memtable_source *self, uint32_t name, struct bytes key)
{
    struct memtable_page *page = &self->page;
    uint32_t low = 0, high = page->count;
    while (low < high) {
        const uint32_t middle = (low + high) / 2;
        if (bytes_compare(source_key_of(self, page->names[middle]), key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < page->count && page->names[low] == name)
        return false;
    memmove(page->names + low + 1, page->names + low, (page->count - low) * sizeof(*page->names));
    page->names[low] = name;
    page->count++;
    return true;
}

/* Adds to a page from the tree those that belong there, and puts page.index right: the number of keys
 * before the wish's, less one if that one is wanted. */
static void source_complete(struct memtable_source *self, const struct page_wish *wish)
{
    struct memtable_page *page = &self->page;
    if (self->ahead_count == 0 || page->count == 0)
        return;
    uint32_t before = wish->before ? (wish->found ? page->index + 1 : 0) : page->index;
    for (unsigned i = 0; i < self->ahead_count; i++) {
        const struct bytes key = source_key_of(self, self->ahead[i]);
        const int order = bytes_compare(key, wish->key);
        if (page_reaches(self, wish, key, order) && page_add(self, self->ahead[i], key))
            before += order < 0;
    }
    if (!wish->before)
        page->index = before;
    else
        page->index = before > 0 ? before - 1 : page->count;
}

/* Makes sure that page.index is that of a key, also where the page was looked for with `wish`; false if
 * there is none any more. */
static bool source_settle(struct memtable_source *self, const struct page_wish *wish)
{
    if (self->page.index < self->page.count)
        return true;
    if (!memtable_tree_next_page(&self->memtable->tree, &self->page))
        return false;
    source_complete(self, wish);
    return true;
}

static bool source_next_key(struct memtable_source *self)
{
    self->page.index++;
    source_prefetch_ahead(self, self->page.index + SOURCE_KEYS_AHEAD - 1);
    source_prefetch_newest(self, self->page.index + SOURCE_VERSIONS_AHEAD - 1);
    if (self->page.index < self->page.count)
        return true;
    return source_settle(self, &(struct page_wish){.key = node_key(self->first), .behind = true});
}

/* To the last key before `key`. */
static bool source_seek_key_before(struct memtable_source *self, struct bytes key)
{
    struct page_wish wish = {.key = key, .before = true};
    wish.found = memtable_tree_seek_before(&self->memtable->tree, key, &self->page);
    source_complete(self, &wish);
    if (self->page.index >= self->page.count)
        return false;
    source_prefetch_page(self, UINT32_MAX);
    return true;
}

static bool source_previous_key(struct memtable_source *self)
{
    if (self->page.index > 0) {
        self->page.index--;
        source_prefetch_key(self, self->page.index - SOURCE_KEYS_AHEAD + 1);
        return true;
    }
    return source_seek_key_before(self, node_key(self->first));
}

/* Notes them before the tree is read. */
static void memtable_source_look_ahead(struct memtable_source *self)
{
    self->ahead_count = memtable_way_look(&self->memtable->way, self->ahead);
}

/* Whether it stands on `key` now, or else on the first key behind it; `*found` if there is one. */
static bool source_seek_key(struct memtable_source *self, struct bytes key, bool *found)
{
    const struct page_wish wish = {.key = key};
    memtable_source_look_ahead(self);
    const bool equal = memtable_tree_seek(&self->memtable->tree, key, &self->page);
    source_complete(self, &wish);
    *found = source_settle(self, &wish);
    if (*found)
        source_prefetch_page(self, 1);
    if (equal || !*found || self->ahead_count == 0)
        return equal;
    return bytes_equal(source_key_of(self, self->page.names[self->page.index]), key);
}

/* `from` as chains have it; false if no version is so old. */
static bool source_cap(const struct memtable_source *self, uint64_t from, uint64_t *cap)
{
    if (from < self->memtable->first_version)
        return false;
    *cap = from - self->memtable->first_version;
    return true;
}

static strata_status memtable_source_seek(struct source *source, struct bytes key, uint64_t from)
{
    struct memtable_source *self = memtable_source_of(source);
    bool found;
    uint64_t cap;
    const bool equal = source_seek_key(self, key, &found);
    if (found && equal) {
        const struct memtable_node *newest = source_newest(self);
        const struct memtable_node *node =
            source_cap(self, from, &cap) ? version_at(&self->memtable->region, newest, cap) : NULL;
        if (node != NULL)
            return source_show(self, node);
        found = source_next_key(self);
    }
    return source_show(self, found ? source_newest(self) : NULL);
}

static strata_status memtable_source_seek_before(struct source *source, struct bytes key)
{
    struct memtable_source *self = memtable_source_of(source);
    memtable_source_look_ahead(self);
    if (!source_seek_key_before(self, key))
        return source_show(self, NULL);
    (void)source_newest(self);
    return source_show(self, self->first);
}

static strata_status memtable_source_next(struct source *source)
{
    assert(source->valid);
    struct memtable_source *self = memtable_source_of(source);
    const struct memtable_node *older = node_older(&self->memtable->region, self->node);
    if (older != NULL)
        return source_show(self, older);
    return source_show(self, source_next_key(self) ? source_newest(self) : NULL);
}

static strata_status memtable_source_previous(struct source *source)
{
    assert(source->valid);
    struct memtable_source *self = memtable_source_of(source);
    const struct memtable_node *newer =
        version_after(&self->memtable->region, source_newest(self), self->node);
    if (newer != NULL)
        return source_show(self, newer);
    if (!source_previous_key(self))
        return source_show(self, NULL);
    (void)source_newest(self);
    return source_show(self, self->first);
}

/* From the key at page.index, if `found`, to the first that has a version at or below `cap`; or to one
 * that has none, a few keys on. */
static strata_status source_show_visible(struct memtable_source *self, bool found, uint64_t from)
{
    uint64_t cap;
    if (!found || !source_cap(self, from, &cap))
        return source_show(self, NULL);
    for (unsigned passed = 0;; passed++) {
        const struct memtable_node *newest = source_newest(self);
        const struct memtable_node *node = version_at(&self->memtable->region, newest, cap);
        if (node != NULL || passed == SOURCE_KEYS_PASSED)
            return source_show(self, node != NULL ? node : newest);
        if (!source_next_key(self))
            return source_show(self, NULL);
    }
}

static strata_status memtable_source_seek_visible(struct source *source, struct bytes key,
                                                  uint64_t cap)
{
    struct memtable_source *self = memtable_source_of(source);
    bool found;
    (void)source_seek_key(self, key, &found);
    return source_show_visible(self, found, cap);
}

static strata_status memtable_source_next_visible(struct source *source, uint64_t cap)
{
    assert(source->valid);
    struct memtable_source *self = memtable_source_of(source);
    return source_show_visible(self, source_next_key(self), cap);
}

static void memtable_source_release(struct source *source)
{
    source->valid = false;
    memtable_source_of(source)->node = NULL;
}

static const struct source_class memtable_source_class = {
    .seek = memtable_source_seek,
    .seek_before = memtable_source_seek_before,
    .next = memtable_source_next,
    .previous = memtable_source_previous,
    .seek_visible = memtable_source_seek_visible,
    .next_visible = memtable_source_next_visible,
    .release = memtable_source_release,
};

void memtable_source_init(struct memtable_source *source, const struct memtable *memtable)
{
    assert(memtable->allocator != NULL);
    source->source = (struct source){.class = &memtable_source_class};
    source->memtable = memtable;
    source->first = NULL;
    source->node = NULL;
    source->ahead_count = 0;
    source->page.count = 0;
}
