/* SPDX-License-Identifier: Apache-2.0 */
/* Any frame is parsed without a look beyond it, and what is found in it lies
 * within. The filter passes whatever the parser would take or count, or it would
 * be lost unseen. The first byte of an input is FLAGS. */
#include "driver.h"

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/in.h>

#include "../c/check.h"
#include "base/bytes.h"
#include "net/frame.h"

enum { PORT = 7148, CHECKED = 1, IPV6 = 2, ANY = 4, HARDWARE = 8 };

/* ---- examples ---- */

typedef struct {
    uint8_t *at;
    size_t length;
} building;

static uint8_t *append(building *to, const void *bytes, size_t size)
{
    uint8_t *at = to->at + to->length;
    memcpy(at, bytes, size);
    to->length += size;
    return at;
}

static void add_ethernet(building *to, uint16_t type, uint64_t *random)
{
    uint8_t header[18] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x81, 0, 0, 7};
    bool has_tag = fuzz_below(random, 4) == 0;
    spni_store_be16(header + (has_tag ? 16 : 12), type);
    append(to, header, has_tag ? 18 : 14);
}

static void add_udp(building *to, size_t payload)
{
    static const uint8_t zeros[256];
    uint8_t header[8] = {9, 9, [6] = 1};
    spni_store_be16(header + 2, PORT);
    spni_store_be16(header + 4, (uint16_t)(8 + payload));
    append(to, header, sizeof header);
    append(to, zeros, payload);
}

static void add_ipv4(building *to, size_t payload, uint64_t *random)
{
    uint8_t header[60] = {0};
    size_t size = 20 + 4 * fuzz_below(random, 11);
    uint32_t sum = 0;
    header[0] = (uint8_t)(0x40 | size / 4);
    spni_store_be16(header + 2, (uint16_t)(size + 8 + payload));
    header[6] = fuzz_below(random, 8) == 0 ? 0x20 : 0x40;
    header[9] = IPPROTO_UDP;
    inet_pton(AF_INET, "127.0.0.1", header + 16);
    for (size_t i = 0; i < size; i += 2)
        sum += spni_load_be16(header + i);
    spni_store_be16(header + 10, (uint16_t)~(sum + (sum >> 16)));
    append(to, header, size);
    add_udp(to, payload);
}

/* An extension header of a kind that is drawn; its first byte is still to be
 * filled in. */
static uint8_t add_extension(building *to, uint64_t *random)
{
    static const uint8_t kinds[] = {IPPROTO_HOPOPTS, IPPROTO_ROUTING,
                                    IPPROTO_FRAGMENT, IPPROTO_DSTOPTS};
    uint8_t kind = kinds[fuzz_below(random, sizeof kinds)];
    uint8_t header[24] = {0};
    size_t units = kind == IPPROTO_FRAGMENT ? 1 : 1 + fuzz_below(random, 3);
    if (kind != IPPROTO_FRAGMENT)
        header[1] = (uint8_t)(units - 1);
    else
        header[3] = fuzz_below(random, 4) == 0;
    if (kind == IPPROTO_HOPOPTS || kind == IPPROTO_DSTOPTS) {
        header[2] = (uint8_t)fuzz_below(random, 64);
        header[3] = (uint8_t)(8 * units - 4);
    }
    append(to, header, 8 * units);
    return kind;
}

static void add_ipv6(building *to, size_t payload, uint64_t *random)
{
    uint8_t header[40] = {0x60, [39] = 1};
    uint8_t *at = append(to, header, sizeof header), *next = at + 6;
    for (size_t n = fuzz_below(random, 4); n > 0; n--) {
        uint8_t *extension = to->at + to->length;
        *next = add_extension(to, random);
        next = extension;
    }
    *next = IPPROTO_UDP;
    add_udp(to, payload);
    size_t length = (size_t)(to->at + to->length - at) - sizeof header;
    spni_store_be16(at + 4, (uint16_t)length);
}

static size_t fuzz_example(uint8_t *data, size_t capacity, uint64_t *random)
{
    building frame = {data, 1};
    size_t payload = fuzz_below(random, 100);
    (void)capacity;
    data[0] = (uint8_t)fuzz_below(random, 16);
    if (data[0] & IPV6) {
        add_ethernet(&frame, ETH_P_IPV6, random);
        add_ipv6(&frame, payload, random);
    } else {
        add_ethernet(&frame, ETH_P_IP, random);
        add_ipv4(&frame, payload, random);
    }
    return frame.length;
}

/* ---- the filter, as the kernel would run it on a frame for this host ---- */

static size_t size_of(const struct sock_filter *step)
{
    if (BPF_SIZE(step->code) == BPF_W)
        return 4;
    return BPF_SIZE(step->code) == BPF_H ? 2 : 1;
}

static bool load(const uint8_t *frame, size_t length,
                 const struct sock_filter *step, uint32_t x, uint32_t *a)
{
    size_t size = size_of(step);
    size_t at = step->k + (BPF_MODE(step->code) == BPF_IND ? x : 0);
    if (step->k == (uint32_t)(SKF_AD_OFF + SKF_AD_PKTTYPE)) {
        *a = PACKET_HOST;
        return true;
    }
    if (at > length || length - at < size)
        return false;
    *a = 0;
    for (size_t i = 0; i < size; i++)
        *a = *a << 8 | frame[at + i];
    return true;
}

static bool passes(const struct sock_filter *program, const uint8_t *frame,
                   size_t length)
{
    uint32_t a = 0, x = 0;
    for (const struct sock_filter *step = program;; step++) {
        bool holds = true;
        switch (BPF_CLASS(step->code)) {
        case BPF_LD:
            if (!load(frame, length, step, x, &a))
                return false;
            continue;
        case BPF_LDX: /* MSH */
            if (step->k >= length)
                return false;
            x = (frame[step->k] & 15U) * 4;
            continue;
        case BPF_JMP:
            holds = BPF_OP(step->code) == BPF_JEQ ? a == step->k
                                                  : (a & step->k) != 0;
            step += holds ? step->jt : step->jf;
            continue;
        default:
            return step->k != 0;
        }
    }
}

/* ---- what must hold ---- */

static spni_frame_target target_of(uint8_t flags)
{
    spni_frame_target target = {.port = PORT,
                                .is_ipv6 = (flags & IPV6) != 0,
                                .any_address = (flags & ANY) != 0,
                                .has_hardware = (flags & HARDWARE) != 0,
                                .hardware = {2, 0, 0, 0, 0, 1}};
    if (target.is_ipv6)
        target.address[15] = 1;
    else
        inet_pton(AF_INET, "127.0.0.1", target.address);
    return target;
}

/* The kernel takes VLAN tags out before the filter looks. */
static bool has_tag(const uint8_t *frame)
{
    uint16_t type = spni_load_be16(frame + 12);
    return type == ETH_P_8021Q || type == ETH_P_8021AD;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sock_filter program[SPNI_FRAME_FILTER_MAX];
    const uint8_t *frame = data + 1, *payload = NULL;
    size_t length = 0;
    if (size < 1)
        return 0;
    spni_frame_target target = target_of(data[0]);
    spni_frame_filter(&target, program);
    spni_frame_verdict verdict =
        spni_frame_parse(frame, size - 1, (data[0] & CHECKED) != 0, &target,
                         &payload, &length);
    /* A bad length may leave no port to be seen. */
    if (verdict != SPNI_FRAME_OTHER && verdict != SPNI_FRAME_LENGTH
        && !has_tag(frame))
        CHECK(passes(program, frame, size - 1));
    if (verdict != SPNI_FRAME_OURS)
        return 0;
    CHECK(payload >= frame + 14 + 8 && payload + length <= data + size);
    CHECK_EQ(spni_load_be16(payload - 6), PORT);
    CHECK_EQ(spni_load_be16(payload - 4), length + 8);
    return 0;
}
