/* SPDX-License-Identifier: Apache-2.0 */
/* How a loss is found. Requests fly in the order in which they were sent. The
 * reply to one of them says that those sent before it are overdue; three such
 * replies say that it is lost, and if it may be executed twice it is sent
 * again at once. A request that was itself sent twice counts by its first
 * sending, for nobody knows which of the two was answered. All else waits for
 * its own timeout: there is no timer that sends everything again.
 *
 * How a board is kept from being overrun. Besides the window that the user
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
#include "base/clock.h"
#include "base/fork.h"

enum {
    CHANNELS_START = 8, /* the transient reply tags of a board */
    CHANNELS_MAX = 128,
    OVERTAKEN = 3,
    PARKED_MAX = 256,
    PROBES = 3, /* of one request */
};

#define PARK_NS (SPNI_SECOND_NS / 10)
#define PARK_MAX_NS SPNI_SECOND_NS
#define PROBE_MIN_NS (SPNI_SECOND_NS / 50)

static void append(spni_requests *list, spni_request *request)
{
    request->list = list;
    request->next = NULL;
    request->previous = list->last;
    if (list->last)
        list->last->next = request;
    else
        list->first = request;
    list->last = request;
    list->count++;
}

static void detach(spni_request *request)
{
    spni_requests *list = request->list;
    if (request->previous)
        request->previous->next = request->next;
    else
        list->first = request->next;
    if (request->next)
        request->next->previous = request->previous;
    else
        list->last = request->previous;
    list->count--;
    request->list = NULL;
}

static void move(spni_request *request, spni_requests *list)
{
    detach(request);
    append(list, request);
}

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
    spn_window *window = calloc(1, sizeof *window);
    if (!window)
        return -ENOMEM;
    window->config = *config;
    window->sequences = sequences;
    window->forks = spni_fork_count();
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

static void free_all(spni_requests *list)
{
    for (spni_request *request = list->first, *next; request; request = next) {
        next = request->next;
        free(request);
    }
}

static void drop(spn_window *window, spni_request *request)
{
    spni_sequence_retire_locked(window->sequences, request->sequence,
                                window->seen_ns, request->sent > 0);
    move(request, &window->unused);
}

void spn_window_free(spn_window *window)
{
    /* In a forked child the lock may be that of a thread that is not there. */
    if (!window || window->forks != spni_fork_count())
        return;
    spni_requests *live[] = {&window->fresh, &window->again, &window->flying,
                             &window->parked};
    pthread_mutex_lock(&window->sequences->lock);
    for (int i = 0; i < 4; i++)
        while (live[i]->first)
            drop(window, live[i]->first);
    window->sequences->windows--;
    pthread_mutex_unlock(&window->sequences->lock);
    free_all(&window->ended);
    free_all(&window->unused);
    spn_sequences_unref(window->sequences);
    free(window);
}

static int channels(const spn_window *window)
{
    return window->config.channels ? window->config.channels
                                   : window->size.current;
}

static int waits(const spn_window *window)
{
    int all = channels(window) - 1;
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
    if (taken >= channels(window))
        window->is_draining = true;
    if (window->is_draining && taken <= waits(window))
        window->is_draining = false;
    return !window->is_draining && window->parked.count < PARKED_MAX;
}

static spni_request *new_request(spn_window *window)
{
    spni_request *request = window->unused.first;
    if (request) {
        detach(request);
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
        append(&window->unused, request);
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
    append(&window->fresh, request);
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
    spni_request *request = spni_window_get_locked(window);
    if (!request)
        return -ENOMEM;
    request->token = token;
    request->may_repeat = may_repeat;
    if (bytes) {
        memcpy(request->bytes, bytes, length);
        request->length = (uint16_t)length;
        request->reply_length = spni_request_reply_length(bytes);
    }
    spni_window_put_locked(window, request);
    return request->sequence;
}

static bool peer_is_silent(const spn_window *window, uint64_t now_ns)
{
    return window->replied_ns + window->config.timeout_ns <= now_ns;
}

int spni_window_peek_locked(spn_window *window, uint64_t now_ns,
                            spni_request **requests, int count)
{
    int may_fly = peer_is_silent(window, now_ns) ? channels(window)
                                                 : window->size.current;
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

static uint64_t patience(const spn_window *window)
{
    uint64_t pause_ns = 2 * window->round_trip_ns +
                        4 * window->round_trip_spread_ns;
    return pause_ns > PROBE_MIN_NS ? pause_ns : PROBE_MIN_NS;
}

static void due_at(spn_window *window, spni_request *request, uint64_t due_ns)
{
    request->due_ns = due_ns;
    if (due_ns < window->tick_ns)
        window->tick_ns = due_ns;
}

void spni_window_sent_locked(spn_window *window, uint64_t now_ns,
                             spni_request *const *requests, int count)
{
    window->seen_ns = now_ns;
    if (window->config.probe && now_ns + PROBE_MIN_NS < window->tick_ns)
        window->tick_ns = now_ns + PROBE_MIN_NS;
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
        request->overtaken = 0;
        request->sent_ns = now_ns;
        due_at(window, request, now_ns + window->config.timeout_ns);
        move(request, &window->flying);
        window->stats.sent++;
    }
}

static void end(spn_window *window, spni_request *request, int status,
                const spni_reply *reply, uint64_t now_ns)
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
    move(request, window->on_end ? &window->unused : &window->ended);
}

static bool has_retries(const spn_window *window, const spni_request *request)
{
    return request->sent <= (unsigned)window->config.retries;
}

/* What was overtaken or parked may be answered, or ended, before it goes: the
 * reason counts when it does. */
static void resend(spn_window *window, spni_request *request,
                   uint64_t *reason)
{
    request->reason = reason;
    move(request, &window->again);
}

static void overtake(spn_window *window, uint64_t order)
{
    spni_request *request = window->flying.first, *next;
    for (; request && request->order < order; request = next) {
        next = request->next;
        if (++request->overtaken != OVERTAKEN)
            continue;
        spni_size_lost(&window->size);
        if (request->may_repeat && has_retries(window, request))
            resend(window, request, &window->stats.resent_overtaken);
    }
}

static void ask_again(spn_window *window, spni_request *request,
                      uint16_t code, uint64_t now_ns)
{
    request->code = code;
    if (!has_retries(window, request)) {
        end(window, request, -ETIMEDOUT, NULL, now_ns);
        return;
    }
    uint64_t pause_ns = PARK_NS;
    for (unsigned i = 0; i < request->parkings && pause_ns < PARK_MAX_NS; i++)
        pause_ns += pause_ns / 2;
    request->parkings++;
    request->reason = &window->stats.resent_retry_code;
    move(request, &window->parked);
    due_at(window, request, now_ns + pause_ns);
}

static void measure(spn_window *window, const spni_request *request,
                    uint64_t now_ns)
{
    if (request->sent != 1)
        return;
    uint64_t took_ns = now_ns - request->sent_ns + 1;
    uint64_t mean_ns = window->round_trip_ns;
    if (!mean_ns) {
        window->round_trip_ns = took_ns;
        window->round_trip_spread_ns = took_ns / 2;
        return;
    }
    uint64_t off_ns = took_ns > mean_ns ? took_ns - mean_ns
                                        : mean_ns - took_ns;
    window->round_trip_ns = (7 * mean_ns + took_ns) / 8;
    window->round_trip_spread_ns =
        (3 * window->round_trip_spread_ns + off_ns) / 4;
}

static bool is_full(const spn_window *window)
{
    return window->flying.count >= window->size.current ||
           window->is_draining;
}

static void answer(spn_window *window, spni_request *request,
                   const spni_reply *reply, uint64_t now_ns)
{
    uint64_t order = request->first_order;
    window->replied_ns = now_ns;
    if (spni_code_asks_retry(reply->code)) {
        if (request->list != &window->flying) {
            window->stats.ignored_late++;
            return;
        }
        ask_again(window, request, reply->code, now_ns);
    } else {
        measure(window, request, now_ns);
        spni_size_replied(&window->size, is_full(window));
        window->stats.replies++;
        end(window, request, 0, reply, now_ns);
    }
    overtake(window, order);
}

static spni_request *find(spn_window *window, uint16_t sequence)
{
    bool was_used;
    spni_request *request =
        spni_sequence_find_locked(window->sequences, sequence, &was_used);
    if (request && request->sent > 0)
        return request;
    if (request || was_used)
        window->stats.ignored_late++;
    else
        window->stats.ignored_unknown++;
    return NULL;
}

static void count_fault(spn_window *window, spni_reply_fault fault)
{
    switch (fault) {
    case SPNI_REPLY_GOOD:
        break;
    case SPNI_REPLY_SHORT:
        window->stats.ignored_short++;
        break;
    case SPNI_REPLY_OVERSIZE:
        window->stats.ignored_oversize++;
        break;
    case SPNI_REPLY_FLAGS:
        window->stats.ignored_flags++;
        break;
    case SPNI_REPLY_COMMAND:
        window->stats.ignored_command++;
        break;
    }
}

static void keep_answer(spni_request *request, const uint8_t *bytes,
                        size_t length)
{
    memcpy(request->answer, bytes, length);
    request->answer_length = (uint16_t)length;
}

void spni_window_receive_locked(spn_window *window, uint64_t now_ns,
                                const uint8_t *bytes, size_t length)
{
    spni_reply reply;
    spni_reply_fault fault = spni_reply_decode(bytes, length, &reply);
    if (fault != SPNI_REPLY_GOOD) {
        count_fault(window, fault);
        return;
    }
    spni_request *request = find(window, reply.sequence);
    if (!request)
        return;
    if (reply.code == SPNI_RC_OK && request->reply_length >= 0 &&
        reply.length != (size_t)request->reply_length) {
        window->stats.ignored_length++;
        return;
    }
    if (!request->window->on_end)
        keep_answer(request, bytes, length);
    answer(request->window, request, &reply, now_ns);
}

int64_t spni_window_match_locked(spn_window *window, uint64_t now_ns,
                                 uint16_t sequence, uint16_t code)
{
    spni_reply reply = {.sequence = sequence, .code = code};
    if (code < SPNI_RC_OK) {
        count_fault(window, SPNI_REPLY_COMMAND);
        return -1;
    }
    spni_request *request = find(window, sequence);
    if (!request)
        return -1;
    spn_window *owner = request->window;
    answer(owner, request, &reply, now_ns);
    if (request->list != &owner->ended || request->status != 0)
        return -1;
    move(request, &owner->unused);
    return (int64_t)request->token;
}

static void time_out(spn_window *window, spni_request *request,
                     uint64_t now_ns)
{
    window->stats.timeouts++;
    if (request->overtaken < OVERTAKEN && !peer_is_silent(window, now_ns))
        spni_size_lost(&window->size);
    if (has_retries(window, request))
        resend(window, request, NULL);
    else
        end(window, request, -ETIMEDOUT, NULL, now_ns);
}

static void tick_list(spn_window *window, spni_requests *list,
                      uint64_t now_ns)
{
    for (spni_request *request = list->first, *next; request; request = next) {
        next = request->next;
        if (request->due_ns <= now_ns) {
            if (list == &window->parked)
                move(request, &window->again);
            else
                time_out(window, request, now_ns);
        }
        if (request->list == list && request->due_ns < window->tick_ns)
            window->tick_ns = request->due_ns;
    }
}

static bool may_be_probed(const spn_window *window, const spni_request *request)
{
    return request->may_repeat && request->sent <= PROBES &&
           has_retries(window, request);
}

static uint64_t latest(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* After a silence, send the oldest again; its reply, or the silence that
 * follows, tells of the rest. One at a time, since it may be that the board
 * does something else and will answer them all. */
static void probe(spn_window *window, uint64_t now_ns)
{
    spni_request *request = window->flying.first;
    while (request && !may_be_probed(window, request))
        request = request->next;
    if (!request || !window->config.probe || !window->round_trip_ns)
        return;
    uint64_t last_ns = latest(window->probed_ns, window->replied_ns);
    uint64_t due_ns = latest(last_ns, request->sent_ns) + patience(window);
    if (now_ns < due_ns) {
        window->tick_ns = due_ns < window->tick_ns ? due_ns : window->tick_ns;
        return;
    }
    window->probed_ns = now_ns;
    resend(window, request, &window->stats.resent_probe);
}

void spni_window_tick_locked(spn_window *window, uint64_t now_ns)
{
    if (now_ns < window->tick_ns)
        return;
    window->tick_ns = UINT64_MAX;
    tick_list(window, &window->flying, now_ns);
    tick_list(window, &window->parked, now_ns);
    probe(window, now_ns);
}

uint64_t spni_window_deadline_locked(const spn_window *window)
{
    return window->flying.count || window->parked.count ? window->tick_ns
                                                        : UINT64_MAX;
}

void spni_window_fail_locked(spn_window *window, int status)
{
    spni_requests *live[] = {&window->flying, &window->again, &window->parked,
                             &window->fresh};
    for (int i = 0; i < 4; i++)
        while (live[i]->first)
            end(window, live[i]->first, status, NULL, window->seen_ns);
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
        move(request, &window->unused);
    }
    return taken;
}
