/* SPDX-License-Identifier: Apache-2.0 */
/* A pair of UDP sockets on the loopback interface. */
#ifndef UDP_H
#define UDP_H

#include "sockets.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

/* *in is bound to a free port, *out is connected to it. */
static inline void udp_pair(int *in, int *out)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    socklen_t size = sizeof address;
    *in = socket(AF_INET, SOCK_DGRAM, 0);
    *out = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK(*in >= 0 && *out >= 0);
    enlarge_buffer(*in);
    CHECK_EQ(bind(*in, (struct sockaddr *)&address, size), 0);
    CHECK_EQ(getsockname(*in, (struct sockaddr *)&address, &size), 0);
    CHECK_EQ(connect(*out, (struct sockaddr *)&address, size), 0);
}

/* Send `length` bytes as datagrams of `segment` bytes at one call (UDP GSO);
 * where the kernel cannot, one by one. */
static inline void udp_send_segments(int out, const uint8_t *data,
                                     size_t length, size_t segment)
{
    int size = (int)segment;
    if (setsockopt(out, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof size) == 0) {
        CHECK_EQ(send(out, data, length, 0), length);
        size = 0;
        setsockopt(out, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof size);
        return;
    }
    for (size_t at = 0; at < length; at += segment) {
        size_t part = length - at < segment ? length - at : segment;
        CHECK_EQ(send(out, data + at, part, 0), part);
    }
}

#endif
