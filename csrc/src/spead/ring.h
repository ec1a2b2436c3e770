/* SPDX-License-Identifier: Apache-2.0 */
/* The producers' side of spn_ring. */
#ifndef SPNI_RING_H
#define SPNI_RING_H

#include "pyspin.h"
#include "spead/heap.h"

/* A producer that waits for room. Embedded in its owner; starts zeroed with
 * `resume` set. */
typedef struct spni_ring_waiter {
    /* Called once, by the taker, under the ring's lock: may only post. */
    void (*resume)(struct spni_ring_waiter *waiter);
    struct spni_ring_waiter *next; /* the ring's */
    bool waiting;                  /* the ring's */
} spni_ring_waiter;

/* Take a reference and become a producer. 0, SPN_ESTOPPED or SPN_EFORKED. */
int spni_ring_join(spn_ring *ring);

/* Be no producer any more; the last one stops the ring. The reference stays
 * for spn_ring_unref. */
void spni_ring_leave(spn_ring *ring);

/* Move heaps from the queue into the ring as far as there is room. How many,
 * or SPN_ESTOPPED. If some remain, `waiter` (NULL: nobody) is resumed when a
 * heap has been taken, or the ring stopped. *length becomes the ring's. */
int spni_ring_push(spn_ring *ring, spni_heap_queue *queue,
                   spni_ring_waiter *waiter, size_t *length);

/* After this, `resume` is not called. */
void spni_ring_forget(spn_ring *ring, spni_ring_waiter *waiter);

/* Wait, busily and for some tens of microseconds at most, until a consumer at
 * work has made room for a batch of heaps. False: not by then, nor until_ns. */
bool spni_ring_await_room(const spn_ring *ring, uint64_t until_ns);

/* Whether this process is a child of the one that made it. */
bool spni_ring_is_forked(const spn_ring *ring);

/* How many more heaps fit now; others may change it at once. */
size_t spni_ring_room(const spn_ring *ring);

#endif
