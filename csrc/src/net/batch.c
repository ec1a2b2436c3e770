/* SPDX-License-Identifier: Apache-2.0 */
#include "net/batch.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>

#include "net/bounce.h"

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
    BOUNCE_SIZE = SPNI_BATCH_MESSAGES * SPNI_BATCH_SLOT,
    /* What a call may bring, so that it is still in the cache (of the second
     * level) when it is copied on. */
    CALL_SIZE = 256 << 10,
    MESSAGES_MIN = 4,
    ERRORS_MAX = 64, /* a call */
};

static void land_in_slot(spni_batch *batch, unsigned message)
{
    struct msghdr *header = &batch->messages[message].msg_hdr;

    header->msg_iov = &batch->iovecs[message];
    header->msg_iovlen = 1;
}

int spni_batch_init(spni_batch *batch, bool huge_pages)
{
    memset(batch, 0, sizeof *batch);
    batch->bounce = spni_bounce_map(BOUNCE_SIZE, huge_pages);
    if (batch->bounce == NULL)
        return -ENOMEM;
    for (unsigned i = 0; i < SPNI_BATCH_MESSAGES; i++) {
        batch->iovecs[i] = (struct iovec){
            .iov_base = batch->bounce + (size_t)i * SPNI_BATCH_SLOT,
            .iov_len = SPNI_BATCH_LARGEST,
        };
        batch->messages[i].msg_hdr = (struct msghdr){
            .msg_control = batch->controls[i],
            .msg_controllen = SPNI_BATCH_CONTROL,
        };
        land_in_slot(batch, i);
    }
    return 0;
}

void spni_batch_fini(spni_batch *batch)
{
    spni_bounce_unmap(batch->bounce, BOUNCE_SIZE);
}

void spni_batch_set_options(int fd, bool gro)
{
    int one = 1;

    setsockopt(fd, SOL_SOCKET, SO_RXQ_OVFL, &one, sizeof one);
    if (gro)
        setsockopt(fd, IPPROTO_UDP, UDP_GRO, &one, sizeof one);
}

void spni_batch_reset(spni_batch *batch)
{
    /* Only those that the last call used have changed. */
    for (unsigned i = 0; i < batch->count; i++)
        batch->messages[i].msg_hdr.msg_controllen = SPNI_BATCH_CONTROL;
    for (unsigned i = 0; i < batch->led; i++)
        land_in_slot(batch, i);
    batch->led = 0;
}

/* Take in the control data: the size of a datagram in a merged message, else
 * that of the message. */
static size_t read_controls(spni_batch *batch, struct mmsghdr *message)
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
            memcpy(&batch->drops, CMSG_DATA(control), sizeof batch->drops);
        }
    }
    return size;
}

static void measure(spni_batch *batch)
{
    batch->bytes = 0;
    batch->datagrams = 0;
    for (unsigned i = 0; i < batch->count; i++) {
        size_t length = batch->messages[i].msg_len;
        size_t segment = read_controls(batch, &batch->messages[i]);
        batch->segments[i] = segment;
        batch->bytes += length;
        batch->datagrams +=
            length > 0 ? (length + segment - 1) / segment : 1;
    }
}

/* By the mean size of the messages of the last call. The first call brings few:
 * slots that are never used again would cost a page fault for each page. */
static unsigned affordable(const spni_batch *batch)
{
    size_t count = 0;

    if (batch->bytes > 0)
        count = (size_t)CALL_SIZE * batch->count / batch->bytes;
    if (count < MESSAGES_MIN)
        return MESSAGES_MIN;
    return count < SPNI_BATCH_MESSAGES ? (unsigned)count
                                       : SPNI_BATCH_MESSAGES;
}

int spni_batch_receive(spni_batch *batch, int fd, unsigned led,
                       unsigned limit)
{
    int count;

    batch->led = led;
    if (limit == 0)
        limit = affordable(batch);
    count = recvmmsg(fd, batch->messages, limit, MSG_DONTWAIT, NULL);
    if (count < 0) {
        batch->count = 0;
        return -errno;
    }
    batch->count = (unsigned)count;
    batch->is_full = batch->count == limit;
    measure(batch);
    return count;
}

unsigned spni_batch_drain_errors(int fd)
{
    uint8_t control[512];
    unsigned count = 0;

    while (count < ERRORS_MAX) {
        struct msghdr header = {
            .msg_control = control,
            .msg_controllen = sizeof control,
        };
        if (recvmsg(fd, &header, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
            break;
        count++;
    }
    return count;
}

uint32_t spni_batch_read_drops(const spni_batch *batch, int fd)
{
    uint32_t memory[MEMINFO_COUNT];
    socklen_t size = sizeof memory;

    if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory, &size) < 0
        || size < sizeof memory)
        return batch->drops;
    return memory[MEMINFO_DROPS];
}
