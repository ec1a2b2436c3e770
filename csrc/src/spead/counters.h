/* SPDX-License-Identifier: Apache-2.0 */
/* A counter, and a word in the log, for each way in which a packet is lost. */
#ifndef SPNI_COUNTERS_H
#define SPNI_COUNTERS_H

#include "pyspin.h"
#include "spead/assembly.h"
#include "spead/packet.h"

void spni_count_rejected(spn_stream_stats *stats, spni_decoded reason);
void spni_count_refused(spn_stream_stats *stats, spni_added reason,
                        const spni_packet *packet);

#endif
