/* SPDX-License-Identifier: Apache-2.0 */
/* One recvmmsg call each time that epoll finds the socket readable: bounded
 * work, so that the streams of a loop take turns. With UDP_GRO a message may
 * hold many datagrams of one size (the last may be shorter).
 *
 * Messages land in a bounce buffer and are fed from there, or in heaps as
 * net/scatter.h plans it. When the ring fills in the middle of a batch, the reader keeps its place and goes on from there.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/loop.h"
#include "net/bounce.h"
#include "net/coalesce.h"
#include "net/scatter.h"
#include "spead/feed.h"

/* The headers of older C libraries lack them (linux/udp.h, linux/sock_diag.h,
 * asm-generic/socket.h). */
#ifndef UDP_GRO
#define UDP_GRO 104
#endif
#ifndef SO_MEMINFO
#define SO_MEMINFO 55
#endif
#define MEMINFO_DROPS 8
#define MEMINFO_COUNT 9

enum {
    MESSAGES = 64,
    LARGEST_MESSAGE = 65536,
    /* Slots begin at different places modulo the way of a cache, which 64 KiB
     * is a multiple of. */
    SLOT_SIZE = LARGEST_MESSAGE + 65 * 64,
    /* What a call may bring, so that it is still in the cache (of the second
     * level) when it is copied on. */
    CALL_SIZE = 256 << 10,
    MESSAGES_MIN = 4,
    CONTROL_SIZE = CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(uint32_t)),
};

typedef struct {
    spni_reader base;
    spni_handler handler;
    size_t max_size;
    uint32_t drops; /* of the socket, as last seen */
    spni_coalesce coalesce;
    uint8_t *bounce; /* MESSAGES slots */
    size_t message_size; /* mean of the last call */
    spni_scatter *scatter; /* NULL: never */
    unsigned planned;      /* messages whose iovecs are of a plan */

    /* The batch: messages from `next` on, the first of them from `position`
     * on, are still to be fed. */
    unsigned count;
    unsigned next;
    size_t position;
    uint64_t packets_before; /* of the stream */
    struct mmsghdr messages[MESSAGES];
    struct iovec iovecs[MESSAGES];
    size_t segments[MESSAGES]; /* size of the datagrams in each */
    _Alignas(struct cmsghdr) uint8_t controls[MESSAGES][CONTROL_SIZE];
} udp_reader;

static udp_reader *of(spni_reader *reader)
{
    return (udp_reader *)reader;
}

/* ---- one message ---- */

static void count_drops(udp_reader *reader, uint32_t drops)
{
    /* The kernel's counter wraps. */
    reader->base.stream->work.kernel_drops += (uint32_t)(drops - reader->drops);
    reader->drops = drops;
}

/* Read the control data: the size of a datagram in a merged message, else that
 * of the message. */
static size_t segment_size(udp_reader *reader, struct mmsghdr *message)
{
    struct msghdr *header = &message->msg_hdr;
    size_t size = message->msg_len;

    for (struct cmsghdr *control = CMSG_FIRSTHDR(header); control != NULL;
         control = CMSG_NXTHDR(header, control)) {
        if (control->cmsg_level == IPPROTO_UDP
            && control->cmsg_type == UDP_GRO) {
            int segment;
            memcpy(&segment, CMSG_DATA(control), sizeof segment);
            if (segment > 0)
                size = (size_t)segment;
        } else if (control->cmsg_level == SOL_SOCKET
                   && control->cmsg_type == SO_RXQ_OVFL) {
            uint32_t drops;
            memcpy(&drops, CMSG_DATA(control), sizeof drops);
            count_drops(reader, drops);
        }
    }
    return size;
}

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

/* Feed the message in turn. False: not all of it, and no more may follow. */
static bool feed_message(udp_reader *reader)
{
    struct mmsghdr *message = &reader->messages[reader->next];
    const uint8_t *data = reader->iovecs[reader->next].iov_base;
    spni_scatter *scatter = reader->scatter;
    size_t length = message->msg_len;
    size_t segment = reader->segments[reader->next];
    bool is_cut = (message->msg_hdr.msg_flags & MSG_TRUNC) != 0;
    bool goes_on = true;

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

/* ---- a batch ---- */

/* Feed the batch, or what is left of it. */
static void feed(udp_reader *reader)
{
    spn_stream *stream = reader->base.stream;

    while (reader->next < reader->count) {
        if (!feed_message(reader))
            break;
    }
    if (reader->scatter != NULL)
        spni_scatter_learn(reader->scatter);
    spni_stream_end_batch(stream,
                          stream->work.packets - reader->packets_before);
}

static size_t count_received(udp_reader *reader)
{
    spn_stream_stats *stats = &reader->base.stream->work;
    size_t bytes = 0;

    for (unsigned i = 0; i < reader->count; i++) {
        size_t length = reader->messages[i].msg_len;
        size_t segment = segment_size(reader, &reader->messages[i]);
        reader->segments[i] = segment;
        bytes += length;
        stats->datagrams +=
            length > 0 ? (length + segment - 1) / segment : 1;
    }
    reader->message_size = bytes / reader->count;
    stats->calls++;
    stats->messages += reader->count;
    return bytes;
}

static unsigned affordable(const udp_reader *reader)
{
    size_t count = CALL_SIZE / (reader->message_size + 1);

    if (count < MESSAGES_MIN)
        return MESSAGES_MIN;
    return count < MESSAGES ? (unsigned)count : MESSAGES;
}

/* How many messages to receive. */
static unsigned prepare(udp_reader *reader)
{
    /* Only those that the last call used have changed. */
    for (unsigned i = 0; i < reader->count; i++)
        reader->messages[i].msg_hdr.msg_controllen = CONTROL_SIZE;
    for (unsigned i = 0; i < reader->planned; i++) {
        reader->messages[i].msg_hdr.msg_iov = &reader->iovecs[i];
        reader->messages[i].msg_hdr.msg_iovlen = 1;
    }
    reader->planned = 0;
    if (reader->scatter != NULL)
        reader->planned = spni_scatter_plan(reader->scatter, reader->messages);
    return reader->planned > 0 ? reader->planned : affordable(reader);
}

static void rest(udp_reader *reader, uint64_t now_ns, size_t bytes)
{
    uint64_t wait_ns = spni_coalesce_decide(&reader->coalesce, now_ns,
                                            reader->count, bytes);

    if (wait_ns > 0)
        spni_loop_rest(reader->base.stream->loop, now_ns + wait_ns);
}

static void ready(spni_handler *handler, uint32_t events)
{
    udp_reader *reader =
        (void *)((char *)handler - offsetof(udp_reader, handler));
    spn_stream *stream = reader->base.stream;
    uint64_t now_ns;
    unsigned wanted;
    int count;

    (void)events;
    wanted = prepare(reader);
    count = recvmmsg(handler->fd, reader->messages, wanted, MSG_DONTWAIT,
                     NULL);
    reader->count = count > 0 ? (unsigned)count : 0;
    reader->next = 0;
    if (count <= 0) {
        /* Errors of the network that came back, such as ICMP's. */
        stream->work.socket_errors +=
            count < 0 && errno != EAGAIN && errno != EINTR;
        spni_stream_end_batch(stream, 0);
        return;
    }
    now_ns = spni_now_ns();
    reader->packets_before = stream->work.packets;
    rest(reader, now_ns, count_received(reader));
    if (reader->planned > 0)
        spni_scatter_check(reader->scatter, reader->messages,
                           reader->segments, reader->count,
                           reader->max_size);
    spni_stream_begin_batch(stream, now_ns);
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
    spni_bounce_unmap(reader->bounce, MESSAGES * SLOT_SIZE);
    spni_scatter_free(reader->scatter);
    free(reader);
}

/* Drops after the last datagram that was read are counted, too. */
static void count_last_drops(udp_reader *reader)
{
    uint32_t memory[MEMINFO_COUNT];
    socklen_t size = sizeof memory;

    if (getsockopt(reader->handler.fd, SOL_SOCKET, SO_MEMINFO, memory, &size)
            == 0
        && size == sizeof memory)
        count_drops(reader, memory[MEMINFO_DROPS]);
}

static void destroy(spni_reader *reader)
{
    if (reader->is_active)
        spni_loop_remove(reader->stream->loop, &of(reader)->handler);
    count_last_drops(of(reader));
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

static void init_messages(udp_reader *reader)
{
    for (unsigned i = 0; i < MESSAGES; i++) {
        reader->iovecs[i] = (struct iovec){
            .iov_base = reader->bounce + (size_t)i * SLOT_SIZE,
            .iov_len = LARGEST_MESSAGE,
        };
        reader->messages[i].msg_hdr = (struct msghdr){
            .msg_iov = &reader->iovecs[i],
            .msg_iovlen = 1,
            .msg_control = reader->controls[i],
            .msg_controllen = CONTROL_SIZE,
        };
    }
}

/* What the kernel does not know costs speed or a counter, not the stream. */
static void set_options(int fd, const spn_udp_reader_config *config)
{
    int one = 1;

    setsockopt(fd, SOL_SOCKET, SO_RXQ_OVFL, &one, sizeof one);
    if (config->gro)
        setsockopt(fd, IPPROTO_UDP, UDP_GRO, &one, sizeof one);
    if (config->busy_poll_us > 0
        && setsockopt(fd, SOL_SOCKET, SO_BUSY_POLL, &config->busy_poll_us,
                      sizeof config->busy_poll_us)
            < 0)
        spni_log(SPN_LOG_WARNING, "the kernel refused SO_BUSY_POLL");
}

static void init_coalesce(udp_reader *reader, const spn_stream *stream)
{
    int size = 0;
    socklen_t length = sizeof size;

    getsockopt(reader->handler.fd, SOL_SOCKET, SO_RCVBUF, &size, &length);
    reader->coalesce.bound_ns = stream->config.max_latency_ns;
    reader->coalesce.buffer_size = size > 0 ? (size_t)size : 0;
    reader->coalesce.window_ns = spni_now_ns();
}

int spn_stream_add_udp_reader(spn_stream *stream, int fd,
                              const spn_udp_reader_config *config)
{
    udp_reader *reader = calloc(1, sizeof *reader);
    int code = -ENOMEM;

    if (reader == NULL)
        return -ENOMEM;
    reader->base.kind = &kind;
    reader->handler = (spni_handler){.fd = fd, .ready = ready};
    reader->max_size = config->max_size;
    reader->bounce =
        spni_bounce_map(MESSAGES * SLOT_SIZE, config->huge_pages);
    if (reader->bounce == NULL)
        goto free_reader;
    init_messages(reader);
    if (config->scatter) {
        reader->scatter = spni_scatter_new(stream, reader->bounce, SLOT_SIZE,
                                           LARGEST_MESSAGE);
        if (reader->scatter == NULL)
            goto free_reader;
    }
    set_options(fd, config);
    init_coalesce(reader, stream);
    code = spni_stream_add_reader(stream, &reader->base);
    if (code < 0)
        goto free_reader;
    return 0;

free_reader:
    free_reader(reader);
    return code;
}
