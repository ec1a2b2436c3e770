/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's limit for a receiver: recvmmsg with GRO and no protocol.
 *
 *   discard: throw every byte away where it landed
 *   copy:    copy each packet's payload to its place in a heap
 *
 * Ends at a packet with an empty payload (the sender's stop). Prints one line
 * of JSON as the other receivers do.
 */
#include <arpa/inet.h>
#include <endian.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>

#ifndef UDP_GRO
#define UDP_GRO 104
#endif

enum { MESSAGES = 64, SIZE = 65536, HEADER = 48, HEAPS = 16 };

static struct mmsghdr messages[MESSAGES];
static struct iovec iov[MESSAGES];
static uint8_t control[MESSAGES][64];
static uint64_t packets, bytes, calls, message_count;
static uint8_t *buffer, *heaps;
static uint64_t heap_size;
static bool copying;

static int segment_size(struct msghdr *header, int length)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c != NULL;
         c = CMSG_NXTHDR(header, c))
        if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
            int size;
            memcpy(&size, CMSG_DATA(c), sizeof size);
            return size;
        }
    return length;
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
        memcpy(heaps + (cnt % HEAPS) * heap_size + offset, packet + HEADER,
               payload);
}

/* Whether the sender has not stopped yet. */
static bool take_message(int i)
{
    int length = (int)messages[i].msg_len;
    if (length <= HEADER)
        return false;
    int step = segment_size(&messages[i].msg_hdr, length);
    for (int at = 0; at < length; at += step)
        take_packet(buffer + i * SIZE + at,
                    length - at < step ? length - at : step);
    return true;
}

static bool take_batch(int fd)
{
    for (int i = 0; i < MESSAGES; i++)
        messages[i].msg_hdr.msg_controllen = sizeof control[i];
    int got = recvmmsg(fd, messages, MESSAGES, MSG_WAITFORONE, NULL);
    calls++;
    for (int i = 0; i < got; i++) {
        message_count++;
        if (!take_message(i))
            return false;
    }
    return true;
}

static void *pages(size_t size)
{
    return mmap(NULL, size, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
}

static int open_socket(int port)
{
    int fd = socket(AF_INET, SOCK_DGRAM, 0), on = 1, size = 8 << 20;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof on);
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(fd, (struct sockaddr *)&at, sizeof at) < 0) {
        perror("bind");
        exit(1);
    }
    return fd;
}

static double elapsed(struct timeval from, struct timeval to)
{
    return (double)(to.tv_sec - from.tv_sec)
           + (double)(to.tv_usec - from.tv_usec) * 1e-6;
}

int main(int argc, char **argv)
{
    if (argc < 5) {
        fprintf(stderr, "udp_receive discard|copy PORT HEAP CPU\n");
        return 2;
    }
    copying = strcmp(argv[1], "copy") == 0;
    heap_size = strtoull(argv[3], NULL, 0);
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(atoi(argv[4]), &set);
    sched_setaffinity(0, sizeof set, &set);
    int fd = open_socket(atoi(argv[2]));
    buffer = pages(MESSAGES * SIZE);
    heaps = pages(HEAPS * heap_size);
    for (int i = 0; i < MESSAGES; i++) {
        iov[i] = (struct iovec){buffer + i * SIZE, SIZE};
        messages[i].msg_hdr.msg_iov = &iov[i];
        messages[i].msg_hdr.msg_iovlen = 1;
        messages[i].msg_hdr.msg_control = control[i];
    }
    printf("READY\n");
    fflush(stdout);
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    while (take_batch(fd))
        ;
    getrusage(RUSAGE_SELF, &after);
    printf("{\"packets\": %llu, \"bytes\": %llu, \"heaps\": %llu, "
           "\"user\": %.6f, \"system\": %.6f, \"calls\": %llu, "
           "\"messages\": %llu}\n",
           (unsigned long long)packets, (unsigned long long)bytes,
           (unsigned long long)(bytes / heap_size),
           elapsed(before.ru_utime, after.ru_utime),
           elapsed(before.ru_stime, after.ru_stime),
           (unsigned long long)calls, (unsigned long long)message_count);
    return 0;
}
