/* SPDX-License-Identifier: Apache-2.0 */
#include "scp/round_trip.h"

void spni_round_trip_take(spni_round_trip *it, uint64_t took_ns)
{
    uint64_t mean_ns = it->mean_ns;
    if (!mean_ns) {
        it->mean_ns = took_ns;
        it->spread_ns = took_ns / 2;
        return;
    }
    uint64_t off_ns = took_ns > mean_ns ? took_ns - mean_ns
                                        : mean_ns - took_ns;
    it->mean_ns = (7 * mean_ns + took_ns) / 8;
    it->spread_ns = (3 * it->spread_ns + off_ns) / 4;
}

uint64_t spni_round_trip_patience_ns(const spni_round_trip *it)
{
    return 2 * it->mean_ns + 4 * it->spread_ns;
}
