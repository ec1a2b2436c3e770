/* SPDX-License-Identifier: Apache-2.0 */
/* Who lives on a loop, and is told when it ends. */
#include <stddef.h>

#include "base/loop_state.h"
#include "base/threads.h"

bool spni_loop_admit(spni_loop *loop, spni_resident *resident)
{
    pthread_mutex_lock(&loop->lock);
    bool is_in = loop->state == SPNI_LOOP_RUNNING;
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

void spni_loop_tell_residents(spni_loop *loop)
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
