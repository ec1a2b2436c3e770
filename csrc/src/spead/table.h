/* SPDX-License-Identifier: Apache-2.0 */
/* The heaps that a stream has in assembly. They lie in a circle of slots: each
 * new heap takes the next slot and evicts whatever is still in it, also while
 * other slots are free, so that heap n ends heap n - max_heaps. Used by one
 * thread. */
#ifndef SPNI_TABLE_H
#define SPNI_TABLE_H

#include "spead/assembly.h"

typedef struct {
    spni_assembly **slots;
    size_t slot_count;
    size_t head; /* the slot that was taken last */
    size_t live;
    spni_assembly **buckets; /* by cnt, chained */
    unsigned bucket_bits;
    spni_assembly *spare; /* to be used again, chained */
} spni_table;

int spni_table_init(spni_table *table, size_t slot_count); /* 0, -ENOMEM */
void spni_table_fini(spni_table *table);

/* NULL: there is none. */
spni_assembly *spni_table_find(const spni_table *table, uint64_t cnt);

/* Go on to the next slot and say what still lies in it (NULL: nothing): the
 * oldest heap that there is, which has to go before another is opened. */
spni_assembly *spni_table_advance(spni_table *table);

/* An empty assembly in the slot that was reached, which is free, to be begun
 * with this cnt. NULL without memory. */
spni_assembly *spni_table_open(spni_table *table, uint64_t cnt);

/* Take out; the caller gives it back with spni_table_recycle. */
void spni_table_remove(spni_table *table, spni_assembly *assembly);

void spni_table_recycle(spni_table *table, spni_assembly *assembly);

#endif
