/* SPDX-License-Identifier: Apache-2.0 */
/* Merged packets land in their heap, beyond their places, and are moved there.
 *
 * The copy from the bounce buffer to the heap costs as much for what it reads as
 * for what it writes. If the kernel has written to the heap itself, a little
 * further on than where the payloads belong, both are in the cache already:
 *
 *     heap:  [received][gap][header 0][payload 0][header 1][payload 1] ...
 *            [received][payload 0][payload 1] ...
 *
 * No payload reaches what has not been read yet: the gap is as long as one, and
 * every header makes the distance longer. This holds as long as the packets are
 * those that continue the heap. From the first that is not, all is *saved* to
 * the bounce buffer before anything else is written, and goes the ordinary way.
 *
 * The packet that ends the heap is none of them. So the heap is not complete
 * and nobody sees it, and nothing is delivered, before all has been taken or
 * saved: what has landed does not outlast the call. */
#ifndef SPNI_LANDING_H
#define SPNI_LANDING_H

#include "net/batch.h"
#include "net/guess.h"
#include "spead/stream.h"

enum {
    SPNI_LANDING_MESSAGES = 16, /* for one call */
};

typedef struct {
    spn_stream *stream;
    spni_guess guess;
    unsigned count; /* messages that are led into the heap */
    struct iovec iovecs[SPNI_LANDING_MESSAGES];
} spni_landing;

void spni_landing_init(spni_landing *landing, spn_stream *stream);

/* Lead the first messages of the next call into the heap of the last packet. How
 * many; 0: it would not pay. max_size is of a datagram. */
unsigned spni_landing_plan(spni_landing *landing, spni_batch *batch,
                           size_t max_size);

/* Feed what has landed as far as it continues the heap, and save the rest:
 * datagrams from *position in message *next on lie in the bounce buffer. */
void spni_landing_feed(spni_landing *landing, const spni_batch *batch,
                       unsigned *next, size_t *position);

#endif
