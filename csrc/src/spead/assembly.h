/* SPDX-License-Identifier: Apache-2.0 */
/* A heap that is being received. Used by one thread.
 *
 * min_length is the length that the heap has at least, as far as is known: its
 * HEAP_LEN, the ends of its payloads, the addresses of its items. The heap is
 * *complete* when HEAP_LEN is known and all of it has arrived, *contiguous*
 * when everything below min_length has arrived.
 */
#ifndef SPNI_ASSEMBLY_H
#define SPNI_ASSEMBLY_H

#include <stdbool.h>

#include "memory/allocator.h"
#include "memory/copy.h"
#include "spead/heap.h"
#include "spead/packet.h"
#include "spead/pointers.h"
#include "spead/ranges.h"

enum {
    /* What a claimed length or offset may allocate at once. More is given only
     * as SPNI_TRUST_FACTOR times what has really arrived. */
    SPNI_TRUSTED_SIZE = 64 << 20,
    SPNI_TRUST_FACTOR = 8,
};

typedef struct spni_assembly {
    uint64_t cnt;
    int64_t heap_length; /* -1: not known */
    size_t min_length;
    size_t received_length;
    unsigned heap_address_bits;
    bool is_start;
    bool is_end;
    uint64_t last_packet_ns;
    uint64_t sequel_version; /* spead/sequel.h; 0: has no sequels */
    spni_copy copy;
    spn_allocator *allocator; /* a reference */
    spni_buffer buffer;
    spni_buffer *home; /* to be the buffer, when one is needed; NULL: none */
    spni_ranges ranges;
    spni_pointers pointers;
    size_t slot;                 /* the heap table's */
    struct spni_assembly *chain; /* the heap table's */
} spni_assembly;

/* What became of a packet; one counter of spn_stream_stats each. */
typedef enum {
    SPNI_ADDED = 0,
    SPNI_REFUSED_DUPLICATE,
    SPNI_REFUSED_OVERLAP,
    SPNI_REFUSED_HEAP_LENGTH,
    SPNI_REFUSED_FLAVOUR,
    SPNI_REFUSED_MEMORY, /* more than the heap may have: it goes on without */
    SPNI_OUT_OF_MEMORY,  /* the packet is lost and the heap with it */
} spni_added;

/* NULL without memory. Empty, to be begun. */
spni_assembly *spni_assembly_new(void);
void spni_assembly_free(spni_assembly *assembly);

/* Begin the heap that `packet` belongs to. The packet is not yet added. */
void spni_assembly_begin(spni_assembly *assembly, const spni_packet *packet,
                         spn_allocator *allocator, spni_copy copy);

/* Drop everything; it may be begun again. */
void spni_assembly_reset(spni_assembly *assembly);

/* Add a packet of this heap, copying its payload unless that already lies at
 * its place (spni_assembly_place). Nothing is ever added in part. */
spni_added spni_assembly_add(spni_assembly *assembly,
                             const spni_packet *packet);

/* The same for a payload whose header was that of a packet before but for the
 * offset. The caller has compared its end with HEAP_LEN. */
spni_added spni_assembly_add_payload(spni_assembly *assembly, uint64_t offset,
                                     const uint8_t *payload, size_t length);

/* The same for the common case, a payload that continues the last range and lies
 * at its place: false, and nothing happens, in others. There has been a packet
 * before. */
static inline bool spni_assembly_extend(spni_assembly *assembly,
                                        uint64_t offset, size_t length)
{
    spn_range *range = spni_ranges_last(&assembly->ranges);
    size_t end = (size_t)offset + length;

    if (range->end != offset || end > assembly->buffer.capacity)
        return false;
    range->end = end;
    assembly->received_length += length;
    if (end > assembly->min_length)
        assembly->min_length = end;
    return true;
}

/* And if it lies elsewhere. */
static inline bool spni_assembly_continue(spni_assembly *assembly,
                                          uint64_t offset,
                                          const uint8_t *payload,
                                          size_t length)
{
    if (!spni_assembly_extend(assembly, offset, length))
        return false;
    assembly->copy((uint8_t *)assembly->buffer.data + offset, payload, length);
    return true;
}

/* Where a payload at `offset` belongs; NULL if there is no memory (yet). */
static inline uint8_t *spni_assembly_place(const spni_assembly *assembly,
                                           uint64_t offset, size_t length)
{
    if (offset + length > assembly->buffer.capacity)
        return NULL;
    return (uint8_t *)assembly->buffer.data + offset;
}

/* Whether what has arrived already goes beyond this HEAP_LEN (-1: not told). */
static inline bool spni_assembly_contradicts(const spni_assembly *assembly,
                                             int64_t heap_length)
{
    return heap_length >= 0 && (uint64_t)heap_length < assembly->min_length;
}

static inline bool spni_assembly_is_complete(const spni_assembly *assembly)
{
    return assembly->heap_length >= 0
        && assembly->received_length == (size_t)assembly->heap_length
        && assembly->received_length == assembly->min_length;
}

static inline bool spni_assembly_is_contiguous(const spni_assembly *assembly)
{
    return assembly->received_length == assembly->min_length;
}

/* Turn it into a heap with one reference and reset it. NULL without memory. */
spni_heap *spni_assembly_finish(spni_assembly *assembly, spni_shells *shells,
                                bool keep_ranges);

#endif
