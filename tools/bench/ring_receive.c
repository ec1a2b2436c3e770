/* SPDX-License-Identifier: Apache-2.0 */
/* The limit for a receiver from a packet ring: TPACKET_V3 without a protocol.
 *
 *   discard: walk the blocks, read where each UDP payload is, throw it away
 *   copy:    copy each packet's payload to its place in a heap
 *
 * The ring, its filter and the socket that holds the port and rejects every
 * datagram are those of the library's reader. The heaps are used in turn.
 *
 * Ends at a packet with an empty payload (the sender's stop). Prints one line
 * of JSON as the other receivers do.
 */
#include <arpa/inet.h>
#include <endian.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>

enum { ETHERNET = 14, UDP = 8, VNET = 10, HEADER = 48 };

/* The library's defaults. */
enum { BLOCK_SIZE = 1 << 20, BLOCK_COUNT = 32, TIMEOUT_MS = 2 };

static uint64_t packets, bytes, blocks;
static uint8_t *ring, *heaps;
static uint64_t heap_size, heap_count;
static bool copying;

static void check(int result, const char *what)
{
    if (result >= 0)
        return;
    perror(what);
    exit(1);
}

static void filter(int fd, struct sock_filter *steps, size_t count)
{
    struct sock_fprog program = {(unsigned short)count, steps};
    check(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program,
                     sizeof program),
          "SO_ATTACH_FILTER");
}

/* Whole datagrams to 127.0.0.1 and the port, and first fragments, that are not
 * on their way out. */
static void pass_port(int fd, int port)
{
    enum { DROP = 11 }; /* from the first step */
    struct sock_filter steps[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, SKF_AD_OFF + SKF_AD_PKTTYPE),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_OUTGOING, DROP - 1, 0),
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IP, 0, DROP - 3),
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, ETHERNET + 9),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 0, DROP - 5),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ETHERNET + 16),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, INADDR_LOOPBACK, 0, DROP - 7),
        BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, ETHERNET),
        BPF_STMT(BPF_LD | BPF_H | BPF_IND, ETHERNET + 2),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)port, 0, DROP - 10),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    filter(fd, steps, sizeof steps / sizeof *steps);
}

static void hold_port(int port)
{
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct sock_filter nothing[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
    filter(fd, nothing, 1);
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    check(bind(fd, (struct sockaddr *)&at, sizeof at), "bind");
}

static int open_ring(int port)
{
    int fd = socket(AF_PACKET, SOCK_RAW, 0), version = TPACKET_V3, on = 1;
    check(fd, "AF_PACKET");
    pass_port(fd, port);
    check(setsockopt(fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version),
          "PACKET_VERSION");
    check(setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &on, sizeof on),
          "PACKET_VNET_HDR");
    struct tpacket_req3 request = {
        .tp_block_size = BLOCK_SIZE,
        .tp_block_nr = BLOCK_COUNT,
        .tp_frame_size = 2048,
        .tp_frame_nr = BLOCK_SIZE / 2048 * BLOCK_COUNT,
        .tp_retire_blk_tov = TIMEOUT_MS,
    };
    check(setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &request, sizeof request),
          "PACKET_RX_RING");
    ring = mmap(NULL, (size_t)BLOCK_SIZE * BLOCK_COUNT, PROT_READ | PROT_WRITE,
                MAP_SHARED | MAP_POPULATE, fd, 0);
    check(ring == MAP_FAILED ? -1 : 0, "mmap");
    struct sockaddr_ll at = {.sll_family = AF_PACKET,
                             .sll_protocol = htons(ETH_P_IP),
                             .sll_ifindex = (int)if_nametoindex("lo")};
    check(bind(fd, (struct sockaddr *)&at, sizeof at), "bind to lo");
    return fd;
}

static uint64_t immediate(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, 8);
    return be64toh(value) & ((UINT64_C(1) << 40) - 1);
}

static void take_packet(const uint8_t *packet, int length)
{
    uint64_t payload = (uint64_t)(length - HEADER);
    packets++;
    bytes += payload;
    if (!copying)
        return;
    uint64_t cnt = immediate(packet + 8), offset = immediate(packet + 24);
    if (offset + payload <= heap_size)
        memcpy(heaps + (cnt % heap_count) * heap_size + offset, packet + HEADER,
               payload);
}

/* A sender's GSO makes one frame of many packets. Whether the sender has not
 * stopped yet. */
static bool take_frame(const uint8_t *frame)
{
    uint16_t length, step;
    const uint8_t *udp = frame + ETHERNET + (frame[ETHERNET] & 15) * 4;
    memcpy(&length, udp + 4, 2);
    memcpy(&step, frame - VNET + 4, 2); /* virtio_net_hdr.gso_size */
    int left = ntohs(length) - UDP;
    if (left <= HEADER)
        return false;
    if (step == 0)
        step = (uint16_t)left;
    for (udp += UDP; left > 0; udp += step, left -= step)
        take_packet(udp, left < step ? left : step);
    return true;
}

static bool take_block(struct tpacket_hdr_v1 *block, const uint8_t *at)
{
    bool more = true;
    at += block->offset_to_first_pkt;
    for (uint32_t i = 0; i < block->num_pkts && more; i++) {
        const struct tpacket3_hdr *header = (const void *)at;
        more = take_frame(at + header->tp_mac);
        at += header->tp_next_offset;
    }
    __atomic_store_n(&block->block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
    blocks++;
    return more;
}

static void receive(int fd)
{
    struct pollfd event = {.fd = fd, .events = POLLIN};
    for (unsigned next = 0;; next = (next + 1) % BLOCK_COUNT) {
        uint8_t *at = ring + (size_t)next * BLOCK_SIZE;
        struct tpacket_hdr_v1 *block =
            &((struct tpacket_block_desc *)(void *)at)->hdr.bh1;
        while (!(__atomic_load_n(&block->block_status, __ATOMIC_ACQUIRE)
                 & TP_STATUS_USER))
            poll(&event, 1, -1);
        if (!take_block(block, at))
            return;
    }
}

static double elapsed(struct timeval from, struct timeval to)
{
    return (double)(to.tv_sec - from.tv_sec)
           + (double)(to.tv_usec - from.tv_usec) * 1e-6;
}

int main(int argc, char **argv)
{
    if (argc < 6) {
        fprintf(stderr, "ring_receive discard|copy PORT HEAP CPU HEAPS\n");
        return 2;
    }
    copying = strcmp(argv[1], "copy") == 0;
    heap_size = strtoull(argv[3], NULL, 0);
    heap_count = strtoull(argv[5], NULL, 0);
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(atoi(argv[4]), &set);
    sched_setaffinity(0, sizeof set, &set);
    hold_port(atoi(argv[2]));
    int fd = open_ring(atoi(argv[2]));
    heaps = mmap(NULL, heap_count * heap_size, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    check(heaps == MAP_FAILED ? -1 : 0, "mmap");
    printf("READY\n");
    fflush(stdout);
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    receive(fd);
    getrusage(RUSAGE_SELF, &after);
    printf("{\"packets\": %llu, \"bytes\": %llu, \"heaps\": %llu, "
           "\"user\": %.6f, \"system\": %.6f, \"calls\": %llu}\n",
           (unsigned long long)packets, (unsigned long long)bytes,
           (unsigned long long)(bytes / heap_size),
           elapsed(before.ru_utime, after.ru_utime),
           elapsed(before.ru_stime, after.ru_stime),
           (unsigned long long)blocks);
    return 0;
}
