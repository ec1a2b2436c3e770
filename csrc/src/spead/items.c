/* SPDX-License-Identifier: Apache-2.0 */
/* Until its length is known, an addressed item keeps its order of arrival in
 * `length`, so that qsort, which is not stable, sorts as if it were. */
#include "spead/items.h"

#include <stdlib.h>

#include "spead/packet.h"

enum {
    INSERTION_SORT_MAX = 32,
};

static size_t gather(const uint64_t *pointers, size_t count,
                     unsigned address_bits, bool immediate, spn_item *items)
{
    size_t found = 0;

    for (size_t i = 0; i < count; i++) {
        if (spni_pointer_is_immediate(pointers[i]) != immediate)
            continue;
        items[found] = (spn_item){
            .id = spni_pointer_id(pointers[i], address_bits),
            .value = spni_pointer_value(pointers[i], address_bits),
            .length = found,
            .is_immediate = immediate,
        };
        found++;
    }
    return found;
}

static int compare(const void *left_void, const void *right_void)
{
    const spn_item *left = left_void, *right = right_void;

    if (left->value != right->value)
        return left->value < right->value ? -1 : 1;
    return left->length < right->length ? -1 : left->length > right->length;
}

static void sort(spn_item *items, size_t count)
{
    if (count > INSERTION_SORT_MAX) {
        qsort(items, count, sizeof *items, compare);
        return;
    }
    for (size_t i = 1; i < count; i++) {
        spn_item item = items[i];
        size_t j = i;
        for (; j > 0 && items[j - 1].value > item.value; j--)
            items[j] = items[j - 1];
        items[j] = item;
    }
}

/* Give each its length and drop the empty ones, and NULL, which only ends the
 * item before it. */
static size_t measure(spn_item *items, size_t count, size_t payload_length)
{
    size_t kept = 0;

    for (size_t i = 0; i < count; i++) {
        spn_item item = items[i];
        uint64_t end = i + 1 < count ? items[i + 1].value : payload_length;
        item.length = (size_t)(end - item.value);
        if (item.length > 0 && item.id != SPNI_ID_NULL)
            items[kept++] = item;
    }
    return kept;
}

size_t spni_items_make(const uint64_t *pointers, size_t count,
                       unsigned address_bits, size_t payload_length,
                       bool immediates_only, spn_item *items)
{
    size_t addressed = 0, immediates;

    if (!immediates_only) {
        addressed = gather(pointers, count, address_bits, false, items);
        sort(items, addressed);
        addressed = measure(items, addressed, payload_length);
    }
    items += addressed;
    immediates = gather(pointers, count, address_bits, true, items);
    sort(items, immediates);
    for (size_t i = 0; i < immediates; i++)
        items[i].length = 0;
    return addressed + immediates;
}
