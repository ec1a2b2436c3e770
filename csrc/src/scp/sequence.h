/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SPNI_SCP_SEQUENCE_H
#define SPNI_SCP_SEQUENCE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "pyspin.h"

enum {
    SPNI_SEQUENCES = 65536,
    SPNI_RESTING_MAX = 32768,
};

/* A number that rests, and until when. */
typedef struct {
    uint32_t until_s;
    uint16_t sequence;
} spni_resting;

/* A number is *fresh* (never used), *in use* (its slot points to its request),
 * *retired* (free again, but a reply to it is known to be late), or *resting*
 * (like retired, and not to be used yet). */
struct spn_sequences {
    unsigned references; /* atomic */
    pthread_mutex_t lock; /* for the rest, and for all windows that use it */
    int windows;          /* that use it */
    uint16_t next;
    uint32_t in_use;
    uint32_t rest_first; /* the ring of resting numbers, oldest first */
    uint32_t rest_count;
    spni_resting resting[SPNI_RESTING_MAX];
    void *slots[SPNI_SEQUENCES];
};

void spni_sequences_ref(spn_sequences *sequences);

/* A number for `request`, or -EAGAIN when half of them all are in use. */
int spni_sequence_take_locked(spn_sequences *sequences, uint64_t now_ns,
                              void *request);

/* The request that has the number, or NULL; then *was_used tells a retired or
 * resting number from a fresh one. */
void *spni_sequence_find_locked(spn_sequences *sequences, uint16_t sequence,
                                bool *was_used);

/* Its request has ended. `rests`: more replies to it may come. */
void spni_sequence_retire_locked(spn_sequences *sequences, uint16_t sequence,
                                 uint64_t now_ns, bool rests);

#endif
