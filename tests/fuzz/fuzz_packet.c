/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes decode, or are rejected, without a look beyond them; what decodes
 * lies within them. */
#include "driver.h"

#include "../c/check.h"
#include "../c/spead_build.h"
#include "spead/packet.h"

static size_t fuzz_example(uint8_t *data, size_t capacity, uint64_t *random)
{
    static const uint8_t payload[256];
    size_t length = fuzz_below(random, sizeof payload);
    size_t pointers = fuzz_below(random, 20);
    build b = build_begin(data, 8 * (1 + (unsigned)fuzz_below(random, 7)));

    (void)capacity;
    build_specials(&b, fuzz_below(random, 100), 255,
                   fuzz_below(random, 256 - length), length);
    for (size_t i = 0; i < pointers; i++)
        build_pointer(&b, fuzz_random(random) & 1, fuzz_below(random, 8),
                      fuzz_below(random, 256));
    build_payload(&b, payload, length);
    return b.length;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    spni_packet packet;

    if (spni_packet_decode(data, size, &packet) != SPNI_DECODED)
        return 0;
    CHECK(packet.length <= size);
    CHECK(packet.payload >= data);
    CHECK(packet.payload + packet.payload_length == data + packet.length);
    CHECK(packet.pointers + 8 * packet.pointer_count == packet.payload);
    CHECK(packet.pointer_count >= 3);
    CHECK(packet.offset_position + 8 <= (size_t)(packet.payload - data));
    CHECK(packet.heap_length < 0
          || packet.payload_offset + packet.payload_length
              <= (uint64_t)packet.heap_length);
    return 0;
}
