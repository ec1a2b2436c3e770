/* SPDX-License-Identifier: Apache-2.0 */
#include "spead/shells.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "check.h"
#include "spead/heap.h"

enum { GIVERS = 3, HEAPS = 10000, SLOTS = 100, SIZE = 300 };

static spni_heap *take(spni_shells *shells, size_t size)
{
    spni_heap *heap = spni_shells_take(shells, size);
    CHECK(heap != NULL);
    CHECK(heap->home == shells);
    CHECK(heap->capacity >= size);
    memset(heap->items, 0x55, size - sizeof *heap);
    return heap;
}

static void memory_comes_back(void)
{
    spni_shells *shells = spni_shells_new();
    spni_heap *one = take(shells, SIZE), *two = take(shells, SIZE);
    CHECK(one != two);
    spni_shells_give_back(one);
#ifndef __SANITIZE_ADDRESS__
    CHECK(take(shells, SIZE) == one);
#else
    one = take(shells, SIZE);
#endif
    spni_shells_give_back(one);
    spni_shells_give_back(two);
    spni_shells_free(shells);
}

static void larger_heaps_are_given_room(void)
{
    spni_shells *shells = spni_shells_new();
    for (size_t size = SIZE; size < 100000; size *= 3)
        spni_shells_give_back(take(shells, size));
    spni_shells_give_back(take(shells, SIZE));
    spni_shells_free(shells);
}

/* More than are kept. */
static void many_come_back_at_once(void)
{
    spni_shells *shells = spni_shells_new();
    static spni_heap *heaps[1000];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 1000; i++)
            heaps[i] = take(shells, SIZE);
        for (int i = 0; i < 1000; i++)
            spni_shells_give_back(heaps[i]);
    }
    spni_shells_free(shells);
}

static void heaps_may_outlive_their_stream(void)
{
    spni_shells *shells = spni_shells_new();
    spni_heap *one = take(shells, SIZE), *two = take(shells, SIZE);
    spni_shells_free(shells);
    spni_shells_give_back(two);
    spni_shells_give_back(one);
}

/* Many at a time: a change of threads for each heap takes minutes on a core
 * that others keep busy. */
static spni_heap *handed[GIVERS][SLOTS]; /* atomic */

static void *give_main(void *slots_void)
{
    spni_heap **slots = slots_void;
    for (int i = 0; i < HEAPS; i++) {
        spni_heap *heap;
        while ((heap = __atomic_exchange_n(&slots[i % SLOTS], NULL,
                                           __ATOMIC_ACQUIRE))
               == NULL)
            sched_yield();
        spni_shells_give_back(heap);
    }
    return NULL;
}

static void threads_give_back_while_the_stream_takes_and_ends(void)
{
    pthread_t threads[GIVERS];
    spni_shells *shells = spni_shells_new();
    for (int i = 0; i < GIVERS; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, give_main, handed[i]), 0);
    for (int given = 0; given < GIVERS * HEAPS; given++) {
        spni_heap *heap = take(shells, SIZE + (size_t)given % 200), *none;
        spni_heap **slot = &handed[given % GIVERS][given / GIVERS % SLOTS];
        while (none = NULL, !__atomic_compare_exchange_n(
                                slot, &none, heap, false, __ATOMIC_RELEASE,
                                __ATOMIC_RELAXED))
            sched_yield(); /* the giver may wait for this core */
    }
    spni_shells_free(shells);
    for (int i = 0; i < GIVERS; i++)
        pthread_join(threads[i], NULL);
}

int main(void)
{
    memory_comes_back();
    larger_heaps_are_given_room();
    many_come_back_at_once();
    heaps_may_outlive_their_stream();
    threads_give_back_while_the_stream_takes_and_ends();
    return 0;
}
