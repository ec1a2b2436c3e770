/* SPDX-License-Identifier: Apache-2.0 */
/* Who takes the steps of a pump: a loop, or the thread of a caller. Each of the
 * two only when it has the outbox' turn.
 */
#ifndef SPNI_DRIVE_H
#define SPNI_DRIVE_H

#include "base/loop.h"
#include "net/pump.h"

typedef struct {
    spni_pump pump;
    spni_loop *loop;
    spni_task task;
    /* the loop's thread only */
    spni_timer timer;
    spni_handler writable;
    bool is_watching;
    bool is_stopped;
} spni_drive;

/* `loop` and the pump are set apart from this. */
void spni_drive_init(spni_drive *drive, int fd);

/* Let the loop go on until there is nothing to send. */
void spni_drive_on_loop(spni_drive *drive);

/* Go on in this thread, spending waits for the rate of up to spin_ns in it;
 * what needs more is left to the loop. */
void spni_drive_directly(spni_drive *drive, uint64_t spin_ns);

/* The loop calls nothing of this any more. In the loop's thread, or in its
 * stead when it has ended. */
void spni_drive_forget(spni_drive *drive);

/* Complete all heaps with SPN_ESTOPPED; nobody drives afterwards. False if that
 * has been done. In the loop's thread, or in its stead. */
bool spni_drive_stop(spni_drive *drive);

#endif
