/* SPDX-License-Identifier: Apache-2.0 */
/* From finished heaps to the ring; loop's thread only. */
#ifndef SPNI_DELIVERY_H
#define SPNI_DELIVERY_H

#include "spead/stream.h"

/* A heap is over: take it out of the table and queue, drop or count it. */
void spni_deliver(spn_stream *stream, spni_assembly *assembly);

/* Take a heap out of the table and forget it. */
void spni_discard(spn_stream *stream, spni_assembly *assembly);

/* Move queued heaps into the ring, and publish the counters with them, so that
 * nobody holds a heap that is not counted. May leave the stream blocked. */
void spni_flush_outbox(spn_stream *stream);

/* There is room in the ring. What waited is moved now or, if there is more room
 * than that needs, with the heaps that follow it at once: consumers need to be
 * woken only once. The caller flushes in the end. May stay blocked. */
void spni_unblock(spn_stream *stream);

/* Deliver all heaps in assembly, oldest first. */
void spni_flush_table(spn_stream *stream);

/* Drop what is queued. */
void spni_drop_outbox(spn_stream *stream);

#endif
