/* SPDX-License-Identifier: Apache-2.0 */
/* When a request is sent again, and when it is given up. The caller holds the
 * lock of the window's sequence numbers. */
#ifndef SPNI_SCP_LOSS_H
#define SPNI_SCP_LOSS_H

#include "scp/window.h"

/* A request was sent: wait for its reply from now on. */
void spni_loss_expect_locked(spn_window *window, spni_request *request,
                             uint64_t now_ns);

/* A reply to the request that was sent as number `order` has come: those that
 * were sent before it are overdue. */
void spni_loss_overtake_locked(spn_window *window, uint64_t order);

/* The board asked for the request to be sent again, by this result code. */
void spni_loss_park_locked(spn_window *window, spni_request *request,
                           uint16_t code, uint64_t now_ns);

/* Whether nothing has come from the board for a whole timeout. */
bool spni_loss_is_silent_locked(const spn_window *window, uint64_t now_ns);

#endif
