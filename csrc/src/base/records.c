/* SPDX-License-Identifier: Apache-2.0 */
/* A record is a 32-bit length and the bytes, and may go around the end. An
 * empty ring begins again at the start, to stay in few pages. */
#include "base/records.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int spni_records_init(spni_records *records, size_t capacity)
{
    *records = (spni_records){.capacity = capacity};
    if (capacity < SPNI_RECORD_MAX)
        return -EINVAL;
    records->ring = malloc(capacity);
    return records->ring == NULL ? -ENOMEM : 0;
}

void spni_records_fini(spni_records *records)
{
    free(records->ring);
    records->ring = NULL;
}

size_t spni_records_room(const spni_records *records)
{
    return (records->capacity - records->length) / SPNI_RECORD_MAX;
}

static void put_bytes(spni_records *records, const void *bytes, size_t count)
{
    size_t tail = (records->head + records->length) % records->capacity;
    size_t first = records->capacity - tail;
    if (first > count)
        first = count;
    memcpy(records->ring + tail, bytes, first);
    memcpy(records->ring, (const uint8_t *)bytes + first, count - first);
    records->length += count;
}

static void peek_bytes(const spni_records *records, size_t offset, void *bytes,
                       size_t count)
{
    size_t at = (records->head + offset) % records->capacity;
    size_t first = records->capacity - at;
    if (first > count)
        first = count;
    memcpy(bytes, records->ring + at, first);
    memcpy((uint8_t *)bytes + first, records->ring, count - first);
}

static void drop_bytes(spni_records *records, size_t count)
{
    records->head = (records->head + count) % records->capacity;
    records->length -= count;
    if (records->length == 0)
        records->head = 0;
}

void spni_records_put(spni_records *records, const void *data, uint32_t length)
{
    put_bytes(records, &length, sizeof length);
    put_bytes(records, data, length);
}

int spni_records_take(spni_records *records, void *buffer, size_t size,
                      uint32_t *lengths, int count)
{
    uint8_t *at = buffer;
    int taken = 0;
    while (taken < count && records->length > 0) {
        uint32_t length;
        peek_bytes(records, 0, &length, sizeof length);
        if (length > size)
            return taken > 0 ? taken : -EMSGSIZE;
        peek_bytes(records, sizeof length, at, length);
        drop_bytes(records, sizeof length + length);
        lengths[taken++] = length;
        at += length;
        size -= length;
    }
    return taken;
}
