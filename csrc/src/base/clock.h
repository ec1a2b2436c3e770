/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SPNI_CLOCK_H
#define SPNI_CLOCK_H

#include <stdint.h>
#include <time.h>

#define SPNI_SECOND_NS UINT64_C(1000000000)

/* CLOCK_MONOTONIC in nanoseconds. */
static inline uint64_t spni_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * SPNI_SECOND_NS + (uint64_t)now.tv_nsec;
}

/* The processor time of the calling thread in nanoseconds. */
static inline uint64_t spni_thread_cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * SPNI_SECOND_NS + (uint64_t)now.tv_nsec;
}

#endif
