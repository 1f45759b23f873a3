/* The rows of a run, once, from front to back: what merges read. Goes past the cache, which keeps what
 * readers want, and takes large pieces of a part at a time. Every frame is checked. */
#ifndef STRATA_TABLE_RUN_INPUT_H
#define STRATA_TABLE_RUN_INPUT_H

#include "table/run.h"

/* What the pieces of all inputs of a merge take, and may take. */
struct input_room {
    size_t bytes;
    size_t bytes_max;
};

/* Goes forward only. A row's value lives longer than the source contract says: until a move that
 * begins with `moves`. */
struct run_input {
    struct source source;
    struct run *run;
    struct input_room *room; /* NULL: nobody counts. */
    uint32_t piece_bytes;
    uint32_t part_index; /* The part being read, */
    uint64_t rows_left;  /* rows of it behind the frame, */
    uint32_t end_unit;   /* and the unit behind the bytes read. */
    struct buffer bytes; /* A piece of it, of whole units. */
    size_t frame_at;     /* Where in it the frame lies. */
    struct frame frame;
    unsigned index;    /* Of the row. */
    struct buffer key; /* Where row.key is put together: first the frame's prefix. */
    bool moves;        /* The next move lets go of the piece. */
};

/* `piece_bytes`: read at a time, about. The run stays for as long as the input does. */
void run_input_init(struct run_input *input, struct run *run, uint32_t piece_bytes);

#endif
