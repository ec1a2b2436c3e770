/* SPDX-License-Identifier: Apache-2.0 */
#include "net/coalesce.h"

enum {
    WINDOW_NS = 1000000,
    /* A window in which the socket was idle tells nothing of the cost. */
    IDLE_NS = 3 * WINDOW_NS,
    /* A call that brings as many is cheap enough a message. */
    LONG_BATCH = 32,
    /* Fewer than these a wait are not worth it. */
    WORTH_MESSAGES = 4,
    /* The part of the socket buffer that a wait may fill. The kernel charges
     * up to some four times the payload of a small packet. */
    BUFFER_SHARE = 16,
};

void spni_coalesce_init(spni_coalesce *coalesce, uint64_t bound_ns,
                        size_t buffer_size, uint64_t now_ns)
{
    *coalesce = (spni_coalesce){
        .bound_ns = bound_ns,
        .buffer_size = buffer_size,
        .window_ns = now_ns,
    };
    spni_trial_init(&coalesce->trial);
}

bool spni_coalesce_count(spni_coalesce *coalesce, uint64_t now_ns,
                         unsigned messages, size_t bytes)
{
    coalesce->messages += messages;
    coalesce->bytes += bytes;
    return coalesce->bound_ns > 0
        && now_ns - coalesce->window_ns >= WINDOW_NS;
}

void spni_coalesce_close(spni_coalesce *coalesce, uint64_t now_ns,
                         uint64_t cpu_ns)
{
    uint64_t elapsed = now_ns - coalesce->window_ns;

    if (coalesce->could_wait && elapsed < IDLE_NS && coalesce->cpu_ns > 0)
        spni_trial_add(&coalesce->trial, cpu_ns - coalesce->cpu_ns,
                       coalesce->bytes);
    coalesce->message_rate = (double)coalesce->messages / (double)elapsed;
    coalesce->byte_rate = (double)coalesce->bytes / (double)elapsed;
    coalesce->window_ns = now_ns;
    coalesce->cpu_ns = cpu_ns;
    coalesce->messages = 0;
    coalesce->bytes = 0;
    coalesce->could_wait = false;
}

uint64_t spni_coalesce_wait_ns(spni_coalesce *coalesce, unsigned messages)
{
    double wait = (double)coalesce->bound_ns;
    double room = (double)(coalesce->buffer_size / BUFFER_SHARE);

    if (wait * coalesce->byte_rate > room)
        wait = room / coalesce->byte_rate;
    if (messages >= LONG_BATCH
        || wait * coalesce->message_rate < WORTH_MESSAGES)
        return 0;
    coalesce->could_wait = true;
    return coalesce->trial.is_other ? (uint64_t)wait : 0;
}
