/* SPDX-License-Identifier: Apache-2.0 */
/* SCP over SDP over UDP, as bytes: two of padding, the SDP header of 8, the
 * SCP header of 4 (command or result code, sequence), three arguments, data.
 * A reply's payload begins where a request's arguments do. Little-endian but
 * for the chips, where y comes before x. */
#ifndef SPNI_SCP_PACKET_H
#define SPNI_SCP_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SPNI_SCP_REPLY_HEADER = 14,
    SPNI_SCP_REQUEST_HEADER = 26,
    SPNI_SCP_DATA = 256,
    SPNI_SCP_MAX = SPNI_SCP_REQUEST_HEADER + SPNI_SCP_DATA,
    SPNI_SCP_COMMAND_AT = 10,
    SPNI_SCP_SEQUENCE_AT = 12,
};

/* SCP commands and result codes (SC&MP, "spinn_cmd" numbers). */
enum {
    SPNI_CMD_VER = 0,
    SPNI_CMD_READ = 2,
    SPNI_CMD_WRITE = 3,
    SPNI_CMD_FILL = 5,
    SPNI_CMD_LINK_READ = 17,
    SPNI_CMD_LINK_WRITE = 18,
    SPNI_CMD_FFD = 23,
    SPNI_CMD_IPTAG = 26,
    SPNI_CMD_ALLOC = 28,
    SPNI_CMD_INFO = 31,
    SPNI_RC_OK = 0x80, /* the first; what is smaller is a command */
    SPNI_RC_LEN = 0x81,
    SPNI_RC_TIMEOUT = 0x86,
    SPNI_RC_P2P_NOREPLY = 0x8b,
    SPNI_RC_P2P_BUSY = 0x8d,
    SPNI_RC_P2P_TIMEOUT = 0x8e,
};

typedef struct {
    uint16_t sequence;
    uint16_t code;
    const uint8_t *payload;
    size_t length; /* of the payload */
} spni_reply;

typedef enum {
    SPNI_REPLY_GOOD,
    SPNI_REPLY_SHORT,
    SPNI_REPLY_OVERSIZE,
    SPNI_REPLY_FLAGS,
    SPNI_REPLY_COMMAND,
} spni_reply_fault;

/* Decode a datagram; *out is set only when the answer is SPNI_REPLY_GOOD. */
spni_reply_fault spni_reply_decode(const uint8_t *bytes, size_t length,
                                   spni_reply *out);

/* Whether a result code asks for the request to be sent again. */
bool spni_code_asks_retry(uint16_t code);

/* Where a request goes. */
typedef struct {
    uint8_t x;
    uint8_t y;
    uint8_t cpu;
} spni_place;

/* Write the 26 bytes before the data of a request (sequence 0). */
void spni_request_encode(uint8_t *bytes, spni_place place, uint16_t command,
                         const uint32_t arguments[3]);

/* 2 (words), 1 (half-words) or 0 (bytes): the largest unit that divides both
 * the address and the length; a board drops what its unit leaves over. */
uint32_t spni_transfer_unit(uint32_t address, size_t length);

#endif
