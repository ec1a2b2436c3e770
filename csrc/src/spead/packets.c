/* SPDX-License-Identifier: Apache-2.0 */
/* Items -> the record of their packets. The headers of a heap differ in three
 * numbers, so they are made from one template. Item pointers are kept as they
 * go on the wire.
 */
#include "spead/packets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "spead/layout.h"

/* SPEAD (Rev 1, 2012), section "Packet format". */
#define MAGIC 0x53
#define VERSION 4
#define IMMEDIATE (UINT64_C(1) << 63)

enum { ID_NULL, ID_HEAP_CNT, ID_HEAP_LENGTH, ID_OFFSET, ID_PAYLOAD_LENGTH };

static uint64_t address_mask(int heap_address_bits)
{
    return (UINT64_C(1) << heap_address_bits) - 1;
}

static uint64_t make_pointer(int heap_address_bits, uint64_t id, uint64_t value)
{
    return htobe64(id << heap_address_bits | value);
}

static uint64_t make_immediate(int heap_address_bits, uint64_t id,
                               uint64_t value)
{
    return make_pointer(heap_address_bits, id, value) | htobe64(IMMEDIATE);
}

static int check_item(const spn_send_item *item, int heap_address_bits)
{
    if (item->id <= ID_PAYLOAD_LENGTH ||
        item->id >> (63 - heap_address_bits) != 0) {
        return -EINVAL;
    }
    if (item->is_immediate && item->value > address_mask(heap_address_bits)) {
        return -EOVERFLOW;
    }
    return 0;
}

/* The items' own payload, without padding. */
static int measure(const spn_send_item *items, size_t count,
                   int heap_address_bits, size_t *out)
{
    *out = 0;
    for (size_t i = 0; i < count; i++) {
        int code = check_item(&items[i], heap_address_bits);
        if (code < 0) {
            return code;
        }
        if (items[i].is_immediate) {
            continue;
        }
        if (__builtin_add_overflow(*out, items[i].length, out)) {
            return -EOVERFLOW;
        }
    }
    return 0;
}

static void write_prefix(spn_packets *packets)
{
    int bits = packets->heap_address_bits;
    uint8_t *prefix = packets->prefix;
    prefix[0] = MAGIC;
    prefix[1] = VERSION;
    prefix[2] = (uint8_t)((64 - bits) / 8);
    prefix[3] = (uint8_t)(bits / 8);
    uint64_t pointers[] = {
        make_immediate(bits, ID_HEAP_CNT, 0),
        make_immediate(bits, ID_HEAP_LENGTH, packets->payload_length),
        make_immediate(bits, ID_OFFSET, 0),
        make_immediate(bits, ID_PAYLOAD_LENGTH, 0),
    };
    memcpy(prefix + SPNI_AT_CNT, pointers, sizeof pointers);
}

static void add_piece(spn_packets *packets, const void *data, size_t begin,
                      size_t length)
{
    if (length > 0) {
        packets->pieces[packets->piece_count++] =
            (spni_piece){.data = data, .begin = begin, .length = length};
    }
}

static void add_items(spn_packets *packets, const spn_send_item *items,
                      size_t count)
{
    int bits = packets->heap_address_bits;
    size_t offset = 0;
    for (size_t i = 0; i < count; i++) {
        if (items[i].is_immediate) {
            packets->pointers[packets->pointer_count++] =
                make_immediate(bits, items[i].id, items[i].value);
            continue;
        }
        packets->pointers[packets->pointer_count++] =
            make_pointer(bits, items[i].id, offset);
        add_piece(packets, items[i].data, offset, items[i].length);
        offset += items[i].length;
    }
}

/* Zeros, and a pointer that keeps them from belonging to the last item. */
static void add_padding(spn_packets *packets, const uint8_t *zeros,
                        size_t offset)
{
    if (offset < packets->payload_length) {
        packets->pointers[packets->pointer_count++] =
            make_pointer(packets->heap_address_bits, ID_NULL, offset);
        add_piece(packets, zeros, offset, packets->payload_length - offset);
    }
}

static spn_packets *allocate(size_t items, size_t padding)
{
    size_t pointers = (items + 1) * sizeof(uint64_t);
    size_t pieces = (items + 1) * sizeof(spni_piece);
    spn_packets *packets =
        calloc(1, sizeof *packets + pointers + pieces + padding);
    if (packets != NULL) {
        packets->pieces = (spni_piece *)packets->storage;
        packets->pointers = (uint64_t *)(packets->pieces + items + 1);
    }
    return packets;
}

/* Everything that follows from the items' number and lengths. */
static int plan(const spn_send_item *items, size_t count, spn_packets *out,
                size_t *padding)
{
    size_t length;
    int code = measure(items, count, out->heap_address_bits, &length);
    if (code < 0) {
        return code;
    }
    out->pointers_per_packet = spni_layout_pointers(out->max_packet_size);
    size_t needed = spni_layout_payload_needed(out, count);
    *padding = length < needed ? needed - length : 0;
    if (length + *padding > address_mask(out->heap_address_bits)) {
        return -EOVERFLOW;
    }
    if (out->repeat_pointers &&
        count + (*padding > 0) > out->pointers_per_packet) {
        return -E2BIG;
    }
    out->payload_length = length + *padding;
    return 0;
}

int spn_packets_new(const spn_send_item *items, size_t count,
                    int heap_address_bits, size_t max_packet_size,
                    bool repeat_pointers, spn_packets **out)
{
    if (heap_address_bits < 8 || heap_address_bits > 56 ||
        heap_address_bits % 8 != 0 || !spni_layout_is_sound(max_packet_size)) {
        return -EINVAL;
    }
    spn_packets shape = {.references = 1,
                         .heap_address_bits = heap_address_bits,
                         .repeat_pointers = repeat_pointers,
                         .max_packet_size = max_packet_size / 8 * 8};
    size_t padding;
    int code = plan(items, count, &shape, &padding);
    if (code < 0) {
        return code;
    }
    spn_packets *packets = allocate(count, padding);
    if (packets == NULL) {
        return -ENOMEM;
    }
    shape.pieces = packets->pieces;
    shape.pointers = packets->pointers;
    *packets = shape;
    add_items(packets, items, count);
    add_padding(packets, (const uint8_t *)(packets->pointers + count + 1),
                packets->payload_length - padding);
    packets->count = spni_layout_count(packets);
    write_prefix(packets);
    *out = packets;
    return 0;
}

void spni_packets_ref(spn_packets *packets)
{
    __atomic_add_fetch(&packets->references, 1, __ATOMIC_RELAXED);
}

void spn_packets_unref(spn_packets *packets)
{
    if (packets != NULL && __atomic_sub_fetch(&packets->references, 1,
                                              __ATOMIC_ACQ_REL) == 0) {
        free(packets);
    }
}

int spni_packets_check_cnt(const spn_packets *packets, uint64_t cnt)
{
    return cnt > address_mask(packets->heap_address_bits) ? -EINVAL : 0;
}

uint64_t spni_packets_wrap_cnt(const spn_packets *packets, uint64_t cnt)
{
    return cnt & address_mask(packets->heap_address_bits);
}
