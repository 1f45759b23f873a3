#include "table/memtable.h"

#include "core/prefetch.h"
#include "table/memtable_node.h"

#include <assert.h>

enum {
    SOURCE_KEYS_AHEAD = 8,     /* Whose first versions are fetched. */
    SOURCE_VERSIONS_AHEAD = 2, /* Whose newest versions are, where these are others. */
    SOURCE_LINE_SIZE = 64
};

static struct memtable_source *memtable_source_of(struct source *source)
{
    void *self = source;
    return self;
}

/* ---- fetching ahead ---- */

static void source_prefetch_key(const struct memtable_source *self, uint32_t index)
{
    if (index >= self->page.count)
        return;
    const uint8_t *node = region_at(&self->memtable->region, self->page.names[index]);
    prefetch(node);
    prefetch(node + SOURCE_LINE_SIZE);
}

static void source_prefetch_newest(const struct memtable_source *self, uint32_t index)
{
    if (index >= self->page.count)
        return;
    const struct region *region = &self->memtable->region;
    const uint8_t *newest = region_at(region, node_link(node_at(region, self->page.names[index])));
    prefetch(newest);
    prefetch(newest + SOURCE_LINE_SIZE);
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

/* Makes sure that page.index is that of a key; false if there is none any more. */
static bool source_settle(struct memtable_source *self)
{
    if (self->page.index < self->page.count)
        return true;
    if (!memtable_tree_next_page(&self->memtable->tree, &self->page))
        return false;
    source_prefetch_page(self, 1);
    return true;
}

static bool source_next_key(struct memtable_source *self)
{
    self->page.index++;
    source_prefetch_key(self, self->page.index + SOURCE_KEYS_AHEAD - 1);
    source_prefetch_newest(self, self->page.index + SOURCE_VERSIONS_AHEAD - 1);
    return source_settle(self);
}

static bool source_previous_key(struct memtable_source *self)
{
    if (self->page.index > 0) {
        self->page.index--;
        source_prefetch_key(self, self->page.index - SOURCE_KEYS_AHEAD + 1);
        return true;
    }
    if (!memtable_tree_seek_before(&self->memtable->tree, node_key(self->first), &self->page))
        return false;
    source_prefetch_page(self, UINT32_MAX);
    return true;
}

/* Whether it stands on `key` now, or else on the first key behind it; `*found` if there is one. */
static bool source_seek_key(struct memtable_source *self, struct bytes key, bool *found)
{
    const bool equal = memtable_tree_seek(&self->memtable->tree, key, &self->page);
    if (self->page.index < self->page.count)
        source_prefetch_page(self, 1);
    *found = source_settle(self);
    return equal;
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
    if (!memtable_tree_seek_before(&self->memtable->tree, key, &self->page))
        return source_show(self, NULL);
    source_prefetch_page(self, UINT32_MAX);
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

/* From the key at page.index, if `found`, to the first that has a version at or below `cap`. */
static strata_status source_show_visible(struct memtable_source *self, bool found, uint64_t from)
{
    uint64_t cap;
    if (!source_cap(self, from, &cap))
        return source_show(self, NULL);
    for (; found; found = source_next_key(self)) {
        const struct memtable_node *node =
            version_at(&self->memtable->region, source_newest(self), cap);
        if (node != NULL)
            return source_show(self, node);
    }
    return source_show(self, NULL);
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
    source->page.count = 0;
}
