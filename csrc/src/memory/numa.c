/* SPDX-License-Identifier: Apache-2.0 */
/* Preferred, not bound: when a node runs out, a bound page ends in the kernel
 * killing a process, and for a reserved huge page in SIGBUS.
 */
#include "memory/numa.h"

#include <errno.h>
#include <limits.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* From linux/mempolicy.h; as libnuma is not needed, nor are its headers. */
#define MPOL_PREFERRED 1
#define MPOL_MF_MOVE 2

enum {
    NODES = 1024, /* as many as Linux can be built for (mm/Kconfig) */
    WORD_BITS = sizeof(unsigned long) * CHAR_BIT,
};

int spni_numa_prefer(void *data, size_t size, int node)
{
    unsigned long nodes[NODES / WORD_BITS] = {0};

    if (node < 0 || node >= NODES)
        return -ENODEV;
    nodes[node / WORD_BITS] = 1UL << (node % WORD_BITS);
    /* The kernel looks at one bit less than it is told of. Pages may be there
     * already, as with MAP_LOCKED. */
    if (syscall(SYS_mbind, data, size, MPOL_PREFERRED, nodes,
                (unsigned long)NODES + 1, MPOL_MF_MOVE) == 0)
        return 0;
    if (errno == EINVAL)
        return -ENODEV;
    /* A kernel without NUMA has all its memory on one node. */
    return errno == ENOSYS && node == 0 ? 0 : -errno;
}

int spni_numa_check(int node)
{
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    void *page = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                      0);

    if (page == MAP_FAILED)
        return -ENOMEM;
    int error = spni_numa_prefer(page, size, node);
    munmap(page, size);
    return error;
}
