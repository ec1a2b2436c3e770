/* SPDX-License-Identifier: Apache-2.0 */
/* Most packets have the header of a packet before them, but for the heap
 * counter and the offset. A sequel is recognised by comparing words and needs
 * neither decoding nor a look at its item pointers, which its heap already has.
 *
 * There is one header to compare with. Each new one has a new version, and each
 * heap knows of which version it has accepted a packet; so heaps that come
 * interleaved share it.
 */
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
    spni_assembly *assembly; /* the heap of the last packet; NULL: it is over */
    uint64_t version;        /* 0: there is no header yet */
    size_t header_length;
    size_t payload_length;
    size_t cnt_position;
    size_t offset_position;
    uint64_t address_mask;
    uint64_t offset_limit; /* the largest offset that keeps HEAP_LEN */
    /* The header as it lies in memory, and which of its bits must agree. */
    uint64_t words[SPNI_SEQUEL_WORDS];
    uint64_t masks[SPNI_SEQUEL_WORDS];
} spni_sequel;

/* Whether the header (header_length bytes at least) agrees; what it says. */
static inline bool spni_sequel_match(const spni_sequel *sequel,
                                     const uint8_t *header, uint64_t *cnt,
                                     uint64_t *offset)
{
    size_t count = sequel->header_length / sizeof(uint64_t);
    uint64_t difference = 0;

    for (size_t i = 0; i < count; i++) {
        uint64_t word;
        memcpy(&word, header + i * sizeof word, sizeof word);
        difference |= (word ^ sequel->words[i]) & sequel->masks[i];
    }
    *cnt = spni_load_be64(header + sequel->cnt_position)
        & sequel->address_mask;
    *offset = spni_load_be64(header + sequel->offset_position)
        & sequel->address_mask;
    return difference == 0 && *offset <= sequel->offset_limit;
}

/* Remember a packet that `assembly` has accepted. */
void spni_sequel_learn(spni_sequel *sequel, spni_assembly *assembly,
                       const spni_packet *packet);

#endif
