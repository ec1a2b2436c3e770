/* SPDX-License-Identifier: Apache-2.0 */
/* How a loss is found. Requests fly in the order in which they were sent. The
 * reply to one of them says that those sent before it are overdue; three such
 * replies say that it is lost, and if it may be executed twice it is sent
 * again at once. A request that was itself sent twice counts by its first
 * sending, for nobody knows which of the two was answered. All else waits for
 * its own timeout: there is no timer that sends everything again.
 *
 * A request that the board refused for the moment ("busy") is parked. */
#include "scp/loss.h"

#include <errno.h>

#include "base/clock.h"

enum {
    OVERTAKEN = 3,
    PROBES = 3, /* of one request */
};

#define PARK_NS (SPNI_SECOND_NS / 10)
#define PARK_MAX_NS SPNI_SECOND_NS
#define PROBE_MIN_NS (SPNI_SECOND_NS / 50)

static void wake_at(spn_window *window, uint64_t due_ns)
{
    if (due_ns < window->tick_ns)
        window->tick_ns = due_ns;
}

static void due_at(spn_window *window, spni_request *request, uint64_t due_ns)
{
    request->due_ns = due_ns;
    wake_at(window, due_ns);
}

void spni_loss_expect_locked(spn_window *window, spni_request *request,
                             uint64_t now_ns)
{
    request->overtaken = 0;
    request->sent_ns = now_ns;
    due_at(window, request, now_ns + window->config.timeout_ns);
    if (window->config.probe)
        wake_at(window, now_ns + PROBE_MIN_NS);
}

bool spni_loss_is_silent_locked(const spn_window *window, uint64_t now_ns)
{
    return window->replied_ns + window->config.timeout_ns <= now_ns;
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
    spni_request_move(request, &window->again);
}

void spni_loss_overtake_locked(spn_window *window, uint64_t order)
{
    spni_request *request = window->flying.first, *next;
    for (; request && request->order < order; request = next) {
        next = request->next;
        if (++request->overtaken != OVERTAKEN)
            continue;
        spni_size_lost(&window->size);
        window->has_doubts = window->has_doubts || request->may_ask;
        if (request->may_repeat && has_retries(window, request))
            resend(window, request, &window->stats.resent_overtaken);
    }
}

int spni_window_doubt_locked(spn_window *window)
{
    spni_request *request = window->flying.first;
    for (; request; request = request->next) {
        if (!request->may_ask || request->overtaken < OVERTAKEN)
            continue;
        request->may_ask = false;
        return request->sequence;
    }
    window->has_doubts = false;
    return -1;
}

void spni_window_repeat_locked(spn_window *window, uint16_t sequence)
{
    bool was_used;
    spni_request *request =
        spni_sequence_find_locked(window->sequences, sequence, &was_used);
    if (!request || request->window != window)
        return;
    request->may_repeat = true;
    if (request->list == &window->flying && has_retries(window, request))
        resend(window, request, &window->stats.resent_overtaken);
}

void spni_loss_park_locked(spn_window *window, spni_request *request,
                           uint16_t code, uint64_t now_ns)
{
    request->code = code;
    if (!has_retries(window, request)) {
        spni_window_end_locked(window, request, -ETIMEDOUT, NULL, now_ns);
        return;
    }
    uint64_t pause_ns = PARK_NS;
    for (unsigned i = 0; i < request->parkings && pause_ns < PARK_MAX_NS; i++)
        pause_ns += pause_ns / 2;
    request->parkings++;
    request->reason = &window->stats.resent_retry_code;
    spni_request_move(request, &window->parked);
    due_at(window, request, now_ns + pause_ns);
}

static void time_out(spn_window *window, spni_request *request,
                     uint64_t now_ns)
{
    window->stats.timeouts++;
    if (request->overtaken < OVERTAKEN &&
        !spni_loss_is_silent_locked(window, now_ns))
        spni_size_lost(&window->size);
    if (has_retries(window, request))
        resend(window, request, NULL);
    else
        spni_window_end_locked(window, request, -ETIMEDOUT, NULL, now_ns);
}

static void tick_list(spn_window *window, spni_requests *list,
                      uint64_t now_ns)
{
    for (spni_request *request = list->first, *next; request; request = next) {
        next = request->next;
        if (request->due_ns <= now_ns) {
            if (list == &window->parked)
                spni_request_move(request, &window->again);
            else
                time_out(window, request, now_ns);
        }
        if (request->list == list)
            wake_at(window, request->due_ns);
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
    if (!request || !window->config.probe || !window->round_trip.mean_ns)
        return;
    uint64_t last_ns = latest(window->probed_ns, window->replied_ns);
    uint64_t patience_ns = latest(
        PROBE_MIN_NS, spni_round_trip_patience_ns(&window->round_trip));
    uint64_t due_ns = latest(last_ns, request->sent_ns) + patience_ns;
    if (now_ns < due_ns) {
        wake_at(window, due_ns);
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
