/* SPDX-License-Identifier: Apache-2.0 */
/* HEAP_CNT and its fellows count only as immediates. When one occurs twice the
 * last wins, as it does for spead2. */
#include "spead/packet.h"

#include "base/bytes.h"

enum {
    SEEN_CNT = 1 << SPNI_ID_HEAP_CNT,
    SEEN_OFFSET = 1 << SPNI_ID_PAYLOAD_OFFSET,
    SEEN_LENGTH = 1 << SPNI_ID_PAYLOAD_LENGTH,
    REQUIRED = SEEN_CNT | SEEN_OFFSET | SEEN_LENGTH,
};

static spni_decoded decode_header(const uint8_t *data, size_t length,
                                  spni_packet *out)
{
    if (length < SPNI_HEADER_SIZE)
        return SPNI_REJECTED_SHORT;
    if (data[0] != 0x53 || data[1] != 4)
        return SPNI_REJECTED_MAGIC;
    if (data[2] == 0 || data[3] == 0 || data[2] + data[3] != 8)
        return SPNI_REJECTED_WIDTHS;
    out->heap_address_bits = 8u * data[3];
    out->pointers = data + SPNI_HEADER_SIZE;
    out->pointer_count = spni_load_be16(data + 6);
    out->payload = out->pointers + out->pointer_count * SPNI_POINTER_SIZE;
    if ((size_t)(out->payload - data) > length)
        return SPNI_REJECTED_HEADER;
    return SPNI_DECODED;
}

/* Read the special items; the answer is the set of those that are there. */
static unsigned decode_specials(const uint8_t *data, uint64_t *payload_length,
                                spni_packet *out)
{
    unsigned seen = 0;
    unsigned bits = out->heap_address_bits;
    uint64_t immediate = UINT64_C(1) << (63 - bits);

    for (size_t i = 0; i < out->pointer_count; i++) {
        const uint8_t *at = out->pointers + i * SPNI_POINTER_SIZE;
        uint64_t pointer = spni_load_be64(at);
        uint64_t id = (pointer >> bits) ^ immediate;
        uint64_t value = spni_pointer_value(pointer, bits);

        if (id - 1 > SPNI_ID_PAYLOAD_LENGTH - 1)
            continue;
        seen |= 1u << id;
        if (id == SPNI_ID_HEAP_CNT) {
            out->cnt = value;
            out->cnt_position = (size_t)(at - data);
        } else if (id == SPNI_ID_HEAP_LENGTH) {
            out->heap_length = (int64_t)value;
        } else if (id == SPNI_ID_PAYLOAD_OFFSET) {
            out->payload_offset = value;
            out->offset_position = (size_t)(at - data);
        } else {
            *payload_length = value;
        }
    }
    return seen;
}

spni_decoded spni_packet_decode(const uint8_t *data, size_t length,
                                spni_packet *out)
{
    uint64_t payload_length = 0;
    spni_decoded decoded = decode_header(data, length, out);

    if (decoded != SPNI_DECODED)
        return decoded;
    out->heap_length = -1;
    if ((decode_specials(data, &payload_length, out) & REQUIRED) != REQUIRED)
        return SPNI_REJECTED_MISSING;
    if (payload_length > length - (size_t)(out->payload - data))
        return SPNI_REJECTED_TRUNCATED;
    /* Both are below 2^56: the sum cannot wrap. */
    if (out->heap_length >= 0
        && out->payload_offset + payload_length > (uint64_t)out->heap_length)
        return SPNI_REJECTED_HEAP_LENGTH;
    out->payload_length = (size_t)payload_length;
    out->length = (size_t)(out->payload - data) + out->payload_length;
    return SPNI_DECODED;
}
