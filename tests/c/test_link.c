/* SPDX-License-Identifier: Apache-2.0 */
/* Links and bulk transfers over loopback, with a board in a thread. */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "check.h"
#include "scp/link.h"

enum { MEMORY = 64 * 1024, THREADS = 3, REQUESTS = 300 };

#define ALL_MEMORY (UINT64_C(1) << 32)

static uint8_t memory[MEMORY];

/* A board that loses every `lose`-th reply. */
typedef struct {
    int fd;
    int client; /* a socket connected to it */
    unsigned lose;
    pthread_t thread;
} board;

static size_t execute(const uint8_t *request, uint8_t *reply)
{
    uint32_t address = spni_load_le32(request + 14);
    uint32_t size = spni_load_le32(request + 18);
    memset(reply, 0, SPNI_SCP_REPLY_HEADER);
    reply[2] = 0x07;
    reply[10] = 0x80;
    memcpy(reply + 12, request + 12, 2);
    if (request[10] == SPNI_CMD_WRITE)
        memcpy(memory + address, request + SPNI_SCP_REQUEST_HEADER, size);
    if (request[10] != SPNI_CMD_READ)
        return SPNI_SCP_REPLY_HEADER;
    memcpy(reply + SPNI_SCP_REPLY_HEADER, memory + address, size);
    return SPNI_SCP_REPLY_HEADER + size;
}

static void *board_main(void *argument)
{
    board *it = argument;
    uint8_t request[512], reply[512];
    struct sockaddr_in from;
    for (unsigned count = 1;; count++) {
        socklen_t size = sizeof from;
        ssize_t length = recvfrom(it->fd, request, sizeof request, 0,
                                  (struct sockaddr *)&from, &size);
        if (length < SPNI_SCP_REQUEST_HEADER)
            return NULL;
        size_t made = execute(request, reply);
        if (!it->lose || count % it->lose)
            sendto(it->fd, reply, made, 0, (struct sockaddr *)&from, size);
    }
}

static void board_start(board *it, unsigned lose)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    it->lose = lose;
    it->fd = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK_EQ(bind(it->fd, (struct sockaddr *)&address, sizeof address), 0);
    CHECK_EQ(getsockname(it->fd, (struct sockaddr *)&address, &size), 0);
    it->client = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK_EQ(connect(it->client, (struct sockaddr *)&address, size), 0);
    CHECK_EQ(pthread_create(&it->thread, NULL, board_main, it), 0);
}

static void board_stop(board *it)
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    CHECK_EQ(getsockname(it->fd, (struct sockaddr *)&address, &size), 0);
    int ender = socket(AF_INET, SOCK_DGRAM, 0);
    CHECK_EQ(sendto(ender, "", 0, 0, (struct sockaddr *)&address, size), 0);
    pthread_join(it->thread, NULL);
    close(ender);
    close(it->client);
    close(it->fd);
}

static const spn_window_config config = {
    .channels = 8, .waits = -1, .retries = 1000, .timeout_ns = 100000000,
};

static void make_read(uint8_t *bytes)
{
    const uint32_t arguments[3] = {0, 4, 2};
    spni_request_encode(bytes, (spni_place){0, 0, 0}, SPNI_CMD_READ,
                        arguments);
}

static int run(spn_link *link, spn_window *window, int timeout_ms, bool room)
{
    spn_scp_outcome outcomes[16];
    uint8_t data[16 * SPNI_SCP_MAX];
    int count = spn_link_run(link, window, timeout_ms, room, outcomes, 16,
                             data, sizeof data);
    for (int i = 0; i < count; i++)
        CHECK_EQ(outcomes[i].status, 0);
    return count;
}

static void *requests_main(void *argument)
{
    spn_link *link = argument;
    spn_sequences *sequences = spn_link_sequences(link);
    spn_window *window;
    uint8_t bytes[SPNI_SCP_REQUEST_HEADER];
    make_read(bytes);
    CHECK_EQ(spn_window_new(&config, sequences, &window), 0);
    int ended = 0;
    for (int i = 0; i < REQUESTS; i++)
        while (spn_link_send(link, window, (uint64_t)i, bytes, sizeof bytes,
                             true) < 0)
            ended += run(link, window, PATIENCE_MS, true);
    while (ended < REQUESTS)
        ended += run(link, window, PATIENCE_MS, false);
    CHECK_EQ(ended, REQUESTS);
    spn_window_free(window);
    spn_sequences_unref(sequences);
    return NULL;
}

static void *bulk_main(void *argument)
{
    static const spn_window_config automatic = {
        .channels = 0, .retries = 100, .timeout_ns = 1000000000, .probe = true,
    };
    spn_link *link = argument;
    static uint8_t images[THREADS][MEMORY];
    static int threads;
    uint8_t *image = images[__atomic_fetch_add(&threads, 1, __ATOMIC_RELAXED)
                            % THREADS];
    spn_transfer transfer = {
        .kind = SPN_TRANSFER_READ, .length = MEMORY, .data = image,
    };
    spn_bulk *bulk;
    CHECK_EQ(spn_bulk_new(&automatic, &bulk), 0);
    CHECK_EQ(spn_bulk_add(bulk, link, &transfer), 0);
    while (spn_bulk_run(bulk, 20) > 0)
        continue;
    CHECK_EQ(transfer.status, 0);
    CHECK_EQ(spn_bulk_done(bulk), MEMORY);
    spn_bulk_free(bulk);
    CHECK(memcmp(image, memory, MEMORY) == 0);
    return NULL;
}

static void test_threads_share_a_link(void *(*main_of)(void *), unsigned lose)
{
    board at;
    spn_link *link;
    pthread_t threads[THREADS];
    board_start(&at, lose);
    CHECK_EQ(spn_link_new(at.client, &link), 0);
    for (int i = 0; i < THREADS; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, main_of, link), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    spn_link_unref(link);
    board_stop(&at);
}

typedef struct {
    spn_link *link;
    spn_window *window;
} waiter;

static void *waiter_main(void *argument)
{
    waiter *it = argument;
    spn_scp_outcome outcome;
    uint8_t data[SPNI_SCP_MAX];
    CHECK_EQ(spn_link_run(it->link, it->window, -1, false, &outcome, 1, data,
                          sizeof data), 1);
    CHECK_EQ(outcome.status, SPN_ESTOPPED);
    CHECK_EQ(spn_link_run(it->link, it->window, -1, false, &outcome, 1, data,
                          sizeof data), SPN_ESTOPPED);
    return NULL;
}

static void test_stop_wakes_a_waiter(bool by_the_socket)
{
    static const spn_window_config patient = {
        .channels = 1, .waits = 0, .timeout_ns = 100000000000};
    board at;
    waiter it;
    pthread_t thread;
    uint8_t bytes[SPNI_SCP_REQUEST_HEADER];
    make_read(bytes);
    board_start(&at, 1);
    CHECK_EQ(spn_link_new(at.client, &it.link), 0);
    CHECK_EQ(spn_window_new(&patient, it.link->sequences, &it.window), 0);
    CHECK(spn_link_send(it.link, it.window, 0, bytes, sizeof bytes, false)
          >= 0);
    CHECK_EQ(pthread_create(&thread, NULL, waiter_main, &it), 0);
    if (by_the_socket)
        shutdown(at.client, SHUT_RDWR);
    else
        spn_link_stop(it.link);
    pthread_join(thread, NULL);
    CHECK_ERR(spn_link_send(it.link, it.window, 0, bytes, sizeof bytes, false),
              SPN_ESTOPPED);
    spn_window_free(it.window);
    spn_link_unref(it.link);
    board_stop(&at);
}

static void test_bad_transfers_are_refused(void)
{
    static const spn_transfer bad[] = {
        {.kind = -1},
        {.kind = SPN_TRANSFER_FLOOD + 1},
        {.kind = SPN_TRANSFER_READ, .address = UINT32_MAX, .length = 2},
        {.kind = SPN_TRANSFER_READ, .address = 1, .length = ALL_MEMORY},
        {.kind = SPN_TRANSFER_READ, .address = 1, .length = UINT64_MAX},
        {.kind = SPN_TRANSFER_FILL, .address = 2, .length = 4},
        {.kind = SPN_TRANSFER_FILL, .length = 5},
        {.kind = SPN_TRANSFER_LINK_READ, .link = 6, .length = 4},
        {.kind = SPN_TRANSFER_FLOOD, .link = 0, .length = 4},
        {.kind = SPN_TRANSFER_FLOOD, .link = 1, .length = 256 * 256 + 4},
    };
    board at;
    spn_link *link;
    spn_bulk *bulk;
    board_start(&at, 0);
    CHECK_EQ(spn_link_new(at.client, &link), 0);
    CHECK_EQ(spn_bulk_new(&config, &bulk), 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        spn_transfer transfer = bad[i];
        CHECK_ERR(spn_bulk_add(bulk, link, &transfer), -EINVAL);
    }
    CHECK_EQ(spn_bulk_run(bulk, 1000), 0);
    spn_transfer all = {.kind = SPN_TRANSFER_FILL, .length = ALL_MEMORY};
    CHECK_EQ(spn_bulk_add(bulk, link, &all), 0);
    spn_bulk_free(bulk);
    spn_link_unref(link);
    board_stop(&at);
}

static void test_a_bad_descriptor_is_refused(void)
{
    spn_link *link;
    CHECK_ERR(spn_link_new(-1, &link), -EBADF);
}

static void test_a_forked_child_leaves_a_link_alone(void)
{
    board at;
    spn_link *link;
    spn_window *window;
    spn_bulk *bulk;
    uint8_t bytes[SPNI_SCP_REQUEST_HEADER];
    spn_transfer transfer = {.kind = SPN_TRANSFER_FILL, .length = 4};
    board_start(&at, 0);
    make_read(bytes);
    CHECK_EQ(spn_link_new(at.client, &link), 0);
    CHECK_EQ(spn_window_new(&config, link->sequences, &window), 0);
    CHECK_EQ(spn_bulk_new(&config, &bulk), 0);
    CHECK_EQ(spn_bulk_add(bulk, link, &transfer), 0);
    pthread_mutex_lock(&link->sequences->lock);
    pid_t child = fork();
    if (child == 0) {
        spn_window_stats stats;
        alarm(PATIENCE_S);
        CHECK_ERR(spn_link_send(link, window, 0, bytes, sizeof bytes, true),
                  SPN_EFORKED);
        CHECK_ERR(spn_link_run(link, window, -1, false, NULL, 0, NULL, 0),
                  SPN_EFORKED);
        CHECK_ERR(spn_bulk_add(bulk, link, &transfer), SPN_EFORKED);
        CHECK_ERR(spn_bulk_run(bulk, 0), SPN_EFORKED);
        spn_window_read_stats(window, &stats);
        spn_link_stop(link);
        spn_window_free(window);
        spn_bulk_free(bulk);
        _exit(0);
    }
    int status = -1;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
    pthread_mutex_unlock(&link->sequences->lock);
    CHECK(!spni_link_is_stopped(link));
    CHECK_EQ(spn_bulk_run(bulk, PATIENCE_MS), 0);
    CHECK_EQ(transfer.status, 0);
    spn_bulk_free(bulk);
    spn_window_free(window);
    spn_link_unref(link);
    board_stop(&at);
}

int main(void)
{
    for (int i = 0; i < MEMORY; i++)
        memory[i] = (uint8_t)(i * 7 + i / 256);
    test_threads_share_a_link(requests_main, 0);
    test_threads_share_a_link(requests_main, 50);
    test_threads_share_a_link(bulk_main, 0);
    test_threads_share_a_link(bulk_main, 50);
    test_stop_wakes_a_waiter(false);
    test_stop_wakes_a_waiter(true);
    test_bad_transfers_are_refused();
    test_a_bad_descriptor_is_refused();
    test_a_forked_child_leaves_a_link_alone();
    return 0;
}
