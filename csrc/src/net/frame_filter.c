/* SPDX-License-Identifier: Apache-2.0 */
/* The filter is written with jumps to one "drop" at the end, whose distance is
 * filled in when the length is known. A classic program cannot walk over a chain
 * of IPv6 extension headers, so it passes all that have one; they are rare, and
 * spni_frame_parse looks at the port. */
#include "net/frame.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <string.h>

#include "base/bytes.h"

enum {
    IPV6_SIZE = 40,
    TO_DROP = 0xff,
};

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
    load(filter, BPF_LD | BPF_B | BPF_ABS, ETH_HLEN + 9);
    require(filter, IPPROTO_UDP);
    load(filter, BPF_LD | BPF_H | BPF_ABS, ETH_HLEN + 6);
    refuse_bits(filter, IP_OFFMASK);
    require_address(filter, target, ETH_HLEN + 16, 1);
    load(filter, BPF_LDX | BPF_B | BPF_MSH, ETH_HLEN);
    load(filter, BPF_LD | BPF_H | BPF_IND, ETH_HLEN + 2);
    require(filter, target->port);
}

static void filter_ipv6(program *filter, const spni_frame_target *target)
{
    static const uint8_t passed[] = {IPPROTO_HOPOPTS, IPPROTO_ROUTING,
                                     IPPROTO_FRAGMENT, IPPROTO_DSTOPTS};
    enum { COUNT = sizeof passed };
    require_address(filter, target, ETH_HLEN + 24, 4);
    load(filter, BPF_LD | BPF_B | BPF_ABS, ETH_HLEN + 6);
    for (uint8_t i = 0; i < COUNT; i++)
        filter->at[filter->length++] = (struct sock_filter)BPF_JUMP(
            BPF_JMP | BPF_JEQ | BPF_K, passed[i],
            (uint8_t)(COUNT - i + 2) /* beyond the port */, 0);
    require(filter, IPPROTO_UDP);
    load(filter, BPF_LD | BPF_H | BPF_ABS, ETH_HLEN + IPV6_SIZE + 2);
    require(filter, target->port);
}

/* A frame of a VLAN that has no interface is marked as another host's, too: so
 * the hardware's address decides, if there is just one. */
static void filter_direction(program *filter, const spni_frame_target *target)
{
    load(filter, BPF_LD | BPF_B | BPF_ABS,
         (uint32_t)(SKF_AD_OFF + SKF_AD_PKTTYPE));
    refuse(filter, PACKET_OUTGOING);
    if (!target->has_hardware) {
        refuse(filter, PACKET_OTHERHOST);
        return;
    }
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
