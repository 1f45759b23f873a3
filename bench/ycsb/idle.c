#include "engine.h"

#include "common/clock.h"
#include "common/process.h"

enum { LOOK_EVERY_MS = 20, IDLE_LOOKS = 5 };

/* Idle is: next to no processor time, and not a byte written. */
void engine_idle_wait(void)
{
    const double busy_s = LOOK_EVERY_MS * 1e-3 * 0.02;
    struct process_io before, now;
    process_io_read(&before);
    double cpu = clock_cpu_seconds();
    for (int idle = 0; idle < IDLE_LOOKS; idle++) {
        clock_sleep_ms(LOOK_EVERY_MS);
        process_io_read(&now);
        const double cpu_now = clock_cpu_seconds();
        if (cpu_now - cpu > busy_s || now.write_bytes != before.write_bytes)
            idle = -1;
        cpu = cpu_now;
        before = now;
    }
}
