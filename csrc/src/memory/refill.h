/* SPDX-License-Identifier: Apache-2.0 */
/* The background task that refills a pool. It holds the pool weakly: a pool
 * may die while its refill waits for its turn on the loop. */
#ifndef SPNI_REFILL_H
#define SPNI_REFILL_H

#include "memory/allocator.h"

typedef struct spni_refill spni_refill;

/* Adds one buffer; whether more are wanted. On the loop's thread. */
typedef bool (*spni_refill_step)(spn_allocator *pool);

/* 0; -ENOMEM; SPN_ESTOPPED if `threads` has been stopped, or does not exist in
 * this forked child. */
int spni_refill_new(spn_threads *threads, spn_allocator *pool,
                    spni_refill_step step, spni_refill **out);

/* Call `step` on the loop, once a round, until it has had enough. Nothing if
 * that is under way already or the loop has ended. Any thread, no locks held. */
void spni_refill_request(spni_refill *refill);

/* The pool is going; frees the refill, at once or when its task has had its
 * turn. Never waits for a step. */
void spni_refill_free(spni_refill *refill);

#endif
