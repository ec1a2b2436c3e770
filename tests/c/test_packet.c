/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"
#include "spead/packet.h"
#include "spead_build.h"

static uint8_t data[70000];
static const uint8_t payload[64] = "payload";

static void decodes_every_flavour(void)
{
    for (unsigned bits = 8; bits <= 56; bits += 8) {
        build b = build_begin(data, bits);
        spni_packet packet;
        build_specials(&b, 7, 64, 3, 5);
        build_pointer(&b, false, 1, 0);
        build_payload(&b, payload, 5);
        CHECK_EQ(spni_packet_decode(data, b.length, &packet), SPNI_DECODED);
        CHECK_EQ(packet.cnt, 7);
        CHECK_EQ(packet.heap_length, 64);
        CHECK_EQ(packet.payload_offset, 3);
        CHECK_EQ(packet.payload_length, 5);
        CHECK_EQ(packet.pointer_count, 5);
        CHECK_EQ(packet.heap_address_bits, bits);
        CHECK_EQ(packet.length, b.length);
        CHECK(memcmp(packet.payload, payload, 5) == 0);
        CHECK_EQ(packet.offset_position, 8 + 2 * 8);
    }
}

static spni_decoded decode(size_t length)
{
    /* A copy of just this size, so that a sanitizer sees reads beyond. */
    uint8_t *copy = malloc(length + 1);
    spni_packet packet;
    spni_decoded decoded;
    memcpy(copy + 1, data, length); /* at an odd address */
    decoded = spni_packet_decode(copy + 1, length, &packet);
    free(copy);
    return decoded;
}

static void rejects_every_cut(void)
{
    build b = build_begin(data, 40);
    build_specials(&b, 7, 64, 0, 8);
    build_payload(&b, payload, 8);
    for (size_t length = 0; length < b.length; length++) {
        spni_decoded expected = length < 8 ? SPNI_REJECTED_SHORT
            : length < b.length - 8        ? SPNI_REJECTED_HEADER
                                           : SPNI_REJECTED_TRUNCATED;
        CHECK_EQ(decode(length), expected);
    }
    CHECK_EQ(decode(b.length), SPNI_DECODED);
    CHECK_EQ(decode(b.length + 3), SPNI_DECODED);
}

static void rejects_foreign_headers(void)
{
    static const struct {
        int index, value, reason;
    } cases[] = {
        {0, 0x54, SPNI_REJECTED_MAGIC},  {1, 3, SPNI_REJECTED_MAGIC},
        {2, 0, SPNI_REJECTED_WIDTHS},    {2, 4, SPNI_REJECTED_WIDTHS},
        {3, 8, SPNI_REJECTED_WIDTHS},    {3, 255, SPNI_REJECTED_WIDTHS},
        {6, 0xff, SPNI_REJECTED_HEADER}, {7, 0, SPNI_REJECTED_MISSING},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        build b = build_begin(data, 40);
        build_specials(&b, 7, 64, 0, 0);
        data[cases[i].index] = (uint8_t)cases[i].value;
        CHECK_EQ(decode(b.length), cases[i].reason);
    }
    {
        build b = build_begin(data, 40);
        build_specials(&b, 7, 64, 0, 0);
        data[2] = 0;
        data[3] = 8;
        CHECK_EQ(decode(b.length), SPNI_REJECTED_WIDTHS);
    }
}

static void rejects_missing_specials(void)
{
    for (unsigned missing = 1; missing <= 4; missing++) {
        build b = build_begin(data, 40);
        for (unsigned id = 1; id <= 4; id++) {
            if (id != missing)
                build_pointer(&b, true, id, 0);
        }
        CHECK_EQ(decode(b.length), missing == 2 ? SPNI_DECODED
                                                : SPNI_REJECTED_MISSING);
    }
}

static void counts_specials_only_as_immediates(void)
{
    build b = build_begin(data, 40);
    build_pointer(&b, false, 1, 7);
    build_pointer(&b, true, 3, 0);
    build_pointer(&b, true, 4, 0);
    CHECK_EQ(decode(b.length), SPNI_REJECTED_MISSING);
}

static void takes_the_last_of_repeated_specials(void)
{
    build b = build_begin(data, 40);
    spni_packet packet;
    build_specials(&b, 7, 64, 0, 8);
    build_specials(&b, 8, 32, 4, 2);
    build_payload(&b, payload, 2);
    CHECK_EQ(spni_packet_decode(data, b.length, &packet), SPNI_DECODED);
    CHECK_EQ(packet.cnt, 8);
    CHECK_EQ(packet.heap_length, 32);
    CHECK_EQ(packet.payload_offset, 4);
    CHECK_EQ(packet.payload_length, 2);
    CHECK_EQ(packet.offset_position, 8 + 6 * 8);
}

static void rejects_payload_beyond_the_heap(void)
{
    static const uint64_t lengths[] = {7, (UINT64_C(1) << 56) - 1};
    build b = build_begin(data, 40);
    build_specials(&b, 7, (int64_t)lengths[0], 0, 8);
    build_payload(&b, payload, 8);
    CHECK_EQ(decode(b.length), SPNI_REJECTED_HEAP_LENGTH);
    b = build_begin(data, 56);
    build_specials(&b, 7, 64, lengths[1], 8);
    build_payload(&b, payload, 8);
    CHECK_EQ(decode(b.length), SPNI_REJECTED_HEAP_LENGTH);
}

int main(void)
{
    decodes_every_flavour();
    rejects_every_cut();
    rejects_foreign_headers();
    rejects_missing_specials();
    counts_specials_only_as_immediates();
    takes_the_last_of_repeated_specials();
    rejects_payload_beyond_the_heap();
    return 0;
}
