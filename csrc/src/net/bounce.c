/* SPDX-License-Identifier: Apache-2.0 */
#include "net/bounce.h"

#include <sys/mman.h>

/* The size is named, as the default of a machine may be 1 GiB (mmap(2)). */
#ifndef MAP_HUGE_2MB
#define MAP_HUGE_2MB (21 << 26)
#endif
#define HUGE_PAGE ((size_t)2 << 20)

/* Reserved pages are unmapped in whole ones only. */
static size_t rounded(size_t size)
{
    return (size + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
}

static void *map(size_t size, int flags)
{
    return mmap(NULL, rounded(size), PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
}

uint8_t *spni_bounce_map(size_t size, bool huge_pages)
{
    void *bounce = MAP_FAILED;

    if (huge_pages)
        bounce = map(size, MAP_HUGETLB | MAP_HUGE_2MB);
    if (bounce != MAP_FAILED)
        return bounce;
    bounce = map(size, MAP_NORESERVE);
    if (bounce == MAP_FAILED)
        return NULL;
    if (huge_pages)
        madvise(bounce, rounded(size), MADV_HUGEPAGE);
    return bounce;
}

void spni_bounce_unmap(uint8_t *bounce, size_t size)
{
    if (bounce != NULL)
        munmap(bounce, rounded(size));
}
