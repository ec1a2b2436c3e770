/* SPDX-License-Identifier: Apache-2.0 */
#include "spead/sequel.h"

static void mask_value(spni_sequel *sequel, size_t position)
{
    sequel->masks[position / sizeof(uint64_t)] =
        htobe64(~sequel->address_mask);
}

static void set(spni_sequel *sequel, const spni_packet *packet,
                const uint8_t *header)
{
    sequel->version++;
    sequel->payload_length = packet->payload_length;
    sequel->cnt_position = packet->cnt_position;
    sequel->offset_position = packet->offset_position;
    sequel->address_mask = (UINT64_C(1) << packet->heap_address_bits) - 1;
    sequel->offset_limit = sequel->address_mask;
    if (packet->heap_length >= 0)
        sequel->offset_limit =
            (uint64_t)packet->heap_length - packet->payload_length;
    memcpy(sequel->words, header, sequel->header_length);
    memset(sequel->masks, 0xff, sequel->header_length);
    mask_value(sequel, packet->cnt_position);
    mask_value(sequel, packet->offset_position);
}

void spni_sequel_learn(spni_sequel *sequel, spni_assembly *assembly,
                       const spni_packet *packet)
{
    const uint8_t *header = packet->pointers - SPNI_HEADER_SIZE;
    size_t length =
        SPNI_HEADER_SIZE + packet->pointer_count * SPNI_POINTER_SIZE;
    uint64_t cnt, offset;

    sequel->assembly = assembly;
    assembly->sequel_version = 0;
    /* The end of a stream and an impossible HEAP_LEN are to be seen at each
     * packet, and an empty payload may have no memory to be copied to. */
    if (length > SPNI_SEQUEL_HEADER_MAX || assembly->is_end
        || packet->payload_length == 0
        || spni_assembly_contradicts(assembly, packet->heap_length))
        return;
    if (sequel->version == 0 || sequel->header_length != length
        || !spni_sequel_match(sequel, header, &cnt, &offset)) {
        sequel->header_length = length;
        set(sequel, packet, header);
    }
    assembly->sequel_version = sequel->version;
}
