/* SPDX-License-Identifier: Apache-2.0 */
#include "memory/pages.h"

#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

/* Of nearly all systems; where they are larger, there will be none. */
#define HUGE_PAGE ((size_t)2 << 20)

/* As MAP_POPULATE does, but after the system has been told where to take the
 * pages from. Kernels before 5.14 leave it to us. */
int spni_pages_populate(void *data, size_t size, size_t page)
{
    volatile uint8_t *bytes = data;
    if (madvise(data, size, MADV_POPULATE_WRITE) == 0)
        return 0;
    if (errno != EINVAL)
        return -ENOMEM;
    for (size_t i = 0; i < size; i += page)
        bytes[i] = 0;
    return 0;
}

static size_t rounded(size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (size + page - 1) / page * page;
}

static void unmap_between(uint8_t *begin, uint8_t *end)
{
    if (begin < end)
        munmap(begin, (size_t)(end - begin));
}

/* A mapping that begins on a huge page. Its end is cut off to the page, so that
 * huge pages cost no memory. */
static void *map_aligned(size_t size)
{
    if (size > PTRDIFF_MAX - 2 * HUGE_PAGE)
        return NULL;
    size_t room = rounded(size) + HUGE_PAGE;
    uint8_t *begin = mmap(NULL, room, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (begin == MAP_FAILED)
        return NULL;
    uint8_t *data = begin + -(uintptr_t)begin % HUGE_PAGE;
    unmap_between(begin, data);
    unmap_between(data + rounded(size), begin + room);
    return data;
}

void *spni_pages_map(size_t size)
{
    void *data = map_aligned(size);
    if (data == NULL)
        return NULL;
    /* A system without them says so, and that is that. */
    madvise(data, rounded(size), MADV_HUGEPAGE);
    if (spni_pages_populate(data, rounded(size), rounded(1)) == 0)
        return data;
    spni_pages_unmap(data, size);
    return NULL;
}

void spni_pages_unmap(void *data, size_t size)
{
    if (data != NULL)
        munmap(data, rounded(size));
}
