/* SPDX-License-Identifier: Apache-2.0 */
#include <sched.h>

#include "receive.h"

static uint8_t data[1 << 20];
static uint8_t payload[1 << 16];

static size_t build_heaps(unsigned count)
{
    size_t length = 0;
    for (unsigned i = 1; i <= count; i++)
        length += build_piece(data + length, i, 16, payload, 0, 16);
    return length;
}

static void receives_heaps_of_many_packets(void)
{
    receiver r = receiver_new(plain, 4);
    spn_stream_stats stats;
    size_t length = 0;
    for (size_t offset = 0; offset < 50000; offset += 1000)
        length += build_piece(data + length, 9, 50000, payload, offset, 1000);
    CHECK_EQ(spn_stream_add_memory_reader(r.stream, data, length), 0);
    spn_heap *heap = receiver_get(&r);
    CHECK(heap != NULL);
    CHECK_EQ(heap->cnt, 9);
    CHECK(heap->is_contiguous);
    CHECK_EQ(heap->payload_length, 50000);
    CHECK(memcmp(heap->payload, payload, 50000) == 0);
    CHECK(receiver_get(&r) == NULL);
    CHECK(spn_stream_is_stopped(r.stream));
    stats = receiver_stats(&r);
    CHECK_EQ(stats.packets, 50);
    CHECK_EQ(stats.heaps, 1);
    CHECK_EQ(stats.bytes, length);
    CHECK_EQ(stats.bytes_copied, 50000);
    CHECK_EQ(stats.max_batch, 1);
    spn_heap_unref(heap);
    receiver_free(&r);
}

static void stops_at_the_end_of_nothing(void)
{
    receiver r = receiver_new(plain, 4);
    CHECK_EQ(spn_stream_add_memory_reader(r.stream, data, 0), 0);
    CHECK(receiver_get(&r) == NULL);
    CHECK_EQ(receiver_stats(&r).max_batch, 0);
    CHECK_EQ(spn_stream_add_memory_reader(r.stream, data, 8), 0);
    receiver_free(&r);
}

static void abandons_what_follows_garbage(void)
{
    receiver r = receiver_new(plain, 4);
    size_t length = build_heaps(2);
    data[length] = 0;
    memset(data + length, 0, 64);
    spn_heap *heap;
    CHECK_EQ(spn_stream_add_memory_reader(r.stream, data, length + 64), 0);
    for (int i = 0; i < 2; i++) {
        heap = receiver_get(&r);
        CHECK(heap != NULL);
        spn_heap_unref(heap);
    }
    CHECK(receiver_get(&r) == NULL);
    CHECK_EQ(receiver_stats(&r).rejected_magic, 1);
    CHECK_EQ(receiver_stats(&r).packets, 2);
    receiver_free(&r);
}

static void wait_until_blocked(receiver *r, uint64_t times)
{
    while (receiver_stats(r).worker_blocked < times)
        sched_yield();
}

static void counts_a_full_ring_as_it_was(void)
{
    receiver r = receiver_new(plain, 4);
    spn_stream_stats stats;
    CHECK_EQ(spn_stream_add_memory_reader(r.stream, data, build_heaps(10)), 0);
    wait_until_blocked(&r, 1);
    stats = receiver_stats(&r);
    CHECK_EQ(stats.heaps, 4);
    CHECK_EQ(stats.packets, 4);
    CHECK_EQ(stats.worker_blocked, 1);
    spn_stream_stop(r.stream);
    stats = receiver_stats(&r);
    CHECK_EQ(stats.heaps, 10);
    CHECK_EQ(stats.packets, 10);
    CHECK_EQ(stats.heaps_dropped_stop, 6);
    CHECK_EQ(stats.ring_high_water, 4);
    for (uint64_t cnt = 1; cnt <= 4; cnt++) {
        spn_heap *heap = receiver_get(&r);
        CHECK_EQ(heap->cnt, cnt);
        spn_heap_unref(heap);
    }
    CHECK(receiver_get(&r) == NULL);
    receiver_free(&r);
}

static void goes_on_with_each_take(size_t ring_heaps)
{
    receiver r = receiver_new(plain, ring_heaps);
    size_t length = build_heaps(1000);
    CHECK_EQ(spn_stream_add_memory_reader(r.stream, data, length), 0);
    wait_until_blocked(&r, 1);
    for (uint64_t cnt = 1; cnt <= 1000; cnt++) {
        spn_heap *heap = receiver_get(&r);
        CHECK(heap != NULL);
        CHECK_EQ(heap->cnt, cnt);
        spn_heap_unref(heap);
    }
    CHECK(receiver_get(&r) == NULL);
    CHECK_EQ(receiver_stats(&r).heaps, 1000);
    CHECK_EQ(receiver_stats(&r).heaps_dropped_stop, 0);
    receiver_free(&r);
}

/* The end of a stream waits in a full ring, and a stop does not wait. */
static void flushes_into_a_full_ring(bool is_stopped)
{
    spn_stream_config config = plain;
    config.contiguous_only = false;
    config.max_heaps = 8;
    receiver r = receiver_new(config, 1);
    size_t length = 0;
    uint64_t got = 0;
    for (unsigned i = 1; i <= 8; i++)
        length += build_piece(data + length, i, 64, payload, 16, 16);
    CHECK_EQ(spn_stream_add_memory_reader(r.stream, data, length), 0);
    wait_until_blocked(&r, 1);
    CHECK(spn_stream_is_stopped(r.stream));
    if (is_stopped)
        spn_stream_stop(r.stream);
    for (spn_heap *heap; (heap = receiver_get(&r)) != NULL; got++) {
        CHECK_EQ(heap->cnt, got + 1);
        CHECK(!heap->is_contiguous);
        CHECK_EQ(heap->received_length, 16);
        CHECK_EQ(heap->range_count, 0);
        spn_heap_unref(heap);
    }
    CHECK_EQ(got, is_stopped ? 1 : 8);
    CHECK_EQ(receiver_stats(&r).heaps, 8);
    CHECK_EQ(receiver_stats(&r).incomplete_heaps_flushed, 8);
    CHECK_EQ(receiver_stats(&r).heaps_dropped_stop, is_stopped ? 7 : 0);
    receiver_free(&r);
}

static void dies_while_blocked(void)
{
    receiver r = receiver_new(plain, 1);
    CHECK_EQ(spn_stream_add_memory_reader(r.stream, data, build_heaps(10)), 0);
    wait_until_blocked(&r, 1);
    receiver_free(&r);
}

static void ends_with_its_pool(void)
{
    receiver r = receiver_new(plain, 1);
    CHECK_EQ(spn_stream_add_memory_reader(r.stream, data, build_heaps(10)), 0);
    wait_until_blocked(&r, 1);
    spn_threads_stop(r.threads);
    CHECK_EQ(receiver_stats(&r).heaps, 10);
    spn_heap *heap = receiver_get(&r);
    CHECK(heap != NULL);
    spn_heap_unref(heap);
    CHECK(receiver_get(&r) == NULL);
    spn_stream_stop(r.stream);
    receiver_free(&r);
}

static void ends_with_its_ring(void)
{
    receiver r = receiver_new(plain, 2);
    CHECK_EQ(spn_stream_add_memory_reader(r.stream, data, build_heaps(10)), 0);
    wait_until_blocked(&r, 1);
    spn_ring_stop(r.ring);
    while (!spn_stream_is_stopped(r.stream))
        sched_yield();
    spn_stream_stop(r.stream);
    CHECK_EQ(receiver_stats(&r).heaps, 10);
    receiver_free(&r);
}

int main(void)
{
    for (size_t i = 0; i < sizeof payload; i++)
        payload[i] = (uint8_t)(i * 7 + i / 251);
    receives_heaps_of_many_packets();
    stops_at_the_end_of_nothing();
    abandons_what_follows_garbage();
    counts_a_full_ring_as_it_was();
    goes_on_with_each_take(1);
    goes_on_with_each_take(4);
    goes_on_with_each_take(64);
    flushes_into_a_full_ring(false);
    flushes_into_a_full_ring(true);
    dies_while_blocked();
    ends_with_its_pool();
    ends_with_its_ring();
    return 0;
}
