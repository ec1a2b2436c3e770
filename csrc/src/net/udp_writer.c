/* SPDX-License-Identifier: Apache-2.0 */
/* A message is a run of I/O vectors. Headers are written to `scratch`, and so
 * are payloads, or parts of them, of up to COPY_LIMIT bytes: a vector costs
 * the kernel some 30 ns, and a payload copied beside its header needs none.
 * As neighbours in `scratch` share a vector, a message of many small packets
 * has a single one. Anything longer is sent from where it lies.
 *
 * A device refuses to segment when packets are larger than it can send or when
 * it cannot compute checksums. That shows only when a message is sent, and the
 * error is the same that a single packet could meet (EMSGSIZE), so packets of
 * that size are then tried alone, and packets of that size or more not merged
 * again.
 *
 * A socket with a single destination is connected to it, as looking up the
 * route costs a message of 64 KiB some 4 %. But a connected socket hears by
 * ICMP that nobody listens, and keeps its source address when the route
 * changes. So the first error of any kind ends the connection, and from then
 * on messages carry their address.
 */
#include "net/udp_writer.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>

/* Linux 4.18, include/uapi/linux/udp.h; older C libraries lack it. */
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

#define MESSAGES 64
#define SEGMENTS 64 /* UDP_MAX_SEGMENTS of the first kernels that had it */
#define MESSAGE_BYTES 65507 /* IPv4; all packets of a message together */
#define BATCH_BYTES (512 << 10)
#define COPY_LIMIT 1024
#define REFUSALS 16

/* No batch has more: each part that is not copied has over COPY_LIMIT bytes,
 * and something copied before it and at the end of the message. */
#define VECTORS (2 * (BATCH_BYTES / COPY_LIMIT) + MESSAGES)

typedef union {
    struct cmsghdr header;
    uint8_t space[CMSG_SPACE(sizeof(uint16_t))];
} control;

typedef struct {
    size_t packets;
    size_t bytes;
    size_t segment; /* the length of its packets, but perhaps the last */
    const spni_address *to;
    bool is_closed; /* the last packet is shorter, none may follow */
} content;

struct spni_udp_writer {
    int fd;
    bool is_connected;  /* to the only address that there is */
    size_t merge_limit; /* packets as long as this are not merged */
    size_t sent;        /* messages that the kernel has taken */
    size_t count;       /* messages */
    size_t vector_count;
    size_t bytes;
    size_t scratch_length;
    struct mmsghdr messages[MESSAGES];
    content contents[MESSAGES];
    control controls[MESSAGES];
    struct iovec vectors[VECTORS];
    uint8_t scratch[BATCH_BYTES];
};

/* A kernel without UDP_SEGMENT would ignore the request and send all packets
 * as one. */
static bool has_gso(int fd)
{
    int value;
    socklen_t length = sizeof value;
    return getsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &value, &length) == 0;
}

int spni_udp_writer_new(int fd, bool gso, const spni_address *only,
                        spni_udp_writer **out)
{
    spni_udp_writer *writer = calloc(1, sizeof *writer);
    if (writer == NULL) {
        return -ENOMEM;
    }
    writer->fd = fd;
    writer->merge_limit = gso && has_gso(fd) ? SIZE_MAX : 0;
    writer->is_connected =
        only != NULL &&
        connect(fd, (const struct sockaddr *)&only->socket, only->length) == 0;
    *out = writer;
    return 0;
}

void spni_udp_writer_free(spni_udp_writer *writer)
{
    free(writer);
}

bool spni_udp_writer_is_empty(const spni_udp_writer *writer)
{
    return writer->sent == writer->count;
}

static void reset(spni_udp_writer *writer)
{
    writer->sent = 0;
    writer->count = 0;
    writer->vector_count = 0;
    writer->bytes = 0;
    writer->scratch_length = 0;
}

/* A message is begun where a whole one has room, or a batch would end with a
 * small one that costs as much as any. */
static bool has_room(const spni_udp_writer *writer, size_t length)
{
    size_t most = length < writer->merge_limit ? SPNI_UDP_MAX_PACKET : length;
    return writer->count < MESSAGES && most <= BATCH_BYTES - writer->bytes;
}

static bool may_join(const spni_udp_writer *writer, size_t length,
                     const spni_address *to)
{
    if (writer->count == writer->sent) {
        return false;
    }
    const content *last = &writer->contents[writer->count - 1];
    return !last->is_closed && length <= last->segment &&
           last->segment < writer->merge_limit && last->to == to &&
           last->packets < SEGMENTS && last->bytes + length <= MESSAGE_BYTES;
}

static void set_name(spni_udp_writer *writer, size_t index)
{
    const spni_address *to = writer->contents[index].to;
    struct msghdr *message = &writer->messages[index].msg_hdr;
    message->msg_name = (void *)(uintptr_t)&to->socket;
    message->msg_namelen = to->length;
}

static void start_message(spni_udp_writer *writer, size_t length,
                          const spni_address *to)
{
    size_t index = writer->count++;
    writer->contents[index] = (content){.segment = length, .to = to};
    writer->messages[index].msg_hdr = (struct msghdr){
        .msg_iov = &writer->vectors[writer->vector_count]};
    if (!writer->is_connected) {
        set_name(writer, index);
    }
}

static void ask_for_segments(spni_udp_writer *writer, size_t index)
{
    struct msghdr *message = &writer->messages[index].msg_hdr;
    control *space = &writer->controls[index];
    uint16_t segment = (uint16_t)writer->contents[index].segment;
    message->msg_control = space;
    message->msg_controllen = sizeof *space;
    space->header.cmsg_level = IPPROTO_UDP;
    space->header.cmsg_type = UDP_SEGMENT;
    space->header.cmsg_len = CMSG_LEN(sizeof segment);
    memcpy(CMSG_DATA(&space->header), &segment, sizeof segment);
}

static void add_vector(spni_udp_writer *writer, const void *data, size_t length)
{
    writer->vectors[writer->vector_count++] = (struct iovec){
        .iov_base = (void *)(uintptr_t)data, .iov_len = length};
    writer->messages[writer->count - 1].msg_hdr.msg_iovlen++;
}

/* The next `length` bytes of scratch become part of the last message. */
static void claim_scratch(spni_udp_writer *writer, size_t length)
{
    uint8_t *begin = writer->scratch + writer->scratch_length;
    writer->scratch_length += length;
    if (writer->messages[writer->count - 1].msg_hdr.msg_iovlen > 0) {
        struct iovec *last = &writer->vectors[writer->vector_count - 1];
        if ((uint8_t *)last->iov_base + last->iov_len == begin) {
            last->iov_len += length;
            return;
        }
    }
    add_vector(writer, begin, length);
}

static void add_payload(spni_udp_writer *writer, const spn_packets *packets,
                        size_t length, spni_cursor *cursor)
{
    while (length > 0) {
        const uint8_t *data;
        size_t taken = spni_packets_take(packets, cursor, length, &data);
        if (taken <= COPY_LIMIT) {
            memcpy(writer->scratch + writer->scratch_length, data, taken);
            claim_scratch(writer, taken);
        } else {
            add_vector(writer, data, taken);
        }
        length -= taken;
    }
}

size_t spni_udp_writer_add(spni_udp_writer *writer, const spn_packets *packets,
                           const spni_span *span, spni_cursor *cursor,
                           uint64_t cnt, const spni_address *to)
{
    size_t header = spni_span_header(span);
    size_t length = header + span->payload_length;
    if (!may_join(writer, length, to)) {
        if (!has_room(writer, length)) {
            return 0;
        }
        start_message(writer, length, to);
    }
    size_t index = writer->count - 1;
    content *last = &writer->contents[index];
    spni_packets_write_header(packets, span, cnt,
                              writer->scratch + writer->scratch_length);
    claim_scratch(writer, header);
    add_payload(writer, packets, span->payload_length, cursor);
    last->packets++;
    last->bytes += length;
    last->is_closed = length < last->segment;
    writer->bytes += length;
    if (last->packets == 2) {
        ask_for_segments(writer, index);
    }
    return length;
}

static void disconnect(spni_udp_writer *writer)
{
    static const struct sockaddr nowhere = {.sa_family = AF_UNSPEC};
    connect(writer->fd, &nowhere, sizeof nowhere);
    writer->is_connected = false;
    for (size_t i = writer->sent; i < writer->count; i++) {
        set_name(writer, i);
    }
}

/* Whether to try again. An error that an earlier packet provoked at its
 * destination is reported to the next call and thereby gone; this packet has
 * not been sent. */
static bool is_passing(spni_udp_writer *writer, int error, int *refusals)
{
    if (error == EINTR || error == EAGAIN) {
        return error == EINTR;
    }
    if (writer->is_connected) {
        disconnect(writer);
        return true;
    }
    return error == ECONNREFUSED && (*refusals)++ < REFUSALS;
}

static int send_messages(spni_udp_writer *writer)
{
    int refusals = 0;
    for (;;) {
        int count = sendmmsg(writer->fd, writer->messages + writer->sent,
                             (unsigned)(writer->count - writer->sent),
                             MSG_DONTWAIT | MSG_NOSIGNAL);
        if (count >= 0) {
            return count;
        }
        int error = errno;
        if (!is_passing(writer, error, &refusals)) {
            return -error;
        }
    }
}

int spni_udp_writer_send(spni_udp_writer *writer, spni_sent *out)
{
    int count = send_messages(writer);
    if (count < 0) {
        return count;
    }
    *out = (spni_sent){.messages = (size_t)count};
    for (int i = 0; i < count; i++) {
        const content *sent = &writer->contents[writer->sent++];
        out->packets += sent->packets;
        out->bytes += sent->bytes;
    }
    if (spni_udp_writer_is_empty(writer)) {
        reset(writer);
    }
    return 0;
}

static bool is_about_segments(int error)
{
    return error == -EIO || error == -EINVAL || error == -EMSGSIZE ||
           error == -EOPNOTSUPP;
}

bool spni_udp_writer_clear(spni_udp_writer *writer, int error)
{
    bool is_refused = false;
    if (!spni_udp_writer_is_empty(writer)) {
        const content *failed = &writer->contents[writer->sent];
        is_refused = failed->packets > 1 && is_about_segments(error);
        if (is_refused) {
            writer->merge_limit = failed->segment;
        }
    }
    reset(writer);
    return is_refused;
}
