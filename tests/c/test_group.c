/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "check.h"
#include "spead/group.h"

enum { HEAPS = 5, LONGEST = 6 };

typedef struct {
    spni_member members[HEAPS];
    spni_group group;
} test_group;

static void make(test_group *test, int mode, const size_t *counts)
{
    *test = (test_group){
        .group = {.mode = mode, .count = HEAPS, .members = test->members}};
    for (size_t i = 0; i < HEAPS; i++) {
        test->members[i].count = counts[i];
    }
}

static void check_place(const spni_place *place, size_t member, size_t packet)
{
    CHECK_EQ(place->member, member);
    CHECK_EQ(place->packet, packet);
}

static void test_in_series(void)
{
    test_group test;
    spni_place place = {0};
    make(&test, SPN_GROUP_SERIAL, (size_t[HEAPS]){3, 1, 2, 1, 1});
    for (size_t i = 0; i < HEAPS; i++) {
        size_t count = test.members[i].count;
        for (size_t packet = 0; packet < count; packet++) {
            CHECK(!spni_group_is_over(&test.group, &place));
            check_place(&place, i, packet);
            CHECK_EQ(spni_group_run(&test.group, &place), count - packet);
            spni_group_advance(&test.group, &place, 1);
        }
    }
    CHECK(spni_group_is_over(&test.group, &place));
}

static void test_a_run_is_one_step(void)
{
    test_group test;
    spni_place place = {0};
    make(&test, SPN_GROUP_SERIAL, (size_t[HEAPS]){3, 1, 2, 1, 1});
    spni_group_advance(&test.group, &place, 2);
    check_place(&place, 0, 2);
    spni_group_advance(&test.group, &place, 1);
    check_place(&place, 1, 0);
}

static void test_in_rounds(void)
{
    static const spni_place expected[] = {
        {0, 0}, {1, 0}, {2, 0}, {3, 0}, {4, 0}, {0, 1},
        {2, 1}, {4, 1}, {0, 2}, {4, 2}, {4, 3},
    };
    test_group test;
    spni_place place = {0};
    make(&test, SPN_GROUP_ROUND_ROBIN, (size_t[HEAPS]){3, 1, 2, 1, 4});
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        CHECK(!spni_group_is_over(&test.group, &place));
        check_place(&place, expected[i].member, expected[i].packet);
        CHECK_EQ(spni_group_run(&test.group, &place), 1);
        spni_group_advance(&test.group, &place, 1);
    }
    CHECK(spni_group_is_over(&test.group, &place));
}

/* Whichever heap is given up, wherever: the rest goes as if it had not been. */
static void check_given_up(int mode, size_t after)
{
    static const size_t counts[HEAPS] = {3, 1, LONGEST, 2, 2};
    size_t next[HEAPS] = {0};
    test_group test;
    spni_place place = {0};
    make(&test, mode, counts);
    size_t given_up = HEAPS;
    for (size_t i = 0; !spni_group_is_over(&test.group, &place); i++) {
        if (i == after) {
            given_up = place.member;
            test.members[given_up].count = 0;
            spni_group_advance(&test.group, &place, 0);
            continue;
        }
        CHECK(place.member != given_up);
        CHECK_EQ(place.packet, next[place.member]++);
        spni_group_advance(&test.group, &place, 1);
    }
    for (size_t i = 0; i < HEAPS; i++) {
        CHECK(i == given_up || next[i] == counts[i]);
    }
    CHECK(given_up < HEAPS);
}

static void test_a_heap_is_given_up(void)
{
    for (size_t after = 0; after < 14; after++) {
        check_given_up(SPN_GROUP_SERIAL, after);
        check_given_up(SPN_GROUP_ROUND_ROBIN, after);
    }
}

static void test_all_are_given_up(int mode)
{
    test_group test;
    spni_place place = {0};
    make(&test, mode, (size_t[HEAPS]){3, 1, 2, 1, 4});
    for (size_t i = 0; i < HEAPS; i++) {
        CHECK(!spni_group_is_over(&test.group, &place));
        CHECK_EQ(place.member, i);
        test.members[i].count = 0;
        spni_group_advance(&test.group, &place, 0);
    }
    CHECK(spni_group_is_over(&test.group, &place));
}

static spn_packets *cut(size_t length)
{
    static const uint8_t zeros[1000];
    spn_packets *packets;
    spn_send_item item = {.id = 16, .data = zeros, .length = length};
    CHECK_EQ(spn_packets_new(&item, 1, 40, 256, false, &packets), 0);
    return packets;
}

static void test_a_group_is_written(void)
{
    static const size_t order[][2] = {{0, 0}, {1, 0}, {0, 1}, {1, 1}, {0, 2}};
    spn_heap_reference heaps[] = {{.packets = cut(600), .cnt = 3},
                                  {.packets = cut(300), .cnt = 9}};
    static uint8_t got[2000], expected[2000];
    size_t length = 0;
    for (size_t i = 0; i < 5; i++) {
        const spn_heap_reference *heap = &heaps[order[i][0]];
        length += spn_packets_write(heap->packets, order[i][1],
                                    (uint64_t)heap->cnt, expected + length);
    }
    CHECK_EQ(length, spn_packets_total(heaps[0].packets) +
                         spn_packets_total(heaps[1].packets));
    CHECK_EQ(spn_group_write(heaps, 2, SPN_GROUP_ROUND_ROBIN, got), 0);
    CHECK_EQ(memcmp(got, expected, sizeof got), 0);

    size_t first = spn_packets_total(heaps[0].packets);
    spn_packets_write_all(heaps[0].packets, 3, expected);
    spn_packets_write_all(heaps[1].packets, 9, expected + first);
    CHECK_EQ(spn_group_write(heaps, 2, SPN_GROUP_SERIAL, got), 0);
    CHECK_EQ(memcmp(got, expected, sizeof got), 0);

    CHECK_ERR(spn_group_write(heaps, 0, SPN_GROUP_SERIAL, got), -EINVAL);
    CHECK_ERR(spn_group_write(heaps, 2, 2, got), -EINVAL);
    spn_packets_unref(heaps[0].packets);
    spn_packets_unref(heaps[1].packets);
}

int main(void)
{
    test_in_series();
    test_a_run_is_one_step();
    test_in_rounds();
    test_a_heap_is_given_up();
    test_all_are_given_up(SPN_GROUP_SERIAL);
    test_all_are_given_up(SPN_GROUP_ROUND_ROBIN);
    test_a_group_is_written();
    return 0;
}
