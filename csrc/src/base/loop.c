/* SPDX-License-Identifier: Apache-2.0 */
/* A round: run what was posted, fire the timers that are due, wait, call the
 * handlers. */
#include "base/loop_state.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/threads.h"

/* Its address is the identity of a thread. */
static _Thread_local char self;

bool spni_loop_is_current(const spni_loop *loop)
{
    return __atomic_load_n(&loop->owner, __ATOMIC_RELAXED) == &self;
}

const void *spni_loop_self(void)
{
    return &self;
}

/* ---- life ---- */

int spni_loop_new(spn_threads *threads, spni_loop **out)
{
    int error;
    *out = NULL;
    spni_loop *loop = calloc(1, sizeof *loop);
    if (loop == NULL)
        return -ENOMEM;
    loop->threads = threads;
    loop->calls_end = &loop->calls;
    loop->tasks_end = &loop->tasks;
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll_fd < 0) {
        error = -errno;
        goto free_loop;
    }
    error = spni_event_init(&loop->wake);
    if (error < 0)
        goto close_epoll;
    error = spni_loop_watch_wake(loop);
    if (error < 0)
        goto close_wake;
    pthread_mutex_init(&loop->lock, NULL);
    pthread_cond_init(&loop->changed, NULL);
    *out = loop;
    return 0;

close_wake:
    spni_event_fini(&loop->wake);
close_epoll:
    close(loop->epoll_fd);
free_loop:
    free(loop);
    return error;
}

void spni_loop_free(spni_loop *loop)
{
    if (loop == NULL)
        return;
    pthread_cond_destroy(&loop->changed);
    pthread_mutex_destroy(&loop->lock);
    spni_event_fini(&loop->wake);
    close(loop->epoll_fd);
    free(loop);
}

void spni_loop_stop(spni_loop *loop)
{
    pthread_mutex_lock(&loop->lock);
    if (loop->state == SPNI_LOOP_RUNNING)
        loop->state = SPNI_LOOP_ASKED;
    spni_loop_wake(loop);
    pthread_mutex_unlock(&loop->lock);
}

void spni_loop_set_spin(spni_loop *loop, bool spin)
{
    __atomic_store_n(&loop->spins, spin, __ATOMIC_RELAXED);
    spni_loop_wake(loop);
}

/* ---- the thread ---- */

void spni_loop_run(spni_loop *loop)
{
    __atomic_store_n(&loop->owner, spni_loop_self(), __ATOMIC_RELAXED);
    while (spni_loop_do_posted(loop)) {
        spni_loop_fire_timers(loop);
        spni_loop_wait(loop);
    }
    spni_loop_drop_tasks(loop);
    spni_loop_cancel_timers(loop);
    spni_loop_tell_residents(loop);
    spni_loop_finish_calls(loop);
}
