#include "tree_id.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FOLDER_MODE = 040000, MODE_TEXT_SIZE_MAX = 16 };

static bool level_add(struct tree_level *level, uint32_t mode, const char *name, size_t name_size,
                      const uint8_t id[SHA1_SIZE])
{
    const size_t needed = level->size + MODE_TEXT_SIZE_MAX + name_size + 1 + SHA1_SIZE;
    if (needed > level->capacity) {
        const size_t capacity = needed * 2;
        uint8_t *grown = realloc(level->entries, capacity);
        if (grown == NULL)
            return false;
        level->entries = grown;
        level->capacity = capacity;
    }
    char text[MODE_TEXT_SIZE_MAX];
    const int text_size = snprintf(text, sizeof(text), "%o ", mode);
    uint8_t *at = level->entries + level->size;
    memcpy(at, text, (size_t)text_size);
    at += text_size;
    memcpy(at, name, name_size);
    at += name_size;
    *at++ = 0;
    memcpy(at, id, SHA1_SIZE);
    level->size = (size_t)(at + SHA1_SIZE - level->entries);
    return true;
}

static void level_id(const struct tree_level *level, uint8_t out[SHA1_SIZE])
{
    struct sha1 sha1;
    sha1_begin_object(&sha1, "tree", level->size);
    sha1_add(&sha1, level->entries, level->size);
    sha1_end(&sha1, out);
}

/* Opens the folder whose name ends at `name_end` in the path to come. */
static bool open_level(struct tree_id *tree, size_t name_end)
{
    if (tree->level_count == tree->level_capacity) {
        const size_t capacity = tree->level_capacity > 0 ? tree->level_capacity * 2 : 16;
        struct tree_level *grown = realloc(tree->levels, capacity * sizeof(struct tree_level));
        if (grown == NULL)
            return false;
        memset(grown + tree->level_capacity, 0,
               (capacity - tree->level_capacity) * sizeof(struct tree_level));
        tree->levels = grown;
        tree->level_capacity = capacity;
    }
    struct tree_level *level = &tree->levels[tree->level_count++];
    level->size = 0;
    level->name_end = name_end;
    return true;
}

/* Enters the innermost folder into the one around it. */
static bool close_level(struct tree_id *tree)
{
    uint8_t id[SHA1_SIZE];
    assert(tree->level_count > 1);
    const struct tree_level *level = &tree->levels[--tree->level_count];
    struct tree_level *around = &tree->levels[tree->level_count - 1];
    const size_t name_begin = around->name_end > 0 ? around->name_end + 1 : 0;
    level_id(level, id);
    return level_add(around, FOLDER_MODE, tree->path + name_begin, level->name_end - name_begin,
                     id);
}

/* Whether the innermost folder is one of those that hold `path`. */
static bool level_holds(const struct tree_id *tree, const char *path, size_t path_size)
{
    const size_t end = tree->levels[tree->level_count - 1].name_end;
    return end == 0 || (end < path_size && path[end] == '/' && memcmp(tree->path, path, end) == 0);
}

static bool keep_path(struct tree_id *tree, const char *path, size_t path_size)
{
    if (path_size > tree->path_capacity) {
        char *grown = realloc(tree->path, path_size * 2);
        if (grown == NULL)
            return false;
        tree->path = grown;
        tree->path_capacity = path_size * 2;
    }
    memcpy(tree->path, path, path_size);
    tree->path_size = path_size;
    return true;
}

void tree_id_begin(struct tree_id *tree)
{
    tree->level_count = 0;
    tree->path_size = 0;
}

bool tree_id_add(struct tree_id *tree, const char *path, size_t path_size, uint32_t mode,
                 const uint8_t id[SHA1_SIZE])
{
    if (tree->level_count == 0 && !open_level(tree, 0))
        return false;
    while (!level_holds(tree, path, path_size))
        if (!close_level(tree))
            return false;
    if (!keep_path(tree, path, path_size))
        return false;
    const size_t held_end = tree->levels[tree->level_count - 1].name_end;
    size_t name_begin = held_end > 0 ? held_end + 1 : 0;
    for (size_t i = name_begin; i < path_size; i++) {
        if (path[i] != '/')
            continue;
        if (!open_level(tree, i))
            return false;
        name_begin = i + 1;
    }
    return level_add(&tree->levels[tree->level_count - 1], mode, path + name_begin,
                     path_size - name_begin, id);
}

bool tree_id_end(struct tree_id *tree, uint8_t out[SHA1_SIZE])
{
    if (tree->level_count == 0 && !open_level(tree, 0))
        return false;
    while (tree->level_count > 1)
        if (!close_level(tree))
            return false;
    level_id(&tree->levels[0], out);
    tree_id_begin(tree);
    return true;
}

void tree_id_release(struct tree_id *tree)
{
    for (size_t i = 0; i < tree->level_capacity; i++)
        free(tree->levels[i].entries);
    free(tree->levels);
    free(tree->path);
    *tree = (struct tree_id){0};
}
