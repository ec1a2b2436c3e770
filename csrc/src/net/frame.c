/* SPDX-License-Identifier: Apache-2.0 */
/* Every field is read only after the frame was seen to be long enough for it:
 * frames come from anybody. A packet socket sees them before IP and UDP would
 * have checked their checksums, so that is done here; UDP's only where neither
 * the interface nor its being from this host makes it needless. */
#include "net/frame.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <string.h>

#include "base/bytes.h"

enum {
    ETHERNET_SIZE = 14,
    VLAN_SIZE = 4,
    MAX_VLAN_TAGS = 4,
    IPV4_MIN = 20,
    IPV6_SIZE = 40,
    FRAGMENT_SIZE = 8,
    UDP_SIZE = 8,
    MORE_FRAGMENTS = 0x2000, /* RFC 791 section 3.1 */
    OFFSET_MASK = 0x1fff,
};

/* What is left of the frame. */
typedef struct {
    const uint8_t *at;
    size_t length;
} rest;

static bool skip(rest *left, size_t size)
{
    if (left->length < size)
        return false;
    left->at += size;
    left->length -= size;
    return true;
}

/* Shorten the rest to what a header says it is: short frames are padded. */
static bool limit(rest *left, size_t size)
{
    if (left->length < size)
        return false;
    left->length = size;
    return true;
}

/* Skip Ethernet and VLAN headers; 0 when the frame is too short. */
static uint16_t skip_ethernet(rest *left)
{
    if (!skip(left, ETHERNET_SIZE))
        return 0;
    uint16_t type = spni_load_be16(left->at - 2);
    for (int i = 0; i < MAX_VLAN_TAGS; i++) {
        if (type != ETH_P_8021Q && type != ETH_P_8021AD)
            break;
        if (!skip(left, VLAN_SIZE))
            return 0;
        type = spni_load_be16(left->at - 2);
    }
    return type;
}

/* Add up words as RFC 1071 does, in the host's order of bytes, which only swaps
 * the sum's. */
static uint64_t add_words(uint64_t sum, const uint8_t *at, size_t length)
{
    uint32_t word;
    for (; length >= sizeof word; at += sizeof word, length -= sizeof word) {
        memcpy(&word, at, sizeof word);
        sum += word;
    }
    word = 0;
    memcpy(&word, at, length);
    return sum + word;
}

static bool is_right(uint64_t sum)
{
    while (sum > 0xffff)
        sum = (sum & 0xffff) + (sum >> 16);
    return sum == 0xffff;
}

/* RFC 768; IPv6 has the same, but must have it (RFC 8200 section 8.1). */
static bool has_right_checksum(rest udp, const uint8_t *addresses, bool is_ipv6)
{
    uint8_t pseudo[4] = {0, IPPROTO_UDP};
    uint64_t sum;
    if (spni_load_be16(udp.at + 6) == 0)
        return !is_ipv6;
    spni_store_be16(pseudo + 2, (uint16_t)udp.length);
    sum = add_words(0, pseudo, sizeof pseudo);
    sum = add_words(sum, addresses, is_ipv6 ? 32 : 8);
    return is_right(add_words(sum, udp.at, udp.length));
}

/* `addresses`: source and destination, or NULL when the checksum does not
 * matter. */
static spni_frame_verdict parse_udp(rest left, const spni_frame_target *target,
                                    bool fragment, const uint8_t *addresses,
                                    const uint8_t **payload,
                                    size_t *payload_length)
{
    if (left.length < UDP_SIZE)
        return fragment ? SPNI_FRAME_OTHER : SPNI_FRAME_LENGTH;
    if (spni_load_be16(left.at + 2) != target->port)
        return SPNI_FRAME_OTHER;
    if (fragment)
        return SPNI_FRAME_FRAGMENT;
    size_t length = spni_load_be16(left.at + 4);
    if (length < UDP_SIZE || !limit(&left, length))
        return SPNI_FRAME_LENGTH;
    if (addresses != NULL
        && !has_right_checksum(left, addresses, target->is_ipv6))
        return SPNI_FRAME_CHECKSUM;
    *payload = left.at + UDP_SIZE;
    *payload_length = left.length - UDP_SIZE;
    return SPNI_FRAME_OURS;
}

static spni_frame_verdict parse_ipv4(rest left, bool is_checked,
                                     const spni_frame_target *target,
                                     const uint8_t **payload,
                                     size_t *payload_length)
{
    const uint8_t *ip = left.at;
    if (left.length < IPV4_MIN || ip[0] >> 4 != 4)
        return SPNI_FRAME_OTHER;
    size_t header = (size_t)(ip[0] & 15) * 4;
    uint16_t fragment = spni_load_be16(ip + 6);
    if (ip[9] != IPPROTO_UDP || (fragment & OFFSET_MASK) != 0)
        return SPNI_FRAME_OTHER;
    if (!target->any_address && memcmp(ip + 16, target->address, 4) != 0)
        return SPNI_FRAME_OTHER;
    if (header < IPV4_MIN || !limit(&left, spni_load_be16(ip + 2))
        || !skip(&left, header))
        return SPNI_FRAME_LENGTH;
    if (!is_right(add_words(0, ip, header)))
        return SPNI_FRAME_CHECKSUM;
    return parse_udp(left, target, (fragment & MORE_FRAGMENTS) != 0,
                     is_checked ? NULL : ip + 12, payload, payload_length);
}

static spni_frame_verdict parse_ipv6(rest left, bool is_checked,
                                     const spni_frame_target *target,
                                     const uint8_t **payload,
                                     size_t *payload_length)
{
    const uint8_t *ip = left.at;
    if (left.length < IPV6_SIZE || ip[0] >> 4 != 6)
        return SPNI_FRAME_OTHER;
    if (!target->any_address && memcmp(ip + 24, target->address, 16) != 0)
        return SPNI_FRAME_OTHER;
    uint8_t next = ip[6];
    skip(&left, IPV6_SIZE);
    if (next != IPPROTO_UDP && next != IPPROTO_FRAGMENT)
        return SPNI_FRAME_OTHER;
    if (!limit(&left, spni_load_be16(ip + 4)))
        return SPNI_FRAME_LENGTH;
    if (next == IPPROTO_FRAGMENT) {
        const uint8_t *fragment = left.at;
        if (!skip(&left, FRAGMENT_SIZE) || fragment[0] != IPPROTO_UDP
            || spni_load_be16(fragment + 2) >> 3 != 0)
            return SPNI_FRAME_OTHER;
        return parse_udp(left, target, true, NULL, payload, payload_length);
    }
    return parse_udp(left, target, false, is_checked ? NULL : ip + 8, payload,
                     payload_length);
}

spni_frame_verdict spni_frame_parse(const uint8_t *frame, size_t length,
                                    bool is_checked,
                                    const spni_frame_target *target,
                                    const uint8_t **payload,
                                    size_t *payload_length)
{
    rest left = {frame, length};
    uint16_t type = skip_ethernet(&left);
    if (type == ETH_P_IP && !target->is_ipv6)
        return parse_ipv4(left, is_checked, target, payload, payload_length);
    if (type == ETH_P_IPV6 && target->is_ipv6)
        return parse_ipv6(left, is_checked, target, payload, payload_length);
    return SPNI_FRAME_OTHER;
}

/* The filter is written with jumps to one "drop" at the end, whose distance is
 * filled in when the length is known. */
enum { TO_DROP = 0xff };

typedef struct {
    struct sock_filter *at;
    int length;
} program;

static void load(program *filter, uint16_t code, uint32_t k)
{
    filter->at[filter->length++] = (struct sock_filter)BPF_STMT(code, k);
}

/* Go on if the accumulator equals k, else drop. */
static void require(program *filter, uint32_t k)
{
    filter->at[filter->length++] =
        (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, k, 0, TO_DROP);
}

/* Drop if the accumulator equals k. */
static void refuse(program *filter, uint32_t k)
{
    filter->at[filter->length++] =
        (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, k, TO_DROP, 0);
}

/* Drop if the accumulator has a bit of k. */
static void refuse_bits(program *filter, uint32_t k)
{
    filter->at[filter->length++] =
        (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, k, TO_DROP, 0);
}

static void require_address(program *filter, const spni_frame_target *target,
                            uint32_t offset, int words)
{
    for (int i = 0; i < words && !target->any_address; i++) {
        uint32_t word;
        memcpy(&word, target->address + 4 * i, 4);
        load(filter, BPF_LD | BPF_W | BPF_ABS, offset + 4 * (uint32_t)i);
        require(filter, ntohl(word));
    }
}

static void filter_ipv4(program *filter, const spni_frame_target *target)
{
    load(filter, BPF_LD | BPF_B | BPF_ABS, ETHERNET_SIZE + 9);
    require(filter, IPPROTO_UDP);
    load(filter, BPF_LD | BPF_H | BPF_ABS, ETHERNET_SIZE + 6);
    refuse_bits(filter, OFFSET_MASK);
    require_address(filter, target, ETHERNET_SIZE + 16, 1);
    load(filter, BPF_LDX | BPF_B | BPF_MSH, ETHERNET_SIZE);
    load(filter, BPF_LD | BPF_H | BPF_IND, ETHERNET_SIZE + 2);
    require(filter, target->port);
}

static void filter_ipv6(program *filter, const spni_frame_target *target)
{
    enum { NEXT = ETHERNET_SIZE + 6, BODY = ETHERNET_SIZE + IPV6_SIZE };
    require_address(filter, target, ETHERNET_SIZE + 24, 4);
    /* X is the size of the Fragment header, 0 without one */
    load(filter, BPF_LDX | BPF_IMM, 0);
    load(filter, BPF_LD | BPF_B | BPF_ABS, NEXT);
    filter->at[filter->length++] = (struct sock_filter)BPF_JUMP(
        BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 6, 0);
    require(filter, IPPROTO_FRAGMENT);
    load(filter, BPF_LD | BPF_B | BPF_ABS, BODY);
    require(filter, IPPROTO_UDP);
    load(filter, BPF_LD | BPF_H | BPF_ABS, BODY + 2);
    refuse_bits(filter, 0xfff8);
    load(filter, BPF_LDX | BPF_IMM, FRAGMENT_SIZE);
    load(filter, BPF_LD | BPF_H | BPF_IND, BODY + 2);
    require(filter, target->port);
}

/* A frame of a VLAN that has no interface is marked as another host's, too: so
 * the hardware's address decides. */
static void filter_direction(program *filter, const spni_frame_target *target)
{
    load(filter, BPF_LD | BPF_B | BPF_ABS,
         (uint32_t)(SKF_AD_OFF + SKF_AD_PKTTYPE));
    refuse(filter, PACKET_OUTGOING);
    if (!target->has_hardware)
        return;
    filter->at[filter->length++] = (struct sock_filter)BPF_JUMP(
        BPF_JMP | BPF_JEQ | BPF_K, PACKET_OTHERHOST, 0, 8);
    load(filter, BPF_LD | BPF_B | BPF_ABS, 0);
    filter->at[filter->length++] = (struct sock_filter)BPF_JUMP(
        BPF_JMP | BPF_JSET | BPF_K, 1 /* a group address */, 6, 0);
    for (uint32_t i = 0; i < sizeof target->hardware; i += 2) {
        load(filter, BPF_LD | BPF_H | BPF_ABS, i);
        require(filter, spni_load_be16(target->hardware + i));
    }
}

int spni_frame_filter(const spni_frame_target *target,
                      struct sock_filter program_out[SPNI_FRAME_FILTER_MAX])
{
    program filter = {program_out, 0};
    filter_direction(&filter, target);
    load(&filter, BPF_LD | BPF_H | BPF_ABS, 12);
    require(&filter, target->is_ipv6 ? ETH_P_IPV6 : ETH_P_IP);
    if (target->is_ipv6)
        filter_ipv6(&filter, target);
    else
        filter_ipv4(&filter, target);
    load(&filter, BPF_RET | BPF_K, UINT32_MAX);
    load(&filter, BPF_RET | BPF_K, 0);
    int drop = filter.length - 1;
    for (int i = 0; i < drop; i++) {
        struct sock_filter *step = &filter.at[i];
        if (step->jt == TO_DROP)
            step->jt = (uint8_t)(drop - i - 1);
        if (step->jf == TO_DROP)
            step->jf = (uint8_t)(drop - i - 1);
    }
    return filter.length;
}
