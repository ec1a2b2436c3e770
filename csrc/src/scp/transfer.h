/* SPDX-License-Identifier: Apache-2.0 */
/* A piece of memory as requests: which chunks, and what their replies mean. */
#ifndef SPNI_SCP_TRANSFER_H
#define SPNI_SCP_TRANSFER_H

#include "scp/window.h"

/* 0 or -EINVAL, as spn_bulk_add. */
int spni_transfer_check(const spn_transfer *transfer);

/* Make `request` the one for the piece at `offset`; that piece's length. */
uint32_t spni_transfer_encode(spn_transfer *transfer, uint64_t offset,
                              spni_request *request);

/* Take in what became of a request. Whether the transfer ended by it. */
bool spni_transfer_decode(spn_transfer *transfer, const spni_request *request,
                          const spni_reply *reply);

/* Bytes of the piece at `offset`. */
uint32_t spni_transfer_piece(const spn_transfer *transfer, uint64_t offset);

#endif
