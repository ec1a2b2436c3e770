/* SPDX-License-Identifier: Apache-2.0 */
/* How long replies take, and how long it is reasonable to wait for one. */
#ifndef SPNI_SCP_ROUND_TRIP_H
#define SPNI_SCP_ROUND_TRIP_H

#include <stdint.h>

typedef struct {
    uint64_t mean_ns; /* smoothed; 0: none yet */
    uint64_t spread_ns;
} spni_round_trip;

/* A reply took so long. */
void spni_round_trip_take(spni_round_trip *it, uint64_t took_ns);

/* The silence after which the next reply is overdue. */
uint64_t spni_round_trip_patience_ns(const spni_round_trip *it);

#endif
