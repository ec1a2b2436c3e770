/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>

#include "pyspin.h"
#include "sockets.h"

enum { CAPACITY = 1 << 20 };

static uint8_t buffer[1 << 20];
static uint32_t lengths[4096];

static int bound_socket(struct sockaddr_in *address)
{
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    socklen_t length = sizeof *address;
    memset(address, 0, sizeof *address);
    address->sin_family = AF_INET;
    address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(bind(fd, (struct sockaddr *)address, sizeof *address) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)address, &length) == 0);
    enlarge_buffer(fd);
    return fd;
}

static int connected_socket(const struct sockaddr_in *address)
{
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK(connect(fd, (const struct sockaddr *)address, sizeof *address) == 0);
    return fd;
}

struct fixture {
    spn_threads *threads;
    spn_inbox *inbox;
    int receiver, sender;
};

static struct fixture setup(size_t capacity)
{
    struct fixture f;
    struct sockaddr_in address;
    f.receiver = bound_socket(&address);
    f.sender = connected_socket(&address);
    CHECK_EQ(spn_threads_new(1, NULL, 0, &f.threads), 0);
    CHECK_EQ(spn_inbox_new(f.threads, f.receiver, capacity, &f.inbox), 0);
    return f;
}

static void teardown(struct fixture *f)
{
    spn_inbox_free(f->inbox);
    spn_threads_unref(f->threads);
    close(f->receiver);
    close(f->sender);
}

static void test_datagrams_come_in_order_and_whole(void)
{
    struct fixture f = setup(CAPACITY);
    uint8_t data[2000];
    unsigned sent = 0, got = 0;
    memset(data, 0, sizeof data);
    while (got < 1000) {
        /* Few enough for any socket's buffer. */
        for (int i = 0; i < 10 && sent < 1000 && sent < got + 50;
             i++, sent++) {
            memcpy(data, &sent, sizeof sent);
            CHECK(send(f.sender, data, 4 + sent, 0) == 4 + (ssize_t)sent);
        }
        int count = spn_inbox_pop(f.inbox, PATIENCE_MS, buffer, sizeof buffer,
                                  lengths, 4096);
        CHECK(count > 0);
        uint8_t *at = buffer;
        for (int i = 0; i < count; i++, got++) {
            CHECK_EQ(lengths[i], 4 + got);
            CHECK(memcmp(at, &got, sizeof got) == 0);
            at += lengths[i];
        }
    }
    spn_inbox_stats stats;
    spn_inbox_read_stats(f.inbox, &stats);
    CHECK_EQ(stats.datagrams, 1000);
    CHECK_EQ(stats.socket_errors, 0);
    teardown(&f);
}

static void test_empty_and_largest_datagrams(void)
{
    static uint8_t large[65507];
    struct fixture f = setup(CAPACITY);
    CHECK(send(f.sender, "", 0, 0) == 0);
    CHECK_EQ(spn_inbox_pop(f.inbox, PATIENCE_MS, buffer, sizeof buffer,
                           lengths, 1),
             1);
    CHECK_EQ(lengths[0], 0);
    memset(large, 7, sizeof large);
    CHECK(send(f.sender, large, sizeof large, 0) == sizeof large);
    CHECK_EQ(spn_inbox_pop(f.inbox, PATIENCE_MS, buffer, 100, lengths, 1),
             -EMSGSIZE);
    CHECK_EQ(spn_inbox_pop(f.inbox, PATIENCE_MS, buffer, sizeof buffer,
                           lengths, 1),
             1);
    CHECK_EQ(lengths[0], sizeof large);
    CHECK(memcmp(buffer, large, sizeof large) == 0);
    teardown(&f);
}

static void test_a_full_queue_waits_in_the_socket(void)
{
    struct fixture f = setup(65540);
    spn_inbox_stats stats;
    unsigned got = 0;
    for (unsigned i = 0; i < 300; i++)
        CHECK(send(f.sender, &i, sizeof i, 0) == sizeof i);
    while (got < 300) {
        int count = spn_inbox_pop(f.inbox, PATIENCE_MS, buffer, sizeof buffer,
                                  lengths, 7);
        CHECK(count > 0);
        for (int i = 0; i < count; i++, got++)
            CHECK(memcmp(buffer + 4 * i, &got, sizeof got) == 0);
    }
    spn_inbox_read_stats(f.inbox, &stats);
    CHECK_EQ(stats.datagrams, 300);
    CHECK(stats.suspensions > 0);
    teardown(&f);
}

static void test_times_out(void)
{
    struct fixture f = setup(CAPACITY);
    CHECK_EQ(spn_inbox_pop(f.inbox, 0, buffer, 10, lengths, 1), -EAGAIN);
    CHECK_EQ(spn_inbox_pop(f.inbox, 5, buffer, 10, lengths, 1), -EAGAIN);
    teardown(&f);
}

static void *pop_one(void *argument)
{
    static uint32_t length;
    uint8_t byte;
    return (void *)(intptr_t)spn_inbox_pop(argument, -1, &byte, 1, &length, 1);
}

static void test_waiters_wake(void (*end)(struct fixture *))
{
    struct fixture f = setup(CAPACITY);
    pthread_t thread;
    void *result;
    CHECK(pthread_create(&thread, NULL, pop_one, f.inbox) == 0);
    end(&f);
    CHECK(pthread_join(thread, &result) == 0);
    CHECK_EQ((intptr_t)result, SPN_ESTOPPED);
    teardown(&f);
}

static void end_by_stop(struct fixture *f)
{
    spn_inbox_stop(f->inbox);
    spn_inbox_stop(f->inbox);
}

static void end_by_shutdown(struct fixture *f)
{
    shutdown(f->receiver, SHUT_RDWR); /* not connected, yet it wakes */
}

static void end_by_pool(struct fixture *f)
{
    spn_threads_stop(f->threads);
}

static void test_what_came_before_the_end_can_be_taken(void)
{
    struct fixture f = setup(CAPACITY);
    spn_inbox_stats stats = {0};
    CHECK(send(f.sender, "x", 1, 0) == 1);
    while (stats.datagrams == 0) {
        sched_yield();
        spn_inbox_read_stats(f.inbox, &stats);
    }
    spn_inbox_stop(f.inbox);
    CHECK_EQ(spn_inbox_pop(f.inbox, -1, buffer, 10, lengths, 1), 1);
    CHECK_EQ(spn_inbox_pop(f.inbox, -1, buffer, 10, lengths, 1), SPN_ESTOPPED);
    teardown(&f);
}

static void test_socket_errors_are_counted(void)
{
    struct sockaddr_in address;
    struct fixture f = setup(CAPACITY);
    spn_inbox_stats stats = {0};
    spn_inbox *inbox;
    int nobody = bound_socket(&address);
    close(nobody);
    int fd = connected_socket(&address);
    CHECK_EQ(spn_inbox_new(f.threads, fd, CAPACITY, &inbox), 0);
    CHECK(send(fd, "x", 1, 0) == 1);
    while (stats.socket_errors == 0) {
        sched_yield();
        spn_inbox_read_stats(inbox, &stats);
    }
    CHECK_EQ(spn_inbox_pop(inbox, 0, buffer, 10, lengths, 1), -EAGAIN);
    spn_inbox_free(inbox);
    close(fd);
    teardown(&f);
}

static void test_a_forked_child_leaves_it_alone(void)
{
    struct fixture f = setup(CAPACITY);
    spn_inbox_stats stats;
    int status;
    pid_t child = fork();
    if (child == 0) {
        spn_inbox_read_stats(f.inbox, &stats);
        int code = spn_inbox_pop(f.inbox, -1, buffer, 10, lengths, 1);
        spn_inbox_stop(f.inbox);
        spn_inbox_free(f.inbox);
        _exit(code == SPN_EFORKED ? 0 : 1);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_EQ(status, 0);
    CHECK(send(f.sender, "x", 1, 0) == 1);
    CHECK_EQ(spn_inbox_pop(f.inbox, PATIENCE_MS, buffer, 10, lengths, 1), 1);
    teardown(&f);
}

static void test_bad_arguments(void)
{
    spn_inbox *inbox;
    spn_threads *threads;
    CHECK_EQ(spn_threads_new(1, NULL, 0, &threads), 0);
    CHECK_EQ(spn_inbox_new(threads, 0, 100, &inbox), -EINVAL);
    CHECK_EQ(spn_inbox_new(threads, -1, CAPACITY, &inbox), -EBADF);
    spn_threads_stop(threads);
    struct sockaddr_in address;
    int fd = bound_socket(&address);
    CHECK_EQ(spn_inbox_new(threads, fd, CAPACITY, &inbox), SPN_ESTOPPED);
    spn_inbox_free(NULL);
    close(fd);
    spn_threads_unref(threads);
}

int main(void)
{
    test_datagrams_come_in_order_and_whole();
    test_empty_and_largest_datagrams();
    test_a_full_queue_waits_in_the_socket();
    test_times_out();
    test_waiters_wake(end_by_stop);
    test_waiters_wake(end_by_shutdown);
    test_waiters_wake(end_by_pool);
    test_what_came_before_the_end_can_be_taken();
    test_socket_errors_are_counted();
    test_a_forked_child_leaves_it_alone();
    test_bad_arguments();
    return 0;
}
