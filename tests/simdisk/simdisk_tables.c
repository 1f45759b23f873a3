/* What the simulated disk is made of: names, files, changes that a power cut may lose. */
#include "simdisk/simdisk_inner.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct sim_name *sim_name_share(struct sim_name *name)
{
    name->references++;
    return name;
}

struct sim_name *sim_name_create(const char *text)
{
    const size_t size = strlen(text) + 1;
    struct sim_name *name = sim_allocate(sizeof(*name) + size);
    name->references = 1;
    memcpy(name->text, text, size);
    return name;
}

static void name_drop(struct sim_name *name)
{
    if (--name->references == 0)
        free(name);
}

struct sim_file *sim_files_add(struct sim_files *files, struct sim_name *name)
{
    if (files->count == files->capacity) {
        files->capacity = files->capacity == 0 ? 16 : files->capacity * 2;
        files->at = sim_grow(files->at, files->capacity * sizeof(files->at[0]));
    }
    files->at[files->count] = (struct sim_file){.name = name};
    return &files->at[files->count++];
}

void sim_files_share(struct sim_files *to, const struct sim_files *from)
{
    *to = (struct sim_files){.count = from->count, .capacity = from->count};
    to->at = sim_allocate(from->count * sizeof(to->at[0]));
    for (size_t i = 0; i < from->count; i++) {
        to->at[i] = from->at[i];
        sim_name_share(to->at[i].name);
        sim_content_share(to->at[i].live);
        sim_content_share(to->at[i].durable);
        for (size_t age = 0; age < SIM_PAST_KEPT; age++)
            sim_content_share(to->at[i].past[age]);
    }
}

void sim_files_release(struct sim_files *files)
{
    for (size_t i = 0; i < files->count; i++) {
        name_drop(files->at[i].name);
        sim_content_drop(files->at[i].live);
        sim_content_drop(files->at[i].durable);
        for (size_t age = 0; age < SIM_PAST_KEPT; age++)
            sim_content_drop(files->at[i].past[age]);
    }
    free(files->at);
    *files = (struct sim_files){0};
}

/* The oldest moment is kept: a page may never have been written since. */
static void remember_past(struct sim_file *file)
{
    size_t last = SIM_PAST_KEPT - 1;
    while (last > 0 && file->past[last - 1] == NULL)
        last--;
    if (file->past[last] != NULL) {
        sim_content_drop(file->past[last - 1]);
        last--;
    }
    for (; last > 0; last--)
        file->past[last] = file->past[last - 1];
    file->past[0] = sim_content_share(file->live);
}

static void ring_note(struct sim_file *file)
{
    const uint64_t size = sim_content_size(file->live);
    bool changed = false;
    for (uint64_t at = 0; at < size; at += SIM_PAGE) {
        unsigned char page[SIM_PAGE];
        sim_content_read(file->live, at, page, SIM_PAGE);
        if (memcmp(page, file->ring + at, SIM_PAGE) == 0)
            continue;
        if (!changed)
            remember_past(file);
        changed = true;
        sim_content_write(&file->live, at, file->ring + at, SIM_PAGE);
    }
}

void sim_rings_note(struct sim_files *files)
{
    for (size_t i = 0; i < files->count; i++) {
        if (files->at[i].ring != NULL)
            ring_note(&files->at[i]);
    }
}

void sim_pending_drop(struct sim_pending *pending)
{
    if (--pending->references == 0)
        free(pending);
}

void sim_pendings_add(struct sim_pendings *list, struct sim_pending *pending)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity == 0 ? 16 : list->capacity * 2;
        list->at = sim_grow(list->at, list->capacity * sizeof(list->at[0]));
    }
    list->at[list->count++] = pending;
}

void sim_pendings_share(struct sim_pendings *to, const struct sim_pendings *from)
{
    *to = (struct sim_pendings){.count = from->count, .capacity = from->count};
    to->at = sim_allocate(from->count * sizeof(to->at[0]));
    for (size_t i = 0; i < from->count; i++) {
        to->at[i] = from->at[i];
        to->at[i]->references++;
    }
}

void sim_pendings_release(struct sim_pendings *list)
{
    for (size_t i = 0; i < list->count; i++)
        sim_pending_drop(list->at[i]);
    free(list->at);
    *list = (struct sim_pendings){0};
}
