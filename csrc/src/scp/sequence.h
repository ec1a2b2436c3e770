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
    unsigned forks;      /* spni_fork_count() when it was made */
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

/* Whether this process is a child of the one that made it. Replies to both
 * would come to one socket, and the lock may be that of a thread that is not
 * here: what uses it is to be refused before it takes the lock. */
bool spni_sequences_are_forked(const spn_sequences *sequences);

/* Whether a number can be given out; not when half of them all are in use. */
bool spni_sequence_any_locked(const spn_sequences *sequences);

/* A number for `request`, or SPN_ENUMBERS. */
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
