/* SPDX-License-Identifier: Apache-2.0 */
/* One receiving call each time that epoll finds the socket readable: bounded
 * work, so that the streams of a loop take turns. (To call again at once, where
 * nobody else uses the loop, was tried: the calls bring less each and cost more
 * than the sleep that they save.)
 *
 * Datagrams are fed from the bounce buffer, unless net/scatter.h has had them
 * placed in heaps. When the ring fills in the middle of a batch, the reader
 * keeps its place and goes on from there.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/loop.h"
#include "net/batch.h"
#include "net/coalesce.h"
#include "net/landing.h"
#include "net/scatter.h"
#include "spead/counters.h"
#include "spead/feed.h"

typedef struct {
    spni_reader base;
    spni_handler handler;
    size_t max_size;
    uint32_t drops; /* of the socket, as counted */
    spni_coalesce coalesce;
    spni_scatter *scatter; /* NULL: neither this nor the landing */
    spni_landing landing;
    bool has_landed; /* the present batch, or some of it */

    /* Of the batch, messages from `next` on, the first of them from `position`
     * on, are still to be fed. */
    spni_batch batch;
    unsigned next;
    size_t position;
    uint64_t packets_before; /* of the stream */
} udp_reader;

static udp_reader *of(spni_reader *reader)
{
    return (udp_reader *)reader;
}

/* ---- feeding ---- */

static bool feed_datagram(udp_reader *reader, const uint8_t *data,
                          size_t length, bool is_cut)
{
    spn_stream *stream = reader->base.stream;

    if (length == 0)
        return true;
    if (length <= reader->max_size && !is_cut)
        return spni_stream_add_datagram(stream, data, length);
    stream->work.rejected_oversize++;
    spni_log(SPN_LOG_INFO, "datagram rejected: larger than max_size (%zu)",
             reader->max_size);
    return true;
}

/* Feed the message in turn. False: not all of it, or no more may follow. */
static bool feed_message(udp_reader *reader)
{
    const struct mmsghdr *message = &reader->batch.messages[reader->next];
    const uint8_t *data = spni_batch_slot(&reader->batch, reader->next);
    spni_scatter *scatter = reader->scatter;
    size_t length = message->msg_len;
    size_t segment = reader->batch.segments[reader->next];
    bool is_cut = (message->msg_hdr.msg_flags & MSG_TRUNC) != 0;
    bool goes_on = true;

    if (length == 0)
        spni_count_rejected(&reader->base.stream->work, SPNI_REJECTED_SHORT);
    while (goes_on && reader->position < length) {
        size_t left = length - reader->position;
        size_t size = segment < left ? segment : left;
        if (scatter == NULL || !spni_scatter_feed(scatter, &goes_on))
            goes_on = feed_datagram(reader, data + reader->position, size,
                                    is_cut && size == left);
        reader->position += size;
    }
    if (reader->position < length)
        return false;
    reader->position = 0;
    reader->next++;
    return goes_on;
}

/* Feed the batch, or what is left of it. */
static void feed(udp_reader *reader)
{
    spn_stream *stream = reader->base.stream;

    while (reader->next < reader->batch.count) {
        if (!feed_message(reader))
            break;
    }
    if (reader->scatter != NULL)
        spni_scatter_learn(reader->scatter);
    spni_stream_end_batch(stream,
                          stream->work.packets - reader->packets_before);
}

/* ---- receiving ---- */

static void count_drops(udp_reader *reader, uint32_t drops)
{
    /* The kernel's counter wraps. */
    reader->base.stream->work.kernel_drops += (uint32_t)(drops - reader->drops);
    reader->drops = drops;
}

static void count_received(udp_reader *reader)
{
    spn_stream_stats *stats = &reader->base.stream->work;

    stats->calls++;
    stats->messages += reader->batch.count;
    stats->datagrams += reader->batch.datagrams;
    count_drops(reader, reader->batch.drops);
}

static int receive(udp_reader *reader)
{
    spni_batch *batch = &reader->batch;
    spni_scatter *scatter = reader->scatter;
    unsigned planned = 0, landing = 0;
    int code;

    spni_batch_reset(batch);
    reader->next = 0;
    if (scatter != NULL) {
        planned = spni_scatter_plan(scatter, batch->messages);
        if (planned == 0)
            landing = spni_landing_plan(&reader->landing, batch,
                                        reader->max_size);
    }
    reader->has_landed = landing > 0;
    code = spni_batch_receive(batch, reader->handler.fd, planned + landing,
                              planned);
    if (code > 0 && planned > 0)
        spni_scatter_check(scatter, batch->messages, batch->segments,
                           batch->count, reader->max_size);
    return code;
}

static void rest(udp_reader *reader, uint64_t now_ns)
{
    spni_coalesce *coalesce = &reader->coalesce;
    uint64_t wait_ns;

    if (spni_coalesce_count(coalesce, now_ns, reader->batch.count,
                            reader->batch.bytes))
        spni_coalesce_close(coalesce, now_ns, spni_thread_cpu_ns());
    if (reader->batch.is_full)
        return;
    wait_ns = spni_coalesce_wait_ns(coalesce, reader->batch.count);
    if (wait_ns > 0)
        spni_loop_rest(reader->base.stream->loop, now_ns + wait_ns);
}

/* Errors of the network that came back, such as ICMP's. */
static void count_errors(udp_reader *reader, int code, uint32_t events)
{
    spn_stream *stream = reader->base.stream;

    stream->work.socket_errors +=
        code < 0 && code != -EAGAIN && code != -EINTR;
    if (events & EPOLLERR)
        stream->work.socket_errors +=
            spni_batch_drain_errors(reader->handler.fd);
    spni_stream_end_batch(stream, 0);
}

static void ready(spni_handler *handler, uint32_t events)
{
    udp_reader *reader =
        (void *)((char *)handler - offsetof(udp_reader, handler));
    spn_stream *stream = reader->base.stream;
    uint64_t now_ns;
    int code = receive(reader);

    if (code <= 0) {
        count_errors(reader, code, events);
        return;
    }
    now_ns = spni_now_ns();
    count_received(reader);
    rest(reader, now_ns);
    reader->packets_before = stream->work.packets;
    spni_stream_begin_batch(stream, now_ns);
    if (reader->has_landed)
        spni_landing_feed(&reader->landing, &reader->batch, &reader->next,
                          &reader->position);
    feed(reader);
    spni_stream_settle(stream);
}

/* ---- the reader ---- */

static int start(spni_reader *reader)
{
    return spni_loop_add(reader->stream->loop, &of(reader)->handler, EPOLLIN);
}

/* Out of the epoll set altogether: an error would be reported to a handler
 * that waits for no event, too. */
static void suspend(spni_reader *reader)
{
    spni_loop_remove(reader->stream->loop, &of(reader)->handler);
}

static void resume(spni_reader *reader)
{
    feed(of(reader));
    if (spni_loop_add(reader->stream->loop, &of(reader)->handler, EPOLLIN) < 0)
        spni_log(SPN_LOG_ERROR, "a socket could not be resumed");
}

static void drain(spni_reader *reader)
{
    feed(of(reader));
}

static void free_reader(udp_reader *reader)
{
    spni_batch_fini(&reader->batch);
    spni_scatter_free(reader->scatter);
    free(reader);
}

static void destroy(spni_reader *reader)
{
    if (reader->is_active)
        spni_loop_remove(reader->stream->loop, &of(reader)->handler);
    count_drops(of(reader), spni_batch_read_drops(&of(reader)->batch,
                                                  of(reader)->handler.fd));
    close(of(reader)->handler.fd);
    free_reader(of(reader));
}

static const spni_reader_kind kind = {
    .start = start,
    .suspend = suspend,
    .resume = resume,
    .drain = drain,
    .destroy = destroy,
    .is_lossy = true,
};

static void set_options(spn_stream *stream, int fd,
                        const spn_udp_reader_config *config)
{
    int us = config->busy_poll_us;

    spni_batch_set_options(fd, config->gro);
    if (us <= 0)
        return;
    if (setsockopt(fd, SOL_SOCKET, SO_BUSY_POLL, &us, sizeof us) < 0)
        spni_log(SPN_LOG_WARNING, "the kernel refused SO_BUSY_POLL");
    /* The socket's own is for who waits in the socket. */
    if (!spni_loop_busy_poll(stream->loop, (unsigned)us))
        spni_log(SPN_LOG_INFO, "busy polling needs sysctl net.core.busy_poll");
}

static void init_coalesce(udp_reader *reader, const spn_stream *stream)
{
    int size = 0;
    socklen_t length = sizeof size;

    getsockopt(reader->handler.fd, SOL_SOCKET, SO_RCVBUF, &size, &length);
    spni_coalesce_init(&reader->coalesce, stream->config.max_latency_ns,
                       size > 0 ? (size_t)size : 0, spni_now_ns());
}

static int init_buffers(udp_reader *reader, spn_stream *stream,
                        const spn_udp_reader_config *config)
{
    int code = spni_batch_init(&reader->batch, config->huge_pages);

    if (code < 0 || !config->scatter)
        return code;
    reader->scatter =
        spni_scatter_new(stream, reader->batch.bounce, SPNI_BATCH_SLOT,
                         SPNI_BATCH_LARGEST);
    spni_landing_init(&reader->landing, stream);
    return reader->scatter == NULL ? -ENOMEM : 0;
}

int spn_stream_add_udp_reader(spn_stream *stream, int fd,
                              const spn_udp_reader_config *config)
{
    udp_reader *reader = calloc(1, sizeof *reader);
    int code;

    if (reader == NULL)
        return -ENOMEM;
    reader->base.kind = &kind;
    reader->handler = (spni_handler){.fd = fd, .ready = ready};
    reader->max_size = config->max_size;
    code = init_buffers(reader, stream, config);
    if (code < 0)
        goto free_reader;
    set_options(stream, fd, config);
    init_coalesce(reader, stream);
    code = spni_stream_add_reader(stream, &reader->base);
    if (code < 0)
        goto free_reader;
    return 0;

free_reader:
    free_reader(reader);
    return code;
}
