/* SPDX-License-Identifier: Apache-2.0 */
/* Heaps of the outbox -> batches -> kernel, at the rate, step by step. Whoever
 * has the outbox' turn may take a step; see sender.c.
 */
#ifndef SPNI_PUMP_H
#define SPNI_PUMP_H

#include "net/address.h"
#include "net/outbox.h"
#include "net/udp_writer.h"
#include "spead/rate.h"

typedef struct {
    spni_outbox *outbox;
    const spni_address *endpoints;
    spni_udp_writer *writer;
    spni_jobs queue;
    spni_rate rate;
    spn_sender_stats stats;
} spni_pump;

/* A pump to `fd`, which stays the caller's, as do outbox and endpoints. 0 or
 * -ENOMEM. */
int spni_pump_init(spni_pump *pump, int fd, const spn_sender_config *config,
                   spni_outbox *outbox, const spni_address *endpoints,
                   size_t endpoint_count);
void spni_pump_fini(spni_pump *pump);

typedef enum {
    SPNI_PROGRESS,
    SPNI_DRAINED,     /* there is nothing to send */
    SPNI_PAUSED,      /* the rate allows nothing until *until_ns */
    SPNI_SOCKET_FULL, /* until it is writable */
} spni_pumped;

/* Build a batch, or go on with the one that the socket would not take wholly,
 * and hand it over in one call. */
spni_pumped spni_pump_step(spni_pump *pump, uint64_t *until_ns);

/* Complete all heaps with SPN_ESTOPPED. */
void spni_pump_cancel(spni_pump *pump);

#endif
