/* SPDX-License-Identifier: Apache-2.0 */
/* Datagrams against a window that has requests in progress. The input is a
 * list of steps, a byte that says which and what it needs: requests, time,
 * replies that fit and replies that are arbitrary bytes. Whatever comes, each
 * request ends once, its number is its own, and the counters add up. */
#include "driver.h"

#include <string.h>

#include "../c/check.h"
#include "base/bytes.h"
#include "scp/window.h"

enum { TOKENS = 4096 };

typedef struct {
    const uint8_t *at, *end;
} input;

typedef struct {
    spn_window *window;
    uint64_t now;
    uint64_t taken, ended;
    bool open[TOKENS];
} state;

static uint8_t next(input *in)
{
    return in->at < in->end ? *in->at++ : 0;
}

static void submit(state *it, input *in)
{
    static const uint16_t commands[] = {0, 2, 3, 5, 17, 24, 26, 28, 31, 200};
    uint8_t bytes[SPNI_SCP_MAX] = {0};
    const uint32_t arguments[3] = {next(in), next(in), 0};
    uint16_t command = commands[next(in) % 10];
    spni_request_encode(bytes, (spni_place){0, 0, 0}, command, arguments);
    size_t length = SPNI_SCP_REQUEST_HEADER + next(in) % 3;
    if (it->taken == TOKENS)
        return;
    int sequence = spn_window_submit(it->window, it->taken, bytes, length,
                                     spn_scp_may_repeat(bytes, length));
    if (sequence >= 0)
        it->open[it->taken++] = true;
}

static void transmit(state *it)
{
    spni_request *requests[16];
    int count = spni_window_peek_locked(it->window, it->now, requests, 16);
    spni_window_sent_locked(it->window, it->now, requests, count);
}

/* A reply to the request at some place of the flying ones. */
static void reply(state *it, input *in)
{
    uint8_t bytes[300] = {0, 0, 7};
    spni_request *request = it->window->flying.first;
    for (int i = next(in) % 8; i > 0 && request && request->next; i--)
        request = request->next;
    spni_store_le16(bytes + 10, 0x80 | (next(in) & 0x0f));
    spni_store_le16(bytes + 12, request ? request->sequence : next(in));
    spni_window_receive_locked(it->window, it->now, bytes,
                               SPNI_SCP_REPLY_HEADER + next(in));
}

static void receive(state *it, input *in)
{
    uint8_t bytes[400] = {0};
    size_t length = next(in) + next(in) % 100u;
    size_t left = (size_t)(in->end - in->at);
    size_t given = length < left ? length : left;
    if (given)
        memcpy(bytes, in->at, given);
    in->at += given;
    spni_window_receive_locked(it->window, it->now, bytes, length);
}

static void pop(state *it)
{
    uint8_t data[3 * SPNI_SCP_MAX];
    spn_scp_outcome outcomes[8];
    int count = spn_window_pop(it->window, outcomes, 8, data, sizeof data);
    for (int i = 0; i < count; i++) {
        CHECK(outcomes[i].token < it->taken);
        CHECK(it->open[outcomes[i].token]);
        CHECK(outcomes[i].offset + outcomes[i].length <= sizeof data);
        CHECK((outcomes[i].status == 0) == (outcomes[i].length > 0));
        it->open[outcomes[i].token] = false;
        it->ended++;
    }
}

static void step(state *it, input *in)
{
    switch (next(in) % 8) {
    case 0:
    case 1:
        submit(it, in);
        break;
    case 2:
        transmit(it);
        break;
    case 3:
        it->now += (uint64_t)next(in) * next(in) * 100000;
        spni_window_tick_locked(it->window, it->now);
        break;
    case 4:
    case 5:
        reply(it, in);
        break;
    case 6:
        receive(it, in);
        break;
    case 7:
        pop(it);
        break;
    }
}

static void check_sums(state *it)
{
    spn_window_stats stats;
    spn_window_read_stats(it->window, &stats);
    CHECK_EQ(stats.requests, it->taken);
    CHECK_EQ(stats.in_progress + it->window->ended.count,
             it->taken - it->ended);
    CHECK(stats.sent <= stats.requests + stats.resent);
    CHECK(stats.channels >= 1 && stats.channels <= 128);
    CHECK(it->window->flying.count <= stats.channels
          || it->window->config.channels == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static spn_sequences *sequences;
    input in = {data, data + size};
    state it = {.now = UINT64_C(1000000000000)};
    spn_window_config config = {
        .channels = next(&in) % 20, .waits = -1, .retries = next(&in) % 12,
        .timeout_ns = UINT64_C(100000000), .probe = next(&in) & 1,
    };
    if (!sequences)
        CHECK_EQ(spn_sequences_new(&sequences), 0);
    uint32_t in_use = sequences->in_use;
    CHECK_EQ(spn_window_new(&config, sequences, &it.window), 0);
    while (in.at < in.end) {
        step(&it, &in);
        check_sums(&it);
    }
    spn_window_fail(it.window, SPN_ESTOPPED);
    while (it.window->ended.count)
        pop(&it);
    CHECK_EQ(it.ended, it.taken);
    spn_window_free(it.window);
    CHECK_EQ(sequences->in_use, in_use);
    return 0;
}

static size_t fuzz_example(uint8_t *data, size_t capacity, uint64_t *random)
{
    size_t size = 100 + fuzz_below(random, 2000);
    if (size > capacity)
        size = capacity;
    for (size_t i = 0; i < size; i++)
        data[i] = (uint8_t)fuzz_random(random);
    return size;
}
