/* SPDX-License-Identifier: Apache-2.0 */
/* How a pool ends. Users and residents hold references; the last one stops the
 * pool. A thread that is not of the pool then joins its threads and frees it.
 * But the last reference may also go on a thread of the pool, from a handler:
 * it cannot join itself, so it lets the threads loose, and the last of them to
 * end frees the pool. `lives` counts the threads and, as one, the references.
 *
 * A list of all pools serves the exit of the interpreter, which must not leave
 * threads behind that read memory of Python's.
 */
#include "base/threads.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "base/fork.h"
#include "base/log.h"

typedef struct {
    pthread_t thread;
    spni_loop *loop;
    spn_threads *threads;
} worker;

struct spn_threads {
    unsigned references; /* atomic */
    unsigned lives;      /* atomic */
    unsigned forks;      /* spni_fork_count() when it was made */
    int count;
    pthread_mutex_t lock; /* the two below; choosing a loop */
    pthread_cond_t ended;
    bool is_joining;
    bool is_joined;
    spn_threads *next, **previous; /* of all pools; under all_lock */
    worker workers[];
};

static pthread_mutex_t all_lock = PTHREAD_MUTEX_INITIALIZER;
static spn_threads *all;

/* The pool that the calling thread belongs to. */
static _Thread_local const spn_threads *own_threads;

static void enlist(spn_threads *threads)
{
    pthread_mutex_lock(&all_lock);
    threads->next = all;
    threads->previous = &all;
    if (all != NULL)
        all->previous = &threads->next;
    all = threads;
    pthread_mutex_unlock(&all_lock);
}

static void delist_locked(spn_threads *threads)
{
    if (threads->previous == NULL)
        return;
    *threads->previous = threads->next;
    if (threads->next != NULL)
        threads->next->previous = threads->previous;
    threads->previous = NULL;
}

static void release_life(spn_threads *threads)
{
    if (__atomic_sub_fetch(&threads->lives, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    pthread_mutex_lock(&all_lock);
    delist_locked(threads);
    pthread_mutex_unlock(&all_lock);
    for (int i = 0; i < threads->count; i++)
        spni_loop_free(threads->workers[i].loop);
    pthread_cond_destroy(&threads->ended);
    pthread_mutex_destroy(&threads->lock);
    free(threads);
}

static void *worker_main(void *argument)
{
    worker *self = argument;
    spn_threads *threads = self->threads;
    own_threads = threads;
    /* The default slack of 50 us is as long as the waits that matter here. */
    prctl(PR_SET_TIMERSLACK, 1000UL, 0UL, 0UL, 0UL);
    spni_loop_run(self->loop);
    release_life(threads);
    return NULL;
}

/* Signals are Python's; those that tell of a fault must stay deliverable. */
static void block_signals(sigset_t *before)
{
    static const int faults[] = {SIGSEGV, SIGBUS,  SIGFPE, SIGILL,
                                 SIGABRT, SIGTRAP, SIGSYS};
    sigset_t blocked;
    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        sigdelset(&blocked, faults[i]);
    pthread_sigmask(SIG_SETMASK, &blocked, before);
}

static int pin(pthread_t thread, int processor)
{
    cpu_set_t set;
    if (processor < 0 || processor >= CPU_SETSIZE)
        return -EINVAL;
    CPU_ZERO(&set);
    CPU_SET((size_t)processor, &set);
    return -pthread_setaffinity_np(thread, sizeof set, &set);
}

static int worker_start(worker *self, int index, int processor)
{
    char name[16];
    sigset_t before;
    __atomic_add_fetch(&self->threads->lives, 1, __ATOMIC_RELAXED);
    block_signals(&before);
    int error = pthread_create(&self->thread, NULL, worker_main, self);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0) {
        __atomic_sub_fetch(&self->threads->lives, 1, __ATOMIC_RELAXED);
        return -error;
    }
    snprintf(name, sizeof name, "pyspin-%d", index);
    pthread_setname_np(self->thread, name);
    if (processor >= 0) {
        error = pin(self->thread, processor);
        if (error < 0)
            spni_log(SPN_LOG_WARNING,
                     "could not pin thread %d to processor %d: %s", index,
                     processor, spn_strerror(error));
    }
    return 0;
}

static void join_started(spn_threads *threads, int count)
{
    for (int i = 0; i < count; i++)
        spni_loop_stop(threads->workers[i].loop);
    for (int i = 0; i < count; i++)
        pthread_join(threads->workers[i].thread, NULL);
}

static int make_loops(spn_threads *threads, int count)
{
    for (int i = 0; i < count; i++) {
        worker *self = &threads->workers[i];
        self->threads = threads;
        int error = spni_loop_new(threads, &self->loop);
        if (error < 0)
            return error;
        threads->count = i + 1;
    }
    return 0;
}

int spn_threads_new(int count, const int *affinity, int affinity_count,
                    spn_threads **out)
{
    int started = 0;
    *out = NULL;
    if (count < 1 || affinity_count < 0)
        return -EINVAL;
    for (int i = 0; i < affinity_count; i++)
        if (affinity[i] < 0)
            return -EINVAL;
    spn_threads *threads =
        calloc(1, sizeof *threads + (size_t)count * sizeof(worker));
    if (threads == NULL)
        return -ENOMEM;
    threads->references = 1;
    threads->lives = 1;
    threads->forks = spni_fork_count();
    pthread_mutex_init(&threads->lock, NULL);
    pthread_cond_init(&threads->ended, NULL);
    int error = make_loops(threads, count);
    while (error == 0 && started < count) {
        int processor =
            affinity_count > 0 ? affinity[started % affinity_count] : -1;
        error = worker_start(&threads->workers[started], started, processor);
        started += error == 0;
    }
    if (error < 0) {
        join_started(threads, started);
        release_life(threads);
        return error;
    }
    enlist(threads);
    *out = threads;
    return 0;
}

bool spni_threads_is_forked(const spn_threads *threads)
{
    return threads->forks != spni_fork_count();
}

int spn_threads_count(const spn_threads *threads)
{
    return threads->count;
}

void spn_threads_set_spin(spn_threads *threads, bool spin)
{
    if (spni_threads_is_forked(threads))
        return;
    for (int i = 0; i < threads->count; i++)
        spni_loop_set_spin(threads->workers[i].loop, spin);
}

/* Whoever comes first joins; the others wait for it. */
static void join_once(spn_threads *threads)
{
    pthread_mutex_lock(&threads->lock);
    bool is_first = !threads->is_joining;
    threads->is_joining = true;
    if (is_first) {
        pthread_mutex_unlock(&threads->lock);
        join_started(threads, threads->count);
        pthread_mutex_lock(&threads->lock);
        threads->is_joined = true;
        pthread_cond_broadcast(&threads->ended);
    }
    while (!threads->is_joined)
        pthread_cond_wait(&threads->ended, &threads->lock);
    pthread_mutex_unlock(&threads->lock);
}

void spn_threads_stop(spn_threads *threads)
{
    if (spni_threads_is_forked(threads))
        return;
    for (int i = 0; i < threads->count; i++)
        spni_loop_stop(threads->workers[i].loop);
    if (own_threads != threads)
        join_once(threads);
}

void spni_threads_ref(spn_threads *threads)
{
    __atomic_add_fetch(&threads->references, 1, __ATOMIC_RELAXED);
}

static bool try_ref(spn_threads *threads)
{
    unsigned seen = __atomic_load_n(&threads->references, __ATOMIC_RELAXED);
    while (seen > 0)
        if (__atomic_compare_exchange_n(&threads->references, &seen, seen + 1,
                                        true, __ATOMIC_ACQUIRE,
                                        __ATOMIC_RELAXED))
            return true;
    return false;
}

/* A reference to some pool, which is then no longer on the list; or NULL. */
static spn_threads *take_any(void)
{
    bool is_held = false;
    pthread_mutex_lock(&all_lock);
    spn_threads *threads = all;
    while (threads != NULL && !is_held) {
        is_held = try_ref(threads);
        if (is_held)
            delist_locked(threads);
        else
            threads = threads->next; /* is being freed elsewhere */
    }
    pthread_mutex_unlock(&all_lock);
    return threads;
}

void spn_threads_stop_all(void)
{
    spn_threads *threads;
    while ((threads = take_any()) != NULL) {
        spn_threads_stop(threads);
        spn_threads_unref(threads);
    }
}

static void before_fork(void)
{
    pthread_mutex_lock(&all_lock);
}

static void after_fork(void)
{
    pthread_mutex_unlock(&all_lock);
}

__attribute__((constructor)) static void watch_forks(void)
{
    pthread_atfork(before_fork, after_fork, after_fork);
}

void spn_threads_unref(spn_threads *threads)
{
    if (threads == NULL ||
        __atomic_sub_fetch(&threads->references, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    if (spni_threads_is_forked(threads)) {
        __atomic_store_n(&threads->lives, 1, __ATOMIC_RELAXED);
    } else {
        spn_threads_stop(threads);
        /* Nobody is joining: that would need a reference. */
        if (own_threads == threads)
            for (int i = 0; i < threads->count; i++)
                pthread_detach(threads->workers[i].thread);
    }
    release_life(threads);
}

int spn_set_affinity(int processor)
{
    return pin(pthread_self(), processor);
}

spni_loop *spni_loop_join(spn_threads *threads, spni_resident *resident)
{
    if (spni_threads_is_forked(threads))
        return NULL;
    pthread_mutex_lock(&threads->lock);
    spni_loop *best = threads->workers[0].loop;
    for (int i = 1; i < threads->count; i++) {
        spni_loop *loop = threads->workers[i].loop;
        if (spni_loop_resident_count(loop) < spni_loop_resident_count(best))
            best = loop;
    }
    bool is_in = spni_loop_admit(best, resident);
    pthread_mutex_unlock(&threads->lock);
    if (!is_in)
        return NULL;
    spni_threads_ref(threads);
    return best;
}
