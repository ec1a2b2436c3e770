/* SPDX-License-Identifier: Apache-2.0 */
/* Consumers push onto one list with a single exchange; the stream takes all of
 * it when its own list is empty. So nothing is taken from between, and no lock
 * is needed. `owed` tells when the last heap has gone: consumers subtract what
 * they free themselves, and the stream at its end adds what was then out, so
 * that zero is reached once, when both have been.
 */
#include "spead/shells.h"

#include <stdlib.h>

#include "base/cache.h"
#include "spead/heap.h"

enum {
    LEAST = 5 * SPNI_CACHE_LINE, /* a heap of five items */
    /* More do not wait. A sanitizer is to see each use of a heap that has been
     * dropped. */
#if defined __SANITIZE_ADDRESS__
    MOST = 0,
#else
    MOST = 256,
#endif
};

struct spni_shells {
    /* The stream's thread only. */
    spni_heap *own;
    size_t made;

    /* Atomic. */
    _Alignas(SPNI_CACHE_LINE) spni_heap *returned; /* `ended` from the end on */
    size_t waiting; /* about so many are on it */
    size_t owed;
};

static spni_heap ended;

spni_shells *spni_shells_new(void)
{
    spni_shells *shells = aligned_alloc(SPNI_CACHE_LINE, sizeof *shells);

    if (shells != NULL)
        *shells = (spni_shells){0};
    return shells;
}

static size_t free_all(spni_heap *list)
{
    size_t count = 0;

    while (list != NULL) {
        spni_heap *next = list->next;
        free(list);
        list = next;
        count++;
    }
    return count;
}

void spni_shells_free(spni_shells *shells)
{
    size_t freed;

    if (shells == NULL)
        return;
    freed = free_all(shells->own);
    freed += free_all(
        __atomic_exchange_n(&shells->returned, &ended, __ATOMIC_ACQ_REL));
    if (__atomic_add_fetch(&shells->owed, shells->made - freed,
                           __ATOMIC_ACQ_REL)
        == 0)
        free(shells);
}

static spni_heap *make(spni_shells *shells, size_t size)
{
    size_t capacity = size > LEAST ? SPNI_CACHE_LINES(size) : LEAST;
    spni_heap *heap = aligned_alloc(SPNI_CACHE_LINE, capacity);

    if (heap == NULL)
        return NULL;
    heap->home = shells;
    heap->capacity = capacity;
    shells->made++;
    return heap;
}

static void take_returned(spni_shells *shells)
{
    if (__atomic_load_n(&shells->returned, __ATOMIC_RELAXED) == NULL)
        return;
    shells->own =
        __atomic_exchange_n(&shells->returned, NULL, __ATOMIC_ACQUIRE);
    __atomic_store_n(&shells->waiting, 0, __ATOMIC_RELAXED);
}

spni_heap *spni_shells_take(spni_shells *shells, size_t size)
{
    spni_heap *heap;

    if (shells->own == NULL)
        take_returned(shells);
    heap = shells->own;
    if (heap == NULL)
        return make(shells, size);
    shells->own = heap->next;
    if (heap->capacity >= size)
        return heap;
    free(heap);
    shells->made--;
    return make(shells, size);
}

static void free_late(spni_heap *heap)
{
    spni_shells *shells = heap->home;

    free(heap);
    if (__atomic_sub_fetch(&shells->owed, 1, __ATOMIC_ACQ_REL) == 0)
        free(shells);
}

void spni_shells_give_back(spni_heap *heap)
{
    spni_shells *shells = heap->home;
    spni_heap *first = __atomic_load_n(&shells->returned, __ATOMIC_RELAXED);

    if (__atomic_add_fetch(&shells->waiting, 1, __ATOMIC_RELAXED) > MOST)
        first = &ended;
    do {
        if (first == &ended) {
            free_late(heap);
            return;
        }
        heap->next = first;
    } while (!__atomic_compare_exchange_n(&shells->returned, &first, heap,
                                          true, __ATOMIC_ACQ_REL,
                                          __ATOMIC_RELAXED));
}
