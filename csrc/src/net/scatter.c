/* SPDX-License-Identifier: Apache-2.0 */
/* Not done: to recognise packets again after the first that was not expected.
 * What follows a lost message is shifted, so nothing after it lies right; and
 * as everything else is saved first, no payload is ever read from memory that
 * has been written to since it came. */
#include "net/scatter.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "spead/counters.h"
#include "spead/feed.h"

enum {
    HORIZON_MAX = 512 << 10,
    HORIZON_MIN = 64 << 10,
};

spni_scatter *spni_scatter_new(spn_stream *stream, uint8_t *bounce,
                               size_t bounce_size, size_t message_size)
{
    spni_scatter *scatter = calloc(1, sizeof *scatter);

    if (scatter == NULL)
        return NULL;
    scatter->stream = stream;
    scatter->bounce = bounce;
    scatter->bounce_size = bounce_size;
    scatter->message_size = message_size;
    scatter->usual_count = 1;
    scatter->horizon = HORIZON_MAX;
    spni_guess_init(&scatter->guess);
    return scatter;
}

void spni_scatter_free(spni_scatter *scatter)
{
    if (scatter == NULL)
        return;
    for (unsigned i = 0; i < SPNI_SCATTER_SPARES; i++)
        spni_buffer_release(&scatter->spares[i]);
    free(scatter);
}

/* ---- what came ---- */

/* Which heap each target has turned out to be. */
typedef struct {
    uint64_t cnts[1 + SPNI_SCATTER_SPARES];
    unsigned known; /* how many of them */
} heaps;

/* A heap that begins must be one that would begin now. */
static bool begins_heap(const spni_scatter *scatter, const spni_slot *slot,
                        const spni_packet *packet, heaps *seen)
{
    if (slot->offset != 0 || slot->target != seen->known
        || packet->heap_length != (int64_t)scatter->shape.heap_length
        || spni_table_find(&scatter->stream->table, packet->cnt) != NULL)
        return false;
    for (unsigned i = 1; i < seen->known; i++) {
        if (seen->cnts[i] == packet->cnt)
            return false;
    }
    seen->cnts[seen->known++] = packet->cnt;
    return true;
}

static bool is_expected(spni_scatter *scatter, unsigned number, size_t length,
                        heaps *seen)
{
    const spni_slot *slot = &scatter->slots[number];
    const uint8_t *header = scatter->headers[number];
    spni_packet *packet = &scatter->packets[number];

    /* The number of pointers first: beyond the header lies something else. */
    if (length != slot->header_length + slot->payload_length
        || SPNI_HEADER_SIZE
                + (size_t)SPNI_POINTER_SIZE * spni_load_be16(header + 6)
            != slot->header_length
        || spni_packet_decode(header, length, packet) != SPNI_DECODED
        || packet->payload_length != slot->payload_length
        || packet->payload_offset != slot->offset
        || (packet->heap_length >= 0
            && packet->heap_length != (int64_t)scatter->shape.heap_length))
        return false;
    packet->payload = slot->slot;
    if (slot->target < seen->known)
        return packet->cnt == seen->cnts[slot->target];
    return begins_heap(scatter, slot, packet, seen);
}

static size_t datagrams(size_t length, size_t segment)
{
    return length == 0 ? 1 : (length + segment - 1) / segment;
}

static void learn_count(spni_scatter *scatter, const spni_planned *planned,
                        size_t count)
{
    uint8_t stored = (uint8_t)(count < 255 ? count : 255);

    if (planned->index < SPNI_SCATTER_INDEXES)
        scatter->counts[planned->index] = stored;
    if (count >= scatter->usual_count || planned->index % 8 == 0)
        scatter->usual_count = stored;
}

/* How many of the message's datagrams are placed. */
static unsigned check_message(spni_scatter *scatter, unsigned number,
                              size_t length, size_t segment, heaps *seen)
{
    const spni_planned *planned = &scatter->planned[number];
    size_t count = datagrams(length, segment);
    unsigned placed = 0;

    while (placed < count && placed < planned->count) {
        size_t left = length - placed * segment;
        if (!is_expected(scatter, planned->first + placed,
                         left < segment ? left : segment, seen))
            break;
        placed++;
    }
    if (placed > 0)
        learn_count(scatter, planned, count);
    return placed;
}

/* Copy to the bounce buffer what the plan led elsewhere. */
static void save_message(spni_scatter *scatter, unsigned number,
                         size_t length)
{
    const spni_planned *planned = &scatter->planned[number];
    uint8_t *to = spni_scatter_bounce(scatter, number);

    for (unsigned i = 0; i < planned->count && length > 0; i++) {
        const spni_slot *slot = &scatter->slots[planned->first + i];
        size_t header = slot->header_length;
        size_t payload = slot->payload_length;

        header = header < length ? header : length;
        memcpy(to, scatter->headers[planned->first + i], header);
        to += header;
        length -= header;
        payload = payload < length ? payload : length;
        memcpy(to, slot->slot, payload);
        to += payload;
        length -= payload;
    }
}

static void judge(spni_scatter *scatter, bool hit)
{
    size_t horizon = hit ? scatter->horizon * 2 : scatter->horizon / 2;

    if (horizon > HORIZON_MAX)
        horizon = HORIZON_MAX;
    scatter->horizon = horizon < HORIZON_MIN ? HORIZON_MIN : horizon;
    spni_guess_judge(&scatter->guess, hit);
}

void spni_scatter_check(spni_scatter *scatter, const struct mmsghdr *messages,
                        const size_t *segments, unsigned count,
                        size_t max_size)
{
    heaps seen = {.cnts = {scatter->cnt}, .known = 1};
    size_t arrived = 0;
    unsigned number = 0;

    scatter->last_count = count;
    for (unsigned i = 0; i < count; i++)
        arrived += datagrams(messages[i].msg_len, segments[i]);

    while (number < count) {
        size_t length = messages[number].msg_len;
        size_t expected = datagrams(length, segments[number]);
        unsigned placed = 0;

        if (segments[number] <= max_size)
            placed = check_message(scatter, number, length, segments[number],
                                   &seen);
        scatter->placed += placed;
        if (placed < expected)
            break;
        if (placed < scatter->planned[number++].count)
            break; /* what follows lies before its place */
    }
    judge(scatter, 2 * (size_t)scatter->placed >= arrived);
    for (; number < count; number++)
        save_message(scatter, number, messages[number].msg_len);
}

/* Only want of memory can have ended the heap that the payload lies in. */
static bool is_in_place(const spni_scatter *scatter, const spni_slot *slot,
                        const spni_packet *packet)
{
    const spni_assembly *assembly;

    if (slot->offset == 0 && slot->target > 0)
        return true;
    assembly = spni_table_find(&scatter->stream->table, packet->cnt);
    return assembly != NULL
        && spni_assembly_place(assembly, slot->offset, packet->payload_length)
        == packet->payload;
}

bool spni_scatter_feed(spni_scatter *scatter, bool *goes_on)
{
    spn_stream *stream = scatter->stream;
    unsigned number = scatter->fed;
    const spni_slot *slot = &scatter->slots[number];
    spni_buffer *home = NULL;

    if (number == scatter->placed)
        return false;
    scatter->fed++;
    if (slot->offset == 0 && slot->target > 0)
        home = &scatter->spares[slot->target - 1];
    if (is_in_place(scatter, slot, &scatter->packets[number]))
        *goes_on = spni_stream_add_placed(stream, &scatter->packets[number],
                                          home);
    else
        spni_count_refused(&stream->work, SPNI_OUT_OF_MEMORY,
                           &scatter->packets[number]);
    return true;
}

void spni_scatter_learn(spni_scatter *scatter)
{
    const spni_assembly *assembly = scatter->stream->sequel.assembly;

    scatter->has_heap = assembly != NULL;
    if (scatter->has_heap)
        scatter->cnt = assembly->cnt;
}
