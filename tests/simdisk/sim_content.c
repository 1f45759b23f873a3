#include "simdisk/sim_content.h"

#include "simdisk/sim_random.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE_BYTES = 4096 };

struct page {
    uint32_t references;
    bool hashed;
    uint64_t hash;
    unsigned char bytes[PAGE_BYTES];
};

/* Pages that are NULL are all zero, and so are the bytes of the last one past `size`. */
struct sim_content {
    uint32_t references;
    bool hashed;
    uint64_t hash;
    uint64_t size;
    size_t page_count;
    struct page **pages;
};

void *sim_allocate(size_t size)
{
    return sim_grow(NULL, size);
}

void *sim_grow(void *block, size_t size)
{
    void *grown = realloc(block, size > 0 ? size : 1);
    if (grown == NULL)
        abort();
    return grown;
}

struct sim_content *sim_content_create(void)
{
    struct sim_content *content = sim_allocate(sizeof(*content));
    *content = (struct sim_content){.references = 1};
    return content;
}

struct sim_content *sim_content_share(struct sim_content *content)
{
    if (content != NULL)
        content->references++;
    return content;
}

static void drop_page(struct page *page)
{
    if (page != NULL && --page->references == 0)
        free(page);
}

void sim_content_drop(struct sim_content *content)
{
    if (content == NULL || --content->references > 0)
        return;
    for (size_t i = 0; i < content->page_count; i++)
        drop_page(content->pages[i]);
    free(content->pages);
    free(content);
}

uint64_t sim_content_size(const struct sim_content *content)
{
    return content->size;
}

size_t sim_content_read(const struct sim_content *content, uint64_t offset, void *to, size_t size)
{
    if (offset >= content->size)
        return 0;
    if (size > content->size - offset)
        size = (size_t)(content->size - offset);
    unsigned char *out = to;
    for (size_t done = 0; done < size;) {
        const size_t index = (size_t)((offset + done) / PAGE_BYTES);
        const size_t start = (size_t)((offset + done) % PAGE_BYTES);
        const size_t step = size - done < PAGE_BYTES - start ? size - done : PAGE_BYTES - start;
        if (content->pages[index] == NULL)
            memset(out + done, 0, step);
        else
            memcpy(out + done, content->pages[index]->bytes + start, step);
        done += step;
    }
    return size;
}

/* The content in `*slot`, no longer shared and at least `size` bytes long. */
static struct sim_content *own_content(struct sim_content **slot, uint64_t size)
{
    struct sim_content *content = *slot;
    if (content->references > 1) {
        struct sim_content *copy = sim_content_create();
        copy->size = content->size;
        copy->page_count = content->page_count;
        copy->pages = sim_allocate(copy->page_count * sizeof(copy->pages[0]));
        for (size_t i = 0; i < copy->page_count; i++) {
            copy->pages[i] = content->pages[i];
            if (copy->pages[i] != NULL)
                copy->pages[i]->references++;
        }
        content->references--;
        *slot = content = copy;
    }
    content->hashed = false;
    if (size > content->size) {
        const size_t pages = (size_t)((size + PAGE_BYTES - 1) / PAGE_BYTES);
        content->pages = sim_grow(content->pages, pages * sizeof(content->pages[0]));
        for (size_t i = content->page_count; i < pages; i++)
            content->pages[i] = NULL;
        content->page_count = pages;
        content->size = size;
    }
    return content;
}

static struct page *own_page(struct page **slot)
{
    struct page *page = *slot;
    if (page == NULL || page->references > 1) {
        struct page *copy = sim_allocate(sizeof(*copy));
        if (page == NULL)
            memset(copy->bytes, 0, PAGE_BYTES);
        else
            memcpy(copy->bytes, page->bytes, PAGE_BYTES);
        copy->references = 1;
        drop_page(page);
        *slot = page = copy;
    }
    page->hashed = false;
    return page;
}

void sim_content_write(struct sim_content **slot, uint64_t offset, const void *data, size_t size)
{
    if (size == 0)
        return;
    struct sim_content *content = own_content(slot, offset + size);
    const unsigned char *from = data;
    for (size_t done = 0; done < size;) {
        const size_t index = (size_t)((offset + done) / PAGE_BYTES);
        const size_t start = (size_t)((offset + done) % PAGE_BYTES);
        const size_t step = size - done < PAGE_BYTES - start ? size - done : PAGE_BYTES - start;
        assert(index < content->page_count);
        memcpy(own_page(&content->pages[index])->bytes + start, from + done, step);
        done += step;
    }
}

void sim_content_extend(struct sim_content **slot, uint64_t size)
{
    if (size > (*slot)->size)
        own_content(slot, size);
}

/* A page of zeros has the hash of no page, so that both forms of it are equal. */
static uint64_t page_hash(struct page *page)
{
    static const unsigned char zeros[PAGE_BYTES];
    if (page == NULL)
        return 0;
    if (!page->hashed) {
        page->hash =
            memcmp(page->bytes, zeros, PAGE_BYTES) == 0 ? 0 : sim_hash(page->bytes, PAGE_BYTES, 1);
        page->hashed = true;
    }
    return page->hash;
}

uint64_t sim_content_hash(struct sim_content *content)
{
    if (content->hashed)
        return content->hash;
    uint64_t hash = sim_mix(content->size + 1);
    for (size_t i = 0; i < content->page_count; i++) {
        const uint64_t page = page_hash(content->pages[i]);
        if (page != 0)
            hash = sim_mix(hash ^ page ^ (i + 1) * 0x9e3779b97f4a7c15u);
    }
    content->hash = hash;
    content->hashed = true;
    return hash;
}
