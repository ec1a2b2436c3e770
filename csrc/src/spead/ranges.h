/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of a heap's payload that have arrived: half-open, sorted, touching
 * ones coalesced. One range is the common case and costs no allocation. */
#ifndef SPNI_RANGES_H
#define SPNI_RANGES_H

#include <stddef.h>

#include "pyspin.h"

enum {
    SPNI_RANGES_INLINE = 4,
    /* More gaps at once than this are an attack on the time that an insertion
     * takes, not reordering. */
    SPNI_RANGES_MAX = 1 << 16,
};

typedef struct {
    spn_range *ranges; /* `first`, or allocated */
    size_t count;
    size_t capacity;
    size_t hint; /* where the last insertion happened */
    spn_range first[SPNI_RANGES_INLINE];
} spni_ranges;

typedef enum {
    SPNI_RANGE_FREE = 0,  /* may be inserted */
    SPNI_RANGE_DUPLICATE, /* begins inside a range */
    SPNI_RANGE_OVERLAP,   /* begins before a range and runs into it */
} spni_range_fit;

void spni_ranges_init(spni_ranges *set);
void spni_ranges_fini(spni_ranges *set);

/* The last of at least one; its end may be moved on. */
static inline spn_range *spni_ranges_last(const spni_ranges *set)
{
    return &set->ranges[set->count - 1];
}

/* How begin..end fits, and where it would be inserted. An empty range fits
 * unless it lies inside, or at the beginning of, a range that is not empty. */
spni_range_fit spni_ranges_find(const spni_ranges *set, size_t begin,
                                size_t end, size_t *index);

/* Make room for one more. 0, -ENOMEM, or -E2BIG beyond SPNI_RANGES_MAX. */
int spni_ranges_reserve(spni_ranges *set);

/* Insert what spni_ranges_find found free, after spni_ranges_reserve. */
void spni_ranges_insert(spni_ranges *set, size_t index, size_t begin,
                        size_t end);

#endif
