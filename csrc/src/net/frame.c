/* SPDX-License-Identifier: Apache-2.0 */
/* Every field is read only after the frame was seen to be long enough for it:
 * frames come from anybody. A packet socket sees them before IP and UDP would
 * have checked their checksums, so that is done here; UDP's only where neither
 * the interface nor its being from this host makes it needless. */
#include "net/frame.h"

#include <linux/if_ether.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <string.h>

#include "base/bytes.h"
#include "net/ipv6_headers.h"

enum {
    VLAN_SIZE = 4,
    MAX_VLAN_TAGS = 4,
    IPV4_MIN = 20,
    IPV6_SIZE = 40,
    UDP_SIZE = 8,
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
    if (!skip(left, ETH_HLEN))
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

/* Two sums side by side, for which the compiler has the processor's vectors. */
typedef uint64_t pair __attribute__((vector_size(16)));

/* Add up words as RFC 1071 does, in the host's order of bytes, which only swaps
 * the sum's. The halves of 8 bytes are added apart, so no carry is lost. */
static uint64_t add_words(uint64_t sum, const uint8_t *at, size_t length)
{
    pair low = {sum, 0}, high = {0, 0}, words;
    for (; length >= sizeof words; at += sizeof words, length -= sizeof words) {
        memcpy(&words, at, sizeof words);
        low += words & UINT32_MAX;
        high += words >> 32;
    }
    low += high;
    sum = low[0] + low[1];
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

/* RFC 768; IPv6 has the same, but must have it (RFC 8200 section 8.1), whoever
 * says that it has been checked. `addresses`: source and destination. */
static bool has_right_checksum(rest udp, const uint8_t *addresses,
                               bool is_ipv6, bool is_checked)
{
    uint8_t pseudo[4] = {0, IPPROTO_UDP};
    uint64_t sum;
    if (spni_load_be16(udp.at + 6) == 0)
        return !is_ipv6;
    if (is_checked)
        return true;
    spni_store_be16(pseudo + 2, (uint16_t)udp.length);
    sum = add_words(0, pseudo, sizeof pseudo);
    sum = add_words(sum, addresses, is_ipv6 ? 32 : 8);
    return is_right(add_words(sum, udp.at, udp.length));
}

/* `so_far` is what became of the frame if the port is ours. */
static spni_frame_verdict parse_udp(rest left, const spni_frame_target *target,
                                    spni_frame_verdict so_far,
                                    const uint8_t *addresses, bool is_checked,
                                    const uint8_t **payload,
                                    size_t *payload_length)
{
    if (left.length < UDP_SIZE)
        return so_far == SPNI_FRAME_OURS ? SPNI_FRAME_LENGTH
                                         : SPNI_FRAME_OTHER;
    if (spni_load_be16(left.at + 2) != target->port)
        return SPNI_FRAME_OTHER;
    if (so_far != SPNI_FRAME_OURS)
        return so_far;
    size_t length = spni_load_be16(left.at + 4);
    if (length < UDP_SIZE || !limit(&left, length))
        return SPNI_FRAME_LENGTH;
    if (!has_right_checksum(left, addresses, target->is_ipv6, is_checked))
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
    if (ip[9] != IPPROTO_UDP || (fragment & IP_OFFMASK) != 0)
        return SPNI_FRAME_OTHER;
    if (!target->any_address && memcmp(ip + 16, target->address, 4) != 0)
        return SPNI_FRAME_OTHER;
    if (header < IPV4_MIN || !limit(&left, spni_load_be16(ip + 2))
        || !skip(&left, header))
        return SPNI_FRAME_LENGTH;
    spni_frame_verdict so_far = SPNI_FRAME_OURS;
    if (!is_right(add_words(0, ip, header)))
        so_far = SPNI_FRAME_CHECKSUM;
    else if ((fragment & IP_MF) != 0)
        so_far = SPNI_FRAME_FRAGMENT;
    return parse_udp(left, target, so_far, ip + 12, is_checked, payload,
                     payload_length);
}

static spni_frame_verdict judge_ipv6(bool is_cut,
                                     const spni_ipv6_headers *headers)
{
    if (is_cut)
        return SPNI_FRAME_LENGTH;
    if (headers->is_refused)
        return SPNI_FRAME_HEADER;
    return headers->is_fragment ? SPNI_FRAME_FRAGMENT : SPNI_FRAME_OURS;
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
    skip(&left, IPV6_SIZE);
    bool is_cut = !limit(&left, spni_load_be16(ip + 4));
    spni_ipv6_headers headers;
    if (!spni_ipv6_walk(ip[6], left.at, left.length, &headers)
        || headers.protocol != IPPROTO_UDP)
        return SPNI_FRAME_OTHER;
    skip(&left, headers.length);
    /* Behind other headers the filter has not seen the port. */
    if (headers.length > 0 && left.length < UDP_SIZE)
        return SPNI_FRAME_OTHER;
    return parse_udp(left, target, judge_ipv6(is_cut, &headers), ip + 8,
                     is_checked, payload, payload_length);
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
