/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SPNI_PAGES_H
#define SPNI_PAGES_H

#include <stddef.h>

/* Touch all pages of a mapping, whose size is `page`, so that nobody meets a
 * fault later. 0 or -ENOMEM. */
int spni_pages_populate(void *data, size_t size, size_t page);

/* Map memory, transparent huge pages where the system has them, and touch it
 * all. NULL without memory. */
void *spni_pages_map(size_t size);
void spni_pages_unmap(void *data, size_t size);

#endif
