/* SPDX-License-Identifier: Apache-2.0 */
/* A circle of pointers under one mutex. Whoever finds it empty sleeps on a
 * futex, not on a condition variable, because a condition variable swallows
 * signals and Python must see Ctrl-C. `sequence` changes with every push, so a
 * push between the look and the sleep is not missed. */
#include "spead/ring.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cache.h"
#include "base/clock.h"
#include "base/event.h"
#include "base/fork.h"
#include "base/lock.h"

enum {
    /* Sleeps are cut to this, since the kernel restarts one without limit after
     * a signal whose handler has SA_RESTART. */
    SLEEP_MAX_MS = 3600 * 1000,
    /* A consumer that is at work makes room for so many in this time. */
    BATCH = 16,
    SPIN_NS = 50000,
};

/* Three groups, each on lines of its own: what nobody changes, what everybody
 * who takes or pushes a heap does, and what they only look at. */
struct spn_ring {
    unsigned references; /* atomic */
    unsigned forks; /* spni_fork_count() when it was made */
    size_t capacity;
    spn_heap **slots; /* protected by lock, as is the rest */

    _Alignas(SPNI_CACHE_LINE) pthread_mutex_t lock;
    size_t length; /* atomic to be looked at without the lock */
    size_t head;
    uint32_t sequence; /* futex */
    unsigned sleepers;

    _Alignas(SPNI_CACHE_LINE) spni_heap_queue returned; /* go before the slots */
    spni_ring_waiter *waiters, **waiters_tail;
    spni_event event;
    int consumer_cpu; /* atomic; where a heap was last taken, -1: none was */
    unsigned producers;
    bool stopped;
};

int spn_ring_new(size_t capacity, spn_ring **out)
{
    spn_ring *ring;

    if (capacity == 0)
        return -EINVAL;
    ring = aligned_alloc(SPNI_CACHE_LINE, sizeof *ring);
    if (ring == NULL)
        return -ENOMEM;
    *ring = (spn_ring){0};
    ring->slots = calloc(capacity, sizeof *ring->slots);
    if (ring->slots == NULL)
        goto free_ring;
    ring->references = 1;
    spni_lock_init(&ring->lock);
    ring->forks = spni_fork_count();
    ring->capacity = capacity;
    ring->event.fd = -1;
    ring->consumer_cpu = -1;
    ring->waiters_tail = &ring->waiters;
    spni_heap_queue_init(&ring->returned);
    *out = ring;
    return 0;

free_ring:
    free(ring);
    return -ENOMEM;
}

static void destroy(spn_ring *ring)
{
    /* A consumer may have been ordered before this by a lock that neither we
     * nor a sanitizer know, as Python's; its last act here was under ours. */
    pthread_mutex_lock(&ring->lock);
    pthread_mutex_unlock(&ring->lock);
    while (ring->returned.count > 0)
        spn_heap_unref(&spni_heap_queue_pop(&ring->returned)->fields);
    for (size_t i = 0; i < ring->length; i++)
        spn_heap_unref(ring->slots[(ring->head + i) % ring->capacity]);
    if (ring->event.fd >= 0)
        spni_event_fini(&ring->event);
    pthread_mutex_destroy(&ring->lock);
    free(ring->slots);
    free(ring);
}

void spn_ring_unref(spn_ring *ring)
{
    if (ring != NULL
        && __atomic_sub_fetch(&ring->references, 1, __ATOMIC_ACQ_REL) == 0)
        destroy(ring);
}

/* Then nobody may be there to let go of the lock, and the eventfd is shared
 * with the parent, whose heaps it is about. */
bool spni_ring_is_forked(const spn_ring *ring)
{
    return ring->forks != spni_fork_count();
}

static void wake(spn_ring *ring, unsigned count)
{
    if (count > 0)
        syscall(SYS_futex, &ring->sequence, FUTEX_WAKE_PRIVATE, (int)count,
                NULL, NULL, 0);
}

static void change_sequence_locked(spn_ring *ring)
{
    __atomic_add_fetch(&ring->sequence, 1, __ATOMIC_RELAXED);
}

static void set_length_locked(spn_ring *ring, size_t length)
{
    __atomic_store_n(&ring->length, length, __ATOMIC_RELAXED);
}

/* ---- producers ---- */

int spni_ring_join(spn_ring *ring)
{
    int code = SPN_ESTOPPED;

    if (spni_ring_is_forked(ring))
        return SPN_EFORKED;
    pthread_mutex_lock(&ring->lock);
    if (!ring->stopped) {
        ring->producers++;
        __atomic_add_fetch(&ring->references, 1, __ATOMIC_RELAXED);
        code = 0;
    }
    pthread_mutex_unlock(&ring->lock);
    return code;
}

static void resume_waiters_locked(spn_ring *ring)
{
    while (ring->waiters != NULL) {
        spni_ring_waiter *waiter = ring->waiters;
        ring->waiters = waiter->next;
        waiter->waiting = false;
        waiter->resume(waiter);
    }
    ring->waiters_tail = &ring->waiters;
}

static void stop_locked(spn_ring *ring)
{
    ring->stopped = true;
    change_sequence_locked(ring);
    if (ring->event.fd >= 0)
        spni_event_raise(&ring->event);
    resume_waiters_locked(ring);
}

void spni_ring_leave(spn_ring *ring)
{
    bool last;

    pthread_mutex_lock(&ring->lock);
    last = --ring->producers == 0;
    if (last)
        stop_locked(ring);
    pthread_mutex_unlock(&ring->lock);
    if (last)
        wake(ring, INT_MAX);
}

void spn_ring_stop(spn_ring *ring)
{
    if (spni_ring_is_forked(ring))
        return;
    pthread_mutex_lock(&ring->lock);
    stop_locked(ring);
    pthread_mutex_unlock(&ring->lock);
    wake(ring, INT_MAX);
}

static void enqueue_waiter_locked(spn_ring *ring, spni_ring_waiter *waiter)
{
    if (waiter->waiting)
        return;
    waiter->waiting = true;
    waiter->next = NULL;
    *ring->waiters_tail = waiter;
    ring->waiters_tail = &waiter->next;
}

static int push_locked(spn_ring *ring, spni_heap_queue *queue)
{
    int pushed = 0;
    size_t length = ring->length;
    size_t at = (ring->head + length) % ring->capacity;

    while (length < ring->capacity && queue->count > 0 && pushed < INT_MAX) {
        ring->slots[at] = &spni_heap_queue_pop(queue)->fields;
        if (++at == ring->capacity)
            at = 0;
        length++;
        pushed++;
    }
    if (pushed == 0)
        return 0;
    set_length_locked(ring, length);
    change_sequence_locked(ring);
    if (ring->event.fd >= 0)
        spni_event_raise(&ring->event);
    return pushed;
}

int spni_ring_push(spn_ring *ring, spni_heap_queue *queue,
                   spni_ring_waiter *waiter, size_t *length)
{
    unsigned sleepers = 0;
    int pushed = SPN_ESTOPPED;

    pthread_mutex_lock(&ring->lock);
    if (!ring->stopped) {
        pushed = push_locked(ring, queue);
        sleepers = ring->sleepers;
        if (queue->count > 0 && waiter != NULL)
            enqueue_waiter_locked(ring, waiter);
    }
    *length = ring->length;
    pthread_mutex_unlock(&ring->lock);
    if (pushed > 0)
        wake(ring, (unsigned)pushed < sleepers ? (unsigned)pushed : sleepers);
    return pushed;
}

void spni_ring_forget(spn_ring *ring, spni_ring_waiter *waiter)
{
    spni_ring_waiter **link = &ring->waiters;

    pthread_mutex_lock(&ring->lock);
    if (waiter->waiting) {
        while (*link != waiter)
            link = &(*link)->next;
        *link = waiter->next;
        if (*link == NULL)
            ring->waiters_tail = link;
        waiter->waiting = false;
    }
    pthread_mutex_unlock(&ring->lock);
}

size_t spni_ring_room(const spn_ring *ring)
{
    return ring->capacity - __atomic_load_n(&ring->length, __ATOMIC_RELAXED);
}

static void relax(void)
{
#if defined __x86_64__ || defined __i386__
    __builtin_ia32_pause();
#endif
}

/* Whether a consumer may be at work: not on this very processor, where it only
 * goes on when we rest. */
static bool may_be_at_work(const spn_ring *ring)
{
    int cpu = __atomic_load_n(&ring->consumer_cpu, __ATOMIC_RELAXED);

    return cpu >= 0 && cpu != sched_getcpu();
}

static size_t smaller(size_t left, size_t right)
{
    return left < right ? left : right;
}

/* The room that a producer waits for, asleep or not: a thread that wakes, or
 * takes the lock, for every single heap costs more than the heap. */
static size_t worthwhile_room(const spn_ring *ring)
{
    return ring->capacity < 4 ? 1 : ring->capacity / 4;
}

bool spni_ring_await_room(const spn_ring *ring, uint64_t until_ns)
{
    size_t wanted = smaller(worthwhile_room(ring), BATCH);
    uint64_t now_ns = spni_now_ns();

    if (until_ns > now_ns + SPIN_NS)
        until_ns = now_ns + SPIN_NS;
    while (spni_ring_room(ring) < wanted) {
        if (!may_be_at_work(ring) || spni_now_ns() >= until_ns)
            return false;
        relax();
    }
    return true;
}

/* ---- consumers ---- */

static bool is_empty_locked(const spn_ring *ring)
{
    return ring->length == 0 && ring->returned.count == 0;
}

static void note_consumer_locked(spn_ring *ring)
{
    int cpu = sched_getcpu();

    if (ring->consumer_cpu != cpu)
        __atomic_store_n(&ring->consumer_cpu, cpu, __ATOMIC_RELAXED);
}

static int take_locked(spn_ring *ring, spn_heap **heaps, int count)
{
    size_t length = ring->length;
    int taken = 0;

    while (taken < count && ring->returned.count > 0)
        heaps[taken++] = &spni_heap_queue_pop(&ring->returned)->fields;
    while (taken < count && length > 0) {
        heaps[taken++] = ring->slots[ring->head];
        if (++ring->head == ring->capacity)
            ring->head = 0;
        length--;
    }
    if (taken == 0)
        return ring->stopped ? SPN_ESTOPPED : -EAGAIN;
    set_length_locked(ring, length);
    note_consumer_locked(ring);
    if (is_empty_locked(ring) && !ring->stopped && ring->event.fd >= 0)
        spni_event_lower(&ring->event);
    if (ring->waiters != NULL && spni_ring_room(ring) >= worthwhile_room(ring))
        resume_waiters_locked(ring);
    return taken;
}

int spn_ring_try_pop(spn_ring *ring, spn_heap **heaps, int count)
{
    int taken;

    if (count < 1)
        return -EINVAL;
    if (spni_ring_is_forked(ring))
        return SPN_EFORKED;
    pthread_mutex_lock(&ring->lock);
    taken = take_locked(ring, heaps, count);
    pthread_mutex_unlock(&ring->lock);
    return taken;
}

static int64_t remaining_ns(uint64_t deadline_ns)
{
    uint64_t now = spni_now_ns();
    uint64_t most = SLEEP_MAX_MS * (SPNI_SECOND_NS / 1000);
    uint64_t left = now < deadline_ns ? deadline_ns - now : 0;

    return (int64_t)(left < most ? left : most);
}

/* Sleep until `sequence` is no longer `seen`. 0, -EAGAIN at the deadline, or
 * -EINTR. */
static int sleep_until(spn_ring *ring, uint32_t seen, uint64_t deadline_ns)
{
    int64_t left = remaining_ns(deadline_ns);
    struct timespec timeout = {
        .tv_sec = left / (int64_t)SPNI_SECOND_NS,
        .tv_nsec = left % (int64_t)SPNI_SECOND_NS,
    };

    if (left == 0)
        return -EAGAIN;
    if (syscall(SYS_futex, &ring->sequence, FUTEX_WAIT_PRIVATE, seen, &timeout,
                NULL, 0) < 0
        && errno == EINTR)
        return -EINTR;
    return 0;
}

static uint64_t deadline_after(int timeout_ms)
{
    if (timeout_ms < 0)
        return UINT64_MAX;
    return spni_now_ns() + (uint64_t)timeout_ms * (SPNI_SECOND_NS / 1000);
}

int spn_ring_pop(spn_ring *ring, int timeout_ms, spn_heap **heaps, int count)
{
    int taken = spn_ring_try_pop(ring, heaps, count);
    uint64_t deadline_ns;
    int slept = 0;

    if (taken != -EAGAIN || timeout_ms == 0)
        return taken;
    deadline_ns = deadline_after(timeout_ms);
    pthread_mutex_lock(&ring->lock);
    while ((taken = take_locked(ring, heaps, count)) == -EAGAIN && slept == 0) {
        uint32_t seen = ring->sequence;
        ring->sleepers++;
        pthread_mutex_unlock(&ring->lock);
        slept = sleep_until(ring, seen, deadline_ns);
        pthread_mutex_lock(&ring->lock);
        ring->sleepers--;
    }
    pthread_mutex_unlock(&ring->lock);
    return taken == -EAGAIN ? slept : taken;
}

void spn_ring_give_back(spn_ring *ring, spn_heap **heaps, int count)
{
    size_t before;
    bool some;

    if (spni_ring_is_forked(ring)) {
        for (int i = 0; i < count; i++)
            spn_heap_clear(&heaps[i]);
        return;
    }
    pthread_mutex_lock(&ring->lock);
    before = ring->returned.count;
    for (int i = 0; i < count; i++) {
        if (heaps[i] != NULL)
            spni_heap_queue_push(&ring->returned, (spni_heap *)heaps[i]);
        heaps[i] = NULL;
    }
    some = ring->returned.count > before;
    if (some) {
        change_sequence_locked(ring);
        if (ring->event.fd >= 0)
            spni_event_raise(&ring->event);
    }
    pthread_mutex_unlock(&ring->lock);
    if (some)
        wake(ring, INT_MAX);
}

int spn_ring_fd(spn_ring *ring)
{
    int code = 0;

    if (spni_ring_is_forked(ring))
        return ring->event.fd < 0 ? SPN_EFORKED : ring->event.fd;
    pthread_mutex_lock(&ring->lock);
    if (ring->event.fd < 0) {
        code = spni_event_init(&ring->event);
        if (code < 0)
            ring->event.fd = -1;
        else if (!is_empty_locked(ring) || ring->stopped)
            spni_event_raise(&ring->event);
    }
    code = code < 0 ? code : ring->event.fd;
    pthread_mutex_unlock(&ring->lock);
    return code;
}

size_t spn_ring_length(spn_ring *ring)
{
    return __atomic_load_n(&ring->length, __ATOMIC_RELAXED);
}
