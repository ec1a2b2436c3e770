/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a stream. What changes it runs on its loop: other threads get
 * there through spni_loop_call, so that no lock is needed for what feeding
 * packets touches. */
#include "spead/stream.h"

#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/threads.h"
#include "spead/delivery.h"
#include "spead/feed.h"

/* ---- the end ---- */

static void destroy_readers(spn_stream *stream)
{
    while (stream->readers != NULL) {
        spni_reader *reader = stream->readers;
        stream->readers = reader->next;
        reader->kind->destroy(reader);
    }
}

static void publish(spn_stream *stream)
{
    pthread_mutex_lock(&stream->lock);
    stream->published = stream->work;
    pthread_mutex_unlock(&stream->lock);
}

/* Nothing waits any more. Counters come first: who sees the ring stopped sees
 * them final. */
static void finish(spn_stream *stream)
{
    stream->state = SPNI_STREAM_STOPPED;
    publish(stream);
    spni_ring_leave(stream->ring);
}

static void mark_stopped(spn_stream *stream)
{
    __atomic_store_n(&stream->is_stopped, true, __ATOMIC_RELEASE);
}

/* The network has ended the stream. */
static void end(spn_stream *stream)
{
    stream->state = SPNI_STREAM_ENDING;
    mark_stopped(stream);
    destroy_readers(stream);
    spni_flush_table(stream);
    if (!stream->is_blocked)
        spni_flush_outbox(stream);
    if (!stream->is_blocked)
        finish(stream);
}

static void stop_waiting(spn_stream *stream)
{
    if (!stream->is_blocked)
        return;
    spni_ring_forget(stream->ring, &stream->waiter);
    spni_loop_unpost(stream->loop, &stream->resume);
    stream->is_blocked = false;
}

/* Packets that have been received are still counted, their heaps dropped. */
static void drain_readers(spn_stream *stream)
{
    for (spni_reader *it = stream->readers; it != NULL; it = it->next) {
        if (!stream->has_ended)
            it->kind->drain(it);
    }
}

static void stop_main(void *stream_void)
{
    spn_stream *stream = stream_void;
    uint64_t dropped = stream->work.heaps_dropped_stop;

    if (stream->state == SPNI_STREAM_STOPPED)
        return;
    mark_stopped(stream);
    stop_waiting(stream);
    stream->is_dropping = true;
    spni_drop_outbox(stream);
    drain_readers(stream);
    destroy_readers(stream);
    spni_flush_table(stream);
    finish(stream);
    dropped = stream->work.heaps_dropped_stop - dropped;
    if (dropped > 0)
        spni_log(SPN_LOG_INFO, "heaps dropped by an external stop: %llu",
                 (unsigned long long)dropped);
}

static void pool_stopping(spni_resident *resident)
{
    stop_main((char *)resident - offsetof(spn_stream, resident));
}

/* ---- suspension ---- */

static void suspend_readers(spn_stream *stream)
{
    for (spni_reader *it = stream->readers; it != NULL; it = it->next) {
        if (it->is_active)
            it->kind->suspend(it);
        it->is_active = false;
    }
}

static void resume_readers(spn_stream *stream)
{
    for (spni_reader *it = stream->readers; it != NULL; it = it->next) {
        if (it->is_active)
            continue;
        if (stream->is_blocked || stream->has_ended)
            return;
        it->is_active = true;
        it->kind->resume(it);
    }
}

void spni_stream_settle(spn_stream *stream)
{
    if (stream->state != SPNI_STREAM_RUNNING)
        return;
    if (stream->is_dropping) {
        /* The ring was stopped under it. */
        stream->has_ended = false;
        stop_main(stream);
    } else if (stream->has_ended) {
        end(stream);
    } else if (stream->is_blocked) {
        suspend_readers(stream);
    }
}

/* There is room in the ring again. */
static void resume_main(spni_task *task)
{
    spn_stream *stream =
        (void *)((char *)task - offsetof(spn_stream, resume));

    if (!stream->is_blocked)
        return;
    spni_unblock(stream);
    if (stream->is_blocked)
        return;
    if (stream->state == SPNI_STREAM_ENDING) {
        finish(stream);
        return;
    }
    resume_readers(stream);
    if (!stream->is_blocked)
        spni_flush_outbox(stream);
    spni_stream_settle(stream);
}

static void post_resume(spni_ring_waiter *waiter)
{
    spn_stream *stream =
        (void *)((char *)waiter - offsetof(spn_stream, waiter));
    spni_loop_post(stream->loop, &stream->resume);
}

/* ---- birth and death ---- */

static int init(spn_stream *stream, spn_allocator *allocator)
{
    int code = spni_table_init(&stream->table, stream->config.max_heaps);

    if (code < 0)
        return code;
    code = -ENOMEM;
    stream->shells = spni_shells_new();
    if (stream->shells == NULL)
        goto fini_table;
    stream->allocator = allocator;
    if (allocator != NULL)
        spni_allocator_ref(allocator);
    else if (spn_allocator_new_malloc(&stream->allocator) < 0)
        goto free_shells;
    stream->references = 1;
    stream->copy = spni_copy_find(stream->config.memcpy_id);
    stream->stop_on_stop_item = stream->config.stop_on_stop_item;
    stream->resident.stopping = pool_stopping;
    stream->waiter.resume = post_resume;
    stream->resume.run = resume_main;
    spni_heap_queue_init(&stream->outbox);
    pthread_mutex_init(&stream->lock, NULL);
    return 0;

free_shells:
    spni_shells_free(stream->shells);
fini_table:
    spni_table_fini(&stream->table);
    return code;
}

static void fini(spn_stream *stream)
{
    pthread_mutex_destroy(&stream->lock);
    spn_allocator_unref(stream->allocator);
    spni_shells_free(stream->shells);
    spni_table_fini(&stream->table);
}

int spn_stream_new(spn_threads *threads, const spn_stream_config *config,
                   spn_allocator *allocator, spn_ring *ring, spn_stream **out)
{
    spn_stream *stream;
    int code;

    if (config->max_heaps < 1 || spni_copy_find(config->memcpy_id) == NULL)
        return -EINVAL;
    stream = calloc(1, sizeof *stream);
    if (stream == NULL)
        return -ENOMEM;
    stream->config = *config;
    stream->ring = ring;
    code = init(stream, allocator);
    if (code < 0)
        goto free_stream;
    code = spni_ring_join(ring);
    if (code < 0)
        goto fini_stream;
    /* Last: from here on the pool may stop the stream. */
    stream->loop = spni_loop_join(threads, &stream->resident);
    if (stream->loop == NULL)
        goto leave_ring;
    *out = stream;
    return 0;

leave_ring:
    code = spni_threads_is_forked(threads) ? SPN_EFORKED : SPN_ESTOPPED;
    spni_ring_leave(ring);
    spn_ring_unref(ring);
fini_stream:
    fini(stream);
free_stream:
    free(stream);
    return code;
}

void spn_stream_stop(spn_stream *stream)
{
    spni_loop_call(stream->loop, stop_main, stream);
}

void spn_stream_unref(spn_stream *stream)
{
    if (stream == NULL
        || __atomic_sub_fetch(&stream->references, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    /* In a forked child its thread does not exist: leave all as it is. */
    if (spni_loop_call(stream->loop, stop_main, stream) < 0)
        return;
    spni_loop_leave(stream->loop, &stream->resident);
    spn_ring_unref(stream->ring);
    fini(stream);
    free(stream);
}

bool spn_stream_is_stopped(spn_stream *stream)
{
    return __atomic_load_n(&stream->is_stopped, __ATOMIC_ACQUIRE);
}

/* ---- settings ---- */

typedef struct {
    spn_stream *stream;
    spn_allocator *allocator;
} allocator_change;

static void set_allocator_main(void *change_void)
{
    allocator_change *change = change_void;
    spn_allocator *old = change->stream->allocator;

    change->stream->allocator = change->allocator;
    change->allocator = old;
}

void spn_stream_set_allocator(spn_stream *stream, spn_allocator *allocator)
{
    allocator_change change = {stream, allocator};

    spni_allocator_ref(allocator);
    spni_loop_call(stream->loop, set_allocator_main, &change);
    spn_allocator_unref(change.allocator);
}

int spn_stream_set_memcpy(spn_stream *stream, int memcpy_id)
{
    spni_copy copy = spni_copy_find(memcpy_id);

    if (copy == NULL)
        return -EINVAL;
    __atomic_store_n(&stream->copy, copy, __ATOMIC_RELAXED);
    return 0;
}

void spn_stream_set_stop_on_stop_item(spn_stream *stream, bool stop)
{
    __atomic_store_n(&stream->stop_on_stop_item, stop, __ATOMIC_RELAXED);
}

void spn_stream_read_stats(spn_stream *stream, spn_stream_stats *out)
{
    /* In a forked child the lock may have been left held. */
    bool is_forked = spni_ring_is_forked(stream->ring);

    if (!is_forked)
        pthread_mutex_lock(&stream->lock);
    *out = stream->published;
    if (!is_forked)
        pthread_mutex_unlock(&stream->lock);
}

/* ---- readers ---- */

typedef struct {
    spn_stream *stream;
    spni_reader *reader;
    int code;
} reader_addition;

static void add_reader_main(void *addition_void)
{
    reader_addition *addition = addition_void;
    spn_stream *stream = addition->stream;
    spni_reader *reader = addition->reader;

    if (stream->state != SPNI_STREAM_RUNNING || stream->has_ended) {
        reader->kind->destroy(reader);
        return;
    }
    if (!stream->is_blocked) {
        addition->code = reader->kind->start(reader);
        if (addition->code < 0)
            return;
        reader->is_active = true;
    }
    reader->next = stream->readers;
    stream->readers = reader;
}

int spni_stream_add_reader(spn_stream *stream, spni_reader *reader)
{
    reader_addition addition = {stream, reader, 0};
    int code;

    reader->stream = stream;
    code = spni_loop_call(stream->loop, add_reader_main, &addition);
    return code < 0 ? code : addition.code;
}
