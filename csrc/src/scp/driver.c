/* SPDX-License-Identifier: Apache-2.0 */
/* The window's public face, for a driver that has no socket of pyspin's: each
 * function takes the lock and does one step. */
#include "scp/window.h"

enum {
    BATCH = 64,
};

static void lock(spn_window *window)
{
    pthread_mutex_lock(&window->sequences->lock);
}

static void unlock(spn_window *window)
{
    pthread_mutex_unlock(&window->sequences->lock);
}

void spn_window_read_stats(spn_window *window, spn_window_stats *out)
{
    lock(window);
    *out = window->stats;
    out->channels = window->config.channels ? window->config.channels
                                            : window->size.current;
    out->in_progress = spni_window_in_progress_locked(window);
    unlock(window);
}

int spn_window_submit(spn_window *window, uint64_t token, const uint8_t *bytes,
                      size_t length, bool may_repeat)
{
    lock(window);
    int sequence = spni_window_submit_locked(window, token, bytes, length,
                                             may_repeat);
    unlock(window);
    return sequence;
}

int spn_window_step(spn_window *window, uint64_t now_ns, uint64_t *tokens,
                    int count, spn_window_state *state)
{
    spni_request *requests[BATCH];
    if (count > BATCH)
        count = BATCH;
    lock(window);
    spni_window_tick_locked(window, now_ns);
    count = spni_window_peek_locked(window, now_ns, requests, count);
    for (int i = 0; i < count; i++)
        tokens[i] = requests[i]->token;
    spni_window_sent_locked(window, now_ns, requests, count);
    *state = (spn_window_state){
        .deadline_ns = spni_window_deadline_locked(window),
        .ended = window->ended.count,
    };
    unlock(window);
    return count;
}

int64_t spn_window_match(spn_window *window, uint64_t now_ns,
                         uint16_t sequence, uint16_t code)
{
    lock(window);
    int64_t token = spni_window_match_locked(window, now_ns, sequence, code);
    unlock(window);
    return token;
}

void spn_window_fail(spn_window *window, int status)
{
    lock(window);
    spni_window_fail_locked(window, status);
    unlock(window);
}

void spn_window_forget(spn_window *window, uint64_t token)
{
    lock(window);
    spni_window_forget_locked(window, token);
    unlock(window);
}

int spn_window_pop(spn_window *window, spn_scp_outcome *completions, int count,
                   uint8_t *data, size_t size)
{
    lock(window);
    count = spni_window_pop_locked(window, completions, count, data, size);
    unlock(window);
    return count;
}
