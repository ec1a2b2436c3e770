/* SPDX-License-Identifier: Apache-2.0 */
#include "net/bounce.h"

#include "check.h"

enum { SIZE = 64 * 69696 };

/* Whatever pages the machine has to give, all of it can be written. */
static void test_all_of_it_can_be_used(bool huge_pages)
{
    uint8_t *bounce = spni_bounce_map(SIZE, huge_pages);

    CHECK(bounce != NULL);
    for (size_t i = 0; i < SIZE; i += 4096)
        bounce[i] = (uint8_t)(i >> 12);
    bounce[SIZE - 1] = 1;
    for (size_t i = 0; i < SIZE; i += 4096)
        CHECK_EQ(bounce[i], (uint8_t)(i >> 12));
    spni_bounce_unmap(bounce, SIZE);
}

static void test_no_memory_is_null(void)
{
    CHECK(spni_bounce_map((size_t)1 << 62, false) == NULL);
    CHECK(spni_bounce_map((size_t)1 << 62, true) == NULL);
    spni_bounce_unmap(NULL, SIZE);
}

int main(void)
{
    test_all_of_it_can_be_used(false);
    test_all_of_it_can_be_used(true);
    test_no_memory_is_null();
    return 0;
}
