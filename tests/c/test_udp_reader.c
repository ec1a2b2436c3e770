/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>

#include "receive.h"
#include "udp.h"

enum { PART = 1000, PARTS = 40, HEAP = PART * PARTS };
enum { WAITING = 3 }; /* heaps that any socket's buffer holds */
enum { LARGE_PART = 5000, LARGE_PARTS = 8 };

static uint8_t payload[HEAP];
static uint8_t packets[2 * HEAP];

static const spn_udp_reader_config bouncing = {.max_size = 9200, .gro = true};

typedef struct {
    receiver r;
    int in;
    int out;
} udp_receiver;

static udp_receiver open_udp(spn_stream_config config, size_t ring_heaps,
                             spn_udp_reader_config reader)
{
    udp_receiver u = {.r = receiver_new(config, ring_heaps)};
    udp_pair(&u.in, &u.out);
    CHECK_EQ(spn_stream_add_udp_reader(u.r.stream, u.in, &reader), 0);
    return u;
}

static void close_receiver(udp_receiver *u)
{
    receiver_free(&u->r);
    CHECK_EQ(fcntl(u->in, F_GETFD), -1);
    close(u->out);
}

static size_t packet_size(void)
{
    return build_piece(packets, 1, HEAP, payload, 0, PART);
}

/* Whole heap `cnt` as packets of one size, back to back. */
static size_t build_heap(uint64_t cnt)
{
    size_t length = 0;
    for (size_t at = 0; at < HEAP; at += PART)
        length += build_piece(packets + length, cnt, HEAP, payload, at, PART);
    return length;
}

static void send_one_by_one(int out, uint64_t cnt)
{
    uint8_t packet[PART + 100];
    for (size_t at = 0; at < HEAP; at += PART) {
        size_t length = build_piece(packet, cnt, HEAP, payload, at, PART);
        CHECK_EQ(send(out, packet, length, 0), length);
    }
}

static void send_stop(int out)
{
    uint8_t packet[100];
    size_t length = build_stop(packet, 1000);
    CHECK_EQ(send(out, packet, length, 0), length);
}

static void expect_heap(udp_receiver *u, uint64_t cnt)
{
    spn_heap *heap = receiver_get(&u->r);
    CHECK(heap != NULL);
    CHECK_EQ(heap->cnt, cnt);
    CHECK_EQ(heap->payload_length, HEAP);
    CHECK(memcmp(heap->payload, payload, HEAP) == 0);
    CHECK(heap->last_packet_ns > 0);
    spn_heap_unref(heap);
}

static void receives_datagrams(bool gro, bool segmented)
{
    spn_udp_reader_config reader = bouncing;
    reader.gro = gro;
    udp_receiver u = open_udp(plain, 4, reader);
    spn_stream_stats stats;
    for (uint64_t cnt = 1; cnt <= 3; cnt++) {
        if (segmented)
            udp_send_segments(u.out, packets, build_heap(cnt), packet_size());
        else
            send_one_by_one(u.out, cnt);
        expect_heap(&u, cnt);
    }
    send_stop(u.out);
    CHECK(receiver_get(&u.r) == NULL);
    stats = receiver_stats(&u.r);
    CHECK_EQ(stats.heaps, 3);
    CHECK_EQ(stats.packets, 3 * PARTS + 1);
    CHECK_EQ(stats.datagrams, 3 * PARTS + 1);
    CHECK_EQ(stats.bytes_copied, 3 * HEAP);
    CHECK(stats.messages <= stats.datagrams);
    CHECK(stats.calls > 0 && stats.calls <= stats.messages);
    CHECK(stats.max_batch >= 1);
    CHECK_EQ(stats.kernel_drops, 0);
    close_receiver(&u);
}

/* One heap that is as predicted after another: after the first, nothing but
 * what a slow start cannot foresee is copied. */
static void places_large_payloads(bool segmented)
{
    enum { HEAPS = 40 };
    spn_udp_reader_config reader = bouncing;
    reader.scatter = true;
    udp_receiver u = open_udp(plain, 4, reader);
    for (uint64_t cnt = 1; cnt <= HEAPS; cnt++) {
        size_t length = 0, size = 0;
        for (size_t at = 0; at < HEAP; at += LARGE_PART)
            length += size = build_piece(packets + length, cnt, HEAP, payload,
                                         at, LARGE_PART);
        for (size_t at = 0; !segmented && at < length; at += size)
            CHECK_EQ(send(u.out, packets + at, size, 0), size);
        if (segmented)
            udp_send_segments(u.out, packets, length, size);
        expect_heap(&u, cnt);
    }
    spn_stream_stop(u.r.stream);
    spn_stream_stats stats = receiver_stats(&u.r);
    CHECK_EQ(stats.bytes_placed + stats.bytes_copied, HEAPS * HEAP);
    CHECK(stats.bytes_placed >= HEAPS * HEAP / 2);
    CHECK_EQ(stats.packets, HEAPS * LARGE_PARTS);
    close_receiver(&u);
}

static void counts_what_is_no_packet(bool gro)
{
    static const uint8_t junk[100] = "junk";
    spn_udp_reader_config reader = {.max_size = 1100, .gro = gro};
    udp_receiver u = open_udp(plain, 4, reader);
    uint8_t packet[4000] = {0};
    size_t length = build_piece(packet, 1, 16, payload, 0, 16);
    CHECK_EQ(send(u.out, junk, 0, 0), 0);
    CHECK_EQ(send(u.out, junk, 3, 0), 3);
    CHECK_EQ(send(u.out, junk, sizeof junk, 0), sizeof junk);
    CHECK_EQ(send(u.out, packet, length + 1, 0), length + 1);
    CHECK_EQ(send(u.out, packet, length - 1, 0), length - 1);
    CHECK_EQ(send(u.out, packet, 1101, 0), 1101);
    CHECK_EQ(send(u.out, packet, sizeof packet, 0), sizeof packet);
    send_stop(u.out);
    CHECK(receiver_get(&u.r) == NULL);
    spn_stream_stats stats = receiver_stats(&u.r);
    CHECK_EQ(stats.datagrams, 8);
    CHECK_EQ(stats.packets, 1);
    CHECK_EQ(stats.rejected_short, 2); /* the empty one too */
    CHECK_EQ(stats.rejected_magic, 1);
    CHECK_EQ(stats.rejected_size_mismatch, 1);
    CHECK_EQ(stats.rejected_truncated, 1);
    CHECK_EQ(stats.rejected_oversize, 2);
    close_receiver(&u);
}

static void keeps_its_place_in_a_batch(bool gro, bool is_stopped)
{
    enum { HEAPS = 60 };
    spn_udp_reader_config reader = bouncing;
    reader.gro = gro;
    udp_receiver u = open_udp(plain, 1, reader);
    size_t length = 0, size = 0;
    uint64_t got = 0;
    for (uint64_t cnt = 1; cnt <= HEAPS; cnt++)
        length += size = build_piece(packets + length, cnt, 16, payload, 0, 16);
    udp_send_segments(u.out, packets, length, size);
    if (!is_stopped)
        send_stop(u.out);
    while (receiver_stats(&u.r).worker_blocked == 0)
        sched_yield();
    if (is_stopped)
        spn_stream_stop(u.r.stream);
    for (spn_heap *heap; (heap = receiver_get(&u.r)) != NULL; got++) {
        CHECK_EQ(heap->cnt, got + 1);
        spn_heap_unref(heap);
    }
    if (!is_stopped) {
        CHECK_EQ(got, HEAPS);
        CHECK_EQ(receiver_stats(&u.r).packets, HEAPS + 1);
    } else {
        CHECK_EQ(got, 1);
        CHECK_EQ(receiver_stats(&u.r).heaps, receiver_stats(&u.r).packets);
    }
    close_receiver(&u);
}

/* A full ring holds up one stream, not its thread. */
static void suspends_only_its_own_stream(void)
{
    udp_receiver u = open_udp(plain, 1, bouncing);
    udp_receiver v = {.r = {.threads = u.r.threads}};
    for (uint64_t cnt = 1; cnt <= WAITING; cnt++)
        send_one_by_one(u.out, cnt);
    while (receiver_stats(&u.r).worker_blocked == 0)
        sched_yield();
    CHECK_EQ(spn_ring_new(1, &v.r.ring), 0);
    CHECK_EQ(spn_stream_new(u.r.threads, &plain, NULL, v.r.ring, &v.r.stream),
             0);
    udp_pair(&v.in, &v.out);
    CHECK_EQ(spn_stream_add_udp_reader(v.r.stream, v.in, &bouncing), 0);
    for (uint64_t cnt = 1; cnt <= 5; cnt++) {
        send_one_by_one(v.out, cnt);
        expect_heap(&v, cnt);
    }
    spn_stream_unref(v.r.stream);
    spn_ring_unref(v.r.ring);
    close(v.out);
    for (uint64_t cnt = 1; cnt <= WAITING; cnt++)
        expect_heap(&u, cnt);
    close_receiver(&u);
}

static void counts_kernel_drops(void)
{
    udp_receiver u = {.r = receiver_new(plain, 1)};
    int small = 4096;
    udp_pair(&u.in, &u.out);
    CHECK_EQ(setsockopt(u.in, SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
    /* The reader begins after the loss: nobody empties the socket before. */
    for (int i = 0; i < 5; i++)
        send_one_by_one(u.out, 1);
    CHECK_EQ(spn_stream_add_udp_reader(u.r.stream, u.in, &bouncing), 0);
    while (receiver_stats(&u.r).packets == 0)
        sched_yield();
    spn_stream_stop(u.r.stream);
    spn_stream_stats stats = receiver_stats(&u.r);
    CHECK_EQ(stats.kernel_drops + stats.datagrams, 5 * PARTS);
    close_receiver(&u);
}

/* A socket that keeps a queue of errors stays ready until it is empty. */
static void counts_errors_and_goes_on(void)
{
    udp_receiver u = {.r = receiver_new(plain, 4)};
    struct sockaddr_in nobody = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    socklen_t size = sizeof nobody;
    int one = 1, closed = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK_EQ(bind(closed, (struct sockaddr *)&nobody, size), 0);
    CHECK_EQ(getsockname(closed, (struct sockaddr *)&nobody, &size), 0);
    close(closed);
    udp_pair(&u.in, &u.out);
    CHECK_EQ(setsockopt(u.in, IPPROTO_IP, IP_RECVERR, &one, sizeof one), 0);
    CHECK_EQ(sendto(u.in, payload, 8, 0, (struct sockaddr *)&nobody, size), 8);
    CHECK_EQ(spn_stream_add_udp_reader(u.r.stream, u.in, &bouncing), 0);
    while (receiver_stats(&u.r).socket_errors == 0)
        sched_yield();
    send_one_by_one(u.out, 1);
    expect_heap(&u, 1);
    /* The pending error, and that in the queue. */
    CHECK(receiver_stats(&u.r).socket_errors <= 2);
    close_receiver(&u);
}

static void closes_the_socket_of_a_stopped_stream(void)
{
    udp_receiver u = {.r = receiver_new(plain, 1)};
    spn_stream_stop(u.r.stream);
    udp_pair(&u.in, &u.out);
    CHECK_EQ(spn_stream_add_udp_reader(u.r.stream, u.in, &bouncing), 0);
    CHECK(spn_stream_is_stopped(u.r.stream));
    close_receiver(&u);
}

static void leaves_a_bad_descriptor_to_its_owner(void)
{
    receiver r = receiver_new(plain, 1);
    int file = open("/dev/null", O_RDONLY);
    CHECK_ERR(spn_stream_add_udp_reader(r.stream, file, &bouncing), -EPERM);
    CHECK_EQ(close(file), 0);
    receiver_free(&r);
}

static void two_streams_share_a_ring(void)
{
    spn_stream_config config = plain;
    spn_stream *second;
    int in, out;
    unsigned seen[2] = {0, 0};
    udp_receiver u = open_udp(plain, 1, bouncing);
    config.tag = 1;
    CHECK_EQ(spn_stream_new(u.r.threads, &config, NULL, u.r.ring, &second), 0);
    udp_pair(&in, &out);
    CHECK_EQ(spn_stream_add_udp_reader(second, in, &bouncing), 0);
    for (uint64_t cnt = 1; cnt <= WAITING; cnt++) {
        send_one_by_one(u.out, cnt);
        send_one_by_one(out, cnt);
    }
    send_stop(u.out);
    send_stop(out);
    for (spn_heap *heap; (heap = receiver_get(&u.r)) != NULL;) {
        CHECK_EQ(heap->cnt, ++seen[heap->tag]);
        spn_heap_unref(heap);
    }
    CHECK_EQ(seen[0], WAITING);
    CHECK_EQ(seen[1], WAITING);
    spn_stream_unref(second);
    close(out);
    close_receiver(&u);
}

int main(void)
{
    for (size_t i = 0; i < sizeof payload; i++)
        payload[i] = (uint8_t)(i * 7 + i / 251);
    for (int i = 0; i < 4; i++)
        receives_datagrams(i & 1, i & 2);
    places_large_payloads(false);
    places_large_payloads(true);
    counts_what_is_no_packet(false);
    counts_what_is_no_packet(true);
    for (int i = 0; i < 4; i++)
        keeps_its_place_in_a_batch(i & 1, i & 2);
    suspends_only_its_own_stream();
    counts_kernel_drops();
    counts_errors_and_goes_on();
    closes_the_socket_of_a_stopped_stream();
    leaves_a_bad_descriptor_to_its_owner();
    two_streams_share_a_ring();
    return 0;
}
