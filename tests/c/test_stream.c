/* SPDX-License-Identifier: Apache-2.0 */
/* What a stream does with heaps; packets come from memory. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>

#include "memory/allocator.h"
#include "receive.h"

static uint8_t data[1 << 20];
static size_t length;
static uint8_t payload[1 << 12];

static void add_piece(uint64_t cnt, int64_t heap_length, size_t offset,
                      size_t size)
{
    length += build_piece(data + length, cnt, heap_length, payload, offset,
                          size);
}

static void add_stop(uint64_t cnt, int64_t heap_length, size_t offset)
{
    build b = build_begin(data + length, 40);
    build_specials(&b, cnt, heap_length, offset, 8);
    build_pointer(&b, true, 6, 2);
    build_payload(&b, payload + offset, 8);
    length += b.length;
}

static void feed(receiver *r)
{
    CHECK_EQ(spn_stream_add_memory_reader(r->stream, data, length), 0);
}

static void expect(receiver *r, uint64_t cnt, bool is_contiguous)
{
    spn_heap *heap = receiver_get(r);
    CHECK(heap != NULL);
    CHECK_EQ(heap->cnt, cnt);
    CHECK_EQ(heap->is_contiguous, is_contiguous);
    spn_heap_unref(heap);
}

static void expect_end(receiver *r)
{
    CHECK(receiver_get(r) == NULL);
    CHECK(spn_stream_is_stopped(r->stream));
}

static receiver begin(bool contiguous_only, size_t max_heaps)
{
    spn_stream_config config = plain;
    config.contiguous_only = contiguous_only;
    config.max_heaps = max_heaps;
    config.tag = 77;
    length = 0;
    return receiver_new(config, 64);
}

static void new_heaps_evict_the_oldest_slot(void)
{
    receiver r = begin(false, 2);
    add_piece(1, 100, 0, 50);
    add_piece(2, 100, 0, 100); /* complete: leaves a hole */
    add_piece(3, 100, 0, 50);  /* takes the slot of heap 1 all the same */
    add_piece(4, 100, 0, 50);
    add_piece(1, 100, 50, 50); /* begins heap 1 anew */
    feed(&r);
    expect(&r, 2, true);
    expect(&r, 1, false);
    expect(&r, 3, false);
    expect(&r, 4, false);
    expect(&r, 1, false);
    expect_end(&r);
    CHECK_EQ(receiver_stats(&r).incomplete_heaps_evicted, 2);
    CHECK_EQ(receiver_stats(&r).incomplete_heaps_flushed, 2);
    CHECK_EQ(receiver_stats(&r).heaps, 5);
    receiver_free(&r);
}

static void incomplete_heaps_may_be_dropped(void)
{
    receiver r = begin(true, 4);
    add_piece(1, 100, 0, 50);
    add_piece(2, -1, 0, 50); /* as far as is known nothing is missing */
    feed(&r);
    expect(&r, 2, true);
    expect_end(&r);
    CHECK_EQ(receiver_stats(&r).heaps, 2);
    CHECK_EQ(receiver_stats(&r).heaps_dropped_incomplete, 1);
    receiver_free(&r);
}

static void a_complete_stop_heap_is_discarded(void)
{
    receiver r = begin(false, 4);
    add_piece(1, 100, 0, 50);
    add_piece(2, 100, 0, 100);
    add_stop(3, 8, 0);
    add_piece(4, 100, 0, 100); /* after the end */
    feed(&r);
    expect(&r, 2, true);
    expect(&r, 1, false);
    expect_end(&r);
    CHECK_EQ(receiver_stats(&r).packets, 3);
    CHECK_EQ(receiver_stats(&r).heaps, 2);
    receiver_free(&r);
}

static void a_partial_stop_heap_is_flushed(void)
{
    receiver r = begin(false, 4);
    add_stop(3, 100, 0);
    feed(&r);
    expect(&r, 3, false);
    expect_end(&r);
    receiver_free(&r);
    r = begin(true, 4);
    add_stop(3, -1, 0);
    feed(&r);
    expect(&r, 3, true);
    expect_end(&r);
    receiver_free(&r);
}

static void stop_items_may_be_ordinary(void)
{
    receiver r = begin(true, 4);
    spn_stream_set_stop_on_stop_item(r.stream, false);
    add_stop(3, 8, 0);
    add_piece(4, 8, 0, 8);
    feed(&r);
    spn_heap *heap = receiver_get(&r);
    CHECK(heap->is_end_of_stream);
    CHECK_EQ(heap->tag, 77);
    spn_heap_unref(heap);
    expect(&r, 4, true);
    expect_end(&r);
    receiver_free(&r);
}

static void refused_packets_are_counted_by_reason(void)
{
    receiver r = begin(true, 4);
    add_piece(1, 100, 0, 50);
    add_piece(1, 100, 0, 50);
    add_piece(1, 100, 40, 20);
    add_piece(1, 100, 60, 10);
    add_piece(1, 100, 50, 20);
    add_piece(1, 101, 70, 30);
    add_piece(2, INT64_C(1) << 39, (size_t)0, 10);
    add_piece(1, 100, 50, 10);
    add_piece(1, 100, 70, 30);
    feed(&r);
    expect(&r, 1, true);
    expect_end(&r);
    spn_stream_stats stats = receiver_stats(&r);
    CHECK_EQ(stats.packets, 9);
    CHECK_EQ(stats.refused_duplicate, 2);
    CHECK_EQ(stats.refused_overlap, 1);
    CHECK_EQ(stats.refused_heap_length, 1);
    CHECK_EQ(stats.bytes, length);
    receiver_free(&r);
}

static void a_heap_may_come_again(void)
{
    receiver r = begin(true, 4);
    for (int i = 0; i < 3; i++)
        add_piece(1, 100, 0, 100);
    feed(&r);
    for (int i = 0; i < 3; i++)
        expect(&r, 1, true);
    expect_end(&r);
    receiver_free(&r);
}

static void many_partial_heaps_are_told_apart(void)
{
    enum { COUNT = 1000 };
    receiver r = begin(true, COUNT);
    uint64_t seen = 0;
    for (uint64_t i = 0; i < COUNT; i++)
        add_piece(i * 4096, 100, 0, 50);
    for (uint64_t i = 0; i < COUNT; i++)
        add_piece(i * 4096, 100, 50, 50);
    feed(&r);
    for (spn_heap *heap; (heap = receiver_get(&r)) != NULL; seen++) {
        CHECK_EQ(heap->cnt, seen * 4096);
        CHECK(memcmp(heap->payload, payload, 100) == 0);
        spn_heap_unref(heap);
    }
    CHECK_EQ(seen, COUNT);
    receiver_free(&r);
}

/* A packet with `count` immediate items; `other` has a value of its own. */
static void add_with_items(uint64_t cnt, size_t offset, size_t size,
                           size_t count, size_t other)
{
    build b = build_begin(data + length, 40);
    build_specials(&b, cnt, (int64_t)(2 * size), offset, size);
    for (size_t i = 0; i < count; i++)
        build_pointer(&b, true, 0x1000 + i, i == other);
    build_payload(&b, payload + offset, size);
    length += b.length;
}

/* Heaps of two packets whose headers, of any length and before payloads of any,
 * are the same or differ in one item. The memory ends with the last packet. */
static void headers_may_differ_in_any_place(void)
{
    enum { COUNT_MOST = 40 };
    static const size_t sizes[] = {1, 8, 24, 200};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (size_t count = 0; count <= COUNT_MOST; count++) {
            receiver r = begin(true, 4);
            for (size_t other = 0; other <= count; other++) {
                add_with_items(other, 0, sizes[s], count, count);
                add_with_items(other, sizes[s], sizes[s], count, other);
            }
            uint8_t *exact = malloc(length);
            CHECK(exact != NULL);
            memcpy(exact, data, length);
            CHECK_EQ(spn_stream_add_memory_reader(r.stream, exact, length),
                     0);
            for (size_t other = 0; other <= count; other++) {
                spn_heap *heap = receiver_get(&r);
                CHECK_EQ(heap->cnt, other);
                CHECK_EQ(heap->payload_length, 2 * sizes[s]);
                CHECK_EQ(heap->item_count, count + (other < count));
                spn_heap_unref(heap);
            }
            expect_end(&r);
            receiver_free(&r);
            free(exact);
        }
}

static void settings_reach_a_running_stream(void)
{
    receiver r = begin(true, 4);
    spn_allocator *pool;
    spn_pool_stats stats;
    CHECK_EQ(spn_allocator_new_pool(NULL, 100, 100, 2, 2, 0, NULL, &pool), 0);
    spn_stream_set_allocator(r.stream, pool);
    CHECK_EQ(spn_stream_set_memcpy(r.stream, SPN_MEMCPY_NONTEMPORAL), 0);
    CHECK_ERR(spn_stream_set_memcpy(r.stream, 99), -EINVAL);
    add_piece(1, 100, 0, 100);
    feed(&r);
    spn_heap *heap = receiver_get(&r);
    CHECK(memcmp(heap->payload, payload, 100) == 0);
    CHECK_EQ(spn_allocator_read_pool_stats(pool, &stats), 0);
    CHECK_EQ(stats.hits, 1);
    expect_end(&r);
    receiver_free_keeping(&r);
    spn_allocator_unref(pool); /* before its buffer */
    spn_heap_unref(heap);
    CHECK_EQ(spn_heaps_live(), 0);
    CHECK_EQ(spn_buffers_live(), 0);
}

static void bad_arguments_are_refused(void)
{
    receiver r = begin(true, 4);
    spn_stream_config config = plain;
    spn_stream *stream;
    config.max_heaps = 0;
    CHECK_ERR(spn_stream_new(r.threads, &config, NULL, r.ring, &stream),
              -EINVAL);
    config = plain;
    config.memcpy_id = 99;
    CHECK_ERR(spn_stream_new(r.threads, &config, NULL, r.ring, &stream),
              -EINVAL);
    spn_stream_stop(r.stream);
    CHECK_ERR(spn_stream_new(r.threads, &plain, NULL, r.ring, &stream),
              SPN_ESTOPPED);
    receiver_free(&r);
}

/* An allocator that has no memory for a size of more than `largest`. */
typedef struct {
    spn_allocator base;
    size_t largest;
} poor_allocator;

static int poor_allocate(spn_allocator *base, size_t size, spni_buffer *out)
{
    poor_allocator *poor = (poor_allocator *)base;
    if (size > poor->largest)
        return -ENOMEM;
    *out = (spni_buffer){
        .data = malloc(size),
        .size = size,
        .capacity = size,
        .allocator = base,
    };
    return 0;
}

static void poor_release(spn_allocator *base, spni_buffer *buffer)
{
    (void)base;
    free(buffer->data);
}

static const spni_allocator_kind poor_kind = {
    .allocate = poor_allocate,
    .release = poor_release,
};

static void want_of_memory_costs_heaps_not_the_stream(void)
{
    poor_allocator poor = {
        .base = {.kind = &poor_kind, .references = 1},
        .largest = 200,
    };
    receiver r = begin(true, 4);
    spn_stream_set_allocator(r.stream, &poor.base);
    add_piece(1, 100, 0, 100);
    add_piece(2, 300, 0, 100); /* never begins */
    add_piece(3, -1, 0, 100);
    add_piece(3, -1, 100, 150); /* grows too large: dropped */
    add_piece(4, 200, 0, 100);
    add_piece(4, 200, 100, 100);
    feed(&r);
    expect(&r, 1, true);
    expect(&r, 4, true);
    expect_end(&r);
    spn_stream_stats stats = receiver_stats(&r);
    CHECK_EQ(stats.packets, 6);
    CHECK_EQ(stats.heaps, 2);
    CHECK_EQ(stats.refused_memory, 2);
    CHECK_EQ(stats.heaps_dropped_memory, 1);
    receiver_free(&r);
    CHECK_EQ(poor.base.references, 1);
}

static void *stop_main(void *stream)
{
    spn_stream_stop(stream);
    return NULL;
}

static void anybody_may_stop_at_any_time(void)
{
    for (int round = 0; round < 50; round++) {
        pthread_t threads[3];
        receiver r = begin(true, 4);
        for (uint64_t i = 1; i <= 500; i++)
            add_piece(i, 8, 0, 8);
        feed(&r);
        for (int i = 0; i < 3; i++)
            CHECK_EQ(pthread_create(&threads[i], NULL, stop_main, r.stream),
                     0);
        for (spn_heap *heap; (heap = receiver_get(&r)) != NULL;)
            spn_heap_unref(heap);
        for (int i = 0; i < 3; i++)
            CHECK_EQ(pthread_join(threads[i], NULL), 0);
        receiver_free(&r);
    }
}

int main(void)
{
    for (size_t i = 0; i < sizeof payload; i++)
        payload[i] = (uint8_t)(i * 7 + i / 251);
    new_heaps_evict_the_oldest_slot();
    incomplete_heaps_may_be_dropped();
    a_complete_stop_heap_is_discarded();
    a_partial_stop_heap_is_flushed();
    stop_items_may_be_ordinary();
    refused_packets_are_counted_by_reason();
    a_heap_may_come_again();
    many_partial_heaps_are_told_apart();
    headers_may_differ_in_any_place();
    settings_reach_a_running_stream();
    want_of_memory_costs_heaps_not_the_stream();
    bad_arguments_are_refused();
    anybody_may_stop_at_any_time();
    return 0;
}
