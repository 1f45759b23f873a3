#include "simdisk/simdisk_inner.h"
#include "simdisk/sim_random.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct simdisk_image *simdisk_capture(struct simdisk *disk)
{
    struct simdisk_image *image = sim_allocate(sizeof(*image));
    pthread_mutex_lock(&disk->mutex);
    image->ring_bytes = disk->ring_bytes;
    sim_rings_note(&disk->files);
    sim_files_share(&image->files, &disk->files);
    sim_pendings_share(&image->pending, &disk->pending);
    sim_pendings_share(&image->written, &disk->written);
    pthread_mutex_unlock(&disk->mutex);
    return image;
}

void simdisk_release(struct simdisk_image *image)
{
    if (image == NULL)
        return;
    sim_pendings_release(&image->pending);
    sim_pendings_release(&image->written);
    sim_files_release(&image->files);
    free(image);
}

size_t simdisk_pending(const struct simdisk_image *image)
{
    return image->pending.count;
}

uint64_t simdisk_pending_size(const struct simdisk_image *image, size_t index)
{
    const struct sim_pending *pending = image->pending.at[index];
    return pending->change == SIM_WRITE ? pending->size : 0;
}

void simdisk_pending_text(const struct simdisk_image *image, size_t index, char *out, size_t size)
{
    static const char *const words[] = {"write", "reserve", "create", "remove"};
    const struct sim_pending *pending = image->pending.at[index];
    snprintf(out, size, "%s %s %llu %llu%s", words[pending->change],
             image->files.at[pending->file].name->text, (unsigned long long)pending->offset,
             (unsigned long long)pending->size, pending->doomed ? " (its sync failed)" : "");
}

bool simdisk_has_ring(const struct simdisk_image *image)
{
    for (size_t i = 0; i < image->files.count; i++) {
        if (image->files.at[i].ring != NULL)
            return true;
    }
    return false;
}

/* ---- garbage --------------------------------------------------------------------------------- */

struct range {
    size_t file;
    uint64_t offset;
    size_t size;
};

static void fill_pattern(unsigned char *to, size_t size, uint64_t *random)
{
    if (sim_below(random, 2) == 0) {
        memset(to, 0xa5, size);
        return;
    }
    for (size_t i = 0; i < size; i++)
        to[i] = (unsigned char)sim_random(random);
}

/* The block that another object, in use or removed, had at this place of the device. */
static void fill_other(const struct simdisk_image *image, struct range range, unsigned char *to,
                       uint64_t *random)
{
    const size_t first = (size_t)sim_below(random, image->files.count);
    for (size_t i = 0; i < image->files.count; i++) {
        const size_t index = (first + i) % image->files.count;
        const struct sim_file *other = &image->files.at[index];
        if (index != range.file && sim_content_read(other->live, range.offset, to, range.size) > 0)
            return;
    }
}

/* An earlier write, by preference one to the same object. */
static void fill_older_write(const struct simdisk_image *image, struct range range,
                             unsigned char *to, uint64_t *random)
{
    if (image->written.count == 0)
        return;
    const struct sim_pending *older = NULL;
    for (unsigned attempt = 0; attempt < 4; attempt++) {
        older = image->written.at[sim_below(random, image->written.count)];
        if (older->file == range.file && older->offset < range.offset)
            break;
    }
    const size_t size = older->size < range.size ? (size_t)older->size : range.size;
    memcpy(to, older->data, size);
}

/* Bytes that a lost write may have left. */
static void apply_garbage(const struct simdisk_image *image, struct sim_content **slot,
                          struct range range, enum sim_garbage garbage, uint64_t *random)
{
    if (garbage == SIM_NOTHING || range.size == 0)
        return;
    sim_content_extend(slot, range.offset + range.size);
    if (garbage == SIM_ZEROS)
        return;
    unsigned char *bytes = sim_allocate(range.size);
    memset(bytes, 0, range.size);
    if (garbage == SIM_PATTERN)
        fill_pattern(bytes, range.size, random);
    else if (garbage == SIM_OTHER)
        fill_other(image, range, bytes, random);
    else
        fill_older_write(image, range, bytes, random);
    sim_content_write(slot, range.offset, bytes, range.size);
    free(bytes);
}

/* ---- mounting -------------------------------------------------------------------------------- */

/* What became of one pending operation on `file`, whose durable bytes are the ones to change. */
static void settle(const struct simdisk_image *image, const struct sim_survivors *survivors,
                   size_t index, struct sim_file *file, uint64_t *random)
{
    const struct sim_pending *pending = image->pending.at[index];
    const bool lost = survivors->lost != NULL && survivors->lost[index] != 0;
    const bool torn = !lost && survivors->torn == (long)index;
    if (pending->change == SIM_NAMED || pending->change == SIM_UNNAMED) {
        if (!lost)
            file->named_durable = pending->change == SIM_NAMED;
        return;
    }
    if (pending->change == SIM_RESERVE) {
        if (!lost)
            sim_content_extend(&file->durable, pending->size);
        return;
    }
    uint64_t kept = pending->size;
    if (lost)
        kept = 0;
    else if (torn && survivors->torn_size < kept)
        kept = survivors->torn_size;
    const struct range range = {pending->file, pending->offset + kept,
                                (size_t)(pending->size - kept)};
    apply_garbage(image, &file->durable, range, survivors->garbage, random);
    sim_content_write(&file->durable, pending->offset, pending->data, (size_t)kept);
}

/* ---- rings ----------------------------------------------------------------------------------- */

/* Some moment of the ring. */
static const struct sim_content *draw_moment(const struct sim_file *ring, uint64_t *random)
{
    size_t count = 0;
    while (count < SIM_PAST_KEPT && ring->past[count] != NULL)
        count++;
    const uint64_t drawn = sim_below(random, count + 1);
    return drawn == 0 ? ring->live : ring->past[drawn - 1];
}

static void mix_page(const struct sim_file *ring, uint64_t at, unsigned char page[SIM_PAGE],
                     uint64_t *random)
{
    unsigned char other[SIM_PAGE];
    sim_content_read(draw_moment(ring, random), at, page, SIM_PAGE);
    if (sim_below(random, 4) != 0)
        return;
    const size_t cut = (size_t)sim_below(random, SIM_PAGE / 8) * 8;
    sim_content_read(draw_moment(ring, random), at, other, SIM_PAGE);
    memcpy(page + cut, other + cut, SIM_PAGE - cut);
}

static struct sim_content *ring_after(const struct sim_file *ring,
                                      const struct sim_survivors *survivors, uint64_t *random)
{
    struct sim_content *after = sim_content_share(ring->live);
    const uint64_t size = sim_content_size(after);
    const struct sim_content *moment = ring->live;
    if (survivors->ring == SIM_RING_OLD)
        moment = draw_moment(ring, random);
    for (uint64_t at = 0; at < size && survivors->ring != SIM_RING_NEW; at += SIM_PAGE) {
        unsigned char page[SIM_PAGE];
        if (survivors->ring == SIM_RING_OLD)
            sim_content_read(moment, at, page, SIM_PAGE);
        else
            mix_page(ring, at, page, random);
        sim_content_write(&after, at, page, SIM_PAGE);
    }
    return after;
}

/* The ring of a mounted disk, which begins with what is left of `from`. */
static void mount_ring(struct sim_file *file, const struct sim_file *from,
                       const struct sim_survivors *survivors, uint64_t *random)
{
    file->live = ring_after(from, survivors, random);
    file->durable = sim_content_share(file->live);
    const size_t size = (size_t)sim_content_size(file->live);
    file->ring = sim_allocate(size);
    sim_content_read(file->live, 0, file->ring, size);
}

struct simdisk *simdisk_mount(const struct simdisk_image *image,
                              const struct sim_survivors *survivors)
{
    struct simdisk *disk = simdisk_create();
    disk->rooted = true;
    simdisk_give_ring(disk, image->ring_bytes);
    uint64_t random = survivors->seed;
    struct sim_files after;
    sim_files_share(&after, &image->files);
    for (size_t i = 0; i < image->pending.count; i++)
        settle(image, survivors, i, &after.at[image->pending.at[i]->file], &random);
    for (size_t i = 0; i < after.count; i++) {
        struct sim_file *from = &after.at[i];
        if (!from->named_durable && !from->published)
            continue;
        struct sim_file *file = sim_files_add(&disk->files, sim_name_share(from->name));
        if (from->ring != NULL) {
            mount_ring(file, from, survivors, &random);
        } else {
            file->durable = sim_content_share(from->durable);
            file->live = sim_content_share(from->durable);
        }
        file->named = from->named_durable;
        file->named_durable = from->named_durable;
        file->published = from->ring == NULL;
        file->retired = !from->named_durable;
    }
    sim_files_release(&after);
    return disk;
}

uint64_t simdisk_hash(struct simdisk *disk)
{
    uint64_t hash = 0; /* A sum, so that the order of objects does not matter. */
    for (size_t i = 0; i < disk->files.count; i++) {
        const struct sim_file *file = &disk->files.at[i];
        const uint64_t kind = file->named ? 1 : 2;
        if (!file->named && !file->retired)
            continue;
        const uint64_t name = sim_hash(file->name->text, strlen(file->name->text), kind);
        hash += file->named ? sim_mix(name ^ sim_content_hash(file->live)) : 0;
    }
    return hash;
}
