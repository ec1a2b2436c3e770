/* SPDX-License-Identifier: Apache-2.0 */
/* When the next burst may go. Pure: time is handed in. */
#ifndef SPNI_RATE_H
#define SPNI_RATE_H

#include <stdbool.h>
#include <stdint.h>

/* A time in nanoseconds with a fraction in [0, 1). */
typedef struct {
    uint64_t ns;
    double fraction;
} spni_instant;

typedef struct {
    double average_ns;   /* per byte; 0: unlimited */
    double burst_ns;     /* per byte when catching up */
    uint64_t burst_size;
    uint64_t limit;      /* of the burst that is under way */
    uint64_t pending;    /* bytes sent that no clock has counted */
    spni_instant average;
    spni_instant burst;
    uint64_t target_ns;  /* of the wait that is under way; 0: none */
    uint64_t grace_ns;   /* by which it may end late and lose nothing */
    uint64_t idle_ns;    /* since when there is nothing to send; 0: there is */
} spni_rate;

/* rate in bytes a second, 0: unlimited. Begins idle. */
void spni_rate_init(spni_rate *rate, double bytes_per_second,
                    double burst_rate_ratio, uint64_t burst_size,
                    uint64_t now_ns);

static inline bool spni_rate_is_limited(const spni_rate *rate)
{
    return rate->average_ns > 0;
}

/* How many bytes may be sent now before the rate is to be asked again: 0 while
 * waiting, then *until_ns is the time to wait for. The last packet may go over
 * the number. UINT64_MAX when unlimited. */
uint64_t spni_rate_allowance(spni_rate *rate, uint64_t now_ns,
                             uint64_t *until_ns);

/* So many bytes have been sent. */
void spni_rate_count(spni_rate *rate, uint64_t bytes);

/* There is nothing more to send. The time until the next allowance is asked
 * for earns no credit. */
void spni_rate_idle(spni_rate *rate, uint64_t now_ns);

#endif
