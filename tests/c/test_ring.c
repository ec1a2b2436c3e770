/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "check.h"
#include "spead/ring.h"

enum { HEAPS = 20000, CONSUMERS = 3 };

typedef struct {
    spni_ring_waiter base;
    unsigned resumed; /* atomic */
} waiter;

static void resume(spni_ring_waiter *base)
{
    __atomic_add_fetch(&((waiter *)base)->resumed, 1, __ATOMIC_RELEASE);
}

static void fill(spni_heap_queue *queue, uint64_t first, uint64_t count)
{
    spni_shells *shells = spni_shells_new();
    CHECK(shells != NULL);
    for (uint64_t i = 0; i < count; i++) {
        spni_heap *heap = spni_heap_new(shells, 0, 0);
        CHECK(heap != NULL);
        heap->fields.cnt = first + i;
        spni_heap_queue_push(queue, heap);
    }
    spni_shells_free(shells);
}

static int push(spn_ring *ring, uint64_t first, uint64_t count)
{
    spni_heap_queue queue;
    waiter none = {.base = {.resume = resume}};
    size_t length;
    int pushed;
    spni_heap_queue_init(&queue);
    fill(&queue, first, count);
    pushed = spni_ring_push(ring, &queue, &none.base, &length);
    spni_ring_forget(ring, &none.base);
    for (spni_heap *heap; (heap = spni_heap_queue_pop(&queue)) != NULL;)
        spn_heap_unref(&heap->fields);
    return pushed;
}

static bool is_readable(spn_ring *ring)
{
    struct pollfd poller = {.fd = spn_ring_fd(ring), .events = POLLIN};
    return poll(&poller, 1, 0) == 1;
}

static spn_ring *joined(size_t capacity)
{
    spn_ring *ring;
    CHECK_EQ(spn_ring_new(capacity, &ring), 0);
    CHECK_EQ(spni_ring_join(ring), 0);
    return ring;
}

static void drop(spn_ring *ring)
{
    spn_ring_unref(ring); /* the producer's */
    spn_ring_unref(ring);
    CHECK_EQ(spn_heaps_live(), 0);
}

static uint64_t take(spn_ring *ring)
{
    spn_heap *heap;
    uint64_t cnt;
    CHECK_EQ(spn_ring_try_pop(ring, &heap, 1), 1);
    cnt = heap->cnt;
    spn_heap_unref(heap);
    return cnt;
}

static void holds_so_many_in_order(void)
{
    spn_ring *ring = joined(3);
    spn_heap *heaps[4];
    CHECK_ERR(spn_ring_try_pop(ring, heaps, 4), -EAGAIN);
    CHECK_ERR(spn_ring_try_pop(ring, heaps, 0), -EINVAL);
    CHECK_EQ(push(ring, 1, 2), 2);
    CHECK_EQ(take(ring), 1);
    CHECK_EQ(push(ring, 3, 5), 2);
    CHECK_EQ(spn_ring_length(ring), 3);
    CHECK_EQ(push(ring, 9, 1), 0);
    CHECK_EQ(spn_ring_try_pop(ring, heaps, 4), 3);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(heaps[i]->cnt, i + 2);
        spn_heap_unref(heaps[i]);
    }
    drop(ring);
}

static void fd_tells_exactly(void)
{
    spn_ring *ring = joined(4);
    CHECK(!is_readable(ring));
    push(ring, 1, 2);
    CHECK(is_readable(ring));
    take(ring);
    CHECK(is_readable(ring));
    take(ring);
    CHECK(!is_readable(ring));
    push(ring, 1, 1);
    spni_ring_leave(ring);
    CHECK(is_readable(ring));
    take(ring);
    CHECK(is_readable(ring));
    drop(ring);
}

static void fd_made_late_tells_too(bool stop)
{
    spn_ring *ring = joined(4);
    if (stop)
        spn_ring_stop(ring);
    else
        push(ring, 1, 1);
    CHECK(is_readable(ring));
    drop(ring);
}

static void stop_leaves_what_is_there(void)
{
    spn_ring *ring = joined(4);
    spn_heap *heap;
    push(ring, 1, 2);
    spn_ring_stop(ring);
    spn_ring_stop(ring);
    CHECK_ERR(push(ring, 3, 1), SPN_ESTOPPED);
    CHECK_ERR(spni_ring_join(ring), SPN_ESTOPPED);
    CHECK_EQ(take(ring), 1);
    CHECK_EQ(take(ring), 2);
    for (int i = 0; i < 3; i++)
        CHECK_ERR(spn_ring_pop(ring, -1, &heap, 1), SPN_ESTOPPED);
    drop(ring);
}

static void last_producer_stops_it(void)
{
    spn_ring *ring = joined(4);
    spn_heap *heap;
    CHECK_EQ(spni_ring_join(ring), 0);
    spni_ring_leave(ring);
    CHECK_ERR(spn_ring_try_pop(ring, &heap, 1), -EAGAIN);
    spni_ring_leave(ring);
    CHECK_ERR(spn_ring_try_pop(ring, &heap, 1), SPN_ESTOPPED);
    spn_ring_unref(ring);
    drop(ring);
}

static void take_resumes_waiters(void)
{
    spn_ring *ring = joined(2);
    waiter w = {.base = {.resume = resume}};
    spni_heap_queue queue;
    size_t length;
    spni_heap_queue_init(&queue);
    fill(&queue, 1, 5);
    CHECK_EQ(spni_ring_push(ring, &queue, &w.base, &length), 2);
    CHECK_EQ(length, 2);
    CHECK_EQ(w.resumed, 0);
    CHECK_EQ(take(ring), 1);
    CHECK_EQ(w.resumed, 1);
    CHECK_EQ(take(ring), 2);
    CHECK_EQ(w.resumed, 1);
    CHECK_EQ(spni_ring_push(ring, &queue, &w.base, &length), 2);
    spni_ring_forget(ring, &w.base);
    CHECK_EQ(take(ring), 3);
    CHECK_EQ(w.resumed, 1);
    CHECK_EQ(spni_ring_push(ring, &queue, &w.base, &length), 1);
    CHECK_EQ(queue.count, 0);
    CHECK(!w.base.waiting);
    drop(ring);
}

static void *take_one_main(void *ring_void)
{
    CHECK_EQ(take(ring_void), 1);
    return NULL;
}

static void room_is_awaited_for_a_moment_only(void)
{
    spn_ring *ring = joined(8);
    uint64_t until_ns = spni_now_ns() + SPNI_SECOND_NS;
    pthread_t thread;
    CHECK(spni_ring_await_room(ring, until_ns));
    CHECK_EQ(push(ring, 1, 8), 8);
    CHECK(!spni_ring_await_room(ring, until_ns)); /* there is no consumer */
    CHECK_EQ(pthread_create(&thread, NULL, take_one_main, ring), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK(!spni_ring_await_room(ring, until_ns)); /* not at work any more */
    CHECK_EQ(take(ring), 2);
    CHECK(spni_ring_await_room(ring, until_ns)); /* a quarter is free */
    CHECK_EQ(push(ring, 9, 2), 2);
    CHECK(!spni_ring_await_room(ring, 0));
    drop(ring);
}

static void wait_ends_in_time(void)
{
    spn_ring *ring = joined(2);
    spn_heap *heap;
    CHECK_ERR(spn_ring_pop(ring, 0, &heap, 1), -EAGAIN);
    CHECK_ERR(spn_ring_pop(ring, 5, &heap, 1), -EAGAIN);
    drop(ring);
}

static void on_signal(int number)
{
    (void)number;
}

typedef struct {
    spn_ring *ring;
    int code;
    bool is_done; /* atomic */
} waiting;

static void *wait_main(void *waiting_void)
{
    waiting *w = waiting_void;
    spn_heap *heap;
    w->code = spn_ring_pop(w->ring, -1, &heap, 1);
    __atomic_store_n(&w->is_done, true, __ATOMIC_RELEASE);
    return NULL;
}

static void signal_ends_a_wait(int flags)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = flags};
    waiting w = {.ring = joined(2)};
    pthread_t thread;
    CHECK_EQ(sigaction(SIGUSR1, &action, NULL), 0);
    CHECK_EQ(pthread_create(&thread, NULL, wait_main, &w), 0);
    while (!__atomic_load_n(&w.is_done, __ATOMIC_ACQUIRE)) {
        pthread_kill(thread, SIGUSR1); /* until one meets it asleep */
        sched_yield();
    }
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_ERR(w.code, -EINTR);
    drop(w.ring);
}

static void stop_wakes_all(void)
{
    waiting w[3];
    pthread_t threads[3];
    spn_ring *ring = joined(2);
    for (int i = 0; i < 3; i++) {
        w[i] = (waiting){.ring = ring};
        CHECK_EQ(pthread_create(&threads[i], NULL, wait_main, &w[i]), 0);
    }
    spni_ring_leave(ring);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
        CHECK_ERR(w[i].code, SPN_ESTOPPED);
    }
    drop(ring);
}

typedef struct {
    spn_ring *ring;
    uint64_t sum;
    uint64_t count;
} consumer;

static void *consume_main(void *consumer_void)
{
    consumer *c = consumer_void;
    spn_heap *heaps[4];
    int taken;
    while ((taken = spn_ring_pop(c->ring, PATIENCE_MS, heaps, 4)) > 0) {
        for (int i = 0; i < taken; i++) {
            c->sum += heaps[i]->cnt;
            c->count++;
            spn_heap_unref(heaps[i]);
        }
    }
    CHECK_ERR(taken, SPN_ESTOPPED);
    return NULL;
}

static void *produce_main(void *ring_void)
{
    spn_ring *ring = ring_void;
    waiter w = {.base = {.resume = resume}};
    spni_heap_queue queue;
    size_t length;
    spni_heap_queue_init(&queue);
    for (uint64_t i = 1; i <= HEAPS; i++) {
        unsigned before = __atomic_load_n(&w.resumed, __ATOMIC_ACQUIRE);
        fill(&queue, i, 1);
        while (spni_ring_push(ring, &queue, &w.base, &length) == 0) {
            while (__atomic_load_n(&w.resumed, __ATOMIC_ACQUIRE) == before)
                sched_yield();
            before++;
        }
    }
    spni_ring_leave(ring);
    spn_ring_unref(ring);
    return NULL;
}

static void many_producers_and_consumers(void)
{
    spn_ring *ring = joined(5);
    consumer consumers[CONSUMERS];
    pthread_t threads[CONSUMERS + 2];
    uint64_t sum = 0, count = 0;
    CHECK_EQ(spni_ring_join(ring), 0);
    for (int i = 0; i < CONSUMERS; i++) {
        consumers[i] = (consumer){.ring = ring};
        CHECK_EQ(pthread_create(&threads[i], NULL, consume_main,
                                &consumers[i]),
                 0);
    }
    for (int i = 0; i < 2; i++)
        CHECK_EQ(pthread_create(&threads[CONSUMERS + i], NULL, produce_main,
                                ring),
                 0);
    for (int i = 0; i < CONSUMERS + 2; i++)
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
    for (int i = 0; i < CONSUMERS; i++) {
        sum += consumers[i].sum;
        count += consumers[i].count;
    }
    CHECK_EQ(count, 2 * HEAPS);
    CHECK_EQ(sum, (uint64_t)HEAPS * (HEAPS + 1));
    spn_ring_unref(ring);
    CHECK_EQ(spn_heaps_live(), 0);
}

static void what_is_given_back_comes_first(void)
{
    spn_ring *ring = joined(3);
    spn_heap *heaps[4] = {NULL};
    CHECK_EQ(push(ring, 1, 3), 3);
    CHECK_EQ(spn_ring_try_pop(ring, heaps, 2), 2);
    CHECK_EQ(push(ring, 4, 2), 2); /* full */
    spn_ring_give_back(ring, heaps, 4);
    spni_ring_leave(ring); /* stopped */
    CHECK(is_readable(ring));
    for (uint64_t cnt = 1; cnt <= 5; cnt++)
        CHECK_EQ(take(ring), cnt);
    CHECK_ERR(spn_ring_try_pop(ring, heaps, 1), SPN_ESTOPPED);
    drop(ring);
}

static void in_the_child(spn_ring *ring, spn_heap *taken)
{
    spn_heap *heap = NULL;
    CHECK_ERR(spn_ring_try_pop(ring, &heap, 1), SPN_EFORKED);
    CHECK_ERR(spn_ring_pop(ring, -1, &heap, 1), SPN_EFORKED);
    CHECK_ERR(spni_ring_join(ring), SPN_EFORKED);
    spn_ring_give_back(ring, &taken, 1);
    CHECK(taken == NULL);
    spn_ring_stop(ring);
    _exit(0);
}

static void a_forked_child_leaves_the_ring_to_its_parent(void)
{
    spn_ring *ring = joined(3);
    spn_heap *taken;
    int status = -1;
    CHECK_EQ(push(ring, 1, 3), 3);
    CHECK_EQ(spn_ring_try_pop(ring, &taken, 1), 1);
    CHECK(is_readable(ring));
    pid_t child = fork();
    if (child == 0)
        in_the_child(ring, taken);
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
    spn_heap_unref(taken);
    CHECK(is_readable(ring));
    CHECK_EQ(take(ring), 2);
    CHECK_EQ(take(ring), 3);
    CHECK(!is_readable(ring));
    spni_ring_leave(ring);
    drop(ring);
}

static void what_is_given_back_can_be_waited_for(void)
{
    spn_ring *ring = joined(1);
    spn_heap *heap;
    CHECK_EQ(push(ring, 1, 1), 1);
    CHECK_EQ(spn_ring_try_pop(ring, &heap, 1), 1);
    CHECK(!is_readable(ring));
    spn_ring_give_back(ring, &heap, 1);
    CHECK(is_readable(ring));
    CHECK_EQ(spn_ring_pop(ring, PATIENCE_MS, &heap, 1), 1);
    CHECK(!is_readable(ring));
    spn_ring_give_back(ring, &heap, 1); /* goes with the ring */
    spni_ring_leave(ring);
    drop(ring);
}

int main(void)
{
    spn_ring *ring;
    CHECK_ERR(spn_ring_new(0, &ring), -EINVAL);
    holds_so_many_in_order();
    fd_tells_exactly();
    fd_made_late_tells_too(false);
    fd_made_late_tells_too(true);
    stop_leaves_what_is_there();
    last_producer_stops_it();
    take_resumes_waiters();
    room_is_awaited_for_a_moment_only();
    wait_ends_in_time();
    signal_ends_a_wait(0);
    signal_ends_a_wait(SA_RESTART);
    stop_wakes_all();
    many_producers_and_consumers();
    what_is_given_back_comes_first();
    what_is_given_back_can_be_waited_for();
    a_forked_child_leaves_the_ring_to_its_parent();
    return 0;
}
