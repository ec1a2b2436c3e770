/* SPDX-License-Identifier: Apache-2.0 */
/* A finished heap: one allocation for the fields, the items and the ranges,
 * and a buffer for the payload. */
#ifndef SPNI_HEAP_H
#define SPNI_HEAP_H

#include "memory/allocator.h"
#include "pyspin.h"
#include "spead/shells.h"

typedef struct spni_heap {
    spn_heap fields; /* first: a pointer to it is a pointer to the whole */
    unsigned references; /* atomic */
    spni_buffer buffer;
    struct spni_heap *next; /* in a queue of its one owner */
    spni_shells *home;      /* the shells' */
    size_t capacity;        /* the shells' */
    spn_item items[];
} spni_heap;

/* A heap with room for item_count items and range_count ranges after them and
 * one reference; all else is zero. NULL without memory. */
spni_heap *spni_heap_new(spni_shells *shells, size_t item_count,
                         size_t range_count);

/* Where its ranges have room. */
spn_range *spni_heap_ranges(spni_heap *heap, size_t item_count);

/* Heaps in assembly count as live, too. By streams only. */
void spni_heap_count_live(int change);

/* A queue of heaps. */
typedef struct {
    spni_heap *head;
    spni_heap **tail;
    size_t count;
} spni_heap_queue;

void spni_heap_queue_init(spni_heap_queue *queue);
void spni_heap_queue_push(spni_heap_queue *queue, spni_heap *heap);
/* NULL: empty. */
spni_heap *spni_heap_queue_pop(spni_heap_queue *queue);

#endif
