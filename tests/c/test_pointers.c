/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "check.h"
#include "spead/pointers.h"

static void keeps_each_once_in_order(uint64_t count)
{
    spni_pointers set;
    spni_pointers_init(&set);
    for (int round = 0; round < 3; round++) {
        for (uint64_t i = 0; i < count; i++) {
            CHECK_EQ(spni_pointers_reserve(&set, 1), 0);
            spni_pointers_add(&set, i << 40);
        }
    }
    CHECK_EQ(set.count, count);
    for (uint64_t i = 0; i < count; i++)
        CHECK(set.values[i] == i << 40);
    spni_pointers_clear(&set);
    CHECK_EQ(set.count, 0);
    CHECK_EQ(spni_pointers_reserve(&set, 1), 0);
    spni_pointers_add(&set, 5);
    CHECK_EQ(set.count, 1);
    spni_pointers_fini(&set);
}

static void limits_the_number(void)
{
    spni_pointers set;
    spni_pointers_init(&set);
    CHECK_EQ(spni_pointers_reserve(&set, SPNI_POINTERS_MAX), 0);
    CHECK_ERR(spni_pointers_reserve(&set, SPNI_POINTERS_MAX * 2), -E2BIG);
    spni_pointers_fini(&set);
}

int main(void)
{
    static const uint64_t counts[] = {0, 1, 11, 12, 13, 24, 25, 100, 20000};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        keeps_each_once_in_order(counts[i]);
    limits_the_number();
    return 0;
}
