/* SPDX-License-Identifier: Apache-2.0 */
/* Windows under a network at its worst: datagrams of either direction are lost,
 * repeated, overtaken and late by up to 25 seconds, the board says "busy", and
 * the numbers come round several times. The network knows what it carries, so
 * it can tell what a window must and must not do:
 *
 * - no number is given out while a datagram with it is under way;
 * - each request ends once, with its own answer or after all its retries;
 * - what must not be executed twice is sent again only out of time or when told
 *   to, all else also when three later replies have come;
 * - the counters agree with the datagrams. */
#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "check.h"
#include "scp/window.h"

#define MS UINT64_C(1000000)
#define TIMEOUT (20 * MS)
#define SIGNAL 22 /* must not be executed twice */
#define BUSY 0x8d

enum { WINDOWS = 2, REQUESTS = 90000, EVENTS = 1 << 16 };

/* A datagram on its way; to the board if `code` is 0. */
typedef struct {
    uint64_t due;
    uint32_t token;
    uint16_t sequence;
    uint16_t code;
} datagram;

/* What the network knows of a request. */
typedef struct {
    uint64_t sent_at;
    uint64_t replies_before; /* that had come when it was last sent */
    uint8_t times;
    bool was_busy; /* it was told so since it was last sent */
    bool has_ended;
} request;

static spn_sequences *sequences;
static spn_window *windows[WINDOWS];
static request requests[REQUESTS];
static uint32_t taken, ended;
static int retries;
static uint64_t now, seed, replies, busy, sent, resent;
static datagram heap[EVENTS];
static int events;
static int under_way[SPNI_SEQUENCES]; /* datagrams of each number */

static unsigned below(unsigned bound)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % bound;
}

static void swap(int a, int b)
{
    datagram other = heap[a];
    heap[a] = heap[b];
    heap[b] = other;
}

static void push(datagram it)
{
    CHECK(events < EVENTS);
    int at = events++;
    heap[at] = it;
    under_way[it.sequence]++;
    for (; at > 0 && heap[at].due < heap[(at - 1) / 2].due; at = (at - 1) / 2)
        swap(at, (at - 1) / 2);
}

static datagram pop(void)
{
    datagram first = heap[0];
    heap[0] = heap[--events];
    under_way[first.sequence]--;
    for (int at = 0, child; (child = 2 * at + 1) < events; at = child) {
        if (child + 1 < events && heap[child + 1].due < heap[child].due)
            child++;
        if (heap[at].due <= heap[child].due)
            break;
        swap(at, child);
    }
    return first;
}

/* Most arrive soon. What the network itself repeats, replies, is not very late,
 * as the numbers of requests that were sent once do not rest. */
static void carry(datagram it)
{
    static const uint64_t late[] = {5 * MS, 90 * MS, 25000 * MS};
    unsigned fate = below(1000);
    if (fate < 30)
        return; /* lost */
    it.due = now + MS / 10 + below(200) * MS / 1000;
    if (fate < 50 && it.code) {
        push(it);
        it.due += MS;
    } else if (fate >= 50 && fate < 80) {
        it.due += late[fate % 3 == 0 && it.code ? 2 : fate % 2] / (1 + below(9));
    }
    push(it);
}

static void submit(spn_window *window)
{
    uint8_t bytes[SPNI_SCP_REQUEST_HEADER];
    const uint32_t arguments[3] = {taken, 4, 0};
    bool is_signal = taken % 8 == 0;
    spni_request_encode(bytes, (spni_place){0, 0, 0},
                        is_signal ? SIGNAL : SPNI_CMD_READ, arguments);
    if (spn_window_submit(window, taken, bytes, sizeof bytes, !is_signal) >= 0)
        taken++;
}

static void check_sending(uint32_t token)
{
    request *it = &requests[token];
    bool is_late = now >= it->sent_at + TIMEOUT;
    bool is_overtaken = token % 8 && replies >= it->replies_before + 3;
    CHECK(!it->has_ended);
    CHECK(it->times <= retries);
    CHECK(it->times == 0 || is_late || it->was_busy || is_overtaken);
    sent++;
    resent += it->times++ > 0;
    it->sent_at = now;
    it->replies_before = replies;
    it->was_busy = false;
}

static void transmit(spn_window *window)
{
    spni_request *out[16];
    int count = spni_window_peek_locked(window, now, out, 16);
    for (int i = 0; i < count; i++) {
        if (out[i]->sent == 0)
            CHECK_EQ(under_way[out[i]->sequence], 0);
        check_sending((uint32_t)out[i]->token);
        carry((datagram){.token = (uint32_t)out[i]->token,
                         .sequence = out[i]->sequence});
    }
    spni_window_sent_locked(window, now, out, count);
}

/* To whichever window receives. */
static void arrive(datagram it)
{
    uint8_t bytes[SPNI_SCP_REPLY_HEADER + 4] = {0, 0, 7};
    spni_store_le16(bytes + SPNI_SCP_COMMAND_AT, it.code);
    spni_store_le16(bytes + SPNI_SCP_SEQUENCE_AT, it.sequence);
    spni_store_le32(bytes + SPNI_SCP_REPLY_HEADER, it.token);
    replies++;
    if (it.code == BUSY) {
        busy++;
        requests[it.token].was_busy = true;
    }
    spni_window_receive_locked(windows[below(WINDOWS)], now, bytes,
                               sizeof bytes);
}

static void collect(spn_window *window)
{
    uint8_t data[16 * SPNI_SCP_MAX];
    spn_scp_outcome outcomes[16];
    int count = spn_window_pop(window, outcomes, 16, data, sizeof data);
    for (int i = 0; i < count; i++) {
        const spn_scp_outcome *it = &outcomes[i];
        request *of = &requests[it->token];
        CHECK(!of->has_ended);
        CHECK_EQ(it->attempts, of->times);
        if (it->status == 0)
            CHECK_EQ(spni_load_le32(data + it->offset + SPNI_SCP_REPLY_HEADER),
                     it->token);
        else
            CHECK(it->status == -ETIMEDOUT && of->times == retries + 1);
        of->has_ended = true;
        ended++;
    }
}

static void check_counters(bool may_overtake)
{
    spn_window_stats sum = {0};
    for (int i = 0; i < WINDOWS; i++) {
        spn_window_stats it;
        spn_window_read_stats(windows[i], &it);
        CHECK_EQ(it.in_progress, 0);
        sum.sent += it.sent;
        sum.resent += it.resent;
        sum.replies += it.replies;
        sum.timeouts += it.timeouts;
        sum.resent_overtaken += it.resent_overtaken;
        sum.resent_retry_code += it.resent_retry_code;
        sum.ignored_late += it.ignored_late;
        sum.ignored_unknown += it.ignored_unknown;
    }
    uint64_t told = sum.resent_overtaken + sum.resent_retry_code;
    CHECK_EQ(sum.sent, sent);
    CHECK_EQ(sum.resent, resent);
    CHECK_EQ(sum.resent_retry_code > 0, retries > 0);
    CHECK_EQ(sum.resent_overtaken > 0, may_overtake);
    CHECK(told <= resent && resent - told <= sum.timeouts);
    CHECK(sum.resent_retry_code <= busy);
    CHECK_EQ(sum.ignored_unknown, 0);
    /* Every datagram was an answer, useless, or a "busy" that was heard. */
    CHECK(sum.replies + sum.ignored_late <= replies);
    CHECK(replies - sum.replies - sum.ignored_late <= busy);
}

static void step(void)
{
    uint64_t due = events ? heap[0].due : UINT64_MAX;
    for (int i = 0; i < WINDOWS; i++) {
        uint64_t deadline = spni_window_deadline_locked(windows[i]);
        due = deadline < due ? deadline : due;
    }
    CHECK(due != UINT64_MAX);
    now = due > now ? due : now;
    while (events && heap[0].due <= now) {
        datagram it = pop();
        if (it.code) {
            arrive(it);
        } else {
            it.code = below(100) ? SPNI_RC_OK : BUSY;
            carry(it);
        }
    }
    for (int i = 0; i < WINDOWS; i++)
        spni_window_tick_locked(windows[i], now);
}

static void play(uint64_t a_seed, int channels, int the_retries)
{
    retries = the_retries;
    spn_window_config config = {
        .channels = channels, .waits = -1, .retries = retries,
        .timeout_ns = TIMEOUT,
    };
    memset(requests, 0, sizeof requests);
    memset(under_way, 0, sizeof under_way);
    taken = ended = 0;
    replies = busy = sent = resent = 0;
    events = 0;
    seed = a_seed;
    now = 1000 * MS;
    CHECK_EQ(spn_sequences_new(&sequences), 0);
    for (int i = 0; i < WINDOWS; i++)
        CHECK_EQ(spn_window_new(&config, sequences, &windows[i]), 0);
    while (ended < REQUESTS) {
        for (int i = 0; i < WINDOWS; i++) {
            for (int tries = 0; tries < 4 && taken < REQUESTS; tries++)
                submit(windows[i]);
            transmit(windows[i]);
        }
        step();
        for (int i = 0; i < WINDOWS; i++)
            collect(windows[i]);
    }
    check_counters(channels != 1 && retries > 0);
    CHECK_EQ(sequences->in_use, 0);
    for (int i = 0; i < WINDOWS; i++)
        spn_window_free(windows[i]);
    spn_sequences_unref(sequences);
}

int main(void)
{
    play(1, 8, 10);
    play(2, 0, 10);
    play(3, 1, 10);
    play(4, 64, 1);
    play(5, 64, 0);
    return 0;
}
