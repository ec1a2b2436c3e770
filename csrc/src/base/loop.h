/* SPDX-License-Identifier: Apache-2.0 */
/* A thread that waits in epoll and calls handlers.
 *
 * One rule keeps it simple: handlers and timers are touched on the loop's
 * thread only. Other threads go through spni_loop_call, which runs a function
 * there and waits for it. So a handler that has been removed is not running,
 * and nobody needs a lock for what only handlers use.
 *
 * A loop that has stopped (its pool was stopped) still takes calls: it runs
 * them in the calling thread, one at a time.
 */
#ifndef SPNI_LOOP_H
#define SPNI_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "pyspin.h"

typedef struct spni_loop spni_loop;

/* A descriptor and what to do when epoll reports it. Embedded in its owner. */
typedef struct spni_handler {
    int fd;
    void (*ready)(struct spni_handler *handler, uint32_t events);
} spni_handler;

/* Something to be done at a time. Embedded in its owner; starts zeroed with
 * `fire` set. */
typedef struct spni_timer {
    void (*fire)(struct spni_timer *timer);
    uint64_t deadline_ns;      /* CLOCK_MONOTONIC */
    struct spni_timer *next;   /* the loop's */
    bool armed;                /* the loop's */
} spni_timer;

/* Something to be done soon on the loop's thread. Embedded in its owner;
 * starts zeroed with `run` set. Posting one that is already posted does
 * nothing. It runs once a post, before or after the handlers of a round, and
 * may post itself again (it then runs in the next round, so that the other
 * handlers have their turn). */
typedef struct spni_task {
    void (*run)(struct spni_task *task);
    struct spni_task *next; /* the loop's */
    bool posted;            /* the loop's */
} spni_task;

/* One who lives on a loop and must be told that it ends. `stopping` is called
 * once on the loop's thread when the pool stops; afterwards no handler, timer
 * or task of the loop is called any more. */
typedef struct spni_resident {
    void (*stopping)(struct spni_resident *resident);
    struct spni_resident *next, **previous; /* the loop's */
} spni_resident;

/* Choose the loop with the fewest residents and hold a reference to its pool
 * until spni_loop_leave. NULL when the pool has been stopped or this is a
 * forked child. `resident` is added to the loop. Any thread. */
spni_loop *spni_loop_join(spn_threads *threads, spni_resident *resident);

/* Undo join. Any thread, also the loop's own. Waits for a `stopping` of this
 * resident that is running elsewhere, so call it without locks that it takes.
 * It may be the last reference to the pool, which then stops. */
void spni_loop_leave(spni_loop *loop, spni_resident *resident);

/* Run `function` on the loop's thread and wait for its end; directly when
 * called there. The caller keeps a resident or a reference to the pool. 0, or SPN_EFORKED in a forked child (then it is not run). */
int spni_loop_call(spni_loop *loop, void (*function)(void *), void *argument);

/* Any thread; never waits, allocates nothing. False, and nothing happens, once
 * the loop has begun to stop; tasks that have not run by then never do, and
 * `stopping` is called after they have been dropped. */
bool spni_loop_post(spni_loop *loop, spni_task *task);

/* Take back a posted task, if it has not run. Loop's thread only. */
void spni_loop_unpost(spni_loop *loop, spni_task *task);

/* The rest: on the loop's thread only. */
int spni_loop_add(spni_loop *loop, spni_handler *handler, uint32_t events);
int spni_loop_modify(spni_loop *loop, spni_handler *handler, uint32_t events);
/* Events of this round that epoll has already reported for it are dropped. */
void spni_loop_remove(spni_loop *loop, spni_handler *handler);
void spni_timer_set(spni_loop *loop, spni_timer *timer, uint64_t deadline_ns);
void spni_timer_cancel(spni_loop *loop, spni_timer *timer);
/* Do not enter epoll_wait before this time, unless a timer or task is due: the
 * sockets fill meanwhile and one wake-up serves them all. One round only. */
void spni_loop_rest(spni_loop *loop, uint64_t until_ns);
bool spni_loop_is_current(const spni_loop *loop);

/* Have epoll poll the device queues of its sockets for at least so long before
 * it sleeps. Any thread. False where the kernel has no such setting of its own
 * (before 6.9): then net.core.busy_poll is what counts. */
bool spni_loop_busy_poll(spni_loop *loop, unsigned us);

#endif
