/* SPDX-License-Identifier: Apache-2.0 */
/* Pieces of 256 bytes, the most that a board takes; the first one of an
 * address that is not word-aligned is shorter, so that all but the two ends
 * move in words. */
#include "scp/transfer.h"

#include <errno.h>
#include <string.h>

enum {
    /* A board fills some 100 MB a second; this takes it milliseconds. */
    FILL_PIECE = 256 * 1024,
    LINKS = 6,
    FLOOD_ID_MAX = 127,
    FLOOD_BLOCKS = 256,
};

#define MEMORY_END (UINT64_C(1) << 32)

static bool reads(const spn_transfer *transfer)
{
    return transfer->kind == SPN_TRANSFER_READ ||
           transfer->kind == SPN_TRANSFER_LINK_READ;
}

static bool needs_words(const spn_transfer *transfer)
{
    return transfer->kind != SPN_TRANSFER_READ &&
           transfer->kind != SPN_TRANSFER_WRITE;
}

int spni_transfer_check(const spn_transfer *transfer)
{
    if (transfer->length > MEMORY_END - transfer->address)
        return -EINVAL;
    if (needs_words(transfer) && (transfer->address | transfer->length) % 4)
        return -EINVAL;
    switch (transfer->kind) {
    case SPN_TRANSFER_READ:
    case SPN_TRANSFER_WRITE:
    case SPN_TRANSFER_FILL:
        return 0;
    case SPN_TRANSFER_LINK_READ:
    case SPN_TRANSFER_LINK_WRITE:
        return transfer->link < LINKS ? 0 : -EINVAL;
    case SPN_TRANSFER_FLOOD:
        return transfer->link >= 1 && transfer->link <= FLOOD_ID_MAX &&
                       transfer->length <= FLOOD_BLOCKS * SPNI_SCP_DATA
                   ? 0 : -EINVAL;
    default:
        return -EINVAL;
    }
}

uint32_t spni_transfer_piece(const spn_transfer *transfer, uint64_t offset)
{
    uint64_t left = transfer->length - offset;
    uint64_t most = transfer->kind == SPN_TRANSFER_FILL
        ? FILL_PIECE : SPNI_SCP_DATA - (transfer->address + offset) % 4;
    return (uint32_t)(left < most ? left : most);
}

typedef struct {
    uint16_t command;
    uint32_t arguments[3];
} head;

static head head_of(const spn_transfer *transfer, uint32_t address,
                    uint32_t length, uint64_t offset)
{
    uint32_t unit = spni_transfer_unit(address, length);
    switch (transfer->kind) {
    case SPN_TRANSFER_READ:
        return (head){SPNI_CMD_READ, {address, length, unit}};
    case SPN_TRANSFER_WRITE:
        return (head){SPNI_CMD_WRITE, {address, length, unit}};
    case SPN_TRANSFER_LINK_READ:
        return (head){SPNI_CMD_LINK_READ, {address, length, transfer->link}};
    case SPN_TRANSFER_LINK_WRITE:
        return (head){SPNI_CMD_LINK_WRITE, {address, length, transfer->link}};
    case SPN_TRANSFER_FILL:
        return (head){SPNI_CMD_FILL, {address, transfer->word, length}};
    default: {
        uint32_t block = (uint32_t)(offset / SPNI_SCP_DATA);
        return (head){SPNI_CMD_FFD, {
            transfer->word << 16 | (uint32_t)transfer->link << 1,
            block << 16 | (length / 4 - 1) << 8, address,
        }};
    }
    }
}

uint32_t spni_transfer_encode(spn_transfer *transfer, uint64_t offset,
                              spni_request *request)
{
    spni_place place = {transfer->x, transfer->y, transfer->cpu};
    uint32_t length = spni_transfer_piece(transfer, offset);
    head made = head_of(transfer, (uint32_t)(transfer->address + offset),
                        length, offset);
    spni_request_encode(request->bytes, place, made.command, made.arguments);
    request->length = SPNI_SCP_REQUEST_HEADER;
    request->token = (uintptr_t)transfer;
    request->mark = offset;
    request->may_repeat =
        spn_scp_may_repeat(request->bytes, SPNI_SCP_REQUEST_HEADER);
    if (reads(transfer)) {
        request->reply_length = (int)length;
    } else if (transfer->kind != SPN_TRANSFER_FILL) {
        request->body = transfer->data + offset;
        request->body_length = (uint16_t)length;
    }
    return length;
}

static int32_t status_of(const spni_request *request, const spni_reply *reply)
{
    if (!reply)
        return request->status;
    return reply->code == SPNI_RC_OK ? 0 : -EREMOTEIO;
}

bool spni_transfer_decode(spn_transfer *transfer, const spni_request *request,
                          const spni_reply *reply)
{
    if (transfer->status != -EINPROGRESS)
        return false;
    int32_t status = status_of(request, reply);
    if (status != 0) {
        transfer->status = status;
        transfer->code = request->code;
        return true;
    }
    if (reads(transfer))
        memcpy(transfer->data + request->mark, reply->payload, reply->length);
    transfer->done += spni_transfer_piece(transfer, request->mark);
    if (transfer->done < transfer->length)
        return false;
    transfer->status = 0;
    return true;
}
