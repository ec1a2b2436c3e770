/* SPDX-License-Identifier: Apache-2.0 */
#include "spead/hash.h"

#include <stdbool.h>
#include <sys/random.h>

static uint64_t multiplier;

static uint64_t draw(void)
{
    uint64_t value;

    if (getrandom(&value, sizeof value, GRND_NONBLOCK) != sizeof value)
        value = UINT64_C(0x9e3779b97f4a7c15);
    return value | 1;
}

uint64_t spni_hash_multiplier(void)
{
    uint64_t value = __atomic_load_n(&multiplier, __ATOMIC_RELAXED);
    uint64_t none = 0;

    if (value != 0)
        return value;
    value = draw();
    if (!__atomic_compare_exchange_n(&multiplier, &none, value, false,
                                     __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        value = none;
    return value;
}
