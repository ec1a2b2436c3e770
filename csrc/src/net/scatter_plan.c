/* SPDX-License-Identifier: Apache-2.0 */
/* Where the packets of the next call belong; scatter.c says what came of it. */
#include "net/scatter.h"

enum {
    MESSAGES_MIN = 8,
};

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
    add_iovec(scatter, spni_scatter_bounce(scatter, number) + planned.length,
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
    return is_alone(scatter->stream) && spni_guess_may(&scatter->guess)
        && scatter->shape.heap_length > 0
        && scatter->shape.payload_length >= SPNI_SCATTER_PAYLOAD_MIN
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
