/* SPDX-License-Identifier: Apache-2.0 */
/* Multiply-shift hashing with a multiplier that senders cannot know, so that
 * they cannot choose heap counters or pointers that collide. */
#ifndef SPNI_HASH_H
#define SPNI_HASH_H

#include <stdint.h>

/* Drawn once a process. */
uint64_t spni_hash_multiplier(void);

/* The upper `bits` (1..63) bits of the product. */
static inline uint64_t spni_hash(uint64_t multiplier, uint64_t value,
                                 unsigned bits)
{
    value ^= value >> 32;
    return (value * multiplier) >> (64 - bits);
}

#endif
