/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#include "pyspin.h"
#include "sockets.h"

static uint8_t material[4 << 20];

typedef struct {
    int receiver;
    spn_threads *threads;
    spn_sender *sender;
} test_rig;

static const spn_sender_config defaults = {
    .burst_rate_ratio = 1.05, .burst_size = 65536, .max_heaps = 4, .gso = true};

/* A rate so low that the second burst is minutes away. */
static const spn_sender_config slow = {.rate = 100,
                                       .burst_rate_ratio = 1.05,
                                       .burst_size = 4000,
                                       .max_heaps = 2,
                                       .gso = true};

static void set_up(test_rig *rig, const spn_sender_config *config)
{
    uint16_t port;
    rig->receiver = open_receiver(&port);
    spn_endpoint endpoint = {.address = "127.0.0.1", .port = port};
    CHECK_EQ(spn_threads_new(1, NULL, 0, &rig->threads), 0);
    CHECK_EQ(spn_sender_new(rig->threads, open_socket(), &endpoint, 1, config,
                            &rig->sender),
             0);
}

static void tear_down(test_rig *rig)
{
    spn_sender_unref(rig->sender);
    spn_threads_unref(rig->threads);
    close(rig->receiver);
}

static spn_packets *cut(size_t length)
{
    spn_packets *packets;
    spn_send_item item = {.id = 16, .data = material, .length = length};
    CHECK_EQ(spn_packets_new(&item, 1, 40, 1472, false, &packets), 0);
    return packets;
}

/* Receive the packets of heaps of the given kind, in order. */
static void check_heap_arrives(test_rig *rig, const spn_packets *packets,
                               uint64_t cnt)
{
    uint8_t expected[2048], got[2048];
    for (size_t i = 0; i < spn_packets_count(packets); i++) {
        size_t length = spn_packets_write(packets, i, cnt, expected);
        CHECK_EQ(receive_datagram(rig->receiver, got, sizeof got), length);
        CHECK_EQ(memcmp(got, expected, length), 0);
    }
}

static void test_heaps_arrive_in_order(bool direct)
{
    test_rig rig;
    int64_t result;
    set_up(&rig, &defaults);
    spn_packets *packets = cut(20000);
    int64_t total = (int64_t)spn_packets_total(packets);
    for (uint64_t round = 0; round < 50; round++) {
        for (uint64_t i = 0; i < 3; i++) {
            CHECK_EQ(spn_sender_submit(rig.sender, packets, -1, 0, i,
                                       direct ? SIZE_MAX : 0),
                     0);
        }
        for (uint64_t i = 0; i < 3; i++) {
            CHECK_EQ(
                spn_sender_wait(rig.sender, 2 - i, PATIENCE_MS, &result), 0);
            CHECK_EQ(result, total);
            check_heap_arrives(&rig, packets, 1 + 3 * round + i);
        }
    }
    spn_sender_stats stats;
    spn_sender_read_stats(rig.sender, &stats);
    CHECK_EQ(stats.heaps, 150);
    CHECK_EQ(stats.bytes, 150 * total);
    CHECK_EQ(stats.packets, 150 * spn_packets_count(packets));
    CHECK_EQ(stats.errors, 0);
    spn_packets_unref(packets);
    tear_down(&rig);
}

/* Heaps that nobody need wait for, and one that must wait for the rate. */
static void test_a_heap_may_be_sent_in_the_call(bool may_connect)
{
    test_rig rig;
    int64_t result;
    spn_sender_config config = slow;
    config.may_connect = may_connect;
    set_up(&rig, &config);
    spn_packets *small = cut(1000), *large = cut(5000);
    CHECK_EQ(spn_sender_send(rig.sender, small, -1, 0, 1),
             spn_packets_total(small));
    check_heap_arrives(&rig, small, 1);
    CHECK_ERR(spn_sender_wait(rig.sender, 1, 0, &result), -EAGAIN);
    CHECK_EQ(spn_sender_send(rig.sender, large, -1, 0, 2), 0);
    CHECK_EQ(spn_sender_send(rig.sender, small, -1, 0, 3), 0);
    CHECK_ERR(spn_sender_send(rig.sender, small, -1, 0, 4), -EAGAIN);
    spn_sender_stop(rig.sender);
    CHECK_ERR(spn_sender_send(rig.sender, small, -1, 0, 5), SPN_ESTOPPED);
    for (uint64_t i = 2; i <= 3; i++) {
        CHECK_EQ(spn_sender_wait(rig.sender, i, 0, &result), 0);
        CHECK_EQ(result, SPN_ESTOPPED);
    }
    spn_packets_unref(small);
    spn_packets_unref(large);
    tear_down(&rig);
}

/* The error is no reason of a refusal, so it is asked for. */
static void test_a_heap_that_fails_in_the_call_is_waited_for(void)
{
    test_rig rig;
    int64_t result;
    rig.receiver = open_socket();
    spn_endpoint endpoint = {.address = "255.255.255.255", .port = 9};
    spn_sender_config config = defaults;
    config.may_connect = true;
    CHECK_EQ(spn_threads_new(1, NULL, 0, &rig.threads), 0);
    CHECK_EQ(spn_sender_new(rig.threads, open_socket(), &endpoint, 1, &config,
                            &rig.sender),
             0);
    spn_packets *packets = cut(5000);
    CHECK_EQ(spn_sender_send(rig.sender, packets, -1, 0, 7), 0);
    CHECK_EQ(spn_sender_wait(rig.sender, 7, 0, &result), 0);
    CHECK_EQ(result, -EACCES);
    spn_packets_unref(packets);
    tear_down(&rig);
}

static void test_completions_come_in_batches(void)
{
    test_rig rig;
    spn_completion done[8];
    set_up(&rig, &defaults);
    spn_packets *packets = cut(5000);
    struct pollfd ready = {.fd = spn_sender_fd(rig.sender), .events = POLLIN};
    CHECK(ready.fd >= 0);
    CHECK_ERR(spn_sender_try_pop(rig.sender, done, 8), -EAGAIN);
    CHECK_EQ(poll(&ready, 1, 0), 0);
    for (uint64_t i = 0; i < 3; i++) {
        CHECK_EQ(spn_sender_submit(rig.sender, packets, -1, 0, i, 0), 0);
    }
    CHECK_EQ(spn_sender_flush(rig.sender, PATIENCE_MS), 0);
    CHECK_EQ(poll(&ready, 1, 0), 1);
    CHECK_EQ(spn_sender_try_pop(rig.sender, done, 2), 2);
    CHECK_EQ(poll(&ready, 1, 0), 1);
    CHECK_EQ(spn_sender_try_pop(rig.sender, done + 2, 6), 1);
    CHECK_EQ(poll(&ready, 1, 0), 0);
    for (uint64_t i = 0; i < 3; i++) {
        CHECK_EQ(done[i].token, i);
    }
    spn_packets_unref(packets);
    tear_down(&rig);
}

static void test_a_full_queue_refuses(void)
{
    test_rig rig;
    set_up(&rig, &slow);
    spn_packets *packets = cut(5000);
    CHECK_EQ(spn_sender_submit(rig.sender, packets, -1, 0, 1, 0), 0);
    CHECK_EQ(spn_sender_submit(rig.sender, packets, -1, 0, 2, 0), 0);
    CHECK_ERR(spn_sender_submit(rig.sender, packets, -1, 0, 3, 0), -EAGAIN);
    spn_sender_stats stats;
    spn_sender_read_stats(rig.sender, &stats);
    CHECK_EQ(stats.refused, 1);
    spn_packets_unref(packets);
    tear_down(&rig);
}

static void test_stop_cancels_what_waits_for_the_rate(void)
{
    test_rig rig;
    int64_t result;
    set_up(&rig, &slow);
    spn_packets *packets = cut(5000);
    CHECK_EQ(spn_sender_submit(rig.sender, packets, -1, 0, 1, SIZE_MAX), 0);
    CHECK_EQ(spn_sender_submit(rig.sender, packets, -1, 0, 2, SIZE_MAX), 0);
    CHECK_ERR(spn_sender_wait(rig.sender, 1, 0, &result), -EAGAIN);
    CHECK_ERR(spn_sender_wait(rig.sender, 1, 1, &result), -EAGAIN);
    CHECK_ERR(spn_sender_flush(rig.sender, 1), -EAGAIN);
    spn_sender_stop(rig.sender);
    spn_sender_stop(rig.sender);
    CHECK_EQ(spn_sender_flush(rig.sender, 0), 0);
    for (uint64_t i = 1; i <= 2; i++) {
        CHECK_EQ(spn_sender_wait(rig.sender, i, 0, &result), 0);
        CHECK_EQ(result, SPN_ESTOPPED);
    }
    CHECK_ERR(spn_sender_submit(rig.sender, packets, -1, 0, 3, SIZE_MAX),
              SPN_ESTOPPED);
    spn_sender_stats stats;
    spn_sender_read_stats(rig.sender, &stats);
    CHECK_EQ(stats.cancelled, 2);
    spn_packets_unref(packets);
    tear_down(&rig);
}

static void test_the_pool_s_end_cancels(void)
{
    test_rig rig;
    int64_t result;
    set_up(&rig, &slow);
    spn_packets *packets = cut(5000);
    CHECK_EQ(spn_sender_submit(rig.sender, packets, -1, 0, 1, 0), 0);
    spn_threads_stop(rig.threads);
    CHECK_EQ(spn_sender_wait(rig.sender, 1, PATIENCE_MS, &result), 0);
    CHECK_EQ(result, SPN_ESTOPPED);
    CHECK_ERR(spn_sender_submit(rig.sender, packets, -1, 0, 2, SIZE_MAX),
              SPN_ESTOPPED);
    spn_packets_unref(packets);
    tear_down(&rig);
}

static void test_what_nobody_collects_is_freed(void)
{
    test_rig rig;
    set_up(&rig, &slow);
    spn_packets *packets = cut(5000);
    CHECK_EQ(spn_sender_submit(rig.sender, packets, -1, 0, 1, 0), 0);
    CHECK_EQ(spn_sender_submit(rig.sender, packets, -1, 0, 2, 0), 0);
    spn_packets_unref(packets);
    tear_down(&rig);
}

static void test_an_error_ends_its_heap_only(bool direct)
{
    test_rig rig;
    int64_t result;
    uint16_t port;
    rig.receiver = open_receiver(&port);
    spn_endpoint endpoints[] = {
        {.address = "127.0.0.1", .port = port},
        {.address = "255.255.255.255", .port = port}, /* needs SO_BROADCAST */
    };
    CHECK_EQ(spn_threads_new(1, NULL, 0, &rig.threads), 0);
    CHECK_EQ(spn_sender_new(rig.threads, open_socket(), endpoints, 2, &defaults,
                            &rig.sender),
             0);
    spn_packets *packets = cut(5000);
    for (uint64_t i = 0; i < 4; i++) {
        CHECK_EQ(spn_sender_submit(rig.sender, packets, (int64_t)i, i % 2, i,
                                   direct ? SIZE_MAX : 0),
                 0);
    }
    for (uint64_t i = 0; i < 4; i++) {
        CHECK_EQ(spn_sender_wait(rig.sender, i, PATIENCE_MS, &result), 0);
        CHECK_EQ(result, i % 2 ? -EACCES : (int64_t)spn_packets_total(packets));
    }
    check_heap_arrives(&rig, packets, 0);
    check_heap_arrives(&rig, packets, 2);
    CHECK(!has_datagram(rig.receiver));
    spn_sender_stats stats;
    spn_sender_read_stats(rig.sender, &stats);
    CHECK_EQ(stats.errors, 2);
    spn_packets_unref(packets);
    tear_down(&rig);
}

/* The endpoints of the one above; the middle heap of three meets an error. */
static void test_an_error_in_a_group(int mode)
{
    test_rig rig;
    int64_t result;
    uint16_t port;
    rig.receiver = open_receiver(&port);
    spn_endpoint endpoints[] = {
        {.address = "127.0.0.1", .port = port},
        {.address = "255.255.255.255", .port = port},
    };
    CHECK_EQ(spn_threads_new(1, NULL, 0, &rig.threads), 0);
    CHECK_EQ(spn_sender_new(rig.threads, open_socket(), endpoints, 2, &defaults,
                            &rig.sender),
             0);
    spn_packets *packets = cut(5000);
    spn_heap_reference heaps[] = {
        {packets, -1, 0}, {packets, 77, 1}, {packets, -1, 0}};
    CHECK_EQ(spn_sender_send_group(rig.sender, heaps, 3, mode, 1), 0);
    CHECK_EQ(spn_sender_wait(rig.sender, 1, 10000, &result), 0);
    CHECK_EQ(result, -EACCES);
    uint8_t expected[2048], got[2048];
    for (size_t i = 0; i < 2 * spn_packets_count(packets); i++) {
        bool is_serial = mode == SPN_GROUP_SERIAL;
        size_t each = is_serial ? spn_packets_count(packets) : 2;
        size_t heap = is_serial ? i / each : i % each;
        size_t packet = is_serial ? i % each : i / each;
        size_t length = spn_packets_write(packets, packet, 1 + heap, expected);
        CHECK_EQ(receive_datagram(rig.receiver, got, sizeof got), length);
        CHECK_EQ(memcmp(got, expected, length), 0);
    }
    CHECK(!has_datagram(rig.receiver));
    spn_sender_stats stats;
    spn_sender_read_stats(rig.sender, &stats);
    CHECK_EQ(stats.errors, 1);
    CHECK_EQ(stats.heaps, 2);
    spn_packets_unref(packets);
    tear_down(&rig);
}

static void test_a_group_is_refused_as_a_whole(void)
{
    test_rig rig;
    int64_t result;
    set_up(&rig, &defaults);
    spn_packets *packets = cut(100);
    spn_heap_reference heaps[5];
    for (size_t i = 0; i < 5; i++) {
        heaps[i] = (spn_heap_reference){.packets = packets, .cnt = -1};
    }
    CHECK_ERR(spn_sender_send_group(rig.sender, heaps, 5, SPN_GROUP_SERIAL, 1),
              -EAGAIN);
    heaps[2].endpoint = 1;
    CHECK_ERR(spn_sender_send_group(rig.sender, heaps, 4, SPN_GROUP_SERIAL, 1),
              -EINVAL);
    CHECK_ERR(spn_sender_send_group(rig.sender, heaps, 0, SPN_GROUP_SERIAL, 1),
              -EINVAL);
    CHECK_ERR(spn_sender_send_group(rig.sender, heaps, 1, 2, 1), -EINVAL);
    CHECK_ERR(spn_sender_submit_group(rig.sender, heaps, 1, -1, 1, 0), -EINVAL);
    heaps[2].endpoint = 0;
    CHECK_EQ(
        spn_sender_submit_group(rig.sender, heaps, 4, SPN_GROUP_SERIAL, 2, 0),
        0);
    CHECK_EQ(spn_sender_wait(rig.sender, 2, 10000, &result), 0);
    CHECK_EQ(result, 4 * spn_packets_total(packets));
    for (uint64_t cnt = 1; cnt <= 4; cnt++) {
        check_heap_arrives(&rig, packets, cnt);
    }
    spn_sender_stats stats;
    spn_sender_read_stats(rig.sender, &stats);
    CHECK_EQ(stats.refused, 5);
    CHECK_EQ(stats.heaps, 4);
    spn_packets_unref(packets);
    tear_down(&rig);
}

/* The first burst is the first heap and part of the second. */
static void test_a_group_is_stopped(void)
{
    test_rig rig;
    int64_t result;
    spn_sender_config config = slow;
    config.max_heaps = 3;
    set_up(&rig, &config);
    spn_packets *packets = cut(2500);
    spn_heap_reference heaps[] = {
        {packets, -1, 0}, {packets, -1, 0}, {packets, -1, 0}};
    CHECK_EQ(spn_sender_send_group(rig.sender, heaps, 3, SPN_GROUP_SERIAL, 1),
             0);
    spn_sender_stop(rig.sender);
    CHECK_EQ(spn_sender_wait(rig.sender, 1, 10000, &result), 0);
    CHECK_EQ(result, SPN_ESTOPPED);
    spn_sender_stats stats;
    spn_sender_read_stats(rig.sender, &stats);
    CHECK_EQ(stats.heaps, 1);
    CHECK_EQ(stats.cancelled, 2);
    spn_packets_unref(packets);
    tear_down(&rig);
}

static void test_arguments_are_checked(void)
{
    test_rig rig;
    set_up(&rig, &defaults);
    spn_packets *packets = cut(100);
    CHECK_ERR(spn_sender_submit(rig.sender, packets, INT64_C(1) << 40, 0, 0, 0),
              -EINVAL);
    CHECK_ERR(spn_sender_submit(rig.sender, packets, -1, 1, 0, 0), -EINVAL);
    CHECK_ERR(spn_sender_set_cnt_sequence(rig.sender, 1, 0), -EINVAL);
    spn_send_item item = {.id = 16, .data = material, .length = 80000};
    spn_packets *large;
    CHECK_EQ(spn_packets_new(&item, 1, 40, 70000, false, &large), 0);
    CHECK_ERR(spn_sender_submit(rig.sender, large, -1, 0, 0, 0), -EMSGSIZE);
    spn_packets_unref(large);
    spn_packets_unref(packets);
    int fd = open_socket();
    spn_sender *none;
    spn_endpoint wrong = {.address = "::1", .port = 1};
    CHECK_ERR(spn_sender_new(rig.threads, fd, &wrong, 1, &defaults, &none),
              -EINVAL);
    CHECK_ERR(spn_sender_new(rig.threads, fd, &wrong, 0, &defaults, &none),
              -EINVAL);
    spn_sender_config bad = defaults;
    bad.burst_rate_ratio = 0.5;
    CHECK_ERR(spn_sender_new(rig.threads, fd, &wrong, 1, &bad, &none), -EINVAL);
    close(fd);
    tear_down(&rig);
}

static void test_counts_follow_their_sequence(void)
{
    test_rig rig;
    int64_t result;
    set_up(&rig, &defaults);
    spn_packets *packets = cut(100);
    CHECK_EQ(
        spn_sender_set_cnt_sequence(rig.sender, (UINT64_C(1) << 40) - 2, 3), 0);
    static const uint64_t expected[] = {(UINT64_C(1) << 40) - 2, 9, 1, 4};
    for (uint64_t i = 0; i < 4; i++) {
        CHECK_EQ(spn_sender_submit(rig.sender, packets, i == 1 ? 9 : -1, 0, i,
                                   SIZE_MAX),
                 0);
        CHECK_EQ(spn_sender_wait(rig.sender, i, PATIENCE_MS, &result), 0);
        check_heap_arrives(&rig, packets, expected[i]);
    }
    spn_packets_unref(packets);
    tear_down(&rig);
}

/* Nobody receives, so the socket's buffer cannot be what limits. */
typedef struct {
    spn_sender *sender;
    spn_packets *packets;
    uint64_t first_token;
    int refused;
} submitter;

/* By one of the ways that there are; as spn_sender_send. */
static int64_t submit_somehow(submitter *self, uint64_t token)
{
    return token % 3 == 2
               ? spn_sender_send(self->sender, self->packets, -1, 0, token)
               : spn_sender_submit(self->sender, self->packets, -1, 0, token,
                                   token % 3 == 1 ? SIZE_MAX : 0);
}

static void *submit_main(void *argument)
{
    submitter *self = argument;
    for (uint64_t i = 0; i < 200; i++) {
        uint64_t token = self->first_token + i;
        int64_t result;
        while ((result = submit_somehow(self, token)) == -EAGAIN) {
            self->refused++;
            sched_yield();
        }
        if (result == SPN_ESTOPPED) {
            return NULL;
        }
        if (result == 0) {
            CHECK_EQ(spn_sender_wait(self->sender, token, PATIENCE_MS, &result),
                     0);
        }
        CHECK(result == SPN_ESTOPPED ||
              result == (int64_t)spn_packets_total(self->packets));
    }
    return NULL;
}

/* Waits of some microseconds, which callers spend in the call. */
static const spn_sender_config quick = {.rate = 500e6,
                                        .burst_rate_ratio = 1.05,
                                        .burst_size = 2000,
                                        .max_heaps = 3,
                                        .gso = true,
                                        .may_connect = true};

static void run_submitters(const spn_sender_config *config, bool stop)
{
    test_rig rig;
    pthread_t threads[4];
    submitter submitters[4];
    set_up(&rig, config);
    spn_packets *packets = cut(30000);
    for (uint64_t i = 0; i < 4; i++) {
        submitters[i] = (submitter){rig.sender, packets, i * 1000, 0};
        CHECK_EQ(pthread_create(&threads[i], NULL, submit_main, &submitters[i]),
                 0);
    }
    if (stop) {
        check_heap_arrives(&rig, packets, 1);
        spn_sender_stop(rig.sender);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    spn_sender_stats stats;
    spn_sender_read_stats(rig.sender, &stats);
    CHECK(stop || stats.heaps == 800);
    spn_packets_unref(packets);
    tear_down(&rig);
}

static void on_signal(int number)
{
    (void)number;
}

static void *signal_main(void *argument)
{
    pthread_t *waiter = argument;
    struct timespec pause = {.tv_nsec = 1000000};
    for (;;) {
        nanosleep(&pause, NULL);
        if (pthread_kill(*waiter, SIGUSR1) != 0) {
            return NULL;
        }
    }
}

static void test_a_signal_ends_the_wait(void)
{
    test_rig rig;
    int64_t result;
    pthread_t self = pthread_self(), thread;
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGUSR1, &action, NULL);
    set_up(&rig, &slow);
    spn_packets *packets = cut(5000);
    CHECK_EQ(spn_sender_submit(rig.sender, packets, -1, 0, 1, SIZE_MAX), 0);
    CHECK_EQ(pthread_create(&thread, NULL, signal_main, &self), 0);
    CHECK_ERR(spn_sender_wait(rig.sender, 1, -1, &result), -EINTR);
    CHECK_ERR(spn_sender_flush(rig.sender, -1), -EINTR);
    pthread_cancel(thread);
    pthread_join(thread, NULL);
    spn_packets_unref(packets);
    tear_down(&rig);
}

static void test_a_child_process_is_refused(void)
{
    test_rig rig;
    int64_t result;
    set_up(&rig, &defaults);
    spn_packets *packets = cut(100);
    pid_t child = fork();
    if (child == 0) {
        CHECK_ERR(spn_sender_submit(rig.sender, packets, -1, 0, 1, SIZE_MAX),
                  SPN_EFORKED);
        CHECK_ERR(spn_sender_wait(rig.sender, 1, -1, &result), SPN_EFORKED);
        CHECK_ERR(spn_sender_flush(rig.sender, -1), SPN_EFORKED);
        spn_sender *another;
        spn_endpoint endpoint = {.address = "127.0.0.1", .port = 9};
        CHECK_ERR(spn_sender_new(rig.threads, open_socket(), &endpoint, 1,
                                 &defaults, &another),
                  SPN_EFORKED);
        spn_sender_unref(rig.sender);
        _exit(0);
    }
    int status;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
    spn_packets_unref(packets);
    tear_down(&rig);
}

int main(void)
{
    test_a_child_process_is_refused();
    test_an_error_in_a_group(SPN_GROUP_SERIAL);
    test_an_error_in_a_group(SPN_GROUP_ROUND_ROBIN);
    test_a_group_is_refused_as_a_whole();
    test_a_group_is_stopped();
    test_heaps_arrive_in_order(false);
    test_heaps_arrive_in_order(true);
    test_a_heap_may_be_sent_in_the_call(false);
    test_a_heap_may_be_sent_in_the_call(true);
    test_a_heap_that_fails_in_the_call_is_waited_for();
    test_completions_come_in_batches();
    test_a_full_queue_refuses();
    test_stop_cancels_what_waits_for_the_rate();
    test_the_pool_s_end_cancels();
    test_what_nobody_collects_is_freed();
    test_an_error_ends_its_heap_only(false);
    test_an_error_ends_its_heap_only(true);
    test_arguments_are_checked();
    test_counts_follow_their_sequence();
    run_submitters(&defaults, false);
    run_submitters(&quick, false);
    for (int i = 0; i < 20; i++) {
        run_submitters(&defaults, true);
        run_submitters(&quick, true);
    }
    test_a_signal_ends_the_wait();
    return 0;
}
