/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's limit for a receiver: recvmmsg with GRO and no protocol.
 *
 *   discard: throw every byte away where it landed
 *   copy:    copy each packet's payload to its place in a heap
 *   rest:    the same, but sleep for 3 ms whenever the socket is empty: what is
 *            left when next to nothing is spent on waking up
 *   place:   have the kernel write each payload to its place, as it is known
 *            beforehand how udp_send cuts its messages (and nothing is lost)
 *   land:    have it write each message to the heap, behind the place of its
 *            payloads, and move these there
 *
 * The heaps are used in turn. How many there are decides how much of the
 * processor's cache they take.
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
#include <time.h>

#ifndef UDP_GRO
#define UDP_GRO 104
#endif

enum { MESSAGES = 64, SIZE = 65536, HEADER = 48, PACKETS = 60, MAX_GSO = 65000 };
enum { REST_NS = 3000000 };

static struct mmsghdr messages[MESSAGES];
static struct iovec iov[MESSAGES];
static uint8_t control[MESSAGES][64];
static uint64_t packets, bytes, calls, message_count;
static uint8_t *buffer, *heaps;
static uint64_t heap_size, heap_count, payload_size;
static bool copying, placing, landing, resting, gso;

/* The plan of `place`. */
static struct iovec plan[MESSAGES][2 * PACKETS + 1];
static uint8_t headers[MESSAGES][PACKETS][HEADER];
static uint64_t position; /* in the heaps, of the next packet */
static uint64_t ends[MESSAGES]; /* the position after each message */

/* Where each message came to lie. */
static uint8_t *landed[MESSAGES];

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
    if (!copying) /* nor is a placed header where `packet` says */
        return;
    uint64_t cnt = immediate(packet + 8), offset = immediate(packet + 24);
    if (offset + payload <= heap_size)
        memmove(heaps + (cnt - 1) % heap_count * heap_size + offset,
                packet + HEADER, payload);
    position = (cnt - 1) * heap_size + offset + payload;
}

/* Whether the sender has not stopped yet. */
static bool take_message(int i)
{
    int length = (int)messages[i].msg_len;
    if (length <= HEADER)
        return false;
    int step = segment_size(&messages[i].msg_hdr, length);
    for (int at = 0; at < length; at += step)
        take_packet(landed[i] + at,
                    length - at < step ? length - at : step);
    return true;
}

static int message_packets(void)
{
    int most = MAX_GSO / (int)(HEADER + payload_size);
    return !gso || most < 1 ? 1 : most > PACKETS ? PACKETS : most;
}

/* Lead the message's packets to where they belong; what follows them. */
static uint64_t plan_message(int i, uint64_t at)
{
    struct iovec *next = plan[i];
    uint64_t length = payload_size;
    for (int n = 0; n < message_packets() && length == payload_size; n++) {
        uint64_t left = heap_size - at % heap_size;
        length = left < payload_size ? left : payload_size;
        *next++ = (struct iovec){headers[i][n], HEADER};
        *next++ = (struct iovec){heaps + at % (heap_count * heap_size), length};
        at += length;
    }
    messages[i].msg_hdr.msg_iov = plan[i];
    messages[i].msg_hdr.msg_iovlen = (size_t)(next - plan[i]);
    return at;
}

/* Each message where its payloads belong, and further on by the headers of those
 * before it, so that none is written over before it has been taken. */
static void plan_landing(void)
{
    uint64_t at = position % (heap_count * heap_size);
    for (int i = 0; i < MESSAGES; i++) {
        uint64_t gap = (uint64_t)(i * message_packets() * HEADER);
        landed[i] = heaps + at + gap;
        iov[i].iov_base = landed[i];
        at += (uint64_t)message_packets() * payload_size;
    }
}

static void plan_batch(void)
{
    uint64_t at = position;
    for (int i = 0; i < MESSAGES; i++)
        ends[i] = at = plan_message(i, at);
}

static bool take_batch(int fd)
{
    if (placing)
        plan_batch();
    if (landing)
        plan_landing();
    for (int i = 0; i < MESSAGES; i++)
        messages[i].msg_hdr.msg_controllen = sizeof control[i];
    int got = recvmmsg(fd, messages, MESSAGES,
                       resting ? MSG_DONTWAIT : MSG_WAITFORONE, NULL);
    calls++;
    if (resting && got < MESSAGES)
        nanosleep(&(struct timespec){.tv_nsec = REST_NS}, NULL);
    if (placing && got > 0)
        position = ends[got - 1];
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
    if (argc < 8) {
        fprintf(stderr, "udp_receive discard|copy|rest|place|land PORT HEAP CPU "
                        "HEAPS PAYLOAD GSO\n");
        return 2;
    }
    placing = strcmp(argv[1], "place") == 0;
    landing = strcmp(argv[1], "land") == 0;
    resting = strcmp(argv[1], "rest") == 0;
    copying = landing || resting || strcmp(argv[1], "copy") == 0;
    heap_size = strtoull(argv[3], NULL, 0);
    heap_count = strtoull(argv[5], NULL, 0);
    payload_size = strtoull(argv[6], NULL, 0);
    gso = atoi(argv[7]) != 0;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(atoi(argv[4]), &set);
    sched_setaffinity(0, sizeof set, &set);
    int fd = open_socket(atoi(argv[2]));
    buffer = pages(MESSAGES * SIZE);
    heaps = pages(heap_count * heap_size + MESSAGES * SIZE);
    for (int i = 0; i < MESSAGES; i++) {
        landed[i] = buffer + i * SIZE;
        iov[i] = (struct iovec){landed[i], SIZE};
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
