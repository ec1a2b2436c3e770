/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of a packet, to be written piecemeal: first a header, then the
 * payload as it lies in the memory of the items. Pure: no system calls. */
#ifndef SPNI_ENCODE_H
#define SPNI_ENCODE_H

#include "spead/layout.h"

/* Where the next payload byte of a heap is. All zero: at its beginning. */
typedef struct {
    size_t piece;
    size_t offset; /* within the piece */
} spni_cursor;

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
