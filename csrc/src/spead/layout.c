/* SPDX-License-Identifier: Apache-2.0 */
/* A heap is cut by arithmetic alone: where packet i lies follows from i, so
 * nothing is stored per packet and a heap of a million packets costs no more
 * memory than one of two. With N item pointers and room for P of them in a
 * packet that keeps at least 8 bytes for payload, the first N/P packets are
 * full of pointers and carry that little payload; the next has the N%P that
 * are left; the rest are payload. The payload is padded so that every packet
 * has some.
 */
#include "spead/layout.h"

/* The least payload of a packet that is full of item pointers, and the least
 * packet: prefix, one pointer, that payload. */
#define ROOM 8
#define MIN_PACKET_SIZE (SPNI_PREFIX_SIZE + 8 + ROOM)

/* The header counts item pointers, the four of the prefix too, in 16 bits. */
#define MAX_POINTERS (UINT16_MAX - 4)

static size_t smaller(size_t left, size_t right)
{
    return left < right ? left : right;
}

static size_t divide_up(size_t value, size_t by)
{
    return value / by + (value % by != 0);
}

/* Payload of a packet that is full of pointers. */
static size_t least_payload(const spn_packets *packets)
{
    return packets->max_packet_size - SPNI_PREFIX_SIZE -
           8 * packets->pointers_per_packet;
}

/* Payload of the packet that has the last pointers, and of those after it. */
static size_t most_payload(const spn_packets *packets, size_t pointer_count)
{
    return packets->max_packet_size - SPNI_PREFIX_SIZE - 8 * pointer_count;
}

bool spni_layout_is_sound(size_t max_packet_size)
{
    return max_packet_size >= MIN_PACKET_SIZE;
}

size_t spni_layout_pointers(size_t max_packet_size)
{
    return smaller((max_packet_size - SPNI_PREFIX_SIZE - ROOM) / 8,
                   MAX_POINTERS);
}

size_t spni_layout_payload_needed(const spn_packets *packets,
                                  size_t pointer_count)
{
    if (packets->repeat_pointers) {
        return 1;
    }
    return least_payload(packets) *
               (pointer_count / packets->pointers_per_packet) +
           1;
}

size_t spni_layout_count(const spn_packets *packets)
{
    size_t length = packets->payload_length;
    if (packets->repeat_pointers) {
        return divide_up(length, most_payload(packets, packets->pointer_count));
    }
    size_t full = packets->pointer_count / packets->pointers_per_packet;
    size_t rest = packets->pointer_count % packets->pointers_per_packet;
    size_t before = full * least_payload(packets);
    if (length <= before) {
        return divide_up(length, least_payload(packets));
    }
    size_t mixed = most_payload(packets, rest);
    if (length - before <= mixed) {
        return full + 1;
    }
    return full + 1 +
           divide_up(length - before - mixed, most_payload(packets, 0));
}

size_t spn_packets_count(const spn_packets *packets)
{
    return packets->count;
}

size_t spn_packets_total(const spn_packets *packets)
{
    size_t pointers = packets->repeat_pointers
                          ? packets->pointer_count * packets->count
                          : packets->pointer_count;
    return packets->payload_length + SPNI_PREFIX_SIZE * packets->count +
           8 * pointers;
}

size_t spn_packets_length(const spn_packets *packets, size_t index)
{
    spni_span span;
    spni_packets_span(packets, index, &span);
    return spni_span_header(&span) + span.payload_length;
}

static void place_payload(const spn_packets *packets, size_t offset,
                          size_t most, spni_span *out)
{
    out->payload_offset = offset;
    out->payload_length = smaller(most, packets->payload_length - offset);
}

void spni_packets_span(const spn_packets *packets, size_t index, spni_span *out)
{
    size_t per_packet = packets->pointers_per_packet;
    if (packets->repeat_pointers) {
        out->first_pointer = 0;
        out->pointer_count = packets->pointer_count;
        size_t most = most_payload(packets, out->pointer_count);
        place_payload(packets, index * most, most, out);
        return;
    }
    size_t full = packets->pointer_count / per_packet;
    size_t rest = packets->pointer_count % per_packet;
    size_t mixed = full * least_payload(packets);
    out->first_pointer = smaller(index * per_packet, packets->pointer_count);
    out->pointer_count =
        smaller(per_packet, packets->pointer_count - out->first_pointer);
    size_t most = most_payload(packets, out->pointer_count);
    if (index <= full) {
        place_payload(packets, index * least_payload(packets), most, out);
    } else {
        place_payload(packets,
                      mixed + most_payload(packets, rest) +
                          (index - full - 1) * most,
                      most, out);
    }
}

void spni_packets_advance(const spn_packets *packets, spni_span *span)
{
    if (!packets->repeat_pointers) {
        span->first_pointer += span->pointer_count;
        span->pointer_count =
            smaller(packets->pointers_per_packet,
                    packets->pointer_count - span->first_pointer);
    }
    place_payload(packets, span->payload_offset + span->payload_length,
                  most_payload(packets, span->pointer_count), span);
}
