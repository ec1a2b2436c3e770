/* SPDX-License-Identifier: Apache-2.0 */
#include "memory/allocator.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cache.h"

/* Atomic, each on a line of its own: mostly one thread allocates, another
 * releases. */
static struct {
    _Alignas(SPNI_CACHE_LINE) size_t allocated;
    _Alignas(SPNI_CACHE_LINE) size_t released;
} buffers;

size_t spn_buffers_live(void)
{
    /* In this order there are never more released than allocated. */
    size_t released = __atomic_load_n(&buffers.released, __ATOMIC_ACQUIRE);
    return __atomic_load_n(&buffers.allocated, __ATOMIC_RELAXED) - released;
}

/* ---- references ---- */

void spni_allocator_ref(spn_allocator *allocator)
{
    __atomic_add_fetch(&allocator->references, 1, __ATOMIC_RELAXED);
}

bool spni_allocator_try_ref(spn_allocator *allocator)
{
    unsigned seen = __atomic_load_n(&allocator->references, __ATOMIC_RELAXED);
    while (seen > 0)
        if (__atomic_compare_exchange_n(&allocator->references, &seen,
                                        seen + 1, true, __ATOMIC_ACQUIRE,
                                        __ATOMIC_RELAXED))
            return true;
    return false;
}

void spn_allocator_unref(spn_allocator *allocator)
{
    if (allocator != NULL && __atomic_sub_fetch(&allocator->references, 1,
                                                __ATOMIC_ACQ_REL) == 0)
        allocator->kind->destroy(allocator);
}

/* ---- buffers ---- */

int spni_buffer_allocate(spn_allocator *allocator, size_t size,
                         spni_buffer *out)
{
    *out = (spni_buffer){0};
    int error = allocator->kind->allocate(allocator, size, out);
    if (error < 0)
        return error;
    if (!allocator->kind->shares_reference)
        spni_allocator_ref(allocator);
    __atomic_add_fetch(&buffers.allocated, 1, __ATOMIC_RELAXED);
    return 0;
}

void spni_buffer_release(spni_buffer *buffer)
{
    spn_allocator *allocator = buffer->allocator;
    if (allocator == NULL)
        return;
    bool holds_reference = !allocator->kind->shares_reference;
    allocator->kind->release(allocator, buffer);
    *buffer = (spni_buffer){0};
    __atomic_add_fetch(&buffers.released, 1, __ATOMIC_RELEASE);
    if (holds_reference)
        spn_allocator_unref(allocator);
}

typedef struct {
    spn_buffer face;
    spni_buffer buffer;
} owned_buffer;

int spn_buffer_new(spn_allocator *allocator, size_t size, spn_buffer **out)
{
    *out = NULL;
    owned_buffer *owned = malloc(sizeof *owned);
    if (owned == NULL)
        return -ENOMEM;
    int error = spni_buffer_allocate(allocator, size, &owned->buffer);
    if (error < 0) {
        free(owned);
        return error;
    }
    owned->face = (spn_buffer){owned->buffer.data, size};
    *out = &owned->face;
    return 0;
}

void spn_buffer_free(spn_buffer *buffer)
{
    owned_buffer *owned = (owned_buffer *)buffer;
    if (owned == NULL)
        return;
    spni_buffer_release(&owned->buffer);
    free(owned);
}
