/* SPDX-License-Identifier: Apache-2.0 */
/* How many requests may fly: what replies and losses make of the number. */
#include "check.h"
#include "scp/size.h"

static spni_size size;

/* Replies to a full window until the size changes. */
static int replies_until_change(void)
{
    int before = size.current, count = 0;
    while (size.current == before && count < 1 << 20) {
        spni_size_replied(&size, true);
        count++;
    }
    return count;
}

static void reply(int count)
{
    for (int i = 0; i < count; i++)
        spni_size_replied(&size, false);
}

static void test_each_full_window_of_replies_adds_one(void)
{
    spni_size_init(&size, 8, 10);
    CHECK_EQ(replies_until_change(), 8);
    CHECK_EQ(size.current, 9);
    reply(1000); /* they say nothing, as the window was not full */
    CHECK_EQ(replies_until_change(), 9);
    CHECK_EQ(size.current, 10);
    for (int i = 0; i < 1000; i++)
        spni_size_replied(&size, true);
    CHECK_EQ(size.current, 10);
}

/* Each try that fails makes the next one rarer, to a limit. */
static void test_tries_that_fail_get_rarer(void)
{
    spni_size_init(&size, 9, 128);
    spni_size_lost(&size);
    CHECK_EQ(size.current, 8);
    for (int patience = 2; patience <= 256; patience *= 2) {
        CHECK_EQ(replies_until_change(), 8 * patience);
        CHECK_EQ(size.current, 9);
        spni_size_lost(&size);
        CHECK_EQ(size.current, 8);
    }
    CHECK_EQ(replies_until_change(), 8 * 256);
}

static void test_a_try_that_goes_well_is_the_new_level(void)
{
    spni_size_init(&size, 9, 128);
    spni_size_lost(&size);
    replies_until_change();
    spni_size_lost(&size);
    replies_until_change(); /* after four windows, since one failed */
    CHECK_EQ(size.current, 9);
    for (int i = 0; i < 2 * 9; i++)
        spni_size_replied(&size, true);
    spni_size_lost(&size); /* by chance: nine is known to work */
    CHECK_EQ(size.current, 9);
    CHECK_EQ(replies_until_change(), 2 * 9);
    CHECK_EQ(size.current, 10);
}

static void test_losses_by_chance_change_nothing(void)
{
    spni_size_init(&size, 9, 128);
    spni_size_lost(&size);
    for (int i = 0; i < 100; i++) {
        reply(12);
        spni_size_lost(&size);
        CHECK_EQ(size.current, 8);
    }
}

static void test_losses_close_together_are_no_chance(void)
{
    spni_size_init(&size, 9, 128);
    spni_size_lost(&size);
    for (int i = 1; i < 6; i++) {
        reply(11);
        spni_size_lost(&size);
        CHECK_EQ(size.current, 8);
    }
    reply(11);
    spni_size_lost(&size);
    CHECK_EQ(size.current, 7);
    reply(12);
    spni_size_lost(&size);
    CHECK_EQ(size.current, 7);
}

static void test_losses_at_once_make_it_smaller_to_a_floor(void)
{
    spni_size_init(&size, 9, 128);
    for (int current = 8; current >= 4; current--) {
        spni_size_lost(&size);
        CHECK_EQ(size.current, current);
        reply(2);
    }
    spni_size_lost(&size);
    CHECK_EQ(size.current, 4); /* below, nothing could overtake */
    spni_size_init(&size, 2, 2);
    spni_size_lost(&size);
    CHECK_EQ(size.current, 2);
}

int main(void)
{
    test_each_full_window_of_replies_adds_one();
    test_tries_that_fail_get_rarer();
    test_a_try_that_goes_well_is_the_new_level();
    test_losses_by_chance_change_nothing();
    test_losses_close_together_are_no_chance();
    test_losses_at_once_make_it_smaller_to_a_floor();
    return 0;
}
