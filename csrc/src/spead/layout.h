/* SPDX-License-Identifier: Apache-2.0 */
/* Where each packet of a heap lies. Pure: no system calls. */
#ifndef SPNI_LAYOUT_H
#define SPNI_LAYOUT_H

#include "spead/packets.h"

/* Where one packet lies in its heap. */
typedef struct {
    size_t first_pointer;  /* of the heap's item pointers */
    size_t pointer_count;
    size_t payload_offset;
    size_t payload_length;
} spni_span;

/* How many item pointers a packet has room for. max_packet_size is a multiple
 * of 8 that spni_layout_is_sound. */
size_t spni_layout_pointers(size_t max_packet_size);

bool spni_layout_is_sound(size_t max_packet_size);

/* The least payload with which all packets of a heap of so many item pointers
 * have some. For these two the record needs its max_packet_size,
 * repeat_pointers and pointers_per_packet; for the number of packets its
 * pointer_count and payload_length, too. */
size_t spni_layout_payload_needed(const spn_packets *packets,
                                  size_t pointer_count);
size_t spni_layout_count(const spn_packets *packets);

void spni_packets_span(const spn_packets *packets, size_t index,
                       spni_span *out);

/* From a packet to the one behind it, of which there must be one. */
void spni_packets_advance(const spn_packets *packets, spni_span *span);

static inline size_t spni_span_header(const spni_span *span)
{
    return SPNI_PREFIX_SIZE + 8 * span->pointer_count;
}

#endif
