/* SPDX-License-Identifier: Apache-2.0 */
/* Checks come before changes, and all memory is reserved before anything is
 * written, so that a refused packet leaves no trace. */
#include "spead/assembly.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "spead/items.h"

spni_assembly *spni_assembly_new(void)
{
    spni_assembly *assembly = calloc(1, sizeof *assembly);

    if (assembly == NULL)
        return NULL;
    spni_ranges_init(&assembly->ranges);
    spni_pointers_init(&assembly->pointers);
    return assembly;
}

void spni_assembly_free(spni_assembly *assembly)
{
    if (assembly == NULL)
        return;
    spni_assembly_reset(assembly);
    spni_pointers_fini(&assembly->pointers);
    free(assembly);
}

void spni_assembly_begin(spni_assembly *assembly, const spni_packet *packet,
                         spn_allocator *allocator, spni_copy copy)
{
    assembly->cnt = packet->cnt;
    assembly->heap_address_bits = packet->heap_address_bits;
    assembly->heap_length = -1;
    assembly->min_length = 0;
    assembly->received_length = 0;
    assembly->is_start = false;
    assembly->is_end = false;
    assembly->sequel_version = 0;
    assembly->home = NULL;
    assembly->copy = copy;
    assembly->allocator = allocator;
    spni_allocator_ref(allocator);
    spni_heap_count_live(1);
}

void spni_assembly_reset(spni_assembly *assembly)
{
    spni_buffer_release(&assembly->buffer);
    spni_ranges_fini(&assembly->ranges);
    spni_pointers_clear(&assembly->pointers);
    if (assembly->allocator == NULL)
        return;
    spn_allocator_unref(assembly->allocator);
    assembly->allocator = NULL;
    spni_heap_count_live(-1);
}

static size_t larger(size_t left, size_t right)
{
    return left > right ? left : right;
}

/* How much to allocate so that `end` fits; 0: more than may be trusted. */
static size_t choose_size(const spni_assembly *assembly, int64_t heap_length,
                          uint64_t end, size_t payload_length)
{
    size_t arrived = assembly->received_length + payload_length;
    size_t limit = larger(SPNI_TRUSTED_SIZE, SPNI_TRUST_FACTOR * arrived);
    size_t size;

    if (end > limit)
        return 0;
    if (heap_length >= 0 && (uint64_t)heap_length >= end
        && (uint64_t)heap_length <= limit)
        return (size_t)heap_length;
    size = larger((size_t)end, 2 * assembly->buffer.capacity);
    if (heap_length >= 0 && (uint64_t)heap_length >= end
        && size > (uint64_t)heap_length)
        size = (size_t)heap_length;
    return size < limit ? size : limit;
}

/* Move to a larger buffer. */
static int grow(spni_assembly *assembly, size_t size)
{
    const spni_ranges *ranges = &assembly->ranges;
    spni_buffer buffer;
    int code = spni_buffer_allocate(assembly->allocator, size, &buffer);

    if (code < 0)
        return code;
    if (ranges->count > 0 && assembly->buffer.data != NULL) {
        size_t used = ranges->ranges[ranges->count - 1].end;
        if (used > assembly->buffer.capacity)
            used = assembly->buffer.capacity;
        memcpy(buffer.data, assembly->buffer.data, used);
    }
    spni_buffer_release(&assembly->buffer);
    assembly->buffer = buffer;
    return 0;
}

static spni_added make_room(spni_assembly *assembly, int64_t heap_length,
                            uint64_t offset, size_t length)
{
    size_t size;

    if (length == 0 || offset + length <= assembly->buffer.capacity)
        return SPNI_ADDED;
    if (assembly->home != NULL && offset + length <= assembly->home->size) {
        assembly->buffer = *assembly->home;
        *assembly->home = (spni_buffer){0};
        assembly->home = NULL;
        return SPNI_ADDED;
    }
    size = choose_size(assembly, heap_length, offset + length, length);
    if (size == 0)
        return SPNI_REFUSED_MEMORY;
    return grow(assembly, size) < 0 ? SPNI_OUT_OF_MEMORY : SPNI_ADDED;
}

static spni_added reserved(int code)
{
    if (code == 0)
        return SPNI_ADDED;
    return code == -E2BIG ? SPNI_REFUSED_MEMORY : SPNI_OUT_OF_MEMORY;
}

static spni_added check_range(const spni_assembly *assembly, uint64_t offset,
                              size_t length, size_t *index)
{
    if (offset + length > SIZE_MAX)
        return SPNI_REFUSED_MEMORY;
    switch (spni_ranges_find(&assembly->ranges, (size_t)offset,
                             (size_t)offset + length, index)) {
    case SPNI_RANGE_DUPLICATE:
        return SPNI_REFUSED_DUPLICATE;
    case SPNI_RANGE_OVERLAP:
        return SPNI_REFUSED_OVERLAP;
    default:
        return SPNI_ADDED;
    }
}

static void store(spni_assembly *assembly, size_t index, size_t offset,
                  const uint8_t *payload, size_t length)
{
    size_t end = offset + length;
    uint8_t *place = (uint8_t *)assembly->buffer.data + offset;

    spni_ranges_insert(&assembly->ranges, index, offset, end);
    assembly->received_length += length;
    if (end > assembly->min_length)
        assembly->min_length = end;
    if (length > 0 && place != payload)
        assembly->copy(place, payload, length);
}

static spni_added check_heap(const spni_assembly *assembly,
                             const spni_packet *packet)
{
    int64_t told = packet->heap_length;

    if (told >= 0 && assembly->heap_length >= 0
        && told != assembly->heap_length)
        return SPNI_REFUSED_HEAP_LENGTH;
    if (spni_assembly_contradicts(assembly, told))
        return SPNI_REFUSED_HEAP_LENGTH;
    if (packet->heap_address_bits != assembly->heap_address_bits)
        return SPNI_REFUSED_FLAVOUR;
    return SPNI_ADDED;
}

static void add_immediate(spni_assembly *assembly, uint64_t pointer,
                          uint64_t id)
{
    if (id == SPNI_ID_STREAM_CTRL) {
        uint64_t value =
            spni_pointer_value(pointer, assembly->heap_address_bits);
        assembly->is_start |= value == SPNI_STREAM_START;
        assembly->is_end |= value == SPNI_STREAM_STOP;
    }
    if (id != SPNI_ID_NULL)
        spni_pointers_add(&assembly->pointers, pointer);
}

static void add_pointers(spni_assembly *assembly, const spni_packet *packet)
{
    for (size_t i = 0; i < packet->pointer_count; i++) {
        uint64_t pointer =
            spni_load_be64(packet->pointers + i * SPNI_POINTER_SIZE);
        uint64_t id = spni_pointer_id(pointer, packet->heap_address_bits);
        bool is_special = id - 1 <= SPNI_ID_PAYLOAD_LENGTH - 1;

        if (!spni_pointer_is_immediate(pointer)) {
            assembly->min_length = larger(
                assembly->min_length,
                (size_t)spni_pointer_value(pointer,
                                           packet->heap_address_bits));
            if (!is_special)
                spni_pointers_add(&assembly->pointers, pointer);
        } else if (!is_special) {
            add_immediate(assembly, pointer, id);
        }
    }
}

/* Every packet has at least the three pointers that are never kept. */
static size_t kept_pointers_most(const spni_packet *packet)
{
    return packet->pointer_count - 3;
}

spni_added spni_assembly_add(spni_assembly *assembly,
                             const spni_packet *packet)
{
    int64_t heap_length = packet->heap_length >= 0 ? packet->heap_length
                                                   : assembly->heap_length;
    size_t index = 0;
    spni_added added = check_heap(assembly, packet);

    if (added == SPNI_ADDED)
        added = check_range(assembly, packet->payload_offset,
                            packet->payload_length, &index);
    if (added == SPNI_ADDED)
        added = reserved(spni_ranges_reserve(&assembly->ranges));
    if (added == SPNI_ADDED)
        added = reserved(spni_pointers_reserve(&assembly->pointers,
                                               kept_pointers_most(packet)));
    if (added == SPNI_ADDED)
        added = make_room(assembly, heap_length, packet->payload_offset,
                          packet->payload_length);
    if (added != SPNI_ADDED)
        return added;
    if (packet->heap_length >= 0) {
        assembly->heap_length = packet->heap_length;
        assembly->min_length =
            larger(assembly->min_length, (size_t)packet->heap_length);
    }
    store(assembly, index, (size_t)packet->payload_offset, packet->payload,
          packet->payload_length);
    add_pointers(assembly, packet);
    return SPNI_ADDED;
}

spni_added spni_assembly_add_payload(spni_assembly *assembly, uint64_t offset,
                                     const uint8_t *payload, size_t length)
{
    size_t index = 0;
    spni_added added = check_range(assembly, offset, length, &index);

    if (added == SPNI_ADDED)
        added = reserved(spni_ranges_reserve(&assembly->ranges));
    if (added == SPNI_ADDED)
        added = make_room(assembly, assembly->heap_length, offset, length);
    if (added == SPNI_ADDED)
        store(assembly, index, (size_t)offset, payload, length);
    return added;
}

static void fill_contiguous(spni_assembly *assembly, spn_heap *fields)
{
    fields->payload_length = assembly->received_length;
    fields->payload = fields->payload_length > 0 ? assembly->buffer.data : NULL;
}

static void fill_ranges(const spni_ranges *ranges, spn_range *to,
                        spn_heap *fields)
{
    memcpy(to, ranges->ranges, ranges->count * sizeof *to);
    fields->ranges = to;
    fields->range_count = ranges->count;
}

static void fill_fields(const spni_assembly *assembly, spn_heap *fields)
{
    fields->cnt = assembly->cnt;
    fields->heap_length = assembly->heap_length;
    fields->received_length = assembly->received_length;
    fields->last_packet_ns = assembly->last_packet_ns;
    fields->heap_address_bits = (int)assembly->heap_address_bits;
    fields->is_contiguous = spni_assembly_is_contiguous(assembly);
    fields->is_start_of_stream = assembly->is_start;
    fields->is_end_of_stream = assembly->is_end;
}

spni_heap *spni_assembly_finish(spni_assembly *assembly, spni_shells *shells,
                                bool keep_ranges)
{
    const spni_pointers *pointers = &assembly->pointers;
    bool contiguous = spni_assembly_is_contiguous(assembly);
    size_t range_count =
        keep_ranges && !contiguous ? assembly->ranges.count : 0;
    spni_heap *heap = spni_heap_new(shells, pointers->count, range_count);

    if (heap == NULL)
        return NULL;
    fill_fields(assembly, &heap->fields);
    heap->fields.items = heap->items;
    heap->fields.item_count = spni_items_make(
        pointers->values, pointers->count, assembly->heap_address_bits,
        assembly->min_length, !contiguous, heap->items);
    if (contiguous) {
        fill_contiguous(assembly, &heap->fields);
        heap->buffer = assembly->buffer;
        assembly->buffer = (spni_buffer){0};
    } else if (range_count > 0) {
        fill_ranges(&assembly->ranges,
                    spni_heap_ranges(heap, pointers->count), &heap->fields);
    }
    spni_assembly_reset(assembly);
    return heap;
}
