/* SPDX-License-Identifier: Apache-2.0 */
/* A mapping is given back with exactly the length that was mapped, which for
 * huge pages is a multiple of their size; `capacity` of a buffer remembers it.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "memory/allocator.h"
#include "memory/numa.h"
#include "memory/pages.h"

#ifndef MAP_HUGE_SHIFT
#define MAP_HUGE_SHIFT 26
#endif
#ifndef MAP_HUGE_MASK
#define MAP_HUGE_MASK 0x3f
#endif
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

typedef struct {
    spn_allocator base;
    int flags;
    bool prefers_huge;
    int node; /* -1: where the thread that allocates runs */
    size_t page_size;
    size_t huge_page_size;
} mmap_allocator;

static size_t default_huge_page_size(void)
{
    char line[128];
    size_t kib = 2048;
    FILE *file = fopen("/proc/meminfo", "re");
    if (file == NULL)
        return kib * 1024;
    while (fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "Hugepagesize: %zu kB", &kib) == 1)
            break;
    fclose(file);
    return kib * 1024;
}

/* The flags may name another size than the default (mmap(2), MAP_HUGETLB). */
static size_t huge_page_size(int flags)
{
    unsigned shift = ((unsigned)flags >> MAP_HUGE_SHIFT) & MAP_HUGE_MASK;
    return shift > 0 && shift < 48 ? (size_t)1 << shift
                                   : default_huge_page_size();
}

static int place(const mmap_allocator *self, void *data, size_t size,
                 size_t page)
{
    int error = 0;
    if (self->node >= 0)
        error = spni_numa_prefer(data, size, self->node);
    if (error < 0)
        return error;
    /* For where no huge pages are reserved. A kernel that has no transparent
     * ones either says so, and that is that. */
    if (self->prefers_huge)
        madvise(data, size, MADV_HUGEPAGE);
    return spni_pages_populate(data, size, page);
}

static int map(const mmap_allocator *self, int flags, size_t size,
               spni_buffer *out)
{
    size_t page = self->page_size;
    if (flags & MAP_HUGETLB) {
        page = self->huge_page_size;
        /* It would map pages that do not exist: SIGBUS at the first touch. */
        flags &= ~MAP_NORESERVE;
    }
    if (size > PTRDIFF_MAX - page)
        return -ENOMEM;
    size_t capacity = size > 0 ? (size + page - 1) / page * page : page;
    bool is_placed = self->node >= 0 || self->prefers_huge;
    flags = is_placed ? flags & ~MAP_POPULATE : flags | MAP_POPULATE;
    void *data = mmap(NULL, capacity, PROT_READ | PROT_WRITE,
                      MAP_ANONYMOUS | MAP_PRIVATE | flags, -1, 0);
    if (data == MAP_FAILED)
        return -ENOMEM;
    if (is_placed && place(self, data, capacity, page) < 0) {
        munmap(data, capacity);
        return -ENOMEM;
    }
    out->data = data;
    out->size = size;
    out->capacity = capacity;
    return 0;
}

static int mmap_allocate(spn_allocator *allocator, size_t size,
                         spni_buffer *out)
{
    mmap_allocator *self = (mmap_allocator *)allocator;
    int error = -ENOMEM;
    if (self->prefers_huge)
        error = map(self, self->flags | MAP_HUGETLB, size, out);
    if (error < 0)
        error = map(self, self->flags, size, out);
    if (error == 0)
        out->allocator = allocator;
    return error;
}

static void mmap_release(spn_allocator *allocator, spni_buffer *buffer)
{
    (void)allocator;
    munmap(buffer->data, buffer->capacity);
}

static void mmap_destroy(spn_allocator *allocator)
{
    free(allocator);
}

static const spni_allocator_kind mmap_kind = {
    .allocate = mmap_allocate,
    .release = mmap_release,
    .destroy = mmap_destroy,
};

int spn_allocator_new_mmap(int flags, bool prefer_huge, spn_allocator **out)
{
    *out = NULL;
    if (flags & (MAP_FIXED | MAP_FIXED_NOREPLACE))
        return -EINVAL;
    mmap_allocator *self = malloc(sizeof *self);
    if (self == NULL)
        return -ENOMEM;
    *self = (mmap_allocator){
        .base = {.kind = &mmap_kind, .references = 1},
        .flags = flags,
        .prefers_huge = prefer_huge,
        .node = -1,
        .page_size = (size_t)sysconf(_SC_PAGESIZE),
        .huge_page_size = huge_page_size(flags),
    };
    *out = &self->base;
    return 0;
}

int spn_allocator_set_numa_node(spn_allocator *allocator, int node)
{
    if (allocator->kind != &mmap_kind)
        return -EINVAL;
    int error = spni_numa_check(node);
    if (error == 0)
        ((mmap_allocator *)allocator)->node = node;
    return error;
}
