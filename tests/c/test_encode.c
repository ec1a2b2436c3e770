/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "check.h"
#include "spead/encode.h"

static spn_send_item addressed(uint64_t id, const void *data, size_t length)
{
    return (spn_send_item){.id = id, .data = data, .length = length};
}

static spn_send_item immediate(uint64_t id, uint64_t value)
{
    return (spn_send_item){.id = id, .value = value, .is_immediate = true};
}

static spn_packets *cut(const spn_send_item *items, size_t count, int bits,
                        size_t max_packet_size)
{
    spn_packets *packets;
    CHECK_EQ(spn_packets_new(items, count, bits, max_packet_size, false,
                             &packets),
             0);
    return packets;
}

static void check_bytes(const spn_packets *packets, size_t index, uint64_t cnt,
                        const char *expected, size_t length)
{
    uint8_t bytes[2048];
    CHECK_EQ(spn_packets_length(packets, index), length);
    CHECK_EQ(spn_packets_write(packets, index, cnt, bytes), length);
    CHECK_EQ(memcmp(bytes, expected, length), 0);
}

/* An empty heap still has a byte, which belongs to no item. */
static void test_empty_heap(void)
{
    static const char expected[] = "\x53\x04\x03\x05\0\0\0\x05"
                                   "\x80\0\x01\0\0\0\0\x07"
                                   "\x80\0\x02\0\0\0\0\x01"
                                   "\x80\0\x03\0\0\0\0\0"
                                   "\x80\0\x04\0\0\0\0\x01"
                                   "\0\0\0\0\0\0\0\0";
    spn_packets *packets = cut(NULL, 0, 40, 1472);
    CHECK_EQ(spn_packets_count(packets), 1);
    CHECK_EQ(spn_packets_total(packets), 49);
    check_bytes(packets, 0, 7, expected, 49);
    spn_packets_unref(packets);
}

/* 64-48: the id has 15 bits. */
static void test_one_item_in_two_packets(void)
{
    static const char first[] = "\x53\x04\x02\x06\0\0\0\x05"
                                "\x80\x01\xff\xff\xff\xff\xff\xff"
                                "\x80\x02\0\0\0\0\0\x0c"
                                "\x80\x03\0\0\0\0\0\0"
                                "\x80\x04\0\0\0\0\0\x08"
                                "\x7f\xff\0\0\0\0\0\0"
                                "abcdefgh";
    static const char second[] = "\x53\x04\x02\x06\0\0\0\x04"
                                 "\x80\x01\xff\xff\xff\xff\xff\xff"
                                 "\x80\x02\0\0\0\0\0\x0c"
                                 "\x80\x03\0\0\0\0\0\x08"
                                 "\x80\x04\0\0\0\0\0\x04"
                                 "ijkl";
    spn_send_item item = addressed(0x7fff, "abcdefghijkl", 12);
    spn_packets *packets = cut(&item, 1, 48, 63);
    CHECK_EQ(spn_packets_count(packets), 2);
    CHECK_EQ(spn_packets_total(packets), 56 + 44);
    check_bytes(packets, 0, 0xffffffffffff, first, 56);
    check_bytes(packets, 1, 0xffffffffffff, second, 44);
    spn_packets_unref(packets);
}

static void test_arguments_are_checked(void)
{
    spn_packets *packets;
    spn_send_item bad[] = {addressed(0, "x", 1), addressed(1 << 15, "x", 1),
                           immediate(5, UINT64_C(1) << 48)};
    spn_send_item good = immediate(5, (UINT64_C(1) << 48) - 1);
    CHECK_ERR(spn_packets_new(&bad[0], 1, 48, 1472, false, &packets), -EINVAL);
    spn_send_item special = immediate(4, 1);
    CHECK_ERR(spn_packets_new(&special, 1, 48, 1472, false, &packets),
              -EINVAL);
    CHECK_ERR(spn_packets_new(&bad[1], 1, 48, 1472, false, &packets), -EINVAL);
    CHECK_ERR(spn_packets_new(&bad[2], 1, 48, 1472, false, &packets),
              -EOVERFLOW);
    CHECK_ERR(spn_packets_new(NULL, 0, 40, 55, false, &packets), -EINVAL);
    CHECK_ERR(spn_packets_new(NULL, 0, 44, 1472, false, &packets), -EINVAL);
    CHECK_ERR(spn_packets_new(NULL, 0, 64, 1472, false, &packets), -EINVAL);
    CHECK_ERR(spn_packets_new(NULL, 0, 0, 1472, false, &packets), -EINVAL);
    spn_send_item two[] = {good, good};
    CHECK_ERR(spn_packets_new(two, 2, 48, 64, true, &packets), -E2BIG);
    static const uint8_t bytes[256];
    spn_send_item large = addressed(16, bytes, 256);
    CHECK_ERR(spn_packets_new(&large, 1, 8, 1472, false, &packets), -EOVERFLOW);
    spn_send_item huge[] = {addressed(16, bytes, SIZE_MAX),
                            addressed(17, bytes, 2)};
    CHECK_ERR(spn_packets_new(huge, 2, 56, 1472, false, &packets), -EOVERFLOW);
}

static void test_heap_counts_are_checked_and_wrapped(void)
{
    spn_packets *packets = cut(NULL, 0, 16, 1472);
    CHECK_EQ(spni_packets_check_cnt(packets, 0xffff), 0);
    CHECK_ERR(spni_packets_check_cnt(packets, 0x10000), -EINVAL);
    CHECK_EQ(spni_packets_wrap_cnt(packets, 0x12345), 0x2345);
    spn_packets_unref(packets);
}

/* A receiver of the simplest kind, written from the protocol alone. */
typedef struct {
    uint8_t payload[1 << 16];
    uint8_t seen[1 << 16];
    uint64_t pointers[4096];
    size_t pointer_count;
    size_t heap_length;
    size_t received;
} receiver;

static uint64_t low_bits(uint64_t value, int bits)
{
    return value & ((UINT64_C(1) << bits) - 1);
}

static void receive(receiver *to, const uint8_t *packet, size_t length,
                    int bits, bool is_first)
{
    size_t count = spni_load_be16(packet + 6);
    size_t header = 8 + 8 * count;
    to->heap_length = (size_t)low_bits(spni_load_be64(packet + 16), bits);
    size_t offset = (size_t)low_bits(spni_load_be64(packet + 24), bits);
    size_t payload = (size_t)low_bits(spni_load_be64(packet + 32), bits);
    CHECK_EQ(header + payload, length);
    CHECK(payload > 0);
    CHECK(offset + payload <= to->heap_length);
    memcpy(to->payload + offset, packet + header, payload);
    for (size_t i = 0; i < payload; i++) {
        CHECK_EQ(to->seen[offset + i]++, 0);
    }
    to->received += payload;
    for (size_t i = 4; i < count && is_first; i++) {
        to->pointers[to->pointer_count++] =
            spni_load_be64(packet + 8 + 8 * i);
    }
}

static unsigned dice(unsigned *state, unsigned sides)
{
    *state = *state * 1664525 + 1013904223;
    return (*state >> 8) % sides;
}

static receiver receiving;
static uint8_t material[1 << 15];

static void check_received(const spn_send_item *items, size_t count, int bits)
{
    const receiver *got = &receiving;
    CHECK_EQ(got->received, got->heap_length);
    CHECK(got->pointer_count == count || got->pointer_count == count + 1);
    size_t offset = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t pointer = got->pointers[i];
        CHECK_EQ(pointer >> 63, items[i].is_immediate);
        CHECK_EQ(low_bits(pointer, 63) >> bits, items[i].id);
        if (items[i].is_immediate) {
            CHECK_EQ(low_bits(pointer, bits), items[i].value);
            continue;
        }
        CHECK_EQ(low_bits(pointer, bits), offset);
        CHECK_EQ(memcmp(got->payload + offset, items[i].data, items[i].length),
                 0);
        offset += items[i].length;
    }
    if (got->pointer_count > count) {
        CHECK_EQ(got->pointers[count], offset);
    }
}

/* Step by step the packets lie where they do by their index. */
static void check_advance(const spn_packets *packets)
{
    spni_span span, expected;
    spni_packets_span(packets, 0, &span);
    for (size_t i = 1; i < spn_packets_count(packets); i++) {
        spni_packets_advance(packets, &span);
        spni_packets_span(packets, i, &expected);
        CHECK_EQ(span.first_pointer, expected.first_pointer);
        CHECK_EQ(span.pointer_count, expected.pointer_count);
        CHECK_EQ(span.payload_offset, expected.payload_offset);
        CHECK_EQ(span.payload_length, expected.payload_length);
    }
}

static void check_heap(const spn_send_item *items, size_t count, int bits,
                       size_t max_packet_size, bool repeat)
{
    spn_packets *packets;
    int code = spn_packets_new(items, count, bits, max_packet_size, repeat,
                               &packets);
    if (repeat && code == -E2BIG) {
        CHECK(8 * (count + 1) + 48 > max_packet_size / 8 * 8);
        return;
    }
    CHECK_EQ(code, 0);
    memset(&receiving, 0, sizeof receiving);
    size_t total = 0;
    for (size_t i = 0; i < spn_packets_count(packets); i++) {
        uint8_t packet[9000];
        size_t length = spn_packets_write(packets, i, 3, packet);
        CHECK_EQ(length, spn_packets_length(packets, i));
        CHECK(length <= max_packet_size);
        receive(&receiving, packet, length, bits, !repeat || i == 0);
        total += length;
    }
    CHECK_EQ(total, spn_packets_total(packets));
    check_advance(packets);
    check_received(items, count, bits);
    spn_packets_unref(packets);
}

static void test_random_heaps_arrive(void)
{
    static const size_t sizes[] = {56, 63, 64, 72, 88, 200, 1472, 9000};
    spn_send_item items[200];
    unsigned state = 1;
    for (size_t i = 0; i < sizeof material; i++) {
        material[i] = (uint8_t)dice(&state, 256);
    }
    for (int round = 0; round < 4000; round++) {
        int bits = 16 + 8 * (int)dice(&state, 5);
        size_t count = dice(&state, dice(&state, 2) ? 6 : 200);
        unsigned most = dice(&state, 2) ? 12 : 150;
        for (size_t i = 0; i < count; i++) {
            items[i] = dice(&state, 3) == 0
                           ? immediate(100 + i, dice(&state, 60000))
                           : addressed(100 + i, material + dice(&state, 9999),
                                       dice(&state, most));
        }
        check_heap(items, count, bits, sizes[dice(&state, 8)],
                   dice(&state, 4) == 0);
    }
}

/* The cursor gives the same bytes from wherever it is put. */
static void test_seek(void)
{
    spn_send_item items[] = {addressed(16, "abc", 3), addressed(17, NULL, 0),
                             addressed(18, "defg", 4), immediate(19, 1),
                             addressed(20, "h", 1)};
    spn_packets *packets = cut(items, 5, 40, 1472);
    for (size_t offset = 0; offset < 8; offset++) {
        spni_cursor cursor;
        spni_packets_seek(packets, offset, &cursor);
        for (size_t i = offset; i < 8; i++) {
            const uint8_t *at;
            CHECK_EQ(spni_packets_take(packets, &cursor, 1, &at), 1);
            CHECK_EQ(*at, "abcdefgh"[i]);
        }
    }
    spn_packets_unref(packets);
}

int main(void)
{
    test_empty_heap();
    test_one_item_in_two_packets();
    test_arguments_are_checked();
    test_heap_counts_are_checked_and_wrapped();
    test_random_heaps_arrive();
    test_seek();
    return 0;
}
