/* SPDX-License-Identifier: Apache-2.0 */
/* Heaps that are sent together, and the order of their packets: each heap
 * after the one before it, or a packet of each in turn. Pure: no system calls.
 */
#ifndef SPNI_GROUP_H
#define SPNI_GROUP_H

#include <stddef.h>
#include <stdint.h>

#include "pyspin.h"

typedef struct {
    spn_packets *packets;
    uint64_t cnt;
    size_t endpoint;
    size_t count; /* packets; 0 when the heap has been given up */
} spni_member;

typedef struct {
    int mode; /* SPN_GROUP_... */
    size_t count;
    spni_member *members;
} spni_group;

/* A packet in that order; behind the last one `member` is the group's count.
 * All zero: the first packet. */
typedef struct {
    size_t member;
    size_t packet; /* of that heap */
} spni_place;

bool spni_group_is_mode(int mode);

static inline bool spni_group_is_over(const spni_group *group,
                                      const spni_place *place)
{
    return place->member == group->count;
}

/* How many packets of one heap follow one another from here on. */
size_t spni_group_run(const spni_group *group, const spni_place *place);

/* Go on by at most a run. By none: to the next packet that is left, when the
 * heap of this one has been given up. */
void spni_group_advance(const spni_group *group, spni_place *place,
                        size_t packets);

#endif
