/* SPDX-License-Identifier: Apache-2.0 */
/* The SCP window under an invented clock and an invented board. */
#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "check.h"
#include "scp/window.h"

#define MS UINT64_C(1000000)
#define TIMEOUT (1000 * MS)

static spn_sequences *sequences;
static spn_window *window;
static uint64_t now;

static void open_window(int channels, int waits)
{
    spn_window_config config = {
        .channels = channels, .waits = waits, .retries = 10,
        .timeout_ns = TIMEOUT,
    };
    CHECK_EQ(spn_sequences_new(&sequences), 0);
    CHECK_EQ(spn_window_new(&config, sequences, &window), 0);
    now = 1000000 * MS;
}

static void close_window(void)
{
    spn_window_free(window);
    spn_sequences_unref(sequences);
}

static spn_window_stats stats(void)
{
    spn_window_stats out;
    spn_window_read_stats(window, &out);
    return out;
}

static void make(uint8_t *bytes, uint16_t command)
{
    const uint32_t arguments[3] = {0x60000000, 8, 0};
    spni_request_encode(bytes, (spni_place){0, 0, 0}, command, arguments);
}

static int submit(uint64_t token, uint16_t command)
{
    uint8_t bytes[SPNI_SCP_REQUEST_HEADER];
    make(bytes, command);
    return spn_window_submit(window, token, bytes, sizeof bytes,
                             spn_scp_may_repeat(bytes, sizeof bytes));
}

/* Sends all that may be sent; the number, and the sequences of them. */
static int transmit(uint16_t *sent)
{
    spni_request *requests[256];
    int count = spni_window_peek_locked(window, now, requests, 256);
    for (int i = 0; i < count && sent; i++)
        sent[i] = requests[i]->sequence;
    spni_window_sent_locked(window, now, requests, count);
    return count;
}

static void reply(uint16_t sequence, uint16_t code, size_t payload)
{
    uint8_t bytes[SPNI_SCP_MAX] = {0};
    bytes[2] = 0x07;
    spni_store_le16(bytes + 10, code);
    spni_store_le16(bytes + 12, sequence);
    spni_window_receive_locked(window, now, bytes,
                               SPNI_SCP_REPLY_HEADER + payload);
}

static void answer(int sequence)
{
    reply((uint16_t)sequence, SPNI_RC_OK, 8);
}

static int pop(spn_scp_outcome *completions)
{
    static uint8_t data[256 * SPNI_SCP_MAX];
    return spn_window_pop(window, completions, 256, data, sizeof data);
}

static spn_scp_outcome only(void)
{
    spn_scp_outcome completions[256];
    CHECK_EQ(pop(completions), 1);
    return completions[0];
}

static void test_a_reply_ends_its_request(void)
{
    open_window(1, 0);
    int sequence = submit(77, SPNI_CMD_READ);
    CHECK(sequence >= 0);
    CHECK_EQ(transmit(NULL), 1);
    CHECK_EQ(transmit(NULL), 0);
    answer(sequence);
    spn_scp_outcome done = only();
    CHECK_EQ(done.token, 77);
    CHECK_EQ(done.status, 0);
    CHECK_EQ(done.code, SPNI_RC_OK);
    CHECK_EQ(done.length, SPNI_SCP_REPLY_HEADER + 8);
    CHECK_EQ(stats().in_progress, 0);
    close_window();
}

static void test_a_full_window_drains_to_its_waits(void)
{
    open_window(4, 1);
    int sequence[4];
    for (int i = 0; i < 4; i++)
        CHECK((sequence[i] = submit(0, SPNI_CMD_READ)) >= 0);
    CHECK_EQ(transmit(NULL), 4);
    CHECK_ERR(submit(0, SPNI_CMD_READ), -EAGAIN);
    answer(sequence[0]);
    answer(sequence[1]);
    CHECK_ERR(submit(0, SPNI_CMD_READ), -EAGAIN);
    answer(sequence[2]);
    CHECK(submit(0, SPNI_CMD_READ) >= 0);
    close_window();
}

static void test_a_bad_window_is_refused(void)
{
    spn_window_config good = {.channels = 2, .retries = 1, .timeout_ns = 1};
    spn_window_config bad[4] = {good, good, good, good};
    bad[0].channels = -1;
    bad[1].waits = 2;
    bad[2].retries = -1;
    bad[3].timeout_ns = 0;
    CHECK_EQ(spn_sequences_new(&sequences), 0);
    for (int i = 0; i < 4; i++)
        CHECK_ERR(spn_window_new(&bad[i], sequences, &window), -EINVAL);
    spn_sequences_unref(sequences);
}

static void test_a_silent_peer_gets_eleven_sendings(void)
{
    open_window(8, 7);
    for (int i = 0; i < 8; i++)
        CHECK(submit(0, SPNI_CMD_READ) >= 0);
    int sendings = transmit(NULL);
    for (int i = 0; i < 11; i++) {
        now = spni_window_deadline_locked(window);
        spni_window_tick_locked(window, now - 1);
        CHECK_EQ(transmit(NULL), 0);
        spni_window_tick_locked(window, now);
        sendings += transmit(NULL);
    }
    CHECK_EQ(sendings, 8 * 11);
    CHECK_EQ(now, 1000000 * MS + 11 * TIMEOUT);
    spn_scp_outcome completions[256];
    CHECK_EQ(pop(completions), 8);
    CHECK_EQ(completions[0].status, -ETIMEDOUT);
    CHECK_EQ(completions[0].code, 0);
    CHECK_EQ(completions[0].attempts, 11);
    CHECK_EQ(stats().timeouts, 88);
    CHECK_EQ(stats().resent, 80);
    CHECK_EQ(spni_window_deadline_locked(window), UINT64_MAX);
    close_window();
}

static void test_three_later_replies_resend_at_once(void)
{
    open_window(8, 7);
    int sequence[8];
    uint16_t sent[8];
    for (int i = 0; i < 8; i++)
        sequence[i] = submit((uint64_t)i, SPNI_CMD_READ);
    transmit(NULL);
    answer(sequence[1]);
    answer(sequence[2]);
    CHECK_EQ(transmit(sent), 0);
    answer(sequence[3]);
    CHECK_EQ(transmit(sent), 1);
    CHECK_EQ(sent[0], sequence[0]);
    CHECK_EQ(stats().resent_overtaken, 1);
    CHECK_EQ(stats().resent, 1);
    CHECK_EQ(stats().timeouts, 0);
    /* sent again, it is overtaken only by what was sent after it */
    answer(sequence[4]);
    answer(sequence[5]);
    answer(sequence[6]);
    CHECK_EQ(transmit(sent), 0);
    answer(sequence[0]);
    CHECK_EQ(stats().in_progress, 1);
    close_window();
}

static void test_what_may_not_be_repeated_waits_for_its_timeout(void)
{
    open_window(8, 7);
    int sequence[8];
    sequence[0] = submit(0, 24);
    for (int i = 1; i < 8; i++)
        sequence[i] = submit(0, SPNI_CMD_READ);
    transmit(NULL);
    for (int i = 1; i < 8; i++)
        answer(sequence[i]);
    CHECK_EQ(transmit(NULL), 0);
    now += TIMEOUT;
    spni_window_tick_locked(window, now);
    CHECK_EQ(transmit(NULL), 1);
    close_window();
}

static void test_only_harmless_commands_may_be_repeated(void)
{
    static const uint16_t harmless[] = {0, 2, 3, 5, 31};
    uint8_t bytes[SPNI_SCP_REQUEST_HEADER];
    int count = 0;
    for (uint16_t command = 0; command < 65; command++) {
        const uint32_t none[3] = {0, 0, 0};
        spni_request_encode(bytes, (spni_place){0, 0, 0}, command, none);
        count += spn_scp_may_repeat(bytes, sizeof bytes);
    }
    CHECK_EQ(count, 5);
    for (int i = 0; i < 5; i++) {
        make(bytes, harmless[i]);
        CHECK(spn_scp_may_repeat(bytes, sizeof bytes));
    }
    static const struct {
        uint16_t command;
        uint32_t first;
        bool may;
    } cases[] = {
        {SPNI_CMD_IPTAG, 1 << 16 | 3, true},
        {SPNI_CMD_IPTAG, 0x71011103, true},
        {SPNI_CMD_IPTAG, 2 << 16 | 3, true},
        {SPNI_CMD_IPTAG, 3 << 16 | 3, false},
        {SPNI_CMD_ALLOC, 4 << 16 | 30 << 8, true},
        {SPNI_CMD_ALLOC, 30 << 8, false},
        {SPNI_CMD_ALLOC, 4 << 16 | 30 << 8 | 1, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const uint32_t arguments[3] = {cases[i].first, 0, 0};
        spni_request_encode(bytes, (spni_place){0, 0, 0}, cases[i].command,
                            arguments);
        CHECK_EQ(spn_scp_may_repeat(bytes, sizeof bytes), cases[i].may);
        CHECK(!spn_scp_may_repeat(bytes, sizeof bytes - 1));
    }
}

static void test_a_read_tells_how_long_its_reply_is(void)
{
    uint8_t bytes[26];
    make(bytes, SPNI_CMD_READ);
    bytes[18] = 7;
    CHECK_EQ(spn_scp_reply_length(bytes, sizeof bytes), 7);
    CHECK_EQ(spn_scp_reply_length(bytes, sizeof bytes - 1), -1);
    bytes[19] = 1;
    CHECK_EQ(spn_scp_reply_length(bytes, sizeof bytes), -1); /* 263 */
    bytes[18] = 0;
    CHECK_EQ(spn_scp_reply_length(bytes, sizeof bytes), 256);
    bytes[20] = 1;
    CHECK_EQ(spn_scp_reply_length(bytes, sizeof bytes), -1);
    make(bytes, SPNI_CMD_WRITE);
    bytes[18] = 7;
    CHECK_EQ(spn_scp_reply_length(bytes, sizeof bytes), -1);
}

static void test_a_retry_code_parks_one_and_not_the_others(void)
{
    open_window(1, 0);
    int first = submit(1, SPNI_CMD_READ);
    transmit(NULL);
    reply((uint16_t)first, SPNI_RC_P2P_BUSY, 0);
    uint64_t due = spni_window_deadline_locked(window);
    CHECK_EQ(due, now + 100 * MS);
    /* told twice it waits no longer */
    now += 50 * MS;
    reply((uint16_t)first, SPNI_RC_P2P_BUSY, 0);
    CHECK_EQ(stats().ignored_late, 1);
    CHECK_EQ(spni_window_deadline_locked(window), due);
    /* the channel is free for another meanwhile */
    int second = submit(2, SPNI_CMD_READ);
    CHECK(second >= 0);
    CHECK_EQ(transmit(NULL), 1);
    answer(second);
    CHECK_EQ(only().token, 2);
    now = due;
    spni_window_tick_locked(window, now);
    CHECK_EQ(transmit(NULL), 1);
    CHECK_EQ(stats().resent_retry_code, 1);
    CHECK_EQ(stats().resent, 1);
    reply((uint16_t)first, SPNI_RC_TIMEOUT, 0);
    CHECK_EQ(spni_window_deadline_locked(window), now + 150 * MS);
    now = spni_window_deadline_locked(window);
    spni_window_tick_locked(window, now);
    transmit(NULL);
    answer(first);
    CHECK_EQ(only().token, 1);
    close_window();
}

static void test_retry_codes_use_up_the_retries(void)
{
    open_window(1, 0);
    int sequence = submit(1, SPNI_CMD_READ);
    for (int i = 0; i < 11; i++) {
        while (transmit(NULL) == 0) {
            now = spni_window_deadline_locked(window);
            spni_window_tick_locked(window, now);
        }
        reply((uint16_t)sequence, SPNI_RC_P2P_NOREPLY, 0);
    }
    spn_scp_outcome done = only();
    CHECK_EQ(done.status, -ETIMEDOUT);
    CHECK_EQ(done.code, SPNI_RC_P2P_NOREPLY);
    CHECK_EQ(done.attempts, 11);
    CHECK_EQ(stats().timeouts, 0);
    close_window();
}

static void test_pauses_grow_to_a_second_or_so(void)
{
    open_window(1, 0);
    int sequence = submit(1, SPNI_CMD_READ);
    uint64_t pause = 0;
    transmit(NULL);
    for (int i = 0; i < 10; i++) {
        uint64_t told = now;
        reply((uint16_t)sequence, SPNI_RC_P2P_BUSY, 0);
        while (transmit(NULL) == 0) {
            now = spni_window_deadline_locked(window);
            spni_window_tick_locked(window, now);
        }
        uint64_t next = now - told;
        CHECK(pause == 0 || next * 2 == pause * 3 || next == pause);
        pause = next;
    }
    CHECK(pause >= 1000 * MS && pause <= 1500 * MS);
    close_window();
}

/* How many of eight requests may fly after this. */
static int fly(void)
{
    for (int i = 0; i < 8; i++)
        submit(0, SPNI_CMD_READ);
    return transmit(NULL);
}

static void test_a_silence_makes_no_window_smaller(void)
{
    uint16_t sent[256];
    open_window(8, 7);
    CHECK_EQ(fly(), 8);
    now += TIMEOUT;
    spni_window_tick_locked(window, now);
    CHECK_EQ(transmit(sent), 8);
    CHECK_EQ(stats().timeouts, 8);
    for (int i = 0; i < 8; i++)
        answer(sent[i]);
    CHECK_EQ(fly(), 8);
    close_window();
}

static void test_a_loss_makes_the_window_smaller_once(void)
{
    int sequence[4];
    open_window(8, 7);
    for (int i = 0; i < 4; i++)
        sequence[i] = submit(0, i == 0 ? 24 : SPNI_CMD_READ);
    transmit(NULL);
    now += TIMEOUT / 2;
    for (int i = 1; i < 4; i++)
        answer(sequence[i]); /* overtaken: one smaller */
    now += TIMEOUT / 2;
    spni_window_tick_locked(window, now); /* and out of time */
    CHECK_EQ(stats().timeouts, 1);
    CHECK_EQ(fly(), 7);
    close_window();
}

static void test_other_codes_end_their_request(void)
{
    static const uint16_t codes[] = {0x82, 0x83, 0x84, 0x89, 0x8c, 0xff,
                                     0x1234};
    open_window(1, 0);
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        int sequence = submit(i, SPNI_CMD_READ);
        transmit(NULL);
        reply((uint16_t)sequence, codes[i], 0);
        spn_scp_outcome done = only();
        CHECK_EQ(done.status, 0);
        CHECK_EQ(done.code, codes[i]);
    }
    close_window();
}

static void test_foreign_and_forged_replies_are_counted(void)
{
    uint8_t bytes[600] = {0, 0, 0x07};
    open_window(1, 0);
    int sequence = submit(1, SPNI_CMD_READ);
    uint16_t number = (uint16_t)sequence;
    reply(number, SPNI_RC_OK, 8); /* before it was sent */
    transmit(NULL);
    spni_store_le16(bytes + 10, SPNI_RC_OK);
    spni_store_le16(bytes + 12, number);
    spni_window_receive_locked(window, now, bytes, 0);
    spni_window_receive_locked(window, now, bytes, 13);
    spni_window_receive_locked(window, now, bytes, 283);
    bytes[2] = 0x55;
    spni_window_receive_locked(window, now, bytes, 22);
    reply(number, SPNI_CMD_READ, 8);
    reply(number, SPNI_RC_OK, 7);
    reply(number, SPNI_RC_OK, 9);
    reply((uint16_t)(number + 1), SPNI_RC_OK, 8);
    CHECK_EQ(stats().in_progress, 1);
    answer(sequence);
    answer(sequence);
    spn_window_stats seen = stats();
    CHECK_EQ(seen.ignored_short, 2);
    CHECK_EQ(seen.ignored_oversize, 1);
    CHECK_EQ(seen.ignored_flags, 1);
    CHECK_EQ(seen.ignored_command, 1);
    CHECK_EQ(seen.ignored_length, 2);
    CHECK_EQ(seen.ignored_unknown, 1);
    CHECK_EQ(seen.ignored_late, 2);
    CHECK_EQ(only().token, 1);
    close_window();
}

/* 200 000 requests: one that is never answered, and late replies. */
static void test_numbers_in_use_or_at_rest_are_not_given_out(void)
{
    static bool at_rest[65536];
    open_window(4, 3);
    memset(at_rest, 0, sizeof at_rest);
    int stuck = submit(0, 24);
    transmit(NULL);
    for (int i = 1; i < 200000; i++) {
        int sequence = submit((uint64_t)i, SPNI_CMD_READ);
        CHECK(sequence >= 0 && sequence != stuck);
        CHECK(!at_rest[sequence]);
        transmit(NULL);
        if (i % 100 == 0) { /* twice sent, once answered */
            now += TIMEOUT / 1000;
            spni_request *again =
                spni_sequence_find_locked(sequences, (uint16_t)sequence,
                                          &(bool){false});
            again->sent++;
            at_rest[sequence] = true;
        }
        answer(sequence);
        CHECK_EQ(only().token, i);
        if (at_rest[sequence])
            answer(sequence);
    }
    CHECK_EQ(stats().ignored_late, 1999);
    CHECK_EQ(stats().in_progress, 1);
    answer(stuck);
    CHECK_EQ(only().token, 0);
    close_window();
}

static void test_half_of_the_numbers_may_be_in_use(void)
{
    open_window(40000, 0);
    for (int i = 0; i < 32767; i++)
        CHECK(submit((uint64_t)i, SPNI_CMD_READ) >= 0);
    CHECK_ERR(submit(40000, SPNI_CMD_READ), SPN_ENUMBERS);
    CHECK_ERR(spn_window_offer(window, now, -1), SPN_ENUMBERS);
    spn_window_forget(window, 5);
    CHECK(submit(40000, SPNI_CMD_READ) >= 0);
    CHECK_EQ(stats().in_progress, 32767);
    close_window();
}

static void test_rest_ends(void)
{
    open_window(1, 0);
    for (int i = 0; i < 70000; i++) {
        int sequence = submit(0, SPNI_CMD_READ);
        CHECK(sequence >= 0);
        transmit(NULL);
        now += TIMEOUT;
        spni_window_tick_locked(window, now);
        transmit(NULL);
        answer(sequence);
        only();
    }
    CHECK(sequences->rest_count <= 32);
    close_window();
}

/* However long the machine has been up: a window that has not sent yet knows
 * no time. */
static void test_a_new_window_lets_numbers_rest(void)
{
    static const uint64_t days[] = {1, 30, 60};
    for (int i = 0; i < 3; i++) {
        open_window(1, 0);
        now = days[i] * 24 * 3600 * 1000 * MS;
        int sequence = submit(0, SPNI_CMD_READ);
        transmit(NULL);
        now += TIMEOUT;
        spni_window_tick_locked(window, now);
        transmit(NULL);
        answer(sequence);
        spn_window *first = window;
        spn_window_config config = first->config;
        CHECK_EQ(spn_window_new(&config, sequences, &window), 0);
        submit(0, SPNI_CMD_READ);
        CHECK_EQ(sequences->rest_count, 1);
        spn_window_free(first);
        close_window();
    }
}

static void test_what_is_given_up_or_dropped_rests(void)
{
    open_window(8, 7);
    window->config.retries = 0;
    submit(0, SPNI_CMD_READ);
    transmit(NULL);
    now += TIMEOUT;
    spni_window_tick_locked(window, now);
    CHECK_EQ(only().status, -ETIMEDOUT);
    CHECK_EQ(sequences->rest_count, 1);
    submit(1, SPNI_CMD_READ);
    transmit(NULL);
    spn_window_forget(window, 1);
    CHECK_EQ(sequences->rest_count, 2);
    submit(2, SPNI_CMD_READ);
    spn_window_forget(window, 2); /* never sent */
    CHECK_EQ(sequences->rest_count, 2);
    close_window();
}

static void test_rest_is_bounded(void)
{
    open_window(1, 0);
    for (int i = 0; i < 200000; i++) {
        int sequence = submit(0, SPNI_CMD_READ);
        CHECK(sequence >= 0);
        transmit(NULL);
        bool used;
        spni_request *request = spni_sequence_find_locked(
            sequences, (uint16_t)sequence, &used);
        request->sent++;
        answer(sequence);
        only();
    }
    CHECK_EQ(sequences->rest_count, SPNI_RESTING_MAX);
    close_window();
}

static void test_a_failed_window_ends_everything(void)
{
    open_window(8, 7);
    for (int i = 0; i < 8; i++)
        submit((uint64_t)i, SPNI_CMD_READ);
    transmit(NULL);
    spn_window_fail(window, -ECONNREFUSED);
    spn_scp_outcome completions[256];
    CHECK_EQ(pop(completions), 8);
    for (int i = 0; i < 8; i++)
        CHECK_EQ(completions[i].status, -ECONNREFUSED);
    close_window();
}

static void test_a_window_takes_the_replies_of_another(void)
{
    spn_window_config config = {
        .channels = 2, .waits = 0, .retries = 1, .timeout_ns = TIMEOUT};
    open_window(2, 0);
    spn_window *first = window, *second;
    CHECK_EQ(spn_window_new(&config, sequences, &second), 0);
    int one = submit(1, SPNI_CMD_READ);
    transmit(NULL);
    window = second;
    int two = submit(2, SPNI_CMD_READ);
    transmit(NULL);
    CHECK(one != two);
    answer(one);
    spn_scp_outcome completions[256];
    CHECK_EQ(pop(completions), 0);
    window = first;
    CHECK_EQ(only().token, 1);
    answer(two);
    window = second;
    CHECK_EQ(only().token, 2);
    spn_window_free(second);
    window = first;
    close_window();
}

static void test_a_forked_child_does_not_wait_for_a_lost_thread(void)
{
    open_window(2, 0);
    submit(0, SPNI_CMD_READ);
    pthread_mutex_lock(&sequences->lock);
    pid_t child = fork();
    if (child == 0) {
        alarm(PATIENCE_S);
        spn_window *other;
        uint16_t again[4];
        uint64_t wait_ns;
        spn_window_config config = window->config;
        CHECK_ERR(spn_window_new(&config, sequences, &other), SPN_EFORKED);
        CHECK_ERR(submit(1, SPNI_CMD_READ), SPN_EFORKED);
        CHECK_ERR(spn_window_offer(window, now, -1), SPN_EFORKED);
        CHECK_ERR(spn_window_match(window, now, 0, SPNI_RC_OK), SPN_EFORKED);
        CHECK_ERR(spn_window_step(window, now, again, 4, &wait_ns),
                  SPN_EFORKED);
        spn_window_fail(window, -EIO);
        CHECK_EQ(stats().in_progress, 1);
        spn_window_free(window);
        _exit(0);
    }
    int status = -1;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
    pthread_mutex_unlock(&sequences->lock);
    close_window();
}

static void test_useless_replies_do_not_stop_time(void)
{
    uint16_t again[4];
    uint64_t wait_ns;
    open_window(2, 0);
    spn_window_offer(window, now, -1);
    now += TIMEOUT;
    int steps = 0;
    while (spn_window_step(window, now, again, 4, &wait_ns) == 0) {
        CHECK_EQ(spn_window_match(window, now, 40000, SPNI_RC_OK),
                 SPN_WINDOW_DUE);
        CHECK(++steps < 100);
    }
    CHECK_EQ(stats().timeouts, 1);
    /* The next time they are looked for anew. */
    now += TIMEOUT + MS;
    CHECK_EQ(spn_window_step(window, now, again, 4, &wait_ns), 0);
    CHECK_EQ(wait_ns, 0);
    CHECK_EQ(spn_window_step(window, now, again, 4, &wait_ns), 1);
    close_window();
}

static void test_a_step_takes_a_batch_at_most(void)
{
    uint16_t again[100];
    uint64_t wait_ns;
    open_window(100, 99);
    for (int i = 0; i < 100; i++)
        CHECK(spn_window_offer(window, now, -1) >= 0);
    now += TIMEOUT;
    CHECK_EQ(spn_window_step(window, now, again, 100, &wait_ns), 0);
    CHECK_EQ(spn_window_step(window, now, again, 100, &wait_ns), 64);
    CHECK_EQ(spn_window_step(window, now, again, 100, &wait_ns), 36);
    close_window();
}

enum { FLAGS = ~0xffff };

static void test_a_driver_may_keep_the_bytes(void)
{
    uint16_t again[4];
    uint64_t wait_ns;
    open_window(2, 0);
    int code = spn_window_offer(window, now, -1);
    uint16_t number = (uint16_t)code;
    CHECK_EQ(code & FLAGS, 0);
    CHECK_EQ(spn_window_step(window, now, again, 4, &wait_ns), 0);
    CHECK_EQ(wait_ns, TIMEOUT);
    CHECK_EQ(spn_window_match(window, now, number, SPNI_CMD_READ),
             SPN_WINDOW_DUE);
    CHECK_EQ(stats().ignored_command, 1);
    CHECK_EQ(spn_window_match(window, now, number, SPNI_RC_P2P_BUSY),
             SPN_WINDOW_DUE);
    CHECK_EQ(spn_window_step(window, now, again, 4, &wait_ns), 0);
    CHECK_EQ(wait_ns, 100 * MS);
    now += wait_ns;
    CHECK_EQ(spn_window_step(window, now, again, 4, &wait_ns), 0);
    CHECK_EQ(wait_ns, 0);
    CHECK_EQ(spn_window_step(window, now, again, 4, &wait_ns), 1);
    CHECK_EQ(again[0], number);
    CHECK_EQ(spn_window_match(window, now, number, SPNI_RC_OK),
             SPN_WINDOW_ENDED);
    CHECK_EQ(spn_window_match(window, now, number, SPNI_RC_OK),
             SPN_WINDOW_DUE);
    CHECK_EQ(stats().ignored_late, 1);
    uint16_t first = (uint16_t)spn_window_offer(window, now, -1);
    code = spn_window_offer(window, now, -1);
    CHECK_EQ(code & FLAGS, SPN_WINDOW_FULL);
    CHECK_EQ(spn_window_offer(window, now, -1), SPN_WINDOW_REFUSED);
    now += TIMEOUT;
    CHECK_EQ(spn_window_match(window, now, (uint16_t)code, SPNI_RC_OK),
             SPN_WINDOW_ENDED | SPN_WINDOW_DUE);
    CHECK_EQ(spn_window_step(window, now, again, 4, &wait_ns), 0);
    CHECK_EQ(spn_window_match(window, now, number, SPNI_RC_OK),
             SPN_WINDOW_DUE);
    CHECK_EQ(spn_window_step(window, now, again, 4, &wait_ns), 0);
    CHECK_EQ(spn_window_step(window, now, again, 4, &wait_ns), 1);
    CHECK_EQ(again[0], first);
    code = spn_window_offer(window, now, -1);
    spn_window_forget(window, (uint16_t)code);
    CHECK_EQ(stats().in_progress, 1);
    spn_window_fail(window, -EIO);
    CHECK_EQ(only().sequence, first);
    close_window();
}

static void test_a_driver_hears_of_a_request_that_was_told_too_often(void)
{
    spn_scp_outcome done;
    open_window(8, 7);
    window->config.retries = 0;
    int sequence = spn_window_offer(window, now, -1);
    CHECK_EQ(spn_window_match(window, now, (uint16_t)sequence,
                              SPNI_RC_P2P_BUSY), SPN_WINDOW_DUE);
    CHECK_EQ(spn_window_pop(window, &done, 1, NULL, 0), 1);
    CHECK_EQ(done.sequence, sequence);
    CHECK_EQ(done.status, -ETIMEDOUT);
    CHECK_EQ(done.code, SPNI_RC_P2P_BUSY);
    close_window();
}

static void test_an_answer_may_come_with_the_next_offer(void)
{
    open_window(2, 1);
    int first = spn_window_offer(window, now, -1) & 0xffff;
    int second = spn_window_offer(window, now, -1) & 0xffff;
    CHECK_EQ(spn_window_offer(window, now, -1), SPN_WINDOW_REFUSED);
    int third = spn_window_offer(window, now, first);
    CHECK_EQ(third & FLAGS, SPN_WINDOW_ENDED | SPN_WINDOW_FULL);
    CHECK_EQ(stats().replies, 1);
    /* One that was answered before makes no room. */
    CHECK_EQ(spn_window_offer(window, now, first),
             SPN_WINDOW_REFUSED | SPN_WINDOW_DUE);
    CHECK_EQ(stats().ignored_late, 1);
    CHECK_EQ(spn_window_offer(window, now, second) & FLAGS,
             SPN_WINDOW_ENDED | SPN_WINDOW_FULL);
    CHECK_EQ(stats().in_progress, 2);
    close_window();
}

static void test_an_answer_makes_no_room_while_the_window_drains(void)
{
    open_window(2, 0);
    int first = spn_window_offer(window, now, -1) & 0xffff;
    int second = spn_window_offer(window, now, -1) & 0xffff;
    CHECK_EQ(spn_window_offer(window, now, first),
             SPN_WINDOW_REFUSED | SPN_WINDOW_ENDED);
    CHECK_EQ(spn_window_offer(window, now, second) & FLAGS, SPN_WINDOW_ENDED);
    close_window();
}

/* Send eight and answer all but the first: it has been overtaken. */
static uint16_t overtake_first(void)
{
    int numbers[8];
    for (int i = 0; i < 8; i++)
        numbers[i] = spn_window_offer(window, now, -1) & 0xffff;
    for (int i = 1; i < 7; i++)
        spn_window_match(window, now, (uint16_t)numbers[i], SPNI_RC_OK);
    CHECK_EQ(spn_window_match(window, now, (uint16_t)numbers[7], SPNI_RC_OK),
             SPN_WINDOW_ENDED | SPN_WINDOW_DUE);
    return (uint16_t)numbers[0];
}

static void test_a_driver_is_asked_whether_to_repeat(void)
{
    uint16_t again[4];
    uint64_t wait_ns;
    open_window(8, 7);
    uint16_t lost = overtake_first();
    CHECK_EQ(spn_window_doubt(window), lost);
    CHECK_EQ(spn_window_doubt(window), -1);
    spn_window_repeat(window, lost);
    CHECK_EQ(spn_window_step(window, now, again, 4, &wait_ns), 1);
    CHECK_EQ(again[0], lost);
    CHECK_EQ(stats().resent_overtaken, 1);
    CHECK_EQ(spn_window_match(window, now, lost, SPNI_RC_OK), SPN_WINDOW_ENDED);
    spn_window_repeat(window, lost);
    CHECK_EQ(stats().in_progress, 0);
    close_window();
}

static void test_what_a_driver_does_not_repeat_waits_for_its_timeout(void)
{
    uint16_t again[4];
    uint64_t wait_ns;
    open_window(8, 7);
    uint16_t lost = overtake_first();
    CHECK_EQ(spn_window_doubt(window), lost);
    CHECK_EQ(spn_window_step(window, now, again, 4, &wait_ns), 0);
    CHECK_EQ(wait_ns, TIMEOUT);
    CHECK_EQ(spn_window_doubt(window), -1);
    now += TIMEOUT;
    spn_window_step(window, now, again, 4, &wait_ns);
    CHECK_EQ(spn_window_step(window, now, again, 4, &wait_ns), 1);
    CHECK_EQ(again[0], lost);
    CHECK_EQ(stats().timeouts, 1);
    CHECK_EQ(stats().resent_overtaken, 0);
    close_window();
}

static void test_what_was_told_to_wait_is_not_repeated(void)
{
    uint16_t again[4];
    uint64_t wait_ns;
    open_window(8, 7);
    uint16_t lost = overtake_first();
    CHECK_EQ(spn_window_doubt(window), lost);
    CHECK_EQ(spn_window_match(window, now, lost, SPNI_RC_P2P_BUSY),
             SPN_WINDOW_DUE);
    spn_window_repeat(window, lost);
    CHECK_EQ(spn_window_step(window, now, again, 4, &wait_ns), 0);
    CHECK_EQ(wait_ns, 100 * MS);
    close_window();
}

static void test_what_has_no_retries_left_is_not_repeated(void)
{
    uint16_t again[4];
    uint64_t wait_ns;
    open_window(8, 7);
    window->config.retries = 0;
    uint16_t lost = overtake_first();
    CHECK_EQ(spn_window_doubt(window), lost);
    spn_window_repeat(window, lost);
    CHECK_EQ(spn_window_step(window, now, again, 4, &wait_ns), 0);
    close_window();
}

static void test_a_window_repeats_only_its_own(void)
{
    uint16_t again[4];
    uint64_t wait_ns;
    open_window(8, 7);
    spn_window *other;
    CHECK_EQ(spn_window_new(&window->config, sequences, &other), 0);
    uint16_t lost = overtake_first();
    spn_window_repeat(other, lost);
    spn_window_repeat(other, 40000);
    CHECK_EQ(spn_window_step(window, now, again, 4, &wait_ns), 0);
    spn_window_free(other);
    close_window();
}

/* What flew before a loss made the window smaller leaves no room to fly. */
static void test_what_may_not_fly_is_held(void)
{
    uint16_t again[8];
    uint64_t wait_ns;
    open_window(8, 7);
    overtake_first(); /* the size is 7 now, one flies */
    for (int i = 0; i < 6; i++)
        CHECK_EQ(spn_window_offer(window, now, -1) & SPN_WINDOW_HELD, 0);
    int held = spn_window_offer(window, now, -1);
    CHECK_EQ(held & FLAGS, SPN_WINDOW_HELD | SPN_WINDOW_FULL);
    held &= 0xffff;
    /* Not sent, so not to be answered. */
    CHECK_EQ(spn_window_match(window, now, (uint16_t)held, SPNI_RC_OK),
             SPN_WINDOW_DUE);
    CHECK_EQ(spn_window_step(window, now, again, 8, &wait_ns), 0);
    while (spn_window_doubt(window) >= 0)
        ;
    CHECK_EQ(spn_window_match(window, now, (uint16_t)(held - 1), SPNI_RC_OK),
             SPN_WINDOW_ENDED | SPN_WINDOW_DUE);
    CHECK_EQ(spn_window_step(window, now, again, 8, &wait_ns), 1);
    CHECK_EQ(again[0], held);
    close_window();
}

/* A board that serves one request in `service` and holds at most `tags`;
 * `lose` of 1000 replies are lost, `repeat` come twice, some out of order. */
typedef struct {
    int tags;
    unsigned lose, repeat, reorder;
    uint64_t service;
    uint16_t queue[1024];
    int queued;
    uint64_t free_at;
    uint16_t held; /* a reply that is overtaken by the next */
    bool has_held;
    uint64_t seed;
    uint64_t served;
} board;

static unsigned roll(board *it)
{
    it->seed = it->seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(it->seed >> 40) % 1000;
}

static void board_take(board *it, const uint16_t *sequences_sent, int count)
{
    for (int i = 0; i < count; i++) {
        if (it->queued == 0 && it->free_at < now)
            it->free_at = now;
        if (it->queued < it->tags)
            it->queue[it->queued++] = sequences_sent[i];
    }
}

static void board_serve(board *it)
{
    uint16_t sequence = it->queue[0];
    memmove(it->queue, it->queue + 1, sizeof it->queue - sizeof *it->queue);
    it->queued--;
    it->free_at += it->service;
    it->served++;
    if (roll(it) < it->lose)
        return;
    if (!it->has_held && roll(it) < it->reorder) {
        it->held = sequence;
        it->has_held = true;
        return;
    }
    answer(sequence);
    if (roll(it) < it->repeat)
        answer(sequence);
    if (it->has_held)
        answer(it->held);
    it->has_held = false;
}

/* How long `count` requests take at a board. */
static uint64_t play(board *it, int count)
{
    uint64_t began = now;
    uint16_t sent[256];
    spn_scp_outcome completions[256];
    for (int taken = 0, ended = 0; ended < count;) {
        while (taken < count && submit((uint64_t)taken, SPNI_CMD_READ) >= 0)
            taken++;
        board_take(it, sent, transmit(sent));
        uint64_t due = spni_window_deadline_locked(window);
        if (it->queued && it->free_at + it->service <= due) {
            now = it->free_at + it->service;
            board_serve(it);
        } else {
            CHECK(due != UINT64_MAX);
            now = due > now ? due : now;
            if (it->has_held)
                answer(it->held);
            it->has_held = false;
        }
        spni_window_tick_locked(window, now);
        int got = pop(completions);
        for (int i = 0; i < got; i++)
            CHECK_EQ(completions[i].status, 0);
        ended += got;
    }
    return now - began;
}

enum { REQUESTS = 20000 };

static uint64_t rate(int channels, board it)
{
    it.service = 60000;
    it.seed = 12345;
    open_window(channels, channels - 1);
    uint64_t took = play(&it, REQUESTS);
    close_window();
    return REQUESTS * UINT64_C(1000000000) / took;
}

static void test_an_overrun_board_settles_at_its_best_rate(void)
{
    uint64_t best = rate(8, (board){.tags = 8});
    CHECK(rate(0, (board){.tags = 8}) * 10 >= best * 9);
    CHECK(rate(12, (board){.tags = 8}) * 10 >= best * 9);
    CHECK(rate(32, (board){.tags = 8}) * 10 >= best * 8);
    CHECK(rate(0, (board){.tags = 5}) * 10 >= best * 9);
}

static void test_losses_do_not_wait_for_timeouts(void)
{
    uint64_t best = rate(8, (board){.tags = 1000});
    CHECK(rate(8, (board){.tags = 1000, .lose = 10}) * 10 >= best * 8);
    CHECK(rate(0, (board){.tags = 1000, .lose = 10}) * 10 >= best * 8);
    CHECK(rate(0, (board){.tags = 1000, .lose = 10, .repeat = 50,
                          .reorder = 50}) * 10 >= best * 8);
}

static void test_automatic_channels_grow_while_replies_come(void)
{
    board it = {.tags = 1000, .service = 60000, .seed = 1};
    open_window(0, -1);
    CHECK(stats().channels <= 8);
    play(&it, REQUESTS);
    CHECK(stats().channels > 32);
    CHECK(stats().channels <= 128);
    it.tags = 8;
    play(&it, REQUESTS);
    CHECK(stats().channels >= 4 && stats().channels <= 10);
    close_window();
}

static void test_a_busy_board_is_not_handed_requests_without_end(void)
{
    open_window(8, 7);
    int taken = 0;
    for (;;) {
        int sequence = submit(0, SPNI_CMD_READ);
        if (sequence < 0)
            break;
        transmit(NULL);
        reply((uint16_t)sequence, SPNI_RC_P2P_BUSY, 0);
        taken++;
    }
    CHECK_EQ(taken, 256);
    close_window();
}

static void test_a_probe_resends_the_oldest_after_a_silence(void)
{
    spn_window_config config = {
        .channels = 8, .waits = 7, .retries = 10, .timeout_ns = TIMEOUT,
        .probe = true};
    CHECK_EQ(spn_sequences_new(&sequences), 0);
    CHECK_EQ(spn_window_new(&config, sequences, &window), 0);
    uint16_t sent[256];
    int sequence = submit(0, SPNI_CMD_READ);
    transmit(NULL);
    now += MS;
    answer(sequence);
    only();
    submit(0, 24);
    const int reads[2] = {submit(0, SPNI_CMD_READ), submit(0, SPNI_CMD_READ)};
    transmit(NULL);
    uint64_t began = now;
    /* Three times each, in turn, one at a time. */
    for (int i = 0; i < 6; i++) {
        uint64_t last = now;
        while (transmit(sent) == 0) {
            now = spni_window_deadline_locked(window);
            spni_window_tick_locked(window, now);
        }
        CHECK_EQ(sent[0], reads[i % 2]);
        CHECK(now - last >= 20 * MS && now - last < 100 * MS);
        CHECK_EQ(stats().resent_probe, i + 1);
        CHECK_EQ(transmit(sent), 0);
    }
    CHECK_EQ(stats().timeouts, 0);
    while (stats().timeouts == 0) {
        now = spni_window_deadline_locked(window);
        spni_window_tick_locked(window, now);
    }
    CHECK_EQ(now, began + TIMEOUT);
    CHECK_EQ(stats().resent_probe, 6);
    answer(reads[0]);
    only();
    close_window();
}

int main(void)
{
    test_a_reply_ends_its_request();
    test_a_full_window_drains_to_its_waits();
    test_a_bad_window_is_refused();
    test_a_silent_peer_gets_eleven_sendings();
    test_three_later_replies_resend_at_once();
    test_what_may_not_be_repeated_waits_for_its_timeout();
    test_only_harmless_commands_may_be_repeated();
    test_a_read_tells_how_long_its_reply_is();
    test_a_retry_code_parks_one_and_not_the_others();
    test_retry_codes_use_up_the_retries();
    test_pauses_grow_to_a_second_or_so();
    test_a_silence_makes_no_window_smaller();
    test_a_loss_makes_the_window_smaller_once();
    test_other_codes_end_their_request();
    test_foreign_and_forged_replies_are_counted();
    test_numbers_in_use_or_at_rest_are_not_given_out();
    test_half_of_the_numbers_may_be_in_use();
    test_rest_ends();
    test_a_new_window_lets_numbers_rest();
    test_what_is_given_up_or_dropped_rests();
    test_rest_is_bounded();
    test_a_failed_window_ends_everything();
    test_a_window_takes_the_replies_of_another();
    test_a_forked_child_does_not_wait_for_a_lost_thread();
    test_useless_replies_do_not_stop_time();
    test_a_step_takes_a_batch_at_most();
    test_a_driver_may_keep_the_bytes();
    test_a_driver_hears_of_a_request_that_was_told_too_often();
    test_an_answer_may_come_with_the_next_offer();
    test_an_answer_makes_no_room_while_the_window_drains();
    test_a_driver_is_asked_whether_to_repeat();
    test_what_a_driver_does_not_repeat_waits_for_its_timeout();
    test_what_was_told_to_wait_is_not_repeated();
    test_what_has_no_retries_left_is_not_repeated();
    test_a_window_repeats_only_its_own();
    test_what_may_not_fly_is_held();
    test_an_overrun_board_settles_at_its_best_rate();
    test_losses_do_not_wait_for_timeouts();
    test_automatic_channels_grow_while_replies_come();
    test_a_busy_board_is_not_handed_requests_without_end();
    test_a_probe_resends_the_oldest_after_a_silence();
    return 0;
}
