/* SPDX-License-Identifier: Apache-2.0 */
/* A *lane* is a link with a window and the transfers that go over it one after
 * another; there is no pause between them, the next begins while the last
 * replies of the one before are on their way.
 *
 * One thread serves all lanes. Those that had replies in the last round are
 * *hot* and are looked at without asking poll first; poll is asked when none
 * is hot, and now and then so that a cold lane is not forgotten while others
 * are busy. */
#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "scp/link.h"
#include "scp/transfer.h"

enum {
    ROUNDS_WITHOUT_POLL = 8,
};

typedef struct lane {
    struct lane *next;
    spn_bulk *bulk;
    spn_link *link;
    spn_window *window;
    spn_transfer **transfers;
    int count;
    int current;     /* the transfer that requests are made of */
    int unfinished;  /* atomic: another thread may receive for us */
    uint64_t offset; /* of its next request */
    bool is_hot;
    bool has_failed; /* with the lock: requests of a failed transfer are left */
} lane;

struct spn_bulk {
    spn_window_config config;
    lane *lanes;
    int lane_count;
    int unfinished; /* transfers */
    uint64_t done;  /* bytes; atomic: may be read by another thread */
    struct pollfd *sockets;
};

int spn_bulk_new(const spn_window_config *config, spn_bulk **out)
{
    spn_bulk *bulk = calloc(1, sizeof *bulk);
    if (!bulk)
        return -ENOMEM;
    bulk->config = *config;
    *out = bulk;
    return 0;
}

static void lane_free(lane *it)
{
    spn_window_free(it->window);
    spn_link_unref(it->link);
    free(it->transfers);
    free(it);
}

void spn_bulk_free(spn_bulk *bulk)
{
    if (!bulk)
        return;
    for (lane *it = bulk->lanes, *next; it; it = next) {
        next = it->next;
        lane_free(it);
    }
    free(bulk->sockets);
    free(bulk);
}

static void ended(spn_window *window, spni_request *request,
                  const spni_reply *reply)
{
    lane *it = window->owner;
    spn_transfer *transfer = (spn_transfer *)(uintptr_t)request->token;
    uint64_t before = transfer->done;
    if (spni_transfer_decode(transfer, request, reply)) {
        it->has_failed = it->has_failed || transfer->status != 0;
        __atomic_sub_fetch(&it->unfinished, 1, __ATOMIC_RELEASE);
    }
    __atomic_add_fetch(&it->bulk->done, transfer->done - before,
                       __ATOMIC_RELAXED);
}

static int unfinished(const lane *it)
{
    return __atomic_load_n(&it->unfinished, __ATOMIC_ACQUIRE);
}

static int lane_new(spn_bulk *bulk, spn_link *link, lane **out)
{
    lane *it = calloc(1, sizeof *it);
    size_t sockets = (size_t)bulk->lane_count + 1;
    struct pollfd *more =
        realloc(bulk->sockets, sockets * sizeof *bulk->sockets);
    int code = -ENOMEM;
    if (more)
        bulk->sockets = more;
    if (!it || !more)
        goto free_lane;
    code = spn_window_new(&bulk->config, link->sequences, &it->window);
    if (code < 0)
        goto free_lane;
    it->window->on_end = ended;
    it->window->owner = it;
    it->bulk = bulk;
    it->link = link;
    spni_link_ref(link);
    spni_link_forget_error(link);
    it->next = bulk->lanes;
    bulk->lanes = it;
    bulk->lane_count++;
    *out = it;
    return 0;

free_lane:
    free(it);
    return code;
}

static int find_lane(spn_bulk *bulk, spn_link *link, lane **out)
{
    for (*out = bulk->lanes; *out; *out = (*out)->next)
        if ((*out)->link == link)
            return 0;
    return lane_new(bulk, link, out);
}

int spn_bulk_add(spn_bulk *bulk, spn_link *link, spn_transfer *transfer)
{
    lane *it = NULL;
    int code = spni_link_is_forked(link) ? SPN_EFORKED
                                         : spni_transfer_check(transfer);
    if (code == 0)
        code = find_lane(bulk, link, &it);
    if (code < 0)
        return code;
    size_t size = ((size_t)it->count + 1) * sizeof(spn_transfer *);
    spn_transfer **more = realloc(it->transfers, size);
    if (!more)
        return -ENOMEM;
    it->transfers = more;
    it->transfers[it->count++] = transfer;
    transfer->done = 0;
    transfer->code = 0;
    transfer->status = transfer->length ? -EINPROGRESS : 0;
    if (transfer->length)
        __atomic_add_fetch(&it->unfinished, 1, __ATOMIC_RELAXED);
    return 0;
}

/* The transfer to make the next request of, or NULL. */
static spn_transfer *current(lane *it)
{
    for (; it->current < it->count; it->current++) {
        spn_transfer *transfer = it->transfers[it->current];
        if (transfer->status == -EINPROGRESS &&
            it->offset < transfer->length)
            return transfer;
        it->offset = 0;
    }
    return NULL;
}

static void feed_locked(lane *it)
{
    while (spni_window_has_room_locked(it->window)) {
        spn_transfer *transfer = current(it);
        spni_request *request =
            transfer ? spni_window_get_locked(it->window) : NULL;
        if (!request)
            break;
        it->offset += spni_transfer_encode(transfer, it->offset, request);
        spni_window_put_locked(it->window, request);
    }
}

static void forget_failed_locked(lane *it)
{
    it->has_failed = false;
    for (int i = 0; i < it->count; i++)
        if (it->transfers[i]->status != 0 &&
            it->transfers[i]->status != -EINPROGRESS)
            spni_window_forget_locked(it->window,
                                      (uintptr_t)it->transfers[i]);
}

static void end_stopped_locked(lane *it)
{
    spni_window_fail_locked(it->window, SPN_ESTOPPED);
    for (int i = 0; i < it->count; i++)
        if (it->transfers[i]->status == -EINPROGRESS)
            it->transfers[i]->status = SPN_ESTOPPED;
    __atomic_store_n(&it->unfinished, 0, __ATOMIC_RELEASE);
}

static void serve(lane *it)
{
    bool stopped = spni_link_is_stopped(it->link);
    uint64_t now_ns = spni_now_ns();
    int received = spni_link_receive(it->link, it->window);
    it->is_hot = received > 0;
    pthread_mutex_lock(&it->link->sequences->lock);
    spni_link_tick_locked(it->link, it->window, now_ns);
    if (it->has_failed)
        forget_failed_locked(it);
    if (stopped && received <= 0) {
        end_stopped_locked(it);
    } else if (!stopped) {
        feed_locked(it);
        spni_link_transmit_locked(it->link, it->window);
    }
    pthread_mutex_unlock(&it->link->sequences->lock);
}

static uint64_t deadline(const lane *it)
{
    pthread_mutex_lock(&it->link->sequences->lock);
    uint64_t deadline_ns = spni_link_look_locked(
        it->link, spni_window_deadline_locked(it->window));
    pthread_mutex_unlock(&it->link->sequences->lock);
    return deadline_ns;
}

static bool is_due(const lane *it, uint64_t now_ns)
{
    pthread_mutex_lock(&it->link->sequences->lock);
    bool due = it->link->sequences->windows > 1 ||
               spni_window_deadline_locked(it->window) <= now_ns;
    pthread_mutex_unlock(&it->link->sequences->lock);
    return due;
}

static uint64_t earliest(spn_bulk *bulk, uint64_t until_ns)
{
    for (lane *it = bulk->lanes; it; it = it->next) {
        uint64_t due_ns = deadline(it);
        if (unfinished(it) && due_ns < until_ns)
            until_ns = due_ns;
    }
    return until_ns;
}

/* Make hot those that have something to receive, or something due. */
static int poll_lanes(spn_bulk *bulk, uint64_t until_ns)
{
    int count = 0;
    for (lane *it = bulk->lanes; it; it = it->next)
        bulk->sockets[count++] = (struct pollfd){
            .fd = unfinished(it) ? it->link->fd : -1,
            .events = POLLIN,
        };
    int code = spni_link_wait(bulk->sockets, count, until_ns);
    if (code < 0)
        return code;
    uint64_t now_ns = spni_now_ns();
    count = 0;
    for (lane *it = bulk->lanes; it; it = it->next, count++) {
        if (bulk->sockets[count].revents & POLLHUP)
            spn_link_stop(it->link);
        it->is_hot = it->is_hot || bulk->sockets[count].revents ||
                     is_due(it, now_ns);
    }
    return 0;
}

static bool is_forked(const spn_bulk *bulk)
{
    return bulk->lanes && spni_link_is_forked(bulk->lanes->link);
}

static bool serve_hot(spn_bulk *bulk)
{
    bool any = false;
    bulk->unfinished = 0;
    for (lane *it = bulk->lanes; it; it = it->next) {
        if (unfinished(it) && it->is_hot)
            serve(it);
        any = any || (it->is_hot && unfinished(it));
        bulk->unfinished += unfinished(it);
    }
    return any;
}

int spn_bulk_run(spn_bulk *bulk, int slice_ms)
{
    uint64_t until_ns = spni_now_ns() + (uint64_t)slice_ms * 1000000;
    int rounds = 0;
    if (is_forked(bulk))
        return SPN_EFORKED;
    for (lane *it = bulk->lanes; it; it = it->next)
        it->is_hot = true;
    for (;;) {
        bool any_hot = serve_hot(bulk);
        if (bulk->unfinished == 0)
            return 0;
        if (spni_now_ns() >= until_ns)
            return bulk->unfinished;
        bool skip = any_hot && (bulk->lane_count == 1 ||
                                ++rounds % ROUNDS_WITHOUT_POLL);
        if (skip)
            continue;
        int code = poll_lanes(bulk, any_hot ? 0 : earliest(bulk, until_ns));
        if (code < 0)
            return code;
    }
}

uint64_t spn_bulk_done(const spn_bulk *bulk)
{
    return __atomic_load_n(&bulk->done, __ATOMIC_RELAXED);
}

static void add_stats(spn_window_stats *sum, const spn_window_stats *more)
{
    sum->requests += more->requests;
    sum->replies += more->replies;
    sum->sent += more->sent;
    sum->resent += more->resent;
    sum->resent_retry_code += more->resent_retry_code;
    sum->resent_overtaken += more->resent_overtaken;
    sum->resent_probe += more->resent_probe;
    sum->timeouts += more->timeouts;
    sum->ignored_short += more->ignored_short;
    sum->ignored_oversize += more->ignored_oversize;
    sum->ignored_flags += more->ignored_flags;
    sum->ignored_command += more->ignored_command;
    sum->ignored_length += more->ignored_length;
    sum->ignored_unknown += more->ignored_unknown;
    sum->ignored_late += more->ignored_late;
    sum->socket_errors += more->socket_errors;
    sum->channels += more->channels;
    sum->in_progress += more->in_progress;
}

void spn_bulk_read_stats(spn_bulk *bulk, spn_window_stats *out)
{
    *out = (spn_window_stats){0};
    for (lane *it = bulk->lanes; it; it = it->next) {
        spn_window_stats stats;
        spn_window_read_stats(it->window, &stats);
        add_stats(out, &stats);
    }
}
