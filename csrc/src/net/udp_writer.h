/* SPDX-License-Identifier: Apache-2.0 */
/* Packets -> a batch of messages -> sendmmsg. One thread at a time.
 *
 * With UDP_SEGMENT (GSO) one message carries up to 64 packets of one size to
 * one address, the last of which may be shorter; the kernel, or the network
 * card, cuts them apart.
 */
#ifndef SPNI_UDP_WRITER_H
#define SPNI_UDP_WRITER_H

#include "net/address.h"
#include "spead/encode.h"

typedef struct spni_udp_writer spni_udp_writer;

/* The largest packet that fits a UDP datagram (over IPv6). */
#define SPNI_UDP_MAX_PACKET 65527

/* A writer to `fd`, which stays the caller's. With `only`, the one address that
 * there will be, it may connect the socket. 0 or -ENOMEM. */
int spni_udp_writer_new(int fd, bool gso, const spni_address *only,
                        spni_udp_writer **out);
void spni_udp_writer_free(spni_udp_writer *writer);

/* Add a packet of at most SPNI_UDP_MAX_PACKET bytes, whose payload is at the
 * cursor (which passes it). Its length; or 0, and nothing has happened: the
 * batch is full. `to` must live until the batch has been sent or cleared. */
size_t spni_udp_writer_add(spni_udp_writer *writer, const spn_packets *packets,
                           const spni_span *span, spni_cursor *cursor,
                           uint64_t cnt, const spni_address *to);

bool spni_udp_writer_is_empty(const spni_udp_writer *writer);

/* What one call of the kernel took. */
typedef struct {
    size_t packets;
    size_t bytes;
    size_t messages;
} spni_sent;

/* Hand the first messages of the batch to the kernel, in one call: 0 and how
 * much was taken, at least one packet; -EAGAIN when the socket is full; or the
 * error that the first message met, see spni_udp_writer_clear. */
int spni_udp_writer_send(spni_udp_writer *writer, spni_sent *out);

/* Forget the rest of the batch, after an error. True when the message that met
 * it carried several packets of a size that the device may not segment: such
 * packets will go one to a message, and the same should be tried again. */
bool spni_udp_writer_clear(spni_udp_writer *writer, int error);

#endif
