/* SPDX-License-Identifier: Apache-2.0 */
/* A sequence of packets, each after two bytes of length, goes through the table
 * of heaps as a stream would do it; the heaps that come out must make sense and
 * nothing may be left over. */
#include "driver.h"

#include "../c/check.h"
#include "../c/spead_build.h"
#include "spead/table.h"

enum { SLOTS = 3, MEMORY = 64 << 20 };

static size_t fuzz_example(uint8_t *data, size_t capacity, uint64_t *random)
{
    static uint8_t heap[600];
    unsigned bits = 8 * (2 + (unsigned)fuzz_below(random, 6));
    size_t packets = 1 + fuzz_below(random, 40);
    size_t at = 0;

    for (size_t i = 0; i < packets && at + 1200 < capacity; i++) {
        build b = build_begin(data + at + 2, bits);
        size_t offset = 64 * fuzz_below(random, 8);
        size_t length = fuzz_random(random) % 4 == 0 ? fuzz_below(random, 80)
                                                     : 64;
        build_specials(&b, fuzz_below(random, 6),
                       fuzz_random(random) % 4 == 0 ? -1 : 600, offset,
                       length);
        for (size_t j = fuzz_below(random, 16); j > 0; j--)
            build_pointer(&b, fuzz_random(random) & 1, fuzz_below(random, 64),
                          fuzz_below(random, 600));
        build_payload(&b, heap + offset, length);
        data[at] = (uint8_t)(b.length >> 8);
        data[at + 1] = (uint8_t)b.length;
        at += 2 + b.length;
    }
    return at;
}

static void check_heap(const spn_heap *heap)
{
    uint64_t last = 0;

    CHECK(!heap->is_contiguous
          || heap->payload_length == heap->received_length);
    CHECK(heap->is_contiguous || heap->payload == NULL);
    for (size_t i = 0; i < heap->item_count; i++) {
        const spn_item *item = &heap->items[i];
        bool first = i == 0 || item[-1].is_immediate != item->is_immediate;
        CHECK(first || item->value >= last);
        last = item->value;
        if (item->is_immediate)
            continue;
        CHECK(heap->is_contiguous && item->length > 0);
        CHECK(item->value + item->length <= heap->payload_length);
        /* Read all of it, for the sanitizer. */
        for (size_t j = 0; j < item->length; j++)
            last += heap->payload[item->value + j] * 0u;
    }
    for (size_t i = 0; i < heap->range_count; i++)
        CHECK(i == 0 || heap->ranges[i - 1].end < heap->ranges[i].begin);
}

static void finish(spni_table *table, spni_assembly *assembly)
{
    spni_shells *shells;
    spni_heap *heap;

    if (assembly == NULL)
        return;
    spni_table_remove(table, assembly);
    shells = spni_shells_new();
    heap = spni_assembly_finish(assembly, shells, true);
    CHECK(heap != NULL);
    spni_shells_free(shells);
    check_heap(&heap->fields);
    spn_heap_unref(&heap->fields);
    spni_table_recycle(table, assembly);
}

static void add(spni_table *table, spn_allocator *allocator,
                const spni_packet *packet)
{
    spni_assembly *assembly = spni_table_find(table, packet->cnt);
    size_t before;
    spni_added added;

    if (assembly == NULL) {
        finish(table, spni_table_advance(table));
        assembly = spni_table_open(table, packet->cnt);
        CHECK(assembly != NULL);
        spni_assembly_begin(assembly, packet, allocator,
                            spni_copy_find(SPN_MEMCPY_STD));
    }
    before = assembly->received_length;
    added = spni_assembly_add(assembly, packet);
    CHECK(added != SPNI_OUT_OF_MEMORY);
    CHECK_EQ(assembly->received_length,
             before + (added == SPNI_ADDED ? packet->payload_length : 0));
    CHECK(assembly->buffer.capacity <= MEMORY);
    if (spni_assembly_is_complete(assembly))
        finish(table, assembly);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    spni_table table;
    spn_allocator *allocator;

    CHECK_EQ(spn_allocator_new_malloc(&allocator), 0);
    CHECK_EQ(spni_table_init(&table, SLOTS), 0);
    while (size >= 2) {
        size_t length = (size_t)data[0] << 8 | data[1];
        spni_packet packet;
        data += 2;
        size -= 2;
        length = length < size ? length : size;
        if (spni_packet_decode(data, length, &packet) == SPNI_DECODED
            && (packet.heap_length < 1 << 20)
            && packet.payload_offset < 1 << 20)
            add(&table, allocator, &packet);
        data += length;
        size -= length;
    }
    for (int i = 0; i < SLOTS; i++)
        finish(&table, spni_table_advance(&table));
    spni_table_fini(&table);
    spn_allocator_unref(allocator);
    CHECK_EQ(spn_heaps_live(), 0);
    CHECK_EQ(spn_buffers_live(), 0);
    return 0;
}
