/* SPDX-License-Identifier: Apache-2.0 */
/* The layout is that of the SDP and SCP specifications of SpiNNaker (SC&MP 3
 * and 4). Replies are taken liberally: neither the chip they say they come from
 * nor the reply bit of the flags is checked, for a board answers 255,255 with
 * its own address, and the socket is connected anyway. */
#include "scp/packet.h"

#include <string.h>

#include "base/bytes.h"
#include "pyspin.h"

enum {
    FLAGS_AT = 2,
    FLAGS_FIXED = 0x1f, /* without reply, checksum and P2P bits... */
    FLAGS_SDP = 0x07,   /* ...every SDP message over UDP has these */
    FLAGS_REPLY_WANTED = 0x87,
    TAG_TRANSIENT = 0xff,
    PORT_ETHERNET = 0xff,
    ARGUMENTS_AT = 14,
    IPTAG_SET = 1,
    IPTAG_GET = 2,
    ALLOC_SDRAM = 0,
    ALLOC_RETRY = 4,
};

spni_reply_fault spni_reply_decode(const uint8_t *bytes, size_t length,
                                   spni_reply *out)
{
    if (length < SPNI_SCP_REPLY_HEADER)
        return SPNI_REPLY_SHORT;
    if (length > SPNI_SCP_MAX)
        return SPNI_REPLY_OVERSIZE;
    if ((bytes[FLAGS_AT] & FLAGS_FIXED) != FLAGS_SDP)
        return SPNI_REPLY_FLAGS;
    uint16_t code = spni_load_le16(bytes + SPNI_SCP_COMMAND_AT);
    if (code < SPNI_RC_OK)
        return SPNI_REPLY_COMMAND;
    *out = (spni_reply){
        .sequence = spni_load_le16(bytes + SPNI_SCP_SEQUENCE_AT),
        .code = code,
        .payload = bytes + SPNI_SCP_REPLY_HEADER,
        .length = length - SPNI_SCP_REPLY_HEADER,
    };
    return SPNI_REPLY_GOOD;
}

bool spni_code_asks_retry(uint16_t code)
{
    return code == SPNI_RC_LEN || code == SPNI_RC_TIMEOUT ||
           code == SPNI_RC_P2P_NOREPLY || code == SPNI_RC_P2P_BUSY ||
           code == SPNI_RC_P2P_TIMEOUT;
}

static uint32_t argument(const uint8_t *bytes, int number)
{
    return spni_load_le32(bytes + ARGUMENTS_AT + 4 * number);
}

int spn_scp_reply_length(const uint8_t *bytes, size_t length)
{
    if (length < SPNI_SCP_REQUEST_HEADER)
        return -1;
    uint16_t command = spni_load_le16(bytes + SPNI_SCP_COMMAND_AT);
    uint32_t asked = argument(bytes, 1);
    if (command != SPNI_CMD_READ && command != SPNI_CMD_LINK_READ)
        return -1;
    return asked <= SPNI_SCP_DATA ? (int)asked : -1;
}

bool spn_scp_may_repeat(const uint8_t *bytes, size_t length)
{
    if (length < SPNI_SCP_REQUEST_HEADER)
        return false;
    uint32_t first = argument(bytes, 0);
    switch (spni_load_le16(bytes + SPNI_SCP_COMMAND_AT)) {
    case SPNI_CMD_VER:
    case SPNI_CMD_READ:
    case SPNI_CMD_WRITE:
    case SPNI_CMD_FILL:
    case SPNI_CMD_INFO:
        return true;
    case SPNI_CMD_IPTAG: {
        uint32_t operation = first >> 16 & 0xff;
        return operation == IPTAG_SET || operation == IPTAG_GET;
    }
    case SPNI_CMD_ALLOC:
        return (first & 0xff) == ALLOC_SDRAM && (first >> 16 & ALLOC_RETRY);
    default:
        return false;
    }
}

void spni_request_encode(uint8_t *bytes, spni_place place, uint16_t command,
                         const uint32_t arguments[3])
{
    const uint8_t header[SPNI_SCP_COMMAND_AT] = {
        0, 0, FLAGS_REPLY_WANTED, TAG_TRANSIENT, place.cpu, PORT_ETHERNET,
        place.y, place.x, 0, 0,
    };
    memcpy(bytes, header, sizeof header);
    spni_store_le16(bytes + SPNI_SCP_COMMAND_AT, command);
    spni_store_le16(bytes + SPNI_SCP_SEQUENCE_AT, 0);
    for (int i = 0; i < 3; i++)
        spni_store_le32(bytes + ARGUMENTS_AT + 4 * i, arguments[i]);
}

uint32_t spni_transfer_unit(uint32_t address, size_t length)
{
    size_t both = address | length;
    return both % 4 == 0 ? 2 : both % 2 == 0 ? 1 : 0;
}
