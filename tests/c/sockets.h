/* SPDX-License-Identifier: Apache-2.0 */
/* UDP sockets on 127.0.0.1 for the tests of what sends. */
#ifndef SOCKETS_H
#define SOCKETS_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"

static inline int open_socket(void)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    return fd;
}

/* Ask for a receive buffer in which whole batches may wait. What the kernel
 * gives is up to net.core.rmem_max, but for those who may force it; it charges
 * for more than the bytes of a datagram. */
static inline void enlarge_buffer(int fd)
{
    int size = 4 << 20;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) < 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
}

static inline size_t buffer_size_of(int fd)
{
    int size = 0;
    socklen_t length = sizeof size;
    CHECK_EQ(getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, &length), 0);
    return (size_t)size;
}

/* A socket that receives at an ephemeral port. */
static inline int open_receiver(uint16_t *port)
{
    int fd = open_socket();
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    CHECK_EQ(bind(fd, (struct sockaddr *)&address, length), 0);
    CHECK_EQ(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    enlarge_buffer(fd);
    *port = ntohs(address.sin_port);
    return fd;
}

/* The next datagram. */
static inline size_t receive_datagram(int fd, void *out, size_t size)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    CHECK_EQ(poll(&poll_fd, 1, PATIENCE_MS), 1);
    ssize_t length = recv(fd, out, size, 0);
    CHECK(length >= 0);
    return (size_t)length;
}

static inline int has_datagram(int fd)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    return poll(&poll_fd, 1, 0);
}

#endif
