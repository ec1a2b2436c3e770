/* SPDX-License-Identifier: Apache-2.0 */
/* The same datagrams go to two streams, of which one lets the kernel place
 * payloads, or land them in their heap, and one copies all from the bounce buffer: what comes out must be
 * the same to the byte, and the counters too. Bursts are sent from the loop's
 * own thread, so that whole batches wait when it comes to receive. */
#include <poll.h>

#include "base/loop.h"
#include "compare.h"
#include "receive.h"
#include "spead/stream.h"
#include "udp.h"

enum {
    PACKETS = 1500,
    PACKET_MAX = 9300,
    HEAPS_MAX = 4096,
    SEEDS = 6,
    INTERLEAVED_MOST = 24,
};

/* ---- traffic ---- */

typedef struct {
    size_t at; /* in arena */
    size_t length;
} datagram;

static uint8_t arena[(PACKETS + 200) * PACKET_MAX];
static size_t arena_used;
static datagram traffic[PACKETS + 200];
static size_t traffic_count;
static uint64_t seed;

static size_t below(size_t limit)
{
    return (size_t)(build_random(&seed) % limit);
}

typedef struct {
    uint64_t cnt;
    size_t heap_length, payload_length, offset;
    unsigned items;   /* pointers of the first packet */
    bool has_length;
} heap_plan;

static void add_datagram(const heap_plan *plan, size_t offset, size_t length,
                         uint64_t salt)
{
    build b = build_begin(arena + arena_used, 40);
    uint64_t fill = plan->cnt * 1000003 + offset + salt;
    build_specials(&b, plan->cnt,
                   plan->has_length ? (int64_t)plan->heap_length : -1, offset,
                   length);
    for (unsigned i = 0; offset == 0 && i < plan->items; i++)
        build_pointer(&b, i & 1, 0x1000 + i, i * 8);
    for (size_t i = 0; i < length; i++)
        b.data[b.length + i] = (uint8_t)(fill + i * 31 + i / 97);
    b.length += length;
    traffic[traffic_count++] = (datagram){arena_used, b.length};
    arena_used += b.length;
}

/* The next packet of a heap; false after the last. All packets of a heap are
 * of one size, the last may be shorter. */
static bool add_next(heap_plan *plan)
{
    size_t length = plan->payload_length;
    if (plan->offset == 0)
        length -= 8 * plan->items;
    if (length > plan->heap_length - plan->offset)
        length = plan->heap_length - plan->offset;
    add_datagram(plan, plan->offset, length, 0);
    plan->offset += length;
    return plan->offset < plan->heap_length;
}

static void swap_datagrams(size_t i, size_t j)
{
    datagram kept = traffic[i];
    traffic[i] = traffic[j];
    traffic[j] = kept;
}

enum {
    IN_ORDER,
    SHUFFLED,
    DROPPED,
    DUPLICATED, /* with other bytes */
    INTERLEAVED,
    FORGED,     /* bytes of the header changed */
    CUT,
    RESIZED,
    WITHOUT_LENGTH,
    BACKWARDS,
    AGAIN,      /* one counter for all heaps */
    MODES,
};

static void spoil(int mode, size_t first)
{
    for (size_t i = first; i < traffic_count; i++) {
        datagram *d = &traffic[i];
        bool chosen = below(10) == 0;
        if (mode == SHUFFLED && chosen)
            swap_datagrams(i, first + below(traffic_count - first));
        if (mode == DROPPED && chosen)
            swap_datagrams(i, --traffic_count);
        if (mode == FORGED && chosen)
            arena[d->at + below(40)] ^= (uint8_t)(1u << below(8));
        if (mode == CUT && chosen)
            d->length -= below(d->length);
        if (mode == BACKWARDS && i < first + (traffic_count - first) / 2)
            swap_datagrams(i, traffic_count - 1 - (i - first));
    }
}

static heap_plan next_plan(const heap_plan *like, int mode, uint64_t *cnt)
{
    heap_plan plan = *like;
    plan.cnt = mode == AGAIN ? *cnt : ++*cnt;
    plan.offset = 0;
    if (mode == RESIZED && below(3) == 0)
        plan.payload_length = 4096 + 8 * below(600);
    if (mode == RESIZED && below(3) == 0)
        plan.heap_length = 20000 + below(100000);
    return plan;
}

/* The packets of so many heaps in turn. */
static void add_interleaved(const heap_plan *like, uint64_t *cnt)
{
    heap_plan plans[INTERLEAVED_MOST];
    size_t count = 2 + below(INTERLEAVED_MOST - 1);
    bool more = true;

    for (size_t i = 0; i < count; i++)
        plans[i] = next_plan(like, INTERLEAVED, cnt);
    while (more) {
        more = false;
        for (size_t i = 0; i < count && traffic_count < PACKETS; i++) {
            if (plans[i].offset < plans[i].heap_length)
                more |= add_next(&plans[i]);
        }
    }
}

/* A few heaps of one kind. */
static void add_epoch(int mode, uint64_t *cnt)
{
    static const size_t payloads[] = {4096, 6000, 8192, 9000, 2000, 4000};
    size_t payload_length = payloads[below(6)];
    heap_plan like = {
        .heap_length = (payload_length < 4096 ? 100000 : 20000) + below(120000),
        .payload_length = payload_length,
        .items = (unsigned)below(4),
        .has_length = mode != WITHOUT_LENGTH,
    };
    size_t first = traffic_count;

    if (below(2) == 0)
        like.heap_length -= like.heap_length % like.payload_length;
    if (mode == INTERLEAVED) {
        add_interleaved(&like, cnt);
        return;
    }
    for (int i = 0; i < 8; i++) {
        heap_plan one = next_plan(&like, mode, cnt);
        bool more = true;
        while (more) {
            more = add_next(&one);
            if (mode == DUPLICATED && below(6) == 0 && one.offset > 4096)
                add_datagram(&one, one.offset - 4096, 4096, below(2));
            if (traffic_count >= PACKETS)
                return;
        }
    }
    spoil(mode, first);
}

static void make_traffic(uint64_t from)
{
    uint64_t cnt = 0;
    seed = from;
    arena_used = 0;
    traffic_count = 0;
    while (traffic_count < PACKETS) {
        add_epoch(IN_ORDER, &cnt);
        if (traffic_count < PACKETS)
            add_epoch((int)below(MODES), &cnt);
    }
}

/* ---- the two receivers ---- */

typedef struct {
    receiver r;
    int in, out;
    spn_heap *heaps[HEAPS_MAX];
    size_t heap_count;
} side;

static side sides[2];
static size_t buffer_size;

static void open_side(side *s, spn_threads *threads, size_t max_heaps,
                      size_t ring_heaps, bool scatter)
{
    spn_stream_config config = plain;
    spn_udp_reader_config reader = {
        .max_size = 9200,
        .gro = true,
        .scatter = scatter,
    };
    int size = 32 << 20;
    socklen_t length = sizeof size;
    config.max_heaps = max_heaps;
    config.contiguous_only = false;
    config.keep_payload_ranges = true;
    config.stop_on_stop_item = false;
    s->r.threads = threads;
    s->heap_count = 0;
    CHECK_EQ(spn_ring_new(ring_heaps, &s->r.ring), 0);
    CHECK_EQ(spn_stream_new(threads, &config, NULL, s->r.ring, &s->r.stream),
             0);
    udp_pair(&s->in, &s->out);
    setsockopt(s->in, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
    getsockopt(s->in, SOL_SOCKET, SO_RCVBUF, &size, &length);
    buffer_size = (size_t)size;
    CHECK_EQ(spn_stream_add_udp_reader(s->r.stream, s->in, &reader), 0);
}

static void take_heaps(side *s)
{
    spn_heap *heap;
    while (spn_ring_try_pop(s->r.ring, &heap, 1) == 1) {
        CHECK(s->heap_count < HEAPS_MAX);
        s->heaps[s->heap_count++] = heap;
    }
}

typedef struct {
    size_t first, last;
    bool segmented;
} burst;

/* As many datagrams as one GSO call may send, from `at` on. */
static size_t run_of(size_t at, size_t last)
{
    size_t end = at + 1;
    while (end < last && traffic[end - 1].length == traffic[at].length
           && traffic[end].length <= traffic[at].length
           && traffic[end].length > 0
           && traffic[end].at == traffic[end - 1].at + traffic[end - 1].length
           && traffic[end].at + traffic[end].length - traffic[at].at < 60000)
        end++;
    return end;
}

static void send_burst(void *burst_void)
{
    const burst *b = burst_void;
    for (size_t at = b->first; at < b->last;) {
        size_t end = b->segmented ? run_of(at, b->last) : at + 1;
        const datagram *final = &traffic[end - 1];
        for (int i = 0; i < 2; i++) {
            if (end > at + 1)
                udp_send_segments(sides[i].out, arena + traffic[at].at,
                                  final->at + final->length - traffic[at].at,
                                  traffic[at].length);
            else
                CHECK_EQ(send(sides[i].out, arena + final->at, final->length,
                              0),
                         final->length);
        }
        at = end;
    }
}

/* Sleep until a ring has heaps, or for a little: to yield instead would hand
 * the core to whoever else is on it, for each heap. */
static void rest(void)
{
    struct pollfd rings[2];
    for (int i = 0; i < 2; i++)
        rings[i] = (struct pollfd){spn_ring_fd(sides[i].r.ring), POLLIN, 0};
    poll(rings, 2, 1);
}

static void wait_for(size_t sent)
{
    for (int i = 0; i < 2; i++) {
        spn_stream_stats stats;
        while (stats = receiver_stats(&sides[i].r), stats.datagrams < sent) {
            rest();
            take_heaps(&sides[0]);
            take_heaps(&sides[1]);
        }
        CHECK_EQ(stats.kernel_drops, 0);
    }
}

static void exchange(bool segmented)
{
    size_t sent = 0;
    while (sent < traffic_count) {
        size_t bytes = 0, last = sent, most = 1 + below(120);
        /* The kernel charges for more than the bytes. */
        while (last < traffic_count && last - sent < most
               && bytes + traffic[last].length < buffer_size / 8)
            bytes += traffic[last++].length;
        burst b = {sent, last, segmented};
        CHECK_EQ(spni_loop_call(sides[0].r.stream->loop, send_burst, &b), 0);
        sent = last;
        wait_for(sent);
    }
}

static void finish(side *s)
{
    uint8_t packet[100];
    spn_stream_set_stop_on_stop_item(s->r.stream, true);
    CHECK(send(s->out, packet, build_stop(packet, 1 << 20), 0) > 0);
    for (spn_heap *heap; (heap = receiver_get(&s->r)) != NULL;)
        s->heaps[s->heap_count++] = heap;
    CHECK(s->heap_count <= HEAPS_MAX);
}

static uint64_t run(uint64_t from, bool segmented)
{
    spn_threads *threads;
    size_t max_heaps, ring_heaps;
    uint64_t placed;

    make_traffic(from);
    max_heaps = 1 + below(below(2) == 0 ? 3 : 40);
    ring_heaps = 1 + below(8);
    CHECK_EQ(spn_threads_new(1, NULL, 0, &threads), 0);
    for (int i = 0; i < 2; i++)
        open_side(&sides[i], threads, max_heaps, ring_heaps, i == 1);
    exchange(segmented);
    for (int i = 0; i < 2; i++)
        finish(&sides[i]);
    CHECK_EQ(sides[0].heap_count, sides[1].heap_count);
    for (size_t i = 0; i < sides[0].heap_count; i++) {
        compare_heaps(sides[0].heaps[i], sides[1].heaps[i]);
        spn_heap_unref(sides[0].heaps[i]);
        spn_heap_unref(sides[1].heaps[i]);
    }
    placed = receiver_stats(&sides[1].r).bytes_placed;
    compare_placed_stats(receiver_stats(&sides[0].r),
                         receiver_stats(&sides[1].r));
    for (int i = 0; i < 2; i++) {
        spn_stream_unref(sides[i].r.stream);
        spn_ring_unref(sides[i].r.ring);
        close(sides[i].out);
    }
    spn_threads_unref(threads);
    CHECK_EQ(spn_heaps_live(), 0);
    CHECK_EQ(spn_buffers_live(), 0);
    return placed;
}

int main(int argc, char **argv)
{
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    uint64_t placed = 0;
    for (uint64_t from = first; from < first + SEEDS; from++) {
        placed += run(from, false);
        placed += run(from, true);
    }
    CHECK(placed > 0);
    return 0;
}
