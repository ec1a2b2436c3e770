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
    BATCH = 512, /* packets a turn: a turn costs a look at epoll */
};

typedef struct {
    spni_reader base;
    spni_task task;
    const uint8_t *data;
    size_t length;
    int batch_left; /* packets of the batch that was interrupted */
} memory_reader;

static memory_reader *of(spni_reader *reader)
{
    return (memory_reader *)reader;
}

/* Feed one batch, or the rest of one. */
static void feed(memory_reader *reader)
{
    spn_stream *stream = reader->base.stream;
    bool goes_on = true;
    size_t used = 1;

    while (goes_on && used > 0 && reader->length > 0
           && reader->batch_left > 0) {
        goes_on = spni_stream_add_bytes(stream, reader->data, reader->length,
                                        &used);
        reader->data += used;
        reader->length -= used;
        reader->batch_left--;
    }
    if (used == 0)
        reader->length = 0;
    if (reader->length == 0)
        reader->batch_left = 0;
    spni_stream_end_batch(stream, stream->work.packets > 0);
    if (reader->length == 0 && !stream->is_blocked)
        spni_stream_end(stream);
}

static void run(spni_task *task)
{
    memory_reader *reader =
        (void *)((char *)task - offsetof(memory_reader, task));
    spn_stream *stream = reader->base.stream;

    if (reader->batch_left == 0)
        reader->batch_left = BATCH;
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
