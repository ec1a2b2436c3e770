/* SPDX-License-Identifier: Apache-2.0 */
/* The same messages go to a reader that places payloads, or lets them land in
 * their heap, and to one that copies them all: what comes out must be the same to the byte, and the counters too.
 *
 * The input is a list of choices: each says what the sender does next. Nought
 * is the regular choice, so an input of noughts is a stream of heaps that come
 * as they are expected. */
#include "driver.h"

#include "../c/compare.h"
#include "../c/kernel.h"
#include "../c/receive.h"
#include "memory/allocator.h"

enum {
    DATAGRAMS = 80,
    DATAGRAM_MAX = 9700,
    MAX_SIZE = 9200, /* the reader's; some datagrams are larger */
    MESSAGE_MAX = 65000,
    HEAPS_MAX = 1024,
    SENDERS = 32,
    ALLOCATED_MOST = 64 << 20, /* at a claim */
};

static const uint64_t STOP_CNT = UINT64_C(0xffffffffff); /* no heap's */

/* ---- choices ---- */

static const uint8_t *choices, *choices_end;

/* One of 0..limit-1. */
static size_t choose(size_t limit)
{
    size_t choice = 0;
    for (size_t reach = 1; reach < limit; reach <<= 8) {
        choice <<= 8;
        if (choices < choices_end)
            choice |= *choices++;
    }
    return choice % limit;
}

static bool seldom(size_t odds)
{
    return choose(odds) == 1;
}

/* Mostly noughts. */
static size_t fuzz_example(uint8_t *data, size_t capacity, uint64_t *random)
{
    size_t size = 16 + fuzz_below(random, capacity < 2000 ? capacity : 2000);
    size_t odds = 1 + fuzz_below(random, 8);
    for (size_t i = 0; i < size; i++)
        data[i] = fuzz_below(random, odds) == 0 ? (uint8_t)fuzz_random(random)
                                                : 0;
    return size;
}

/* ---- what is sent ---- */

typedef struct {
    size_t at; /* in arena */
    size_t length;
    bool follows_loss; /* what was lost ended a message */
} datagram;

typedef struct {
    uint64_t cnt;
    size_t heap_length, payload_length, offset;
    unsigned bits;
    unsigned items; /* pointers of the first packet */
    uint64_t address; /* of the last item; it may lie beyond the heap */
    bool repeats;   /* them in all packets */
    bool has_length;
    bool begins_empty; /* with a packet without payload */
    bool has_lost;
} sender;

static uint8_t arena[(DATAGRAMS + 4) * DATAGRAM_MAX];
static size_t arena_used;
static datagram datagrams[DATAGRAMS + 4];
static size_t datagram_count;
static uint8_t message_arena[sizeof arena + 200];
static kernel_message messages[DATAGRAMS + 5];
static size_t message_count;
static sender senders[SENDERS];
static uint64_t last_cnt;
static bool is_small; /* payloads, in long heaps: those that land in them */

/* What a packet says beside what is so. */
typedef struct {
    int64_t heap_length, payload_length, offset, cnt;
    unsigned pointers; /* more, at the cost of payload */
    bool no_heap_length;
    uint8_t salt;
} lie;

static void add_packet(sender *s, size_t offset, size_t length, lie l)
{
    build b = build_begin(arena + arena_used, s->bits);
    uint64_t cnt = s->cnt + (uint64_t)l.cnt;
    unsigned items = offset == 0 || s->repeats ? s->items : 0;
    build_specials(&b, cnt & 0xffffff,
                   s->has_length && !l.no_heap_length
                       ? (int64_t)(s->heap_length + (size_t)l.heap_length)
                       : -1,
                   (offset + (size_t)l.offset) & 0xffffff,
                   (length - 8 * l.pointers + (size_t)l.payload_length)
                       & 0xffffff);
    for (unsigned i = 0; i < items + l.pointers; i++)
        build_pointer(&b, i & 1, 0x10 + i,
                      i + 1 == items ? s->address : i * 8);
    for (size_t i = 8 * l.pointers; i < length; i++)
        b.data[b.length++] =
            (uint8_t)(s->cnt * 101 + (offset + i) * 31 + i / 97 + l.salt);
    datagrams[datagram_count++] = (datagram){
        .at = arena_used,
        .length = b.length,
        .follows_loss = s->has_lost,
    };
    s->has_lost = false;
    arena_used += b.length;
}

static void next_heap(sender *s)
{
    s->offset = 0;
    if (!seldom(32)) /* else one counter for two heaps */
        s->cnt = ++last_cnt;
}

static void resize(sender *s)
{
    static const size_t large[] = {4096, 4104, 4600, 8192, 9000, 4095, 1000};
    static const size_t small[] = {2000, 2008, 3000, 1000, 4095, 4088, 4096};
    if (is_small) {
        s->payload_length = small[choose(7)];
        s->heap_length = s->payload_length * (60 + choose(30));
    } else {
        s->payload_length = large[choose(7)];
        s->heap_length = s->payload_length * (1 + choose(9));
    }
    if (seldom(3))
        s->heap_length -= choose(s->payload_length);
}

static void begin_sender(sender *s)
{
    resize(s);
    s->bits = seldom(6) ? 48 : 40;
    s->items = (unsigned)choose(seldom(8) ? 50 : 4);
    s->address = seldom(12) ? 1 << 20 : 8;
    s->begins_empty = seldom(8);
    s->repeats = seldom(3);
    s->has_length = !seldom(12);
    next_heap(s);
}

static size_t next_length(const sender *s)
{
    size_t left = s->heap_length - s->offset;
    return s->payload_length < left ? s->payload_length : left;
}

static void advance(sender *s)
{
    s->offset += next_length(s);
    if (s->offset >= s->heap_length)
        next_heap(s);
}

static void send_next(sender *s, lie l)
{
    if (s->begins_empty && s->offset == 0 && l.pointers == 0)
        add_packet(s, 0, 0, l);
    add_packet(s, s->offset, next_length(s), l);
    advance(s);
}

static int64_t choose_near(size_t step)
{
    static const int64_t times[] = {1, -1, 2, -2, 7, 100};
    return times[choose(6)] * (int64_t)step;
}

/* Also what nobody can allocate. */
static int64_t choose_heap_length(void)
{
    return seldom(6) ? INT64_C(1) << 36 : choose_near(8);
}

/* Two packets the wrong way round. */
static void swap(sender *s)
{
    datagram first;
    send_next(s, (lie){0});
    send_next(s, (lie){0});
    first = datagrams[datagram_count - 2];
    datagrams[datagram_count - 2] = datagrams[datagram_count - 1];
    datagrams[datagram_count - 1] = first;
}

static void repeat(sender *s)
{
    size_t offset = s->offset;
    if (offset == 0)
        return;
    offset -= s->payload_length < offset ? s->payload_length : offset;
    add_packet(s, offset, next_length(s), (lie){.salt = (uint8_t)choose(2)});
}

/* The packet that is due, made longer or shorter, or with a bit changed. */
static void spoil(sender *s, size_t way)
{
    datagram *d;
    send_next(s, (lie){0});
    d = &datagrams[datagram_count - 1];
    if (way == 0)
        d->length -= choose(d->length + 1);
    else if (way == 1)
        arena[d->at + choose(48)] ^= (uint8_t)(1u << choose(8));
    else
        for (size_t i = 0; i < 8 * way; i++, d->length++)
            arena[arena_used++] = 0x77;
}

static void act(sender *s)
{
    switch (choose(32)) {
    case 1:
        advance(s);
        s->has_lost = true;
        break;
    case 2:
        repeat(s);
        break;
    case 3:
        swap(s);
        break;
    case 4:
        spoil(s, choose(6));
        break;
    case 5:
        send_next(s, (lie){.heap_length = choose_heap_length()});
        break;
    case 6:
        send_next(s, (lie){.payload_length = choose_near(8)});
        break;
    case 7:
        send_next(s, (lie){.offset = choose_near(s->payload_length)});
        break;
    case 8:
        send_next(s, (lie){.cnt = choose_near(1)});
        break;
    case 9:
        send_next(s, (lie){.pointers = 1 + (unsigned)choose(3)});
        break;
    case 10:
        next_heap(s);
        break;
    case 11:
        resize(s);
        next_heap(s);
        break;
    case 12:
        begin_sender(s);
        break;
    case 13:
        s->offset -= s->offset < 2 * s->payload_length ? s->offset
                                                       : 2 * s->payload_length;
        break;
    case 14:
        datagrams[datagram_count++] = (datagram){.at = arena_used};
        break;
    case 15:
        send_next(s, (lie){.no_heap_length = true});
        break;
    default:
        send_next(s, (lie){0});
    }
}

/* ---- how it comes ---- */

static bool fits(const kernel_message *m, const datagram *last,
                 const datagram *next)
{
    return !next->follows_loss && m->segment > 0 && last->length == m->segment && next->length > 0
        && next->length <= m->segment && m->length + next->length <= MESSAGE_MAX;
}

static void begin_message(uint8_t *at, const datagram *d, bool is_merged)
{
    messages[message_count++] = (kernel_message){
        .data = at,
        .length = d->length,
        .segment = is_merged && d->length > 0 ? d->length : 0,
    };
    memcpy(at, arena + d->at, d->length);
}

/* Merge what may be merged, as GRO does: mostly so many a message. */
static void make_messages(void)
{
    size_t usual = 1 + choose(seldom(4) ? 15 : 7), most, used = 0, in_message = 0;

    if (is_small)
        usual = 16 - usual;
    most = usual;
    message_count = 0;
    for (size_t i = 0; i < datagram_count; i++) {
        const datagram *d = &datagrams[i];
        kernel_message *m = &messages[message_count - (message_count > 0)];
        if (in_message > 0 && in_message < most && fits(m, d - 1, d)) {
            memcpy(message_arena + used, arena + d->at, d->length);
            m->length += d->length;
            in_message++;
        } else {
            begin_message(message_arena + used, d, usual > 1);
            in_message = 1;
            most = seldom(8) ? 1 + choose(15) : usual;
        }
        used += d->length;
    }
    messages[message_count].data = message_arena + used;
    messages[message_count].segment = 0;
    messages[message_count++].length =
        build_stop(message_arena + used, STOP_CNT);
}

static void make_traffic(const uint8_t *data, size_t size)
{
    size_t live;
    bool in_turns;

    choices = data;
    choices_end = data + size;
    arena_used = 0;
    datagram_count = 0;
    last_cnt = 0;
    is_small = seldom(3);
    live = 1 + choose(SENDERS);
    in_turns = seldom(4);
    for (size_t i = 0; i < live; i++)
        begin_sender(&senders[i]);
    for (size_t i = 0; i < 4 * DATAGRAMS && datagram_count < DATAGRAMS; i++)
        act(&senders[in_turns ? i % live : seldom(8) ? choose(live) : 0]);
    make_messages();
}

/* ---- memory ---- */

/* Exactly as much as is asked for, which is never more than was earned. */
static int allocate(spn_allocator *allocator, size_t size, spni_buffer *out)
{
    CHECK(size <= ALLOCATED_MOST);
    *out = (spni_buffer){malloc(size), size, size, allocator};
    return out->data != NULL ? 0 : -ENOMEM;
}

static void release(spn_allocator *allocator, spni_buffer *buffer)
{
    (void)allocator;
    free(buffer->data);
}

static void destroy(spn_allocator *allocator)
{
    (void)allocator;
}

static const spni_allocator_kind exact_kind = {
    .allocate = allocate,
    .release = release,
    .destroy = destroy,
};
static spn_allocator exact = {.kind = &exact_kind, .references = 1};

/* ---- the two readers ---- */

typedef struct {
    spn_heap *heaps[HEAPS_MAX];
    size_t count;
    spn_stream_stats stats;
} outcome;

static spn_threads *threads;
static outcome expected, found;

static void receive(outcome *out, spn_stream_config config, size_t ring_heaps,
                    unsigned most, bool scatter)
{
    const spn_udp_reader_config reader = {
        .max_size = MAX_SIZE,
        .gro = true,
        .scatter = scatter,
    };
    receiver r = {.threads = threads};

    out->count = 0;
    CHECK_EQ(spn_ring_new(ring_heaps, &r.ring), 0);
    CHECK_EQ(spn_stream_new(threads, &config, &exact, r.ring, &r.stream), 0);
    CHECK_EQ(spn_stream_add_udp_reader(r.stream, kernel_open(most), &reader),
             0);
    kernel_arrive(messages, message_count);
    for (spn_heap *heap; (heap = receiver_get(&r)) != NULL;) {
        CHECK(out->count < HEAPS_MAX);
        out->heaps[out->count++] = heap;
    }
    out->stats = receiver_stats(&r);
    spn_stream_unref(r.stream);
    spn_ring_unref(r.ring);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    spn_stream_config config = plain;
    size_t ring_heaps;
    unsigned most;

    if (threads == NULL) {
        CHECK_EQ(spn_threads_new(1, NULL, 0, &threads), 0);
        spn_log_set_level(SPN_LOG_ERROR);
    }
    make_traffic(data, size);
    config.max_heaps = 1 + choose(40);
    config.contiguous_only = seldom(4);
    config.keep_payload_ranges = true;
    ring_heaps = seldom(2) ? 1 + choose(6) : 64;
    most = 1 + (unsigned)choose(64);
    receive(&expected, config, ring_heaps, most, false);
    receive(&found, config, ring_heaps, most, true);
    CHECK_EQ(expected.count, found.count);
    for (size_t i = 0; i < expected.count; i++)
        compare_heaps(expected.heaps[i], found.heaps[i]);
    compare_placed_stats(expected.stats, found.stats);
    for (size_t i = 0; i < expected.count; i++) {
        spn_heap_unref(expected.heaps[i]);
        spn_heap_unref(found.heaps[i]);
    }
    CHECK_EQ(spn_heaps_live(), 0);
    CHECK_EQ(spn_buffers_live(), 0);
    return 0;
}
