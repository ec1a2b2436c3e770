/* SPDX-License-Identifier: Apache-2.0 */
/* A ring of blocks of frames that the kernel fills: AF_PACKET, TPACKET_V3
 * (Documentation/networking/packet_mmap.rst). One thread. */
#ifndef SPNI_PACKET_RING_H
#define SPNI_PACKET_RING_H

#include <linux/if_packet.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/frame.h"
#include "pyspin.h"

typedef struct {
    int fd; /* -1: not open */
    uint8_t *memory;
    size_t block_size;
    unsigned block_count;
    unsigned block; /* the one that comes next */
    bool tells_segments; /* a virtio_net_hdr precedes each frame */
} spni_packet_ring;

/* A frame in a block. */
typedef struct {
    const uint8_t *data;
    size_t length;       /* captured */
    size_t segment_size; /* of a merged frame's payload; 0: not merged */
    bool is_checked;     /* its UDP checksum, or it need not be */
} spni_ring_frame;

/* The interface's hardware address is put into `target`. 0; -EPERM without
 * CAP_NET_RAW; -EOPNOTSUPP if its frames are not Ethernet's; another -errno. */
int spni_packet_ring_open(spni_packet_ring *ring,
                          const spn_packet_ring_config *config,
                          spni_frame_target *target);
void spni_packet_ring_close(spni_packet_ring *ring);

/* The block that comes next, or NULL while the kernel fills it. */
struct tpacket_hdr_v1 *spni_packet_ring_block(const spni_packet_ring *ring);

/* The frame at *at bytes into the block that comes next; *at moves on to the
 * frame after it and begins with the block's offset_to_first_pkt. */
spni_ring_frame spni_packet_ring_frame(const spni_packet_ring *ring,
                                       size_t *at);

/* Give the block back to the kernel and go on to the next. */
void spni_packet_ring_release(spni_packet_ring *ring);

/* Frames lost since the last call for want of room in the ring. */
uint64_t spni_packet_ring_drops(const spni_packet_ring *ring);

#endif
