/* SPDX-License-Identifier: Apache-2.0 */
/* Most packets of a heap have the header of the packet before them, but for
 * the offset. A sequel is recognised by comparing words and needs neither
 * decoding nor a look at its item pointers, which the heap already has. */
#ifndef SPNI_SEQUEL_H
#define SPNI_SEQUEL_H

#include <stdbool.h>
#include <string.h>

#include "base/bytes.h"
#include "spead/assembly.h"

enum {
    SPNI_SEQUEL_HEADER_MAX = 256, /* longer ones are always decoded */
    SPNI_SEQUEL_WORDS = SPNI_SEQUEL_HEADER_MAX / 8,
};

typedef struct {
    spni_assembly *assembly; /* NULL: no packet can be a sequel */
    size_t header_length;
    size_t payload_length;
    size_t offset_position;
    uint64_t address_mask;
    uint64_t offset_limit; /* the largest offset that keeps HEAP_LEN */
    /* The header as it lies in memory, and which of its bits must agree. */
    uint64_t words[SPNI_SEQUEL_WORDS];
    uint64_t masks[SPNI_SEQUEL_WORDS];
} spni_sequel;

/* Remember a packet that `assembly` has accepted. */
static inline void spni_sequel_set(spni_sequel *sequel,
                                   spni_assembly *assembly,
                                   const spni_packet *packet)
{
    size_t count = 1 + packet->pointer_count;

    sequel->header_length = count * SPNI_POINTER_SIZE;
    sequel->payload_length = packet->payload_length;
    sequel->assembly = NULL;
    if (count > SPNI_SEQUEL_WORDS
        || spni_assembly_contradicts(assembly, packet->heap_length))
        return;
    sequel->assembly = assembly;
    sequel->offset_position = packet->offset_position;
    sequel->address_mask = (UINT64_C(1) << packet->heap_address_bits) - 1;
    sequel->offset_limit = sequel->address_mask;
    if (packet->heap_length >= 0)
        sequel->offset_limit =
            (uint64_t)packet->heap_length - packet->payload_length;
    memcpy(sequel->words, packet->pointers - SPNI_HEADER_SIZE,
           sequel->header_length);
    memset(sequel->masks, 0xff, sequel->header_length);
    sequel->masks[packet->offset_position / SPNI_POINTER_SIZE] =
        htobe64(~sequel->address_mask);
}

/* Whether the header (header_length bytes) is one, and its offset. */
static inline bool spni_sequel_match(const spni_sequel *sequel,
                                     const uint8_t *header, uint64_t *offset)
{
    size_t count = sequel->header_length / sizeof(uint64_t);
    uint64_t difference = 0;

    for (size_t i = 0; i < count; i++) {
        uint64_t word;
        memcpy(&word, header + i * sizeof word, sizeof word);
        difference |= (word ^ sequel->words[i]) & sequel->masks[i];
    }
    *offset = spni_load_be64(header + sequel->offset_position)
        & sequel->address_mask;
    return difference == 0 && *offset <= sequel->offset_limit;
}

#endif
