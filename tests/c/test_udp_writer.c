/* SPDX-License-Identifier: Apache-2.0 */
#include "net/udp_writer.h"

#include <errno.h>

#include "sockets.h"

static uint8_t material[1 << 20];
static uint8_t expected[65536], got[65536];

typedef struct {
    int receiver;
    int sender;
    spni_address to;
    spni_udp_writer *writer;
} test_rig;

static spni_address local(uint16_t port)
{
    spni_address address = {.length = sizeof(struct sockaddr_in)};
    *(struct sockaddr_in *)&address.socket =
        (struct sockaddr_in){.sin_family = AF_INET,
                             .sin_port = htons(port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return address;
}

static void set_up(test_rig *rig, bool gso)
{
    uint16_t port;
    rig->receiver = open_receiver(&port);
    rig->sender = open_socket();
    rig->to = local(port);
    CHECK_EQ(spni_udp_writer_new(rig->sender, gso, NULL, &rig->writer), 0);
}

static void tear_down(test_rig *rig)
{
    spni_udp_writer_free(rig->writer);
    close(rig->sender);
    close(rig->receiver);
}

static spn_packets *cut(size_t length, size_t max_packet_size)
{
    spn_packets *packets;
    size_t half = length / 2;
    spn_send_item items[] = {
        {.id = 16, .data = material, .length = half},
        {.id = 17, .value = 5, .is_immediate = true},
        {.id = 18, .data = material + 9, .length = length - half}};
    CHECK_EQ(spn_packets_new(items, 3, 40, max_packet_size, false, &packets),
             0);
    return packets;
}

/* Packets from `index` on, as many as the batch takes. */
static size_t fill(test_rig *rig, const spn_packets *packets, size_t index)
{
    spni_span span;
    spni_cursor cursor;
    spni_packets_span(packets, index, &span);
    spni_packets_seek(packets, span.payload_offset, &cursor);
    while (index < spn_packets_count(packets)) {
        spni_packets_span(packets, index, &span);
        size_t length = spni_udp_writer_add(rig->writer, packets, &span,
                                            &cursor, 77, &rig->to);
        if (length == 0) {
            break;
        }
        CHECK_EQ(length, spn_packets_length(packets, index));
        index++;
    }
    return index;
}

static void check_arrives(test_rig *rig, const spn_packets *packets, size_t index)
{
    size_t length = spn_packets_write(packets, index, 77, expected);
    CHECK_EQ(receive_datagram(rig->receiver, got, sizeof got), length);
    CHECK_EQ(memcmp(got, expected, length), 0);
}

static void check_heap(bool gso, size_t length, size_t max_packet_size)
{
    enum { ROOM = 4 << 20 }; /* for a batch */
    test_rig rig;
    set_up(&rig, gso);
    if (length > 1000 && buffer_size_of(rig.receiver) < ROOM) {
        fprintf(stderr, "not tested: heaps of %zu bytes\n", length);
        tear_down(&rig);
        return;
    }
    spn_packets *packets = cut(length, max_packet_size);
    size_t built = 0, arrived = 0;
    while (built < spn_packets_count(packets)) {
        built = fill(&rig, packets, built);
        while (!spni_udp_writer_is_empty(rig.writer)) {
            spni_sent sent;
            CHECK_EQ(spni_udp_writer_send(rig.writer, &sent), 0);
            for (size_t i = 0; i < sent.packets; i++) {
                check_arrives(&rig, packets, arrived++);
            }
        }
    }
    CHECK_EQ(arrived, spn_packets_count(packets));
    CHECK(!has_datagram(rig.receiver));
    spn_packets_unref(packets);
    tear_down(&rig);
}

static void test_what_arrives_is_what_was_cut(void)
{
    static const size_t sizes[] = {56, 64, 1472, 2048, 2100, 4000, 9000, 65507};
    for (int gso = 0; gso < 2; gso++) {
        for (size_t i = 0; i < 8; i++) {
            check_heap(gso, 300, sizes[i]);
            check_heap(gso, 70000, sizes[i]);
        }
        check_heap(gso, 1 << 20, 1472);
        check_heap(gso, 1 << 20, 8240);
    }
}

static void test_packets_of_one_size_share_a_message(void)
{
    test_rig rig;
    spni_sent sent;
    set_up(&rig, true);
    spn_packets *packets = cut(100000, 1472);
    CHECK_EQ(fill(&rig, packets, 0), spn_packets_count(packets));
    CHECK_EQ(spni_udp_writer_send(rig.writer, &sent), 0);
    CHECK_EQ(sent.packets, spn_packets_count(packets));
    CHECK_EQ(sent.bytes, spn_packets_total(packets));
    if (sent.messages == sent.packets) {
        SKIP("the kernel has no UDP_SEGMENT");
    }
    CHECK_EQ(sent.messages, 2); /* 44 packets of 1472 bytes, then the rest */
    spn_packets_unref(packets);
    tear_down(&rig);
}

/* Packets longer than the device can send are refused as segments, and go as
 * fragments one by one. */
static void test_refused_segments_go_alone(void)
{
    test_rig rig;
    spni_sent sent;
    set_up(&rig, true);
    int low_mtu = IP_PMTUDISC_DO;
    setsockopt(rig.sender, IPPROTO_IP, IP_MTU_DISCOVER, &low_mtu,
               sizeof low_mtu);
    spn_packets *packets = cut(20000, 1472);
    fill(&rig, packets, 0);
    CHECK(spni_udp_writer_clear(rig.writer, -EMSGSIZE));
    CHECK(spni_udp_writer_is_empty(rig.writer));
    fill(&rig, packets, 0);
    CHECK_EQ(spni_udp_writer_send(rig.writer, &sent), 0);
    CHECK_EQ(sent.messages, sent.packets);
    /* smaller ones may still be merged */
    spn_packets *small = cut(20000, 1000);
    fill(&rig, small, 0);
    CHECK_EQ(spni_udp_writer_send(rig.writer, &sent), 0);
    CHECK(sent.messages < sent.packets);
    spn_packets_unref(small);
    spn_packets_unref(packets);
    tear_down(&rig);
}

static void test_an_error_of_one_packet_is_its_own(void)
{
    test_rig rig;
    set_up(&rig, true);
    spn_packets *packets = cut(100, 1472);
    fill(&rig, packets, 0);
    CHECK(!spni_udp_writer_clear(rig.writer, -EMSGSIZE));
    CHECK(spni_udp_writer_is_empty(rig.writer));
    spn_packets_unref(packets);
    tear_down(&rig);
}

/* A connected socket reports that nobody listens; later packets still go. */
static void test_refused_connections_are_passed_over(void)
{
    test_rig rig;
    spni_sent sent;
    set_up(&rig, true);
    uint16_t port;
    int gone = open_receiver(&port);
    close(gone);
    spni_address nobody = local(port);
    CHECK_EQ(connect(rig.sender, (struct sockaddr *)&nobody.socket,
                     nobody.length),
             0);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(send(rig.sender, "x", 1, 0) == 1 || errno == ECONNREFUSED, 1);
        spn_packets *packets = cut(100, 1472);
        fill(&rig, packets, 0);
        CHECK_EQ(spni_udp_writer_send(rig.writer, &sent), 0);
        check_arrives(&rig, packets, 0);
        spn_packets_unref(packets);
    }
    tear_down(&rig);
}

/* A writer with one destination: when it hears that nobody is there it goes on
 * like any other. */
static void test_the_only_destination_need_not_listen(void)
{
    test_rig rig;
    spni_sent sent;
    struct sockaddr_in peer;
    socklen_t size = sizeof peer;
    set_up(&rig, true);
    spni_udp_writer_free(rig.writer);
    uint16_t port;
    close(open_receiver(&port));
    rig.to = local(port);
    CHECK_EQ(spni_udp_writer_new(rig.sender, true, &rig.to, &rig.writer), 0);
    CHECK_EQ(getpeername(rig.sender, (struct sockaddr *)&peer, &size), 0);
    spn_packets *packets = cut(100, 1472);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(fill(&rig, packets, 0), 1);
        CHECK_EQ(spni_udp_writer_send(rig.writer, &sent), 0);
        CHECK_EQ(sent.packets, 1);
    }
    CHECK_EQ(getpeername(rig.sender, (struct sockaddr *)&peer, &size), -1);
    close(rig.receiver);
    rig.receiver = open_socket();
    CHECK_EQ(bind(rig.receiver, (struct sockaddr *)&rig.to.socket,
                  rig.to.length),
             0);
    fill(&rig, packets, 0);
    CHECK_EQ(spni_udp_writer_send(rig.writer, &sent), 0);
    check_arrives(&rig, packets, 0);
    spn_packets_unref(packets);
    tear_down(&rig);
}

/* No batch ends with a message that would have gone on. */
static void test_a_batch_is_of_whole_messages(void)
{
    test_rig rig;
    spni_sent sent;
    set_up(&rig, true);
    spn_packets *packets = cut(1 << 20, 1472);
    size_t built = 0, messages = 0;
    while (built < spn_packets_count(packets)) {
        built = fill(&rig, packets, built);
        CHECK_EQ(spni_udp_writer_send(rig.writer, &sent), 0);
        messages += sent.messages;
    }
    if (messages < spn_packets_count(packets)) {
        CHECK_EQ(messages, (spn_packets_count(packets) + 43) / 44);
    }
    spn_packets_unref(packets);
    tear_down(&rig);
}

int main(void)
{
    for (size_t i = 0; i < sizeof material; i++) {
        material[i] = (uint8_t)(i * 31 + i / 256);
    }
    test_what_arrives_is_what_was_cut();
    test_refused_segments_go_alone();
    test_an_error_of_one_packet_is_its_own();
    test_refused_connections_are_passed_over();
    test_the_only_destination_need_not_listen();
    test_a_batch_is_of_whole_messages();
    test_packets_of_one_size_share_a_message();
    return 0;
}
