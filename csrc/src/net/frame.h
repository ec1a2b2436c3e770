/* SPDX-License-Identifier: Apache-2.0 */
/* Ethernet frames -> UDP payloads: pure, for readers that see whole frames. */
#ifndef SPNI_FRAME_H
#define SPNI_FRAME_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What became of a frame. */
typedef enum {
    SPNI_FRAME_OURS,     /* a UDP datagram for the address and port */
    SPNI_FRAME_OTHER,    /* somebody else's */
    SPNI_FRAME_FRAGMENT, /* the first fragment of a datagram of ours */
    SPNI_FRAME_LENGTH,   /* ours, but its lengths contradict one another */
    SPNI_FRAME_CHECKSUM, /* ours, but a checksum is wrong */
    SPNI_FRAME_HEADER,   /* ours, but an extension header forbids it */
} spni_frame_verdict;

/* Whose datagrams are wanted: a port, and an address unless it is the
 * wildcard. */
typedef struct {
    uint16_t port;       /* host byte order */
    bool is_ipv6;
    bool any_address;
    uint8_t address[16]; /* network byte order; IPv4: the first 4 */
    bool has_hardware;
    uint8_t hardware[6]; /* the interface's own address, if it is known */
} spni_frame_target;

/* Find the UDP payload of a frame that begins with its Ethernet header, past
 * any VLAN tags (IEEE 802.1Q), IPv4 options (RFC 791) and IPv6 extension
 * headers (RFC 8200) but those of IPsec. `length` is what was captured. The
 * payload of a merged frame (GSO, or GRO) is that of all its packets, back to
 * back; it has no checksum of its own. With is_checked UDP's is right, if there
 * is one. */
spni_frame_verdict spni_frame_parse(const uint8_t *frame, size_t length,
                                    bool is_checked,
                                    const spni_frame_target *target,
                                    const uint8_t **payload,
                                    size_t *payload_length);

enum { SPNI_FRAME_FILTER_MAX = 40 };

/* Write a classic BPF program that passes the frames of `target` to a packet
 * socket, first fragments of them too, and nothing that the host itself sends
 * out or that is addressed to other hardware (which an interface in promiscuous
 * mode sees). IPv6 extension headers pass, whatever comes after them. Returns
 * how many instructions were written. Frames with a second VLAN tag inside do
 * not pass. */
int spni_frame_filter(const spni_frame_target *target,
                      struct sock_filter program[SPNI_FRAME_FILTER_MAX]);

#endif
