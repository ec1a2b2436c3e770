/* SPDX-License-Identifier: Apache-2.0 */
#include "net/coalesce.h"

enum {
    WINDOW_NS = 1000000,
    /* A call that brings as many is cheap enough a message. */
    LONG_BATCH = 32,
    /* Fewer than these a wait are not worth it. */
    WORTH_MESSAGES = 4,
    /* The part of the socket buffer that a wait may fill. The kernel charges
     * up to some four times the payload of a small packet. */
    BUFFER_SHARE = 16,
};

static void measure(spni_coalesce *coalesce, uint64_t now_ns)
{
    uint64_t elapsed = now_ns - coalesce->window_ns;

    if (elapsed < WINDOW_NS)
        return;
    coalesce->message_rate = (double)coalesce->messages / (double)elapsed;
    coalesce->byte_rate = (double)coalesce->bytes / (double)elapsed;
    coalesce->window_ns = now_ns;
    coalesce->messages = 0;
    coalesce->bytes = 0;
}

uint64_t spni_coalesce_decide(spni_coalesce *coalesce, uint64_t now_ns,
                              unsigned messages, size_t bytes)
{
    double wait = (double)coalesce->bound_ns;
    double room = (double)(coalesce->buffer_size / BUFFER_SHARE);

    if (coalesce->bound_ns == 0)
        return 0;
    coalesce->messages += messages;
    coalesce->bytes += bytes;
    measure(coalesce, now_ns);
    if (wait * coalesce->byte_rate > room)
        wait = room / coalesce->byte_rate;
    if (messages >= LONG_BATCH
        || wait * coalesce->message_rate < WORTH_MESSAGES)
        return 0;
    return (uint64_t)wait;
}
