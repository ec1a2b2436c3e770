/* SPDX-License-Identifier: Apache-2.0 */
/* The socket is made with protocol 0, so nothing arrives before the ring and
 * the filter are in place and bind says which protocol is wanted.
 *
 * PACKET_VNET_HDR has each frame preceded by a virtio_net_hdr, which tells the
 * segment size of a frame that is many packets (a sender's GSO on the same
 * host, or GRO). Where the kernel refuses it on a ring, such frames are taken
 * for one datagram and rejected by their size. It also tells whether the
 * interface has verified the checksum. TP_STATUS_CSUM_VALID does not: the kernel
 * sets it too when the interface has only added the packet up, with whatever
 * result (CHECKSUM_COMPLETE).
 */
#include "net/packet_ring.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* virtio_net_hdr.gso_type of UDP segments, missing in older headers. */
enum { GSO_UDP_L4 = 5, GSO_ECN = 0x80 };

static int set_option(int fd, int option, const void *value, socklen_t size)
{
    return setsockopt(fd, SOL_PACKET, option, value, size) < 0 ? -errno : 0;
}

/* The hardware's address of the one interface; -EOPNOTSUPP if its frames have no
 * Ethernet header. Index 0 stands for all interfaces, which have several. */
static int find_hardware(int fd, int index, spni_frame_target *target)
{
    struct ifreq request = {0};
    if (index == 0)
        return 0;
    if (if_indextoname((unsigned)index, request.ifr_name) == NULL
        || ioctl(fd, SIOCGIFHWADDR, &request) < 0)
        return -errno;
    if (request.ifr_hwaddr.sa_family != ARPHRD_ETHER
        && request.ifr_hwaddr.sa_family != ARPHRD_LOOPBACK)
        return -EOPNOTSUPP;
    target->has_hardware = true;
    memcpy(target->hardware, request.ifr_hwaddr.sa_data,
           sizeof target->hardware);
    return 0;
}

static int attach_filter(int fd, const spni_frame_target *target)
{
    struct sock_filter steps[SPNI_FRAME_FILTER_MAX];
    struct sock_fprog program = {
        .len = (unsigned short)spni_frame_filter(target, steps),
        .filter = steps,
    };
    int error = setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program,
                           sizeof program);
    return error < 0 ? -errno : 0;
}

static int map_ring(spni_packet_ring *ring,
                    const spn_packet_ring_config *config)
{
    int version = TPACKET_V3, on = 1;
    struct tpacket_req3 request = {
        .tp_block_size = config->block_size,
        .tp_block_nr = config->block_count,
        .tp_frame_size = TPACKET_ALIGNMENT * 128,
        .tp_retire_blk_tov = config->block_timeout_ms,
    };
    /* Spares the sender's kernel a copy of each frame on its way out, where all
     * protocols are seen; before Linux 4.20 only the filter leaves them out. */
    (void)set_option(ring->fd, PACKET_IGNORE_OUTGOING, &on, sizeof on);
    request.tp_frame_nr = (unsigned)((size_t)config->block_size
                                     / request.tp_frame_size)
                          * config->block_count;
    int error = set_option(ring->fd, PACKET_VERSION, &version, sizeof version);
    if (error != 0)
        return error;
    ring->tells_segments =
        set_option(ring->fd, PACKET_VNET_HDR, &on, sizeof on) == 0;
    error = set_option(ring->fd, PACKET_RX_RING, &request, sizeof request);
    if (error != 0)
        return error;
    ring->block_size = config->block_size;
    ring->block_count = config->block_count;
    void *memory = mmap(NULL, ring->block_size * ring->block_count,
                        PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
                        ring->fd, 0);
    if (memory == MAP_FAILED)
        return -errno;
    ring->memory = memory;
    return 0;
}

static int bind_interface(int fd, const spn_packet_ring_config *config)
{
    int family = config->is_ipv6 ? ETH_P_IPV6 : ETH_P_IP;
    int protocol = config->all_protocols ? ETH_P_ALL : family;
    struct sockaddr_ll address = {
        .sll_family = AF_PACKET,
        .sll_protocol = htons((uint16_t)protocol),
        .sll_ifindex = config->interface_index,
    };
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
        return -errno;
    if (config->fanout_group < 0)
        return 0;
    /* After bind, as packet(7) asks. */
    int fanout = (config->fanout_group & 0xffff) | config->fanout_mode << 16;
    return set_option(fd, PACKET_FANOUT, &fanout, sizeof fanout);
}

int spni_packet_ring_open(spni_packet_ring *ring,
                          const spn_packet_ring_config *config,
                          spni_frame_target *target)
{
    *ring = (spni_packet_ring){.fd = -1};
    ring->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (ring->fd < 0)
        return -errno;
    int error = find_hardware(ring->fd, config->interface_index, target);
    if (error == 0)
        error = attach_filter(ring->fd, target);
    if (error == 0)
        error = map_ring(ring, config);
    if (error == 0)
        error = bind_interface(ring->fd, config);
    if (error != 0)
        spni_packet_ring_close(ring);
    return error;
}

void spni_packet_ring_close(spni_packet_ring *ring)
{
    if (ring->memory != NULL)
        munmap(ring->memory, ring->block_size * ring->block_count);
    if (ring->fd >= 0)
        close(ring->fd);
    *ring = (spni_packet_ring){.fd = -1};
}

static struct tpacket_block_desc *descriptor(const spni_packet_ring *ring)
{
    return (struct tpacket_block_desc *)(void *)(ring->memory
                                                 + ring->block_size
                                                       * ring->block);
}

struct tpacket_hdr_v1 *spni_packet_ring_block(const spni_packet_ring *ring)
{
    struct tpacket_hdr_v1 *block = &descriptor(ring)->hdr.bh1;
    uint32_t status = __atomic_load_n(&block->block_status, __ATOMIC_ACQUIRE);
    return status & TP_STATUS_USER ? block : NULL;
}

static size_t segment_size(const struct virtio_net_hdr *header)
{
    return (header->gso_type & ~GSO_ECN) == GSO_UDP_L4 ? header->gso_size : 0;
}

spni_ring_frame spni_packet_ring_frame(const spni_packet_ring *ring,
                                       size_t *at)
{
    const uint8_t *start = ring->memory + ring->block_size * ring->block + *at;
    struct tpacket3_hdr header;
    memcpy(&header, start, sizeof header);
    *at += header.tp_next_offset;
    spni_ring_frame frame = {
        .data = start + header.tp_mac,
        .length = header.tp_snaplen,
        /* It comes from this host, which has not filled it in. */
        .is_checked = (header.tp_status & TP_STATUS_CSUMNOTREADY) != 0,
    };
    if (ring->tells_segments) {
        struct virtio_net_hdr merged;
        memcpy(&merged, frame.data - sizeof merged, sizeof merged);
        frame.segment_size = segment_size(&merged);
        frame.is_checked |= frame.segment_size > 0
            || (merged.flags & VIRTIO_NET_HDR_F_DATA_VALID) != 0;
    }
    return frame;
}

void spni_packet_ring_release(spni_packet_ring *ring)
{
    struct tpacket_hdr_v1 *block = &descriptor(ring)->hdr.bh1;
    __atomic_store_n(&block->block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
    ring->block = (ring->block + 1) % ring->block_count;
}

uint64_t spni_packet_ring_drops(const spni_packet_ring *ring)
{
    struct tpacket_stats_v3 stats;
    socklen_t size = sizeof stats;
    if (getsockopt(ring->fd, SOL_PACKET, PACKET_STATISTICS, &stats, &size) < 0)
        return 0;
    return stats.tp_drops;
}
