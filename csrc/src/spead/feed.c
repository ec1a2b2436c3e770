/* SPDX-License-Identifier: Apache-2.0 */
#include "spead/feed.h"

#include <inttypes.h>

#include "base/log.h"
#include "spead/counters.h"
#include "spead/delivery.h"

static bool wants_more(const spn_stream *stream)
{
    return !stream->is_blocked && !stream->has_ended;
}

/* The heap that the packet belongs to; begun, if there was none. */
static spni_assembly *find_heap(spn_stream *stream, const spni_packet *packet,
                                spni_buffer *home)
{
    spni_assembly *assembly = spni_table_find(&stream->table, packet->cnt);
    spni_assembly *evicted;

    if (assembly != NULL)
        return assembly;
    evicted = spni_table_advance(&stream->table);
    if (evicted != NULL) {
        stream->work.incomplete_heaps_evicted++;
        spni_deliver(stream, evicted);
    }
    assembly = spni_table_open(&stream->table, packet->cnt);
    if (assembly == NULL)
        return NULL;
    spni_assembly_begin(assembly, packet, stream->allocator,
                        __atomic_load_n(&stream->copy, __ATOMIC_RELAXED));
    assembly->home = home;
    return assembly;
}

static bool ends_stream(const spn_stream *stream,
                        const spni_assembly *assembly)
{
    return assembly->is_end
        && __atomic_load_n(&stream->stop_on_stop_item, __ATOMIC_RELAXED);
}

/* A payload has been added. */
static void conclude(spn_stream *stream, spni_assembly *assembly)
{
    bool complete = spni_assembly_is_complete(assembly);

    assembly->last_packet_ns = stream->now_ns;
    if (ends_stream(stream, assembly)) {
        stream->has_ended = true;
        if (complete)
            spni_discard(stream, assembly);
    } else if (complete) {
        spni_deliver(stream, assembly);
    }
}

/* A heap that lost a packet to want of memory is dropped, one that had none
 * yet was never begun. */
static void refuse(spn_stream *stream, spni_assembly *assembly,
                   const spni_packet *packet, spni_added reason)
{
    bool is_new = assembly->ranges.count == 0;

    spni_count_refused(&stream->work, reason, packet);
    if (reason != SPNI_OUT_OF_MEMORY && !is_new)
        return;
    if (!is_new) {
        stream->work.heaps_dropped_memory++;
        spni_log(SPN_LOG_WARNING, "dropped heap %" PRIu64 ": out of memory",
                 assembly->cnt);
    }
    spni_discard(stream, assembly);
}

static void count_payload(spn_stream *stream, const spni_assembly *assembly,
                          uint64_t offset, const uint8_t *payload,
                          size_t length)
{
    if (payload == spni_assembly_place(assembly, offset, length))
        stream->work.bytes_placed += length;
    else
        stream->work.bytes_copied += length;
}

static void count_packet(spn_stream *stream, size_t length)
{
    stream->work.packets++;
    stream->work.bytes += length;
    stream->last_length = length;
}

static void learn_first(spni_shape *shape, const spni_packet *packet,
                        size_t header_length)
{
    bool is_known = shape->first_header_length == header_length
        && shape->first_payload_length == packet->payload_length;

    shape->heap_length =
        packet->heap_length > 0 ? (size_t)packet->heap_length : 0;
    shape->first_header_length = header_length;
    shape->first_payload_length = packet->payload_length;
    if (is_known)
        return;
    shape->header_length = header_length;
    shape->payload_length = packet->payload_length;
}

/* Only packets that are no sequels come here; those have the shape of the one
 * that they follow. */
static void learn_shape(spni_shape *shape, const spni_packet *packet)
{
    size_t header_length = packet->length - packet->payload_length;
    uint64_t end = packet->payload_offset + packet->payload_length;

    if (packet->payload_offset == 0) {
        learn_first(shape, packet, header_length);
    } else if (end < shape->heap_length) {
        shape->header_length = header_length;
        shape->payload_length = packet->payload_length;
    }
}

static void add_packet(spn_stream *stream, const spni_packet *packet,
                       spni_buffer *home)
{
    spni_assembly *assembly;
    spni_added added;

    count_packet(stream, packet->length);
    assembly = find_heap(stream, packet, home);
    if (assembly == NULL) {
        spni_count_refused(&stream->work, SPNI_OUT_OF_MEMORY, packet);
        return;
    }
    added = spni_assembly_add(assembly, packet);
    assembly->home = NULL;
    if (added != SPNI_ADDED) {
        refuse(stream, assembly, packet, added);
        return;
    }
    count_payload(stream, assembly, packet->payload_offset, packet->payload,
                  packet->payload_length);
    spni_sequel_learn(&stream->sequel, assembly, packet);
    learn_shape(&stream->shape, packet);
    conclude(stream, assembly);
}

/* The heap of a sequel; NULL: it has none (yet), or it has not accepted this
 * header. */
static inline spni_assembly *sequel_heap(spn_stream *stream, uint64_t cnt)
{
    spni_sequel *sequel = &stream->sequel;
    spni_assembly *assembly = sequel->assembly;

    if (assembly == NULL || assembly->cnt != cnt)
        assembly = spni_table_find(&stream->table, cnt);
    if (assembly == NULL || assembly->sequel_version != sequel->version)
        return NULL;
    sequel->assembly = assembly;
    return assembly;
}

static inline void count_sequel(spn_stream *stream, spni_assembly *assembly)
{
    const spni_sequel *sequel = &stream->sequel;

    count_packet(stream, sequel->header_length + sequel->payload_length);
    assembly->last_packet_ns = stream->now_ns;
}

/* Whether data begins with a sequel, which has then been added. This is where
 * nearly all packets go: of one heap, without a call but for the copy. */
static inline bool add_sequel(spn_stream *stream, const uint8_t *data,
                              size_t length)
{
    const spni_sequel *sequel = &stream->sequel;
    size_t payload_length = sequel->payload_length;
    const uint8_t *payload = data + sequel->header_length;
    size_t packet_length = sequel->header_length + payload_length;
    spni_assembly *assembly;
    uint64_t cnt, offset;

    if (sequel->version == 0 || length < packet_length
        || !spni_sequel_match(sequel, data, &cnt, &offset))
        return false;
    assembly = sequel_heap(stream, cnt);
    if (assembly == NULL)
        return false;
    if (!spni_assembly_continue(assembly, offset, payload, payload_length)
        && spni_assembly_add_payload(assembly, offset, payload, payload_length)
            != SPNI_ADDED)
        return false;
    count_sequel(stream, assembly);
    stream->work.bytes_copied += payload_length;
    /* It has no stop item: such a heap has no sequels. */
    if (spni_assembly_is_complete(assembly))
        spni_deliver(stream, assembly);
    return true;
}

/* The heap of the last packet, if a packet with this header and as long as that
 * one may continue it and does not end it; else NULL. */
static inline spni_assembly *unfinished_heap(const spn_stream *stream,
                                             const uint8_t *header,
                                             size_t length, uint64_t *offset)
{
    const spni_sequel *sequel = &stream->sequel;
    spni_assembly *assembly = sequel->assembly;
    uint64_t cnt;

    if (sequel->version == 0 || assembly == NULL
        || assembly->sequel_version != sequel->version
        || length != sequel->header_length + sequel->payload_length
        || !spni_sequel_match(sequel, header, &cnt, offset)
        || cnt != assembly->cnt || assembly->heap_length < 0
        || *offset + sequel->payload_length >= (uint64_t)assembly->heap_length)
        return NULL;
    return assembly;
}

bool spni_stream_add_next(spn_stream *stream, const uint8_t *data,
                          size_t length)
{
    const spni_sequel *sequel = &stream->sequel;
    uint64_t offset;
    spni_assembly *assembly = unfinished_heap(stream, data, length, &offset);

    if (assembly == NULL
        || !spni_assembly_continue(assembly, offset,
                                   data + sequel->header_length,
                                   sequel->payload_length))
        return false;
    count_sequel(stream, assembly);
    stream->work.bytes_copied += sequel->payload_length;
    return true;
}

/* The same for a packet whose payload may lie at its place. */
static bool add_next_placed(spn_stream *stream, const spni_packet *packet)
{
    const uint8_t *header = packet->pointers - SPNI_HEADER_SIZE;
    uint64_t offset;
    spni_assembly *assembly =
        unfinished_heap(stream, header, packet->length, &offset);

    if (assembly == NULL
        || packet->payload
            != spni_assembly_place(assembly, offset, packet->payload_length)
        || !spni_assembly_extend(assembly, offset, packet->payload_length))
        return false;
    count_sequel(stream, assembly);
    stream->work.bytes_placed += packet->payload_length;
    return true;
}

void spni_stream_begin_batch(spn_stream *stream, uint64_t now_ns)
{
    stream->now_ns = now_ns;
}

bool spni_stream_add_datagram(spn_stream *stream, const uint8_t *data,
                              size_t length)
{
    const spni_sequel *sequel = &stream->sequel;
    spni_packet packet;
    spni_decoded decoded;

    if (length == sequel->header_length + sequel->payload_length
        && add_sequel(stream, data, length))
        return wants_more(stream);
    decoded = spni_packet_decode(data, length, &packet);
    if (decoded != SPNI_DECODED) {
        spni_count_rejected(&stream->work, decoded);
    } else if (packet.length != length) {
        stream->work.rejected_size_mismatch++;
        spni_log(SPN_LOG_INFO, "packet rejected: bytes follow it");
    } else {
        add_packet(stream, &packet, NULL);
    }
    return wants_more(stream);
}

bool spni_stream_add_bytes(spn_stream *stream, const uint8_t *data,
                           size_t length, size_t *used)
{
    const spni_sequel *sequel = &stream->sequel;
    spni_packet packet;
    spni_decoded decoded;

    *used = sequel->header_length + sequel->payload_length;
    if (add_sequel(stream, data, length))
        return wants_more(stream);
    *used = 0;
    decoded = spni_packet_decode(data, length, &packet);
    if (decoded != SPNI_DECODED) {
        spni_count_rejected(&stream->work, decoded);
    } else {
        *used = packet.length;
        add_packet(stream, &packet, NULL);
    }
    return wants_more(stream);
}

bool spni_stream_add_placed(spn_stream *stream, const spni_packet *packet,
                            spni_buffer *home)
{
    if (!add_next_placed(stream, packet))
        add_packet(stream, packet, home);
    return wants_more(stream);
}

void spni_stream_end_batch(spn_stream *stream, uint64_t packets)
{
    if (packets > stream->work.max_batch)
        stream->work.max_batch = packets;
    if (!stream->is_blocked)
        spni_flush_outbox(stream);
}

void spni_stream_end(spn_stream *stream)
{
    stream->has_ended = true;
}
