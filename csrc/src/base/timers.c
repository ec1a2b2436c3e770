/* SPDX-License-Identifier: Apache-2.0 */
/* Timers are a sorted list: a loop has a handful, and most are set to fire
 * next. */
#include <stddef.h>

#include "base/clock.h"
#include "base/loop_state.h"

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

void spni_loop_fire_timers(spni_loop *loop)
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

uint64_t spni_loop_until_timer_ns(const spni_loop *loop, uint64_t now_ns)
{
    if (loop->timers == NULL)
        return SPNI_FOR_EVER;
    uint64_t deadline_ns = loop->timers->deadline_ns;
    return deadline_ns > now_ns ? deadline_ns - now_ns : 0;
}

void spni_loop_cancel_timers(spni_loop *loop)
{
    loop->is_over = true;
    while (loop->timers != NULL)
        spni_timer_cancel(loop, loop->timers);
}
