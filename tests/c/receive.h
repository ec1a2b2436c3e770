/* SPDX-License-Identifier: Apache-2.0 */
/* What tests of streams share: threads, a ring, a stream, and deadlines. */
#ifndef RECEIVE_H
#define RECEIVE_H

#include "check.h"
#include "pyspin.h"
#include "spead_build.h"

typedef struct {
    spn_threads *threads;
    spn_ring *ring;
    spn_stream *stream;
} receiver;

static const spn_stream_config plain = {
    .max_heaps = 4,
    .contiguous_only = true,
    .stop_on_stop_item = true,
};

static inline receiver receiver_new(spn_stream_config config,
                                    size_t ring_heaps)
{
    receiver r;
    CHECK_EQ(spn_threads_new(1, NULL, 0, &r.threads), 0);
    CHECK_EQ(spn_ring_new(ring_heaps, &r.ring), 0);
    CHECK_EQ(spn_stream_new(r.threads, &config, NULL, r.ring, &r.stream), 0);
    return r;
}

/* The same as receiver_free, while heaps are still held. */
static inline void receiver_free_keeping(receiver *r)
{
    spn_stream_unref(r->stream);
    spn_ring_unref(r->ring);
    spn_threads_unref(r->threads);
}

static inline void receiver_free(receiver *r)
{
    receiver_free_keeping(r);
    CHECK_EQ(spn_heaps_live(), 0);
    CHECK_EQ(spn_buffers_live(), 0);
}

/* The next heap, or NULL once the stream has stopped. */
static inline spn_heap *receiver_get(receiver *r)
{
    spn_heap *heap;
    int code = spn_ring_pop(r->ring, PATIENCE_MS, &heap, 1);
    if (code == SPN_ESTOPPED)
        return NULL;
    CHECK_EQ(code, 1);
    return heap;
}

static inline spn_stream_stats receiver_stats(receiver *r)
{
    spn_stream_stats stats;
    spn_stream_read_stats(r->stream, &stats);
    return stats;
}

#endif
