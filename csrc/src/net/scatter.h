/* SPDX-License-Identifier: Apache-2.0 */
/* Scatter placement: the kernel writes payloads where they belong.
 *
 * The next packets of a big heap are predictable, so before a receiving call
 * the messages are given iovecs that lead their payloads into the heap:
 * header, slot, header, slot and so on, from where the heap ends now into
 * buffers for the heaps after it, and last a tail in the bounce buffer, so that
 * no message is ever cut. After the call the packets are compared with the
 * plan, in order. As long as they are what was planned they are *placed*.
 * From the first that is not, all that the call brought is *saved*: copied to
 * the bounce buffer as if it had been received there, before anything is
 * written to a heap. So a wrong guess costs a copy and changes nothing else.
 *
 * Slots lie in parts that have not been received, of heaps whose HEAP_LEN is
 * known: such a heap is neither complete nor contiguous, so no user can see it.
 */
#ifndef SPNI_SCATTER_H
#define SPNI_SCATTER_H

#include <sys/socket.h>
#include <sys/uio.h>

#include "net/guess.h"
#include "spead/stream.h"

enum {
    /* Below, the iovecs cost the kernel more than the copy costs us. */
    SPNI_SCATTER_PAYLOAD_MIN = 4096,
    SPNI_SCATTER_PACKETS = 256, /* planned for one call */
    SPNI_SCATTER_MESSAGES = 64,
    SPNI_SCATTER_SPARES = 4, /* heaps that may begin within one call */
    SPNI_SCATTER_INDEXES = 512,
    SPNI_SCATTER_IOVECS = 2 * SPNI_SCATTER_PACKETS + SPNI_SCATTER_MESSAGES,
};

/* Where a packet is expected. */
typedef struct {
    uint8_t *slot;
    uint64_t offset;
    size_t header_length;
    size_t payload_length;
    unsigned target; /* 0: the live heap, i: the spare buffer i - 1 */
} spni_slot;

/* A message's part of the plan. */
typedef struct {
    unsigned first; /* slot */
    unsigned count; /* slots */
    unsigned index; /* of its first packet in its heap */
    size_t length;  /* bytes before the tail */
} spni_planned;

typedef struct {
    spn_stream *stream;
    uint8_t *bounce; /* the reader's, one slot of bounce_size a message */
    size_t bounce_size;
    size_t message_size; /* the largest message */

    /* What was learnt. */
    bool has_heap;
    uint64_t cnt;
    spni_shape shape;
    uint8_t counts[SPNI_SCATTER_INDEXES]; /* packets of the message that begins
                                           * at that packet of a heap; 0: ? */
    uint8_t usual_count;
    unsigned last_count; /* messages of the last call */

    /* When to guess at all. */
    spni_guess guess;
    size_t horizon; /* bytes to plan for a call */

    /* The plan of this call. */
    spni_buffer spares[SPNI_SCATTER_SPARES];
    unsigned message_count;
    unsigned slot_count;
    unsigned iovec_count;
    spni_planned planned[SPNI_SCATTER_MESSAGES];
    spni_slot slots[SPNI_SCATTER_PACKETS];
    struct iovec iovecs[SPNI_SCATTER_IOVECS];
    uint8_t headers[SPNI_SCATTER_PACKETS][SPNI_SEQUEL_HEADER_MAX];

    /* What came of it. */
    unsigned placed;
    unsigned fed;
    spni_packet packets[SPNI_SCATTER_PACKETS]; /* the placed ones */
} spni_scatter;

/* Where a message lands that the plan does not lead elsewhere. */
static inline uint8_t *spni_scatter_bounce(const spni_scatter *scatter,
                                           unsigned message)
{
    return scatter->bounce + message * scatter->bounce_size;
}

/* NULL without memory. Each of the messages has bounce_size bytes at `bounce`,
 * message_size of which may be used. */
spni_scatter *spni_scatter_new(spn_stream *stream, uint8_t *bounce,
                               size_t bounce_size, size_t message_size);
void spni_scatter_free(spni_scatter *scatter);

/* Plan a call. How many messages, from the first on, now have iovecs of the
 * plan; receive no more than these. 0: guessing would not pay. */
unsigned spni_scatter_plan(spni_scatter *scatter, struct mmsghdr *messages);

/* Compare what came with the plan, and save what is not placed. segments[i] is
 * the size of the datagrams in message i. */
void spni_scatter_check(spni_scatter *scatter, const struct mmsghdr *messages,
                        const size_t *segments, unsigned count,
                        size_t max_size);

/* Feed the next datagram of the batch, if it has been placed. *goes_on as
 * spni_stream_add_datagram; false: it has not and lies in the bounce buffer. */
bool spni_scatter_feed(spni_scatter *scatter, bool *goes_on);

/* The batch has been fed: remember which heap its packets belonged to. */
void spni_scatter_learn(spni_scatter *scatter);

#endif
