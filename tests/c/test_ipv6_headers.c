/* SPDX-License-Identifier: Apache-2.0 */
#include "net/ipv6_headers.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

/* In memory of exactly its size, so that a sanitizer sees a byte too many. */
static bool walk(uint8_t next, const uint8_t *at, size_t length,
                 spni_ipv6_headers *out)
{
    uint8_t *exact = malloc(length + 1);
    memcpy(exact + 1, at, length);
    bool is_whole = spni_ipv6_walk(next, exact + 1, length, out);
    free(exact);
    return is_whole;
}

#define WALK(next, out, ...)                                                   \
    walk(next, (const uint8_t[]){__VA_ARGS__},                                 \
         sizeof(const uint8_t[]){__VA_ARGS__}, out)

static void test_nothing_to_walk_over(void)
{
    spni_ipv6_headers headers;
    CHECK(WALK(IPPROTO_UDP, &headers, 1, 2, 3));
    CHECK_EQ(headers.protocol, IPPROTO_UDP);
    CHECK_EQ(headers.length, 0);
    CHECK(!headers.is_fragment && !headers.is_refused);
    CHECK(walk(IPPROTO_TCP, (const uint8_t[1]){0}, 0, &headers));
    CHECK_EQ(headers.protocol, IPPROTO_TCP);
}

static void test_a_chain(void)
{
    spni_ipv6_headers headers;
    /* hop-by-hop, destination options of 16 bytes, routing, UDP */
    const uint8_t chain[] = {IPPROTO_DSTOPTS, 0, 1, 4, 0, 0, 0, 0,
                             IPPROTO_ROUTING, 1, 5, 2, 0, 0, 1, 4, 0, 0, 0, 0,
                             0x1e, 2, 7, 7,
                             IPPROTO_UDP, 0, 2, 0, 0, 0, 0, 0,
                             99};
    CHECK(walk(IPPROTO_HOPOPTS, chain, sizeof chain, &headers));
    CHECK_EQ(headers.protocol, IPPROTO_UDP);
    CHECK_EQ(headers.length, 32);
    CHECK(!headers.is_fragment && !headers.is_refused);
    for (size_t length = 0; length < 32; length++)
        CHECK(!walk(IPPROTO_HOPOPTS, chain, length, &headers));
}

static void test_fragments(void)
{
    spni_ipv6_headers headers;
    CHECK(WALK(IPPROTO_FRAGMENT, &headers, IPPROTO_UDP, 0, 0, 0, 1, 2, 3, 4));
    CHECK(!headers.is_fragment && !headers.is_refused);
    CHECK_EQ(headers.length, 8);
    CHECK(WALK(IPPROTO_FRAGMENT, &headers, IPPROTO_UDP, 0, 0, 1, 1, 2, 3, 4));
    CHECK(headers.is_fragment && !headers.is_refused);
    CHECK(!WALK(IPPROTO_FRAGMENT, &headers, IPPROTO_UDP, 0, 0, 8, 1, 2, 3, 4));
    CHECK(WALK(IPPROTO_FRAGMENT, &headers, IPPROTO_FRAGMENT, 0, 0, 0, 0, 0, 0,
               0, IPPROTO_UDP, 0, 0, 0, 0, 0, 0, 0));
    CHECK(headers.is_refused);
}

static void check_options(bool fine, const uint8_t options[6])
{
    spni_ipv6_headers headers;
    uint8_t header[8] = {IPPROTO_UDP, 0};
    memcpy(header + 2, options, 6);
    CHECK(walk(IPPROTO_DSTOPTS, header, sizeof header, &headers));
    CHECK_EQ(headers.is_refused, !fine);
    CHECK_EQ(headers.protocol, IPPROTO_UDP);
}

static void test_options(void)
{
    check_options(true, (const uint8_t[6]){1, 4});
    check_options(true, (const uint8_t[6]){0});
    check_options(true, (const uint8_t[6]){0x3f, 4, 9, 9, 9, 9});
    check_options(false, (const uint8_t[6]){0x40, 4}); /* to be dropped */
    check_options(false, (const uint8_t[6]){0x80, 4});
    check_options(false, (const uint8_t[6]){0xc2, 4}); /* jumbogram */
    check_options(false, (const uint8_t[6]){0x3f, 5}); /* goes beyond */
    check_options(false, (const uint8_t[6]){1, 255});
    check_options(false, (const uint8_t[6]){0, 0, 0, 0, 0, 0x3f});
    check_options(false, (const uint8_t[6]){1, 4, 0, 0, 7, 0}); /* not zero */
}

static void test_limits_of_options(void)
{
    spni_ipv6_headers headers;
    CHECK(WALK(IPPROTO_DSTOPTS, &headers, IPPROTO_UDP, 1, 1, 6, 0, 0, 0, 0, 0,
               0, 0x1e, 4, 0, 0, 0, 0));
    CHECK(headers.is_refused); /* 8 bytes of padding */
    CHECK(WALK(IPPROTO_DSTOPTS, &headers, IPPROTO_UDP, 1, 1, 5, 0, 0, 0, 0, 0,
               0x1e, 5, 0, 0, 0, 0, 0));
    CHECK(!headers.is_refused); /* 7 */
    CHECK(WALK(IPPROTO_DSTOPTS, &headers, IPPROTO_UDP, 2, 0x1e, 0, 0x1e, 0, 0x1e,
               0, 0x1e, 0, 0x1e, 0, 0x1e, 0, 0x1e, 0, 0x1e, 0, 1, 4, 0, 0, 0,
               0));
    CHECK(!headers.is_refused); /* 8 options */
    CHECK(WALK(IPPROTO_DSTOPTS, &headers, IPPROTO_UDP, 2, 0x1e, 0, 0x1e, 0, 0x1e,
               0, 0x1e, 0, 0x1e, 0, 0x1e, 0, 0x1e, 0, 0x1e, 0, 0x1e, 4, 0, 0, 0,
               0));
    CHECK(headers.is_refused); /* 9 */
}

static void test_the_order_of_headers(void)
{
    spni_ipv6_headers headers;
    CHECK(WALK(IPPROTO_DSTOPTS, &headers, IPPROTO_HOPOPTS, 0, 1, 4, 0, 0, 0, 0,
               IPPROTO_UDP, 0, 1, 4, 0, 0, 0, 0));
    CHECK(headers.is_refused); /* hop-by-hop options second */
    CHECK(WALK(IPPROTO_ROUTING, &headers, IPPROTO_UDP, 0, 2, 1, 0, 0, 0, 0));
    CHECK(headers.is_refused); /* it has a way to go */
}

int main(void)
{
    test_nothing_to_walk_over();
    test_a_chain();
    test_fragments();
    test_options();
    test_limits_of_options();
    test_the_order_of_headers();
    return 0;
}
