/* SPDX-License-Identifier: Apache-2.0 */
#include "spead/heap.h"

#include "base/cache.h"

/* Atomic, each on a line of its own: streams make heaps, consumers drop them. */
static struct {
    _Alignas(SPNI_CACHE_LINE) size_t made;
    _Alignas(SPNI_CACHE_LINE) size_t dropped;
} heaps;

void spni_heap_count_live(int change)
{
    __atomic_add_fetch(&heaps.made, (size_t)change, __ATOMIC_RELAXED);
}

size_t spn_heaps_live(void)
{
    /* In this order there are never more dropped than made. */
    size_t dropped = __atomic_load_n(&heaps.dropped, __ATOMIC_ACQUIRE);
    return __atomic_load_n(&heaps.made, __ATOMIC_RELAXED) - dropped;
}

spni_heap *spni_heap_new(spni_shells *shells, size_t item_count,
                         size_t range_count)
{
    size_t size = sizeof(spni_heap) + item_count * sizeof(spn_item)
        + range_count * sizeof(spn_range);
    spni_heap *heap = spni_shells_take(shells, size);

    if (heap == NULL)
        return NULL;
    *heap = (spni_heap){
        .references = 1,
        .home = heap->home,
        .capacity = heap->capacity,
    };
    spni_heap_count_live(1);
    return heap;
}

spn_range *spni_heap_ranges(spni_heap *heap, size_t item_count)
{
    return (spn_range *)(void *)(heap->items + item_count);
}

void spn_heap_ref(spn_heap *heap)
{
    spni_heap *whole = (spni_heap *)heap;
    __atomic_add_fetch(&whole->references, 1, __ATOMIC_RELAXED);
}

void spn_heap_unref(spn_heap *heap)
{
    spni_heap *whole = (spni_heap *)heap;

    if (whole == NULL
        || __atomic_sub_fetch(&whole->references, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    spni_buffer_release(&whole->buffer);
    spni_shells_give_back(whole);
    __atomic_add_fetch(&heaps.dropped, 1, __ATOMIC_RELEASE);
}

void spn_heap_clear(spn_heap **slot)
{
    spn_heap_unref(*slot);
    *slot = NULL;
}

void spni_heap_queue_init(spni_heap_queue *queue)
{
    queue->head = NULL;
    queue->tail = &queue->head;
    queue->count = 0;
}

void spni_heap_queue_push(spni_heap_queue *queue, spni_heap *heap)
{
    heap->next = NULL;
    *queue->tail = heap;
    queue->tail = &heap->next;
    queue->count++;
}

spni_heap *spni_heap_queue_pop(spni_heap_queue *queue)
{
    spni_heap *heap = queue->head;

    if (heap == NULL)
        return NULL;
    queue->head = heap->next;
    if (queue->head == NULL)
        queue->tail = &queue->head;
    queue->count--;
    return heap;
}
