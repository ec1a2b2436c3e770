/* SPDX-License-Identifier: Apache-2.0 */
#include "spead/encode.h"

#include <string.h>

#include "base/bytes.h"

/* The address part of the prefix' pointers is zero in the template. */
static void patch(const uint8_t *prefix, size_t at, uint64_t value,
                  uint8_t *out)
{
    spni_store_be64(out + at, spni_load_be64(prefix + at) | value);
}

void spni_packets_write_header(const spn_packets *packets,
                               const spni_span *span, uint64_t cnt,
                               uint8_t *out)
{
    const uint8_t *prefix = packets->prefix;
    memcpy(out, prefix, SPNI_PREFIX_SIZE);
    spni_store_be16(out + SPNI_AT_COUNT, (uint16_t)(4 + span->pointer_count));
    patch(prefix, SPNI_AT_CNT, cnt, out);
    patch(prefix, SPNI_AT_OFFSET, span->payload_offset, out);
    patch(prefix, SPNI_AT_PAYLOAD_LENGTH, span->payload_length, out);
    if (span->pointer_count > 0) {
        memcpy(out + SPNI_PREFIX_SIZE, packets->pointers + span->first_pointer,
               8 * span->pointer_count);
    }
}

void spni_packets_seek(const spn_packets *packets, size_t payload_offset,
                       spni_cursor *cursor)
{
    size_t low = 0, high = packets->piece_count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (packets->pieces[middle].begin <= payload_offset) {
            low = middle;
        } else {
            high = middle;
        }
    }
    cursor->piece = low;
    cursor->offset = payload_offset - packets->pieces[low].begin;
}

size_t spni_packets_take(const spn_packets *packets, spni_cursor *cursor,
                         size_t limit, const uint8_t **out)
{
    const spni_piece *here = &packets->pieces[cursor->piece];
    size_t left = here->length - cursor->offset;
    size_t length = limit < left ? limit : left;
    *out = here->data + cursor->offset;
    cursor->offset += length;
    if (cursor->offset == here->length) {
        cursor->piece++;
        cursor->offset = 0;
    }
    return length;
}

size_t spn_packets_write(const spn_packets *packets, size_t index, uint64_t cnt,
                         void *out)
{
    spni_span span;
    spni_packets_span(packets, index, &span);
    uint8_t *to = out;
    spni_packets_write_header(packets, &span, cnt, to);
    to += spni_span_header(&span);
    spni_cursor cursor;
    spni_packets_seek(packets, span.payload_offset, &cursor);
    size_t left = span.payload_length;
    while (left > 0) {
        const uint8_t *from;
        size_t length = spni_packets_take(packets, &cursor, left, &from);
        memcpy(to, from, length);
        to += length;
        left -= length;
    }
    return (size_t)(to - (uint8_t *)out);
}

void spn_packets_write_all(const spn_packets *packets, uint64_t cnt, void *out)
{
    uint8_t *to = out;
    for (size_t i = 0; i < packets->count; i++) {
        to += spn_packets_write(packets, i, cnt, to);
    }
}
