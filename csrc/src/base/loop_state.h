/* SPDX-License-Identifier: Apache-2.0 */
/* What the files that make up a loop share: loop.c (its life and its rounds),
 * posted.c (what other threads leave for it), residents.c, timers.c, and
 * waiting.c (epoll and its handlers). Nobody else includes this.
 *
 * `lock` guards what other threads leave for the loop; everything else belongs
 * to its thread, or after its end to whoever is `owner`.
 *
 * `has_work` says that the lists behind the lock are worth a look. Setting it
 * from another thread raises the eventfd, but only on the change from false,
 * so a burst of posts costs one write.
 */
#ifndef SPNI_LOOP_STATE_H
#define SPNI_LOOP_STATE_H

#include <pthread.h>
#include <sys/epoll.h>

#include "base/event.h"
#include "base/loop.h"

#define SPNI_LOOP_EVENTS 64
#define SPNI_FOR_EVER UINT64_MAX

/* A function that another thread wants run, on that thread's stack. */
typedef struct spni_call {
    void (*function)(void *);
    void *argument;
    struct spni_call *next;
    bool is_done;
} spni_call;

enum {
    SPNI_LOOP_RUNNING,
    SPNI_LOOP_ASKED,    /* to stop */
    SPNI_LOOP_STOPPING, /* no more tasks; residents are being told */
    SPNI_LOOP_STOPPED,  /* calls run in the calling thread */
};

struct spni_loop {
    spn_threads *threads;
    int epoll_fd;
    spni_event wake;
    spni_handler wake_handler;
    const void *owner; /* atomic: the thread whose calls run directly */
    int has_work;      /* atomic */
    bool spins;        /* atomic */

    pthread_mutex_t lock; /* down to `telling` */
    pthread_cond_t changed;
    int state;
    spni_call *calls, **calls_end;
    spni_task *tasks, **tasks_end;
    spni_resident *residents;
    int resident_count;
    spni_resident *telling;

    /* the loop's thread only */
    bool is_over; /* timers are refused */
    int handler_count;
    spni_task *running;
    spni_timer *timers;
    uint64_t rest_until_ns;
    int event_count;
    struct epoll_event events[SPNI_LOOP_EVENTS];
};

/* The identity of the calling thread. */
const void *spni_loop_self(void);

/* Have the loop look at what has been left for it. Any thread. */
void spni_loop_wake(spni_loop *loop);
bool spni_loop_has_work(spni_loop *loop);

/* The rest: on the loop's thread only. */

/* Calls and tasks; false when the loop has been asked to stop instead. */
bool spni_loop_do_posted(spni_loop *loop);
/* No task is taken any more, and those that wait are forgotten. */
void spni_loop_drop_tasks(spni_loop *loop);
/* Run the last calls; from now on they run in the calling thread. */
void spni_loop_finish_calls(spni_loop *loop);

void spni_loop_tell_residents(spni_loop *loop);

void spni_loop_fire_timers(spni_loop *loop);
void spni_loop_cancel_timers(spni_loop *loop);
uint64_t spni_loop_until_timer_ns(const spni_loop *loop, uint64_t now_ns);

int spni_loop_watch_wake(spni_loop *loop);
/* Wait for events, and call the handlers that have one. */
void spni_loop_wait(spni_loop *loop);

#endif
