/* SPDX-License-Identifier: Apache-2.0 */
/* The item pointers of a heap in the order of their arrival, each once:
 * senders may repeat all of them in every packet. */
#ifndef SPNI_POINTERS_H
#define SPNI_POINTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SPNI_POINTERS_INLINE = 12,
    /* What one heap may hold; more is an attack on memory. */
    SPNI_POINTERS_MAX = 1 << 18,
};

typedef struct {
    uint64_t *values; /* `first`, or allocated */
    size_t count;
    size_t capacity;
    uint32_t *table; /* open hash of index + 1; NULL while the set is small */
    size_t table_size; /* a power of two, at least 2 * capacity */
    uint64_t first[SPNI_POINTERS_INLINE];
} spni_pointers;

void spni_pointers_init(spni_pointers *set);
void spni_pointers_fini(spni_pointers *set);

/* Forget all, keep the memory unless it is large. */
void spni_pointers_clear(spni_pointers *set);

/* Make room for `extra` more. 0, -ENOMEM, or -E2BIG beyond the maximum. */
int spni_pointers_reserve(spni_pointers *set, size_t extra);

/* Add, after spni_pointers_reserve; nothing happens if it is there. */
void spni_pointers_add(spni_pointers *set, uint64_t value);

#endif
