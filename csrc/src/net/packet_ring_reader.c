/* SPDX-License-Identifier: Apache-2.0 */
/* Feeds a stream from a packet ring, a few blocks at a turn. A suspended reader
 * stays in the middle of a block, of a frame, or of a merged frame's segments;
 * `left` says where. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "net/packet_ring.h"
#include "spead/counters.h"
#include "spead/feed.h"
#include "spead/reader.h"

/* So that the other streams of the loop have their turn. */
enum { BLOCKS_AT_A_TURN = 4 };

typedef struct {
    spni_reader reader;
    spni_handler handler;
    spni_packet_ring ring;
    spni_frame_target target;
    size_t max_size;
    int guard_fd;
    /* where in the ring it is */
    unsigned frames_left; /* of the current block */
    size_t at;            /* of the frame that comes next, in the block */
    const uint8_t *left;  /* of the current frame's payload */
    size_t left_length;
    size_t segment_size;
} packet_ring_reader;

static packet_ring_reader *reader_of(spni_reader *reader)
{
    return (packet_ring_reader *)(void *)reader;
}

/* Feed what is left of the current frame. False: no more may follow. */
static bool feed_segments(packet_ring_reader *self)
{
    spn_stream *stream = self->reader.stream;
    while (self->left_length > 0) {
        const uint8_t *data = self->left;
        size_t length = self->left_length < self->segment_size
                            ? self->left_length
                            : self->segment_size;
        self->left += length;
        self->left_length -= length;
        stream->work.datagrams++;
        if (length > self->max_size)
            stream->work.rejected_oversize++;
        else if (!spni_stream_add_datagram(stream, data, length))
            return false;
    }
    return true;
}

/* Make the next frame of the block the current one. */
static void take_frame(packet_ring_reader *self)
{
    spn_stream_stats *stats = &self->reader.stream->work;
    spni_ring_frame frame = spni_packet_ring_frame(&self->ring, &self->at);
    spni_frame_verdict verdict =
        spni_frame_parse(frame.data, frame.length, frame.is_checked,
                         &self->target, &self->left, &self->left_length);
    self->frames_left--;
    if (verdict == SPNI_FRAME_OURS) {
        stats->messages++;
        if (self->left_length == 0) {
            stats->datagrams++;
            spni_count_rejected(stats, SPNI_REJECTED_SHORT);
        }
        self->segment_size =
            frame.segment_size != 0 ? frame.segment_size : self->left_length;
        return;
    }
    self->left_length = 0;
    if (verdict != SPNI_FRAME_OTHER) {
        stats->messages++;
        stats->datagrams++;
        stats->rejected_ip++;
    }
}

/* Feed the rest of the current block and give it back. False: no more may
 * follow, and the block may not be over. */
static bool feed_block(packet_ring_reader *self)
{
    bool more = feed_segments(self);
    while (more && self->frames_left > 0) {
        take_frame(self);
        more = feed_segments(self);
    }
    if (self->frames_left == 0 && self->left_length == 0
        && self->at != 0) {
        self->at = 0;
        spni_packet_ring_release(&self->ring);
    }
    return more;
}

/* Begin the next block, if the kernel has filled one. */
static bool begin_block(packet_ring_reader *self)
{
    const struct tpacket_hdr_v1 *block = spni_packet_ring_block(&self->ring);
    if (block == NULL)
        return false;
    self->at = block->offset_to_first_pkt;
    self->frames_left = block->num_pkts;
    self->reader.stream->work.calls++;
    return true;
}

static void feed_blocks(packet_ring_reader *self, int limit)
{
    spn_stream *stream = self->reader.stream;
    uint64_t before = stream->work.datagrams;
    spni_stream_begin_batch(stream, spni_now_ns());
    bool more = self->at == 0 || feed_block(self);
    while (more && limit-- > 0 && begin_block(self))
        more = feed_block(self);
    stream->work.kernel_drops += spni_packet_ring_drops(&self->ring);
    spni_stream_end_batch(stream, stream->work.datagrams - before);
}

static void ready(spni_handler *handler, uint32_t events)
{
    packet_ring_reader *self =
        (packet_ring_reader *)(void *)((char *)handler
                                       - offsetof(packet_ring_reader, handler));
    spn_stream *stream = self->reader.stream;
    if (events & EPOLLERR) {
        int error = 0;
        socklen_t size = sizeof error;
        if (getsockopt(self->ring.fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0
            && error != 0)
            stream->work.socket_errors++;
    }
    feed_blocks(self, BLOCKS_AT_A_TURN);
    spni_stream_settle(stream);
}

static int start(spni_reader *reader)
{
    packet_ring_reader *self = reader_of(reader);
    return spni_loop_add(reader->stream->loop, &self->handler, EPOLLIN);
}

static void suspend(spni_reader *reader)
{
    spni_loop_remove(reader->stream->loop, &reader_of(reader)->handler);
}

static void resume(spni_reader *reader)
{
    packet_ring_reader *self = reader_of(reader);
    feed_blocks(self, 0);
    if (spni_loop_add(reader->stream->loop, &self->handler, EPOLLIN) < 0)
        spni_log(SPN_LOG_ERROR, "a packet ring could not be resumed");
}

static void drain(spni_reader *reader)
{
    packet_ring_reader *self = reader_of(reader);
    spni_stream_begin_batch(reader->stream, spni_now_ns());
    if (self->at != 0)
        feed_block(self);
    spni_stream_end_batch(reader->stream, 0);
}

static void destroy(spni_reader *reader)
{
    packet_ring_reader *self = reader_of(reader);
    if (reader->is_active)
        spni_loop_remove(reader->stream->loop, &self->handler);
    reader->stream->work.kernel_drops += spni_packet_ring_drops(&self->ring);
    spni_packet_ring_close(&self->ring);
    if (self->guard_fd >= 0)
        close(self->guard_fd);
    free(self);
}

static const spni_reader_kind kind = {
    .start = start,
    .suspend = suspend,
    .resume = resume,
    .drain = drain,
    .destroy = destroy,
    .is_lossy = true,
};

int spn_stream_add_packet_ring_reader(spn_stream *stream,
                                      const spn_packet_ring_config *config)
{
    packet_ring_reader *self = calloc(1, sizeof *self);
    if (self == NULL)
        return -ENOMEM;
    self->reader.kind = &kind;
    self->target = (spni_frame_target){
        .port = config->port,
        .is_ipv6 = config->is_ipv6,
        .any_address = config->any_address,
    };
    memcpy(self->target.address, config->address, sizeof config->address);
    self->max_size = config->max_size;
    self->guard_fd = -1;
    int error = spni_packet_ring_open(&self->ring, config, &self->target);
    if (error != 0)
        goto free_self;
    self->handler = (spni_handler){.fd = self->ring.fd, .ready = ready};
    self->guard_fd = config->guard_fd;
    error = spni_stream_add_reader(stream, &self->reader);
    if (error != 0)
        goto close_ring;
    return 0;

close_ring:
    spni_packet_ring_close(&self->ring);
free_self:
    free(self);
    return error;
}
