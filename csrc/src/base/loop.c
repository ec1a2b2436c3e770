/* SPDX-License-Identifier: Apache-2.0 */
/* A round: run what was posted, fire the timers that are due, wait, call the
 * handlers. `lock` guards what other threads leave for the loop; everything
 * else belongs to its thread, or after its end to whoever is `owner`.
 *
 * `has_work` says that the lists behind the lock are worth a look. Setting it
 * from another thread raises the eventfd, but only on the change from false,
 * so a burst of posts costs one write.
 *
 * Timers are a sorted list: a loop has a handful, and most are set to fire
 * next.
 */
#include "base/loop.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/event.h"
#include "base/threads.h"

#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441
#endif

#define EVENTS 64
#define FOR_EVER UINT64_MAX

typedef struct call {
    void (*function)(void *);
    void *argument;
    struct call *next;
    bool is_done;
} call;

enum {
    RUNNING,
    ASKED,    /* to stop */
    STOPPING, /* no more tasks; residents are being told */
    STOPPED,  /* calls run in the calling thread */
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
    call *calls, **calls_end;
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
    struct epoll_event events[EVENTS];
};

/* Its address is the identity of a thread. */
static _Thread_local char self;

bool spni_loop_is_current(const spni_loop *loop)
{
    return __atomic_load_n(&loop->owner, __ATOMIC_RELAXED) == &self;
}

/* ---- waking ---- */

static void wake(spni_loop *loop)
{
    int had_work = __atomic_exchange_n(&loop->has_work, 1, __ATOMIC_ACQ_REL);
    if (!had_work && !spni_loop_is_current(loop)) {
        uint64_t one = 1;
        ssize_t length = write(loop->wake.fd, &one, sizeof one);
        (void)length; /* a full counter wakes just as well */
    }
}

static void on_wake(spni_handler *handler, uint32_t events)
{
    uint64_t count;
    (void)events;
    ssize_t length = read(handler->fd, &count, sizeof count);
    (void)length;
}

static int control(spni_loop *loop, int operation, spni_handler *handler,
                   uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = handler};
    int result = epoll_ctl(loop->epoll_fd, operation, handler->fd, &event);
    return result < 0 ? -errno : 0;
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
    loop->wake_handler = (spni_handler){loop->wake.fd, on_wake};
    error = control(loop, EPOLL_CTL_ADD, &loop->wake_handler, EPOLLIN);
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
    if (loop->state == RUNNING)
        loop->state = ASKED;
    wake(loop);
    pthread_mutex_unlock(&loop->lock);
}

void spni_loop_set_spin(spni_loop *loop, bool spin)
{
    __atomic_store_n(&loop->spins, spin, __ATOMIC_RELAXED);
    wake(loop);
}

/* ---- residents ---- */

bool spni_loop_admit(spni_loop *loop, spni_resident *resident)
{
    pthread_mutex_lock(&loop->lock);
    bool is_in = loop->state == RUNNING;
    if (is_in) {
        resident->next = loop->residents;
        resident->previous = &loop->residents;
        if (resident->next != NULL)
            resident->next->previous = &resident->next;
        loop->residents = resident;
        loop->resident_count++;
    }
    pthread_mutex_unlock(&loop->lock);
    return is_in;
}

int spni_loop_resident_count(spni_loop *loop)
{
    pthread_mutex_lock(&loop->lock);
    int count = loop->resident_count;
    pthread_mutex_unlock(&loop->lock);
    return count;
}

static void unlink_resident_locked(spni_loop *loop, spni_resident *resident)
{
    if (resident->previous == NULL)
        return;
    *resident->previous = resident->next;
    if (resident->next != NULL)
        resident->next->previous = resident->previous;
    resident->next = NULL;
    resident->previous = NULL;
    loop->resident_count--;
}

void spni_loop_leave(spni_loop *loop, spni_resident *resident)
{
    spn_threads *threads = loop->threads;
    if (!spni_threads_is_forked(threads)) {
        pthread_mutex_lock(&loop->lock);
        unlink_resident_locked(loop, resident);
        while (loop->telling == resident && !spni_loop_is_current(loop))
            pthread_cond_wait(&loop->changed, &loop->lock);
        pthread_mutex_unlock(&loop->lock);
    }
    spn_threads_unref(threads);
}

static void tell_residents(spni_loop *loop)
{
    pthread_mutex_lock(&loop->lock);
    while (loop->residents != NULL) {
        spni_resident *resident = loop->residents;
        unlink_resident_locked(loop, resident);
        loop->telling = resident;
        pthread_mutex_unlock(&loop->lock);
        resident->stopping(resident);
        pthread_mutex_lock(&loop->lock);
        loop->telling = NULL;
        pthread_cond_broadcast(&loop->changed);
    }
    pthread_mutex_unlock(&loop->lock);
}

/* ---- calls ---- */

static void call_now(spni_loop *loop, call *first)
{
    while (first != NULL) {
        call *next = first->next;
        first->function(first->argument);
        pthread_mutex_lock(&loop->lock);
        first->is_done = true;
        pthread_cond_broadcast(&loop->changed);
        pthread_mutex_unlock(&loop->lock);
        first = next;
    }
}

static call *take_calls_locked(spni_loop *loop)
{
    call *first = loop->calls;
    loop->calls = NULL;
    loop->calls_end = &loop->calls;
    return first;
}

/* The loop's thread is gone: be it for the time of one call. */
static void call_as_owner_locked(spni_loop *loop, call *one)
{
    while (__atomic_load_n(&loop->owner, __ATOMIC_RELAXED) != NULL)
        pthread_cond_wait(&loop->changed, &loop->lock);
    __atomic_store_n(&loop->owner, &self, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&loop->lock);
    one->function(one->argument);
    pthread_mutex_lock(&loop->lock);
    __atomic_store_n(&loop->owner, NULL, __ATOMIC_RELAXED);
    pthread_cond_broadcast(&loop->changed);
}

int spni_loop_call(spni_loop *loop, void (*function)(void *), void *argument)
{
    spn_threads *threads = loop->threads;
    call one = {.function = function, .argument = argument};
    if (spni_threads_is_forked(threads))
        return SPN_EFORKED;
    if (spni_loop_is_current(loop)) {
        function(argument);
        return 0;
    }
    /* The function may give up what kept the loop in being. */
    spni_threads_ref(threads);
    pthread_mutex_lock(&loop->lock);
    if (loop->state == STOPPED) {
        call_as_owner_locked(loop, &one);
    } else {
        *loop->calls_end = &one;
        loop->calls_end = &one.next;
        wake(loop);
        while (!one.is_done)
            pthread_cond_wait(&loop->changed, &loop->lock);
    }
    pthread_mutex_unlock(&loop->lock);
    spn_threads_unref(threads);
    return 0;
}

/* ---- tasks ---- */

bool spni_loop_post(spni_loop *loop, spni_task *task)
{
    if (spni_threads_is_forked(loop->threads))
        return false;
    pthread_mutex_lock(&loop->lock);
    bool is_taken = loop->state < STOPPING;
    if (is_taken && !task->posted) {
        task->posted = true;
        task->next = NULL;
        *loop->tasks_end = task;
        loop->tasks_end = &task->next;
        wake(loop);
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

/* Calls and tasks; false when the loop has been asked to stop instead. */
static bool do_posted(spni_loop *loop)
{
    spni_task *task;
    if (!__atomic_exchange_n(&loop->has_work, 0, __ATOMIC_ACQ_REL))
        return true;
    pthread_mutex_lock(&loop->lock);
    if (loop->state != RUNNING) {
        pthread_mutex_unlock(&loop->lock);
        return false;
    }
    call *calls = take_calls_locked(loop);
    loop->running = take_tasks_locked(loop);
    pthread_mutex_unlock(&loop->lock);
    call_now(loop, calls);
    while ((task = next_task(loop)) != NULL)
        task->run(task);
    return true;
}

/* ---- timers ---- */

void spni_timer_cancel(spni_loop *loop, spni_timer *timer)
{
    if (!timer->armed)
        return;
    spni_timer **link = &loop->timers;
    while (*link != timer)
        link = &(*link)->next;
    *link = timer->next;
    timer->armed = false;
}

void spni_timer_set(spni_loop *loop, spni_timer *timer, uint64_t deadline_ns)
{
    spni_timer_cancel(loop, timer);
    if (loop->is_over)
        return;
    spni_timer **link = &loop->timers;
    while (*link != NULL && (*link)->deadline_ns <= deadline_ns)
        link = &(*link)->next;
    timer->deadline_ns = deadline_ns;
    timer->next = *link;
    timer->armed = true;
    *link = timer;
}

static void fire_timers(spni_loop *loop)
{
    if (loop->timers == NULL)
        return;
    /* One that sets itself anew in the past waits for the next round. */
    uint64_t now_ns = spni_now_ns();
    while (loop->timers != NULL && loop->timers->deadline_ns <= now_ns) {
        spni_timer *timer = loop->timers;
        spni_timer_cancel(loop, timer);
        timer->fire(timer);
    }
}

/* ---- handlers ---- */

int spni_loop_add(spni_loop *loop, spni_handler *handler, uint32_t events)
{
    int error = control(loop, EPOLL_CTL_ADD, handler, events);
    loop->handler_count += error == 0;
    return error;
}

int spni_loop_modify(spni_loop *loop, spni_handler *handler, uint32_t events)
{
    return control(loop, EPOLL_CTL_MOD, handler, events);
}

void spni_loop_remove(spni_loop *loop, spni_handler *handler)
{
    loop->handler_count -= control(loop, EPOLL_CTL_DEL, handler, 0) == 0;
    for (int i = 0; i < loop->event_count; i++)
        if (loop->events[i].data.ptr == handler)
            loop->events[i].data.ptr = NULL;
}

static void call_handlers(spni_loop *loop)
{
    for (int i = 0; i < loop->event_count; i++) {
        spni_handler *handler = loop->events[i].data.ptr;
        if (handler != NULL)
            handler->ready(handler, loop->events[i].events);
    }
    loop->event_count = 0;
}

/* ---- waiting ---- */

static struct timespec as_timespec(uint64_t ns)
{
    return (struct timespec){.tv_sec = (time_t)(ns / SPNI_SECOND_NS),
                             .tv_nsec = (long)(ns % SPNI_SECOND_NS)};
}

/* Kernels before 5.11 and some sandboxes have only milliseconds: round up. */
static int wait_coarsely(spni_loop *loop, uint64_t timeout_ns)
{
    uint64_t limit = UINT64_C(1000000) * 1000000; /* fits an int of ms */
    int timeout_ms = -1;
    if (timeout_ns != FOR_EVER) {
        uint64_t ns = timeout_ns < limit ? timeout_ns : limit;
        timeout_ms = (int)((ns + 999999) / 1000000);
    }
    return epoll_wait(loop->epoll_fd, loop->events, EVENTS, timeout_ms);
}

static int wait_for_events(spni_loop *loop, uint64_t timeout_ns)
{
    static int lacks_pwait2; /* atomic */
    struct timespec timeout = as_timespec(timeout_ns);
    if (timeout_ns == 0 || timeout_ns == FOR_EVER ||
        __atomic_load_n(&lacks_pwait2, __ATOMIC_RELAXED))
        return wait_coarsely(loop, timeout_ns);
    long count = syscall(SYS_epoll_pwait2, loop->epoll_fd, loop->events,
                         EVENTS, &timeout, NULL, 0);
    if (count < 0 && errno != EINTR) {
        __atomic_store_n(&lacks_pwait2, 1, __ATOMIC_RELAXED);
        return wait_coarsely(loop, timeout_ns);
    }
    return (int)count;
}

static bool has_work(spni_loop *loop)
{
    return __atomic_load_n(&loop->has_work, __ATOMIC_ACQUIRE);
}

static uint64_t until_timer_ns(const spni_loop *loop, uint64_t now_ns)
{
    if (loop->timers == NULL)
        return FOR_EVER;
    uint64_t deadline_ns = loop->timers->deadline_ns;
    return deadline_ns > now_ns ? deadline_ns - now_ns : 0;
}

void spni_loop_rest(spni_loop *loop, uint64_t until_ns)
{
    loop->rest_until_ns = until_ns;
}

/* True when the time is up, or there is something else to do. */
static bool rest_once(spni_loop *loop, uint64_t until_ns)
{
    uint64_t now_ns = spni_now_ns();
    uint64_t timer_ns = until_timer_ns(loop, now_ns);
    if (until_ns <= now_ns || timer_ns == 0 || has_work(loop))
        return true;
    uint64_t rest_ns = until_ns - now_ns;
    struct timespec timeout =
        as_timespec(timer_ns < rest_ns ? timer_ns : rest_ns);
    struct pollfd woken = {.fd = loop->wake.fd, .events = POLLIN};
    /* It may still be raised for work that has been done. */
    if (ppoll(&woken, 1, &timeout, NULL) > 0)
        on_wake(&loop->wake_handler, EPOLLIN);
    return false;
}

static bool is_spinning(const spni_loop *loop)
{
    return loop->handler_count > 0 &&
           __atomic_load_n(&loop->spins, __ATOMIC_RELAXED);
}

static void wait_and_handle(spni_loop *loop)
{
    bool spins = is_spinning(loop);
    uint64_t until_ns = spins ? 0 : loop->rest_until_ns;
    loop->rest_until_ns = 0;
    while (until_ns != 0 && !rest_once(loop, until_ns))
        continue;
    uint64_t timeout_ns = 0;
    if (!spins && !has_work(loop))
        timeout_ns = loop->timers == NULL
                         ? FOR_EVER
                         : until_timer_ns(loop, spni_now_ns());
    int count = wait_for_events(loop, timeout_ns);
    loop->event_count = count > 0 ? count : 0;
    call_handlers(loop);
}

/* ---- the thread ---- */

static void drop_tasks_and_timers(spni_loop *loop)
{
    pthread_mutex_lock(&loop->lock);
    loop->state = STOPPING;
    spni_task *tasks = take_tasks_locked(loop);
    while (tasks != NULL) {
        spni_task *next = tasks->next;
        tasks->posted = false;
        tasks = next;
    }
    pthread_mutex_unlock(&loop->lock);
    loop->is_over = true;
    while (loop->timers != NULL)
        spni_timer_cancel(loop, loop->timers);
}

static void finish_calls(spni_loop *loop)
{
    pthread_mutex_lock(&loop->lock);
    while (loop->calls != NULL) {
        call *calls = take_calls_locked(loop);
        pthread_mutex_unlock(&loop->lock);
        call_now(loop, calls);
        pthread_mutex_lock(&loop->lock);
    }
    loop->state = STOPPED;
    __atomic_store_n(&loop->owner, NULL, __ATOMIC_RELAXED);
    pthread_cond_broadcast(&loop->changed);
    pthread_mutex_unlock(&loop->lock);
}

void spni_loop_run(spni_loop *loop)
{
    __atomic_store_n(&loop->owner, &self, __ATOMIC_RELAXED);
    while (do_posted(loop)) {
        fire_timers(loop);
        wait_and_handle(loop);
    }
    drop_tasks_and_timers(loop);
    tell_residents(loop);
    finish_calls(loop);
}
