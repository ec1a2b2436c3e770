/* SPDX-License-Identifier: Apache-2.0 */
/* Which memory node pages come from. */
#ifndef SPNI_NUMA_H
#define SPNI_NUMA_H

#include <stddef.h>

/* Have the pages of a mapping come from `node` while it has room, and from
 * others then. 0; -ENODEV if the machine has no such node; another -errno if
 * the system does not let the process choose. */
int spni_numa_prefer(void *data, size_t size, int node);

/* Whether there is such a node: 0, or as above. */
int spni_numa_check(int node);

#endif
