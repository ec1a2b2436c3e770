/* SPDX-License-Identifier: Apache-2.0 */
/* How a board is kept from being overrun. Besides the window that the user
 * asked for (how many requests are *taken*) there is the size (how many may
 * *fly*), which losses lower and replies raise; with automatic channels the
 * two are one. So what was lost because a board was overrun does not come back
 * to it in one burst. A peer that has been silent for a whole timeout is not
 * overrun but away: then the size does not count, and each request has its
 * sendings in the time that was asked for.
 *
 * A parked request (the board said "busy") has no channel, so others go on;
 * but only so many may be parked, or a board that is always busy would be
 * handed requests without end. */
#include "scp/window.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "scp/loss.h"

enum {
    CHANNELS_START = 8, /* the transient reply tags of a board */
    CHANNELS_MAX = 128,
    PARKED_MAX = 256,
};

static bool is_good(const spn_window_config *config)
{
    return config->channels >= 0 && config->retries >= 0 &&
           config->timeout_ns >= 1 &&
           (config->channels == 0 || config->waits < config->channels);
}

int spn_window_new(const spn_window_config *config, spn_sequences *sequences,
                   spn_window **out)
{
    if (!is_good(config))
        return -EINVAL;
    if (spni_sequences_are_forked(sequences))
        return SPN_EFORKED;
    spn_window *window = calloc(1, sizeof *window);
    if (!window)
        return -ENOMEM;
    window->config = *config;
    window->sequences = sequences;
    window->tick_ns = UINT64_MAX;
    spni_sequences_ref(sequences);
    pthread_mutex_lock(&sequences->lock);
    sequences->windows++;
    pthread_mutex_unlock(&sequences->lock);
    if (config->channels == 0)
        spni_size_init(&window->size, CHANNELS_START, CHANNELS_MAX);
    else
        spni_size_init(&window->size, config->channels, config->channels);
    *out = window;
    return 0;
}

static void drop(spn_window *window, spni_request *request)
{
    spni_sequence_retire_locked(window->sequences, request->sequence,
                                window->seen_ns, request->sent > 0);
    spni_request_move(request, &window->unused);
}

void spn_window_free(spn_window *window)
{
    if (!window || spni_sequences_are_forked(window->sequences))
        return;
    spni_requests *live[] = {&window->fresh, &window->again, &window->flying,
                             &window->parked};
    pthread_mutex_lock(&window->sequences->lock);
    for (int i = 0; i < 4; i++)
        while (live[i]->first)
            drop(window, live[i]->first);
    window->sequences->windows--;
    pthread_mutex_unlock(&window->sequences->lock);
    spni_requests_free(&window->ended);
    spni_requests_free(&window->unused);
    spn_sequences_unref(window->sequences);
    free(window);
}

int spni_window_channels_locked(const spn_window *window)
{
    return window->config.channels ? window->config.channels
                                   : window->size.current;
}

static int waits(const spn_window *window)
{
    int all = spni_window_channels_locked(window) - 1;
    return window->config.channels && window->config.waits >= 0
               ? window->config.waits : all;
}

static int occupied(const spn_window *window)
{
    return window->fresh.count + window->again.count + window->flying.count;
}

int spni_window_in_progress_locked(const spn_window *window)
{
    return occupied(window) + window->parked.count;
}

bool spni_window_has_room_locked(spn_window *window)
{
    int taken = occupied(window);
    if (taken >= spni_window_channels_locked(window))
        window->is_draining = true;
    if (window->is_draining && taken <= waits(window))
        window->is_draining = false;
    return !window->is_draining && window->parked.count < PARKED_MAX;
}

static spni_request *new_request(spn_window *window)
{
    spni_request *request = window->unused.first;
    if (request) {
        spni_request_detach(request);
        memset(request, 0, offsetof(spni_request, bytes));
    } else {
        request = calloc(1, sizeof *request);
    }
    return request;
}

spni_request *spni_window_get_locked(spn_window *window)
{
    spni_request *request = new_request(window);
    if (!request)
        return NULL;
    int sequence = spni_sequence_take_locked(window->sequences,
                                             window->seen_ns, request);
    if (sequence < 0) {
        spni_requests_append(&window->unused, request);
        return NULL;
    }
    request->window = window;
    request->sequence = (uint16_t)sequence;
    request->reply_length = -1;
    return request;
}

void spni_window_put_locked(spn_window *window, spni_request *request)
{
    if (request->length)
        spni_store_le16(request->bytes + SPNI_SCP_SEQUENCE_AT,
                        request->sequence);
    spni_requests_append(&window->fresh, request);
    window->stats.requests++;
}

int spni_window_submit_locked(spn_window *window, uint64_t token,
                              const uint8_t *bytes, size_t length,
                              bool may_repeat)
{
    if (bytes && (length < SPNI_SCP_REQUEST_HEADER || length > SPNI_SCP_MAX))
        return -EINVAL;
    if (!spni_window_has_room_locked(window))
        return -EAGAIN;
    if (!spni_sequence_any_locked(window->sequences))
        return SPN_ENUMBERS;
    spni_request *request = spni_window_get_locked(window);
    if (!request)
        return -ENOMEM;
    request->token = token;
    request->may_repeat = may_repeat;
    if (bytes) {
        memcpy(request->bytes, bytes, length);
        request->length = (uint16_t)length;
        request->reply_length = spn_scp_reply_length(bytes, length);
    }
    spni_window_put_locked(window, request);
    return request->sequence;
}

int spni_window_peek_locked(spn_window *window, uint64_t now_ns,
                            spni_request **requests, int count)
{
    int may_fly = spni_loss_is_silent_locked(window, now_ns)
        ? spni_window_channels_locked(window) : window->size.current;
    int room = may_fly - window->flying.count;
    int found = 0;
    if (count > room)
        count = room;
    spni_request *request = window->again.first;
    for (; found < count && request; request = request->next)
        requests[found++] = request;
    request = window->fresh.first;
    for (; found < count && request; request = request->next)
        requests[found++] = request;
    return found;
}

void spni_window_sent_locked(spn_window *window, uint64_t now_ns,
                             spni_request *const *requests, int count)
{
    window->seen_ns = now_ns;
    for (int i = 0; i < count; i++) {
        spni_request *request = requests[i];
        request->order = ++window->order;
        if (request->sent++ == 0)
            request->first_order = request->order;
        else
            window->stats.resent++;
        if (request->reason)
            ++*request->reason;
        request->reason = NULL;
        spni_loss_expect_locked(window, request, now_ns);
        spni_request_move(request, &window->flying);
        window->stats.sent++;
    }
}

void spni_window_end_locked(spn_window *window, spni_request *request,
                            int status, const spni_reply *reply,
                            uint64_t now_ns)
{
    spni_sequence_retire_locked(window->sequences, request->sequence, now_ns,
                                request->sent > (reply ? 1 : 0));
    request->status = status;
    if (reply)
        request->code = reply->code;
    else
        request->answer_length = 0; /* of an answer that asked for a retry */
    if (window->on_end)
        window->on_end(window, request, reply);
    spni_request_move(request, window->on_end ? &window->unused
                                              : &window->ended);
}

void spni_window_fail_locked(spn_window *window, int status)
{
    spni_requests *live[] = {&window->flying, &window->again, &window->parked,
                             &window->fresh};
    for (int i = 0; i < 4; i++)
        while (live[i]->first)
            spni_window_end_locked(window, live[i]->first, status, NULL,
                                   window->seen_ns);
}

void spni_window_forget_locked(spn_window *window, uint64_t token)
{
    spni_requests *live[] = {&window->flying, &window->again, &window->parked,
                             &window->fresh};
    for (int i = 0; i < 4; i++)
        for (spni_request *request = live[i]->first, *next; request;
             request = next) {
            next = request->next;
            if (request->token == token)
                drop(window, request);
        }
}

int spni_window_pop_locked(spn_window *window, spn_scp_outcome *completions,
                           int count, uint8_t *data, size_t size)
{
    int taken = 0;
    size_t used = 0;
    spni_request *request;
    while (taken < count && (request = window->ended.first) &&
           used + request->answer_length <= size) {
        completions[taken++] = (spn_scp_outcome){
            .token = request->token,
            .status = request->status,
            .offset = (uint32_t)used,
            .length = request->answer_length,
            .code = request->code,
            .sequence = request->sequence,
            .attempts = (uint16_t)request->sent,
        };
        if (request->answer_length)
            memcpy(data + used, request->answer, request->answer_length);
        used += request->answer_length;
        spni_request_move(request, &window->unused);
    }
    return taken;
}
