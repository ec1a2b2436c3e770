/* SPDX-License-Identifier: Apache-2.0 */
/* What is read of a frame in a block, in a ring made up here. */
#include "net/packet_ring.h"

#include <linux/virtio_net.h>
#include <string.h>

#include "check.h"

enum { BLOCK = 4096, FIRST = 48, MAC = 96, NEXT = 512 };

static uint8_t memory[2 * BLOCK];

static spni_ring_frame frame(bool tells_segments, uint32_t status,
                             struct virtio_net_hdr merged)
{
    spni_packet_ring ring = {.memory = memory,
                             .block_size = BLOCK,
                             .block_count = 2,
                             .block = 1,
                             .tells_segments = tells_segments};
    struct tpacket3_hdr header = {.tp_next_offset = NEXT,
                                  .tp_snaplen = 77,
                                  .tp_mac = MAC,
                                  .tp_status = TP_STATUS_USER | status};
    uint8_t *start = memory + BLOCK + FIRST;
    memcpy(start, &header, sizeof header);
    memcpy(start + MAC - sizeof merged, &merged, sizeof merged);
    size_t at = FIRST;
    spni_ring_frame found = spni_packet_ring_frame(&ring, &at);
    CHECK_EQ(at, FIRST + NEXT);
    CHECK(found.data == start + MAC);
    CHECK_EQ(found.length, 77);
    return found;
}

static const struct virtio_net_hdr plain;

/* Only who has verified a checksum, or knows that there is none yet, spares us
 * that. TP_STATUS_CSUM_VALID may stand for a packet added up, but not
 * compared. */
static void test_whose_word_is_taken_for_checksums(void)
{
    struct virtio_net_hdr verified = {.flags = VIRTIO_NET_HDR_F_DATA_VALID};
    for (int tells = 0; tells < 2; tells++) {
        CHECK(!frame(tells, 0, plain).is_checked);
        CHECK(!frame(tells, TP_STATUS_CSUM_VALID, plain).is_checked);
        CHECK(frame(tells, TP_STATUS_CSUMNOTREADY, plain).is_checked);
        CHECK_EQ(frame(tells, TP_STATUS_CSUM_VALID, verified).is_checked, tells);
    }
}

static void test_segments(void)
{
    struct virtio_net_hdr merged = {.gso_type = 5 /* UDP_L4 */,
                                    .gso_size = 1000};
    CHECK_EQ(frame(true, 0, merged).segment_size, 1000);
    CHECK(frame(true, 0, merged).is_checked);
    CHECK_EQ(frame(false, 0, merged).segment_size, 0);
    merged.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
    CHECK_EQ(frame(true, 0, merged).segment_size, 0);
    CHECK(!frame(true, 0, merged).is_checked);
    CHECK_EQ(frame(true, 0, plain).segment_size, 0);
}

int main(void)
{
    test_whose_word_is_taken_for_checksums();
    test_segments();
    return 0;
}
