/* SPDX-License-Identifier: Apache-2.0 */
/* A sorted array. Packets nearly always continue the range that the packet
 * before them continued, so that one is tried before the binary search; lists
 * and trees lost because real heaps have a handful of gaps. */
#include "spead/ranges.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void spni_ranges_init(spni_ranges *set)
{
    set->ranges = set->first;
    set->count = 0;
    set->capacity = SPNI_RANGES_INLINE;
    set->hint = 0;
}

void spni_ranges_fini(spni_ranges *set)
{
    if (set->ranges != set->first)
        free(set->ranges);
    spni_ranges_init(set);
}

/* The first range that begins after `begin`. */
static size_t upper_bound(const spni_ranges *set, size_t begin)
{
    size_t low = 0, high = set->count;
    size_t hint = set->hint;

    if (hint < high && set->ranges[hint].begin <= begin) {
        low = hint + 1;
        if (low == high || set->ranges[low].begin > begin)
            return low;
    }
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (set->ranges[middle].begin <= begin)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

spni_range_fit spni_ranges_find(const spni_ranges *set, size_t begin,
                                size_t end, size_t *index)
{
    size_t next = upper_bound(set, begin);

    *index = next;
    if (next < set->count && end > set->ranges[next].begin)
        return SPNI_RANGE_OVERLAP;
    if (next > 0 && begin < set->ranges[next - 1].end)
        return SPNI_RANGE_DUPLICATE;
    return SPNI_RANGE_FREE;
}

int spni_ranges_reserve(spni_ranges *set)
{
    size_t capacity = set->capacity * 2;
    spn_range *ranges;

    if (set->count < set->capacity)
        return 0;
    if (set->count >= SPNI_RANGES_MAX)
        return -E2BIG;
    ranges = malloc(capacity * sizeof *ranges);
    if (ranges == NULL)
        return -ENOMEM;
    memcpy(ranges, set->ranges, set->count * sizeof *ranges);
    if (set->ranges != set->first)
        free(set->ranges);
    set->ranges = ranges;
    set->capacity = capacity;
    return 0;
}

static void remove_at(spni_ranges *set, size_t index)
{
    set->count--;
    memmove(set->ranges + index, set->ranges + index + 1,
            (set->count - index) * sizeof *set->ranges);
}

static void insert_at(spni_ranges *set, size_t index, spn_range range)
{
    memmove(set->ranges + index + 1, set->ranges + index,
            (set->count - index) * sizeof *set->ranges);
    set->ranges[index] = range;
    set->count++;
}

void spni_ranges_insert(spni_ranges *set, size_t index, size_t begin,
                        size_t end)
{
    spn_range *ranges = set->ranges;
    bool joins_left = index > 0 && ranges[index - 1].end == begin;
    bool joins_right = index < set->count && ranges[index].begin == end;

    if (joins_left) {
        set->hint = index - 1;
        ranges[index - 1].end = joins_right ? ranges[index].end : end;
        if (joins_right)
            remove_at(set, index);
    } else if (joins_right) {
        set->hint = index;
        ranges[index].begin = begin;
    } else {
        set->hint = index;
        insert_at(set, index, (spn_range){begin, end});
    }
}
