/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a sender and its public face.
 *
 * Lock order: the outbox' lock is a leaf; nothing is called under it.
 */
#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fork.h"
#include "base/threads.h"
#include "net/address.h"
#include "net/drive.h"
#include "net/outbox.h"

/* Two changes of thread take about as long. */
#define DIRECT_SPIN_NS UINT64_C(100000)

struct spn_sender {
    unsigned references; /* atomic */
    unsigned forks;      /* spni_fork_count() when it was made */
    int fd;
    spni_resident resident;
    spni_outbox outbox;
    spni_drive drive;
    size_t endpoint_count;
    spni_address endpoints[];
};

/* ---- the end ---- */

static void finish(spn_sender *sender)
{
    if (spni_drive_stop(&sender->drive)) {
        close(sender->fd);
    }
}

/* On the loop's thread, or in its stead when it has ended. A caller whose turn
 * the first stop ended may have posted the task since. */
static void stop_main(void *argument)
{
    spn_sender *sender = argument;
    spni_drive_forget(&sender->drive);
    finish(sender);
}

/* The loop ends: it calls nothing any more, and spni_loop_join may not have
 * returned yet. */
static void on_stopping(spni_resident *resident)
{
    finish((spn_sender *)(void *)((char *)resident -
                                  offsetof(spn_sender, resident)));
}

static bool is_forked(const spn_sender *sender)
{
    return sender->forks != spni_fork_count();
}

void spn_sender_stop(spn_sender *sender)
{
    spni_loop_call(sender->drive.loop, stop_main, sender);
}

static void destroy(spn_sender *sender)
{
    spni_outbox_fini(&sender->outbox);
    spni_pump_fini(&sender->drive.pump);
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
    spni_loop_leave(sender->drive.loop, &sender->resident);
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
    spni_drive_init(&sender->drive, sender->fd);
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
    code = spni_pump_init(&sender->drive.pump, fd, config, &sender->outbox,
                          sender->endpoints, endpoint_count);
    if (code < 0) {
        goto destroy_sender;
    }
    sender->drive.loop = spni_loop_join(threads, &sender->resident);
    if (sender->drive.loop == NULL) {
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

static int check_heap(const spn_sender *sender, const spn_heap_reference *heap)
{
    if (heap->endpoint >= sender->endpoint_count ||
        (heap->cnt >= 0 &&
         spni_packets_check_cnt(heap->packets, (uint64_t)heap->cnt) < 0)) {
        return -EINVAL;
    }
    /* No packet is longer than the first. */
    if (spn_packets_length(heap->packets, 0) > SPNI_UDP_MAX_PACKET) {
        return -EMSGSIZE;
    }
    return 0;
}

/* Check a group and measure it: 0 and its bytes, or why it is refused. */
static int check_group(const spn_sender *sender,
                       const spn_heap_reference *heaps, size_t count, int mode,
                       size_t *bytes)
{
    if (is_forked(sender)) {
        return SPN_EFORKED;
    }
    if (count == 0 || !spni_group_is_mode(mode)) {
        return -EINVAL;
    }
    *bytes = 0;
    for (size_t i = 0; i < count; i++) {
        int code = check_heap(sender, &heaps[i]);
        if (code < 0) {
            return code;
        }
        *bytes += spn_packets_total(heaps[i].packets);
    }
    return 0;
}

static int submit(spn_sender *sender, const spn_heap_reference *heaps,
                  size_t count, int mode, uint64_t token, size_t direct,
                  uint64_t spin_ns)
{
    size_t bytes;
    int code = check_group(sender, heaps, count, mode, &bytes);
    if (code < 0) {
        return code;
    }
    spni_job *job = spni_job_new(heaps, count, mode, token);
    if (job == NULL) {
        return -ENOMEM;
    }
    spni_turn turn;
    code = spni_outbox_submit(&sender->outbox, job, heaps, bytes <= direct,
                              &turn);
    if (code < 0) {
        spni_job_free(job);
        return code;
    }
    if (turn == SPNI_TURN_CALLER) {
        spni_drive_directly(&sender->drive, spin_ns);
    } else if (turn == SPNI_TURN_LOOP) {
        spni_drive_on_loop(&sender->drive);
    }
    return 0;
}

int spn_sender_submit_group(spn_sender *sender, const spn_heap_reference *heaps,
                            size_t count, int mode, uint64_t token,
                            size_t direct)
{
    return submit(sender, heaps, count, mode, token, direct, 0);
}

int spn_sender_submit(spn_sender *sender, spn_packets *packets, int64_t cnt,
                      size_t endpoint, uint64_t token, size_t direct)
{
    spn_heap_reference heap = {packets, cnt, endpoint};
    return submit(sender, &heap, 1, SPN_GROUP_SERIAL, token, direct, 0);
}

int64_t spn_sender_send_group(spn_sender *sender,
                              const spn_heap_reference *heaps, size_t count,
                              int mode, uint64_t token)
{
    int code =
        submit(sender, heaps, count, mode, token, SIZE_MAX, DIRECT_SPIN_NS);
    return code < 0 ? code : spni_outbox_collect_sent(&sender->outbox, token);
}

int64_t spn_sender_send(spn_sender *sender, spn_packets *packets, int64_t cnt,
                        size_t endpoint, uint64_t token)
{
    spn_heap_reference heap = {packets, cnt, endpoint};
    return spn_sender_send_group(sender, &heap, 1, SPN_GROUP_SERIAL, token);
}

int spn_sender_wait(spn_sender *sender, uint64_t token, int timeout_ms,
                    int64_t *result)
{
    return is_forked(sender)
               ? SPN_EFORKED
               : spni_outbox_wait(&sender->outbox, token, timeout_ms, result);
}

int spn_sender_flush(spn_sender *sender, int timeout_ms)
{
    return is_forked(sender) ? SPN_EFORKED
                             : spni_outbox_flush(&sender->outbox, timeout_ms);
}

int spn_sender_try_pop(spn_sender *sender, spn_completion *out, int count)
{
    return is_forked(sender) ? SPN_EFORKED
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
