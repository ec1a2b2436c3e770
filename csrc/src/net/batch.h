/* SPDX-License-Identifier: Apache-2.0 */
/* What one receiving call brings: up to 64 messages, each in a slot of a
 * bounce buffer unless the caller leads it elsewhere. With UDP_GRO a message
 * may hold many datagrams of one size (the last may be shorter). */
#ifndef SPNI_BATCH_H
#define SPNI_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum {
    SPNI_BATCH_MESSAGES = 64,
    SPNI_BATCH_LARGEST = 65536, /* message */
    /* Slots begin at different places modulo the way of a cache, which 64 KiB
     * is a multiple of. */
    SPNI_BATCH_SLOT = SPNI_BATCH_LARGEST + 65 * 64,
    SPNI_BATCH_CONTROL =
        CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(uint32_t)),
};

typedef struct {
    uint8_t *bounce; /* a slot for each message */
    unsigned count;  /* messages of the last call */
    unsigned led;    /* the first of them, which the caller has led elsewhere */
    bool is_full;    /* the call brought all that it could: there may be more */
    size_t bytes;
    uint64_t datagrams;
    uint32_t drops;  /* of the socket, ever; as last told (SO_RXQ_OVFL) */
    size_t segments[SPNI_BATCH_MESSAGES]; /* size of the datagrams in each */
    struct mmsghdr messages[SPNI_BATCH_MESSAGES];
    struct iovec iovecs[SPNI_BATCH_MESSAGES];
    _Alignas(struct cmsghdr)
        uint8_t controls[SPNI_BATCH_MESSAGES][SPNI_BATCH_CONTROL];
} spni_batch;

int spni_batch_init(spni_batch *batch, bool huge_pages); /* 0, -ENOMEM */
void spni_batch_fini(spni_batch *batch);

/* Ask the kernel for what the batch understands; it need not know it. */
void spni_batch_set_options(int fd, bool gro);

/* Make all messages land in their slots again. */
void spni_batch_reset(spni_batch *batch);

/* Receive without waiting. The caller has given the first `led` messages other
 * iovecs since spni_batch_reset. At most `limit` messages; 0: as many as suit a
 * cache. How many came, or -errno. */
int spni_batch_receive(spni_batch *batch, int fd, unsigned led,
                       unsigned limit);

/* Take errors from the queue of a socket with IP_RECVERR, which epoll reports
 * as long as it holds any. How many. */
unsigned spni_batch_drain_errors(int fd);

/* The socket's own count of drops, also those after the last datagram. */
uint32_t spni_batch_read_drops(const spni_batch *batch, int fd);

static inline uint8_t *spni_batch_slot(const spni_batch *batch,
                                       unsigned message)
{
    return batch->bounce + (size_t)message * SPNI_BATCH_SLOT;
}

#endif
