/* SPDX-License-Identifier: Apache-2.0 */
/* Most packets of a heap have the header of the packet before them, but for
 * the offset. A sequel is recognised by comparing bytes and needs neither
 * decoding nor a look at its item pointers, which the heap already has. */
#ifndef SPNI_SEQUEL_H
#define SPNI_SEQUEL_H

#include <stdbool.h>
#include <string.h>

#include "base/bytes.h"
#include "spead/assembly.h"

enum {
    SPNI_SEQUEL_HEADER_MAX = 256, /* longer ones are always decoded */
};

typedef struct {
    spni_assembly *assembly; /* NULL: no packet can be a sequel */
    size_t header_length;
    size_t payload_length;
    size_t offset_position;
    uint64_t address_mask;
    uint64_t offset_limit; /* the largest offset that keeps HEAP_LEN */
    uint8_t header[SPNI_SEQUEL_HEADER_MAX];
} spni_sequel;

/* Remember a packet that `assembly` has accepted. */
static inline void spni_sequel_set(spni_sequel *sequel,
                                   spni_assembly *assembly,
                                   const spni_packet *packet)
{
    const uint8_t *header = packet->pointers - SPNI_HEADER_SIZE;

    sequel->header_length =
        SPNI_HEADER_SIZE + packet->pointer_count * SPNI_POINTER_SIZE;
    if (sequel->header_length > SPNI_SEQUEL_HEADER_MAX
        || spni_assembly_contradicts(assembly, packet->heap_length)) {
        sequel->assembly = NULL;
        return;
    }
    sequel->assembly = assembly;
    sequel->payload_length = packet->payload_length;
    sequel->offset_position = packet->offset_position;
    sequel->address_mask = (UINT64_C(1) << packet->heap_address_bits) - 1;
    sequel->offset_limit = sequel->address_mask;
    if (packet->heap_length >= 0)
        sequel->offset_limit =
            (uint64_t)packet->heap_length - packet->payload_length;
    memcpy(sequel->header, header, sequel->header_length);
}

/* Whether the header (header_length bytes) is one, and its offset. */
static inline bool spni_sequel_match(const spni_sequel *sequel,
                                     const uint8_t *header, uint64_t *offset)
{
    const uint8_t *mine = sequel->header;
    size_t position = sequel->offset_position;
    size_t rest = position + SPNI_POINTER_SIZE;
    uint64_t pointer = spni_load_be64(header + position);
    uint64_t difference = pointer ^ spni_load_be64(mine + position);

    *offset = pointer & sequel->address_mask;
    return (difference & ~sequel->address_mask) == 0
        && *offset <= sequel->offset_limit
        && memcmp(header, mine, position) == 0
        && memcmp(header + rest, mine + rest, sequel->header_length - rest)
        == 0;
}

#endif
