/* SPDX-License-Identifier: Apache-2.0 */
/* Where buffers come from. A buffer knows its allocator and keeps it alive, so
 * pool and buffer may go in either order. */
#ifndef SPNI_ALLOCATOR_H
#define SPNI_ALLOCATOR_H

#include "pyspin.h"

/* A piece of memory of an allocator. All zero: none. */
typedef struct {
    void *data;
    size_t size; /* as asked for; the memory may be larger */
    size_t capacity; /* bytes that may be used */
    spn_allocator *allocator;
} spni_buffer;

/* What an allocator does. The reference that a buffer holds, and the count of
 * live buffers, are kept by the two functions below; a pool calls its base
 * directly for what it stores. `release` is given back what `allocate` gave.
 *
 * Where one reference serves all the buffers that are out, `allocate` takes it
 * and `release` drops it, so that not every buffer costs two atomic operations
 * on a line that two threads are at work with. */
typedef struct {
    int (*allocate)(spn_allocator *allocator, size_t size, spni_buffer *out);
    void (*release)(spn_allocator *allocator, spni_buffer *buffer);
    void (*destroy)(spn_allocator *allocator);
    bool shares_reference;
} spni_allocator_kind;

struct spn_allocator {
    const spni_allocator_kind *kind;
    unsigned references; /* atomic */
};

void spni_allocator_ref(spn_allocator *allocator);

/* Take a reference unless the last one has gone: for who holds none. */
bool spni_allocator_try_ref(spn_allocator *allocator);

/* 0, or -ENOMEM with *out all zero. Takes a reference on the allocator. */
int spni_buffer_allocate(spn_allocator *allocator, size_t size,
                         spni_buffer *out);

/* Give it back (none: nothing happens) and make it none. */
void spni_buffer_release(spni_buffer *buffer);

#endif
