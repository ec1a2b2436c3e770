/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"
#include "net/coalesce.h"

#define MICROSECOND UINT64_C(1000)

/* Calls at an interval, each of so many messages of so many bytes; the last
 * answer. */
static uint64_t settle(spni_coalesce *c, uint64_t interval_ns,
                       unsigned messages, size_t bytes)
{
    uint64_t now_ns = 1, wait_ns = 0;
    c->window_ns = 1;
    for (int i = 0; i < 5000; i++) {
        now_ns += interval_ns;
        wait_ns = spni_coalesce_decide(c, now_ns, messages, messages * bytes);
        CHECK(wait_ns <= c->bound_ns);
    }
    return wait_ns;
}

static spni_coalesce bound(uint64_t us)
{
    return (spni_coalesce){
        .bound_ns = us * MICROSECOND,
        .buffer_size = 16 << 20,
    };
}

int main(void)
{
    spni_coalesce c = bound(100);
    /* Single packets, many within the bound: worth it. */
    CHECK_EQ(settle(&c, 5 * MICROSECOND, 1, 1424), 100 * MICROSECOND);
    /* Never at low rates. */
    CHECK_EQ(settle(&c, 50 * MICROSECOND, 1, 1424), 0);
    CHECK_EQ(settle(&c, 10000 * MICROSECOND, 3, 1424), 0);
    /* Nor when the batches are long. */
    CHECK_EQ(settle(&c, 20 * MICROSECOND, 64, 1424), 0);
    /* Nor when it is off. */
    c = bound(0);
    CHECK_EQ(settle(&c, 5 * MICROSECOND, 1, 1424), 0);
    /* The socket's buffer does not overflow meanwhile. */
    c = bound(200);
    c.buffer_size = 1 << 20;
    CHECK(settle(&c, 2 * MICROSECOND, 1, 1424) < 100 * MICROSECOND);
    /* A burst within an idle time looks like the mean rate. */
    c = bound(100);
    c.window_ns = 1;
    for (uint64_t burst = 1; burst < 20; burst++) {
        for (uint64_t i = 0; i < 100; i++)
            CHECK_EQ(spni_coalesce_decide(
                         &c, (burst * 10000 + i * 5) * MICROSECOND, 1, 1424),
                     0);
    }
    return 0;
}
