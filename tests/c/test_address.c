/* SPDX-License-Identifier: Apache-2.0 */
#include "net/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "check.h"

static void test_ipv4(void)
{
    spni_address address = {0};
    spn_endpoint endpoint = {.address = "127.0.0.1", .port = 8888};
    CHECK_EQ(spni_address_make(AF_INET, &endpoint, &address), 0);
    struct sockaddr_in in;
    memcpy(&in, &address.socket, sizeof in);
    CHECK_EQ(address.length, sizeof in);
    CHECK_EQ(in.sin_family, AF_INET);
    CHECK_EQ(ntohs(in.sin_port), 8888);
    CHECK_EQ(ntohl(in.sin_addr.s_addr), INADDR_LOOPBACK);
}

static void test_ipv6(void)
{
    spni_address address = {0};
    spn_endpoint endpoint = {.address = "ff12::1", .port = 1, .scope = 3};
    CHECK_EQ(spni_address_make(AF_INET6, &endpoint, &address), 0);
    struct sockaddr_in6 in;
    memcpy(&in, &address.socket, sizeof in);
    CHECK_EQ(address.length, sizeof in);
    CHECK_EQ(in.sin6_family, AF_INET6);
    CHECK_EQ(in.sin6_scope_id, 3);
    CHECK(IN6_IS_ADDR_MULTICAST(&in.sin6_addr));
}

static void test_ipv4_from_ipv6(void)
{
    spni_address address = {0};
    spn_endpoint endpoint = {.address = "10.1.2.3", .port = 1};
    CHECK_EQ(spni_address_make(AF_INET6, &endpoint, &address), 0);
    struct sockaddr_in6 in;
    memcpy(&in, &address.socket, sizeof in);
    CHECK(IN6_IS_ADDR_V4MAPPED(&in.sin6_addr));
    CHECK_EQ(in.sin6_addr.s6_addr[12], 10);
    CHECK_EQ(in.sin6_addr.s6_addr[15], 3);
}

static void test_what_is_no_address(void)
{
    spni_address address = {0};
    spn_endpoint name = {.address = "localhost", .port = 1};
    spn_endpoint ipv6 = {.address = "::1", .port = 1};
    CHECK_ERR(spni_address_make(AF_INET, &name, &address), -EINVAL);
    CHECK_ERR(spni_address_make(AF_INET6, &name, &address), -EINVAL);
    CHECK_ERR(spni_address_make(AF_INET, &ipv6, &address), -EINVAL);
    CHECK_ERR(spni_address_make(AF_UNIX, &ipv6, &address), -EINVAL);
}

int main(void)
{
    test_ipv4();
    test_ipv6();
    test_ipv4_from_ipv6();
    test_what_is_no_address();
    return 0;
}
