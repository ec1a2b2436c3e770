/* SPDX-License-Identifier: Apache-2.0 */
/* What other threads leave for a loop: calls, whose callers wait, and tasks. */
#include <stddef.h>
#include <unistd.h>

#include "base/loop_state.h"
#include "base/threads.h"

/* ---- waking ---- */

void spni_loop_wake(spni_loop *loop)
{
    int had_work = __atomic_exchange_n(&loop->has_work, 1, __ATOMIC_ACQ_REL);
    if (!had_work && !spni_loop_is_current(loop)) {
        uint64_t one = 1;
        ssize_t length = write(loop->wake.fd, &one, sizeof one);
        (void)length; /* a full counter wakes just as well */
    }
}

bool spni_loop_has_work(spni_loop *loop)
{
    return __atomic_load_n(&loop->has_work, __ATOMIC_ACQUIRE);
}

/* ---- calls ---- */

static void call_now(spni_loop *loop, spni_call *first)
{
    while (first != NULL) {
        spni_call *next = first->next;
        first->function(first->argument);
        pthread_mutex_lock(&loop->lock);
        first->is_done = true;
        pthread_cond_broadcast(&loop->changed);
        pthread_mutex_unlock(&loop->lock);
        first = next;
    }
}

static spni_call *take_calls_locked(spni_loop *loop)
{
    spni_call *first = loop->calls;
    loop->calls = NULL;
    loop->calls_end = &loop->calls;
    return first;
}

/* The loop's thread is gone: be it for the time of one call. */
static void call_as_owner_locked(spni_loop *loop, spni_call *one)
{
    while (__atomic_load_n(&loop->owner, __ATOMIC_RELAXED) != NULL)
        pthread_cond_wait(&loop->changed, &loop->lock);
    __atomic_store_n(&loop->owner, spni_loop_self(), __ATOMIC_RELAXED);
    pthread_mutex_unlock(&loop->lock);
    one->function(one->argument);
    pthread_mutex_lock(&loop->lock);
    __atomic_store_n(&loop->owner, NULL, __ATOMIC_RELAXED);
    pthread_cond_broadcast(&loop->changed);
}

int spni_loop_call(spni_loop *loop, void (*function)(void *), void *argument)
{
    spn_threads *threads = loop->threads;
    spni_call one = {.function = function, .argument = argument};
    if (spni_threads_is_forked(threads))
        return SPN_EFORKED;
    if (spni_loop_is_current(loop)) {
        function(argument);
        return 0;
    }
    /* The function may give up what kept the loop in being. */
    spni_threads_ref(threads);
    pthread_mutex_lock(&loop->lock);
    if (loop->state == SPNI_LOOP_STOPPED) {
        call_as_owner_locked(loop, &one);
    } else {
        *loop->calls_end = &one;
        loop->calls_end = &one.next;
        spni_loop_wake(loop);
        while (!one.is_done)
            pthread_cond_wait(&loop->changed, &loop->lock);
    }
    pthread_mutex_unlock(&loop->lock);
    spn_threads_unref(threads);
    return 0;
}

void spni_loop_finish_calls(spni_loop *loop)
{
    pthread_mutex_lock(&loop->lock);
    while (loop->calls != NULL) {
        spni_call *calls = take_calls_locked(loop);
        pthread_mutex_unlock(&loop->lock);
        call_now(loop, calls);
        pthread_mutex_lock(&loop->lock);
    }
    loop->state = SPNI_LOOP_STOPPED;
    __atomic_store_n(&loop->owner, NULL, __ATOMIC_RELAXED);
    pthread_cond_broadcast(&loop->changed);
    pthread_mutex_unlock(&loop->lock);
}

/* ---- tasks ---- */

bool spni_loop_post(spni_loop *loop, spni_task *task)
{
    if (spni_threads_is_forked(loop->threads))
        return false;
    pthread_mutex_lock(&loop->lock);
    bool is_taken = loop->state < SPNI_LOOP_STOPPING;
    if (is_taken && !task->posted) {
        task->posted = true;
        task->next = NULL;
        *loop->tasks_end = task;
        loop->tasks_end = &task->next;
        spni_loop_wake(loop);
    }
    pthread_mutex_unlock(&loop->lock);
    return is_taken;
}

static spni_task *take_tasks_locked(spni_loop *loop)
{
    spni_task *first = loop->tasks;
    loop->tasks = NULL;
    loop->tasks_end = &loop->tasks;
    return first;
}

static bool remove_task(spni_task **link, const spni_task *task)
{
    for (; *link != NULL; link = &(*link)->next)
        if (*link == task) {
            *link = task->next;
            return true;
        }
    return false;
}

void spni_loop_unpost(spni_loop *loop, spni_task *task)
{
    pthread_mutex_lock(&loop->lock);
    if (task->posted && !remove_task(&loop->running, task)) {
        remove_task(&loop->tasks, task);
        loop->tasks_end = &loop->tasks;
        while (*loop->tasks_end != NULL)
            loop->tasks_end = &(*loop->tasks_end)->next;
    }
    task->posted = false;
    pthread_mutex_unlock(&loop->lock);
}

static spni_task *next_task(spni_loop *loop)
{
    pthread_mutex_lock(&loop->lock);
    spni_task *task = loop->running;
    if (task != NULL) {
        loop->running = task->next;
        task->posted = false;
    }
    pthread_mutex_unlock(&loop->lock);
    return task;
}

bool spni_loop_do_posted(spni_loop *loop)
{
    spni_task *task;
    if (!__atomic_exchange_n(&loop->has_work, 0, __ATOMIC_ACQ_REL))
        return true;
    pthread_mutex_lock(&loop->lock);
    if (loop->state != SPNI_LOOP_RUNNING) {
        pthread_mutex_unlock(&loop->lock);
        return false;
    }
    spni_call *calls = take_calls_locked(loop);
    loop->running = take_tasks_locked(loop);
    pthread_mutex_unlock(&loop->lock);
    call_now(loop, calls);
    while ((task = next_task(loop)) != NULL)
        task->run(task);
    return true;
}

void spni_loop_drop_tasks(spni_loop *loop)
{
    pthread_mutex_lock(&loop->lock);
    loop->state = SPNI_LOOP_STOPPING;
    spni_task *tasks = take_tasks_locked(loop);
    while (tasks != NULL) {
        spni_task *next = tasks->next;
        tasks->posted = false;
        tasks = next;
    }
    pthread_mutex_unlock(&loop->lock);
}
