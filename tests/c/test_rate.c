/* SPDX-License-Identifier: Apache-2.0 */
/* All on an invented clock. */
#include "spead/rate.h"
#include "base/clock.h"
#include "check.h"

/* Send packets for a second, each wait `late_ns` too long; the bytes sent. */
static double run(double rate_bytes, uint64_t burst_size, uint64_t packet,
                    uint64_t late_ns)
{
    spni_rate rate;
    uint64_t now = 1000, until = 0, sent = 0;
    spni_rate_init(&rate, rate_bytes, 1.05, burst_size, now);
    while (now < 1000 + SPNI_SECOND_NS) {
        if (spni_rate_allowance(&rate, now, &until) == 0) {
            CHECK(until > now);
            now = until + late_ns;
            continue;
        }
        spni_rate_count(&rate, packet);
        sent += packet;
    }
    return (double)sent;
}

static void check_within(double sent, double expected, double tolerance)
{
    CHECK(sent > expected * (1 - tolerance));
    CHECK(sent < expected * (1 + tolerance));
}

/* 40 Gb/s: a nanosecond is 5 bytes. */
static void test_fractions_of_a_nanosecond_count(void)
{
    check_within(run(5e9, 8192, 8192, 0), 5e9, 1e-5);
    check_within(run(5e9, 1, 1001, 0), 5e9, 1e-5);
    check_within(run(5e9 / 3, 1, 72, 0), 5e9 / 3, 1e-5);
}

static void test_late_wakings_are_caught_up(void)
{
    check_within(run(125e6, 65536, 1472, 20000), 125e6, 1e-3);
    check_within(run(1e6, 65536, 9000, 100000), 1e6, 0.14);
    check_within(run(10e6, 65536, 1472, 200000), 10e6, 1e-2);
}

static void test_catching_up_stays_below_the_burst_rate(void)
{
    spni_rate rate;
    uint64_t until = 0;
    /* a byte a nanosecond, bursts of 40000 */
    spni_rate_init(&rate, 1e9, 1.25, 40000, 1000);
    CHECK_EQ(spni_rate_allowance(&rate, 1000, &until), 40000);
    spni_rate_count(&rate, 40000);
    CHECK_EQ(spni_rate_allowance(&rate, 1001, &until), 0);
    CHECK_EQ(until, 41000);
    /* 200 us late: five bursts are owed; two go at once, as what one takes is
     * not lost, then one each 32 us */
    uint64_t now = 241000;
    CHECK_EQ(spni_rate_allowance(&rate, now, &until), 80000);
    spni_rate_count(&rate, 80000);
    CHECK_EQ(spni_rate_allowance(&rate, now, &until), 0);
    CHECK_EQ(until, now - 40000 + 64000);
    now = until;
    for (int i = 0; i < 10; i++) {
        CHECK_EQ(spni_rate_allowance(&rate, now, &until), 40000);
        spni_rate_count(&rate, 40000);
        CHECK_EQ(spni_rate_allowance(&rate, now, &until), 0);
        CHECK_EQ(until, now + 32000);
        now = until;
    }
}

/* Wakings that are late by more than a burst takes. */
static void test_bursts_of_microseconds_keep_the_rate(void)
{
    check_within(run(1e9, 1, 1472, 3000), 1e9, 1e-4);
    check_within(run(1e9, 1472, 1472, 9000), 1e9, 1e-4);
    check_within(run(1e9, 8192, 1472, 5000), 1e9, 1e-4);
    check_within(run(1e8, 1, 1472, 14000), 1e8, 1e-4);
    check_within(run(1e7, 1, 1472, 90000), 1e7, 1e-3);
}

/* A little lateness makes no burst of two. */
static void test_a_late_burst_is_no_longer(void)
{
    spni_rate rate;
    uint64_t until = 0;
    spni_rate_init(&rate, 1e9, 1.05, 1472, 1000);
    spni_rate_count(&rate, 1472);
    CHECK_EQ(spni_rate_allowance(&rate, 1000, &until), 0);
    CHECK_EQ(spni_rate_allowance(&rate, until + 1471, &until), 1472);
}

static void test_a_burst_may_be_collected(void)
{
    spni_rate rate;
    uint64_t until = 0;
    spni_rate_init(&rate, 1e9, 1.05, 1000, 1000);
    spni_rate_count(&rate, 400);
    CHECK_EQ(spni_rate_allowance(&rate, 1000, &until), 600);
    spni_rate_count(&rate, 900);
    CHECK_EQ(spni_rate_allowance(&rate, 1000, &until), 0);
    CHECK_EQ(until, 2300);
}

static void test_idle_time_earns_no_credit(void)
{
    spni_rate rate;
    uint64_t until = 0;
    spni_rate_init(&rate, 1e9, 1.05, 1000, 1000);
    CHECK_EQ(spni_rate_allowance(&rate, 1000000, &until), 1000);
    spni_rate_count(&rate, 1000);
    CHECK_EQ(spni_rate_allowance(&rate, 1000000, &until), 0);
    CHECK_EQ(until, 1001000);
}

/* Heaps that come one by one, each a little after the other was sent, go at
 * the full rate: the gap is shorter than what a burst takes. */
static void test_short_gaps_cost_nothing(void)
{
    spni_rate rate;
    uint64_t now = 1000, until = 0;
    spni_rate_init(&rate, 1e9, 1.05, 1000, now);
    for (int i = 0; i < 1000; i++) {
        if (spni_rate_allowance(&rate, now, &until) == 0) {
            now = until;
            CHECK(spni_rate_allowance(&rate, now, &until) > 0);
        }
        spni_rate_count(&rate, 1000);
        spni_rate_idle(&rate, now);
        now += 300;
    }
    CHECK_EQ(now, 1000 + 999 * 1000 + 300);
}

/* Send for a while, in heaps of 1 ms with gaps between them; the bytes per
 * nanosecond. */
static double run_heaps(spni_rate *rate, uint64_t *now, uint64_t duration,
                        uint64_t gap_ns)
{
    uint64_t until = 0, sent = 0, begin = *now;
    while (*now < begin + duration) {
        for (int i = 0; i < 100; i++) {
            while (spni_rate_allowance(rate, *now, &until) == 0) {
                *now = until;
            }
            spni_rate_count(rate, 10000);
            sent += 10000;
        }
        spni_rate_idle(rate, *now);
        *now += gap_ns;
    }
    return (double)sent / (double)(*now - begin);
}

/* Gaps that are longer than a burst takes are caught up if they are short, but
 * not what many of them add up to. */
static void test_a_caller_s_way_back_is_caught_up(void)
{
    spni_rate rate;
    uint64_t now = 1000;
    spni_rate_init(&rate, 1e9, 1.05, 10000, now);
    check_within(run_heaps(&rate, &now, SPNI_SECOND_NS, 40000), 1, 1e-4);
    run_heaps(&rate, &now, SPNI_SECOND_NS, 500000);
    double after_gaps = run_heaps(&rate, &now, SPNI_SECOND_NS / 10, 0);
    CHECK(after_gaps > 1.005 && after_gaps < 1.011);
    run_heaps(&rate, &now, SPNI_SECOND_NS, 2000000);
    check_within(run_heaps(&rate, &now, SPNI_SECOND_NS / 10, 0), 1, 2e-4);
}

/* Small heaps with gaps cannot outrun the rate. */
static void test_gaps_do_not_forget_bytes(void)
{
    spni_rate rate;
    uint64_t now = 1000, until = 0, sent = 0;
    spni_rate_init(&rate, 1e9, 1.05, 1000, now);
    while (now < 1001000) {
        while (spni_rate_allowance(&rate, now, &until) == 0) {
            now = until;
        }
        spni_rate_count(&rate, 100);
        sent += 100;
        spni_rate_idle(&rate, now);
        now += 10;
    }
    CHECK(sent <= 1000000 + 1000);
    CHECK(sent >= 990000);
}

static void test_no_rate_no_wait(void)
{
    spni_rate rate;
    uint64_t until = 0;
    spni_rate_init(&rate, 0, 1.05, 1000, 1000);
    spni_rate_count(&rate, 1 << 30);
    CHECK(spni_rate_allowance(&rate, 1000, &until) == UINT64_MAX);
}

static void test_the_lowest_rates_wait_too(void)
{
    static const double rates[] = {5e-324, 1e-300, 1e-9};
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
        spni_rate rate;
        uint64_t until = 0;
        spni_rate_init(&rate, rates[i], 1.05, 1000, 1000);
        CHECK(spni_rate_allowance(&rate, 1000, &until) == 1000);
        spni_rate_count(&rate, 65000);
        CHECK(spni_rate_allowance(&rate, 2000, &until) == 0);
        CHECK(until > UINT64_C(1000000000000000));
        spni_rate_init(&rate, rates[i], 1.05, 1000, 1000);
        spni_rate_count(&rate, 999);
        spni_rate_idle(&rate, 2000);
        CHECK(spni_rate_allowance(&rate, 3000, &until) == 1);
    }
}

static void test_the_highest_rates_overflow_nothing(void)
{
    static const uint64_t sizes[] = {1, 65536, UINT64_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        spni_rate rate;
        uint64_t until = 0;
        spni_rate_init(&rate, 1e308, 1.05, sizes[i], 1000);
        spni_rate_count(&rate, sizes[i]);
        CHECK(spni_rate_allowance(&rate, 100000, &until) > 0);
        spni_rate_count(&rate, 1 << 20);
        CHECK(spni_rate_allowance(&rate, SPNI_SECOND_NS, &until) > 0);
    }
}

int main(void)
{
    test_fractions_of_a_nanosecond_count();
    test_late_wakings_are_caught_up();
    test_catching_up_stays_below_the_burst_rate();
    test_bursts_of_microseconds_keep_the_rate();
    test_a_late_burst_is_no_longer();
    test_a_burst_may_be_collected();
    test_a_caller_s_way_back_is_caught_up();
    test_idle_time_earns_no_credit();
    test_short_gaps_cost_nothing();
    test_gaps_do_not_forget_bytes();
    test_no_rate_no_wait();
    test_the_lowest_rates_wait_too();
    test_the_highest_rates_overflow_nothing();
    return 0;
}
