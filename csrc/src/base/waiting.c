/* SPDX-License-Identifier: Apache-2.0 */
/* A loop's waits: epoll for its handlers, and the rest that a busy reader asks
 * for. */
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/loop_state.h"

#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441
#endif

/* ioctl_eventpoll(2), since Linux 6.9. */
typedef struct {
    uint32_t busy_poll_us;
    uint16_t budget;
    uint8_t prefers_busy_poll;
    uint8_t zero;
} epoll_parameters;

#define SET_PARAMETERS _IOW(0x8A, 0x01, epoll_parameters)
#define GET_PARAMETERS _IOR(0x8A, 0x02, epoll_parameters)

/* ---- handlers ---- */

static int control(spni_loop *loop, int operation, spni_handler *handler,
                   uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = handler};
    int result = epoll_ctl(loop->epoll_fd, operation, handler->fd, &event);
    return result < 0 ? -errno : 0;
}

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

/* ---- the eventfd that wakes ---- */

static void on_wake(spni_handler *handler, uint32_t events)
{
    uint64_t count;
    (void)events;
    ssize_t length = read(handler->fd, &count, sizeof count);
    (void)length;
}

int spni_loop_watch_wake(spni_loop *loop)
{
    loop->wake_handler = (spni_handler){loop->wake.fd, on_wake};
    return control(loop, EPOLL_CTL_ADD, &loop->wake_handler, EPOLLIN);
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
    if (timeout_ns != SPNI_FOR_EVER) {
        uint64_t ns = timeout_ns < limit ? timeout_ns : limit;
        timeout_ms = (int)((ns + 999999) / 1000000);
    }
    return epoll_wait(loop->epoll_fd, loop->events, SPNI_LOOP_EVENTS, timeout_ms);
}

static int wait_for_events(spni_loop *loop, uint64_t timeout_ns)
{
    static int lacks_pwait2; /* atomic */
    struct timespec timeout = as_timespec(timeout_ns);
    if (timeout_ns == 0 || timeout_ns == SPNI_FOR_EVER ||
        __atomic_load_n(&lacks_pwait2, __ATOMIC_RELAXED))
        return wait_coarsely(loop, timeout_ns);
    long count = syscall(SYS_epoll_pwait2, loop->epoll_fd, loop->events,
                         SPNI_LOOP_EVENTS, &timeout, NULL, 0);
    if (count < 0 && errno != EINTR) {
        __atomic_store_n(&lacks_pwait2, 1, __ATOMIC_RELAXED);
        return wait_coarsely(loop, timeout_ns);
    }
    return (int)count;
}

void spni_loop_rest(spni_loop *loop, uint64_t until_ns)
{
    loop->rest_until_ns = until_ns;
}

bool spni_loop_busy_poll(spni_loop *loop, unsigned us)
{
    epoll_parameters now;
    if (ioctl(loop->epoll_fd, GET_PARAMETERS, &now) < 0)
        return false;
    if (now.busy_poll_us >= us)
        return true;
    now.busy_poll_us = us;
    return ioctl(loop->epoll_fd, SET_PARAMETERS, &now) == 0;
}

/* True when the time is up, or there is something else to do. */
static bool rest_once(spni_loop *loop, uint64_t until_ns)
{
    uint64_t now_ns = spni_now_ns();
    uint64_t timer_ns = spni_loop_until_timer_ns(loop, now_ns);
    if (until_ns <= now_ns || timer_ns == 0 || spni_loop_has_work(loop))
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

void spni_loop_wait(spni_loop *loop)
{
    bool spins = is_spinning(loop);
    uint64_t until_ns = spins ? 0 : loop->rest_until_ns;
    loop->rest_until_ns = 0;
    while (until_ns != 0 && !rest_once(loop, until_ns))
        continue;
    uint64_t timeout_ns = 0;
    if (!spins && !spni_loop_has_work(loop))
        timeout_ns = loop->timers == NULL
                         ? SPNI_FOR_EVER
                         : spni_loop_until_timer_ns(loop, spni_now_ns());
    int count = wait_for_events(loop, timeout_ns);
    loop->event_count = count > 0 ? count : 0;
    call_handlers(loop);
}
