/* SPDX-License-Identifier: Apache-2.0 */
#include "spead/counters.h"

#include <inttypes.h>

#include "base/log.h"

typedef struct {
    size_t field; /* in spn_stream_stats */
    int level;
    const char *text;
} loss;

static const loss rejections[] = {
    [SPNI_REJECTED_SHORT] = {offsetof(spn_stream_stats, rejected_short),
                             SPN_LOG_INFO, "shorter than a SPEAD header"},
    [SPNI_REJECTED_MAGIC] = {offsetof(spn_stream_stats, rejected_magic),
                             SPN_LOG_INFO, "wrong magic number or version"},
    [SPNI_REJECTED_WIDTHS] = {offsetof(spn_stream_stats, rejected_widths),
                              SPN_LOG_INFO, "unsupported field widths"},
    [SPNI_REJECTED_HEADER] = {offsetof(spn_stream_stats, rejected_header),
                              SPN_LOG_INFO, "item pointers are cut off"},
    [SPNI_REJECTED_MISSING] = {offsetof(spn_stream_stats, rejected_missing),
                               SPN_LOG_INFO,
                               "heap counter, payload offset or payload "
                               "length is missing"},
    [SPNI_REJECTED_TRUNCATED] = {offsetof(spn_stream_stats,
                                          rejected_truncated),
                                 SPN_LOG_INFO, "payload is cut off"},
    [SPNI_REJECTED_HEAP_LENGTH] = {offsetof(spn_stream_stats,
                                            rejected_heap_length),
                                   SPN_LOG_INFO,
                                   "payload runs past the heap length"},
};

static const loss refusals[] = {
    [SPNI_REFUSED_DUPLICATE] = {offsetof(spn_stream_stats, refused_duplicate),
                                SPN_LOG_DEBUG, "duplicate"},
    [SPNI_REFUSED_OVERLAP] = {offsetof(spn_stream_stats, refused_overlap),
                              SPN_LOG_WARNING,
                              "payload partially overlaps another"},
    [SPNI_REFUSED_HEAP_LENGTH] = {offsetof(spn_stream_stats,
                                           refused_heap_length),
                                  SPN_LOG_INFO, "inconsistent heap length"},
    [SPNI_REFUSED_FLAVOUR] = {offsetof(spn_stream_stats, refused_flavour),
                              SPN_LOG_INFO, "inconsistent flavour"},
    [SPNI_REFUSED_MEMORY] = {offsetof(spn_stream_stats, refused_memory),
                             SPN_LOG_WARNING,
                             "needs more memory than has been earned"},
    [SPNI_OUT_OF_MEMORY] = {offsetof(spn_stream_stats, refused_memory),
                            SPN_LOG_WARNING, "out of memory"},
};

static void count(spn_stream_stats *stats, const loss *why)
{
    uint64_t *counter = (uint64_t *)(void *)((char *)stats + why->field);
    ++*counter;
}

void spni_count_rejected(spn_stream_stats *stats, spni_decoded reason)
{
    const loss *why = &rejections[reason];

    count(stats, why);
    spni_log(why->level, "packet rejected: %s", why->text);
}

void spni_count_refused(spn_stream_stats *stats, spni_added reason,
                        const spni_packet *packet)
{
    const loss *why = &refusals[reason];

    count(stats, why);
    spni_log(why->level, "packet of heap %" PRIu64 " rejected: %s",
             packet->cnt, why->text);
}
