/* SPDX-License-Identifier: Apache-2.0 */
#include "net/frame.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "check.h"

enum { PORT = 7148, HEADERS = 14 + 20 + 8 };

typedef struct {
    uint8_t bytes[256];
    size_t length;
} frame;

static spni_frame_target target4(const char *address)
{
    spni_frame_target target = {.port = PORT, .any_address = address == NULL};
    if (address != NULL)
        CHECK_EQ(inet_pton(AF_INET, address, target.address), 1);
    return target;
}

static spni_frame_target target6(const char *address)
{
    spni_frame_target target = {
        .port = PORT, .is_ipv6 = true, .any_address = address == NULL};
    if (address != NULL)
        CHECK_EQ(inet_pton(AF_INET6, address, target.address), 1);
    return target;
}

static uint8_t *append(frame *to, const void *bytes, size_t size)
{
    uint8_t *at = to->bytes + to->length;
    memcpy(at, bytes, size);
    to->length += size;
    return at;
}

static void add_ethernet(frame *to, int vlan_tags, uint16_t type)
{
    uint8_t header[14] = {0};
    append(to, header, 12);
    for (int i = 0; i < vlan_tags; i++) {
        uint8_t tag[4] = {0x81, 0x00, 0, 5};
        append(to, tag, 4);
    }
    spni_store_be16(header, type);
    append(to, header, 2);
}

static void add_udp(frame *to, size_t payload)
{
    uint8_t header[8] = {0};
    spni_store_be16(header, 1234);
    spni_store_be16(header + 2, PORT);
    spni_store_be16(header + 4, (uint16_t)(8 + payload));
    spni_store_be16(header + 6, 0x1234);
    append(to, header, 8);
    for (size_t i = 0; i < payload; i++)
        to->bytes[to->length++] = (uint8_t)i;
}

/* Of RFC 1071, a byte at a time. */
static uint16_t checksum(uint32_t sum, const uint8_t *at, size_t length)
{
    for (size_t i = 0; i < length; i++)
        sum += i % 2 == 0 ? (uint32_t)at[i] << 8 : at[i];
    while (sum > 0xffff)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

static frame ipv4(int vlan_tags, int options, uint16_t fragment, size_t payload)
{
    frame made = {.length = 0};
    add_ethernet(&made, vlan_tags, ETH_P_IP);
    uint8_t header[60] = {0};
    size_t size = 20 + 4 * (size_t)options;
    header[0] = (uint8_t)(0x40 | size / 4);
    spni_store_be16(header + 2, (uint16_t)(size + 8 + payload));
    spni_store_be16(header + 6, fragment);
    header[9] = IPPROTO_UDP;
    inet_pton(AF_INET, "127.0.0.1", header + 16);
    spni_store_be16(header + 10, checksum(0, header, size));
    append(&made, header, size);
    add_udp(&made, payload);
    return made;
}

/* With an extension header of 8 bytes, unless its kind is IPPROTO_UDP. */
static frame ipv6_with(uint8_t kind, const uint8_t *extension, size_t payload)
{
    frame made = {.length = 0};
    add_ethernet(&made, 0, ETH_P_IPV6);
    uint8_t header[40] = {0x60};
    size_t extra = kind == IPPROTO_UDP ? 0 : 8;
    spni_store_be16(header + 4, (uint16_t)(extra + 8 + payload));
    header[6] = kind;
    header[39] = 1;
    append(&made, header, 40);
    append(&made, extension, extra);
    add_udp(&made, payload);
    return made;
}

static const uint8_t no_extension[8];
static const uint8_t first_fragment[8] = {IPPROTO_UDP, 0, 0, 1, 0, 0, 0, 9};
static const uint8_t only_fragment[8] = {IPPROTO_UDP, 0, 0, 0, 0, 0, 0, 9};
static const uint8_t later_fragment[8] = {IPPROTO_UDP, 0, 0, 8};
static const uint8_t padding[8] = {IPPROTO_UDP, 0, 1, 4};
static const uint8_t must_be_known[8] = {IPPROTO_UDP, 0, 0x7e, 4};

static frame ipv6(bool fragment, size_t payload)
{
    return fragment
        ? ipv6_with(IPPROTO_FRAGMENT, first_fragment, payload)
        : ipv6_with(IPPROTO_UDP, no_extension, payload);
}

static bool is_checked = true;

static spni_frame_verdict parse(const frame *from, spni_frame_target target,
                                size_t *length)
{
    /* a copy of exactly its size, so that a sanitizer sees a byte too many */
    uint8_t *exact = malloc(from->length);
    memcpy(exact, from->bytes, from->length);
    const uint8_t *payload = NULL;
    *length = 0;
    spni_frame_verdict verdict =
        spni_frame_parse(exact, from->length, is_checked, &target, &payload,
                         length);
    if (verdict == SPNI_FRAME_OURS)
        for (size_t i = 0; i < *length; i++)
            CHECK_EQ(payload[i], (uint8_t)i);
    free(exact);
    return verdict;
}

static void check_ours(frame from, spni_frame_target target, size_t expected)
{
    size_t length;
    CHECK_EQ(parse(&from, target, &length), SPNI_FRAME_OURS);
    CHECK_EQ(length, expected);
}

static void check_not(frame from, spni_frame_target target,
                      spni_frame_verdict verdict)
{
    size_t length;
    CHECK_EQ(parse(&from, target, &length), verdict);
}

static void test_finds_the_payload(void)
{
    check_ours(ipv4(0, 0, 0, 100), target4(NULL), 100);
    check_ours(ipv4(0, 0, 0x4000, 100), target4("127.0.0.1"), 100);
    check_ours(ipv4(0, 3, 0, 7), target4(NULL), 7);
    check_ours(ipv4(1, 0, 0, 7), target4(NULL), 7);
    check_ours(ipv4(2, 0, 0, 0), target4(NULL), 0);
    check_ours(ipv6(false, 33), target6("::1"), 33);
    check_ours(ipv6(false, 33), target6(NULL), 33);
}

static void test_leaves_what_is_for_others(void)
{
    check_not(ipv4(0, 0, 0, 9), target4("10.0.0.1"), SPNI_FRAME_OTHER);
    check_not(ipv4(0, 0, 0, 9), target6(NULL), SPNI_FRAME_OTHER);
    check_not(ipv6(false, 9), target6("::2"), SPNI_FRAME_OTHER);
    check_not(ipv6(false, 9), target4(NULL), SPNI_FRAME_OTHER);
    spni_frame_target other_port = target4(NULL);
    other_port.port = PORT + 1;
    check_not(ipv4(0, 0, 0, 9), other_port, SPNI_FRAME_OTHER);
    check_not(ipv4(0, 0, 100, 9), target4(NULL), SPNI_FRAME_OTHER);
}

static void test_tells_fragments(void)
{
    check_not(ipv4(0, 0, 0x2000, 9), target4(NULL), SPNI_FRAME_FRAGMENT);
    check_not(ipv6(true, 9), target6(NULL), SPNI_FRAME_FRAGMENT);
}

static void test_passes_ipv6_extension_headers_over(void)
{
    check_ours(ipv6_with(IPPROTO_HOPOPTS, padding, 9), target6("::1"), 9);
    check_ours(ipv6_with(IPPROTO_DSTOPTS, padding, 9), target6(NULL), 9);
    check_ours(ipv6_with(IPPROTO_FRAGMENT, only_fragment, 9), target6(NULL), 9);
    check_not(ipv6_with(IPPROTO_FRAGMENT, later_fragment, 9), target6(NULL),
              SPNI_FRAME_OTHER);
    check_not(ipv6_with(IPPROTO_DSTOPTS, must_be_known, 9), target6(NULL),
              SPNI_FRAME_HEADER);
    spni_frame_target other_port = target6(NULL);
    other_port.port = PORT + 1;
    check_not(ipv6_with(IPPROTO_DSTOPTS, padding, 9), other_port,
              SPNI_FRAME_OTHER);
    check_not(ipv6_with(IPPROTO_DSTOPTS, must_be_known, 9), other_port,
              SPNI_FRAME_OTHER);
}

static void test_lengths_that_lie_behind_ipv6_extension_headers(void)
{
    frame lying = ipv6_with(IPPROTO_DSTOPTS, padding, 50);
    lying.length -= 1;
    check_not(lying, target6(NULL), SPNI_FRAME_LENGTH);
    spni_frame_target other_port = target6(NULL);
    other_port.port = PORT + 1;
    check_not(lying, other_port, SPNI_FRAME_OTHER);
    lying = ipv6_with(IPPROTO_DSTOPTS, padding, 50);
    spni_store_be16(lying.bytes + 14 + 4, 8 + 7);
    check_not(lying, target6(NULL), SPNI_FRAME_OTHER);
}

static void test_padding_is_not_payload(void)
{
    frame padded = ipv4(0, 0, 0, 3);
    padded.length += 15;
    check_ours(padded, target4(NULL), 3);
}

static void test_lengths_that_lie(void)
{
    frame lying = ipv4(0, 0, 0, 50);
    lying.length -= 1;
    check_not(lying, target4(NULL), SPNI_FRAME_LENGTH);
    lying = ipv4(0, 0, 0, 50);
    spni_store_be16(lying.bytes + 14 + 20 + 4, 59);
    check_not(lying, target4(NULL), SPNI_FRAME_LENGTH);
    spni_store_be16(lying.bytes + 14 + 20 + 4, 7);
    check_not(lying, target4(NULL), SPNI_FRAME_LENGTH);
    spni_store_be16(lying.bytes + 14 + 2, 12);
    check_not(lying, target4(NULL), SPNI_FRAME_LENGTH);
    lying.bytes[14] = 0x44;
    check_not(lying, target4(NULL), SPNI_FRAME_LENGTH);
}

/* Where the UDP header begins, whose checksum then is right. */
static size_t fill_checksum(frame *in, bool is_v6)
{
    uint8_t pseudo[36];
    size_t addresses = is_v6 ? 14 + 8 : 14 + 12, size = is_v6 ? 32 : 8;
    size_t udp = is_v6 ? 14 + 40 : 14 + (size_t)(in->bytes[14] & 15) * 4;
    spni_store_be16(in->bytes + udp + 6, 0);
    memcpy(pseudo, in->bytes + addresses, size);
    spni_store_be16(pseudo + size, IPPROTO_UDP);
    spni_store_be16(pseudo + size + 2, (uint16_t)(in->length - udp));
    uint16_t sum = (uint16_t)~checksum(0, pseudo, size + 4);
    sum = checksum(sum, in->bytes + udp, in->length - udp);
    spni_store_be16(in->bytes + udp + 6, sum ? sum : 0xffff);
    return udp;
}

static void test_checksums_of_udp(void)
{
    is_checked = false;
    for (size_t payload = 0; payload < 40; payload++)
        for (int v6 = 0; v6 < 2; v6++) {
            spni_frame_target target = v6 ? target6(NULL) : target4(NULL);
            frame made = v6 ? ipv6(false, payload)
                            : ipv4(0, (int)payload % 3, 0, payload);
            size_t udp = fill_checksum(&made, v6);
            check_ours(made, target, payload);
            for (size_t at = udp + 6; at < made.length; at++) {
                frame damaged = made;
                damaged.bytes[at] ^= 0x10;
                check_not(damaged, target, SPNI_FRAME_CHECKSUM);
            }
            made.bytes[v6 ? 14 + 8 : 14 + 12] ^= 1; /* another's packet */
            check_not(made, target, SPNI_FRAME_CHECKSUM);
        }
    is_checked = true;
}

/* Without a checksum: so IPv4 may be, whoever has looked at it. */
static void test_no_checksum(void)
{
    for (int checked = 0; checked < 2; checked++) {
        is_checked = checked;
        frame made = ipv4(0, 0, 0, 5);
        spni_store_be16(made.bytes + 14 + 20 + 6, 0);
        check_ours(made, target4(NULL), 5);
        made = ipv6(false, 5);
        spni_store_be16(made.bytes + 14 + 40 + 6, 0);
        check_not(made, target6(NULL), SPNI_FRAME_CHECKSUM);
    }
}

static void test_checksums_of_ipv4(void)
{
    for (int options = 0; options < 4; options++)
        for (size_t at = 14 + 8; at < 14 + 20 + 4 * (size_t)options; at++) {
            frame damaged = ipv4(0, options, 0, 20);
            if (at == 14 + 9)
                continue; /* the protocol: somebody else's */
            damaged.bytes[at] ^= 0x40;
            check_not(damaged, target4(NULL), SPNI_FRAME_CHECKSUM);
        }
}

static void test_every_truncation_is_survived(void)
{
    frame whole[] = {ipv4(2, 2, 0, 20), ipv6(false, 20), ipv6(true, 20),
                     ipv6_with(IPPROTO_HOPOPTS, padding, 20)};
    for (size_t k = 0; k < sizeof whole / sizeof *whole; k++)
        for (size_t length = 0; length < whole[k].length; length++) {
            frame cut = whole[k];
            cut.length = length;
            size_t found;
            spni_frame_target target = k ? target6(NULL) : target4(NULL);
            CHECK(parse(&cut, target, &found) != SPNI_FRAME_OURS);
        }
}

static void test_filters_fit(void)
{
    struct sock_filter program[SPNI_FRAME_FILTER_MAX];
    spni_frame_target targets[] = {target4(NULL), target4("127.0.0.1"),
                                   target6(NULL), target6("::1")};
    for (size_t k = 0; k < 8; k++) {
        targets[k % 4].has_hardware = k >= 4;
        int length = spni_frame_filter(&targets[k % 4], program);
        CHECK(length > 0 && length <= SPNI_FRAME_FILTER_MAX);
        for (int i = 0; i < length; i++)
            if (BPF_CLASS(program[i].code) == BPF_JMP)
                CHECK(i + 1 + program[i].jt < length
                      && i + 1 + program[i].jf < length);
    }
}

int main(void)
{
    test_finds_the_payload();
    test_leaves_what_is_for_others();
    test_tells_fragments();
    test_passes_ipv6_extension_headers_over();
    test_lengths_that_lie_behind_ipv6_extension_headers();
    test_padding_is_not_payload();
    test_lengths_that_lie();
    test_checksums_of_udp();
    test_no_checksum();
    test_checksums_of_ipv4();
    test_every_truncation_is_survived();
    test_filters_fit();
    return 0;
}
