/* SPDX-License-Identifier: Apache-2.0 */
/* What arrives: which request it answers, of this window or of another with
 * the same sequence numbers, or why it is ignored. */
#include <string.h>

#include "scp/loss.h"
#include "scp/window.h"

static void measure(spn_window *window, const spni_request *request,
                    uint64_t now_ns)
{
    if (request->sent == 1)
        spni_round_trip_take(&window->round_trip,
                             now_ns - request->sent_ns + 1);
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
        spni_loss_park_locked(window, request, reply->code, now_ns);
    } else {
        measure(window, request, now_ns);
        spni_size_replied(&window->size, is_full(window));
        window->stats.replies++;
        spni_window_end_locked(window, request, 0, reply, now_ns);
    }
    spni_loss_overtake_locked(window, order);
}

static spni_request *find(spn_window *window, uint16_t sequence)
{
    bool was_used;
    spni_request *request =
        spni_sequence_find_locked(window->sequences, sequence, &was_used);
    if (request && request->sent > 0)
        return request;
    if (was_used)
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

bool spni_window_match_locked(spn_window *window, uint64_t now_ns,
                              uint16_t sequence, uint16_t code)
{
    spni_reply reply = {.sequence = sequence, .code = code};
    if (code < SPNI_RC_OK) {
        count_fault(window, SPNI_REPLY_COMMAND);
        return false;
    }
    spni_request *request = find(window, sequence);
    if (!request)
        return false;
    spn_window *owner = request->window;
    answer(owner, request, &reply, now_ns);
    if (request->list != &owner->ended || request->status != 0)
        return false;
    spni_request_move(request, &owner->unused);
    return true;
}
