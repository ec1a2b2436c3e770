/* SPDX-License-Identifier: Apache-2.0 */
/* Touching a megabyte costs as much as a tenth of filling it, even if it has
 * just been used, and malloc does not tell. So the last few large buffers that
 * came back are kept, in slots that threads exchange without a lock; whoever
 * takes a buffer out of a slot owns it. They are few and of bounded size, so
 * the memory that an allocator holds in vain is at most SLOTS * KEPT_MOST.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/cache.h"
#include "memory/allocator.h"

#define PAGE 4096U
#define SLOTS 4U
#define KEPT_LEAST (64U << 10)
#define KEPT_MOST (4U << 20)

/* The first bytes of a buffer that is kept. */
typedef struct {
    size_t size;
} kept_buffer;

typedef struct {
    spn_allocator face;
    kept_buffer *slots[SLOTS]; /* atomic */
} malloc_allocator;

static bool is_kept_size(size_t size)
{
    return size >= KEPT_LEAST && size <= KEPT_MOST;
}

/* A buffer of this size that was kept, or NULL. */
static void *take_kept(malloc_allocator *self, size_t size)
{
    for (size_t i = 0; i < SLOTS; i++) {
        kept_buffer *found =
            __atomic_exchange_n(&self->slots[i], NULL, __ATOMIC_ACQ_REL);
        if (found == NULL)
            continue;
        if (found->size == size)
            return found;
        free(__atomic_exchange_n(&self->slots[i], found, __ATOMIC_ACQ_REL));
    }
    return NULL;
}

/* Keep it, in place of another if need be: sizes may have changed for good. */
static void keep(malloc_allocator *self, void *data, size_t size)
{
    kept_buffer *kept = data;
    kept->size = size;
    for (size_t i = 0; i < SLOTS; i++) {
        kept_buffer *expected = NULL;
        if (__atomic_compare_exchange_n(&self->slots[i], &expected, kept,
                                        false, __ATOMIC_ACQ_REL,
                                        __ATOMIC_RELAXED))
            return;
    }
    size_t victim = ((uintptr_t)data >> 16) % SLOTS;
    free(__atomic_exchange_n(&self->slots[victim], kept, __ATOMIC_ACQ_REL));
}

/* Small ones are quick and most likely in the cache; from a page on, start on
 * a cache line, as wide copies like it, and take the page faults now. */
static void *allocate_touched(size_t size)
{
    void *data;
    if (size < PAGE)
        return malloc(size > 0 ? size : 1);
    if (posix_memalign(&data, SPNI_CACHE_LINE, size) != 0)
        return NULL;
    volatile uint8_t *bytes = data;
    for (size_t i = 0; i < size; i += PAGE)
        bytes[i] = 0;
    bytes[size - 1] = 0;
    return data;
}

static int malloc_allocate(spn_allocator *allocator, size_t size,
                           spni_buffer *out)
{
    void *data = NULL;
    if (is_kept_size(size))
        data = take_kept((malloc_allocator *)allocator, size);
    if (data == NULL && size <= PTRDIFF_MAX)
        data = allocate_touched(size);
    if (data == NULL)
        return -ENOMEM;
    *out = (spni_buffer){data, size, size, allocator};
    return 0;
}

static void malloc_release(spn_allocator *allocator, spni_buffer *buffer)
{
    if (is_kept_size(buffer->size))
        keep((malloc_allocator *)allocator, buffer->data, buffer->size);
    else
        free(buffer->data);
}

static void malloc_destroy(spn_allocator *allocator)
{
    malloc_allocator *self = (malloc_allocator *)allocator;
    for (size_t i = 0; i < SLOTS; i++)
        free(self->slots[i]);
    free(self);
}

static const spni_allocator_kind malloc_kind = {
    .allocate = malloc_allocate,
    .release = malloc_release,
    .destroy = malloc_destroy,
};

int spn_allocator_new_malloc(spn_allocator **out)
{
    *out = NULL;
    malloc_allocator *self = calloc(1, sizeof *self);
    if (self == NULL)
        return -ENOMEM;
    self->face = (spn_allocator){.kind = &malloc_kind, .references = 1};
    *out = &self->face;
    return 0;
}
