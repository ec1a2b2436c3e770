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

static const spni_address *address_of(const spni_pump *pump,
                                      const spni_job *job)
{
    return &pump->endpoints[job->endpoint];
}

/* Add a job's packets; false when the batch or the allowance is used up. */
static bool build_job(spni_pump *pump, spni_job *job, uint64_t *allowance)
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
        size_t length = spni_udp_writer_add(pump->writer, job->packets, &span,
                                            &cursor, job->cnt,
                                            address_of(pump, job));
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

static void build(spni_pump *pump, uint64_t allowance)
{
    for (spni_job *job = pump->queue.first; job != NULL; job = job->next) {
        if (!build_job(pump, job, &allowance)) {
            return;
        }
    }
}

static void retire_first(spni_pump *pump, int64_t result, spni_jobs *done)
{
    spni_job *job = spni_jobs_shift(&pump->queue);
    job->result = result;
    spni_jobs_append(done, job);
}

/* Attribute what the kernel took to the jobs, in their order. */
static void account(spni_pump *pump, const spni_sent *sent)
{
    spni_jobs done;
    spni_jobs_init(&done);
    size_t left = sent->packets;
    while (left > 0) {
        spni_job *job = pump->queue.first;
        size_t lacking = spn_packets_count(job->packets) - job->sent;
        if (left < lacking) {
            job->sent += left;
            break;
        }
        left -= lacking;
        pump->stats.heaps++;
        retire_first(pump, (int64_t)spn_packets_total(job->packets), &done);
    }
    pump->stats.calls++;
    pump->stats.messages += sent->messages;
    pump->stats.packets += sent->packets;
    pump->stats.bytes += sent->bytes;
    spni_rate_count(&pump->rate, sent->bytes);
    spni_outbox_finish(pump->outbox, &done, &pump->stats);
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
        pump->stats.errors++;
        retire_first(pump, error, &done);
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
        pump->stats.cancelled++;
        retire_first(pump, SPN_ESTOPPED, &done);
    }
    spni_outbox_finish(pump->outbox, &done, &pump->stats);
}
