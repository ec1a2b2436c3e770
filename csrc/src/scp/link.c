/* SPDX-License-Identifier: Apache-2.0 */
/* No thread of its own: a hand-over costs more than the whole round trip of a
 * request. The thread that waits for a reply is the one that receives, and it
 * looks before it sleeps, since on a busy link the next batch is there by then.
 *
 * The descriptor is a duplicate, so that a link never works on one that was
 * closed and given to somebody else. What was sent stays under the lock until
 * the (non-blocking) call is over, because another thread may receive, and
 * then end, any request of the window.
 *
 * An ICMP error does not say which request it answers, only that nobody is
 * there for any of them: all of the window end with it. One that is left over
 * from earlier traffic is taken off the socket before the first request. */
#include "scp/link.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

/* When a socket takes no more; POLLOUT does not tell of a full device queue. */
#define FULL_SOCKET_NS (SPNI_SECOND_NS / 1000)

/* When another thread may receive for this one. */
#define SHARED_NS (SPNI_SECOND_NS / 500)

enum {
    /* More than a socket's buffer holds; a peer that floods us with something
     * else must not keep requests from timing out. */
    BEHIND_MAX = 1024,
};

int spn_link_new(int fd, spn_link **out)
{
    int code = -ENOMEM;
    spn_link *link = calloc(1, sizeof *link);
    if (!link)
        return code;
    link->references = 1;
    link->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (link->fd < 0) {
        code = -errno;
        goto free_link;
    }
    code = spn_sequences_new(&link->sequences);
    if (code < 0)
        goto close_fd;
    *out = link;
    return 0;

close_fd:
    close(link->fd);
free_link:
    free(link);
    return code;
}

void spni_link_ref(spn_link *link)
{
    __atomic_add_fetch(&link->references, 1, __ATOMIC_RELAXED);
}

void spn_link_unref(spn_link *link)
{
    if (!link ||
        __atomic_sub_fetch(&link->references, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    close(link->fd);
    spn_sequences_unref(link->sequences);
    free(link);
}

spn_sequences *spn_link_sequences(spn_link *link)
{
    spni_sequences_ref(link->sequences);
    return link->sequences;
}

bool spni_link_is_forked(const spn_link *link)
{
    return spni_sequences_are_forked(link->sequences);
}

void spn_link_stop(spn_link *link)
{
    if (spni_link_is_forked(link))
        return;
    __atomic_store_n(&link->stopped, true, __ATOMIC_RELEASE);
    shutdown(link->fd, SHUT_RDWR);
}

bool spni_link_is_stopped(const spn_link *link)
{
    return __atomic_load_n(&link->stopped, __ATOMIC_ACQUIRE);
}

static void lock(spn_link *link)
{
    pthread_mutex_lock(&link->sequences->lock);
}

static void unlock(spn_link *link)
{
    pthread_mutex_unlock(&link->sequences->lock);
}

static int send_one(const spn_link *link, const struct msghdr *message)
{
    ssize_t sent = sendmsg(link->fd, message, MSG_DONTWAIT | MSG_NOSIGNAL);
    return sent < 0 ? -errno : 1;
}

static int send_all(const spn_link *link, spni_request *const *requests,
                    int count)
{
    struct mmsghdr messages[SPNI_LINK_BATCH];
    struct iovec pieces[SPNI_LINK_BATCH][2];
    for (int i = 0; i < count; i++) {
        spni_request *request = requests[i];
        pieces[i][0] = (struct iovec){request->bytes, request->length};
        pieces[i][1] = (struct iovec){(void *)(uintptr_t)request->body,
                                      request->body_length};
        messages[i] = (struct mmsghdr){.msg_hdr = {
            .msg_iov = pieces[i],
            .msg_iovlen = request->body_length ? 2 : 1,
        }};
    }
    if (count == 1)
        return send_one(link, &messages[0].msg_hdr);
    int sent = sendmmsg(link->fd, messages, (unsigned)count,
                        MSG_DONTWAIT | MSG_NOSIGNAL);
    return sent < 0 ? -errno : sent;
}

static bool is_full(int code)
{
    return code == -EAGAIN || code == -ENOBUFS || code == -ENOMEM;
}

static void fail_locked(spn_window *window, int code)
{
    window->stats.socket_errors++;
    spni_window_fail_locked(window, code);
}

int spni_link_transmit_locked(spn_link *link, spn_window *window)
{
    spni_request *requests[SPNI_LINK_BATCH];
    int total = 0;
    for (;;) {
        uint64_t now_ns = spni_now_ns();
        int count = spni_window_peek_locked(window, now_ns, requests,
                                            SPNI_LINK_BATCH);
        if (count == 0)
            return total;
        int sent = send_all(link, requests, count);
        if (sent == -EINTR)
            continue;
        if (is_full(sent))
            return -EAGAIN;
        if (sent == -EPIPE)
            spn_link_stop(link);
        if (spni_link_is_stopped(link))
            return SPN_ESTOPPED;
        if (sent < 0) {
            fail_locked(window, sent);
            return sent;
        }
        spni_window_sent_locked(window, now_ns, requests, sent);
        total += sent;
    }
}

void spni_link_tick_locked(const spn_link *link, spn_window *window,
                           uint64_t now_ns)
{
    unsigned behind = __atomic_load_n(&link->behind, __ATOMIC_RELAXED);
    if (behind % BEHIND_MAX == 0)
        spni_window_tick_locked(window, now_ns);
}

static int transmit(spn_link *link, spn_window *window, uint64_t now_ns)
{
    lock(link);
    spni_link_tick_locked(link, window, now_ns);
    int sent = spni_link_transmit_locked(link, window);
    unlock(link);
    return sent;
}

void spni_link_forget_error(const spn_link *link)
{
    int error;
    socklen_t size = sizeof error;
    getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &error, &size);
}

int spn_link_send(spn_link *link, spn_window *window, uint64_t token,
                  const uint8_t *bytes, size_t length, bool may_repeat)
{
    if (spni_link_is_forked(link))
        return SPN_EFORKED;
    if (spni_link_is_stopped(link))
        return SPN_ESTOPPED;
    lock(link);
    if (spni_window_in_progress_locked(window) == 0)
        spni_link_forget_error(link);
    int sequence =
        spni_window_submit_locked(window, token, bytes, length, may_repeat);
    if (sequence >= 0 &&
        spni_link_transmit_locked(link, window) == SPN_ESTOPPED) {
        spni_window_forget_locked(window, token);
        sequence = SPN_ESTOPPED;
    }
    unlock(link);
    return sequence;
}

int spni_link_receive(spn_link *link, spn_window *window)
{
    /* One byte more than a reply can have, so that longer ones show. */
    static const size_t size = SPNI_SCP_MAX + 1;
    uint8_t buffers[SPNI_LINK_BATCH][SPNI_SCP_MAX + 1];
    struct mmsghdr messages[SPNI_LINK_BATCH];
    struct iovec pieces[SPNI_LINK_BATCH];
    for (int i = 0; i < SPNI_LINK_BATCH; i++) {
        pieces[i] = (struct iovec){buffers[i], size};
        messages[i] = (struct mmsghdr){
            .msg_hdr = {.msg_iov = &pieces[i], .msg_iovlen = 1}};
    }
    int count = recvmmsg(link->fd, messages, SPNI_LINK_BATCH, MSG_DONTWAIT,
                         NULL);
    int code = count < 0 ? -errno : count;
    unsigned behind = count == SPNI_LINK_BATCH
        ? __atomic_load_n(&link->behind, __ATOMIC_RELAXED) + 1 : 0;
    __atomic_store_n(&link->behind, behind, __ATOMIC_RELAXED);
    if (code == -EAGAIN || code == -EINTR)
        return 0;
    lock(link);
    uint64_t now_ns = spni_now_ns();
    if (code < 0 && !spni_link_is_stopped(link))
        fail_locked(window, code);
    for (int i = 0; i < count; i++)
        spni_window_receive_locked(window, now_ns, buffers[i],
                                   messages[i].msg_len);
    unlock(link);
    return code;
}

uint64_t spni_link_look_locked(const spn_link *link, uint64_t until_ns)
{
    uint64_t soon_ns = spni_now_ns() + SHARED_NS;
    bool is_shared = link->sequences->windows > 1;
    return is_shared && soon_ns < until_ns ? soon_ns : until_ns;
}

void spni_link_end(spn_link *link, spn_window *window)
{
    lock(link);
    spni_window_fail_locked(window, SPN_ESTOPPED);
    unlock(link);
}

int spni_link_wait(struct pollfd *sockets, int count, uint64_t until_ns)
{
    uint64_t now_ns = spni_now_ns();
    uint64_t left_ns = until_ns > now_ns ? until_ns - now_ns : 0;
    struct timespec timeout = {
        .tv_sec = (time_t)(left_ns / SPNI_SECOND_NS),
        .tv_nsec = (long)(left_ns % SPNI_SECOND_NS),
    };
    return ppoll(sockets, (nfds_t)count, &timeout, NULL) < 0 ? -errno : 0;
}

static int wait(spn_link *link, uint64_t until_ns)
{
    struct pollfd socket = {.fd = link->fd, .events = POLLIN};
    int code = spni_link_wait(&socket, 1, until_ns);
    if (code == 0 && socket.revents & POLLHUP)
        spn_link_stop(link); /* the owner of the socket has shut it down */
    return code;
}

/* What a run is for. */
typedef struct {
    uint64_t until_ns;
    bool until_room;
    spn_scp_outcome *completions;
    int count;
    uint8_t *data;
    size_t size;
} errand;

/* Completions taken; with none, *wake_ns is when to look again, 0: not. */
static int collect(spn_link *link, spn_window *window, const errand *it,
                   uint64_t *wake_ns)
{
    lock(link);
    int taken = spni_window_pop_locked(window, it->completions, it->count,
                                       it->data, it->size);
    bool is_over = spni_window_in_progress_locked(window) == 0 ||
                   (it->until_room && spni_window_has_room_locked(window));
    *wake_ns = is_over ? 0 : spni_link_look_locked(
        link, spni_window_deadline_locked(window));
    unlock(link);
    return taken;
}

static int run(spn_link *link, spn_window *window, const errand *it)
{
    for (;;) {
        bool stopped = spni_link_is_stopped(link);
        uint64_t now_ns = spni_now_ns();
        int received = spni_link_receive(link, window);
        int sent = stopped ? 0 : transmit(link, window, now_ns);
        uint64_t wake_ns;
        int taken = collect(link, window, it, &wake_ns);
        if (taken > 0)
            return taken;
        if (wake_ns == 0)
            return stopped ? SPN_ESTOPPED : 0;
        if (stopped && received <= 0) {
            spni_link_end(link, window);
            continue;
        }
        if (now_ns >= it->until_ns)
            return 0;
        if (received > 0)
            continue;
        if (sent == -EAGAIN)
            wake_ns = spni_now_ns() + FULL_SOCKET_NS;
        int code = wait(link, wake_ns < it->until_ns ? wake_ns : it->until_ns);
        if (code < 0)
            return code;
    }
}

int spn_link_run(spn_link *link, spn_window *window, int timeout_ms,
                 bool until_room, spn_scp_outcome *completions, int count,
                 uint8_t *data, size_t size)
{
    errand it = {
        .until_ns = timeout_ms < 0 ? UINT64_MAX
            : spni_now_ns() + (uint64_t)timeout_ms * 1000000,
        .until_room = until_room,
        .completions = completions,
        .count = count,
        .data = data,
        .size = size,
    };
    if (spni_link_is_forked(link))
        return SPN_EFORKED;
    return run(link, window, &it);
}
