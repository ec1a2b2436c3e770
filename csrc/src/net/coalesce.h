/* SPDX-License-Identifier: Apache-2.0 */
/* When to let a socket fill before the next call. Pure: times are passed in.
 *
 * Packets that come one a message, faster than they are worth waking for, may
 * cost more in sleeping and waking than in receiving. Then, and only then, the
 * next call waits for a while that the user has bounded. At low rates, and in
 * bursts shorter than a measuring window, nothing waits. Whether it pays is
 * tried (net/trial.h): on some machines waking up from a timer costs more than
 * all that it saves. */
#ifndef SPNI_COALESCE_H
#define SPNI_COALESCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/trial.h"

typedef struct {
    uint64_t bound_ns;    /* the longest wait; 0: never */
    size_t buffer_size;   /* of the socket: it must not overflow meanwhile */
    double message_rate;  /* of the last full window, a nanosecond */
    double byte_rate;
    spni_trial trial;

    /* The present window. */
    uint64_t window_ns; /* when it began */
    uint64_t cpu_ns;    /* of the thread, then */
    uint64_t messages;
    uint64_t bytes;
    bool could_wait;
} spni_coalesce;

void spni_coalesce_init(spni_coalesce *coalesce, uint64_t bound_ns,
                        size_t buffer_size, uint64_t now_ns);

/* A call at now_ns brought so much. True: the window is over, to be closed. */
bool spni_coalesce_count(spni_coalesce *coalesce, uint64_t now_ns,
                         unsigned messages, size_t bytes);

/* Begin another window. cpu_ns is the processor time of the thread so far. */
void spni_coalesce_close(spni_coalesce *coalesce, uint64_t now_ns,
                         uint64_t cpu_ns);

/* How long to wait after a call that brought so many messages, in ns. */
uint64_t spni_coalesce_wait_ns(spni_coalesce *coalesce, unsigned messages);

#endif
