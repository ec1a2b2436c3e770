/* SPDX-License-Identifier: Apache-2.0 */
/* Heap -> packets.
 *
 * A heap is cut by arithmetic alone: where packet i lies follows from i, so
 * nothing is stored per packet and a heap of a million packets costs no more
 * memory than one of two. With N item pointers and room for P of them in a
 * packet that keeps at least 8 bytes for payload, the first N/P packets are
 * full of pointers and carry that little payload; the next has the N%P that
 * are left; the rest are payload. The payload is padded so that every packet
 * has some.
 *
 * The headers of a heap differ in three numbers, so they are made from one
 * template. Item pointers are kept as they go on the wire.
 */
#include "spead/encode.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

/* SPEAD (Rev 1, 2012), section "Packet format". */
#define MAGIC 0x53
#define VERSION 4
#define IMMEDIATE (UINT64_C(1) << 63)

enum { ID_NULL, ID_HEAP_CNT, ID_HEAP_LENGTH, ID_OFFSET, ID_PAYLOAD_LENGTH };
enum { AT_COUNT = 6, AT_CNT = 8, AT_LENGTH = 16, AT_OFFSET = 24,
       AT_PAYLOAD_LENGTH = 32 };

/* The least payload of a packet that is full of item pointers, and the least
 * packet: prefix, one pointer, that payload. */
#define ROOM 8
#define MIN_PACKET_SIZE (SPNI_PREFIX_SIZE + 8 + ROOM)

/* The header counts item pointers, the four of the prefix too, in 16 bits. */
#define MAX_POINTERS (UINT16_MAX - 4)

/* A part of the payload that lies in one place. */
typedef struct {
    const uint8_t *data;
    size_t begin; /* payload offset */
    size_t length;
} piece;

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
    piece *pieces;      /* none is empty */
    uint8_t prefix[SPNI_PREFIX_SIZE];
    max_align_t storage[];
};

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

static size_t smaller(size_t left, size_t right)
{
    return left < right ? left : right;
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

static size_t room_for_pointers(size_t max_packet_size)
{
    return smaller((max_packet_size - SPNI_PREFIX_SIZE - ROOM) / 8,
                   MAX_POINTERS);
}

/* Payload of a packet that is full of pointers. */
static size_t least_payload(const spn_packets *packets)
{
    return packets->max_packet_size - SPNI_PREFIX_SIZE -
           8 * packets->pointers_per_packet;
}

/* As much payload as gives a byte to every packet that has pointers. */
static size_t payload_needed(const spn_packets *packets, size_t pointer_count)
{
    if (packets->repeat_pointers) {
        return 1;
    }
    return least_payload(packets) *
               (pointer_count / packets->pointers_per_packet) +
           1;
}

static size_t divide_up(size_t value, size_t by)
{
    return value / by + (value % by != 0);
}

/* Payload of the packet that has the last pointers, and of those after it. */
static size_t most_payload(const spn_packets *packets, size_t pointer_count)
{
    return packets->max_packet_size - SPNI_PREFIX_SIZE - 8 * pointer_count;
}

static size_t count_packets(const spn_packets *packets)
{
    size_t length = packets->payload_length;
    if (packets->repeat_pointers) {
        return divide_up(length, most_payload(packets, packets->pointer_count));
    }
    size_t full = packets->pointer_count / packets->pointers_per_packet;
    size_t rest = packets->pointer_count % packets->pointers_per_packet;
    size_t before = full * least_payload(packets);
    if (length <= before) {
        return divide_up(length, least_payload(packets));
    }
    size_t mixed = most_payload(packets, rest);
    if (length - before <= mixed) {
        return full + 1;
    }
    return full + 1 +
           divide_up(length - before - mixed, most_payload(packets, 0));
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
    memcpy(prefix + AT_CNT, pointers, sizeof pointers);
}

static void add_piece(spn_packets *packets, const void *data, size_t begin,
                      size_t length)
{
    if (length > 0) {
        packets->pieces[packets->piece_count++] =
            (piece){.data = data, .begin = begin, .length = length};
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
    size_t pieces = (items + 1) * sizeof(piece);
    spn_packets *packets =
        calloc(1, sizeof *packets + pointers + pieces + padding);
    if (packets != NULL) {
        packets->pieces = (piece *)packets->storage;
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
    out->pointers_per_packet = room_for_pointers(out->max_packet_size);
    size_t needed = payload_needed(out, count);
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
        heap_address_bits % 8 != 0 || max_packet_size < MIN_PACKET_SIZE) {
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
    packets->count = count_packets(packets);
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

size_t spn_packets_count(const spn_packets *packets)
{
    return packets->count;
}

size_t spn_packets_total(const spn_packets *packets)
{
    size_t pointers = packets->repeat_pointers
                          ? packets->pointer_count * packets->count
                          : packets->pointer_count;
    return packets->payload_length + SPNI_PREFIX_SIZE * packets->count +
           8 * pointers;
}

size_t spn_packets_length(const spn_packets *packets, size_t index)
{
    spni_span span;
    spni_packets_span(packets, index, &span);
    return spni_span_header(&span) + span.payload_length;
}

int spni_packets_check_cnt(const spn_packets *packets, uint64_t cnt)
{
    return cnt > address_mask(packets->heap_address_bits) ? -EINVAL : 0;
}

uint64_t spni_packets_wrap_cnt(const spn_packets *packets, uint64_t cnt)
{
    return cnt & address_mask(packets->heap_address_bits);
}

static void place_payload(const spn_packets *packets, size_t offset,
                          size_t most, spni_span *out)
{
    out->payload_offset = offset;
    out->payload_length = smaller(most, packets->payload_length - offset);
}

void spni_packets_span(const spn_packets *packets, size_t index, spni_span *out)
{
    size_t per_packet = packets->pointers_per_packet;
    if (packets->repeat_pointers) {
        out->first_pointer = 0;
        out->pointer_count = packets->pointer_count;
        size_t most = most_payload(packets, out->pointer_count);
        place_payload(packets, index * most, most, out);
        return;
    }
    size_t full = packets->pointer_count / per_packet;
    size_t rest = packets->pointer_count % per_packet;
    size_t mixed = full * least_payload(packets);
    out->first_pointer = smaller(index * per_packet, packets->pointer_count);
    out->pointer_count =
        smaller(per_packet, packets->pointer_count - out->first_pointer);
    size_t most = most_payload(packets, out->pointer_count);
    if (index <= full) {
        place_payload(packets, index * least_payload(packets), most, out);
    } else {
        place_payload(packets,
                      mixed + most_payload(packets, rest) +
                          (index - full - 1) * most,
                      most, out);
    }
}

void spni_packets_advance(const spn_packets *packets, spni_span *span)
{
    if (!packets->repeat_pointers) {
        span->first_pointer += span->pointer_count;
        span->pointer_count =
            smaller(packets->pointers_per_packet,
                    packets->pointer_count - span->first_pointer);
    }
    place_payload(packets, span->payload_offset + span->payload_length,
                  most_payload(packets, span->pointer_count), span);
}

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
    spni_store_be16(out + AT_COUNT, (uint16_t)(4 + span->pointer_count));
    patch(prefix, AT_CNT, cnt, out);
    patch(prefix, AT_OFFSET, span->payload_offset, out);
    patch(prefix, AT_PAYLOAD_LENGTH, span->payload_length, out);
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
    const piece *here = &packets->pieces[cursor->piece];
    size_t length = smaller(limit, here->length - cursor->offset);
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
