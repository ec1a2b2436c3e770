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
    LEFT_OUT = 16,
    /* A turn that has taken so long is not drawn out by waiting: the loop has
     * other readers. */
    TURN_NS = 1000000,
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
        assembly, stream->shells, stream->config.keep_payload_ranges);

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

static void set_limit(spn_stream *stream)
{
    size_t room = spni_ring_room(stream->ring);

    stream->outbox_limit = room < OUTBOX_LIMIT ? room : OUTBOX_LIMIT;
}

/* The room is looked at only when there was not enough. */
static bool is_outbox_full(spn_stream *stream)
{
    if (stream->outbox.count >= stream->outbox_limit)
        set_limit(stream);
    return stream->outbox.count >= stream->outbox_limit;
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
    if (!stream->is_blocked && is_outbox_full(stream))
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

static uint64_t larger(uint64_t left, uint64_t right)
{
    return left > right ? left : right;
}

/* While a heap waits, the packet that completed it is not counted either. */
static void publish_locked(spn_stream *stream)
{
    spn_stream_stats *published = &stream->published;
    uint64_t packets = published->packets;
    uint64_t bytes = published->bytes;

    *published = stream->work;
    if (stream->outbox.count == 0)
        return;
    published->packets = larger(packets, stream->work.packets - 1);
    published->bytes = larger(bytes, stream->work.bytes - stream->last_length);
}

/* Move what fits into the ring. If not all does, `waiter` waits; NULL: nobody
 * does, and the stream is not blocked. */
static int move(spn_stream *stream, spni_ring_waiter *waiter)
{
    spn_stream_stats *work = &stream->work;
    size_t length;
    int pushed;

    pthread_mutex_lock(&stream->lock);
    pushed = spni_ring_push(stream->ring, &stream->outbox, waiter, &length);
    if (pushed > 0)
        work->heaps += (uint64_t)pushed;
    work->ring_high_water = larger(work->ring_high_water, length);
    if (stream->outbox.count == 0 || pushed < 0) {
        stream->is_blocked = false;
    } else if (waiter != NULL && !stream->is_blocked) {
        stream->is_blocked = true;
        work->worker_blocked++;
    }
    publish_locked(stream);
    pthread_mutex_unlock(&stream->lock);
    return pushed;
}

/* Whether a full ring has room after a moment's wait. Where that was in vain the
 * consumers are slow, and the next times there is no wait. */
static bool await_room(spn_stream *stream)
{
    if (stream->waits_left_out > 0) {
        stream->waits_left_out--;
        return false;
    }
    if (spni_ring_await_room(stream->ring, stream->now_ns + TURN_NS))
        return true;
    stream->waits_left_out = LEFT_OUT;
    return spni_ring_room(stream->ring) > 0;
}

void spni_flush_outbox(spn_stream *stream)
{
    bool was_blocked = stream->is_blocked;
    int pushed = move(stream, NULL);

    while (pushed >= 0 && stream->outbox.count > 0 && !was_blocked
           && await_room(stream))
        pushed = move(stream, NULL);
    if (pushed >= 0 && stream->outbox.count > 0)
        pushed = move(stream, &stream->waiter);
    if (pushed == SPN_ESTOPPED && !stream->is_dropping) {
        /* Nobody will ever take them: as if the stream had been stopped. */
        stream->is_dropping = true;
        stream->has_ended = true;
        spni_drop_outbox(stream);
    }
    if (stream->is_blocked && !was_blocked)
        warn_blocked(stream);
    set_limit(stream);
}

void spni_unblock(spn_stream *stream)
{
    set_limit(stream);
    if (stream->state == SPNI_STREAM_RUNNING
        && stream->outbox.count < stream->outbox_limit)
        stream->is_blocked = false;
    else
        spni_flush_outbox(stream);
}
