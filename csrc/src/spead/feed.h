/* SPDX-License-Identifier: Apache-2.0 */
/* What readers call with packets; loop's thread only. */
#ifndef SPNI_FEED_H
#define SPNI_FEED_H

#include "spead/stream.h"

/* Packets that follow were read at this time. */
void spni_stream_begin_batch(spn_stream *stream, uint64_t now_ns);

/* One datagram, which must be exactly one packet. False: it has been taken,
 * but no more may follow now (blocked, or ended). */
bool spni_stream_add_datagram(spn_stream *stream, const uint8_t *data,
                              size_t length);

/* One datagram, if it is a packet like the last one that continues its heap and
 * does not end it. False: it is not, and nothing has happened. */
bool spni_stream_add_next(spn_stream *stream, const uint8_t *data,
                          size_t length);

/* The packet that begins at data. *used becomes its length, 0 if there is none.
 * False as above. */
bool spni_stream_add_bytes(spn_stream *stream, const uint8_t *data,
                           size_t length, size_t *used);

/* One packet that has been compared with a plan (net/scatter.h) and whose
 * payload lies at its place already. `home` is the buffer that it lies in if it
 * begins a heap, which then takes the buffer over; else NULL. */
bool spni_stream_add_placed(spn_stream *stream, const spni_packet *packet,
                            spni_buffer *home);

/* The batch, or what could be fed of it, is over: deliver its heaps and publish
 * its counters. `packets` is what max_batch counts. */
void spni_stream_end_batch(spn_stream *stream, uint64_t packets);

/* The reader has no more packets and ends the stream. */
void spni_stream_end(spn_stream *stream);

#endif
