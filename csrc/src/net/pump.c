/* SPDX-License-Identifier: Apache-2.0 */
/* Between steps the pump looks at the clocks and at what came in. */
#include "net/pump.h"

#include <errno.h>

#include "base/clock.h"

int spni_pump_init(spni_pump *pump, int fd, const spn_sender_config *config,
                   spni_outbox *outbox, const spni_address *endpoints,
                   size_t endpoint_count)
{
    *pump = (spni_pump){.outbox = outbox, .endpoints = endpoints};
    spni_jobs_init(&pump->queue);
    spni_rate_init(&pump->rate, config->rate, config->burst_rate_ratio,
                   config->burst_size, spni_now_ns());
    bool may_connect = config->may_connect && endpoint_count == 1;
    return spni_udp_writer_new(fd, config->gso, may_connect ? endpoints : NULL,
                               &pump->writer);
}

void spni_pump_fini(spni_pump *pump)
{
    spni_udp_writer_free(pump->writer);
}

static size_t smaller(size_t left, size_t right)
{
    return left < right ? left : right;
}

/* Add the packets of one heap that follow one another; false when the batch or
 * the allowance is used up. */
static bool build_run(spni_pump *pump, spni_job *job, uint64_t *allowance)
{
    const spni_member *member = &job->members[job->built.member];
    const spni_address *to = &pump->endpoints[member->endpoint];
    size_t run = spni_group_run(&job->group, &job->built), added = 0, length;
    spni_span span;
    spni_cursor cursor;
    spni_packets_span(member->packets, job->built.packet, &span);
    spni_packets_seek(member->packets, span.payload_offset, &cursor);
    while (added < run && *allowance > 0 &&
           (length = spni_udp_writer_add(pump->writer, member->packets, &span,
                                         &cursor, member->cnt, to)) > 0) {
        *allowance -= smaller(length, *allowance);
        if (++added < run) {
            spni_packets_advance(member->packets, &span);
        }
    }
    spni_group_advance(&job->group, &job->built, added);
    return added == run;
}

static bool build_job(spni_pump *pump, spni_job *job, uint64_t *allowance)
{
    while (!spni_group_is_over(&job->group, &job->built)) {
        if (!build_run(pump, job, allowance)) {
            return false;
        }
    }
    return true;
}

static void build(spni_pump *pump, uint64_t allowance)
{
    for (spni_job *job = pump->queue.first; job != NULL; job = job->next) {
        if (!build_job(pump, job, &allowance)) {
            return;
        }
    }
}

static void retire_first(spni_pump *pump, spni_jobs *done)
{
    spni_jobs_append(done, spni_jobs_shift(&pump->queue));
}

/* Go on behind packets that the kernel took, at most a run. */
static void account_run(spni_pump *pump, spni_job *job, size_t packets)
{
    const spni_member *member = &job->members[job->sent.member];
    if (job->sent.packet + packets == member->count) {
        pump->stats.heaps++;
        job->ended++;
        job->bytes += spn_packets_total(member->packets);
    }
    spni_group_advance(&job->group, &job->sent, packets);
}

/* Attribute what the kernel took to the jobs, in their order. */
static void account(spni_pump *pump, const spni_sent *sent)
{
    spni_jobs done;
    spni_jobs_init(&done);
    size_t left = sent->packets;
    while (left > 0) {
        spni_job *job = pump->queue.first;
        size_t run = smaller(spni_group_run(&job->group, &job->sent), left);
        account_run(pump, job, run);
        left -= run;
        if (spni_group_is_over(&job->group, &job->sent)) {
            retire_first(pump, &done);
        }
    }
    pump->stats.calls++;
    pump->stats.messages += sent->messages;
    pump->stats.packets += sent->packets;
    pump->stats.bytes += sent->bytes;
    spni_rate_count(&pump->rate, sent->bytes);
    spni_outbox_finish(pump->outbox, &done, &pump->stats);
}

/* Give up the heap whose packet is the next. */
static void give_up_heap(spni_pump *pump, spni_job *job, int error)
{
    pump->stats.errors++;
    job->ended++;
    job->members[job->sent.member].count = 0;
    if (job->error == 0) {
        job->error = error;
    }
    spni_group_advance(&job->group, &job->sent, 0);
}

/* The first packet that was not taken met an error: give up its heap, unless
 * the fault was in sending several as one. */
static void fail(spni_pump *pump, int error)
{
    spni_jobs done;
    spni_jobs_init(&done);
    if (spni_udp_writer_clear(pump->writer, error)) {
        pump->stats.gso_refused++;
    } else {
        spni_job *first = pump->queue.first;
        give_up_heap(pump, first, error);
        if (spni_group_is_over(&first->group, &first->sent)) {
            retire_first(pump, &done);
        }
    }
    for (spni_job *job = pump->queue.first; job != NULL; job = job->next) {
        job->built = job->sent;
    }
    spni_outbox_finish(pump->outbox, &done, &pump->stats);
}

static spni_pumped send_batch(spni_pump *pump)
{
    spni_sent sent;
    int code = spni_udp_writer_send(pump->writer, &sent);
    if (code == -EAGAIN) {
        pump->stats.socket_full++;
        return SPNI_SOCKET_FULL;
    }
    if (code < 0) {
        fail(pump, code);
    } else {
        account(pump, &sent);
    }
    return SPNI_PROGRESS;
}

spni_pumped spni_pump_step(spni_pump *pump, uint64_t *until_ns)
{
    spni_outbox_take(pump->outbox, &pump->queue);
    if (spni_udp_writer_is_empty(pump->writer)) {
        bool is_limited = spni_rate_is_limited(&pump->rate);
        uint64_t now_ns = is_limited ? spni_now_ns() : 0;
        if (pump->queue.first == NULL) {
            spni_rate_idle(&pump->rate, now_ns);
            return SPNI_DRAINED;
        }
        uint64_t allowance =
            spni_rate_allowance(&pump->rate, now_ns, until_ns);
        if (allowance == 0) {
            return SPNI_PAUSED;
        }
        build(pump, allowance);
    }
    return send_batch(pump);
}

void spni_pump_cancel(spni_pump *pump)
{
    spni_jobs done;
    spni_jobs_init(&done);
    spni_outbox_take(pump->outbox, &pump->queue);
    while (pump->queue.first != NULL) {
        spni_job *job = pump->queue.first;
        pump->stats.cancelled += job->group.count - job->ended;
        if (job->error == 0) {
            job->error = SPN_ESTOPPED;
        }
        retire_first(pump, &done);
    }
    spni_outbox_finish(pump->outbox, &done, &pump->stats);
}
