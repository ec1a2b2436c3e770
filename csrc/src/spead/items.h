/* SPDX-License-Identifier: Apache-2.0 */
/* From the item pointers of a heap to its items. Pure. */
#ifndef SPNI_ITEMS_H
#define SPNI_ITEMS_H

#include <stdbool.h>

#include "pyspin.h"

/* Write to `items`, which has room for `count`, the items that `count` pointers
 * mean in a payload of payload_length bytes: addressed ones by address (those
 * of length zero vanish), then immediates by value; ties in order of arrival.
 * With immediates_only the payload is not there. Returns how many. */
size_t spni_items_make(const uint64_t *pointers, size_t count,
                       unsigned address_bits, size_t payload_length,
                       bool immediates_only, spn_item *items);

#endif
