/* SPDX-License-Identifier: Apache-2.0 */
/* Two may let go last: the pool that dies, or the task that still waits on the
 * loop (or hears that the loop stops). `lock` decides which; that one leaves
 * the loop and frees. Waiting for the task instead could deadlock: the last
 * reference to a pool may go on a thread that the task's loop waits for.
 */
#include "memory/refill.h"

#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/fork.h"
#include "base/loop.h"
#include "base/threads.h"

struct spni_refill {
    spni_task task;
    spni_resident resident;
    spni_loop *loop;
    spni_refill_step step;
    unsigned forks;
    pthread_mutex_t lock;
    spn_allocator *pool; /* NULL: it has died */
    bool is_pending;     /* the task is posted or running */
};

static bool is_forked(const spni_refill *refill)
{
    return refill->forks != spni_fork_count();
}

static void destroy(spni_refill *refill)
{
    spni_loop_leave(refill->loop, &refill->resident);
    if (!is_forked(refill))
        pthread_mutex_destroy(&refill->lock);
    free(refill);
}

/* The task will not run again unless it is requested. */
static void end_pending(spni_refill *refill)
{
    pthread_mutex_lock(&refill->lock);
    bool is_last = refill->is_pending && refill->pool == NULL;
    refill->is_pending = false;
    pthread_mutex_unlock(&refill->lock);
    if (is_last)
        destroy(refill);
}

static spn_allocator *strong_pool(spni_refill *refill)
{
    pthread_mutex_lock(&refill->lock);
    spn_allocator *pool = refill->pool;
    if (pool != NULL && !spni_allocator_try_ref(pool))
        pool = NULL;
    pthread_mutex_unlock(&refill->lock);
    return pool;
}

static void run(spni_task *task)
{
    spni_refill *refill = (spni_refill *)((char *)task -
                                          offsetof(spni_refill, task));
    spn_allocator *pool = strong_pool(refill);
    bool goes_on = pool != NULL && refill->step(pool) &&
                   spni_loop_post(refill->loop, task);
    if (!goes_on)
        end_pending(refill);
    spn_allocator_unref(pool);
}

static void on_stopping(spni_resident *resident)
{
    end_pending((spni_refill *)((char *)resident -
                                offsetof(spni_refill, resident)));
}

int spni_refill_new(spn_threads *threads, spn_allocator *pool,
                    spni_refill_step step, spni_refill **out)
{
    *out = NULL;
    spni_refill *refill = calloc(1, sizeof *refill);
    if (refill == NULL)
        return -ENOMEM;
    refill->task.run = run;
    refill->resident.stopping = on_stopping;
    refill->step = step;
    refill->forks = spni_fork_count();
    refill->pool = pool;
    pthread_mutex_init(&refill->lock, NULL);
    refill->loop = spni_loop_join(threads, &refill->resident);
    if (refill->loop == NULL) {
        pthread_mutex_destroy(&refill->lock);
        free(refill);
        return spni_threads_is_forked(threads) ? SPN_EFORKED : SPN_ESTOPPED;
    }
    *out = refill;
    return 0;
}

void spni_refill_request(spni_refill *refill)
{
    if (is_forked(refill))
        return;
    pthread_mutex_lock(&refill->lock);
    if (!refill->is_pending)
        refill->is_pending = spni_loop_post(refill->loop, &refill->task);
    pthread_mutex_unlock(&refill->lock);
}

void spni_refill_free(spni_refill *refill)
{
    if (refill == NULL)
        return;
    bool is_pending = false;
    if (!is_forked(refill)) {
        pthread_mutex_lock(&refill->lock);
        refill->pool = NULL;
        is_pending = refill->is_pending;
        pthread_mutex_unlock(&refill->lock);
    }
    if (!is_pending)
        destroy(refill);
}
