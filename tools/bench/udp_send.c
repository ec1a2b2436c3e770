/* SPDX-License-Identifier: Apache-2.0 */
/* The sender of every receive benchmark: SPEAD-64-40 heaps of one item over
 * UDP, as a digitiser sends them (the same header in every packet, offsets
 * advancing), with or without GSO, at a given rate. It shares nothing with the
 * library, so every receiver meets the same traffic.
 *
 * Prints one line of JSON: packets and bytes sent, seconds, CPU seconds, and how
 * many of these it spun until the next batch was due.
 */
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

enum {
    HEADER = 48,       /* 8 + 5 item pointers */
    MAX_GSO = 65000,   /* bytes of one message with GSO */
    MESSAGES = 16,     /* of one sendmmsg with GSO */
    MAX_PACKETS = 1024 /* of one sendmmsg */
};

static struct {
    int port, payload, interleave, reorder, cpu, flows, split;
    uint64_t heap, heaps;
    double rate, loss;
    bool gso, stamp, lie;
} options = {.port = 8888, .payload = 8192, .interleave = 1, .cpu = -1,
             .heap = 1 << 20, .heaps = 1000, .flows = 1};

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static double uniform(void)
{
    static uint64_t state = 88172645463325252u;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (double)(state >> 11) / 9007199254740992.0;
}

static void store(uint8_t *at, uint64_t value)
{
    value = htobe64(value);
    memcpy(at, &value, 8);
}

static uint64_t pointer(bool immediate, uint64_t id, uint64_t value)
{
    return (uint64_t)immediate << 63 | id << 40 | value;
}

static void make_header(uint8_t *at, uint64_t cnt, uint64_t heap_length,
                        uint64_t offset, uint64_t length, uint64_t last)
{
    static const uint8_t start[8] = {0x53, 4, 3, 5, 0, 0, 0, 5};
    memcpy(at, start, 8);
    store(at + 8, pointer(true, 1, cnt));
    store(at + 16, pointer(true, 2, heap_length));
    store(at + 24, pointer(true, 3, offset));
    store(at + 32, pointer(true, 4, length));
    store(at + 40, last);
}

/* One sendmmsg in the making. */
static struct {
    uint8_t headers[MAX_PACKETS][HEADER];
    struct iovec iov[2 * MAX_PACKETS];
    struct mmsghdr messages[MAX_PACKETS];
    int packets, count, in_message, fd;
} batch;

static uint64_t sent_packets, sent_bytes, spun_ns;
static const uint8_t *heap_end; /* in memory */

static void pace(uint64_t bytes)
{
    static uint64_t next_ns;
    if (options.rate <= 0)
        return;
    uint64_t now = now_ns();
    if (next_ns == 0 || now > next_ns + 2000000)
        next_ns = now;
    uint64_t begin = now;
    while (now < next_ns)
        now = now_ns();
    spun_ns += now - begin;
    next_ns += (uint64_t)((double)bytes * 1e9 / options.rate);
}

static void transmit(int from, int to)
{
    for (int done = from; done < to;) {
        int sent = sendmmsg(batch.fd, batch.messages + done,
                            (unsigned)(to - done), 0);
        if (sent > 0)
            done += sent;
        else if (errno != EINTR && errno != ECONNREFUSED && errno != ENOBUFS) {
            perror("sendmmsg");
            exit(1);
        }
    }
}

/* The last 8 bytes of a stamped heap say when the message that ends it was
 * sent, by itself. */
static void transmit_stamped(void)
{
    const struct iovec *last = &batch.iov[2 * batch.packets - 1];
    uint8_t *end = (uint8_t *)last->iov_base + last->iov_len;
    transmit(0, batch.count - 1);
    if (end == heap_end) {
        uint64_t now = now_ns();
        memcpy(end - 8, &now, 8);
    }
    transmit(batch.count - 1, batch.count);
}

static void flush(void)
{
    uint64_t bytes = 0;
    for (int i = 0; i < batch.packets; i++)
        bytes += HEADER + batch.iov[2 * i + 1].iov_len;
    if (!options.stamp)
        pace(bytes);
    if (options.stamp && batch.packets > 0)
        transmit_stamped();
    else
        transmit(0, batch.count);
    sent_packets += (uint64_t)batch.packets;
    sent_bytes += bytes;
    batch.packets = batch.count = batch.in_message = 0;
}

static int message_packets(void)
{
    int packets = options.gso ? MAX_GSO / (HEADER + options.payload) : 1;
    return packets > 60 ? 60 : packets < 1 ? 1 : packets;
}

static void add(uint64_t cnt, uint64_t offset, uint8_t *data, uint64_t length,
                const struct sockaddr_in *to)
{
    if (options.loss > 0 && uniform() < options.loss)
        return;
    int i = batch.packets++;
    /* With --lie every second packet tells another length of the heap. */
    uint64_t told = options.lie && i % 2 ? options.heap + 8 * (uint64_t)i
                                         : options.heap;
    make_header(batch.headers[i], cnt, told, offset, length,
                pointer(false, 0x1000, 0));
    batch.iov[2 * i] = (struct iovec){batch.headers[i], HEADER};
    batch.iov[2 * i + 1] = (struct iovec){data + offset, length};
    if (batch.in_message == 0)
        batch.messages[batch.count++].msg_hdr =
            (struct msghdr){.msg_iov = &batch.iov[2 * i],
                            .msg_name = (void *)to,
                            .msg_namelen = sizeof *to};
    batch.messages[batch.count - 1].msg_hdr.msg_iovlen += 2;
    if (++batch.in_message >= message_packets()
        || length < (uint64_t)options.payload)
        batch.in_message = 0;
    bool full = batch.count >= (options.gso ? MESSAGES : 64);
    if (batch.packets + 2 >= MAX_PACKETS || (batch.in_message == 0 && full))
        flush();
}

/* With --split every n-th packet is sent as two, whose sizes change. */
static void add_parts(uint64_t cnt, uint64_t offset, uint8_t *data,
                      uint64_t length, const struct sockaddr_in *to)
{
    static uint64_t count;
    uint64_t first = length;
    if (options.split > 0 && ++count % (uint64_t)options.split == 0)
        first = length / 2 + count / (uint64_t)options.split % 53 * 8;
    if (first >= length) {
        add(cnt, offset, data, length, to);
        return;
    }
    add(cnt, offset, data, first, to);
    add(cnt, offset + first, data, length - first, to);
}

/* The heaps of one group, their packets dealt out in turn; reordering sends
 * each window of packets backwards. */
static void send_group(uint64_t cnt, uint8_t *data,
                       const struct sockaddr_in *to)
{
    uint64_t payload = (uint64_t)options.payload;
    uint64_t packets = (options.heap + payload - 1) / payload;
    uint64_t window = (uint64_t)options.reorder + 1;
    for (uint64_t i = 0; i < packets + window; i++) {
        uint64_t at = i - i % window + window - 1 - i % window;
        if (at >= packets)
            continue;
        uint64_t offset = at * payload;
        uint64_t left = options.heap - offset;
        for (int h = 0; h < options.interleave; h++)
            add_parts(cnt + (uint64_t)h, offset, data,
                      left < payload ? left : payload, to);
    }
}

static void send_heaps(uint8_t *data, struct sockaddr_in *flows)
{
    heap_end = data + options.heap;
    for (uint64_t h = 0; h < options.heaps; h += (uint64_t)options.interleave) {
        if (options.stamp)
            pace(options.heap);
        send_group(1 + h, data, &flows[h % (uint64_t)options.flows]);
        if (options.flows > 1)
            batch.in_message = 0; /* the next heap goes elsewhere */
        if (options.stamp)
            flush();
    }
    flush();
}

static void send_stop(const struct sockaddr_in *to)
{
    uint8_t packet[HEADER];
    make_header(packet, (UINT64_C(1) << 40) - 1, 0, 0, 0, pointer(true, 6, 2));
    int off = 0;
    setsockopt(batch.fd, IPPROTO_UDP, UDP_SEGMENT, &off, sizeof off);
    for (int i = 0; i < 3; i++) {
        usleep(50000);
        (void)!sendto(batch.fd, packet, sizeof packet, 0,
                      (const struct sockaddr *)to, sizeof *to);
    }
}

static void parse(int argc, char **argv)
{
    static const struct option names[] = {
        {"port", 1, 0, 'p'},       {"payload", 1, 0, 's'},
        {"heap", 1, 0, 'H'},       {"heaps", 1, 0, 'n'},
        {"rate", 1, 0, 'r'},       {"gso", 1, 0, 'g'},
        {"loss", 1, 0, 'l'},       {"reorder", 1, 0, 'o'},
        {"interleave", 1, 0, 'i'}, {"cpu", 1, 0, 'c'},
        {"stamp", 1, 0, 't'},      {"flows", 1, 0, 'f'},
        {"split", 1, 0, 'S'},      {"lie", 1, 0, 'L'},
        {0, 0, 0, 0}};
    for (int name; (name = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        switch (name) {
        case 'p': options.port = atoi(optarg); break;
        case 's': options.payload = atoi(optarg); break;
        case 'H': options.heap = strtoull(optarg, NULL, 0); break;
        case 'n': options.heaps = strtoull(optarg, NULL, 0); break;
        case 'r': options.rate = atof(optarg); break;
        case 'g': options.gso = atoi(optarg) != 0; break;
        case 'l': options.loss = atof(optarg); break;
        case 'o': options.reorder = atoi(optarg); break;
        case 'i': options.interleave = atoi(optarg); break;
        case 'c': options.cpu = atoi(optarg); break;
        case 't': options.stamp = atoi(optarg) != 0; break;
        case 'f': options.flows = atoi(optarg); break;
        case 'S': options.split = atoi(optarg); break;
        case 'L': options.lie = atoi(optarg) != 0; break;
        default: exit(2);
        }
    }
}

static void open_socket(void)
{
    if (options.cpu >= 0) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET(options.cpu, &set);
        sched_setaffinity(0, sizeof set, &set);
    }
    batch.fd = socket(AF_INET, SOCK_DGRAM, 0);
    int size = 4 << 20, segment = HEADER + options.payload;
    setsockopt(batch.fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    if (options.gso
        && setsockopt(batch.fd, IPPROTO_UDP, UDP_SEGMENT, &segment,
                      sizeof segment) < 0) {
        perror("UDP_SEGMENT");
        exit(1);
    }
}

static double seconds_of(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec * 1e-6;
}

int main(int argc, char **argv)
{
    parse(argc, argv);
    open_socket();
    struct sockaddr_in flows[64] = {0};
    for (int i = 0; i < options.flows && i < 64; i++) {
        flows[i].sin_family = AF_INET;
        flows[i].sin_port = htons((uint16_t)(options.port + i));
        flows[i].sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    }
    uint8_t *data = malloc(options.heap + 8);
    for (uint64_t i = 0; i < options.heap; i++)
        data[i] = (uint8_t)(i * 7);
    uint64_t start = now_ns();
    send_heaps(data, flows);
    double seconds = (double)(now_ns() - start) * 1e-9;
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    for (int i = 0; i < options.flows; i++)
        send_stop(&flows[i]);
    printf("{\"packets\": %llu, \"bytes\": %llu, \"seconds\": %.6f, "
           "\"user\": %.6f, \"system\": %.6f, \"spun\": %.6f}\n",
           (unsigned long long)sent_packets, (unsigned long long)sent_bytes,
           seconds, seconds_of(usage.ru_utime), seconds_of(usage.ru_stime),
           (double)spun_ns * 1e-9);
    return 0;
}
