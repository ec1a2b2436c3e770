/* SPDX-License-Identifier: Apache-2.0 */
/* The window, for those who drive it. The caller of a `_locked` function holds
 * the lock of the window's sequence numbers.
 *
 * A request is in one list, which is its state:
 *   *fresh*    taken, not yet sent
 *   *again*    to be sent again as soon as there is room on the wire
 *   *flying*   sent, its reply or its timeout to come
 *   *parked*   told to try again later (a retry code), until its time
 *   *ended*    its completion not yet taken by the driver
 */
#ifndef SPNI_SCP_WINDOW_H
#define SPNI_SCP_WINDOW_H

#include "scp/packet.h"
#include "scp/sequence.h"
#include "scp/size.h"

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
    int status;           /* ended */
    uint16_t answer_length; /* ended: of `answer` */
    uint8_t bytes[SPNI_SCP_MAX];
    uint8_t answer[SPNI_SCP_MAX];
};

struct spn_window {
    spn_window_config config;
    spn_sequences *sequences;
    unsigned forks; /* spni_fork_count() when it was made */
    spni_size size;
    bool is_draining; /* was full: take no more until `waits` are left */
    uint64_t order;
    uint64_t seen_ns;    /* the time when it last sent */
    uint64_t probed_ns;  /* when it last probed */
    uint64_t replied_ns; /* when the last good reply came */
    uint64_t tick_ns;    /* nothing is due before */
    int grace;           /* driver.c: replies to look at before time passes */
    bool has_asked;      /* driver.c: for those, in the last call */
    uint64_t round_trip_ns, round_trip_spread_ns; /* smoothed; 0: none yet */
    spni_requests fresh, again, flying, parked, ended, unused;
    spn_window_stats stats;
    /* Called when a request has ended, lock held, `reply` NULL unless status
     * is 0. It leaves the request to the window. NULL: keep it in `ended`. */
    void (*on_end)(spn_window *window, spni_request *request,
                   const spni_reply *reply);
    void *owner; /* on_end's */
};

/* Whether one more request may be taken. */
bool spni_window_has_room_locked(spn_window *window);

/* A request to be filled in (bytes, length, body, reply_length, token,
 * may_repeat; the window sets the sequence number, also in bytes) and put in
 * with spni_window_put_locked. NULL: no memory, or no number is free. */
spni_request *spni_window_get_locked(spn_window *window);
void spni_window_put_locked(spn_window *window, spni_request *request);

/* As spn_window_submit; `bytes` NULL: the driver has them. */
int spni_window_submit_locked(spn_window *window, uint64_t token,
                              const uint8_t *bytes, size_t length,
                              bool may_repeat);

/* Up to `count` requests that may be sent now, in order; and say that the
 * first `count` of those were sent. */
int spni_window_peek_locked(spn_window *window, uint64_t now_ns,
                            spni_request **requests, int count);
void spni_window_sent_locked(spn_window *window, uint64_t now_ns,
                             spni_request *const *requests, int count);

/* A datagram has arrived. */
void spni_window_receive_locked(spn_window *window, uint64_t now_ns,
                                const uint8_t *bytes, size_t length);

/* A driver has decoded a reply: as spn_window_match. */
int64_t spni_window_match_locked(spn_window *window, uint64_t now_ns,
                                 uint16_t sequence, uint16_t code);

void spni_window_tick_locked(spn_window *window, uint64_t now_ns);
uint64_t spni_window_deadline_locked(const spn_window *window);
void spni_window_fail_locked(spn_window *window, int status);
int spni_window_pop_locked(spn_window *window, spn_scp_outcome *completions,
                           int count, uint8_t *data, size_t size);

/* Requests taken and not ended. */
int spni_window_in_progress_locked(const spn_window *window);

/* End without a word those whose token is this one (a transfer that failed). */
void spni_window_forget_locked(spn_window *window, uint64_t token);

#endif
