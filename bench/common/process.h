/* What the system says of this process: memory, reads and writes, files. */
#ifndef STRATA_BENCH_PROCESS_H
#define STRATA_BENCH_PROCESS_H

#include <stddef.h>
#include <stdint.h>

struct process_io {
    uint64_t read_calls, write_calls;
    uint64_t read_bytes, write_bytes; /* As the calls asked for, page cache or not. */
    uint64_t device_read_bytes;       /* From the device. */
    uint64_t device_write_bytes;      /* Made dirty or written past the page cache. */
};

/* Zero where the system does not tell. What reading it costs is not in it. */
void process_io_read(struct process_io *out);
void process_io_since(const struct process_io *before, struct process_io *out);

uint64_t process_resident_bytes(void);
uint64_t process_resident_peak_bytes(void);
void process_resident_peak_reset(void); /* The peak starts anew, where the system can do that. */

/* Reads completed by the disk that `folder` is on, of all processes; 0 where unknown. */
uint64_t disk_reads(const char *folder);

struct folder_size {
    uint64_t bytes; /* Allocated. */
    uint64_t files;
    uint64_t log_bytes; /* Of files below a folder named "wal" or "log". */
};

/* Makes "parent/name-XXXXXX"; writes its path to `out`. -1 after saying why. */
int folder_make(const char *parent, const char *name, char *out, size_t capacity);
void folder_remove(const char *path);
struct folder_size folder_measure(const char *path);
void folder_forget(const char *path); /* Its files are written and leave the page cache. */

/* A control group, below the one that this process is in, whose members may hold at most
 * `limit_bytes` together, page cache included. Writes its path to `out`. -1, with an empty path,
 * where there is no memory controller to be had. */
int memory_group_make(uint64_t limit_bytes, char *out, size_t capacity);
int memory_group_join(const char *path);
void memory_group_remove(const char *path); /* Its members have ended. */

#endif
