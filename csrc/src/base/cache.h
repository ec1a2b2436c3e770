/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SPNI_CACHE_H
#define SPNI_CACHE_H

#include <stddef.h>

/* What processors hand to one another whole: what one thread writes should not
 * stand on the line that another is at work with. */
#define SPNI_CACHE_LINE ((size_t)64)

/* `size` in whole lines, as aligned_alloc wants it. */
#define SPNI_CACHE_LINES(size)                                               \
    (((size) + SPNI_CACHE_LINE - 1) / SPNI_CACHE_LINE * SPNI_CACHE_LINE)

#endif
