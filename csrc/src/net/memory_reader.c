/* SPDX-License-Identifier: Apache-2.0 */
/* Packets that lie back to back in memory: a task that posts itself again until
 * it is through, so that the sockets of the loop have their turn between. A
 * batch that a full ring interrupts is finished when there is room again, or
 * counted when the stream is stopped before. */
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/loop.h"
#include "spead/feed.h"

enum {
    /* A turn ends with half a millisecond's work, some heaps of a megabyte: it
     * costs a look at epoll, and waking who waits for its heaps much more. */
    TURN = 6 << 20,
    PACKET = 512, /* bytes that are copied in the time a packet takes besides */
};

typedef struct {
    spni_reader base;
    spni_task task;
    const uint8_t *data;
    size_t length;
    size_t turn_left; /* of the turn that was interrupted; 0: none was */
} memory_reader;

static memory_reader *of(spni_reader *reader)
{
    return (memory_reader *)reader;
}

/* Whether the stream takes more after the packet. */
static bool feed_packet(memory_reader *reader)
{
    size_t used;
    bool goes_on = spni_stream_add_bytes(reader->base.stream, reader->data,
                                         reader->length, &used);
    size_t worth = used + PACKET;

    reader->data += used;
    reader->length = used > 0 ? reader->length - used : 0;
    reader->turn_left -= worth < reader->turn_left ? worth : reader->turn_left;
    return goes_on;
}

/* Feed for one turn, or the rest of one. */
static void feed(memory_reader *reader)
{
    spn_stream *stream = reader->base.stream;
    bool goes_on = true;

    while (goes_on && reader->length > 0 && reader->turn_left > 0)
        goes_on = feed_packet(reader);
    if (reader->length == 0)
        reader->turn_left = 0;
    spni_stream_end_batch(stream, stream->work.packets > 0);
    if (reader->length == 0 && !stream->is_blocked)
        spni_stream_end(stream);
}

static void run(spni_task *task)
{
    memory_reader *reader =
        (void *)((char *)task - offsetof(memory_reader, task));
    spn_stream *stream = reader->base.stream;

    if (reader->turn_left == 0)
        reader->turn_left = TURN;
    spni_stream_begin_batch(stream, spni_now_ns());
    feed(reader);
    spni_loop_post(stream->loop, task);
    spni_stream_settle(stream);
}

static int start(spni_reader *reader)
{
    return spni_loop_post(reader->stream->loop, &of(reader)->task)
        ? 0
        : SPN_ESTOPPED;
}

static void suspend(spni_reader *reader)
{
    spni_loop_unpost(reader->stream->loop, &of(reader)->task);
}

static void resume(spni_reader *reader)
{
    spni_loop_post(reader->stream->loop, &of(reader)->task);
    spni_stream_begin_batch(reader->stream, spni_now_ns());
    feed(of(reader));
}

static void drain(spni_reader *reader)
{
    feed(of(reader));
}

static void destroy(spni_reader *reader)
{
    spni_loop_unpost(reader->stream->loop, &of(reader)->task);
    free(reader);
}

static const spni_reader_kind kind = {
    .start = start,
    .suspend = suspend,
    .resume = resume,
    .drain = drain,
    .destroy = destroy,
};

int spn_stream_add_memory_reader(spn_stream *stream, const void *data,
                                 size_t length)
{
    memory_reader *reader = calloc(1, sizeof *reader);
    int code;

    if (reader == NULL)
        return -ENOMEM;
    reader->base.kind = &kind;
    reader->task.run = run;
    reader->data = data;
    reader->length = length;
    code = spni_stream_add_reader(stream, &reader->base);
    if (code < 0)
        free(reader);
    return code;
}
