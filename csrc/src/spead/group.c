/* SPDX-License-Identifier: Apache-2.0 */
#include "spead/group.h"

#include <errno.h>
#include <stdlib.h>

#include "spead/packets.h"

bool spni_group_is_mode(int mode)
{
    return mode == SPN_GROUP_ROUND_ROBIN || mode == SPN_GROUP_SERIAL;
}

/* Whether the heap has a packet for this place. */
static bool is_taken(const spni_group *group, const spni_place *place)
{
    return place->packet < group->members[place->member].count;
}

static bool has_round(const spni_group *group, size_t round)
{
    for (size_t i = 0; i < group->count; i++) {
        if (group->members[i].count > round) {
            return true;
        }
    }
    return false;
}

static void settle_in_series(const spni_group *group, spni_place *place)
{
    while (!spni_group_is_over(group, place) && !is_taken(group, place)) {
        *place = (spni_place){.member = place->member + 1};
    }
}

static void settle_in_rounds(const spni_group *group, spni_place *place)
{
    for (;;) {
        while (!spni_group_is_over(group, place)) {
            if (is_taken(group, place)) {
                return;
            }
            place->member++;
        }
        if (!has_round(group, place->packet + 1)) {
            return;
        }
        *place = (spni_place){.packet = place->packet + 1};
    }
}

size_t spni_group_run(const spni_group *group, const spni_place *place)
{
    return group->mode == SPN_GROUP_SERIAL
               ? group->members[place->member].count - place->packet
               : 1;
}

void spni_group_advance(const spni_group *group, spni_place *place,
                        size_t packets)
{
    if (group->mode == SPN_GROUP_SERIAL) {
        place->packet += packets;
        settle_in_series(group, place);
    } else {
        place->member += packets;
        settle_in_rounds(group, place);
    }
}

static void write_group(const spni_group *group, uint8_t *out)
{
    spni_place at = {0};
    while (!spni_group_is_over(group, &at)) {
        const spni_member *member = &group->members[at.member];
        out += spn_packets_write(member->packets, at.packet, member->cnt, out);
        spni_group_advance(group, &at, 1);
    }
}

int spn_group_write(const spn_heap_reference *heaps, size_t count, int mode,
                    void *out)
{
    if (count == 0 || !spni_group_is_mode(mode)) {
        return -EINVAL;
    }
    spni_member *members = calloc(count, sizeof *members);
    if (members == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < count; i++) {
        members[i] =
            (spni_member){.packets = heaps[i].packets,
                          .cnt = (uint64_t)heaps[i].cnt,
                          .count = spn_packets_count(heaps[i].packets)};
    }
    write_group(&(spni_group){.mode = mode, .count = count, .members = members},
                out);
    free(members);
    return 0;
}
