/* SPDX-License-Identifier: Apache-2.0 */
/* The headers between IPv6's own and that of what it carries (RFC 8200 section
 * 4), judged as a host does: pure. */
#ifndef SPNI_IPV6_HEADERS_H
#define SPNI_IPV6_HEADERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint8_t protocol; /* of what comes after them */
    size_t length;    /* of all of them */
    bool is_fragment; /* the first of several; a single one is whole
                       * (RFC 6946) */
    bool is_refused;  /* a host drops it, whatever it carries */
} spni_ipv6_headers;

/* Whether the number stands for a header that may be walked over. */
bool spni_ipv6_is_extension(uint8_t protocol);

/* Walk over the headers at `at`, the first of which is `next`. False if they
 * end beyond `length`, or if this is a later fragment: what it belongs to stood
 * in the first. */
bool spni_ipv6_walk(uint8_t next, const uint8_t *at, size_t length,
                    spni_ipv6_headers *out);

#endif
