/* SPDX-License-Identifier: Apache-2.0 */
/* The packets of a heap, to be written piecemeal: first a header, then the
 * payload as it lies in the memory of the items. Pure: no system calls. */
#ifndef SPNI_ENCODE_H
#define SPNI_ENCODE_H

#include "pyspin.h"

/* Header, HEAP_CNT, HEAP_LENGTH, PAYLOAD_OFFSET, PAYLOAD_LENGTH. */
#define SPNI_PREFIX_SIZE 40

/* Where one packet lies in its heap. */
typedef struct {
    size_t first_pointer;  /* of the heap's item pointers */
    size_t pointer_count;
    size_t payload_offset;
    size_t payload_length;
} spni_span;

/* Where the next payload byte of a heap is. All zero: at its beginning. */
typedef struct {
    size_t piece;
    size_t offset; /* within the piece */
} spni_cursor;

void spni_packets_ref(spn_packets *packets);

/* 0, or -EINVAL when a heap count does not fit the flavour. */
int spni_packets_check_cnt(const spn_packets *packets, uint64_t cnt);

/* The low-order bits of `cnt` that the flavour has room for. */
uint64_t spni_packets_wrap_cnt(const spn_packets *packets, uint64_t cnt);

void spni_packets_span(const spn_packets *packets, size_t index,
                       spni_span *out);

/* From a packet to the one behind it, of which there must be one. */
void spni_packets_advance(const spn_packets *packets, spni_span *span);

static inline size_t spni_span_header(const spni_span *span)
{
    return SPNI_PREFIX_SIZE + 8 * span->pointer_count;
}

/* Write a packet's header and item pointers: spni_span_header(span) bytes. */
void spni_packets_write_header(const spn_packets *packets,
                               const spni_span *span, uint64_t cnt,
                               uint8_t *out);

/* Put the cursor at a payload offset. */
void spni_packets_seek(const spn_packets *packets, size_t payload_offset,
                       spni_cursor *cursor);

/* The bytes at the cursor, at most `limit` (not 0) and at least one, which it
 * passes. *out is where they lie; returns how many. */
size_t spni_packets_take(const spn_packets *packets, spni_cursor *cursor,
                         size_t limit, const uint8_t **out);

#endif
