/* SPDX-License-Identifier: Apache-2.0 */
/* Integers of a given byte order at any address. */
#ifndef SPNI_BYTES_H
#define SPNI_BYTES_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t spni_load_be16(const void *bytes)
{
    uint16_t value;
    memcpy(&value, bytes, sizeof value);
    return be16toh(value);
}

static inline uint64_t spni_load_be64(const void *bytes)
{
    uint64_t value;
    memcpy(&value, bytes, sizeof value);
    return be64toh(value);
}

static inline uint16_t spni_load_le16(const void *bytes)
{
    uint16_t value;
    memcpy(&value, bytes, sizeof value);
    return le16toh(value);
}

static inline uint32_t spni_load_le32(const void *bytes)
{
    uint32_t value;
    memcpy(&value, bytes, sizeof value);
    return le32toh(value);
}

static inline void spni_store_be16(void *bytes, uint16_t value)
{
    value = htobe16(value);
    memcpy(bytes, &value, sizeof value);
}

static inline void spni_store_be64(void *bytes, uint64_t value)
{
    value = htobe64(value);
    memcpy(bytes, &value, sizeof value);
}

static inline void spni_store_le16(void *bytes, uint16_t value)
{
    value = htole16(value);
    memcpy(bytes, &value, sizeof value);
}

static inline void spni_store_le32(void *bytes, uint32_t value)
{
    value = htole32(value);
    memcpy(bytes, &value, sizeof value);
}

#endif
