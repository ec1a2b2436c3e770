/* SPDX-License-Identifier: Apache-2.0 */
/* The memory of heaps that consumers have dropped goes back to the stream that
 * made them, for the next ones: a thread that frees what another allocates
 * waits for it at the C library's lock. */
#ifndef SPNI_SHELLS_H
#define SPNI_SHELLS_H

#include <stddef.h>

struct spni_heap;
typedef struct spni_shells spni_shells;

/* NULL without memory. */
spni_shells *spni_shells_new(void);

/* The stream ends. Heaps that are still out may be given back later. */
void spni_shells_free(spni_shells *shells);

/* Memory for a heap of `size` bytes, with home and capacity filled in. By the
 * stream's thread only. NULL without memory. */
struct spni_heap *spni_shells_take(spni_shells *shells, size_t size);

/* Give it back to its home. Any thread. */
void spni_shells_give_back(struct spni_heap *heap);

#endif
