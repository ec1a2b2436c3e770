/* SPDX-License-Identifier: Apache-2.0 */
/* What a loop needs of the pool that it belongs to, and the pool of a loop. */
#ifndef SPNI_THREADS_H
#define SPNI_THREADS_H

#include "base/loop.h"

/* ---- the pool, for its loops ---- */

void spni_threads_ref(spn_threads *threads);

/* Whether this is a child process in which the pool's threads do not exist. */
bool spni_threads_is_forked(const spn_threads *threads);

/* ---- a loop, for its pool ---- */

int spni_loop_new(spn_threads *threads, spni_loop **out);

/* Only when its thread has ended or never begun. */
void spni_loop_free(spni_loop *loop);

/* The body of the loop's thread; returns when the loop has been stopped. */
void spni_loop_run(spni_loop *loop);

/* Ask the loop to stop. Any thread; does not wait. */
void spni_loop_stop(spni_loop *loop);

/* Whether to ask epoll again and again, rather than sleep in it, while there
 * are handlers. Any thread. */
void spni_loop_set_spin(spni_loop *loop, bool spin);

/* Add a resident, unless the loop has been asked to stop (false). */
bool spni_loop_admit(spni_loop *loop, spni_resident *resident);

int spni_loop_resident_count(spni_loop *loop);

#endif
