/* SPDX-License-Identifier: Apache-2.0 */
/* When payloads are placed or land in their heap, and when the reader does
 * better not to guess. That what comes out is right is tested in test_scatter.c
 * and fuzz_scatter.c. */
#include <sched.h>

#include "base/loop.h"
#include "kernel.h"
#include "memory/allocator.h"
#include "net/scatter.h"
#include "receive.h"
#include "spead/delivery.h"
#include "spead/feed.h"
#include "spead/heap.h"
#include "spead/stream.h"
#include "udp.h"

enum { PACKETS = 6000, PACKET_MAX = 8500 };

static uint8_t arena[(size_t)PACKETS * PACKET_MAX];
static size_t arena_used;
static kernel_message messages[PACKETS];
static size_t message_count;
static size_t datagram_count;
static uint8_t payload[4 * PACKET_MAX];
static size_t first_item; /* where it lies in its heap */
static bool is_told_once; /* HEAP_LEN, by the first packet */

static void clear(void)
{
    arena_used = 0;
    message_count = 0;
    datagram_count = 0;
}

/* One packet, which is a message of its own. */
static void add(uint64_t cnt, size_t heap_length, size_t offset, size_t length,
                unsigned items)
{
    build b = build_begin(arena + arena_used, 40);
    CHECK(message_count < PACKETS);
    build_specials(&b, cnt,
                   offset == 0 || !is_told_once ? (int64_t)heap_length : -1,
                   offset, length);
    for (unsigned i = 0; i < items; i++)
        build_pointer(&b, i != 0, 0x1000 + i, first_item);
    build_payload(&b, payload + cnt % 7, length);
    messages[message_count++] =
        (kernel_message){.data = b.data, .length = b.length};
    arena_used += b.length;
    datagram_count++;
}

/* `count` heaps of three packets, with item pointers in the first. */
static void add_heaps(uint64_t first, size_t count, size_t length,
                      unsigned items)
{
    for (uint64_t cnt = first; cnt < first + count; cnt++)
        for (size_t i = 0; i < 3; i++)
            add(cnt, 3 * length, i * length, length, i == 0 ? items : 0);
}

/* As GRO does: so many packets of one size a message. */
static void merge(size_t packets)
{
    size_t count = message_count;
    message_count = 0;
    for (size_t i = 0; i < count; i += packets) {
        kernel_message *message = &messages[message_count++];
        *message = messages[i];
        message->segment = message->length;
        for (size_t j = i + 1; j < i + packets && j < count; j++)
            message->length += messages[j].length;
    }
}

static receiver begin(unsigned most)
{
    const spn_udp_reader_config reader = {
        .max_size = 9200,
        .gro = true,
        .scatter = true,
    };
    receiver r = receiver_new(plain, PACKETS);
    CHECK_EQ(spn_stream_add_udp_reader(r.stream, kernel_open(most), &reader),
             0);
    clear();
    return r;
}

/* What has become of the messages that were added. */
typedef struct {
    unsigned calls, led, moved;
    uint64_t placed, copied;
} outcome;

static outcome exchange(receiver *r)
{
    spn_stream_stats before = receiver_stats(r), after;
    outcome from = {kernel.calls, kernel.led, kernel.moved, 0, 0};
    kernel_arrive(messages, message_count);
    do {
        sched_yield();
        after = receiver_stats(r);
    } while (after.datagrams < before.datagrams + datagram_count);
    clear();
    return (outcome){kernel.calls - from.calls, kernel.led - from.led,
                     kernel.moved - from.moved,
                     after.bytes_placed - before.bytes_placed,
                     after.bytes_copied - before.bytes_copied};
}

static size_t take_all(receiver *r)
{
    size_t count = 0;
    for (spn_heap *heap; spn_ring_try_pop(r->ring, &heap, 1) == 1; count++)
        spn_heap_unref(heap);
    return count;
}

static void end(receiver *r)
{
    take_all(r);
    receiver_free(r);
}

/* ---- what is placed ---- */

/* After a heap from which it learns, everything: heaps that end and begin
 * within a call, or reach over several. */
static void everything_is_placed(unsigned most, unsigned items)
{
    receiver r = begin(most);
    outcome o;
    add_heaps(1, 1, 5000, items);
    exchange(&r);
    add_heaps(2, 100, 5000, items);
    o = exchange(&r);
    CHECK_EQ(o.copied, 0);
    CHECK_EQ(o.placed, 100 * 3 * 5000);
    CHECK_EQ(take_all(&r), 101);
    end(&r);
}

/* As far as buffers are allocated ahead, so not three messages at a time. */
static void merged_packets_are_placed(size_t packets)
{
    receiver r = begin(2);
    outcome o;
    add_heaps(1, 60, 5000, 0);
    merge(packets);
    exchange(&r);
    add_heaps(61, 100, 5000, 0);
    merge(packets);
    o = exchange(&r);
    CHECK_EQ(o.copied, 0);
    CHECK_EQ(take_all(&r), 160);
    end(&r);
}

/* Also when packets that came many a message are followed by larger ones: the
 * kernel's part of the test sees to it. */
static void no_plan_is_longer_than_a_message(void)
{
    receiver r = begin(1);
    add_heaps(1, 40, 4096, 0);
    merge(15);
    CHECK(exchange(&r).placed > 0);
    add_heaps(41, 40, 8400, 0);
    merge(7);
    exchange(&r);
    CHECK_EQ(take_all(&r), 80);
    end(&r);
}

static void only_large_payloads_are_placed(void)
{
    receiver r = begin(8);
    outcome o;
    add_heaps(1, 50, 4095, 0);
    o = exchange(&r);
    CHECK_EQ(o.led, 0);
    CHECK_EQ(o.placed, 0);
    add_heaps(51, 50, 4096, 0);
    o = exchange(&r);
    CHECK(o.placed >= 46 * 3 * 4096);
    add_heaps(101, 50, 1000, 0);
    o = exchange(&r);
    CHECK(o.led <= 8);
    CHECK_EQ(o.placed, 0);
    end(&r);
}

static void long_headers_are_not_placed(void)
{
    receiver r = begin(8);
    outcome o;
    for (uint64_t cnt = 1; cnt <= 50; cnt++)
        for (size_t i = 0; i < 3; i++)
            add(cnt, 15000, 5000 * i, 5000, 28);
    o = exchange(&r);
    CHECK_EQ(o.placed, 0);
    CHECK_EQ(take_all(&r), 50);
    end(&r);
}

/* ---- what lands in its heap ---- */

enum { LANDED = 120, LANDED_LENGTH = 2000 }; /* packets of a heap, payload */

static void add_long_heap(uint64_t cnt, size_t length)
{
    for (size_t i = 0; i < LANDED; i++)
        add(cnt, LANDED * length, i * length, length, 0);
}

static void check_long_heaps(receiver *r, uint64_t first, size_t count)
{
    for (uint64_t cnt = first; cnt < first + count; cnt++) {
        spn_heap *heap = receiver_get(r);
        CHECK_EQ(heap->cnt, cnt);
        CHECK_EQ(heap->payload_length, LANDED * LANDED_LENGTH);
        for (size_t i = 0; i < LANDED; i++)
            CHECK(memcmp(heap->payload + i * LANDED_LENGTH, payload + cnt % 7,
                         LANDED_LENGTH)
                  == 0);
        spn_heap_unref(heap);
    }
}

/* A message a call, of 13 packets: nearly ten for a heap. But for the end of
 * a heap, where there is no room for the largest message, they land in it. */
static void merged_packets_land(void)
{
    enum { HEAPS = 8 };
    receiver r = begin(1);
    outcome o;
    for (uint64_t cnt = 1; cnt <= HEAPS; cnt++)
        add_long_heap(cnt, LANDED_LENGTH);
    merge(13);
    o = exchange(&r);
    CHECK_EQ(o.led, 0);
    CHECK(o.moved >= o.calls / 2);
    CHECK(o.moved < o.calls);
    CHECK_EQ(o.copied, HEAPS * LANDED * LANDED_LENGTH);
    check_long_heaps(&r, 1, HEAPS);
    end(&r);
}

typedef struct {
    spn_stream *stream;
    bool was_added[3];
} next_three;

static void add_next_three(void *three_void)
{
    next_three *three = three_void;
    for (size_t i = 0; i < 3; i++)
        three->was_added[i] = spni_stream_add_next(
            three->stream, messages[i].data, messages[i].length);
}

/* Nothing is delivered while packets lie in the heap, so the last goes the
 * ordinary way. */
static void only_what_continues_a_heap_and_does_not_end_it_is_next(void)
{
    receiver r = begin(1);
    next_three three = {.stream = r.stream};
    add(1, 6000, 0, 2000, 1);
    add(1, 6000, 2000, 2000, 0);
    exchange(&r);
    add(2, 8000, 0, 2000, 0);
    add(2, 8000, 2000, 2000, 0);
    exchange(&r);
    add(2, 8000, 2000, 2000, 0);
    add(2, 8000, 4000, 2000, 0);
    add(2, 8000, 6000, 2000, 0);
    CHECK_EQ(spni_loop_call(r.stream->loop, add_next_three, &three), 0);
    CHECK(!three.was_added[0]);
    CHECK(three.was_added[1]);
    CHECK(!three.was_added[2]);
    CHECK_EQ(take_all(&r), 0);
    end(&r);
}

/* Neither single packets, nor those of heaps that are too short, nor those that
 * are large enough to be placed. */
static void what_does_not_land(void)
{
    receiver r = begin(4);
    outcome o;
    add_long_heap(1, LANDED_LENGTH);
    o = exchange(&r);
    CHECK_EQ(o.moved, 0);
    add_heaps(2, 200, 2000, 0);
    merge(15);
    o = exchange(&r);
    CHECK_EQ(o.moved, 0);
    add_long_heap(300, 4096);
    merge(13);
    o = exchange(&r);
    CHECK_EQ(o.moved, 0);
    CHECK(o.led > 0);
    CHECK_EQ(take_all(&r), 202);
    end(&r);
}

/* Packets the wrong way round, or of another heap: from there on all is saved,
 * and none of it is seen in what comes out. */
static void what_comes_between_does_no_harm(void)
{
    enum { HEAPS = 40 };
    receiver r = begin(3);
    outcome o;
    for (uint64_t cnt = 1; cnt <= HEAPS; cnt++) {
        size_t odd = 13 + cnt % 70;
        for (size_t i = 0; i < LANDED; i++) {
            size_t at = i == odd ? i + 1 : i == odd + 1 ? i - 1 : i;
            add(cnt, LANDED * LANDED_LENGTH, at * LANDED_LENGTH, LANDED_LENGTH,
                0);
            if (cnt % 2 == 0 && i == odd + 7) /* of the next heap */
                add(cnt + 1, LANDED * LANDED_LENGTH, 0, LANDED_LENGTH, 0);
        }
    }
    merge(13);
    o = exchange(&r);
    CHECK(o.moved > 0);
    check_long_heaps(&r, 1, HEAPS);
    CHECK_EQ(receiver_stats(&r).refused_duplicate, HEAPS / 2 - 1);
    end(&r);
}

/* Every second packet is another heap's. */
static void interleaved_heaps_soon_land_no_more(void)
{
    receiver r = begin(1);
    outcome o;
    for (uint64_t cnt = 1; cnt <= 40; cnt += 2)
        for (size_t i = 0; i < 2 * LANDED; i++)
            add(cnt + i % 2, LANDED * LANDED_LENGTH, i / 2 * LANDED_LENGTH,
                LANDED_LENGTH, 0);
    merge(13);
    o = exchange(&r);
    CHECK(o.moved > 0);
    CHECK(o.moved <= 24);
    CHECK(o.calls > 300);
    check_long_heaps(&r, 1, 40);
    end(&r);
}

/* ---- when guessing does not pay ---- */

/* Sizes that alternate, so that no packet is as expected. */
static void add_surprises(uint64_t first, size_t count)
{
    for (uint64_t cnt = first; cnt < first + count; cnt++) {
        size_t length = 4200 + cnt % 61 * 8;
        add(cnt, 2 * length, 0, length, 0);
    }
}

static void bad_guesses_end_it_for_longer_and_longer(void)
{
    receiver r = begin(1);
    outcome o;
    add_heaps(1, 10, 5000, 0);
    o = exchange(&r);
    CHECK(o.placed >= 9 * 15000);
    add_surprises(100, 300);
    o = exchange(&r);
    CHECK_EQ(o.calls, 300);
    CHECK_EQ(o.placed, 0);
    CHECK(o.led < 24);
    add_surprises(1000, 5000);
    o = exchange(&r);
    CHECK(o.led < 30);
    CHECK_EQ(o.placed, 0);
    end(&r);
}

static void it_begins_again_when_it_pays(void)
{
    receiver r = begin(1);
    outcome o;
    add_surprises(1, 100);
    exchange(&r);
    add_heaps(1000, 100, 5000, 0);
    o = exchange(&r);
    CHECK(o.placed >= 30 * 15000);
    add_heaps(2000, 100, 5000, 0);
    o = exchange(&r);
    CHECK_EQ(o.copied, 0);
    end(&r);
}

/* A wrong guess makes the next plan shorter: fewer messages a call. */
static void thousands_of_heaps_at_a_time(void)
{
    enum { HEAPS = 1500 };
    spn_stream_config config = plain;
    const spn_udp_reader_config reader = {
        .max_size = 9200,
        .gro = true,
        .scatter = true,
    };
    receiver r;
    outcome o;
    config.max_heaps = HEAPS;
    r = receiver_new(config, PACKETS);
    CHECK_EQ(spn_stream_add_udp_reader(r.stream, kernel_open(4), &reader), 0);
    clear();
    for (size_t i = 0; i < 3; i++)
        for (uint64_t cnt = 1; cnt <= HEAPS; cnt++)
            add(cnt, 3 * 4096, i * 4096, 4096, 0);
    o = exchange(&r);
    CHECK_EQ(o.placed + o.copied, HEAPS * 3 * 4096);
    CHECK(o.led < o.calls / 2);
    for (uint64_t cnt = 1; cnt <= HEAPS; cnt++) {
        spn_heap *heap = receiver_get(&r);
        CHECK_EQ(heap->cnt, cnt);
        for (size_t i = 0; i < 3; i++)
            CHECK(memcmp(heap->payload + i * 4096, payload + cnt % 7, 4096)
                  == 0);
        spn_heap_unref(heap);
    }
    end(&r);
}

static void a_second_reader_ends_it(void)
{
    static const spn_udp_reader_config plain_reader = {.max_size = 9200};
    receiver r = begin(4);
    outcome o;
    int in, out;
    add_heaps(1, 10, 5000, 0);
    CHECK(exchange(&r).placed > 0);
    udp_pair(&in, &out);
    CHECK_EQ(spn_stream_add_udp_reader(r.stream, in, &plain_reader), 0);
    add_heaps(11, 10, 5000, 0);
    o = exchange(&r);
    CHECK_EQ(o.led, 0);
    CHECK_EQ(o.placed, 0);
    close(out);
    end(&r);
}

/* ---- what may happen meanwhile ---- */

typedef struct {
    spn_allocator base;
    unsigned buffers;
} counting;

static int allocate(spn_allocator *allocator, size_t size, spni_buffer *out)
{
    ((counting *)allocator)->buffers++;
    *out = (spni_buffer){malloc(size), size, size, allocator};
    return out->data != NULL ? 0 : -ENOMEM;
}

static void release(spn_allocator *allocator, spni_buffer *buffer)
{
    ((counting *)allocator)->buffers--;
    free(buffer->data);
}

static void destroy(spn_allocator *allocator)
{
    (void)allocator;
}

static const spni_allocator_kind counting_kind = {
    .allocate = allocate,
    .release = release,
    .destroy = destroy,
};

/* How many heaps lie in memory of others. */
static size_t take_old(receiver *r, const spn_allocator *allocator)
{
    size_t count = 0;
    for (spn_heap *heap; spn_ring_try_pop(r->ring, &heap, 1) == 1;) {
        count += ((spni_heap *)heap)->buffer.allocator != allocator;
        spn_heap_unref(heap);
    }
    return count;
}

/* Buffers that were allocated ahead are given back, so that heaps that begin
 * now lie where they should. */
static void a_new_allocator_is_used_from_the_next_heap_on(void)
{
    counting other = {.base = {.kind = &counting_kind, .references = 1}};
    receiver r = begin(4);
    add_heaps(1, 10, 5000, 0);
    CHECK(exchange(&r).placed > 0);
    spn_stream_set_allocator(r.stream, &other.base);
    add_heaps(11, 10, 5000, 0);
    CHECK(exchange(&r).placed > 0);
    CHECK_EQ(take_old(&r, &other.base), 10);
    CHECK(other.buffers <= SPNI_SCATTER_SPARES);
    end(&r);
    CHECK_EQ(other.buffers, 0);
}

static spn_stream *losing;

/* As when there is no memory for the item pointers of a packet. */
static void lose_heap(void)
{
    spni_assembly *assembly = losing->sequel.assembly;
    if (assembly != NULL)
        spni_discard(losing, assembly);
}

static void a_heap_may_go_while_its_packets_come(void)
{
    receiver r = begin(1);
    outcome o;
    add_heaps(1, 10, 5000, 0);
    add(11, 15000, 0, 5000, 0);
    CHECK(exchange(&r).placed > 0);
    CHECK_EQ(take_all(&r), 10);
    losing = r.stream;
    kernel.after = lose_heap;
    add(11, 15000, 5000, 5000, 0);
    o = exchange(&r);
    kernel.after = NULL;
    CHECK_EQ(o.placed + o.copied, 0);
    CHECK_EQ(receiver_stats(&r).refused_memory, 1);
    add_heaps(12, 10, 5000, 0);
    exchange(&r);
    CHECK_EQ(take_all(&r), 10);
    end(&r);
}

/* An item that lies beyond HEAP_LEN keeps a heap from being complete. Its first
 * packet then contradicts itself when it comes again, the others are
 * duplicates; also those that come within the call that began the heap. */
static void a_heap_that_comes_twice_is_refused_as_it_should_be(void)
{
    receiver r = begin(64);
    spn_stream_stats stats;
    first_item = 1 << 20;
    is_told_once = true;
    add_heaps(1, 4, 5000, 1);
    exchange(&r);
    add_heaps(5, 1, 5000, 1);
    add_heaps(5, 1, 5000, 1);
    exchange(&r);
    stats = receiver_stats(&r);
    CHECK_EQ(stats.refused_heap_length, 1);
    CHECK_EQ(stats.refused_duplicate, 2);
    CHECK_EQ(stats.refused_memory, 0);
    CHECK(stats.bytes_placed > 0);
    first_item = 0;
    is_told_once = false;
    end(&r);
}

int main(void)
{
    for (size_t i = 0; i < sizeof payload; i++)
        payload[i] = (uint8_t)(i * 7 + i / 251);
    for (unsigned items = 0; items < 6; items += 5) {
        everything_is_placed(1, items);
        everything_is_placed(2, items);
        everything_is_placed(64, items);
    }
    merged_packets_land();
    only_what_continues_a_heap_and_does_not_end_it_is_next();
    what_does_not_land();
    what_comes_between_does_no_harm();
    interleaved_heaps_soon_land_no_more();
    merged_packets_are_placed(2);
    merged_packets_are_placed(3);
    merged_packets_are_placed(5);
    no_plan_is_longer_than_a_message();
    only_large_payloads_are_placed();
    long_headers_are_not_placed();
    bad_guesses_end_it_for_longer_and_longer();
    it_begins_again_when_it_pays();
    thousands_of_heaps_at_a_time();
    a_second_reader_ends_it();
    a_new_allocator_is_used_from_the_next_heap_on();
    a_heap_may_go_while_its_packets_come();
    a_heap_that_comes_twice_is_refused_as_it_should_be();
    return 0;
}
