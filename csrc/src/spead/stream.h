/* SPDX-License-Identifier: Apache-2.0 */
/* What the files that make up a stream share: stream.c (its life), feed.c (from
 * packets to heaps), delivery.c (from heaps to the ring), counters.c.
 *
 * A stream lives on one loop. It is *running* until its end; *ending* when the
 * network has ended it (a stop item, the end of a memory reader) and heaps
 * still wait for room in the ring; then *stopped*. While running it is *blocked* when
 * a heap found no room in the ring; its readers are then suspended.
 */
#ifndef SPNI_STREAM_H
#define SPNI_STREAM_H

#include <pthread.h>

#include "base/loop.h"
#include "pyspin.h"
#include "spead/reader.h"
#include "spead/ring.h"
#include "spead/sequel.h"
#include "spead/table.h"

typedef enum {
    SPNI_STREAM_RUNNING,
    SPNI_STREAM_ENDING,
    SPNI_STREAM_STOPPED,
} spni_stream_state;

/* How the last heap was cut into packets: the packet that began it, and those
 * after it but the last. What the next heap is expected to be like. */
typedef struct {
    size_t heap_length; /* 0: not known */
    size_t first_header_length;
    size_t first_payload_length;
    size_t header_length;
    size_t payload_length;
} spni_shape;

struct spn_stream {
    unsigned references; /* atomic */
    spni_loop *loop;
    spni_resident resident;
    spn_ring *ring; /* a reference */
    spn_stream_config config;

    /* Atomic. */
    spni_copy copy;
    bool stop_on_stop_item;
    bool is_stopped; /* ending or stopped */

    /* Loop's thread only. */
    spni_stream_state state;
    bool has_ended; /* a packet or reader said so; settle does it */
    bool is_blocked;
    bool is_dropping; /* stop(): heaps are counted and dropped */
    spni_reader *readers;
    spn_allocator *allocator; /* a reference */
    spni_table table;
    spni_shells *shells; /* of its heaps */
    spni_sequel sequel;
    uint64_t now_ns; /* when the packets being fed were read */
    spni_shape shape;
    spni_heap_queue outbox;
    size_t outbox_limit; /* with so many the outbox is emptied */
    unsigned waits_left_out; /* so often a full ring is not waited for */
    size_t last_length;  /* bytes of the packet being fed */
    spni_ring_waiter waiter;
    spni_task resume;
    spn_stream_stats work;

    pthread_mutex_t lock;
    spn_stream_stats published; /* protected by lock */
};

/* Do what has become due while packets were fed: end the stream, or suspend
 * its readers. The readers may be gone afterwards. */
void spni_stream_settle(spn_stream *stream);

#endif
