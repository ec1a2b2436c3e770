/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"
#include "spead/assembly.h"
#include "spead_build.h"

static uint8_t data[70000];
static uint8_t payload[4096];
static spn_allocator *allocator;
static spni_assembly *assembly;
static bool is_begun;

static spni_added add(const build *b)
{
    spni_packet packet;
    CHECK_EQ(spni_packet_decode(data, b->length, &packet), SPNI_DECODED);
    if (!is_begun)
        spni_assembly_begin(assembly, &packet, allocator,
                            spni_copy_find(SPN_MEMCPY_STD));
    is_begun = true;
    return spni_assembly_add(assembly, &packet);
}

static spni_added add_piece(int64_t heap_length, size_t offset, size_t length)
{
    build b = build_begin(data, 40);
    build_specials(&b, 1, heap_length, offset, length);
    build_payload(&b, payload + offset % sizeof payload, length);
    return add(&b);
}

static spni_added add_pointer(unsigned bits, int64_t heap_length,
                              size_t offset, bool immediate, uint64_t id,
                              uint64_t value)
{
    build b = build_begin(data, bits);
    build_specials(&b, 1, heap_length, offset, 0);
    build_pointer(&b, immediate, id, value);
    return add(&b);
}

static spn_heap *finish(bool keep_ranges)
{
    spni_shells *shells = spni_shells_new();
    spni_heap *heap = spni_assembly_finish(assembly, shells, keep_ranges);
    CHECK(heap != NULL);
    spni_shells_free(shells);
    is_begun = false;
    return &heap->fields;
}

static void drop(void)
{
    spni_assembly_reset(assembly);
    is_begun = false;
    CHECK_EQ(spn_heaps_live(), 0);
    CHECK_EQ(spn_buffers_live(), 0);
}

static void completes_in_any_order(void)
{
    CHECK_EQ(add_piece(300, 200, 100), SPNI_ADDED);
    CHECK_EQ(add_piece(300, 0, 100), SPNI_ADDED);
    CHECK(!spni_assembly_is_complete(assembly));
    CHECK_EQ(add_piece(300, 100, 100), SPNI_ADDED);
    CHECK(spni_assembly_is_complete(assembly));
    spn_heap *heap = finish(true);
    CHECK_EQ(heap->heap_length, 300);
    CHECK_EQ(heap->payload_length, 300);
    CHECK(memcmp(heap->payload, payload, 300) == 0);
    CHECK_EQ(heap->range_count, 0);
    CHECK_EQ(heap->heap_address_bits, 40);
    spn_heap_unref(heap);
    drop();
}

static void refuses_duplicates_and_overlaps(void)
{
    add_piece(300, 100, 100);
    CHECK_EQ(add_piece(300, 100, 100), SPNI_REFUSED_DUPLICATE);
    CHECK_EQ(add_piece(300, 150, 100), SPNI_REFUSED_DUPLICATE);
    CHECK_EQ(add_piece(300, 150, 0), SPNI_REFUSED_DUPLICATE);
    CHECK_EQ(add_piece(300, 50, 51), SPNI_REFUSED_OVERLAP);
    CHECK_EQ(add_piece(300, 0, 300), SPNI_REFUSED_OVERLAP);
    CHECK_EQ(assembly->received_length, 100);
    drop();
}

static void refuses_conflicting_lengths(void)
{
    CHECK_EQ(add_piece(-1, 100, 100), SPNI_ADDED);
    CHECK_EQ(add_piece(150, 0, 100), SPNI_REFUSED_HEAP_LENGTH);
    CHECK_EQ(add_pointer(40, -1, 0, false, 0x1000, 250), SPNI_ADDED);
    CHECK_EQ(add_piece(249, 0, 100), SPNI_REFUSED_HEAP_LENGTH);
    CHECK_EQ(add_piece(250, 0, 100), SPNI_ADDED);
    CHECK_EQ(add_piece(251, 200, 50), SPNI_REFUSED_HEAP_LENGTH);
    CHECK_EQ(add_piece(250, 200, 50), SPNI_ADDED);
    CHECK(spni_assembly_is_complete(assembly));
    drop();
}

static void refuses_another_flavour(void)
{
    CHECK_EQ(add_piece(300, 0, 100), SPNI_ADDED);
    CHECK_EQ(add_pointer(48, 300, 100, true, 0x100, 1), SPNI_REFUSED_FLAVOUR);
    CHECK_EQ(assembly->pointers.count, 0);
    drop();
}

static void pointers_beyond_the_heap_keep_it_incomplete(void)
{
    CHECK_EQ(add_pointer(40, 100, 100, false, 0x1000, 101), SPNI_ADDED);
    CHECK_EQ(add_piece(-1, 0, 100), SPNI_ADDED);
    CHECK(!spni_assembly_is_complete(assembly));
    CHECK(!spni_assembly_is_contiguous(assembly));
    drop();
    CHECK_EQ(add_pointer(40, 100, 100, false, 0x1000, 100), SPNI_ADDED);
    CHECK_EQ(add_piece(100, 0, 100), SPNI_ADDED);
    CHECK(spni_assembly_is_complete(assembly));
    drop();
    /* Dropped from the items, but not from the minimum length. */
    CHECK_EQ(add_pointer(40, 100, 100, false, 1, 101), SPNI_ADDED);
    CHECK_EQ(add_piece(100, 0, 100), SPNI_REFUSED_HEAP_LENGTH);
    drop();
}

static void empty_heaps_are_complete(void)
{
    CHECK_EQ(add_piece(0, 0, 0), SPNI_ADDED);
    CHECK(spni_assembly_is_complete(assembly));
    spn_heap *heap = finish(false);
    CHECK(heap->is_contiguous);
    CHECK_EQ(heap->payload_length, 0);
    CHECK(heap->payload == NULL);
    spn_heap_unref(heap);
    CHECK_EQ(add_piece(-1, 0, 0), SPNI_ADDED);
    CHECK(!spni_assembly_is_complete(assembly));
    CHECK(spni_assembly_is_contiguous(assembly));
    drop();
}

static void heaps_without_a_length_grow(void)
{
    for (size_t at = 0; at < sizeof payload; at += 64)
        CHECK_EQ(add_piece(-1, at, 64), SPNI_ADDED);
    spn_heap *heap = finish(false);
    CHECK_EQ(heap->heap_length, -1);
    CHECK_EQ(heap->payload_length, sizeof payload);
    CHECK(memcmp(heap->payload, payload, sizeof payload) == 0);
    spn_heap_unref(heap);
    drop();
}

static void stream_control_is_seen(void)
{
    CHECK_EQ(add_pointer(40, -1, 0, false, 6, 2), SPNI_ADDED);
    CHECK(!assembly->is_end);
    CHECK_EQ(add_pointer(40, -1, 0, true, 6, 2), SPNI_ADDED);
    CHECK(assembly->is_end && !assembly->is_start);
    CHECK_EQ(add_pointer(40, -1, 0, true, 6, 0), SPNI_ADDED);
    CHECK(assembly->is_start);
    drop();
}

static void items_are_sorted_and_measured(void)
{
    static const struct {
        bool immediate;
        uint64_t id, value, length;
    } expected[] = {
        {false, 0x1002, 0, 4},  {false, 0x1000, 4, 6}, {false, 0x1005, 12, 8},
        {true, 0x1009, 1, 0},   {true, 0x1007, 5, 0},  {true, 6, 0x50, 0},
    };
    build b = build_begin(data, 40);
    build_specials(&b, 1, 20, 0, 20);
    build_pointer(&b, true, 6, 0x50);
    build_pointer(&b, false, 0x1005, 12);
    build_pointer(&b, false, 0x1001, 4); /* empty: 0x1000 begins there, too */
    build_pointer(&b, false, 0, 10);     /* ends 0x1000 */
    build_pointer(&b, true, 0x1007, 5);
    build_pointer(&b, false, 0x1000, 4);
    build_pointer(&b, false, 0x1000, 4);
    build_pointer(&b, false, 0x1002, 0);
    build_pointer(&b, true, 0, 9);
    build_pointer(&b, true, 0x1009, 1);
    build_pointer(&b, false, 0x1006, 20);
    build_payload(&b, payload, 20);
    CHECK_EQ(add(&b), SPNI_ADDED);
    spn_heap *heap = finish(false);
    CHECK_EQ(heap->item_count, 6);
    for (size_t i = 0; i < 6; i++) {
        CHECK_EQ(heap->items[i].id, expected[i].id);
        CHECK_EQ(heap->items[i].value, expected[i].value);
        CHECK_EQ(heap->items[i].length, expected[i].length);
        CHECK_EQ(heap->items[i].is_immediate, expected[i].immediate);
    }
    spn_heap_unref(heap);
    drop();
}

static void many_items_are_sorted_stably(void)
{
    enum { COUNT = 500 };
    build b = build_begin(data, 40);
    uint64_t seed = 3;
    build_specials(&b, 1, 8, 0, 8);
    for (uint64_t i = 0; i < COUNT; i++)
        build_pointer(&b, true, 0x1000 + i, build_random(&seed) % 10);
    build_payload(&b, payload, 8);
    CHECK_EQ(add(&b), SPNI_ADDED);
    spn_heap *heap = finish(false);
    CHECK_EQ(heap->item_count, COUNT);
    for (size_t i = 1; i < COUNT; i++) {
        const spn_item *left = &heap->items[i - 1], *right = left + 1;
        CHECK(left->value < right->value
              || (left->value == right->value && left->id < right->id));
    }
    spn_heap_unref(heap);
    drop();
}

static void incomplete_heaps_tell_their_ranges(void)
{
    CHECK_EQ(add_piece(400, 0, 100), SPNI_ADDED);
    CHECK_EQ(add_piece(400, 200, 50), SPNI_ADDED);
    CHECK_EQ(add_pointer(40, 400, 300, false, 0x1000, 8), SPNI_ADDED);
    CHECK_EQ(add_pointer(40, 400, 301, true, 0x1001, 8), SPNI_ADDED);
    spn_heap *heap = finish(true);
    CHECK(!heap->is_contiguous);
    CHECK_EQ(heap->received_length, 150);
    CHECK(heap->payload == NULL);
    CHECK_EQ(heap->item_count, 1);
    CHECK_EQ(heap->items[0].id, 0x1001);
    CHECK_EQ(heap->range_count, 4);
    CHECK_EQ(heap->ranges[1].begin, 200);
    CHECK_EQ(heap->ranges[1].end, 250);
    spn_heap_unref(heap);
    drop();
}

/* A claim costs memory only as far as it is backed by bytes. */
static void claims_are_not_believed(void)
{
    int64_t huge = INT64_C(1) << 39;
    CHECK_EQ(add_piece(huge, 0, 100), SPNI_ADDED);
    CHECK(assembly->buffer.capacity <= SPNI_TRUSTED_SIZE);
    CHECK_EQ(add_piece(huge, (size_t)huge - 100, 100), SPNI_REFUSED_MEMORY);
    CHECK_EQ(add_piece(huge, 100, 100), SPNI_ADDED);
    CHECK(assembly->buffer.capacity <= SPNI_TRUSTED_SIZE);
    drop();
    CHECK_EQ(add_piece(-1, (size_t)huge, 100), SPNI_REFUSED_MEMORY);
    CHECK_EQ(add_piece(-1, 1 << 20, 100), SPNI_ADDED);
    drop();
    CHECK_EQ(add_piece(1 << 20, 0, 100), SPNI_ADDED);
    CHECK_EQ(assembly->buffer.size, 1 << 20);
    drop();
}

int main(void)
{
    for (size_t i = 0; i < sizeof payload; i++)
        payload[i] = (uint8_t)(i * 7 + i / 251);
    CHECK_EQ(spn_allocator_new_malloc(&allocator), 0);
    assembly = spni_assembly_new();
    CHECK(assembly != NULL);
    completes_in_any_order();
    refuses_duplicates_and_overlaps();
    refuses_conflicting_lengths();
    refuses_another_flavour();
    pointers_beyond_the_heap_keep_it_incomplete();
    empty_heaps_are_complete();
    heaps_without_a_length_grow();
    stream_control_is_seen();
    items_are_sorted_and_measured();
    many_items_are_sorted_stably();
    incomplete_heaps_tell_their_ranges();
    claims_are_not_believed();
    spni_assembly_free(assembly);
    spn_allocator_unref(allocator);
    return 0;
}
