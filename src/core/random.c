#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif

#include "core/random.h"

#include <assert.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

uint64_t random_next(struct random *random)
{
    assert(random != NULL);
    random->state += 0x9e3779b97f4a7c15u;
    uint64_t mixed = random->state;
    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebu;
    return mixed ^ mixed >> 31;
}

/* For a kernel too old or too locked down to have entropy for us. Seeds guard no secrets. */
static uint64_t seed_from_time(void)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_REALTIME, &now);
    const uint64_t time_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
    struct random random = {.state = time_ns ^ (uint64_t)getpid() << 40};
    return random_next(&random);
}

uint64_t random_system_seed(void)
{
    uint64_t seed = 0;
    if (getentropy(&seed, sizeof(seed)) != 0)
        seed = seed_from_time();
    return seed != 0 ? seed : 1;
}
