/* SPDX-License-Identifier: Apache-2.0 */
/* A ring of bytes that holds records, each of at most 65536 bytes, in order.
 * Not locked. */
#ifndef SPNI_RECORDS_H
#define SPNI_RECORDS_H

#include <stddef.h>
#include <stdint.h>

enum {
    SPNI_RECORD_LENGTH_SIZE = sizeof(uint32_t),
    /* What the largest record takes. */
    SPNI_RECORD_MAX = 65536 + SPNI_RECORD_LENGTH_SIZE,
};

typedef struct {
    uint8_t *ring;
    size_t capacity;
    size_t head, length; /* in use: length bytes from head, around the end */
} spni_records;

/* 0, -EINVAL if not even the largest record fits, -ENOMEM. */
int spni_records_init(spni_records *records, size_t capacity);
void spni_records_fini(spni_records *records);

/* How many records of any length there is room for. */
size_t spni_records_room(const spni_records *records);

/* Add a record, for which there is room. */
void spni_records_put(spni_records *records, const void *data,
                      uint32_t length);

/* Move up to `count` records, as many as fit `size` bytes, back to back into
 * `buffer`, and their lengths. How many; -EMSGSIZE if the first does not
 * fit. */
int spni_records_take(spni_records *records, void *buffer, size_t size,
                      uint32_t *lengths, int count);

#endif
