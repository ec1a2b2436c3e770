/* SPDX-License-Identifier: Apache-2.0 */
/* A request, and the lists that it goes through. It is in one list, which is
 * its state:
 *   *fresh*    taken, not yet sent
 *   *again*    to be sent again as soon as there is room on the wire
 *   *flying*   sent, its reply or its timeout to come
 *   *parked*   told to try again later (a retry code), until its time
 *   *ended*    its completion not yet taken by the driver
 */
#ifndef SPNI_SCP_REQUESTS_H
#define SPNI_SCP_REQUESTS_H

#include "pyspin.h"
#include "scp/packet.h"

typedef struct spni_request spni_request;

typedef struct {
    spni_request *first;
    spni_request *last;
    int count;
} spni_requests;

struct spni_request {
    spni_request *next, *previous;
    spni_requests *list; /* the one it is in */
    spn_window *window;
    uint64_t token;
    uint64_t mark;        /* the driver's */
    uint64_t order;       /* of its last sending among all of the window */
    uint64_t first_order; /* of its first */
    uint64_t sent_ns;
    uint64_t due_ns;      /* flying: timeout; parked: when to go again */
    const uint8_t *body;  /* data that is not in `bytes` */
    uint16_t body_length;
    uint16_t length;      /* of `bytes`; 0: the driver has them */
    uint16_t sequence;
    uint16_t code;        /* the last that asked for a retry, or the reply's */
    int reply_length;     /* payload that an OK reply must have, -1: any */
    unsigned sent;
    uint64_t *reason;     /* in `stats`: counts its next sending; NULL: none */
    unsigned overtaken;
    unsigned parkings;
    bool may_repeat;
    bool may_ask;         /* if not: whether it may, when it matters */
    int status;           /* ended */
    uint16_t answer_length; /* ended: of `answer` */
    uint8_t bytes[SPNI_SCP_MAX];
    uint8_t answer[SPNI_SCP_MAX];
};

/* Put a request that is in no list at the end of one. */
void spni_requests_append(spni_requests *list, spni_request *request);

/* Take a request out of its list. */
void spni_request_detach(spni_request *request);

void spni_request_move(spni_request *request, spni_requests *list);

/* Free every request of a list. */
void spni_requests_free(spni_requests *list);

#endif
