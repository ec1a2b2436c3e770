/* SPDX-License-Identifier: Apache-2.0 */
/* Where a datagram goes to, as the kernel takes it. */
#ifndef SPNI_ADDRESS_H
#define SPNI_ADDRESS_H

#include <sys/socket.h>

#include "pyspin.h"

typedef struct {
    struct sockaddr_storage socket;
    socklen_t length;
} spni_address;

/* The address of an endpoint for a socket of this family; IPv4 is reached from
 * IPv6 by a mapped address. *out starts zeroed. 0, or -EINVAL. */
int spni_address_make(int family, const spn_endpoint *endpoint,
                      spni_address *out);

#endif
