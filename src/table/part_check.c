#include "core/hash.h"
#include "core/memory.h"
#include "layout/key.h"
#include "table/part_reader.h"
#include "table/part_writer.h"

#include <assert.h>
#include <inttypes.h>

/* What has been seen of one tree, whose leaves are visited in order. */
struct part_walk {
    uint32_t root;
    uint8_t leaf_kind;
    unsigned height;     /* Levels of index frames above the leaves. */
    uint64_t leaf_count; /* Leaves come one after another, index frames */
    uint64_t skipped;    /* lie between them, */
    uint64_t nodes;      /* and each of those is reached from the root. */
    uint32_t end;        /* The unit behind the last leaf and the index frames behind that. */
    uint64_t row_count;
    struct buffer key; /* The last row. */
    uint64_t from;
    struct buffer next_key; /* The row being looked at. */
    /* Index rows on the way down: rows from here on are at or after them. */
    struct buffer separators[PART_DEPTH_MAX];
    uint64_t separator_froms[PART_DEPTH_MAX];
    uint64_t units_entered[PART_DEPTH_MAX]; /* The next child of each level is here or behind. */
};

struct part_bounds {
    uint64_t min_from;
    uint64_t max_to;
};

struct part_checking {
    struct part *part;
    struct epoch_slot *slot; /* For reading buckets and slices. */
    void (*found)(void *context, uint64_t offset, const char *message);
    void *context;
    struct part_walk *walk; /* Of the tree being checked, which is one of these: */
    struct part_walk rows;
    struct part_walk directory;
    struct part_source slices; /* The slice that the directory has next. */
    struct slice_entry slice;  /* What the rows of the slice so far add up to. */
    uint64_t slice_min_from;
    uint64_t key_count;
    uint64_t slot_count;
    bool buckets_sound; /* No fault found in them so far. */
    struct part_bounds bounds;
    uint64_t max_from;
    uint64_t bytes;
    struct value_totals values;
};

static void part_bounds_widen(struct part_bounds *bounds, uint64_t min_from, uint64_t max_to)
{
    assert(bounds != NULL);
    if (min_from < bounds->min_from)
        bounds->min_from = min_from;
    if (max_to > bounds->max_to)
        bounds->max_to = max_to;
}

static void part_walk_init(struct part_walk *walk, const strata_allocator *allocator, uint32_t root,
                           enum frame_kind leaf_kind)
{
    *walk = (struct part_walk){.root = root, .leaf_kind = (uint8_t)leaf_kind};
    buffer_init(&walk->key, allocator);
    buffer_init(&walk->next_key, allocator);
    for (unsigned level = 0; level < PART_DEPTH_MAX; level++)
        buffer_init(&walk->separators[level], allocator);
}

static void part_walk_release(struct part_walk *walk)
{
    buffer_release(&walk->key);
    buffer_release(&walk->next_key);
    for (unsigned level = 0; level < PART_DEPTH_MAX; level++)
        buffer_release(&walk->separators[level]);
}

static void part_check_free(const struct part_checking *checking, struct cached_frame *frame)
{
    cached_frame_free(checking->part->store->allocator, frame);
}

/* A frame read past the cache, which a check should not sweep; `*out` remains NULL on failure. */
static strata_status part_check_read(const struct part_checking *checking, uint32_t unit,
                                     struct cached_frame **out)
{
    struct cached_frame *frame;
    TRY(part_read_frame(checking->part, unit, &frame));
    const strata_status status =
        part_fault(checking->part, unit, frame_check_padding(&frame->frame));
    if (status == STRATA_OK)
        *out = frame;
    else
        part_check_free(checking, frame);
    return status;
}

/* A fault in the frame at `unit`. */
static strata_status part_check_fault(const struct part_checking *checking, uint32_t unit,
                                      const char *message)
{
    return part_fault(checking->part, unit, failure(STRATA_CORRUPT, "%s", message));
}

/* Reports a fault of derived data. */
static void part_check_report(struct part_checking *checking, uint32_t unit, const char *message)
{
    assert(message != NULL);
    checking->buckets_sound = false;
    checking->found(checking->context, (uint64_t)unit * checking->part->info.unit_size, message);
}

static strata_status part_join_key(const struct frame *frame, struct bytes suffix,
                                   struct buffer *out)
{
    assert(frame->row_count > 0);
    buffer_truncate(out, 0);
    TRY(buffer_append(out, frame->prefix));
    return buffer_append(out, suffix);
}

/* Whether `bucket` says that the newest row of a key of `hash` lies at `place`. */
static strata_status part_check_bucket(struct part_checking *checking, uint64_t bucket,
                                       uint64_t hash, uint32_t place, bool *led, bool *more)
{
    assert(bucket < checking->part->bucket_count);
    struct part *part = checking->part;
    const uint32_t per_unit = buckets_per_unit(part->info.unit_size);
    const size_t offset = BUCKETS_OFFSET + (size_t)(bucket % per_unit) * BUCKET_SIZE;
    struct cached_frame *pin;
    *led = *more = false;
    TRY(cache_get(part->store->cache, part, part->bucket_unit + (uint32_t)(bucket / per_unit),
                  &pin));
    if (pin->frame.kind == FRAME_BUCKETS && offset + BUCKET_SIZE <= pin->frame.used) {
        const uint8_t *bytes = pin->frame.bytes.data + offset;
        const uint32_t matches = bucket_match(bytes, hash);
        for (unsigned slot = 0; slot < BUCKET_SLOTS; slot++)
            *led = *led || ((matches >> slot & 1) != 0 && bucket_place(bytes, slot) == place);
        *more = !*led && bucket_overflows(bytes);
    }
    cache_unpin(part->store->cache, pin);
    return STRATA_OK;
}

/* Whether the buckets lead to the key whose newest row lies at `place`. */
static strata_status part_check_place(struct part_checking *checking, struct bytes key,
                                      uint32_t place)
{
    assert(key.length >= KEY_PREFIX_SIZE);
    assert(checking->part->bucket_count > 0);
    const uint64_t count = checking->part->bucket_count;
    const uint64_t hash =
        hash64_pair(bytes_of(key.data, KEY_PREFIX_SIZE), bytes_after(key, KEY_PREFIX_SIZE));
    const uint64_t first = bucket_of(hash, count);
    strata_status status = STRATA_OK;
    bool led = false, more = true;
    epoch_enter(checking->part->store->cache->epochs, checking->slot);
    for (uint64_t tried = 0; more && tried < count && status == STRATA_OK; tried++)
        status = part_check_bucket(checking, (first + tried) % count, hash, place, &led, &more);
    epoch_leave(checking->slot);
    TRY(status);
    if (!led)
        part_check_report(checking, checking->part->bucket_unit,
                          "the buckets do not lead to a key");
    return STRATA_OK;
}

static strata_status part_check_next_slice(struct part_checking *checking)
{
    struct source *source = &checking->slices.source;
    epoch_enter(checking->part->store->cache->epochs, checking->slot);
    const strata_status status =
        source->valid ? source_next(source) : source_seek(source, (struct bytes){0}, UINT64_MAX);
    epoch_leave(checking->slot);
    return status;
}

/* Compares the slice that has ended with the next row of the directory. */
static strata_status part_check_slice(struct part_checking *checking)
{
    assert(checking->slice.rows > 0);
    assert(checking->rows.key.length >= KEY_PREFIX_SIZE);
    const uint32_t root = checking->part->directory_root;
    const struct slice_entry *slice = &checking->slice;
    const struct source *source = &checking->slices.source;
    struct slice_entry listed;
    if (!source->valid)
        return part_check_fault(checking, root, "the directory ends before the rows do");
    TRY(part_fault(checking->part, root, slice_entry_load(source->row.value, &listed)));
    if (memcmp(source->row.key.data, checking->rows.key.data, KEY_PREFIX_SIZE) != 0 ||
        source->row.from != checking->slice_min_from || listed.rows != slice->rows ||
        listed.bytes != slice->bytes || listed.first_unit != slice->first_unit ||
        listed.max_from != slice->max_from || listed.max_to != slice->max_to)
        return part_check_fault(checking, root, "the directory differs from the rows of a slice");
    return part_check_next_slice(checking);
}

/* Adds a row to its slice, which is a new one if `begins`, and to the sums of the part. */
static void part_check_sum(struct part_checking *checking, const struct row *row, bool begins,
                           uint32_t unit)
{
    assert(begins || checking->slice.rows > 0);
    struct slice_entry *slice = &checking->slice;
    const uint64_t bytes = row->key.length + row->value.length;
    if (begins) {
        *slice = (struct slice_entry){.first_unit = unit};
        checking->slice_min_from = UINT64_MAX;
    }
    slice->rows++;
    slice->bytes += bytes;
    slice->max_from = row->from > slice->max_from ? row->from : slice->max_from;
    slice->max_to = row_max_to(row) > slice->max_to ? row_max_to(row) : slice->max_to;
    if (row->from < checking->slice_min_from)
        checking->slice_min_from = row->from;
    checking->bytes += bytes;
    checking->max_from = row->from > checking->max_from ? row->from : checking->max_from;
    part_bounds_widen(&checking->bounds, row->from, row_max_to(row));
}

/* Checks what concerns rows only, of the row at `place` in the leaf at `unit`; the walk's key still is
 * that of the row before. */
static strata_status part_check_count(struct part_checking *checking, const struct row *row,
                                      uint32_t unit, uint32_t place)
{
    assert(checking->walk == &checking->rows);
    const struct bytes last = buffer_view(&checking->rows.key);
    const bool first = checking->rows.row_count == 0;
    const bool new_slice = first || memcmp(last.data, row->key.data, KEY_PREFIX_SIZE) != 0;
    const bool new_key = first || !bytes_equal(last, row->key);
    if (checking->part->role == ROLE_LIVE && row->to != 0)
        return part_check_fault(checking, unit, "a row of a live part has an end");
    if (new_slice && !first)
        TRY(part_check_slice(checking));
    part_check_sum(checking, row, new_slice, unit);
    checking->key_count += new_key;
    if (new_key && checking->part->bucket_count > 0 && checking->buckets_sound)
        TRY(part_check_place(checking, row->key, place));
    return value_totals_add(&checking->values, row);
}

/* Checks a row against the one before it and, if it is the first of a leaf, against the index rows
 * that lead there. */
static strata_status part_check_order(const struct part_checking *checking, struct bytes key,
                                      uint64_t from, const struct cached_frame *leaf, bool first)
{
    assert(checking->walk->height <= PART_DEPTH_MAX);
    const struct part_walk *walk = checking->walk;
    if (walk->row_count > 0 && row_order(buffer_view(&walk->key), walk->from, key, from) >= 0)
        return part_check_fault(checking, leaf->unit, "a row is not behind the row before it");
    for (unsigned level = 0; first && level < walk->height; level++) {
        const struct bytes separator = buffer_view(&walk->separators[level]);
        if (row_order(separator, walk->separator_froms[level], key, from) > 0)
            return part_check_fault(checking, leaf->unit, "a row is before what the index says");
    }
    return STRATA_OK;
}

static strata_status part_check_row(struct part_checking *checking, const struct cached_frame *leaf,
                                    unsigned index, struct part_bounds *bounds)
{
    assert(index < leaf->frame.row_count);
    assert(leaf->frame.kind == checking->walk->leaf_kind);
    struct part_walk *walk = checking->walk;
    struct frame_row found;
    TRY(part_fault(checking->part, leaf->unit, frame_row_at(&leaf->frame, index, &found)));
    TRY(part_join_key(&leaf->frame, found.suffix, &walk->next_key));
    const struct row row = {
        .key = buffer_view(&walk->next_key),
        .value = found.value,
        .from = found.from,
        .to = found.to,
        .kind = found.kind,
    };
    TRY(part_check_order(checking, row.key, row.from, leaf, index == 0));
    struct slice_entry slice = {.max_to = row_max_to(&row)};
    const uint32_t offset = frame_row_offset(leaf->frame.bytes.data, index);
    if (walk->leaf_kind == FRAME_ROWS)
        TRY(part_check_count(checking, &row, leaf->unit, row_place(leaf->unit, offset)));
    else
        TRY(part_fault(checking->part, leaf->unit, slice_entry_load(row.value, &slice)));
    part_bounds_widen(bounds, row.from, slice.max_to);

    buffer_truncate(&walk->key, 0);
    TRY(buffer_append(&walk->key, row.key));
    walk->from = row.from;
    walk->row_count++;
    return STRATA_OK;
}

/* Checks the frame at `*unit`, if it is a leaf, and steps over it, if it is a leaf or of the index:
 * else `*more` becomes false. */
static strata_status part_check_leaf(struct part_checking *checking, uint32_t *unit,
                                     struct part_bounds *bounds, bool *more)
{
    assert(*more);
    struct part_walk *walk = checking->walk;
    strata_status status = STRATA_OK;
    struct cached_frame *frame = NULL;
    TRY_OUT(part_check_read(checking, *unit, &frame));
    if (frame->frame.kind == walk->leaf_kind) {
        for (unsigned i = 0; i < frame->frame.row_count; i++)
            TRY_OUT(part_check_row(checking, frame, i, bounds));
        walk->leaf_count++;
    } else if (frame->frame.kind == FRAME_INDEX) {
        walk->skipped++;
    } else {
        *more = false;
        goto out;
    }
    *unit += frame->frame.units;

out:
    part_check_free(checking, frame);
    return status;
}

/* A node of a tree: `level` levels above the leaves, its leaves up to that at unit `end`. */
struct part_node {
    unsigned level;
    uint32_t unit;
    uint32_t end; /* UINT32_MAX: to the last leaf. */
};

/* Checks the leaves of a node at the bottom, and steps over the index frames between them. */
static strata_status part_check_leaves(struct part_checking *checking, const struct part_node *node,
                                       struct part_bounds *bounds)
{
    assert(node->level == 0);
    const uint32_t leaf_end = checking->part->leaf_end;
    const uint32_t end = node->end < leaf_end ? node->end : leaf_end;
    uint32_t unit = checking->walk->end;
    if (node->unit != unit)
        return part_check_fault(checking, node->unit, "leaves do not follow each other");
    bool more = true;
    while (more && unit < end)
        TRY(part_check_leaf(checking, &unit, bounds, &more));
    if (node->end != UINT32_MAX && node->end != unit)
        return part_check_fault(checking, node->end, "an index row leads past the leaves");
    checking->walk->end = unit;
    return STRATA_OK;
}

/* Loads row `index` of the frame, which should be of the index, and what it says about a child. */
static strata_status part_check_load(const struct part_checking *checking,
                                     const struct cached_frame *frame, unsigned index,
                                     struct frame_row *row_out, struct index_entry *out)
{
    const struct part *part = checking->part;
    if (frame->frame.kind != FRAME_INDEX)
        return part_check_fault(checking, frame->unit, "the index is not of one height");
    TRY(part_fault(part, frame->unit, frame_row_at(&frame->frame, index, row_out)));
    TRY(part_fault(part, frame->unit, index_entry_load(row_out->value, out)));
    if (out->unit >= frame->unit)
        return part_check_fault(checking, frame->unit, "a child is not before its parent");
    return STRATA_OK;
}

/* The first leaf below the frame at `unit`, which is `level` levels above it. */
static strata_status part_check_first_leaf(const struct part_checking *checking, unsigned level,
                                           uint32_t unit, uint32_t *out)
{
    for (; level > 0; level--) {
        struct cached_frame *frame = NULL;
        struct frame_row row;
        struct index_entry entry = {0};
        TRY(part_check_read(checking, unit, &frame));
        const strata_status status = part_check_load(checking, frame, 0, &row, &entry);
        part_check_free(checking, frame);
        TRY(status);
        unit = entry.unit;
    }
    *out = unit;
    return STRATA_OK;
}

/* Notes an index row before its child is checked, and checks it against the rows before. */
static strata_status part_check_enter(struct part_checking *checking,
                                      const struct cached_frame *frame, unsigned level,
                                      const struct frame_row *row, uint32_t child)
{
    assert(level < PART_DEPTH_MAX);
    assert(frame->frame.kind == FRAME_INDEX);
    struct part_walk *walk = checking->walk;
    if (child < walk->units_entered[level])
        return part_check_fault(checking, frame->unit, "the children of a level are not in order");
    walk->units_entered[level] = (uint64_t)child + 1;
    TRY(part_join_key(&frame->frame, row->suffix, &walk->separators[level]));
    walk->separator_froms[level] = row->from;
    const struct bytes separator = buffer_view(&walk->separators[level]);
    if (walk->row_count > 0 &&
        row_order(buffer_view(&walk->key), walk->from, separator, row->from) >= 0)
        return part_check_fault(checking, frame->unit, "an index row is not behind rows before it");
    return STRATA_OK;
}

static strata_status part_check_node(struct part_checking *checking, const struct part_node *node,
                                     struct part_bounds *bounds);

/* Checks row `index` of the frame of `node`, and all below it. */
static strata_status part_check_child(struct part_checking *checking, const struct part_node *node,
                                      const struct cached_frame *frame, unsigned index,
                                      struct part_bounds *bounds)
{
    assert(node->level > 0);
    assert(index < frame->frame.row_count);
    struct frame_row row;
    struct index_entry entry, next;
    TRY(part_check_load(checking, frame, index, &row, &entry));
    struct part_node child = {.level = node->level - 1, .unit = entry.unit, .end = node->end};
    TRY(part_check_enter(checking, frame, child.level, &row, entry.unit));
    if (index + 1 < frame->frame.row_count) {
        TRY(part_check_load(checking, frame, index + 1, &row, &next));
        TRY(part_check_first_leaf(checking, child.level, next.unit, &child.end));
    }

    struct part_bounds below = {.min_from = UINT64_MAX};
    TRY(part_check_node(checking, &child, &below));
    if (entry.min_from != below.min_from || entry.max_to != below.max_to)
        return part_check_fault(checking, frame->unit, "an index row has wrong bounds");
    part_bounds_widen(bounds, below.min_from, below.max_to);
    return STRATA_OK;
}

/* Checks a node and all below it. The depth is bounded by the walk's height. */
static strata_status part_check_node(struct part_checking *checking, const struct part_node *node,
                                     struct part_bounds *bounds)
{
    assert(node->level <= checking->walk->height);
    if (node->level == 0)
        return part_check_leaves(checking, node, bounds);

    strata_status status = STRATA_OK;
    struct cached_frame *frame = NULL;
    TRY_OUT(part_check_read(checking, node->unit, &frame));
    if (frame->frame.kind != FRAME_INDEX) {
        status = part_check_fault(checking, node->unit, "the index is not of one height");
        goto out;
    }
    checking->walk->nodes++;
    for (unsigned i = 0; i < frame->frame.row_count; i++)
        TRY_OUT(part_check_child(checking, node, frame, i, bounds));

out:
    part_check_free(checking, frame);
    return status;
}

/* Finds the height of the tree on the way to its first leaf. */
static strata_status part_check_height(struct part_checking *checking)
{
    struct part_walk *walk = checking->walk;
    uint32_t unit = walk->root;
    for (walk->height = 0; walk->height < PART_DEPTH_MAX; walk->height++) {
        struct cached_frame *frame = NULL;
        TRY(part_check_read(checking, unit, &frame));
        const uint8_t kind = frame->frame.kind;
        part_check_free(checking, frame);
        if (kind == walk->leaf_kind)
            return STRATA_OK;
        TRY(part_check_first_leaf(checking, 1, unit, &unit));
    }
    return part_check_fault(checking, walk->root, "the index is too high");
}

static strata_status part_check_tree(struct part_checking *checking, struct part_walk *walk)
{
    assert(walk->row_count == 0);
    struct part_bounds bounds = {.min_from = UINT64_MAX};
    checking->walk = walk;
    TRY(part_check_height(checking));
    const struct part_node root = {.level = walk->height, .unit = walk->root, .end = UINT32_MAX};
    TRY(part_check_node(checking, &root, &bounds));
    if (walk->nodes != walk->skipped)
        return part_check_fault(checking, walk->root, "there are index frames that nothing uses");
    return STRATA_OK;
}

/* Counts the slots in use, and checks that each names a place. */
static void part_check_buckets_in(struct part_checking *checking, const struct frame *frame,
                                  uint32_t unit)
{
    assert(frame->kind == FRAME_BUCKETS);
    const struct part *part = checking->part;
    for (size_t at = BUCKETS_OFFSET; at < frame->used; at += BUCKET_SIZE) {
        const uint8_t *bucket = frame->bytes.data + at;
        if (bucket[60] > BUCKET_SLOTS || bucket[61] > 1 || load_u16(bucket + 62) != 0) {
            part_check_report(checking, unit, "a bucket has impossible counts");
            return;
        }
        for (unsigned slot = 0; slot < bucket[60]; slot++) {
            if (row_place_unit(bucket_place(bucket, slot)) >= part->bucket_unit) {
                part_check_report(checking, unit, "a bucket names a unit behind the rows");
                return;
            }
        }
        checking->slot_count += bucket[60];
    }
}

/* Checks the bucket frames by themselves, each on its own, so that all faults are found. */
static strata_status part_check_buckets(struct part_checking *checking)
{
    assert(checking->part->bucket_count > 0);
    const struct part *part = checking->part;
    const uint32_t per_unit = buckets_per_unit(part->info.unit_size);
    const uint64_t frames = part->bucket_count / per_unit + (part->bucket_count % per_unit != 0);
    uint64_t left = part->bucket_count;
    if (part->bucket_unit + frames != part->info.units - 1)
        part_check_report(checking, part->bucket_unit, "buckets do not end at the footer");
    for (uint32_t i = 0; i < frames && part->bucket_unit + i < part->info.units; i++) {
        const uint32_t unit = part->bucket_unit + i;
        const uint64_t here = left < per_unit ? left : per_unit;
        struct cached_frame *frame = NULL;
        const strata_status status = part_check_read(checking, unit, &frame);
        if (status == STRATA_CORRUPT)
            part_check_report(checking, unit, strata_error_message());
        else if (status != STRATA_OK)
            return status;
        else if (frame->frame.kind != FRAME_BUCKETS ||
                 frame->frame.used != BUCKETS_OFFSET + here * BUCKET_SIZE)
            part_check_report(checking, unit, "a frame of buckets is not where it should be");
        else
            part_check_buckets_in(checking, &frame->frame, unit);
        part_check_free(checking, frame);
        left -= here;
    }
    return STRATA_OK;
}

/* Compares the footer with what was counted. */
static strata_status part_check_sums(const struct part_checking *checking,
                                     const struct part_footer *footer, struct buffer *list)
{
    assert(list->length == 0);
    const struct part *part = checking->part;
    const struct part_walk *rows = &checking->rows;
    TRY(value_totals_encode(&checking->values, list));
    if (!bytes_equal(buffer_view(list), footer->value_list))
        return failure(STRATA_CORRUPT, "the list of values differs from the rows");
    if (rows->row_count != footer->rows || rows->leaf_count != part->leaf_count ||
        checking->bytes != footer->bytes || checking->directory.row_count != part->slice_count)
        return failure(STRATA_CORRUPT, "the footer counts other rows than there are");
    if (checking->bounds.min_from != footer->min_from || checking->max_from != footer->max_from ||
        checking->bounds.max_to != footer->max_to)
        return failure(STRATA_CORRUPT, "the footer names other versions than there are");
    if (checking->directory.end != part->leaf_end)
        return failure(STRATA_CORRUPT, "there is something behind the directory");
    return STRATA_OK;
}

static strata_status part_check_footer(struct part_checking *checking)
{
    struct part *part = checking->part;
    strata_status status = STRATA_OK;
    struct part_footer footer;
    struct buffer bytes, list;
    buffer_init(&bytes, part->store->allocator);
    buffer_init(&list, part->store->allocator);
    TRY_OUT(part_read_footer(part, &bytes, &footer));
    TRY_OUT(part_fault(part, (uint32_t)(part->info.units - 1),
                       part_check_sums(checking, &footer, &list)));

out:
    buffer_release(&bytes);
    buffer_release(&list);
    return status;
}

/* The rows against everything that is said about them. */
static strata_status part_check_all(struct part_checking *checking)
{
    struct part *part = checking->part;
    if (part->bucket_count > 0)
        TRY(part_check_buckets(checking));
    TRY(part_check_next_slice(checking)); /* The first. */
    TRY(part_check_tree(checking, &checking->rows));
    TRY(part_check_slice(checking));
    if (checking->slices.source.valid)
        return part_check_fault(checking, part->directory_root,
                                "the directory has a slice without rows");
    checking->directory.end = checking->rows.end;
    TRY(part_check_tree(checking, &checking->directory));
    if (part->bucket_count > 0 && checking->buckets_sound &&
        checking->slot_count != checking->key_count)
        part_check_report(checking, part->bucket_unit, "buckets hold other keys than there are");
    return part_check_footer(checking);
}

strata_status part_check(struct part *part,
                         void (*found)(void *context, uint64_t offset, const char *message),
                         void *context)
{
    assert(found != NULL);
    TRY(part_ready(part));

    const strata_allocator *allocator = part->store->allocator;
    struct part_checking checking = {
        .part = part,
        .found = found,
        .context = context,
        .buckets_sound = true,
        .bounds = {.min_from = UINT64_MAX},
    };
    TRY(epoch_slot_take(part->store->cache->epochs, &checking.slot));
    part_walk_init(&checking.rows, allocator, part->rows_root, FRAME_ROWS);
    part_walk_init(&checking.directory, allocator, part->directory_root, FRAME_DIRECTORY);
    part_source_init(&checking.slices, part, true);
    value_totals_init(&checking.values, allocator);

    const strata_status status = part_check_all(&checking);
    source_release(&checking.slices.source);
    value_totals_release(&checking.values);
    part_walk_release(&checking.rows);
    part_walk_release(&checking.directory);
    epoch_slot_give(checking.slot);
    return status;
}
