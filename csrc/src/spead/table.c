/* SPDX-License-Identifier: Apache-2.0 */
#include "spead/table.h"

#include <errno.h>
#include <stdlib.h>

#include "spead/hash.h"

enum {
    BUCKET_BITS_MAX = 20,
};

int spni_table_init(spni_table *table, size_t slot_count)
{
    *table = (spni_table){.slot_count = slot_count, .bucket_bits = 2};
    while (table->bucket_bits < BUCKET_BITS_MAX
           && ((size_t)1 << table->bucket_bits) < 2 * slot_count)
        table->bucket_bits++;
    table->slots = calloc(slot_count, sizeof(spni_assembly *));
    table->buckets =
        calloc((size_t)1 << table->bucket_bits, sizeof(spni_assembly *));
    if (table->slots != NULL && table->buckets != NULL)
        return 0;
    spni_table_fini(table);
    return -ENOMEM;
}

void spni_table_fini(spni_table *table)
{
    if (table->slots != NULL) {
        for (size_t i = 0; i < table->slot_count; i++)
            spni_assembly_free(table->slots[i]);
    }
    while (table->spare != NULL) {
        spni_assembly *assembly = table->spare;
        table->spare = assembly->chain;
        spni_assembly_free(assembly);
    }
    free(table->slots);
    free(table->buckets);
    *table = (spni_table){0};
}

static spni_assembly **bucket(const spni_table *table, uint64_t cnt)
{
    return &table->buckets[spni_hash(spni_hash_multiplier(), cnt,
                                     table->bucket_bits)];
}

spni_assembly *spni_table_find(const spni_table *table, uint64_t cnt)
{
    spni_assembly *assembly = *bucket(table, cnt);

    while (assembly != NULL && assembly->cnt != cnt)
        assembly = assembly->chain;
    return assembly;
}

spni_assembly *spni_table_advance(spni_table *table)
{
    if (++table->head == table->slot_count)
        table->head = 0;
    return table->slots[table->head];
}

spni_assembly *spni_table_open(spni_table *table, uint64_t cnt)
{
    spni_assembly **chain = bucket(table, cnt);
    spni_assembly *assembly = table->spare;

    if (assembly != NULL)
        table->spare = assembly->chain;
    else
        assembly = spni_assembly_new();
    if (assembly == NULL)
        return NULL;
    assembly->cnt = cnt;
    assembly->slot = table->head;
    assembly->chain = *chain;
    *chain = assembly;
    table->slots[table->head] = assembly;
    table->live++;
    return assembly;
}

void spni_table_remove(spni_table *table, spni_assembly *assembly)
{
    spni_assembly **link = bucket(table, assembly->cnt);

    while (*link != assembly)
        link = &(*link)->chain;
    *link = assembly->chain;
    table->slots[assembly->slot] = NULL;
    table->live--;
}

void spni_table_recycle(spni_table *table, spni_assembly *assembly)
{
    spni_assembly_reset(assembly);
    assembly->chain = table->spare;
    table->spare = assembly;
}
