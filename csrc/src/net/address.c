/* SPDX-License-Identifier: Apache-2.0 */
#include "net/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

static int make_ipv4(const spn_endpoint *endpoint, spni_address *out)
{
    struct sockaddr_in *address = (struct sockaddr_in *)&out->socket;
    address->sin_family = AF_INET;
    address->sin_port = htons(endpoint->port);
    out->length = sizeof *address;
    return inet_pton(AF_INET, endpoint->address, &address->sin_addr) == 1
               ? 0
               : -EINVAL;
}

/* An IPv6 socket reaches IPv4 through mapped addresses. */
static int make_ipv6(const spn_endpoint *endpoint, spni_address *out)
{
    struct sockaddr_in6 *address = (struct sockaddr_in6 *)&out->socket;
    address->sin6_family = AF_INET6;
    address->sin6_port = htons(endpoint->port);
    address->sin6_scope_id = endpoint->scope;
    out->length = sizeof *address;
    if (inet_pton(AF_INET6, endpoint->address, &address->sin6_addr) == 1) {
        return 0;
    }
    uint8_t *bytes = address->sin6_addr.s6_addr;
    memset(bytes, 0, 10);
    memset(bytes + 10, 0xff, 2);
    return inet_pton(AF_INET, endpoint->address, bytes + 12) == 1 ? 0 : -EINVAL;
}

int spni_address_make(int family, const spn_endpoint *endpoint,
                      spni_address *out)
{
    switch (family) {
    case AF_INET:
        return make_ipv4(endpoint, out);
    case AF_INET6:
        return make_ipv6(endpoint, out);
    default:
        return -EINVAL;
    }
}
