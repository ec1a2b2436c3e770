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
    /* Below, the iovecs cost the kernel more than the copy costs us. */
    PAYLOAD_MIN = 4096,
    MESSAGES_MIN = 8,
    HORIZON_MAX = 512 << 10,
    HORIZON_MIN = 64 << 10,
    /* So many misses in excess of hits end the guessing for a while. */
    MISSES_MAX = 8,
    PAUSE_MIN = 64, /* calls */
    PAUSE_MAX = 8192,
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
    scatter->next_pause = PAUSE_MIN;
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

/* ---- the plan ---- */

/* Where planning has got to. */
typedef struct {
    uint8_t *memory; /* of the heap; NULL: planning is over */
    uint64_t offset;
    unsigned target;
    size_t bytes;
} cursor;

/* The live heap, if its next packets can be placed. */
static const spni_assembly *live_heap(const spni_scatter *scatter)
{
    const spni_assembly *assembly;

    if (!scatter->has_heap)
        return NULL;
    assembly = spni_table_find(&scatter->stream->table, scatter->cnt);
    if (assembly == NULL || assembly->ranges.count == 0
        || assembly->heap_length != (int64_t)scatter->shape.heap_length
        || assembly->buffer.capacity < scatter->shape.heap_length)
        return NULL;
    return assembly;
}

/* A buffer for the heap after those that are planned. It has the size that the
 * heap would allocate for itself. */
static uint8_t *spare(spni_scatter *scatter, unsigned target)
{
    spn_stream *stream = scatter->stream;
    spni_buffer *buffer = &scatter->spares[target - 1];

    if (buffer->data != NULL
        && (buffer->size != scatter->shape.heap_length
            || buffer->allocator != stream->allocator))
        spni_buffer_release(buffer);
    if (buffer->data == NULL)
        spni_buffer_allocate(stream->allocator, scatter->shape.heap_length,
                             buffer);
    return buffer->data;
}

static void next_heap(spni_scatter *scatter, cursor *at)
{
    const spni_shape *shape = &scatter->shape;

    at->memory = NULL;
    if (at->target == SPNI_SCATTER_SPARES
        || shape->heap_length > SPNI_TRUSTED_SIZE
        || shape->first_payload_length == 0
        || shape->first_payload_length > shape->heap_length
        || shape->first_header_length > SPNI_SEQUEL_HEADER_MAX)
        return;
    at->target++;
    at->offset = 0;
    at->memory = spare(scatter, at->target);
}

static void begin_plan(spni_scatter *scatter, cursor *at)
{
    const spni_assembly *assembly = live_heap(scatter);

    *at = (cursor){0};
    if (assembly != NULL) {
        at->memory = assembly->buffer.data;
        at->offset = assembly->ranges.ranges[assembly->ranges.count - 1].end;
    }
    if (assembly == NULL || at->offset >= scatter->shape.heap_length)
        next_heap(scatter, at);
}

static spni_slot next_slot(const spni_scatter *scatter, const cursor *at)
{
    size_t left = scatter->shape.heap_length - (size_t)at->offset;
    spni_slot slot = {
        .slot = at->memory + at->offset,
        .offset = at->offset,
        .header_length = scatter->shape.header_length,
        .payload_length = scatter->shape.payload_length,
        .target = at->target,
    };

    if (at->offset == 0) {
        slot.header_length = scatter->shape.first_header_length;
        slot.payload_length = scatter->shape.first_payload_length;
    }
    if (slot.payload_length > left)
        slot.payload_length = left;
    return slot;
}

static void add_iovec(spni_scatter *scatter, void *base, size_t length)
{
    scatter->iovecs[scatter->iovec_count++] =
        (struct iovec){.iov_base = base, .iov_len = length};
}

/* False: the message or the plan has no room for another. */
static bool plan_packet(spni_scatter *scatter, spni_planned *planned,
                        cursor *at)
{
    spni_slot slot = next_slot(scatter, at);
    size_t length = slot.header_length + slot.payload_length;

    if (scatter->slot_count == SPNI_SCATTER_PACKETS
        || planned->length + length >= scatter->message_size)
        return false;
    add_iovec(scatter, scatter->headers[scatter->slot_count],
              slot.header_length);
    add_iovec(scatter, slot.slot, slot.payload_length);
    scatter->slots[scatter->slot_count++] = slot;
    planned->count++;
    planned->length += length;
    at->bytes += length;
    at->offset += slot.payload_length;
    if (at->offset == scatter->shape.heap_length)
        next_heap(scatter, at);
    return at->memory != NULL;
}

/* Which packet of its heap begins at the offset. */
static unsigned packet_index(const spni_scatter *scatter, uint64_t offset)
{
    size_t first = scatter->shape.first_payload_length;

    if (offset < first || offset == 0)
        return 0;
    return 1 + (unsigned)((offset - first) / scatter->shape.payload_length);
}

static unsigned expected_count(const spni_scatter *scatter, unsigned index)
{
    unsigned count = 0;

    if (index < SPNI_SCATTER_INDEXES)
        count = scatter->counts[index];
    return count > 0 ? count : scatter->usual_count;
}

static uint8_t *bounce_of(const spni_scatter *scatter, unsigned message)
{
    return scatter->bounce + message * scatter->bounce_size;
}

/* False: there is nothing (more) to plan. */
static bool plan_message(spni_scatter *scatter, struct msghdr *header,
                         cursor *at)
{
    unsigned number = scatter->message_count;
    unsigned first_iovec = scatter->iovec_count;
    unsigned index = packet_index(scatter, at->offset);
    unsigned count = expected_count(scatter, index);
    spni_planned planned = {.first = scatter->slot_count, .index = index};

    while (planned.count < count && plan_packet(scatter, &planned, at))
        continue;
    if (planned.count == 0)
        return false;
    add_iovec(scatter, bounce_of(scatter, number) + planned.length,
              scatter->message_size - planned.length);
    header->msg_iov = &scatter->iovecs[first_iovec];
    header->msg_iovlen = scatter->iovec_count - first_iovec;
    scatter->planned[number] = planned;
    scatter->message_count++;
    return at->memory != NULL && at->bytes < scatter->horizon;
}

/* With a second reader, what it brings while a full ring interrupts this one
 * could take the heaps away that a plan counts on. */
static bool is_alone(const spn_stream *stream)
{
    return stream->readers != NULL && stream->readers->next == NULL;
}

static bool may_plan(spni_scatter *scatter)
{
    if (!is_alone(scatter->stream))
        return false;
    if (scatter->pause > 0) {
        scatter->pause--;
        return false;
    }
    return scatter->shape.heap_length > 0
        && scatter->shape.payload_length >= PAYLOAD_MIN
        && scatter->shape.header_length <= SPNI_SEQUEL_HEADER_MAX;
}

/* A plan for more than come is work for nothing; but there may come more. */
static unsigned message_limit(const spni_scatter *scatter)
{
    unsigned limit = 2 * scatter->last_count;

    if (limit < MESSAGES_MIN)
        return MESSAGES_MIN;
    return limit < SPNI_SCATTER_MESSAGES ? limit : SPNI_SCATTER_MESSAGES;
}

unsigned spni_scatter_plan(spni_scatter *scatter, struct mmsghdr *messages)
{
    cursor at;

    scatter->message_count = 0;
    scatter->slot_count = 0;
    scatter->iovec_count = 0;
    scatter->placed = 0;
    scatter->fed = 0;
    scatter->shape = scatter->stream->shape;
    if (!may_plan(scatter))
        return 0;
    begin_plan(scatter, &at);
    if (at.memory == NULL)
        return 0;
    while (scatter->message_count < message_limit(scatter)
           && plan_message(scatter,
                           &messages[scatter->message_count].msg_hdr, &at))
        continue;
    return scatter->message_count;
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
    uint8_t *to = bounce_of(scatter, number);

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
    if (hit) {
        scatter->misses -= scatter->misses > 0;
        scatter->next_pause = PAUSE_MIN;
        scatter->horizon *= 2;
        if (scatter->horizon > HORIZON_MAX)
            scatter->horizon = HORIZON_MAX;
        return;
    }
    scatter->horizon /= 2;
    if (scatter->horizon < HORIZON_MIN)
        scatter->horizon = HORIZON_MIN;
    if (++scatter->misses < MISSES_MAX)
        return;
    scatter->misses = MISSES_MAX / 2;
    scatter->pause = scatter->next_pause;
    if (scatter->next_pause < PAUSE_MAX)
        scatter->next_pause *= 2;
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
