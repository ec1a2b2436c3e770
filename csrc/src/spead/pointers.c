/* SPDX-License-Identifier: Apache-2.0 */
/* A few pointers are searched one by one, many through a hash table, which
 * appears when the array grows out of its inline part. */
#include "spead/pointers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "spead/hash.h"

enum {
    KEPT_CAPACITY = 128, /* more is given back between heaps */
};

void spni_pointers_init(spni_pointers *set)
{
    set->values = set->first;
    set->count = 0;
    set->capacity = SPNI_POINTERS_INLINE;
    set->table = NULL;
    set->table_size = 0;
}

void spni_pointers_fini(spni_pointers *set)
{
    if (set->values != set->first)
        free(set->values);
    free(set->table);
    spni_pointers_init(set);
}

void spni_pointers_clear(spni_pointers *set)
{
    if (set->capacity > KEPT_CAPACITY) {
        spni_pointers_fini(set);
        return;
    }
    set->count = 0;
    if (set->table != NULL)
        memset(set->table, 0, set->table_size * sizeof *set->table);
}

/* The place in the table of `value`, or the free one where it belongs. */
static uint32_t *find_place(const spni_pointers *set, uint64_t value)
{
    unsigned bits = (unsigned)__builtin_ctzll(set->table_size);
    size_t i = (size_t)spni_hash(spni_hash_multiplier(), value, bits);

    while (set->table[i] != 0 && set->values[set->table[i] - 1] != value)
        i = (i + 1) & (set->table_size - 1);
    return &set->table[i];
}

static void fill_table(spni_pointers *set)
{
    for (size_t i = 0; i < set->count; i++)
        *find_place(set, set->values[i]) = (uint32_t)i + 1;
}

static int grow(spni_pointers *set, size_t least)
{
    size_t capacity = 2 * SPNI_POINTERS_INLINE;
    size_t table_size = 2;
    uint64_t *values;
    uint32_t *table;

    while (capacity < least)
        capacity *= 2;
    while (table_size < 2 * capacity)
        table_size *= 2;
    table = calloc(table_size, sizeof *table);
    if (table == NULL)
        return -ENOMEM;
    values = malloc(capacity * sizeof *values);
    if (values == NULL)
        goto free_table;
    memcpy(values, set->values, set->count * sizeof *values);
    if (set->values != set->first)
        free(set->values);
    free(set->table);
    set->values = values;
    set->capacity = capacity;
    set->table = table;
    set->table_size = table_size;
    fill_table(set);
    return 0;

free_table:
    free(table);
    return -ENOMEM;
}

int spni_pointers_reserve(spni_pointers *set, size_t extra)
{
    size_t least = set->count + extra;

    if (least <= set->capacity)
        return 0;
    if (least > SPNI_POINTERS_MAX)
        return -E2BIG;
    return grow(set, least);
}

static bool contains_small(const spni_pointers *set, uint64_t value)
{
    for (size_t i = 0; i < set->count; i++) {
        if (set->values[i] == value)
            return true;
    }
    return false;
}

void spni_pointers_add(spni_pointers *set, uint64_t value)
{
    if (set->table != NULL) {
        uint32_t *place = find_place(set, value);
        if (*place != 0)
            return;
        *place = (uint32_t)set->count + 1;
    } else if (contains_small(set, value)) {
        return;
    }
    set->values[set->count++] = value;
}
