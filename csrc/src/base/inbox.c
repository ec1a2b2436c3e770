/* SPDX-License-Identifier: Apache-2.0 */
/* The loop's thread moves datagrams from the socket, a batch a call, through
 * slots that hold the largest there are, into a ring of bytes; consumers copy
 * them out. So the socket is emptied whatever the interpreter is doing, and
 * what waits costs the bytes it has, not the kilobyte that the kernel charges.
 *
 * `lock` guards the ring, which is touched in copies of at most one batch. A
 * ring without room for the largest datagram suspends the handler; a pop that
 * makes room posts `resume`.
 *
 * The socket is a duplicate: its owner may close his at any time. Shutting it
 * down, which epoll reports as a hang-up, is how the owner ends the inbox.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fork.h"
#include "base/loop.h"
#include "base/records.h"

enum {
    BATCH = 64,
    /* A page and a line more than 64 KiB: slots must not share cache sets. */
    SLOT = 65536 + 4096 + 64,
    ROUNDS = 16, /* batches before the loop's other handlers have their turn */

    /* Above some 20 000 datagrams a second most of the cost is waking, of this
     * thread and of the consumers; then let them gather for REST_NS. */
    SOON_NS = 100000,
    MANY = 4,
    REST_NS = 200000,
};

struct spn_inbox {
    spni_handler handler;
    spni_resident resident;
    spni_task resume;
    spni_loop *loop;
    unsigned forks; /* spni_fork_count() when it was made */

    /* the loop's thread only */
    bool is_listening;
    uint64_t last_ready_ns;
    uint8_t *slots;
    struct mmsghdr messages[BATCH];
    struct iovec vectors[BATCH];

    pthread_mutex_t lock; /* the rest */
    pthread_cond_t changed;
    spni_records records;
    bool lives; /* on its loop */
    bool is_ended;
    bool is_suspended;
    int waiters;
    spn_inbox_stats stats;
};

/* ---- receiving, on the loop's thread ---- */

static void prepare(spn_inbox *inbox)
{
    for (int i = 0; i < BATCH; i++) {
        inbox->vectors[i].iov_base = inbox->slots + (size_t)i * SLOT;
        inbox->vectors[i].iov_len = 65536;
        inbox->messages[i].msg_hdr.msg_iov = &inbox->vectors[i];
        inbox->messages[i].msg_hdr.msg_iovlen = 1;
    }
}

static void end_locked(spn_inbox *inbox)
{
    inbox->is_ended = true;
    pthread_cond_broadcast(&inbox->changed);
}

static void ignore(spn_inbox *inbox)
{
    if (inbox->is_listening)
        spni_loop_remove(inbox->loop, &inbox->handler);
    inbox->is_listening = false;
}

static void end(spn_inbox *inbox)
{
    ignore(inbox);
    pthread_mutex_lock(&inbox->lock);
    end_locked(inbox);
    pthread_mutex_unlock(&inbox->lock);
}

static void store_locked(spn_inbox *inbox, int count)
{
    for (int i = 0; i < count; i++) {
        uint32_t length = inbox->messages[i].msg_len;
        spni_records_put(&inbox->records, inbox->vectors[i].iov_base, length);
        inbox->stats.bytes += length;
    }
    inbox->stats.datagrams += (uint64_t)count;
    inbox->stats.calls++;
    if (inbox->records.length > inbox->stats.high_water)
        inbox->stats.high_water = inbox->records.length;
    if (inbox->waiters > 0)
        pthread_cond_signal(&inbox->changed);
}

/* Whether there is room for a datagram; if not, the handler sleeps until a pop
 * has made some. */
static bool find_room(spn_inbox *inbox, int *count)
{
    pthread_mutex_lock(&inbox->lock);
    size_t fits = spni_records_room(&inbox->records);
    inbox->is_suspended = fits == 0;
    inbox->stats.suspensions += inbox->is_suspended;
    pthread_mutex_unlock(&inbox->lock);
    if (fits == 0)
        ignore(inbox);
    *count = fits < BATCH ? (int)fits : BATCH;
    return fits != 0;
}

static void count_socket_error(spn_inbox *inbox)
{
    pthread_mutex_lock(&inbox->lock);
    inbox->stats.socket_errors++;
    pthread_mutex_unlock(&inbox->lock);
}

enum outcome {
    MORE, /* perhaps */
    EMPTY,
    FULL,
};

static enum outcome receive(spn_inbox *inbox)
{
    int room;
    if (!find_room(inbox, &room))
        return FULL;
    int count = recvmmsg(inbox->handler.fd, inbox->messages, (unsigned)room,
                         MSG_DONTWAIT, NULL);
    if (count < 0 && errno == EAGAIN)
        return EMPTY;
    if (count < 0) {
        count_socket_error(inbox); /* of an earlier send; now cleared */
        return MORE;
    }
    pthread_mutex_lock(&inbox->lock);
    store_locked(inbox, count);
    pthread_mutex_unlock(&inbox->lock);
    return count < room ? EMPTY : MORE;
}

static void rest_if_busy(spn_inbox *inbox, uint64_t datagrams)
{
    uint64_t now = spni_now_ns();
    if (datagrams >= MANY || now - inbox->last_ready_ns < SOON_NS)
        spni_loop_rest(inbox->loop, now + REST_NS);
    inbox->last_ready_ns = now;
}

static void on_ready(spni_handler *handler, uint32_t events)
{
    spn_inbox *inbox = (spn_inbox *)handler;
    uint64_t before = inbox->stats.datagrams;
    enum outcome outcome = MORE;
    for (int round = 0; round < ROUNDS && outcome == MORE; round++)
        outcome = receive(inbox);
    if (outcome == EMPTY)
        rest_if_busy(inbox, inbox->stats.datagrams - before);
    if (outcome == EMPTY && (events & EPOLLHUP) != 0)
        end(inbox);
}

static void on_resume(spni_task *task)
{
    spn_inbox *inbox =
        (spn_inbox *)((char *)task - offsetof(spn_inbox, resume));
    if (inbox->is_listening)
        return;
    if (spni_loop_add(inbox->loop, &inbox->handler, EPOLLIN) < 0)
        end(inbox);
    else
        inbox->is_listening = true;
}

static void on_stopping(spni_resident *resident)
{
    end((spn_inbox *)((char *)resident - offsetof(spn_inbox, resident)));
}

/* ---- life ---- */

struct start {
    spn_inbox *inbox;
    int error;
};

static void listen_on_loop(void *argument)
{
    struct start *start = argument;
    spn_inbox *inbox = start->inbox;
    start->error = spni_loop_add(inbox->loop, &inbox->handler, EPOLLIN);
    inbox->is_listening = start->error == 0;
}

static void init_sync(spn_inbox *inbox)
{
    pthread_condattr_t attributes;
    pthread_mutex_init(&inbox->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&inbox->changed, &attributes);
    pthread_condattr_destroy(&attributes);
}

static void free_inbox(spn_inbox *inbox)
{
    pthread_cond_destroy(&inbox->changed);
    pthread_mutex_destroy(&inbox->lock);
    if (inbox->handler.fd >= 0)
        close(inbox->handler.fd);
    spni_records_fini(&inbox->records);
    free(inbox->slots);
    free(inbox);
}

static int join_loop(spn_inbox *inbox, spn_threads *threads)
{
    struct start start = {.inbox = inbox};
    inbox->loop = spni_loop_join(threads, &inbox->resident);
    if (inbox->loop == NULL)
        return SPN_ESTOPPED;
    int error = spni_loop_call(inbox->loop, listen_on_loop, &start);
    if (error == 0)
        error = start.error;
    if (error < 0)
        spni_loop_leave(inbox->loop, &inbox->resident);
    pthread_mutex_lock(&inbox->lock);
    inbox->lives = error == 0;
    pthread_mutex_unlock(&inbox->lock);
    return error;
}

int spn_inbox_new(spn_threads *threads, int fd, size_t capacity,
                  spn_inbox **out)
{
    *out = NULL;
    spn_inbox *inbox = calloc(1, sizeof *inbox);
    if (inbox == NULL)
        return -ENOMEM;
    init_sync(inbox);
    inbox->forks = spni_fork_count();
    inbox->resident.stopping = on_stopping;
    inbox->resume.run = on_resume;
    inbox->handler.ready = on_ready;
    inbox->handler.fd = -1;
    int error = spni_records_init(&inbox->records, capacity);
    if (error < 0)
        goto free_inbox;
    error = -ENOMEM;
    inbox->slots = malloc((size_t)BATCH * SLOT);
    if (inbox->slots == NULL)
        goto free_inbox;
    prepare(inbox);
    inbox->handler.fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (inbox->handler.fd < 0) {
        error = -errno;
        goto free_inbox;
    }
    error = join_loop(inbox, threads);
    if (error < 0)
        goto free_inbox;
    *out = inbox;
    return 0;

free_inbox:
    free_inbox(inbox);
    return error;
}

static void leave_on_loop(void *argument)
{
    spn_inbox *inbox = argument;
    end(inbox); /* first: afterwards no pop posts `resume` */
    spni_loop_unpost(inbox->loop, &inbox->resume);
}

/* In a forked child the thread does not exist, and may have held the lock. */
static bool is_forked(const spn_inbox *inbox)
{
    return inbox->forks != spni_fork_count();
}

void spn_inbox_stop(spn_inbox *inbox)
{
    if (is_forked(inbox))
        return;
    pthread_mutex_lock(&inbox->lock);
    bool lived = inbox->lives;
    inbox->lives = false;
    pthread_mutex_unlock(&inbox->lock);
    if (!lived)
        return;
    spni_loop_call(inbox->loop, leave_on_loop, inbox);
    spni_loop_leave(inbox->loop, &inbox->resident);
}

void spn_inbox_free(spn_inbox *inbox)
{
    if (inbox == NULL || is_forked(inbox))
        return;
    spn_inbox_stop(inbox);
    free_inbox(inbox);
}

/* ---- taking ---- */

static void wait_locked(spn_inbox *inbox, int timeout_ms)
{
    uint64_t until_ns = spni_now_ns() + (uint64_t)timeout_ms * 1000000;
    struct timespec until = {
        .tv_sec = (time_t)(until_ns / SPNI_SECOND_NS),
        .tv_nsec = (long)(until_ns % SPNI_SECOND_NS),
    };
    int error = 0;
    inbox->waiters++;
    while (inbox->records.length == 0 && !inbox->is_ended && error == 0)
        error = timeout_ms < 0
                    ? pthread_cond_wait(&inbox->changed, &inbox->lock)
                    : pthread_cond_timedwait(&inbox->changed, &inbox->lock,
                                             &until);
    inbox->waiters--;
}

/* Let a suspended handler go on, once it is worth a system call. */
static void resume_locked(spn_inbox *inbox)
{
    if (!inbox->is_suspended || inbox->is_ended)
        return;
    if (inbox->records.length == 0 ||
        spni_records_room(&inbox->records) >= BATCH / 8) {
        inbox->is_suspended = false;
        spni_loop_post(inbox->loop, &inbox->resume);
    }
}

int spn_inbox_pop(spn_inbox *inbox, int timeout_ms, void *buffer, size_t size,
                  uint32_t *lengths, int count)
{
    if (is_forked(inbox))
        return SPN_EFORKED;
    pthread_mutex_lock(&inbox->lock);
    if (inbox->records.length == 0 && !inbox->is_ended && timeout_ms != 0)
        wait_locked(inbox, timeout_ms);
    int taken = spni_records_take(&inbox->records, buffer, size, lengths,
                                  count);
    if (taken == 0)
        taken = inbox->is_ended ? SPN_ESTOPPED : -EAGAIN;
    resume_locked(inbox);
    pthread_mutex_unlock(&inbox->lock);
    return taken;
}

void spn_inbox_read_stats(spn_inbox *inbox, spn_inbox_stats *out)
{
    *out = (spn_inbox_stats){0};
    if (is_forked(inbox))
        return;
    pthread_mutex_lock(&inbox->lock);
    *out = inbox->stats;
    pthread_mutex_unlock(&inbox->lock);
}
