/* SPDX-License-Identifier: Apache-2.0 */
/* Hosts may set limits of their own (RFC 8504 section 5.3); those here are
 * Linux's defaults, so that what its UDP would not get is refused. */
#include "net/ipv6_headers.h"

#include <netinet/in.h>

#include "base/bytes.h"

enum {
    UNIT = 8, /* headers are multiples of it */
    MAX_OPTIONS = 8,
    MAX_PADDING = 7, /* between two options */
    PAD_1 = 0,
    PAD_N = 1,
};

static bool is_zero(const uint8_t *at, size_t length)
{
    while (length > 0 && *at == 0) {
        at++;
        length--;
    }
    return length == 0;
}

static size_t option_size(const uint8_t *at, size_t left)
{
    if (*at == PAD_1)
        return 1;
    return left < 2 ? SIZE_MAX : at[1] + 2U;
}

/* An option that is not known is passed over if its first two bits are 0, else
 * the packet is dropped (RFC 8200 section 4.2). */
static bool has_fine_options(const uint8_t *at, size_t length)
{
    size_t padding = 0, size;
    int options = 0;
    for (size_t i = 2; i < length; i += size) {
        size = option_size(at + i, length - i);
        if (size > length - i)
            return false;
        if (at[i] > PAD_N) {
            padding = 0;
            if (at[i] >> 6 != 0 || ++options > MAX_OPTIONS)
                return false;
            continue;
        }
        padding += size;
        if (padding > MAX_PADDING
            || (size > 2 && !is_zero(at + i + 2, size - 2)))
            return false;
    }
    return true;
}

/* Hop-by-hop options come first or not at all. A routing header has been
 * followed to its end, or the packet is for another. */
static bool is_fine(uint8_t kind, const uint8_t *at, size_t length,
                    bool is_first)
{
    if (kind == IPPROTO_ROUTING)
        return at[3] == 0;
    if (kind == IPPROTO_HOPOPTS && !is_first)
        return false;
    return has_fine_options(at, length);
}

bool spni_ipv6_is_extension(uint8_t protocol)
{
    return protocol == IPPROTO_HOPOPTS || protocol == IPPROTO_ROUTING
        || protocol == IPPROTO_FRAGMENT || protocol == IPPROTO_DSTOPTS;
}

bool spni_ipv6_walk(uint8_t next, const uint8_t *at, size_t length,
                    spni_ipv6_headers *out)
{
    bool was_cut = false;
    *out = (spni_ipv6_headers){.protocol = next};
    while (spni_ipv6_is_extension(out->protocol)) {
        const uint8_t *header = at + out->length;
        size_t left = length - out->length;
        size_t size = UNIT;
        if (left < UNIT)
            return false;
        if (out->protocol != IPPROTO_FRAGMENT) {
            size *= header[1] + 1U;
            if (left < size)
                return false;
            out->is_refused |=
                !is_fine(out->protocol, header, size, out->length == 0);
        } else {
            uint16_t place = spni_load_be16(header + 2);
            if (place >> 3 != 0)
                return false;
            out->is_refused |= was_cut; /* no fragments of fragments */
            out->is_fragment |= (place & 1) != 0;
            was_cut = true;
        }
        out->protocol = header[0];
        out->length += size;
    }
    return true;
}
