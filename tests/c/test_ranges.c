/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "check.h"
#include "spead/ranges.h"
#include "spead_build.h"

enum { SIZE = 512 };

static int insert(spni_ranges *set, size_t begin, size_t end)
{
    size_t index;
    spni_range_fit fit = spni_ranges_find(set, begin, end, &index);
    if (fit == SPNI_RANGE_FREE) {
        CHECK_EQ(spni_ranges_reserve(set), 0);
        spni_ranges_insert(set, index, begin, end);
    }
    return fit;
}

static void coalesces_what_touches(void)
{
    spni_ranges set;
    spni_ranges_init(&set);
    CHECK_EQ(insert(&set, 10, 20), SPNI_RANGE_FREE);
    CHECK_EQ(insert(&set, 30, 40), SPNI_RANGE_FREE);
    CHECK_EQ(set.count, 2);
    CHECK_EQ(insert(&set, 20, 30), SPNI_RANGE_FREE);
    CHECK_EQ(set.count, 1);
    CHECK_EQ(set.ranges[0].begin, 10);
    CHECK_EQ(set.ranges[0].end, 40);
    CHECK_EQ(insert(&set, 0, 10), SPNI_RANGE_FREE);
    CHECK_EQ(set.count, 1);
    CHECK_EQ(set.ranges[0].begin, 0);
    spni_ranges_fini(&set);
}

static void tells_overlap_from_duplicate(void)
{
    spni_ranges set;
    spni_ranges_init(&set);
    insert(&set, 10, 20);
    insert(&set, 30, 40);
    CHECK_EQ(insert(&set, 5, 11), SPNI_RANGE_OVERLAP);
    CHECK_EQ(insert(&set, 0, 50), SPNI_RANGE_OVERLAP);
    CHECK_EQ(insert(&set, 15, 35), SPNI_RANGE_OVERLAP); /* runs into the next */
    CHECK_EQ(insert(&set, 10, 12), SPNI_RANGE_DUPLICATE);
    CHECK_EQ(insert(&set, 10, 30), SPNI_RANGE_DUPLICATE);
    CHECK_EQ(insert(&set, 39, 60), SPNI_RANGE_DUPLICATE);
    CHECK_EQ(set.count, 2);
    spni_ranges_fini(&set);
}

static void takes_empty_ranges_outside(void)
{
    spni_ranges set;
    spni_ranges_init(&set);
    insert(&set, 10, 20);
    CHECK_EQ(insert(&set, 10, 10), SPNI_RANGE_DUPLICATE);
    CHECK_EQ(insert(&set, 15, 15), SPNI_RANGE_DUPLICATE);
    CHECK_EQ(insert(&set, 20, 20), SPNI_RANGE_FREE);
    CHECK_EQ(set.count, 1);
    CHECK_EQ(insert(&set, 5, 5), SPNI_RANGE_FREE);
    CHECK_EQ(insert(&set, 5, 5), SPNI_RANGE_FREE);
    CHECK_EQ(set.count, 2);
    CHECK_EQ(insert(&set, 5, 7), SPNI_RANGE_FREE);
    CHECK_EQ(set.count, 2);
    CHECK_EQ(set.ranges[0].end, 7);
    spni_ranges_fini(&set);
}

/* Compare with one flag a byte. */
static void agrees_with_a_bitmap(uint64_t seed)
{
    bool taken[SIZE] = {false};
    spni_ranges set;
    spni_ranges_init(&set);
    for (int i = 0; i < 2000; i++) {
        size_t begin = build_random(&seed) % SIZE;
        size_t end = begin + 1 + build_random(&seed) % 16;
        bool clashes = false;
        if (end > SIZE)
            end = SIZE;
        for (size_t at = begin; at < end; at++)
            clashes = clashes || taken[at];
        CHECK_EQ(insert(&set, begin, end) == SPNI_RANGE_FREE, !clashes);
        if (!clashes)
            memset(taken + begin, true, end - begin);
        for (size_t j = 0; j < set.count; j++) {
            spn_range range = set.ranges[j];
            CHECK(range.begin < range.end);
            CHECK(j == 0 || set.ranges[j - 1].end < range.begin);
            CHECK(range.begin == 0 || !taken[range.begin - 1]);
            CHECK(range.end == SIZE || !taken[range.end]);
        }
    }
    spni_ranges_fini(&set);
}

static void limits_the_gaps(void)
{
    spni_ranges set;
    size_t index;
    spni_ranges_init(&set);
    for (size_t i = 0; i < SPNI_RANGES_MAX; i++)
        CHECK_EQ(insert(&set, 2 * i, 2 * i + 1), SPNI_RANGE_FREE);
    CHECK_EQ(spni_ranges_find(&set, SIZE_MAX - 1, SIZE_MAX, &index),
             SPNI_RANGE_FREE);
    CHECK_ERR(spni_ranges_reserve(&set), -E2BIG);
    spni_ranges_fini(&set);
}

int main(void)
{
    coalesces_what_touches();
    tells_overlap_from_duplicate();
    takes_empty_ranges_outside();
    for (uint64_t seed = 1; seed <= 20; seed++)
        agrees_with_a_bitmap(seed);
    limits_the_gaps();
    return 0;
}
