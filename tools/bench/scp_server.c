/* SPDX-License-Identifier: Apache-2.0 */
/* A fast SCP server for benchmarks: it answers VER, READ (from 16 MiB of known
 * bytes), WRITE (into them) and everything else with RC_OK, on one port or
 * several, and can be as bad as a network and a board are.
 *
 *   scp_server [--port N] [--ports COUNT] [--loss PERCENT] [--busy PERCENT]
 *              [--queue N --service MICROSECONDS] [--latency MICROSECONDS]
 *              [--seed N]
 *
 * It prints the first port and then serves until its standard input ends. With
 * --queue a port holds at most so many requests, serves one in --service
 * microseconds, and drops the rest, as a board does with its eight reply tags.
 * --loss is that of replies. */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    BATCH = 64,
    PACKET = 512,
    HEADER = 26,
    REPLY = 14,
    DATA = 256,
    WAITING = 4096,
    PORTS_MAX = 64,
    READ = 2,
    WRITE = 3,
    OK = 0x80,
    LEN = 0x81,
    P2P_BUSY = 0x8d,
};

#define MEMORY (16u << 20)

typedef struct {
    uint8_t bytes[REPLY + DATA];
    size_t length;
    struct sockaddr_in to;
    uint64_t due_ns;
} answer;

typedef struct {
    int fd;
    answer *waiting; /* a ring; only with --queue or --latency */
    unsigned first, count;
    uint64_t free_at_ns;
} port;

static uint8_t *memory;
static port ports[PORTS_MAX];
static int port_count = 1;
static double loss, busy;
static unsigned queue_max;
static uint64_t service_ns, latency_ns, seed = 1;

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static bool chance(double percent)
{
    if (percent <= 0)
        return false;
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (double)(seed >> 40) / (1 << 24) * 100 < percent;
}

static uint32_t word(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 |
           (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static size_t execute(const uint8_t *request, size_t length, uint8_t *reply)
{
    uint32_t address = word(request + 14) % MEMORY, size = word(request + 18);
    int command = request[10] | request[11] << 8;
    int code = length < HEADER || size > DATA ? LEN : OK;
    if (code == OK && chance(busy))
        code = P2P_BUSY;
    memcpy(reply, request, REPLY);
    reply[2] = 0x07;
    memcpy(reply + 4, request + 5, 1);
    memcpy(reply + 5, request + 4, 1);
    memcpy(reply + 6, request + 8, 2);
    memcpy(reply + 8, request + 6, 2);
    reply[10] = (uint8_t)code;
    reply[11] = 0;
    if (code != OK)
        return REPLY;
    if (command == READ) {
        memcpy(reply + REPLY, memory + address, size);
        return REPLY + size;
    }
    if (command == WRITE && length >= HEADER + size)
        memcpy(memory + address, request + HEADER, size);
    return REPLY;
}

static void postpone(port *at, const answer *given)
{
    uint64_t now = now_ns();
    if (queue_max && at->count >= queue_max)
        return;
    if (at->count >= WAITING)
        return;
    answer *kept = &at->waiting[(at->first + at->count++) % WAITING];
    *kept = *given;
    if (at->free_at_ns < now)
        at->free_at_ns = now;
    at->free_at_ns += service_ns;
    kept->due_ns = (service_ns ? at->free_at_ns : now) + latency_ns;
}

static uint64_t send_due(port *at)
{
    while (at->count > 0) {
        answer *next = &at->waiting[at->first];
        if (next->due_ns > now_ns())
            return next->due_ns;
        if (!chance(loss))
            sendto(at->fd, next->bytes, next->length, 0,
                   (struct sockaddr *)&next->to, sizeof next->to);
        at->first = (at->first + 1) % WAITING;
        at->count--;
    }
    return UINT64_MAX;
}

static int serve(port *at)
{
    static uint8_t requests[BATCH][PACKET], replies[BATCH][PACKET];
    static struct sockaddr_in from[BATCH];
    struct mmsghdr in[BATCH], out[BATCH];
    struct iovec in_piece[BATCH], out_piece[BATCH];
    for (int i = 0; i < BATCH; i++) {
        in_piece[i] = (struct iovec){requests[i], PACKET};
        in[i].msg_hdr = (struct msghdr){
            .msg_name = &from[i], .msg_namelen = sizeof from[i],
            .msg_iov = &in_piece[i], .msg_iovlen = 1};
    }
    int count = recvmmsg(at->fd, in, BATCH, MSG_DONTWAIT, NULL), made = 0;
    for (int i = 0; i < count; i++) {
        if (in[i].msg_len < REPLY)
            continue;
        size_t length = execute(requests[i], in[i].msg_len, replies[made]);
        if (at->waiting) {
            answer given = {.length = length, .to = from[i]};
            memcpy(given.bytes, replies[made], length);
            postpone(at, &given);
        } else if (!chance(loss)) {
            out_piece[made] = (struct iovec){replies[made], length};
            out[made].msg_hdr = (struct msghdr){
                .msg_name = &from[i], .msg_namelen = sizeof from[i],
                .msg_iov = &out_piece[made], .msg_iovlen = 1};
            made++;
        }
    }
    for (int sent = 0, n; sent < made; sent += n)
        if ((n = sendmmsg(at->fd, out + sent, (unsigned)(made - sent), 0)) < 1)
            break;
    return count;
}

static void open_port(port *at, int number)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)number)};
    int size = 8 << 20;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    at->fd = socket(AF_INET, SOCK_DGRAM, 0);
    setsockopt(at->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    if (bind(at->fd, (struct sockaddr *)&address, sizeof address) < 0) {
        perror("bind");
        exit(1);
    }
    if (queue_max || latency_ns || service_ns)
        at->waiting = calloc(WAITING, sizeof *at->waiting);
    socklen_t length = sizeof address;
    getsockname(at->fd, (struct sockaddr *)&address, &length);
    printf("%d\n", ntohs(address.sin_port));
}

static void run(void)
{
    struct pollfd polled[PORTS_MAX + 1];
    uint64_t due = UINT64_MAX;
    for (int i = 0; i < port_count; i++)
        polled[i] = (struct pollfd){.fd = ports[i].fd, .events = POLLIN};
    polled[port_count] = (struct pollfd){.fd = 0, .events = POLLIN};
    for (;;) {
        uint64_t now = now_ns(), wait = due > now ? due - now : 0;
        struct timespec timeout = {.tv_sec = (time_t)(wait / 1000000000u),
                                   .tv_nsec = (long)(wait % 1000000000u)};
        ppoll(polled, (nfds_t)port_count + 1,
              due == UINT64_MAX ? NULL : &timeout, NULL);
        char end;
        if (polled[port_count].revents && read(0, &end, 1) <= 0)
            return;
        due = UINT64_MAX;
        for (int i = 0; i < port_count; i++) {
            if (polled[i].revents)
                while (serve(&ports[i]) > 0 && port_count == 1)
                    if (ports[i].waiting)
                        break;
            uint64_t next = send_due(&ports[i]);
            due = next < due ? next : due;
        }
    }
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"port", 1, 0, 'p'}, {"ports", 1, 0, 'n'}, {"loss", 1, 0, 'l'},
        {"busy", 1, 0, 'b'}, {"queue", 1, 0, 'q'}, {"service", 1, 0, 's'},
        {"latency", 1, 0, 'd'}, {"seed", 1, 0, 'r'}, {0, 0, 0, 0}};
    int option, number = 0;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
        switch (option) {
        case 'p': number = atoi(optarg); break;
        case 'n': port_count = atoi(optarg); break;
        case 'l': loss = atof(optarg); break;
        case 'b': busy = atof(optarg); break;
        case 'q': queue_max = (unsigned)atoi(optarg); break;
        case 's': service_ns = (uint64_t)(atof(optarg) * 1000); break;
        case 'd': latency_ns = (uint64_t)(atof(optarg) * 1000); break;
        case 'r': seed = (uint64_t)atoll(optarg); break;
        default: return 2;
        }
    if (port_count < 1 || port_count > PORTS_MAX)
        return 2;
    memory = malloc(MEMORY);
    for (uint32_t i = 0; memory && i < MEMORY; i++)
        memory[i] = (uint8_t)((i * 2654435761u) >> 24);
    for (int i = 0; i < port_count; i++)
        open_port(&ports[i], number ? number + i : 0);
    fflush(stdout);
    run();
    return 0;
}
