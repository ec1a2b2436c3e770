/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/loop.h"
#include "check.h"

/* A resident with one of everything; `done` becomes readable at each event
 * that the test waits for. */
typedef struct {
    spni_resident resident;
    spni_handler handler;
    spni_timer timer;
    spni_task task;
    spni_loop *loop;
    spn_threads *threads;
    int done;
    int runs, fires, stops; /* loop's thread, read after `done` */
    uint64_t until_ns, seen_ns;
    char name[16];
} guest;

static void announce(guest *host)
{
    uint64_t one = 1;
    CHECK(write(host->done, &one, sizeof one) == sizeof one);
}

static void await(guest *host)
{
    uint64_t count;
    struct pollfd ready = {.fd = host->done, .events = POLLIN};
    CHECK_EQ(poll(&ready, 1, PATIENCE_MS), 1);
    CHECK(read(host->done, &count, sizeof count) == sizeof count);
}

#define OWNER(pointer, member)                                               \
    ((guest *)(void *)((char *)(pointer) - offsetof(guest, member)))

static void on_stopping(spni_resident *resident)
{
    guest *host = OWNER(resident, resident);
    CHECK(spni_loop_is_current(host->loop));
    host->stops++;
}

static void on_task(spni_task *task)
{
    guest *host = OWNER(task, task);
    host->runs++;
    if (host->runs % 3 != 0)
        CHECK(spni_loop_post(host->loop, task));
    else
        announce(host);
}

static void on_timer(spni_timer *timer)
{
    guest *host = OWNER(timer, timer);
    CHECK(spni_now_ns() >= timer->deadline_ns);
    host->fires++;
    announce(host);
}

static void guest_enter(guest *host, spn_threads *threads)
{
    memset(host, 0, sizeof *host);
    host->resident.stopping = on_stopping;
    host->task.run = on_task;
    host->timer.fire = on_timer;
    host->threads = threads;
    host->done = eventfd(0, EFD_CLOEXEC);
    CHECK(host->done >= 0);
    host->loop = spni_loop_join(threads, &host->resident);
    CHECK(host->loop != NULL);
}

static void guest_leave(guest *host)
{
    spni_loop_leave(host->loop, &host->resident);
    close(host->done);
}

static spn_threads *start(int count)
{
    spn_threads *threads;
    CHECK_EQ(spn_threads_new(count, NULL, 0, &threads), 0);
    return threads;
}

static void bad_arguments_are_refused(void)
{
    spn_threads *threads;
    int affinity[] = {-1};
    CHECK_ERR(spn_threads_new(0, NULL, 0, &threads), -EINVAL);
    CHECK_ERR(spn_threads_new(1, affinity, 1, &threads), -EINVAL);
    CHECK(threads == NULL);
    CHECK_ERR(spn_set_affinity(-1), -EINVAL);
    spn_threads_unref(NULL);
}

static void tasks_run_once_a_post(void)
{
    guest host;
    spn_threads *threads = start(1);
    guest_enter(&host, threads);
    for (int round = 1; round <= 100; round++) {
        CHECK(spni_loop_post(host.loop, &host.task));
        await(&host);
        CHECK_EQ(host.runs, 3 * round);
    }
    guest_leave(&host);
    spn_threads_unref(threads);
}

static void set_timer(void *argument)
{
    guest *host = argument;
    spni_timer never = {.fire = on_timer};
    spni_timer_set(host->loop, &never, spni_now_ns());
    spni_timer_set(host->loop, &host->timer, UINT64_MAX);
    spni_timer_set(host->loop, &host->timer, spni_now_ns() + 300000);
    spni_timer_cancel(host->loop, &never);
    spni_timer_cancel(host->loop, &never);
    CHECK(!never.armed);
    CHECK(host->timer.armed);
}

static void timers_fire_when_due(void)
{
    guest host;
    spn_threads *threads = start(1);
    guest_enter(&host, threads);
    for (int i = 1; i <= 20; i++) {
        CHECK_EQ(spni_loop_call(host.loop, set_timer, &host), 0);
        await(&host);
        CHECK_EQ(host.fires, i);
    }
    guest_leave(&host);
    spn_threads_unref(threads);
}

static void read_name(void *argument)
{
    guest *host = argument;
    CHECK(spni_loop_is_current(host->loop));
    CHECK_EQ(pthread_getname_np(pthread_self(), host->name, 16), 0);
    CHECK_EQ(spni_loop_call(host->loop, set_timer, host), 0);
}

static void calls_run_on_the_named_thread(void)
{
    guest host;
    spn_threads *threads = start(1);
    guest_enter(&host, threads);
    CHECK(!spni_loop_is_current(host.loop));
    CHECK_EQ(spni_loop_call(host.loop, read_name, &host), 0);
    CHECK(strcmp(host.name, "pyspin-0") == 0);
    await(&host);
    guest_leave(&host);
    spn_threads_unref(threads);
}

/* Two handlers that are ready at once: the first removes the other. */
static guest *pair[2];

static void on_ready(spni_handler *handler, uint32_t events)
{
    guest *host = OWNER(handler, handler);
    CHECK(events & EPOLLIN);
    spni_loop_remove(host->loop, &pair[0]->handler);
    spni_loop_remove(host->loop, &pair[1]->handler);
    host->runs++;
    announce(pair[0]);
}

static void add_pair(void *argument)
{
    (void)argument;
    for (int i = 0; i < 2; i++) {
        pair[i]->handler = (spni_handler){eventfd(1, EFD_CLOEXEC), on_ready};
        CHECK_EQ(spni_loop_add(pair[i]->loop, &pair[i]->handler, EPOLLIN), 0);
    }
}

static void removed_handlers_are_not_called(void)
{
    guest one, two;
    spn_threads *threads = start(1);
    guest_enter(&one, threads);
    guest_enter(&two, threads);
    pair[0] = &one;
    pair[1] = &two;
    CHECK_EQ(spni_loop_call(one.loop, add_pair, NULL), 0);
    await(&one);
    spn_threads_stop(threads);
    CHECK_EQ(one.runs + two.runs, 1);
    close(one.handler.fd);
    close(two.handler.fd);
    guest_leave(&one);
    guest_leave(&two);
    spn_threads_unref(threads);
}

static void on_rested(spni_handler *handler, uint32_t events)
{
    guest *host = OWNER(handler, handler);
    (void)events;
    host->seen_ns = spni_now_ns();
    spni_loop_remove(host->loop, handler);
    announce(host);
}

static void rest_with_ready_handler(void *argument)
{
    guest *host = argument;
    host->handler = (spni_handler){eventfd(1, EFD_CLOEXEC), on_rested};
    CHECK_EQ(spni_loop_add(host->loop, &host->handler, EPOLLIN), 0);
    host->until_ns = spni_now_ns() + 2000000;
    spni_loop_rest(host->loop, host->until_ns);
}

static void a_rest_holds_back_handlers(void)
{
    guest host;
    spn_threads *threads = start(1);
    guest_enter(&host, threads);
    CHECK_EQ(spni_loop_call(host.loop, rest_with_ready_handler, &host), 0);
    await(&host);
    CHECK(host.seen_ns >= host.until_ns);
    close(host.handler.fd);
    guest_leave(&host);
    spn_threads_unref(threads);
}

/* ---- spinning ---- */

static void add_eventfd(void *argument)
{
    guest *host = argument;
    host->handler = (spni_handler){eventfd(0, EFD_CLOEXEC), on_rested};
    CHECK_EQ(spni_loop_add(host->loop, &host->handler, EPOLLIN), 0);
}

static void rest_for_an_hour(void *argument)
{
    guest *host = argument;
    spni_loop_rest(host->loop, spni_now_ns() + UINT64_C(3600) * 1000000000);
}

static void expect_all_kinds_of_work(guest *host)
{
    for (int i = 1; i <= 3; i++) {
        CHECK(spni_loop_post(host->loop, &host->task));
        await(host);
        CHECK_EQ(host->runs, 3 * i);
        CHECK_EQ(spni_loop_call(host->loop, set_timer, host), 0);
        await(host);
        CHECK_EQ(host->fires, i);
    }
}

static void spinning_does_all_that_sleeping_does(void)
{
    guest host;
    uint64_t one = 1;
    spn_threads *threads = start(1);
    guest_enter(&host, threads);
    spn_threads_set_spin(threads, true);
    expect_all_kinds_of_work(&host); /* without a handler: asleep */
    CHECK_EQ(spni_loop_call(host.loop, add_eventfd, &host), 0);
    host.runs = host.fires = 0;
    expect_all_kinds_of_work(&host);
    /* It does not rest. */
    CHECK_EQ(spni_loop_call(host.loop, rest_for_an_hour, &host), 0);
    CHECK(write(host.handler.fd, &one, sizeof one) == sizeof one);
    await(&host);
    close(host.handler.fd);
    guest_leave(&host);
    spn_threads_unref(threads);
}

static void stop_while_spinning(void)
{
    guest host;
    spn_threads *threads = start(1);
    spn_threads_set_spin(threads, true);
    guest_enter(&host, threads);
    CHECK_EQ(spni_loop_call(host.loop, add_eventfd, &host), 0);
    spn_threads_stop(threads);
    CHECK_EQ(host.stops, 1);
    close(host.handler.fd);
    guest_leave(&host);
    spn_threads_unref(threads);
}

static void read_tid(void *argument)
{
    *(pid_t *)argument = gettid();
}

/* R: running or ready to, S: asleep (proc(5)). */
static char state_of(pid_t tid)
{
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)tid);
    FILE *file = fopen(path, "re");
    CHECK(file != NULL && fgets(line, sizeof line, file) != NULL);
    fclose(file);
    return strrchr(line, ')')[2];
}

static void await_sleep(pid_t tid)
{
    uint64_t deadline_ns = spni_now_ns() + PATIENCE_S * SPNI_SECOND_NS;
    while (state_of(tid) != 'S') {
        CHECK(spni_now_ns() < deadline_ns);
        sched_yield();
    }
}

static void only_with_handlers_does_it_spin(void)
{
    guest host;
    pid_t tid;
    spn_threads *threads = start(1);
    guest_enter(&host, threads);
    spn_threads_set_spin(threads, true);
    CHECK_EQ(spni_loop_call(host.loop, read_tid, &tid), 0);
    await_sleep(tid);
    CHECK_EQ(spni_loop_call(host.loop, add_eventfd, &host), 0);
    for (int i = 0; i < 100; i++)
        CHECK(state_of(tid) != 'S');
    spn_threads_set_spin(threads, false);
    await_sleep(tid);
    close(host.handler.fd);
    guest_leave(&host);
    spn_threads_unref(threads);
}

static void unpost_self(void *argument)
{
    guest *host = argument;
    CHECK(spni_loop_post(host->loop, &host->task));
    spni_loop_unpost(host->loop, &host->task);
    CHECK(!host->task.posted);
    CHECK(spni_loop_post(host->loop, &host->task));
    spni_loop_unpost(host->loop, &host->task);
    spni_loop_unpost(host->loop, &host->task);
}

static void unposted_tasks_do_not_run(void)
{
    guest host;
    spn_threads *threads = start(1);
    guest_enter(&host, threads);
    CHECK_EQ(spni_loop_call(host.loop, unpost_self, &host), 0);
    spn_threads_stop(threads);
    CHECK_EQ(host.runs, 0);
    guest_leave(&host);
    spn_threads_unref(threads);
}

static void set_timer_refused(void *argument)
{
    guest *host = argument;
    spni_timer_set(host->loop, &host->timer, 0);
    CHECK(!host->timer.armed);
    host->runs++;
}

static void stop_tells_residents_and_leaves_calls(void)
{
    guest one, two;
    spn_threads *threads = start(2);
    guest_enter(&one, threads);
    guest_enter(&two, threads);
    CHECK(one.loop != two.loop);
    spn_threads_stop(threads);
    spn_threads_stop(threads);
    CHECK_EQ(one.stops, 1);
    CHECK_EQ(two.stops, 1);
    CHECK(!spni_loop_post(one.loop, &one.task));
    CHECK(!spni_loop_is_current(one.loop));
    CHECK_EQ(spni_loop_call(one.loop, set_timer_refused, &one), 0);
    spni_resident late = {.stopping = on_stopping};
    CHECK(spni_loop_join(threads, &late) == NULL);
    guest_leave(&one);
    guest_leave(&two);
    spn_threads_unref(threads);
}

static void *call_often(void *argument)
{
    guest *host = argument;
    for (int i = 0; i < 200; i++)
        CHECK_EQ(spni_loop_call(host->loop, set_timer_refused, host), 0);
    return NULL;
}

static void calls_on_a_stopped_loop_exclude_one_another(void)
{
    guest host;
    pthread_t callers[4];
    spn_threads *threads = start(1);
    guest_enter(&host, threads);
    spn_threads_stop(threads);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(pthread_create(&callers[i], NULL, call_often, &host), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(callers[i], NULL);
    CHECK_EQ(host.runs, 800);
    guest_leave(&host);
    spn_threads_unref(threads);
}

static void *stop_pool(void *argument)
{
    spn_threads_stop(argument);
    return NULL;
}

static void stop_from_many_threads(void)
{
    pthread_t stoppers[4];
    spn_threads *threads = start(3);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(pthread_create(&stoppers[i], NULL, stop_pool, threads), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(stoppers[i], NULL);
    spn_threads_unref(threads);
}

static void stop_here(void *argument)
{
    guest *host = argument;
    spn_threads_stop(host->threads);
    spn_threads_stop(host->threads);
}

static void stop_on_a_loop_thread_does_not_wait_for_itself(void)
{
    guest host;
    spn_threads *threads = start(2);
    guest_enter(&host, threads);
    CHECK_EQ(spni_loop_call(host.loop, stop_here, &host), 0);
    spn_threads_stop(threads);
    CHECK_EQ(host.stops, 1);
    guest_leave(&host);
    spn_threads_unref(threads);
}

static void all_pools_can_be_stopped_at_once(void)
{
    guest hosts[3];
    spn_threads *threads[3];
    for (int i = 0; i < 3; i++) {
        threads[i] = start(i + 1);
        guest_enter(&hosts[i], threads[i]);
    }
    spn_threads_unref(threads[1]); /* its guest keeps it */
    spn_threads_stop_all();
    spn_threads_stop_all();
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(hosts[i].stops, 1);
        guest_leave(&hosts[i]);
        if (i != 1)
            spn_threads_unref(threads[i]);
    }
}

static void leave_here(spni_task *task)
{
    guest *host = OWNER(task, task);
    int done = host->done;
    spni_loop_leave(host->loop, &host->resident);
    uint64_t one = 1;
    CHECK(write(done, &one, sizeof one) == sizeof one);
}

static void the_last_reference_may_go_on_a_loop_thread(void)
{
    for (int i = 0; i < 20; i++) {
        guest host;
        spn_threads *threads = start(2);
        guest_enter(&host, threads);
        host.task.run = leave_here;
        spni_loop *loop = host.loop;
        /* The guest is the last to hold the pool. */
        spn_threads_unref(threads);
        CHECK(spni_loop_post(loop, &host.task));
        await(&host);
        close(host.done);
    }
}

static void leave_within_call(void *argument)
{
    guest *host = argument;
    spni_loop_leave(host->loop, &host->resident);
}

static void the_last_reference_may_go_within_a_call(void)
{
    for (int i = 0; i < 20; i++) {
        guest host;
        spn_threads *threads = start(1);
        guest_enter(&host, threads);
        if (i % 2)
            spn_threads_stop(threads);
        spn_threads_unref(threads);
        CHECK_EQ(spni_loop_call(host.loop, leave_within_call, &host), 0);
        close(host.done);
    }
}

static void do_nothing(void *argument)
{
    (void)argument;
}

/* A thread that is still starting may hold locks of a sanitizer's allocator. */
static void calls_settle(guest *host)
{
    guest other;
    guest_enter(&other, host->threads);
    CHECK(other.loop != host->loop);
    CHECK_EQ(spni_loop_call(host->loop, do_nothing, NULL), 0);
    CHECK_EQ(spni_loop_call(other.loop, do_nothing, NULL), 0);
    guest_leave(&other);
}

static void a_forked_child_neither_waits_nor_runs(void)
{
    guest host;
    spn_threads *threads = start(2);
    guest_enter(&host, threads);
    calls_settle(&host);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        spni_resident late = {.stopping = on_stopping};
        alarm(PATIENCE_S);
        CHECK_ERR(spni_loop_call(host.loop, set_timer, &host), SPN_EFORKED);
        CHECK(spni_loop_join(threads, &late) == NULL);
        CHECK(!spni_loop_post(host.loop, &host.task));
        spn_threads_stop(threads);
        guest_leave(&host);
        spn_threads_unref(threads);
#if !defined __SANITIZE_THREAD__ && !defined __SANITIZE_ADDRESS__
        /* Their runtimes take no threads after a fork. */
        threads = start(1);
        spn_threads_unref(threads);
#endif
        _exit(0);
    }
    int status;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
    CHECK(spni_loop_post(host.loop, &host.task));
    await(&host);
    guest_leave(&host);
    spn_threads_unref(threads);
}

int main(void)
{
    a_forked_child_neither_waits_nor_runs();
    bad_arguments_are_refused();
    tasks_run_once_a_post();
    timers_fire_when_due();
    calls_run_on_the_named_thread();
    removed_handlers_are_not_called();
    a_rest_holds_back_handlers();
    spinning_does_all_that_sleeping_does();
    stop_while_spinning();
    only_with_handlers_does_it_spin();
    unposted_tasks_do_not_run();
    stop_tells_residents_and_leaves_calls();
    calls_on_a_stopped_loop_exclude_one_another();
    stop_from_many_threads();
    stop_on_a_loop_thread_does_not_wait_for_itself();
    all_pools_can_be_stopped_at_once();
    the_last_reference_may_go_on_a_loop_thread();
    the_last_reference_may_go_within_a_call();
    return 0;
}
