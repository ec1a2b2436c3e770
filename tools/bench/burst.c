/* SPDX-License-Identifier: Apache-2.0 */
/* The sender of the listener benchmark: numbered datagrams to a port of
 * loopback, at a rate or as fast as it goes.
 *
 *   burst PORT COUNT SIZE RATE     (RATE in datagrams a second, 0: no limit)
 *
 * Prints the rate that it reached. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

enum { BATCH = 16, LARGEST = 65507 };

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static int connect_to(int port)
{
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct sockaddr *to = (struct sockaddr *)&address;
    if (fd < 0 || connect(fd, to, sizeof address) < 0) {
        perror("burst");
        exit(1);
    }
    return fd;
}

static void send_all(int fd, uint32_t count, size_t size, double rate)
{
    static uint8_t data[BATCH][LARGEST];
    struct iovec vectors[BATCH];
    struct mmsghdr messages[BATCH];
    memset(messages, 0, sizeof messages);
    for (int i = 0; i < BATCH; i++) {
        vectors[i] = (struct iovec){data[i], size};
        messages[i].msg_hdr.msg_iov = &vectors[i];
        messages[i].msg_hdr.msg_iovlen = 1;
    }
    double start = now();
    for (uint32_t sent = 0; sent < count;) {
        unsigned batch = count - sent < BATCH ? count - sent : BATCH;
        for (unsigned i = 0; i < batch; i++) {
            uint32_t number = sent + i;
            memcpy(data[i], &number, sizeof number);
        }
        while (rate > 0 && now() < start + sent / rate)
            continue;
        int done = sendmmsg(fd, messages, batch, 0);
        if (done > 0)
            sent += (uint32_t)done;
    }
    printf("%.0f\n", count / (now() - start));
}

int main(int argc, char **argv)
{
    if (argc != 5 || atoi(argv[3]) < 4 || atoi(argv[3]) > LARGEST) {
        fprintf(stderr, "usage: burst PORT COUNT SIZE RATE\n");
        return 2;
    }
    send_all(connect_to(atoi(argv[1])), (uint32_t)atol(argv[2]),
             (size_t)atoi(argv[3]), atof(argv[4]));
    return 0;
}
