/* SPDX-License-Identifier: Apache-2.0 */
/* Two clocks, each of which says when the bytes sent so far should be through.
 *
 * The average clock runs at the rate that was asked for, and is not moved when
 * a wait lasts too long: what the wait lost is caught up. The burst clock runs
 * a little faster and starts again from the present after each wait, so the
 * catching up stays below the burst rate. A burst goes when both have been
 * reached.
 *
 * No wait ends in time to the microsecond, and a burst may be as short. So a
 * little is not lost to the burst clock: what a burst takes, between GRACE_MIN
 * and GRACE_MAX. Whole bursts that are due by then go as one.
 *
 * A nanosecond is 5 bytes at 40 Gb/s, so rounding each burst to whole
 * nanoseconds would be a drift of parts in 100 000; hence the fractions.
 */
#include "spead/rate.h"

#define GRACE_MIN 10000
#define GRACE_MAX 100000

/* One who sends a heap when the last has been sent needs so long at most. */
#define GAP_NS 1000000

/* 30 years: a rate may be so low that its waits fit no integer. */
#define LONGEST_NS 1e18

static double capped(double ns)
{
    return ns < LONGEST_NS ? ns : LONGEST_NS;
}

void spni_rate_init(spni_rate *rate, double bytes_per_second,
                    double burst_rate_ratio, uint64_t burst_size,
                    uint64_t now_ns)
{
    double per_byte =
        bytes_per_second > 0 ? capped(1e9 / bytes_per_second) : 0;
    *rate = (spni_rate){
        .average_ns = per_byte,
        .burst_ns = per_byte / burst_rate_ratio,
        .burst_size = burst_size > 0 ? burst_size : 1,
        .limit = burst_size > 0 ? burst_size : 1,
        .average.ns = now_ns,
        .burst.ns = now_ns,
        .idle_ns = 1, /* for ever */
    };
}

static void advance(spni_instant *clock, double ns)
{
    double sum = capped(ns) + clock->fraction;
    uint64_t whole = (uint64_t)sum;
    clock->ns += whole;
    clock->fraction = sum - (double)whole;
}

/* Move a clock over the idle time, but not beyond `limit_ns`. */
static void skip(spni_instant *clock, double pending_ns, uint64_t idle_ns,
                 uint64_t limit_ns)
{
    uint64_t reached = clock->ns + (uint64_t)capped(pending_ns);
    if (reached < limit_ns) {
        uint64_t behind = limit_ns - reached;
        clock->ns += idle_ns < behind ? idle_ns : behind;
    }
}

/* What an earlier wait lost may still be caught up, the idle time not, but for
 * short gaps, as far as they do not add up. */
static void resume(spni_rate *rate, uint64_t now_ns)
{
    uint64_t idle = now_ns > rate->idle_ns ? now_ns - rate->idle_ns : 0;
    uint64_t credit = idle <= GAP_NS && GAP_NS < now_ns ? GAP_NS : 0;
    double pending = (double)rate->pending;
    skip(&rate->average, pending * rate->average_ns, idle, now_ns - credit);
    skip(&rate->burst, pending * rate->burst_ns, idle, now_ns);
    rate->idle_ns = 0;
}

static uint64_t grace_after(double burst_ns)
{
    return burst_ns < GRACE_MIN   ? GRACE_MIN
           : burst_ns > GRACE_MAX ? GRACE_MAX
                                  : (uint64_t)burst_ns;
}

static void start_wait(spni_rate *rate)
{
    double burst_ns = (double)rate->pending * rate->average_ns;
    rate->grace_ns = grace_after(burst_ns);
    advance(&rate->average, burst_ns);
    advance(&rate->burst, (double)rate->pending * rate->burst_ns);
    rate->pending = 0;
    rate->target_ns = rate->average.ns > rate->burst.ns ? rate->average.ns
                                                        : rate->burst.ns;
}

static uint64_t smaller(uint64_t left, uint64_t right)
{
    return left < right ? left : right;
}

/* The bytes of a burst and of those that are due in the next so many ns. */
static uint64_t due(const spni_rate *rate, uint64_t ns)
{
    double size = (double)rate->burst_size;
    uint64_t more = (uint64_t)capped((double)ns / (size * rate->average_ns));
    return (uint64_t)capped(size * (double)(1 + more));
}

static void end_wait(spni_rate *rate, uint64_t now_ns)
{
    uint64_t late = now_ns - rate->target_ns;
    uint64_t kept = smaller(late, rate->grace_ns);
    rate->burst.ns = now_ns - kept;
    rate->burst.fraction = 0;
    rate->limit = due(rate, kept);
    rate->target_ns = 0;
}

uint64_t spni_rate_allowance(spni_rate *rate, uint64_t now_ns,
                             uint64_t *until_ns)
{
    if (!spni_rate_is_limited(rate)) {
        return UINT64_MAX;
    }
    if (rate->idle_ns != 0) {
        resume(rate, now_ns);
    }
    if (rate->target_ns == 0 && rate->pending >= rate->limit) {
        start_wait(rate);
    }
    if (rate->target_ns > now_ns) {
        *until_ns = rate->target_ns;
        return 0;
    }
    if (rate->target_ns != 0) {
        end_wait(rate, now_ns);
    }
    return rate->limit - rate->pending;
}

void spni_rate_count(spni_rate *rate, uint64_t bytes)
{
    if (spni_rate_is_limited(rate)) {
        rate->pending += bytes;
    }
}

void spni_rate_idle(spni_rate *rate, uint64_t now_ns)
{
    if (spni_rate_is_limited(rate) && rate->idle_ns == 0) {
        rate->idle_ns = now_ns;
    }
}
