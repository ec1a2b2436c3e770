/* SPDX-License-Identifier: Apache-2.0 */
/* Heaps are queued until the batch is over or as many are there as the ring had
 * room for, then moved under one lock. So a stream never holds more than one
 * finished heap beyond a full ring (two if a packet evicts one heap and
 * completes another), apart from the flush at the end of the stream. */
#include "spead/delivery.h"

#include <inttypes.h>

#include "base/log.h"

enum {
    OUTBOX_LIMIT = 64,
};

void spni_discard(spn_stream *stream, spni_assembly *assembly)
{
    if (stream->sequel.assembly == assembly)
        stream->sequel.assembly = NULL;
    spni_table_remove(&stream->table, assembly);
    spni_table_recycle(&stream->table, assembly);
}

static void drop_incomplete(spn_stream *stream, const spni_assembly *assembly)
{
    stream->work.heaps++;
    stream->work.heaps_dropped_incomplete++;
    spni_log(SPN_LOG_WARNING,
             "dropped incomplete heap %" PRIu64 " (%zu/%" PRId64
             " bytes of payload)",
             assembly->cnt, assembly->received_length, assembly->heap_length);
}

static void queue_heap(spn_stream *stream, spni_assembly *assembly)
{
    spni_heap *heap = spni_assembly_finish(
        assembly, stream->config.keep_payload_ranges);

    if (heap == NULL) {
        stream->work.heaps_dropped_memory++;
        spni_log(SPN_LOG_WARNING, "dropped heap %" PRIu64 ": out of memory",
                 assembly->cnt);
        return;
    }
    heap->fields.tag = stream->config.tag;
    heap->fields.bug_compat = stream->config.bug_compat;
    spni_heap_queue_push(&stream->outbox, heap);
}

void spni_deliver(spn_stream *stream, spni_assembly *assembly)
{
    if (stream->is_dropping) {
        stream->work.heaps++;
        stream->work.heaps_dropped_stop++;
    } else if (stream->config.contiguous_only
               && !spni_assembly_is_contiguous(assembly)) {
        drop_incomplete(stream, assembly);
    } else {
        queue_heap(stream, assembly);
    }
    spni_discard(stream, assembly);
    if (stream->outbox.count >= stream->outbox_limit && !stream->is_blocked)
        spni_flush_outbox(stream);
}

void spni_flush_table(spn_stream *stream)
{
    while (stream->table.live > 0) {
        spni_assembly *assembly = spni_table_advance(&stream->table);
        if (assembly == NULL)
            continue;
        stream->work.incomplete_heaps_flushed++;
        spni_deliver(stream, assembly);
    }
}

void spni_drop_outbox(spn_stream *stream)
{
    spni_heap *heap;

    while ((heap = spni_heap_queue_pop(&stream->outbox)) != NULL) {
        stream->work.heaps++;
        stream->work.heaps_dropped_stop++;
        spn_heap_unref(&heap->fields);
    }
}

static void warn_blocked(const spn_stream *stream)
{
    for (spni_reader *it = stream->readers; it != NULL; it = it->next) {
        if (it->kind->is_lossy) {
            spni_log(SPN_LOG_WARNING,
                     "readers suspended: the ring is full "
                     "(the heaps are not taken fast enough)");
            return;
        }
    }
}

/* The packet whose heap waits is not counted before its heap is. */
static void publish_blocked_locked(spn_stream *stream)
{
    uint64_t packets = stream->published.packets;
    uint64_t bytes = stream->published.bytes;

    stream->published = stream->work;
    if (stream->work.packets > packets) {
        stream->published.packets = stream->work.packets - 1;
        stream->published.bytes = stream->work.bytes - stream->last_length;
    } else {
        stream->published.bytes = bytes;
    }
}

static void account_locked(spn_stream *stream, int pushed, size_t length)
{
    bool was_blocked = stream->is_blocked;

    if (pushed > 0)
        stream->work.heaps += (uint64_t)pushed;
    if (length > stream->work.ring_high_water)
        stream->work.ring_high_water = length;
    stream->is_blocked = stream->outbox.count > 0 && pushed >= 0;
    if (!stream->is_blocked) {
        stream->published = stream->work;
    } else if (!was_blocked) {
        stream->work.worker_blocked++;
        publish_blocked_locked(stream);
    } else {
        stream->published.heaps = stream->work.heaps;
        stream->published.ring_high_water = stream->work.ring_high_water;
    }
}

void spni_flush_outbox(spn_stream *stream)
{
    bool was_blocked = stream->is_blocked;
    size_t length, room;
    int pushed;

    pthread_mutex_lock(&stream->lock);
    pushed =
        spni_ring_push(stream->ring, &stream->outbox, &stream->waiter, &length);
    account_locked(stream, pushed, length);
    pthread_mutex_unlock(&stream->lock);
    if (pushed == SPN_ESTOPPED && !stream->is_dropping) {
        /* Nobody will ever take them: as if the stream had been stopped. */
        stream->is_dropping = true;
        stream->has_ended = true;
        spni_drop_outbox(stream);
    }
    if (stream->is_blocked && !was_blocked)
        warn_blocked(stream);
    room = spni_ring_room(stream->ring);
    stream->outbox_limit = room < OUTBOX_LIMIT ? room : OUTBOX_LIMIT;
}
