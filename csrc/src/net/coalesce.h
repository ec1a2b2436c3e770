/* SPDX-License-Identifier: Apache-2.0 */
/* When to let a socket fill before the next call. Pure: time is passed in.
 *
 * Packets that come one a message, faster than they are worth waking for, cost
 * more in sleeping and waking than in receiving. Then, and only then, the next
 * call waits for a while that the user has bounded. At low rates, and in bursts
 * shorter than a measuring window, nothing waits. */
#ifndef SPNI_COALESCE_H
#define SPNI_COALESCE_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint64_t bound_ns;    /* the longest wait; 0: never */
    size_t buffer_size;   /* of the socket: it must not overflow meanwhile */
    uint64_t window_ns;   /* when the present window began; 0: none has */
    uint64_t messages;    /* in the present window */
    uint64_t bytes;
    double message_rate;  /* of the last full window, a nanosecond */
    double byte_rate;
} spni_coalesce;

/* A call at now_ns brought so much. How long to wait before the next, in ns. */
uint64_t spni_coalesce_decide(spni_coalesce *coalesce, uint64_t now_ns,
                              unsigned messages, size_t bytes);

#endif
