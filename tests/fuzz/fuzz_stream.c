/* SPDX-License-Identifier: Apache-2.0 */
/* Packets back to back go through a stream, with all its short ways, and one by
 * one through a table of heaps without any: the same heaps must come out. */
#include "driver.h"

#include "../c/check.h"
#include "../c/compare.h"
#include "../c/spead_build.h"
#include "spead/table.h"

enum { SLOTS = 3, HEAPS = 4096 };

static spn_threads *threads;
static spn_allocator *allocator;
static spni_shells *shells;
static spni_heap *expected[HEAPS];
static size_t expected_count;

static size_t fuzz_example(uint8_t *data, size_t capacity, uint64_t *random)
{
    static uint8_t heap[640];
    unsigned bits = 8 * (2 + (unsigned)fuzz_below(random, 6));
    size_t packets = 1 + fuzz_below(random, 60);
    size_t spread = 1 + fuzz_below(random, 4);
    size_t at = 0;

    for (size_t i = 0; i < sizeof heap; i++)
        heap[i] = (uint8_t)fuzz_random(random);
    for (size_t i = 0; i < packets && at + 1200 < capacity; i++) {
        build b = build_begin(data + at, bits);
        bool is_odd = fuzz_random(random) % 8 == 0;
        size_t offset = is_odd ? 8 * fuzz_below(random, 70)
                               : 64 * (i / spread % 10);
        build_specials(&b, i % spread + i / spread / 10,
                       is_odd && fuzz_random(random) % 2 ? -1 : 640, offset,
                       64);
        for (size_t j = is_odd ? fuzz_below(random, 6) : 0; j > 0; j--)
            build_pointer(&b, fuzz_random(random) & 1, fuzz_below(random, 64),
                          fuzz_below(random, 700));
        build_payload(&b, heap + (offset < 576 ? offset : 576), 64);
        at += b.length;
    }
    return at;
}

/* ---- without short ways ---- */

static void expect(spni_table *table, spni_assembly *assembly)
{
    if (assembly == NULL)
        return;
    spni_table_remove(table, assembly);
    CHECK(expected_count < HEAPS);
    expected[expected_count] = spni_assembly_finish(assembly, shells, true);
    CHECK(expected[expected_count++] != NULL);
    spni_table_recycle(table, assembly);
}

static bool add(spni_table *table, const spni_packet *packet)
{
    spni_assembly *assembly = spni_table_find(table, packet->cnt);
    bool is_new = assembly == NULL;
    spni_added added;

    if (is_new) {
        expect(table, spni_table_advance(table));
        assembly = spni_table_open(table, packet->cnt);
        CHECK(assembly != NULL);
        spni_assembly_begin(assembly, packet, allocator,
                            spni_copy_find(SPN_MEMCPY_STD));
    }
    added = spni_assembly_add(assembly, packet);
    if (added != SPNI_ADDED && is_new) {
        spni_table_remove(table, assembly);
        spni_table_recycle(table, assembly);
    } else if (added == SPNI_ADDED && assembly->is_end) {
        if (spni_assembly_is_complete(assembly)) {
            spni_table_remove(table, assembly);
            spni_table_recycle(table, assembly);
        }
        return false;
    } else if (added == SPNI_ADDED && spni_assembly_is_complete(assembly)) {
        expect(table, assembly);
    }
    return true;
}

static void make_expected(const uint8_t *data, size_t size)
{
    spni_table table;
    spni_packet packet;

    expected_count = 0;
    CHECK_EQ(spni_table_init(&table, SLOTS), 0);
    while (size > 0
           && spni_packet_decode(data, size, &packet) == SPNI_DECODED) {
        if (!add(&table, &packet))
            break;
        data += packet.length;
        size -= packet.length;
    }
    for (int i = 0; i < SLOTS; i++)
        expect(&table, spni_table_advance(&table));
    spni_table_fini(&table);
}

/* ---- through a stream ---- */

static void run_stream(const uint8_t *data, size_t size)
{
    spn_stream_config config = {
        .max_heaps = SLOTS,
        .keep_payload_ranges = true,
        .stop_on_stop_item = true,
    };
    spn_ring *ring;
    spn_stream *stream;
    spn_heap *heap;
    size_t count = 0;

    CHECK_EQ(spn_ring_new(1 + size % 7, &ring), 0);
    CHECK_EQ(spn_stream_new(threads, &config, allocator, ring, &stream), 0);
    CHECK_EQ(spn_stream_add_memory_reader(stream, data, size), 0);
    while (spn_ring_pop(ring, PATIENCE_MS, &heap, 1) == 1) {
        CHECK(count < expected_count);
        compare_heaps(&expected[count++]->fields, heap);
        spn_heap_unref(heap);
    }
    CHECK_EQ(count, expected_count);
    spn_stream_unref(stream);
    spn_ring_unref(ring);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (threads == NULL) {
        CHECK_EQ(spn_threads_new(1, NULL, 0, &threads), 0);
        CHECK_EQ(spn_allocator_new_malloc(&allocator), 0);
        shells = spni_shells_new();
        CHECK(shells != NULL);
        spn_log_set_level(SPN_LOG_ERROR);
    }
    make_expected(data, size);
    run_stream(data, size);
    for (size_t i = 0; i < expected_count; i++)
        spn_heap_unref(&expected[i]->fields);
    CHECK_EQ(spn_heaps_live(), 0);
    return 0;
}
