/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SPNI_SCP_LINK_H
#define SPNI_SCP_LINK_H

#include <poll.h>
#include <stdbool.h>

#include "scp/window.h"

struct spn_link {
    unsigned references; /* atomic */
    int fd;
    bool stopped;        /* atomic */
    unsigned behind;     /* atomic: full batches since the socket was empty */
    spn_sequences *sequences;
};

enum {
    SPNI_LINK_BATCH = 32,
};

void spni_link_ref(spn_link *link);

/* Let time pass until `now_ns`, which was before the last receiving. But while
 * datagrams wait in the socket, nobody knows yet what was not answered. */
void spni_link_tick_locked(const spn_link *link, spn_window *window,
                           uint64_t now_ns);

/* Send what the window lets go now. Packets sent; -EAGAIN when the socket takes
 * no more; SPN_ESTOPPED when the owner of the socket has shut it down; another
 * -errno of the socket, all requests ended with it. */
int spni_link_transmit_locked(spn_link *link, spn_window *window);

/* Take what has arrived, one batch, and tell the windows it belongs to. How
 * many datagrams, 0 when there are none; a negative -errno of the socket: the
 * requests of `window` were ended with it. */
int spni_link_receive(spn_link *link, spn_window *window);

/* Take an error of earlier traffic off the socket. */
void spni_link_forget_error(const spn_link *link);

/* When to look again at the latest: `until_ns`, or soon, if another thread may
 * receive what is for this window, which does not wake us. */
uint64_t spni_link_look_locked(const spn_link *link, uint64_t until_ns);

/* End all of the window's requests as those of a stopped link. */
void spni_link_end(spn_link *link, spn_window *window);

/* Wait for events on sockets, or until a time. 0, or -EINTR. */
int spni_link_wait(struct pollfd *sockets, int count, uint64_t until_ns);

bool spni_link_is_stopped(const spn_link *link);

/* Whether this is a child of the process that made it. */
bool spni_link_is_forked(const spn_link *link);

#endif
