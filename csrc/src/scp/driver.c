/* SPDX-License-Identifier: Apache-2.0 */
/* The window's public face, for a driver that has no socket of pyspin's: each
 * function takes the lock and does one step. */
#include <errno.h>

#include "base/clock.h"
#include "scp/window.h"

enum {
    BATCH = 64,
};

/* Whether it could be locked; not in a forked child. */
static bool lock(spn_window *window)
{
    if (spni_sequences_are_forked(window->sequences))
        return false;
    pthread_mutex_lock(&window->sequences->lock);
    return true;
}

static void unlock(spn_window *window)
{
    pthread_mutex_unlock(&window->sequences->lock);
}

void spn_window_read_stats(spn_window *window, spn_window_stats *out)
{
    bool is_locked = lock(window); /* in a child nobody changes them */
    *out = window->stats;
    out->channels = spni_window_channels_locked(window);
    out->in_progress = spni_window_in_progress_locked(window);
    if (is_locked)
        unlock(window);
}

int spn_window_submit(spn_window *window, uint64_t token, const uint8_t *bytes,
                      size_t length, bool may_repeat)
{
    if (!bytes)
        return -EINVAL;
    if (!lock(window))
        return SPN_EFORKED;
    int sequence = spni_window_submit_locked(window, token, bytes, length,
                                             may_repeat);
    unlock(window);
    return sequence;
}

static uint64_t or_clock(uint64_t now_ns)
{
    return now_ns ? now_ns : spni_now_ns();
}

static bool is_late_locked(const spn_window *window, uint64_t now_ns)
{
    return spni_window_deadline_locked(window) <= now_ns;
}

/* Whether time may pass. A driver that comes late finds its replies waiting, and
 * must take them in before it is said that there are none: until none was there
 * between two steps, or more came than can be for us. */
static bool may_pass_locked(spn_window *window, uint64_t now_ns)
{
    bool may = window->has_asked || window->grace == 1 ||
               !is_late_locked(window, now_ns);
    window->has_asked = !may;
    if (may)
        window->grace = 0;
    return may;
}

/* A reply was looked at. Whether a step is due, so that the driver does not
 * wait for the next reply, when it comes late, but looks whether there is one. */
static bool look_locked(spn_window *window, uint64_t now_ns)
{
    window->has_asked = false;
    if (!is_late_locked(window, now_ns)) {
        window->grace = 0;
        return false;
    }
    if (window->grace == 0) {
        window->grace = spni_window_in_progress_locked(window) + BATCH;
        return true;
    }
    if (window->grace > 1)
        window->grace--;
    return window->grace == 1;
}

static bool has_work_locked(const spn_window *window)
{
    return window->again.count || window->fresh.count ||
           window->ended.count || window->has_doubts;
}

/* A reply has ended its request (or not). What spn_window_match returns. */
static int matched_locked(spn_window *window, uint64_t now_ns,
                          uint16_t sequence, uint16_t code)
{
    bool ended = spni_window_match_locked(window, now_ns, sequence, code);
    bool is_due = look_locked(window, now_ns) || has_work_locked(window);
    return !ended ? SPN_WINDOW_DUE
                  : SPN_WINDOW_ENDED | (is_due ? SPN_WINDOW_DUE : 0);
}

int spn_window_match(spn_window *window, uint64_t now_ns, uint16_t sequence,
                     uint16_t code)
{
    now_ns = or_clock(now_ns);
    if (!lock(window))
        return SPN_EFORKED;
    int flags = matched_locked(window, now_ns, sequence, code);
    unlock(window);
    return flags;
}

/* Send the request at once, if nothing is in its way. */
static bool fly_locked(spn_window *window, uint64_t now_ns, int sequence)
{
    spni_request *first;
    bool flies = spni_window_peek_locked(window, now_ns, &first, 1) == 1 &&
                 first->sequence == sequence;
    if (flies)
        spni_window_sent_locked(window, now_ns, &first, 1);
    return flies;
}

int spn_window_offer(spn_window *window, uint64_t now_ns, int answered)
{
    now_ns = or_clock(now_ns);
    if (!lock(window))
        return SPN_EFORKED;
    int flags = 0;
    if (answered >= 0)
        flags = matched_locked(window, now_ns, (uint16_t)answered, SPNI_RC_OK);
    int code = spni_window_submit_locked(window, 0, NULL, 0, false);
    if (code >= 0) {
        window->fresh.last->token = (uint64_t)code;
        window->fresh.last->may_ask = true;
        if (!fly_locked(window, now_ns, code))
            flags |= SPN_WINDOW_HELD;
        if (!spni_window_has_room_locked(window))
            flags |= SPN_WINDOW_FULL;
    }
    unlock(window);
    if (code == -EAGAIN)
        return flags | SPN_WINDOW_REFUSED;
    return code < 0 ? code : code | flags;
}

int spn_window_step(spn_window *window, uint64_t now_ns, uint16_t *sequences,
                    int count, uint64_t *wait_ns)
{
    spni_request *requests[BATCH];
    now_ns = or_clock(now_ns);
    if (count > BATCH)
        count = BATCH;
    if (!lock(window))
        return SPN_EFORKED;
    if (may_pass_locked(window, now_ns))
        spni_window_tick_locked(window, now_ns);
    count = spni_window_peek_locked(window, now_ns, requests, count);
    for (int i = 0; i < count; i++)
        sequences[i] = requests[i]->sequence;
    spni_window_sent_locked(window, now_ns, requests, count);
    uint64_t deadline_ns = spni_window_deadline_locked(window);
    *wait_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
    unlock(window);
    return count;
}

int spn_window_doubt(spn_window *window)
{
    if (!lock(window))
        return SPN_EFORKED;
    int sequence = spni_window_doubt_locked(window);
    unlock(window);
    return sequence;
}

void spn_window_repeat(spn_window *window, uint16_t sequence)
{
    if (!lock(window))
        return;
    spni_window_repeat_locked(window, sequence);
    unlock(window);
}

void spn_window_fail(spn_window *window, int status)
{
    if (!lock(window))
        return;
    spni_window_fail_locked(window, status);
    unlock(window);
}

void spn_window_forget(spn_window *window, uint64_t token)
{
    if (!lock(window))
        return;
    spni_window_forget_locked(window, token);
    unlock(window);
}

int spn_window_pop(spn_window *window, spn_scp_outcome *completions, int count,
                   uint8_t *data, size_t size)
{
    if (!lock(window))
        return SPN_EFORKED;
    count = spni_window_pop_locked(window, completions, count, data, size);
    unlock(window);
    return count;
}
