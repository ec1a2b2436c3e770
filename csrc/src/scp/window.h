/* SPDX-License-Identifier: Apache-2.0 */
/* The window, for those who drive it: which requests are taken (window.c),
 * what replies mean (receive.c), what is done as time passes (loss.c). The
 * caller of a `_locked` function holds the lock of the window's sequence
 * numbers. */
#ifndef SPNI_SCP_WINDOW_H
#define SPNI_SCP_WINDOW_H

#include "scp/packet.h"
#include "scp/requests.h"
#include "scp/round_trip.h"
#include "scp/sequence.h"
#include "scp/size.h"

struct spn_window {
    spn_window_config config;
    spn_sequences *sequences;
    spni_size size;
    bool is_draining; /* was full: take no more until `waits` are left */
    uint64_t order;
    uint64_t seen_ns;    /* the time when it last sent */
    uint64_t probed_ns;  /* when it last probed */
    uint64_t replied_ns; /* when the last good reply came */
    uint64_t tick_ns;    /* nothing is due before */
    int grace;           /* driver.c: replies to look at before time passes */
    bool has_asked;      /* driver.c: for those, in the last call */
    bool has_doubts;     /* one was overtaken and `may_ask` */
    spni_round_trip round_trip;
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

/* A request has ended, with its reply or (NULL) with another status than 0. */
void spni_window_end_locked(spn_window *window, spni_request *request,
                            int status, const spni_reply *reply,
                            uint64_t now_ns);

/* A datagram has arrived. */
void spni_window_receive_locked(spn_window *window, uint64_t now_ns,
                                const uint8_t *bytes, size_t length);

/* A driver has decoded a reply. Whether it has ended its request. */
bool spni_window_match_locked(spn_window *window, uint64_t now_ns,
                              uint16_t sequence, uint16_t code);

void spni_window_tick_locked(spn_window *window, uint64_t now_ns);
uint64_t spni_window_deadline_locked(const spn_window *window);
void spni_window_fail_locked(spn_window *window, int status);
int spni_window_pop_locked(spn_window *window, spn_scp_outcome *completions,
                           int count, uint8_t *data, size_t size);

/* Requests that may be in progress, as it is now. */
int spni_window_channels_locked(const spn_window *window);

/* Requests taken and not ended. */
int spni_window_in_progress_locked(const spn_window *window);

/* As spn_window_doubt and spn_window_repeat. */
int spni_window_doubt_locked(spn_window *window);
void spni_window_repeat_locked(spn_window *window, uint16_t sequence);

/* End without a word those whose token is this one (a transfer that failed). */
void spni_window_forget_locked(spn_window *window, uint64_t token);

#endif
