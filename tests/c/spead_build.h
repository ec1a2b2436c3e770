/* SPDX-License-Identifier: Apache-2.0 */
/* SPEAD packets for tests, written from the protocol: shares nothing with the
 * library but the byte order of the network. */
#ifndef SPEAD_BUILD_H
#define SPEAD_BUILD_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    uint8_t *data;
    size_t length;
    unsigned bits; /* heap address bits */
} build;

static inline void build_be(build *b, uint64_t value, int bytes)
{
    for (int i = bytes - 1; i >= 0; i--)
        b->data[b->length++] = (uint8_t)(value >> (8 * i));
}

/* Begin a packet at `data`. */
static inline build build_begin(uint8_t *data, unsigned bits)
{
    build b = {.data = data, .length = 0, .bits = bits};
    build_be(&b, 0x5304, 2);
    build_be(&b, 8 - bits / 8, 1);
    build_be(&b, bits / 8, 1);
    build_be(&b, 0, 4);
    return b;
}

static inline void build_pointer(build *b, bool immediate, uint64_t id,
                                 uint64_t value)
{
    unsigned count = (unsigned)b->data[6] * 256u + b->data[7] + 1u;
    build_be(b, (uint64_t)immediate << 63 | id << b->bits | value, 8);
    b->data[6] = (uint8_t)(count >> 8);
    b->data[7] = (uint8_t)count;
}

static inline void build_payload(build *b, const uint8_t *payload,
                                 size_t length)
{
    if (length > 0)
        memcpy(b->data + b->length, payload, length);
    b->length += length;
}

/* The four pointers that every packet should have; heap_length < 0: none. */
static inline void build_specials(build *b, uint64_t cnt, int64_t heap_length,
                                  uint64_t offset, uint64_t payload_length)
{
    build_pointer(b, true, 1, cnt);
    if (heap_length >= 0)
        build_pointer(b, true, 2, (uint64_t)heap_length);
    build_pointer(b, true, 3, offset);
    build_pointer(b, true, 4, payload_length);
}

/* A packet of a 64-40 heap with no items, its payload a piece of `heap`.
 * Returns its length. */
static inline size_t build_piece(uint8_t *data, uint64_t cnt,
                                 int64_t heap_length, const uint8_t *heap,
                                 size_t offset, size_t length)
{
    build b = build_begin(data, 40);
    build_specials(&b, cnt, heap_length, offset, length);
    build_payload(&b, heap + offset, length);
    return b.length;
}

/* A heap that ends the stream, in one packet. Returns its length. */
static inline size_t build_stop(uint8_t *data, uint64_t cnt)
{
    build b = build_begin(data, 40);
    build_specials(&b, cnt, 0, 0, 0);
    build_pointer(&b, true, 6, 2);
    return b.length;
}

/* A generator whose numbers depend on the seed alone. */
static inline uint64_t build_random(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

#endif
