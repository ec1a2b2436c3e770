/* SPDX-License-Identifier: Apache-2.0 */
/* A heap that has been cut: the record from which its packets are written.
 * Never changes, and shared. Pure: no system calls. */
#ifndef SPNI_PACKETS_H
#define SPNI_PACKETS_H

#include <stddef.h>
#include <stdint.h>

#include "pyspin.h"

/* Header, HEAP_CNT, HEAP_LENGTH, PAYLOAD_OFFSET, PAYLOAD_LENGTH. */
#define SPNI_PREFIX_SIZE 40

/* Where its numbers are. */
enum {
    SPNI_AT_COUNT = 6, /* of item pointers, 16 bits */
    SPNI_AT_CNT = 8,
    SPNI_AT_OFFSET = 24,
    SPNI_AT_PAYLOAD_LENGTH = 32,
};

/* A part of the payload that lies in one place. */
typedef struct {
    const uint8_t *data;
    size_t begin; /* payload offset */
    size_t length;
} spni_piece;

struct spn_packets {
    unsigned references; /* atomic */
    int heap_address_bits;
    bool repeat_pointers;
    size_t max_packet_size;
    size_t count;          /* packets */
    size_t payload_length; /* of the heap, padding too */
    size_t pointer_count;
    size_t pointers_per_packet;
    size_t piece_count;
    uint64_t *pointers; /* big-endian */
    spni_piece *pieces;      /* none is empty */
    uint8_t prefix[SPNI_PREFIX_SIZE];
    max_align_t storage[];
};

void spni_packets_ref(spn_packets *packets);

/* 0, or -EINVAL when a heap count does not fit the flavour. */
int spni_packets_check_cnt(const spn_packets *packets, uint64_t cnt);

/* The low-order bits of `cnt` that the flavour has room for. */
uint64_t spni_packets_wrap_cnt(const spn_packets *packets, uint64_t cnt);

#endif
