/* SPDX-License-Identifier: Apache-2.0 */
/* The driver of a socket: outbox -> batches -> kernel, at a rate.
 *
 * It goes step by step: build a batch, or go on with the one that the socket
 * would not take wholly, and hand it over in one call. Between steps it looks
 * at the clocks and at what came in. When it must wait (for the rate, or for
 * room in the socket) it does so on the loop, as a timer or a handler.
 *
 * Two may drive, never at once: the loop, and the thread of a caller who waits
 * for the heap anyhow. The latter saves two changes of thread a heap, which is
 * most of the cost of a small one, and longer than a burst at 10 Gb/s takes. It
 * leaves the rest to the loop when there is more to wait for than such changes
 * take, and after DIRECT_NS, so that it does not work long for others and a
 * signal is not kept waiting.
 *
 * The last stretch before a deadline is not slept but spent in rounds of the
 * loop (a task that posts itself): a sleep ends tens of microseconds late,
 * which is longer than a burst at 10 Gb/s takes, and in such a round the other
 * handlers have their turn. What is late all the same, the clocks catch up.
 *
 * Lock order: the outbox' lock is a leaf; nothing is called under it.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fork.h"
#include "base/loop.h"
#include "base/threads.h"
#include "net/address.h"
#include "net/outbox.h"
#include "net/udp_writer.h"
#include "spead/rate.h"

#define LOOP_STEPS 4
#define DIRECT_NS UINT64_C(5000000)
#define SPIN_NS UINT64_C(60000)
#define DIRECT_SPIN_NS UINT64_C(100000)

struct spn_sender {
    unsigned references; /* atomic */
    unsigned forks;      /* spni_fork_count() when it was made */
    int fd;
    spni_loop *loop;
    spni_resident resident;
    spni_outbox outbox;

    /* the loop's thread only */
    spni_task task;
    spni_timer timer;
    spni_handler writable;
    bool is_watching;
    bool is_closed;

    /* whoever has the turn */
    spni_jobs queue;
    spni_udp_writer *writer;
    spni_rate rate;
    spn_sender_stats stats;

    size_t endpoint_count;
    spni_address endpoints[];
};

typedef enum { PROGRESS, DRAINED, PAUSED, SOCKET_FULL } outcome;

/* ---- a step ---- */

static const spni_address *address_of(const spn_sender *sender,
                                      const spni_job *job)
{
    return &sender->endpoints[job->endpoint];
}

/* Add a job's packets; false when the batch or the allowance is used up. */
static bool build_job(spn_sender *sender, spni_job *job, uint64_t *allowance)
{
    size_t count = spn_packets_count(job->packets);
    spni_span span;
    spni_cursor cursor;
    if (job->built == count) {
        return true;
    }
    spni_packets_span(job->packets, job->built, &span);
    spni_packets_seek(job->packets, span.payload_offset, &cursor);
    while (*allowance > 0) {
        size_t length = spni_udp_writer_add(sender->writer, job->packets, &span,
                                            &cursor, job->cnt,
                                            address_of(sender, job));
        if (length == 0) {
            return false;
        }
        *allowance -= length < *allowance ? length : *allowance;
        if (++job->built == count) {
            return true;
        }
        spni_packets_advance(job->packets, &span);
    }
    return false;
}

static void build(spn_sender *sender, uint64_t allowance)
{
    for (spni_job *job = sender->queue.first; job != NULL; job = job->next) {
        if (!build_job(sender, job, &allowance)) {
            return;
        }
    }
}

static void retire_first(spn_sender *sender, int64_t result, spni_jobs *done)
{
    spni_job *job = spni_jobs_shift(&sender->queue);
    job->result = result;
    spni_jobs_append(done, job);
}

/* Attribute what the kernel took to the jobs, in their order. */
static void account(spn_sender *sender, const spni_sent *sent)
{
    spni_jobs done;
    spni_jobs_init(&done);
    size_t left = sent->packets;
    while (left > 0) {
        spni_job *job = sender->queue.first;
        size_t lacking = spn_packets_count(job->packets) - job->sent;
        if (left < lacking) {
            job->sent += left;
            break;
        }
        left -= lacking;
        sender->stats.heaps++;
        retire_first(sender, (int64_t)spn_packets_total(job->packets), &done);
    }
    sender->stats.calls++;
    sender->stats.messages += sent->messages;
    sender->stats.packets += sent->packets;
    sender->stats.bytes += sent->bytes;
    spni_rate_count(&sender->rate, sent->bytes);
    spni_outbox_finish(&sender->outbox, &done, &sender->stats);
}

/* The first packet that was not taken met an error: give up its heap, unless
 * the fault was in sending several as one. */
static void fail(spn_sender *sender, int error)
{
    spni_jobs done;
    spni_jobs_init(&done);
    if (spni_udp_writer_clear(sender->writer, error)) {
        sender->stats.gso_refused++;
    } else {
        sender->stats.errors++;
        retire_first(sender, error, &done);
    }
    for (spni_job *job = sender->queue.first; job != NULL; job = job->next) {
        job->built = job->sent;
    }
    spni_outbox_finish(&sender->outbox, &done, &sender->stats);
}

static outcome send_batch(spn_sender *sender)
{
    spni_sent sent;
    int code = spni_udp_writer_send(sender->writer, &sent);
    if (code == -EAGAIN) {
        sender->stats.socket_full++;
        return SOCKET_FULL;
    }
    if (code < 0) {
        fail(sender, code);
    } else {
        account(sender, &sent);
    }
    return PROGRESS;
}

static outcome step(spn_sender *sender, uint64_t *until_ns)
{
    spni_outbox_take(&sender->outbox, &sender->queue);
    if (spni_udp_writer_is_empty(sender->writer)) {
        bool is_limited = spni_rate_is_limited(&sender->rate);
        uint64_t now_ns = is_limited ? spni_now_ns() : 0;
        if (sender->queue.first == NULL) {
            spni_rate_idle(&sender->rate, now_ns);
            return DRAINED;
        }
        uint64_t allowance =
            spni_rate_allowance(&sender->rate, now_ns, until_ns);
        if (allowance == 0) {
            return PAUSED;
        }
        build(sender, allowance);
    }
    return send_batch(sender);
}

/* ---- on the loop ---- */

static void wait_until(spn_sender *sender, uint64_t deadline_ns)
{
    if (deadline_ns > spni_now_ns() + SPIN_NS) {
        spni_timer_set(sender->loop, &sender->timer, deadline_ns - SPIN_NS);
    } else {
        spni_loop_post(sender->loop, &sender->task);
    }
}

/* A socket that cannot be watched is tried again in a while. */
static void wait_until_writable(spn_sender *sender)
{
    sender->is_watching =
        spni_loop_add(sender->loop, &sender->writable, EPOLLOUT) == 0;
    if (!sender->is_watching) {
        spni_timer_set(sender->loop, &sender->timer,
                       spni_now_ns() + UINT64_C(1000000));
    }
}

static void drive_on_loop(spn_sender *sender)
{
    uint64_t until_ns = 0;
    if (sender->is_closed) {
        return;
    }
    for (int i = 0; i < LOOP_STEPS; i++) {
        switch (step(sender, &until_ns)) {
        case PROGRESS:
            break;
        case DRAINED:
            if (spni_outbox_give_up_turn(&sender->outbox)) {
                return;
            }
            break;
        case PAUSED:
            wait_until(sender, until_ns);
            return;
        case SOCKET_FULL:
            wait_until_writable(sender);
            return;
        }
    }
    spni_loop_post(sender->loop, &sender->task);
}

static spn_sender *container(void *member, size_t offset)
{
    return (spn_sender *)(void *)((char *)member - offset);
}

static void on_task(spni_task *task)
{
    drive_on_loop(container(task, offsetof(spn_sender, task)));
}

static void on_timer(spni_timer *timer)
{
    drive_on_loop(container(timer, offsetof(spn_sender, timer)));
}

static void on_writable(spni_handler *handler, uint32_t events)
{
    spn_sender *sender = container(handler, offsetof(spn_sender, writable));
    (void)events;
    spni_loop_remove(sender->loop, handler);
    sender->is_watching = false;
    drive_on_loop(sender);
}

/* ---- in a caller's thread ---- */

/* Spin till then; false if that would be longer than `most_ns`. */
static bool spin_until(uint64_t then_ns, uint64_t most_ns)
{
    uint64_t now_ns = spni_now_ns();
    if (then_ns > now_ns + most_ns) {
        return false;
    }
    while (spni_now_ns() < then_ns) {
    }
    return true;
}

static void drive_directly(spn_sender *sender, uint64_t spin_ns)
{
    uint64_t until_ns = 0;
    uint64_t end_ns = spni_now_ns() + DIRECT_NS;
    bool goes_on = true;
    while (goes_on) {
        outcome result = step(sender, &until_ns);
        if (result == DRAINED && spni_outbox_give_up_turn(&sender->outbox)) {
            return;
        }
        goes_on = result != SOCKET_FULL && spni_now_ns() < end_ns &&
                  (result != PAUSED || spin_until(until_ns, spin_ns)) &&
                  !spni_outbox_is_stopped(&sender->outbox);
    }
    spni_outbox_pass_turn_to_loop(&sender->outbox);
    spni_loop_post(sender->loop, &sender->task);
}

/* ---- the end ---- */

static void cancel_all(spn_sender *sender)
{
    spni_jobs done;
    spni_jobs_init(&done);
    spni_outbox_take(&sender->outbox, &sender->queue);
    while (sender->queue.first != NULL) {
        sender->stats.cancelled++;
        retire_first(sender, SPN_ESTOPPED, &done);
    }
    spni_outbox_finish(&sender->outbox, &done, &sender->stats);
}

static void finish(spn_sender *sender)
{
    if (sender->is_closed) {
        return;
    }
    sender->is_closed = true;
    spni_outbox_stop(&sender->outbox);
    cancel_all(sender);
    close(sender->fd);
}

/* On the loop's thread, or in its stead when it has ended. A caller whose turn
 * the first stop ended may have posted the task since. */
static void stop_main(void *argument)
{
    spn_sender *sender = argument;
    spni_loop_unpost(sender->loop, &sender->task);
    spni_timer_cancel(sender->loop, &sender->timer);
    if (sender->is_watching) {
        spni_loop_remove(sender->loop, &sender->writable);
        sender->is_watching = false;
    }
    finish(sender);
}

/* The loop ends: it calls nothing any more, and spni_loop_join may not have
 * returned yet. */
static void on_stopping(spni_resident *resident)
{
    finish(container(resident, offsetof(spn_sender, resident)));
}

static bool is_forked(const spn_sender *sender)
{
    return sender->forks != spni_fork_count();
}

void spn_sender_stop(spn_sender *sender)
{
    spni_loop_call(sender->loop, stop_main, sender);
}

static void destroy(spn_sender *sender)
{
    spni_outbox_fini(&sender->outbox);
    spni_udp_writer_free(sender->writer);
    free(sender);
}

/* In a forked child the locks may be held by threads that are not there, so
 * there the memory is left. */
void spn_sender_unref(spn_sender *sender)
{
    if (sender == NULL || __atomic_sub_fetch(&sender->references, 1,
                                             __ATOMIC_ACQ_REL) > 0) {
        return;
    }
    spn_sender_stop(sender);
    spni_loop_leave(sender->loop, &sender->resident);
    if (is_forked(sender)) {
        close(sender->fd);
    } else {
        destroy(sender);
    }
}

/* ---- the beginning ---- */

static int make_addresses(spn_sender *sender, const spn_endpoint *endpoints)
{
    int family;
    socklen_t length = sizeof family;
    if (getsockopt(sender->fd, SOL_SOCKET, SO_DOMAIN, &family, &length) < 0) {
        return -errno;
    }
    for (size_t i = 0; i < sender->endpoint_count; i++) {
        int code =
            spni_address_make(family, &endpoints[i], &sender->endpoints[i]);
        if (code < 0) {
            return code;
        }
    }
    return 0;
}

static bool is_sound(const spn_sender_config *config)
{
    return isfinite(config->rate) && config->rate >= 0 &&
           isfinite(config->burst_rate_ratio) &&
           config->burst_rate_ratio >= 1 && config->max_heaps >= 1;
}

static void init(spn_sender *sender, const spn_sender_config *config)
{
    sender->references = 1;
    sender->forks = spni_fork_count();
    sender->resident.stopping = on_stopping;
    sender->task.run = on_task;
    sender->timer.fire = on_timer;
    sender->writable = (spni_handler){.fd = sender->fd, .ready = on_writable};
    spni_jobs_init(&sender->queue);
    spni_rate_init(&sender->rate, config->rate, config->burst_rate_ratio,
                   config->burst_size, spni_now_ns());
    spni_outbox_init(&sender->outbox, config->max_heaps);
}

int spn_sender_new(spn_threads *threads, int fd, const spn_endpoint *endpoints,
                   size_t endpoint_count, const spn_sender_config *config,
                   spn_sender **out)
{
    if (endpoint_count == 0 || !is_sound(config)) {
        return -EINVAL;
    }
    spn_sender *sender =
        calloc(1, sizeof *sender + endpoint_count * sizeof(spni_address));
    if (sender == NULL) {
        return -ENOMEM;
    }
    sender->fd = fd;
    sender->endpoint_count = endpoint_count;
    init(sender, config);
    int code = make_addresses(sender, endpoints);
    if (code < 0) {
        goto destroy_sender;
    }
    const spni_address *only =
        config->may_connect && endpoint_count == 1 ? sender->endpoints : NULL;
    code = spni_udp_writer_new(fd, config->gso, only, &sender->writer);
    if (code < 0) {
        goto destroy_sender;
    }
    sender->loop = spni_loop_join(threads, &sender->resident);
    if (sender->loop == NULL) {
        code = spni_threads_is_forked(threads) ? SPN_EFORKED : SPN_ESTOPPED;
        goto destroy_sender;
    }
    *out = sender;
    return 0;

destroy_sender:
    destroy(sender);
    return code;
}

/* ---- the outbox' face ---- */

static int check_job(const spn_sender *sender, const spn_packets *packets,
                     int64_t cnt, size_t endpoint)
{
    if (is_forked(sender)) {
        return SPN_EFORKED;
    }
    if (endpoint >= sender->endpoint_count ||
        (cnt >= 0 && spni_packets_check_cnt(packets, (uint64_t)cnt) < 0)) {
        return -EINVAL;
    }
    /* No packet is longer than the first. */
    if (spn_packets_length(packets, 0) > SPNI_UDP_MAX_PACKET) {
        return -EMSGSIZE;
    }
    return 0;
}

static int submit(spn_sender *sender, spn_packets *packets, int64_t cnt,
                  size_t endpoint, uint64_t token, bool direct,
                  uint64_t spin_ns)
{
    int code = check_job(sender, packets, cnt, endpoint);
    if (code < 0) {
        return code;
    }
    spni_job *job = malloc(sizeof *job);
    if (job == NULL) {
        return -ENOMEM;
    }
    *job = (spni_job){
        .packets = packets, .token = token, .endpoint = endpoint};
    spni_packets_ref(packets);
    spni_turn turn;
    code = spni_outbox_submit(&sender->outbox, job, cnt, direct, &turn);
    if (code < 0) {
        spn_packets_unref(packets);
        free(job);
        return code;
    }
    if (turn == SPNI_TURN_CALLER) {
        drive_directly(sender, spin_ns);
    } else if (turn == SPNI_TURN_LOOP) {
        spni_loop_post(sender->loop, &sender->task);
    }
    return 0;
}

int spn_sender_submit(spn_sender *sender, spn_packets *packets, int64_t cnt,
                      size_t endpoint, uint64_t token, bool direct)
{
    return submit(sender, packets, cnt, endpoint, token, direct, 0);
}

int spn_sender_wait(spn_sender *sender, uint64_t token, int timeout_ms,
                    int64_t *result)
{
    return is_forked(sender) ? SPN_EFORKED
                             : spni_outbox_wait(&sender->outbox, token,
                                                timeout_ms, result);
}

int64_t spn_sender_send(spn_sender *sender, spn_packets *packets, int64_t cnt,
                        size_t endpoint, uint64_t token)
{
    int code = submit(sender, packets, cnt, endpoint, token, true,
                      DIRECT_SPIN_NS);
    return code < 0 ? code : spni_outbox_collect_sent(&sender->outbox, token);
}

int spn_sender_flush(spn_sender *sender, int timeout_ms)
{
    return is_forked(sender) ? SPN_EFORKED
                             : spni_outbox_flush(&sender->outbox, timeout_ms);
}

int spn_sender_try_pop(spn_sender *sender, spn_completion *out, int count)
{
    return is_forked(sender)
               ? SPN_EFORKED
               : spni_outbox_try_pop(&sender->outbox, out, count);
}

int spn_sender_fd(spn_sender *sender)
{
    return is_forked(sender) ? SPN_EFORKED : spni_outbox_fd(&sender->outbox);
}

int spn_sender_set_cnt_sequence(spn_sender *sender, uint64_t next,
                                uint64_t step)
{
    if (step == 0) {
        return -EINVAL;
    }
    if (is_forked(sender)) {
        return SPN_EFORKED;
    }
    pthread_mutex_lock(&sender->outbox.lock);
    sender->outbox.next_cnt = next;
    sender->outbox.cnt_step = step;
    pthread_mutex_unlock(&sender->outbox.lock);
    return 0;
}

void spn_sender_read_stats(spn_sender *sender, spn_sender_stats *out)
{
    /* In a forked child the lock may have been left held. */
    bool forked = is_forked(sender);
    if (!forked) {
        pthread_mutex_lock(&sender->outbox.lock);
    }
    *out = sender->outbox.stats;
    if (!forked) {
        pthread_mutex_unlock(&sender->outbox.lock);
    }
}
