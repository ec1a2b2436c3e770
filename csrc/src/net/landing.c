/* SPDX-License-Identifier: Apache-2.0 */
/* Not done: to lead messages into the heap after this one. Its memory would have
 * to be allocated ahead, for a tenth of the bytes. */
#include "net/landing.h"

#include <string.h>

#include "base/cache.h"
#include "net/scatter.h"
#include "spead/feed.h"

enum {
    /* Each has room for the largest; with short ones in it nothing would be
     * near its place. */
    MESSAGE_MIN = SPNI_BATCH_LARGEST / 4,
};

void spni_landing_init(spni_landing *landing, spn_stream *stream)
{
    *landing = (spni_landing){.stream = stream};
    spni_guess_init(&landing->guess);
}

/* ---- before the call ---- */

/* By the mean of the last call. */
static bool are_merged(const spni_batch *batch)
{
    return batch->count > 0
        && batch->bytes / batch->count >= MESSAGE_MIN;
}

/* The heap that the next packets belong to, if they may land in it. */
static const spni_assembly *landing_heap(const spn_stream *stream,
                                         size_t max_size)
{
    const spni_sequel *sequel = &stream->sequel;
    const spni_assembly *heap = sequel->assembly;

    if (sequel->version == 0 || heap == NULL
        || heap->sequel_version != sequel->version
        || sequel->payload_length == 0
        || sequel->payload_length >= SPNI_SCATTER_PAYLOAD_MIN
        || sequel->header_length + sequel->payload_length > max_size
        || heap->ranges.count == 0 || heap->heap_length < 0
        || heap->buffer.capacity < (size_t)heap->heap_length)
        return NULL;
    return heap;
}

/* Where in the heap the first message may land. */
static size_t first_place(const spni_landing *landing,
                          const spni_assembly *heap)
{
    const uint8_t *data = heap->buffer.data;
    size_t gap = landing->stream->sequel.payload_length;
    uintptr_t at = (uintptr_t)data + gap
        + (size_t)spni_ranges_last(&heap->ranges)->end;

    return SPNI_CACHE_LINES(at) - (uintptr_t)data;
}

unsigned spni_landing_plan(spni_landing *landing, spni_batch *batch,
                           size_t max_size)
{
    const spni_assembly *heap;
    size_t at;

    landing->count = 0;
    if (!are_merged(batch))
        return 0;
    heap = landing_heap(landing->stream, max_size);
    if (heap == NULL || !spni_guess_may(&landing->guess))
        return 0;
    at = first_place(landing, heap);
    while (landing->count < SPNI_LANDING_MESSAGES
           && at + SPNI_BATCH_LARGEST <= (size_t)heap->heap_length) {
        struct iovec *iovec = &landing->iovecs[landing->count];
        *iovec = (struct iovec){
            .iov_base = (uint8_t *)heap->buffer.data + at,
            .iov_len = SPNI_BATCH_LARGEST,
        };
        batch->messages[landing->count++].msg_hdr.msg_iov = iovec;
        at += SPNI_BATCH_LARGEST;
    }
    return landing->count;
}

/* ---- after it ---- */

/* Feed the message as far as it continues the heap; how far. */
static size_t feed_message(spni_landing *landing, const spni_batch *batch,
                           unsigned number)
{
    const uint8_t *data = landing->iovecs[number].iov_base;
    size_t length = batch->messages[number].msg_len;
    size_t segment = batch->segments[number];
    size_t position = 0;

    if (batch->messages[number].msg_hdr.msg_flags & MSG_TRUNC)
        return 0;
    while (position < length) {
        size_t left = length - position;
        size_t size = segment < left ? segment : left;
        if (!spni_stream_add_next(landing->stream, data + position, size))
            break;
        position += size;
    }
    return position;
}

static void save(const spni_landing *landing, const spni_batch *batch,
                 unsigned number, size_t position)
{
    size_t length = batch->messages[number].msg_len;

    memcpy(spni_batch_slot(batch, number) + position,
           (const uint8_t *)landing->iovecs[number].iov_base + position,
           length - position);
}

void spni_landing_feed(spni_landing *landing, const spni_batch *batch,
                       unsigned *next, size_t *position)
{
    unsigned count =
        landing->count < batch->count ? landing->count : batch->count;
    unsigned number = 0;
    size_t reached = 0;

    /* An empty datagram is not fed but counted. */
    while (number < count && batch->messages[number].msg_len > 0) {
        reached = feed_message(landing, batch, number);
        if (reached < batch->messages[number].msg_len)
            break;
        reached = 0;
        number++;
    }
    if (count > 0)
        spni_guess_judge(&landing->guess, 2 * number >= count);
    *next = number;
    *position = reached;
    for (; number < count; number++) {
        save(landing, batch, number, reached);
        reached = 0;
    }
}
