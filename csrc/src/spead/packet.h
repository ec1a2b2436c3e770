/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of one SPEAD packet as fields (SPEAD protocol, revision 1, sections
 * 2 and 3). Pure: no state, no allocation, never reads beyond the bytes. */
#ifndef SPNI_PACKET_H
#define SPNI_PACKET_H

#include <stddef.h>
#include <stdint.h>

enum {
    SPNI_HEADER_SIZE = 8,
    SPNI_POINTER_SIZE = 8,
};

/* Items whose meaning the protocol fixes. */
enum {
    SPNI_ID_NULL = 0,
    SPNI_ID_HEAP_CNT = 1,
    SPNI_ID_HEAP_LENGTH = 2,
    SPNI_ID_PAYLOAD_OFFSET = 3,
    SPNI_ID_PAYLOAD_LENGTH = 4,
    SPNI_ID_DESCRIPTOR = 5,
    SPNI_ID_STREAM_CTRL = 6,
};

enum {
    SPNI_STREAM_START = 0,
    SPNI_STREAM_STOP = 2,
};

/* Why bytes are not a packet; one counter of spn_stream_stats each. */
typedef enum {
    SPNI_DECODED = 0,
    SPNI_REJECTED_SHORT,
    SPNI_REJECTED_MAGIC,
    SPNI_REJECTED_WIDTHS,
    SPNI_REJECTED_HEADER,
    SPNI_REJECTED_MISSING,
    SPNI_REJECTED_TRUNCATED,
    SPNI_REJECTED_HEAP_LENGTH,
} spni_decoded;

typedef struct {
    uint64_t cnt;
    int64_t heap_length;     /* -1: not told */
    uint64_t payload_offset; /* in the heap */
    size_t payload_length;
    const uint8_t *payload; /* after the pointers, unless it was placed */
    const uint8_t *pointers; /* big-endian, at any address */
    size_t pointer_count;
    size_t cnt_position;     /* in the packet, of the pointer HEAP_CNT */
    size_t offset_position;  /* and of PAYLOAD_OFFSET */
    size_t length;           /* of the whole packet */
    unsigned heap_address_bits;
} spni_packet;

/* Decode the packet that begins at data; bytes may follow it. */
spni_decoded spni_packet_decode(const uint8_t *data, size_t length,
                                spni_packet *out);

/* What an item pointer says under a flavour. */
static inline int spni_pointer_is_immediate(uint64_t pointer)
{
    return (int)(pointer >> 63);
}

static inline uint64_t spni_pointer_id(uint64_t pointer, unsigned address_bits)
{
    return (pointer & (UINT64_MAX >> 1)) >> address_bits;
}

static inline uint64_t spni_pointer_value(uint64_t pointer,
                                          unsigned address_bits)
{
    return pointer & ((UINT64_C(1) << address_bits) - 1);
}

#endif
