/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever the items, the packets of a heap decode, cover it once, and none is
 * longer than it may be. An input is bits / 8, the packet size in two bytes,
 * flags, and then three bytes an item: id, length, and what it is. */
#include "driver.h"

#include "../c/check.h"
#include "spead/encode.h"
#include "spead/packet.h"

enum { ITEMS = 512, BYTES = 256 * ITEMS };

static uint8_t material[BYTES], payload[BYTES], packet[1 << 17];

static size_t fuzz_example(uint8_t *data, size_t capacity, uint64_t *random)
{
    size_t count = fuzz_below(random, 40);
    data[0] = (uint8_t)(1 + fuzz_below(random, 7));
    data[1] = (uint8_t)fuzz_below(random, 2);
    data[2] = (uint8_t)(56 + fuzz_below(random, 200));
    data[3] = (uint8_t)fuzz_below(random, 2);
    for (size_t i = 4; i < 4 + 3 * count && i < capacity; i++)
        data[i] = (uint8_t)(1 + fuzz_below(random, 127));
    return 4 + 3 * count;
}

static size_t read_items(const uint8_t *data, size_t size, spn_send_item *items)
{
    size_t count = size / 3 < ITEMS ? size / 3 : ITEMS;
    for (size_t i = 0; i < count; i++, data += 3) {
        items[i] = (spn_send_item){.id = data[0],
                                   .value = data[1],
                                   .is_immediate = data[2] & 1};
        if (!items[i].is_immediate) {
            items[i].data = material + i * 256;
            items[i].length = data[1];
        }
    }
    return count;
}

static void check_packets(const spn_packets *packets, size_t max_packet_size)
{
    size_t received = 0, total = 0, heap_length = 0;
    for (size_t i = 0; i < spn_packets_count(packets); i++) {
        spni_packet got;
        size_t length = spn_packets_write(packets, i, 9, packet);
        CHECK(length <= max_packet_size);
        CHECK_EQ(length, spn_packets_length(packets, i));
        CHECK_EQ(spni_packet_decode(packet, length, &got), SPNI_DECODED);
        CHECK_EQ(got.length, length);
        CHECK_EQ(got.payload_offset, received);
        CHECK(got.payload_length > 0);
        CHECK(received + got.payload_length <= BYTES);
        memcpy(payload + received, got.payload, got.payload_length);
        received += got.payload_length;
        heap_length = (size_t)got.heap_length;
        total += length;
    }
    CHECK_EQ(received, heap_length);
    CHECK_EQ(total, spn_packets_total(packets));
}

static void check_payload(const spn_send_item *items, size_t count)
{
    size_t offset = 0;
    for (size_t i = 0; i < count; i++) {
        CHECK_EQ(memcmp(payload + offset, items[i].data ? items[i].data : "",
                        items[i].length),
                 0);
        offset += items[i].length;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    spn_send_item items[ITEMS];
    spn_packets *packets;
    if (size < 4)
        return 0;
    for (size_t i = 0; i < BYTES && material[0] == 0; i++)
        material[BYTES - 1 - i] = (uint8_t)(1 + i * 37 % 255);
    size_t max_packet_size = (size_t)data[1] << 8 | data[2];
    size_t count = read_items(data + 4, size - 4, items);
    if (spn_packets_new(items, count, 8 * data[0], max_packet_size,
                        data[3] & 1, &packets) < 0)
        return 0;
    check_packets(packets, max_packet_size);
    check_payload(items, count);
    spn_packets_unref(packets);
    return 0;
}
