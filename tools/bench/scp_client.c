/* SPDX-License-Identifier: Apache-2.0 */
/* The bare client that the SCP benchmarks are held against: READ or WRITE of
 * 256 bytes, a fixed window, sendmmsg and recvmmsg, fast retransmit after three
 * later replies, a timer each. It knows nothing else: no retry codes, no
 * callbacks, numbers without quarantine.
 *
 *   scp_client PORT REQUESTS WINDOW [--write] [--timeout MS]
 *
 * prints one line of JSON. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

enum { HEADER = 26, REPLY = 14, DATA = 256, MAX = 128, SEQUENCES = 65536 };

#define MEMORY (16u << 20)

typedef struct {
    uint8_t bytes[HEADER + DATA];
    uint32_t number;
    uint64_t order, first_order, sent_ns;
    int overtaken;
    bool used;
} request;

static request requests[MAX];
static uint16_t owner[SEQUENCES]; /* index + 1 */
static uint8_t memory[MEMORY];
static int fd;
static bool writing;
static uint64_t order, timeout_ns = 1000000000, resent, timeouts;

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void put(uint8_t *at, uint32_t value, int size)
{
    for (int i = 0; i < size; i++)
        at[i] = (uint8_t)(value >> 8 * i);
}

static void make(request *it, uint32_t number)
{
    uint32_t offset = number % (MEMORY / DATA) * DATA;
    memset(it->bytes, 0, HEADER);
    it->bytes[2] = 0x87;
    it->bytes[3] = it->bytes[5] = 0xff;
    put(it->bytes + 10, writing ? 3 : 2, 2);
    put(it->bytes + 12, number & 0xffff, 2);
    put(it->bytes + 14, 0x60000000 + offset, 4);
    put(it->bytes + 18, DATA, 4);
    put(it->bytes + 22, 2, 4);
    if (writing)
        memcpy(it->bytes + HEADER, memory + offset, DATA);
    it->number = number;
    it->used = true;
    it->first_order = 0;
    owner[number & 0xffff] = (uint16_t)(it - requests + 1);
}

static void transmit(request **list, int count)
{
    struct mmsghdr messages[MAX];
    struct iovec pieces[MAX];
    uint64_t now = now_ns();
    for (int i = 0; i < count; i++) {
        pieces[i] = (struct iovec){list[i]->bytes,
                                   HEADER + (writing ? DATA : 0)};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &pieces[i],
                                              .msg_iovlen = 1};
        list[i]->order = ++order;
        if (!list[i]->first_order)
            list[i]->first_order = order;
        list[i]->overtaken = 0;
        list[i]->sent_ns = now;
    }
    for (int sent = 0, n; sent < count; sent += n)
        if ((n = sendmmsg(fd, messages + sent, (unsigned)(count - sent), 0))
            < 1) {
            perror("send");
            exit(1);
        }
}

/* Whether the reply ended a request. */
static bool take(const uint8_t *bytes, size_t length, int window,
                 request **lost, int *lost_count)
{
    uint16_t sequence = (uint16_t)(bytes[12] | bytes[13] << 8);
    if (length < REPLY || !owner[sequence])
        return false;
    request *it = &requests[owner[sequence] - 1];
    if (!it->used || (it->number & 0xffff) != sequence || bytes[10] != 0x80)
        return false;
    if (!writing)
        memcpy(memory + it->number % (MEMORY / DATA) * DATA, bytes + REPLY,
               length - REPLY);
    it->used = false;
    owner[sequence] = 0;
    for (int i = 0; i < window; i++)
        if (requests[i].used && requests[i].order < it->first_order &&
            ++requests[i].overtaken == 3) {
            lost[(*lost_count)++] = &requests[i];
            resent++;
        }
    return true;
}

static int expire(int window, request **lost)
{
    int count = 0;
    uint64_t now = now_ns();
    for (int i = 0; i < window; i++)
        if (requests[i].used && requests[i].sent_ns + timeout_ns <= now) {
            lost[count++] = &requests[i];
            timeouts++;
        }
    return count;
}

static void run(uint32_t total, int window)
{
    static uint8_t buffers[MAX][512];
    struct mmsghdr messages[MAX];
    struct iovec pieces[MAX];
    request *list[2 * MAX];
    uint32_t next = 0, done = 0;
    for (int i = 0; i < MAX; i++) {
        pieces[i] = (struct iovec){buffers[i], sizeof buffers[i]};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &pieces[i],
                                              .msg_iovlen = 1};
    }
    while (done < total) {
        int count = 0;
        int got = recvmmsg(fd, messages, MAX, MSG_DONTWAIT, NULL);
        for (int i = 0; i < got; i++)
            done += take(buffers[i], messages[i].msg_len, window, list,
                         &count);
        if (got <= 0)
            count = expire(window, list);
        for (int i = 0; i < window && next < total; i++)
            if (!requests[i].used) {
                make(&requests[i], next++);
                list[count++] = &requests[i];
            }
        if (count)
            transmit(list, count);
        else if (got <= 0)
            poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, 5);
    }
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)atoi(argv[1]))};
    uint32_t total = (uint32_t)atol(argv[2]);
    int window = atoi(argv[3]), size = 4 << 20;
    for (int i = 4; i < argc; i++) {
        writing = writing || strcmp(argv[i], "--write") == 0;
        if (strcmp(argv[i], "--timeout") == 0 && i + 1 < argc)
            timeout_ns = (uint64_t)atol(argv[i + 1]) * 1000000;
    }
    if (window < 1 || window > MAX)
        return 2;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    fd = socket(AF_INET, SOCK_DGRAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) < 0)
        return 1;
    memset(memory, 1, sizeof memory);
    uint64_t began = now_ns();
    run(total, window);
    double wall = (double)(now_ns() - began) / 1e9;
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    double cpu = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                 (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    printf("{\"requests\": %u, \"rate\": %.1f, \"cpu_us\": %.3f, "
           "\"resent\": %llu, \"timeouts\": %llu}\n", total, total / wall,
           cpu / total * 1e6, (unsigned long long)resent,
           (unsigned long long)timeouts);
    return 0;
}
