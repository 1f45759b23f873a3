#include "table/part_writer.h"

#include "core/copy.h"
#include "core/hash.h"
#include "core/plant.h"
#include "core/prefetch.h"
#include "core/varint.h"
#include "layout/key.h"
#include "layout/names.h"

#include <assert.h>
#include <inttypes.h>

enum {
    SLICE_RECORD_SIZE = KEY_PREFIX_SIZE + 8 + SLICE_ENTRY_SIZE,
    HASH_RECORD_SIZE = 12,
    VALUE_TOTAL_SIZE = 16,
    BUCKETS_AHEAD = 16,
    PART_SEPARATOR_SHARE = 8, /* Separators have at most this part of a frame's size. */
    PART_PLACE_UNITS = 1 << (32 - PART_OFFSET_BITS) /* Units that a bucket can name. */
};
static_assert(FRAME_UNIT_SIZE_MIN / PART_SEPARATOR_SHARE >= KEY_PREFIX_SIZE,
              "the first separator of a tree is short enough");

static inline uint64_t part_writer_rows(const struct part_writer *writer)
{
    return writer->footer.rows + writer->slice.rows;
}

static void part_writer_check(const struct part_writer *writer)
{
    assert(writer->allocator != NULL);
    assert(writer->object.handle != NULL);
    assert(writer->next_unit * writer->footer.unit_size ==
           writer->object.appended + writer->output.length);
    assert((part_writer_rows(writer) == 0) == (writer->first_key.length == 0));
    assert(writer->hashes_placed <= writer->hashes.length);
    (void)writer;
}

static void part_tree_init(struct part_tree *tree, const struct part_writer *writer,
                           enum frame_kind leaf_kind)
{
    assert(leaf_kind == FRAME_ROWS || leaf_kind == FRAME_DIRECTORY);
    *tree = (struct part_tree){.level_count = 1};
    for (unsigned level = 0; level < PART_LEVELS_MAX; level++) {
        frame_builder_init(&tree->levels[level], writer->allocator, writer->footer.unit_size,
                           writer->frame_size, level == 0 ? leaf_kind : FRAME_INDEX);
        buffer_init(&tree->first_keys[level], writer->allocator);
    }
}

static void part_tree_release(struct part_tree *tree)
{
    for (unsigned level = 0; level < PART_LEVELS_MAX; level++) {
        frame_builder_release(&tree->levels[level]);
        buffer_release(&tree->first_keys[level]);
    }
}

strata_status part_writer_open(struct part_writer *writer, const struct part_options *options,
                               uint64_t number)
{
    assert(options->backend != NULL);
    assert(options->role == ROLE_LIVE || options->role == ROLE_HISTORY);
    assert(number <= OBJECT_NUMBER_MAX);

    const strata_allocator *allocator = options->allocator;
    *writer = (struct part_writer){
        .backend = options->backend,
        .allocator = allocator,
        .identity = options->identity,
        .footer = {.number = number,
                   .min_from = UINT64_MAX,
                   .unit_size = options->unit_size,
                   .role = (uint8_t)options->role},
        .frame_size = options->frame_size != 0 ? options->frame_size : options->unit_size,
        .output_bytes = options->output_bytes != 0 ? options->output_bytes : PART_OUTPUT_BYTES,
        .with_buckets = options->with_buckets,
        .memory_max = options->memory_max != 0 ? options->memory_max : UINT64_MAX,
    };
    part_tree_init(&writer->rows, writer, FRAME_ROWS);
    part_tree_init(&writer->directory, writer, FRAME_DIRECTORY);
    buffer_init(&writer->slices, allocator);
    buffer_init(&writer->last_key, allocator);
    buffer_init(&writer->first_key, allocator);
    buffer_init(&writer->hashes, allocator);
    buffer_init(&writer->output, allocator);
    value_totals_init(&writer->values, allocator);

    char name[LAYOUT_NAME_SIZE];
    layout_table_name(number, name);
    TRY(object_create(options->backend, name, 0, &writer->object));
    part_writer_check(writer);
    return STRATA_OK;
}

void part_writer_release(struct part_writer *writer)
{
    if (writer->allocator == NULL)
        return;
    part_tree_release(&writer->rows);
    part_tree_release(&writer->directory);
    buffer_release(&writer->slices);
    buffer_release(&writer->last_key);
    buffer_release(&writer->first_key);
    buffer_release(&writer->hashes);
    buffer_release(&writer->output);
    value_totals_release(&writer->values);
    object_close(&writer->object);
    *writer = (struct part_writer){0};
}

static strata_status part_writer_flush(struct part_writer *writer)
{
    TRY(object_append(&writer->object, buffer_view(&writer->output)));
    buffer_truncate(&writer->output, 0);
    part_writer_check(writer);
    /* A little at a time: one long sync at the end would hold up those of the log. */
    if (writer->object.appended - writer->synced < PART_SYNC_BYTES)
        return STRATA_OK;
    writer->synced = writer->object.appended;
    return object_sync(&writer->object);
}

static uint64_t part_writer_seed(const struct part_writer *writer)
{
    return place_seed(&writer->identity, FAMILY_TABLE, writer->footer.number,
                      writer->next_unit * writer->footer.unit_size);
}

/* Counts a frame of `units` that lies in the output, whose unit is `*unit_out`. */
static strata_status part_writer_wrote(struct part_writer *writer, uint32_t units,
                                       uint32_t *unit_out)
{
    assert(units > 0);
    if (writer->next_unit + units >= UINT32_MAX)
        return failure(STRATA_TOO_BIG, "a part has more units than its format can count");
    *unit_out = (uint32_t)writer->next_unit;
    writer->next_unit += units;
    part_writer_check(writer);
    return writer->output.length >= writer->output_bytes ? part_writer_flush(writer) : STRATA_OK;
}

/* Turns the rows that keys of the open leaf were noted with into places: `frame` is that leaf, sealed,
 * whose unit is the next one. */
static void part_writer_place_hashes(struct part_writer *writer, const uint8_t *frame)
{
    assert(frame[8] == FRAME_ROWS);
    struct buffer *hashes = &writer->hashes;
    for (; writer->hashes_placed < hashes->length; writer->hashes_placed += HASH_RECORD_SIZE) {
        uint8_t *place = hashes->data + writer->hashes_placed + 8;
        const uint32_t offset = frame_row_offset(frame, load_u32(place));
        store_u32(place, row_place((uint32_t)writer->next_unit, offset));
    }
    assert(writer->hashes_placed == hashes->length);
}

static strata_status part_writer_put_rows(struct part_writer *writer, struct frame_builder *builder,
                                          uint32_t *unit_out)
{
    assert(builder->row_count > 0);
    uint32_t units;
    const size_t begin = writer->output.length;
    TRY(frame_builder_finish(builder, part_writer_seed(writer), &writer->output, &units));
    if (builder == &writer->rows.levels[0])
        part_writer_place_hashes(writer, writer->output.data + begin);
    return part_writer_wrote(writer, units, unit_out);
}

static strata_status part_writer_put_content(struct part_writer *writer, enum frame_kind kind,
                                             size_t offset, struct bytes content,
                                             uint32_t *unit_out)
{
    assert(kind == FRAME_BUCKETS || kind == FRAME_FOOTER);
    uint32_t units;
    TRY(frame_seal_content(kind, writer->footer.unit_size, offset, content,
                           part_writer_seed(writer), &writer->output, &units));
    assert(units == 1);
    return part_writer_wrote(writer, units, unit_out);
}

static void part_tree_widen(struct part_tree *tree, unsigned level, uint64_t min_from,
                            uint64_t max_to)
{
    assert(level < PART_LEVELS_MAX);
    if (min_from < tree->bounds[level].min_from)
        tree->bounds[level].min_from = min_from;
    if (max_to > tree->bounds[level].max_to)
        tree->bounds[level].max_to = max_to;
}

/* Begins a node whose separator is (key, from). */
static strata_status part_tree_begin(struct part_tree *tree, unsigned level, struct bytes key,
                                     uint64_t from)
{
    assert(level < PART_LEVELS_MAX);
    assert(tree->levels[level].row_count == 0);
    buffer_truncate(&tree->first_keys[level], 0);
    tree->first_froms[level] = from;
    tree->bounds[level].min_from = UINT64_MAX;
    tree->bounds[level].max_to = 0;
    return buffer_append(&tree->first_keys[level], key);
}

/* Adds the index row of the node of `level` that is done and whose frame is at `unit`. Where the
 * level above is full, its frame is written first and its node is done, too. */
static strata_status part_tree_end(struct part_writer *writer, struct part_tree *tree,
                                   unsigned level, uint32_t unit)
{
    assert(level < PART_LEVELS_MAX);
    assert(tree->bounds[level].min_from != UINT64_MAX || level == 0);
    const unsigned above = level + 1;
    if (above == PART_LEVELS_MAX)
        return failure(STRATA_TOO_BIG, "a part has more rows than its index can hold");

    const uint64_t min_from = tree->bounds[level].min_from;
    const uint64_t max_to = tree->bounds[level].max_to;
    uint8_t value[INDEX_ENTRY_SIZE];
    index_entry_store(value, &(struct index_entry){unit, min_from, max_to});
    const struct row row = {
        .key = buffer_view(&tree->first_keys[level]),
        .value = bytes_of(value, sizeof(value)),
        .from = tree->first_froms[level],
        .kind = ROW_PUT,
    };
    struct frame_builder *builder = &tree->levels[above];
    if (!frame_builder_fits(builder, &row)) {
        uint32_t full = 0;
        assert(builder->row_count > 1);
        TRY(part_writer_put_rows(writer, builder, &full));
        TRY(part_tree_end(writer, tree, above, full));
    }
    if (builder->row_count == 0)
        TRY(part_tree_begin(tree, above, row.key, row.from));
    if (tree->level_count == above)
        tree->level_count++;
    part_tree_widen(tree, above, min_from, max_to);
    return frame_builder_add(builder, &row);
}

static strata_status part_tree_put_leaf(struct part_writer *writer, struct part_tree *tree)
{
    assert(tree->levels[0].row_count > 0);
    uint32_t unit = 0;
    TRY(part_writer_put_rows(writer, &tree->levels[0], &unit));
    tree->leaf_count++;
    if (!tree->leaf_written)
        tree->leaf_unit = unit;
    tree->leaf_written = true;
    return STRATA_OK;
}

/* Writes the leaf, which is full, and begins one with `row`, which comes after a row of `last_key`.
 * An index of long separators would have no fan-out: where none is short the node goes on. */
static strata_status part_tree_turn_leaf(struct part_writer *writer, struct part_tree *tree,
                                         struct bytes last_key, const struct row *row)
{
    assert(bytes_compare(last_key, row->key) <= 0);
    TRY(part_tree_put_leaf(writer, tree));
    const bool same_key = bytes_equal(last_key, row->key);
    const struct bytes separator = same_key ? row->key : separator_between(last_key, row->key);
    if (separator.length > writer->frame_size / PART_SEPARATOR_SHARE)
        return STRATA_OK;
    TRY(part_tree_end(writer, tree, 0, tree->leaf_unit));
    tree->leaf_written = false;
    return part_tree_begin(tree, 0, separator, same_key ? row->from : UINT64_MAX);
}

/* Adds a row, which comes after a row of `last_key`, to the leaves. */
static strata_status part_tree_add(struct part_writer *writer, struct part_tree *tree,
                                   struct bytes last_key, const struct row *row, uint64_t max_to)
{
    assert(row->key.length >= KEY_PREFIX_SIZE);
    struct frame_builder *leaf = &tree->levels[0];
    bool taken = false;
    if (leaf->row_count == 0)
        TRY(part_tree_begin(tree, 0, bytes_of(row->key.data, KEY_PREFIX_SIZE), UINT64_MAX));
    TRY(frame_builder_offer(leaf, row, &taken));
    if (!taken) {
        TRY(part_tree_turn_leaf(writer, tree, last_key, row));
        TRY(frame_builder_add(leaf, row));
    }
    part_tree_widen(tree, 0, row->from, max_to);
    return STRATA_OK;
}

/* Writes what is open, from the leaf up to the root. */
static strata_status part_tree_finish(struct part_writer *writer, struct part_tree *tree)
{
    assert(tree->levels[0].row_count > 0);
    TRY(part_tree_put_leaf(writer, tree));
    tree->root = tree->leaf_unit;
    if (tree->level_count == 1)
        return STRATA_OK;

    TRY(part_tree_end(writer, tree, 0, tree->leaf_unit));
    for (unsigned level = 1; level < tree->level_count; level++) {
        uint32_t unit = 0;
        TRY(part_writer_put_rows(writer, &tree->levels[level], &unit));
        tree->root = unit;
        if (level + 1 < tree->level_count)
            TRY(part_tree_end(writer, tree, level, unit));
    }
    return STRATA_OK;
}

uint64_t row_max_to(const struct row *row)
{
    assert(row->to == 0 || row->to > row->from);
    if (row->to != 0)
        return row->to;
    return row->kind == ROW_DELETE ? 0 : TO_OPEN;
}

void value_totals_init(struct value_totals *totals, const strata_allocator *allocator)
{
    *totals = (struct value_totals){0};
    buffer_init(&totals->entries, allocator);
}

void value_totals_release(struct value_totals *totals)
{
    buffer_release(&totals->entries);
    totals->encoded_size = 0;
}

static size_t value_total_encoded_size(uint64_t number)
{
    uint8_t encoded[VARINT_SIZE_MAX];
    return varint_encode(number, encoded);
}

strata_status value_totals_add(struct value_totals *totals, const struct row *row)
{
    if (row->kind != ROW_VALUE_REFERENCE)
        return STRATA_OK;
    assert(row->value.length == VALUE_REFERENCE_SIZE);
    const struct value_reference reference = value_reference_load(row->value);

    /* A value that several rows share is mostly that of the row before. */
    struct buffer *entries = &totals->entries;
    for (size_t at = entries->length; at > 0; at -= VALUE_TOTAL_SIZE) {
        uint8_t *entry = entries->data + at - VALUE_TOTAL_SIZE;
        if (load_u64(entry) != reference.object)
            continue;
        const uint64_t bytes = load_u64(entry + 8);
        store_u64(entry + 8, bytes + reference.size);
        totals->encoded_size += value_total_encoded_size(bytes + reference.size);
        totals->encoded_size -= value_total_encoded_size(bytes);
        return STRATA_OK;
    }
    TRY(buffer_reserve(entries, VALUE_TOTAL_SIZE));
    TRY(buffer_append_u64(entries, reference.object));
    TRY(buffer_append_u64(entries, reference.size));
    totals->encoded_size += value_total_encoded_size(reference.object);
    totals->encoded_size += value_total_encoded_size(reference.size);
    return STRATA_OK;
}

strata_status value_totals_encode(const struct value_totals *totals, struct buffer *out)
{
    assert(totals->entries.length % VALUE_TOTAL_SIZE == 0);
    const struct buffer *entries = &totals->entries;
    const size_t before = out->length;
    for (size_t at = 0; at < entries->length; at += VALUE_TOTAL_SIZE)
        TRY(part_values_append(out, load_u64(entries->data + at),
                               load_u64(entries->data + at + 8)));
    assert(out->length - before == totals->encoded_size);
    (void)before;
    return STRATA_OK;
}

/* Puts the slice of the last row to those that are done. */
static strata_status part_writer_end_slice(struct part_writer *writer)
{
    assert(writer->last_key.length >= KEY_PREFIX_SIZE);
    assert(writer->slice.rows > 0);
    const struct slice_entry *slice = &writer->slice;
    struct part_footer *footer = &writer->footer;
    uint8_t *record;
    TRY(buffer_extend(&writer->slices, SLICE_RECORD_SIZE, &record));
    memcpy(record, writer->last_key.data, KEY_PREFIX_SIZE);
    store_u64(record + KEY_PREFIX_SIZE, writer->slice_min_from);
    slice_entry_store(record + KEY_PREFIX_SIZE + 8, slice);
    footer->rows += slice->rows;
    footer->bytes += slice->bytes;
    if (writer->slice_min_from < footer->min_from)
        footer->min_from = writer->slice_min_from;
    if (slice->max_from > footer->max_from)
        footer->max_from = slice->max_from;
    if (slice->max_to > footer->max_to)
        footer->max_to = slice->max_to;
    writer->slice = (struct slice_entry){.rows = 0};
    return STRATA_OK;
}

/* Counts a row in its slice, which `first_unit` begins if it is a new one. */
static void part_writer_count_slice(struct part_writer *writer, const struct row *row,
                                    uint64_t max_to, uint32_t first_unit)
{
    struct slice_entry *slice = &writer->slice;
    if (slice->rows == 0) {
        *slice = (struct slice_entry){.first_unit = first_unit};
        writer->slice_min_from = UINT64_MAX;
    }
    slice->rows++;
    slice->bytes += row->key.length + row->value.length;
    if (row->from > slice->max_from)
        slice->max_from = row->from;
    if (max_to > slice->max_to)
        slice->max_to = max_to;
    if (row->from < writer->slice_min_from)
        writer->slice_min_from = row->from;
}

/* Notes that the newest row of a key is row `index` of the open leaf, which will be the next frame
 * that is written. */
static strata_status part_writer_note_hash(struct part_writer *writer, struct bytes key,
                                           unsigned index)
{
    assert(index < FRAME_ROWS_MAX);
    if (writer->next_unit >= PART_PLACE_UNITS ||
        writer->hashes.length + HASH_RECORD_SIZE > writer->memory_max) {
        writer->with_buckets = false;
        writer->hashes_placed = 0;
        buffer_release(&writer->hashes);
        return STRATA_OK;
    }
    uint8_t *record;
    TRY(buffer_extend(&writer->hashes, HASH_RECORD_SIZE, &record));
    store_u64(record, hash64(key, 0));
    store_u32(record + 8, index);
    return STRATA_OK;
}

static strata_status part_writer_keep_key(struct buffer *to, struct bytes key)
{
    to->length = 0;
    TRY(buffer_reserve(to, key.length));
    copy_short(to->data, key.data, key.length);
    to->length = key.length;
    return STRATA_OK;
}

/* Keys of one slice, which mostly differ near their ends. */
static bool part_writer_same_key(struct bytes a, struct bytes b)
{
    assert(a.length >= KEY_PREFIX_SIZE);
    return a.length == b.length &&
           load_u64(a.data + a.length - 8) == load_u64(b.data + b.length - 8) &&
           memcmp(a.data, b.data, a.length) == 0;
}

static bool part_writer_same_slice(const uint8_t *a, const uint8_t *b)
{
    static_assert(KEY_PREFIX_SIZE == 12, "a prefix is compared in two steps");
    return load_u64(a) == load_u64(b) && load_u32(a + 8) == load_u32(b + 8);
}

strata_status part_writer_add(struct part_writer *writer, const struct row *row)
{
    part_writer_check(writer);
    assert(row->key.length >= KEY_PREFIX_SIZE);
    assert(row->to == 0 || writer->footer.role == ROLE_HISTORY);

    const struct bytes last = buffer_view(&writer->last_key);
    const uint64_t max_to = row_max_to(row);
    const bool first = last.length == 0;
    assert(first || row_order(last, writer->last_from, row->key, row->from) < 0);
    const bool new_key = first || !part_writer_same_key(last, row->key);
    if (first) {
        TRY(part_writer_keep_key(&writer->first_key, row->key));
        writer->first_from = row->from;
    } else if (new_key && !part_writer_same_slice(last.data, row->key.data)) {
        TRY(part_writer_end_slice(writer));
    }

    TRY(part_tree_add(writer, &writer->rows, last, row, max_to));
    if (new_key && writer->with_buckets)
        TRY(part_writer_note_hash(writer, row->key, writer->rows.levels[0].row_count - 1));
    if (row->kind == ROW_VALUE_REFERENCE)
        TRY(value_totals_add(&writer->values, row));
    if (new_key)
        TRY(part_writer_keep_key(&writer->last_key, row->key));
    part_writer_count_slice(writer, row, max_to, (uint32_t)writer->next_unit);
    writer->last_from = row->from;
    return STRATA_OK;
}

strata_status part_writer_keep(struct part_writer *writer)
{
    return frame_builder_keep(&writer->rows.levels[0]);
}

uint64_t part_writer_bytes(const struct part_writer *writer)
{
    part_writer_check(writer);
    const struct frame_builder *leaf = &writer->rows.levels[0];
    const uint64_t keys = writer->hashes.length / HASH_RECORD_SIZE;
    return writer->next_unit * writer->footer.unit_size + leaf->sums.key_bytes +
           leaf->sums.value_bytes + writer->slices.length + keys * BUCKET_SIZE / BUCKET_FILL;
}

bool part_writer_full(const struct part_writer *writer, uint64_t bytes_max, uint64_t keys_bytes_min)
{
    const uint64_t bytes = part_writer_bytes(writer);
    return bytes >= bytes_max || writer->values.encoded_size > writer->footer.unit_size / 2 ||
           writer->slices.length + SLICE_RECORD_SIZE > writer->memory_max ||
           (writer->hashes.length + HASH_RECORD_SIZE > writer->memory_max &&
            bytes >= keys_bytes_min);
}

static void part_writer_add_section(struct part_writer *writer, enum section_kind kind,
                                    uint32_t unit, uint64_t count)
{
    struct part_footer *footer = &writer->footer;
    assert(footer->section_count < PART_SECTIONS_MAX);
    footer->sections[footer->section_count++] = (struct part_section){
        .kind = (uint16_t)kind,
        .required = kind != SECTION_BUCKETS,
        .unit = unit,
        .count = count,
    };
}

static strata_status part_writer_put_directory(struct part_writer *writer)
{
    assert(writer->slices.length > 0);
    assert(writer->slices.length % SLICE_RECORD_SIZE == 0);
    struct bytes last = {0};
    for (size_t at = 0; at < writer->slices.length; at += SLICE_RECORD_SIZE) {
        const uint8_t *record = writer->slices.data + at;
        struct slice_entry slice;
        const struct row row = {
            .key = bytes_of(record, KEY_PREFIX_SIZE),
            .value = bytes_of(record + KEY_PREFIX_SIZE + 8, SLICE_ENTRY_SIZE),
            .from = load_u64(record + KEY_PREFIX_SIZE),
            .kind = ROW_PUT,
        };
        TRY(slice_entry_load(row.value, &slice));
        TRY(part_tree_add(writer, &writer->directory, last, &row, slice.max_to));
        last = row.key;
    }
    TRY(part_tree_finish(writer, &writer->directory));
    part_writer_add_section(writer, SECTION_DIRECTORY, writer->directory.root,
                            writer->slices.length / SLICE_RECORD_SIZE);
    return STRATA_OK;
}

/* Spreads the keys over an array of zeroed buckets, asking for those of keys further on: there are
 * too many to be near. */
static void part_writer_fill_buckets(const struct part_writer *writer, uint8_t *buckets,
                                     uint64_t count)
{
    assert(count > 0);
    const uint8_t *const records = writer->hashes.data;
    const size_t ahead = BUCKETS_AHEAD * HASH_RECORD_SIZE;
    for (size_t at = 0; at < writer->hashes.length; at += HASH_RECORD_SIZE) {
        const uint64_t hash = load_u64(records + at);
        const uint32_t place = load_u32(records + at + 8);
        if (at + ahead < writer->hashes.length)
            prefetch(buckets + bucket_of(load_u64(records + at + ahead), count) * BUCKET_SIZE);
        uint64_t bucket = bucket_of(hash, count);
        while (!bucket_add(buckets + bucket * BUCKET_SIZE, hash, place))
            bucket = bucket + 1 < count ? bucket + 1 : 0;
    }
}

static strata_status part_writer_put_buckets(struct part_writer *writer)
{
    assert(writer->hashes.length % HASH_RECORD_SIZE == 0);
    assert(writer->hashes_placed == writer->hashes.length);
    strata_status status = STRATA_OK;
    struct buffer buckets;
    uint8_t *array;
    buffer_init(&buckets, writer->allocator);
    const uint64_t count = writer->hashes.length / HASH_RECORD_SIZE / BUCKET_FILL + 1;
    const uint64_t first_unit = writer->next_unit;
    TRY_OUT(buffer_extend(&buckets, (size_t)count * BUCKET_SIZE, &array));
    memset(array, 0, buckets.length);
    part_writer_fill_buckets(writer, array, count);
    writer->hashes_placed = 0;
    buffer_release(&writer->hashes);

    struct bytes rest = buffer_view(&buckets);
    while (rest.length > 0) {
        const size_t most = (size_t)buckets_per_unit(writer->footer.unit_size) * BUCKET_SIZE;
        const size_t size = rest.length < most ? rest.length : most;
        uint32_t unit = 0;
        TRY_OUT(part_writer_put_content(writer, FRAME_BUCKETS, BUCKETS_OFFSET,
                                        bytes_of(rest.data, size), &unit));
        rest = bytes_after(rest, size);
    }
    part_writer_add_section(writer, SECTION_BUCKETS, (uint32_t)first_unit, count);

out:
    buffer_release(&buckets);
    return status;
}

static strata_status part_writer_put_footer(struct part_writer *writer)
{
    assert(writer->footer.rows > 0);
    strata_status status = STRATA_OK;
    struct buffer values, content;
    buffer_init(&values, writer->allocator);
    buffer_init(&content, writer->allocator);
    struct part_footer *footer = &writer->footer;
    TRY_OUT(value_totals_encode(&writer->values, &values));
    footer->value_list = buffer_view(&values);
    footer->units = writer->next_unit + 1;
    status = part_footer_encode(footer, &content);
    footer->value_list = (struct bytes){0};
    TRY_OUT(status);
    if (content.length > footer->unit_size - FRAME_HEADER_SIZE) {
        status = failure(STRATA_TOO_BIG, "a part refers to more values than its footer can list");
        goto out;
    }
    uint32_t unit = 0;
    TRY_OUT(part_writer_put_content(writer, FRAME_FOOTER, FRAME_HEADER_SIZE, buffer_view(&content),
                                    &unit));
    assert(unit + 1 == footer->units);

out:
    buffer_release(&values);
    buffer_release(&content);
    return status;
}

/* Describes the part for a manifest. */
static strata_status part_writer_describe(const struct part_writer *writer, struct arena *arena,
                                          struct manifest_part *out)
{
    assert(writer->first_key.length >= KEY_PREFIX_SIZE);
    const struct part_footer *footer = &writer->footer;
    uint8_t *first_key = arena_take(arena, writer->first_key.length);
    if (first_key == NULL)
        return failure(STRATA_NO_MEMORY, "no memory to describe a part");
    memcpy(first_key, writer->first_key.data, writer->first_key.length);
    *out = (struct manifest_part){
        .number = footer->number,
        .incarnation = writer->identity.incarnation,
        .units = footer->units,
        .unit_size = footer->unit_size,
        .rows = footer->rows,
        .bytes = footer->bytes,
        .min_from = footer->min_from,
        .max_from = footer->max_from,
        .max_to = footer->max_to,
        .first_key = bytes_of(first_key, writer->first_key.length),
        .first_from = writer->first_from,
    };
    return STRATA_OK;
}

strata_status part_writer_finish(struct part_writer *writer, struct arena *arena,
                                 struct manifest_part *out)
{
    part_writer_check(writer);
    assert(part_writer_rows(writer) > 0);

    TRY(part_writer_end_slice(writer));
    TRY(part_tree_finish(writer, &writer->rows));
    part_writer_add_section(writer, SECTION_ROWS, writer->rows.root, writer->rows.leaf_count);
    TRY(part_writer_put_directory(writer));
    if (writer->with_buckets)
        TRY(part_writer_put_buckets(writer));
    TRY(part_writer_put_footer(writer));
    TRY(part_writer_flush(writer));
#if STRATA_PLANT != 10
    TRY(object_sync(&writer->object));
#endif
    return part_writer_describe(writer, arena, out);
}
