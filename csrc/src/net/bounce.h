/* SPDX-License-Identifier: Apache-2.0 */
/* The memory that datagrams land in before they are looked at. */
#ifndef SPNI_BOUNCE_H
#define SPNI_BOUNCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Map at least `size` bytes, which take memory when they are first touched, on
 * the node of the thread that does so. With huge_pages: reserved ones of 2 MiB,
 * else transparent ones where the system has them, else ordinary ones. NULL
 * when there is no memory. */
uint8_t *spni_bounce_map(size_t size, bool huge_pages);

/* With the same size. NULL is fine. */
void spni_bounce_unmap(uint8_t *bounce, size_t size);

#endif
