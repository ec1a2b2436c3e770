/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"
#include "net/coalesce.h"

#define MICROSECOND UINT64_C(1000)

enum { CALLS = 200000 };

/* Traffic, and what a call costs the thread without and after a wait. */
typedef struct {
    uint64_t interval_ns; /* of the calls */
    unsigned messages;    /* of each */
    size_t bytes;         /* of each message */
    uint64_t cost_ns[2];
} traffic;

/* How many of the calls were followed by a wait. */
static unsigned settle(spni_coalesce *c, const traffic *t)
{
    uint64_t now_ns = 1, cpu_ns = 1, wait_ns = 0;
    unsigned waits = 0;
    c->window_ns = 1;
    for (int i = 0; i < CALLS; i++) {
        now_ns += t->interval_ns;
        cpu_ns += t->cost_ns[wait_ns > 0];
        if (spni_coalesce_count(c, now_ns, t->messages,
                                t->messages * t->bytes))
            spni_coalesce_close(c, now_ns, cpu_ns);
        wait_ns = spni_coalesce_wait_ns(c, t->messages);
        CHECK(wait_ns <= c->bound_ns);
        waits += wait_ns > 0;
    }
    return waits;
}

static spni_coalesce bound(uint64_t us, size_t buffer_size)
{
    spni_coalesce c;
    spni_coalesce_init(&c, us * MICROSECOND, buffer_size, 1);
    return c;
}

static unsigned waits_of(uint64_t interval_us, unsigned messages,
                         uint64_t cost, uint64_t cost_after_wait)
{
    spni_coalesce c = bound(100, 16 << 20);
    traffic t = {interval_us * MICROSECOND, messages, 1424,
                 {cost, cost_after_wait}};
    return settle(&c, &t);
}

static void waits_where_it_pays(void)
{
    /* Single packets, many within the bound. */
    CHECK(waits_of(5, 1, 3000, 2000) > CALLS / 2);
    /* There, but waking up costs more than is saved; it is tried all the same. */
    CHECK(waits_of(5, 1, 2000, 3000) < CALLS / 5);
    CHECK(waits_of(5, 1, 2000, 3000) > 0);
    /* No difference: at once. */
    CHECK(waits_of(5, 1, 2000, 2000) < CALLS / 5);
    /* Never at low rates. */
    CHECK_EQ(waits_of(50, 1, 3000, 1000), 0);
    CHECK_EQ(waits_of(10000, 3, 3000, 1000), 0);
    /* Nor when the batches are long. */
    CHECK_EQ(waits_of(20, 64, 3000, 1000), 0);
}

static void can_be_off(void)
{
    spni_coalesce c = bound(0, 16 << 20);
    traffic t = {5 * MICROSECOND, 1, 1424, {3000, 1000}};
    CHECK_EQ(settle(&c, &t), 0);
}

/* The socket's buffer does not overflow meanwhile. */
static void minds_the_buffer(void)
{
    spni_coalesce c = bound(200, 1 << 20);
    traffic t = {2 * MICROSECOND, 1, 1424, {3000, 2000}};
    CHECK(settle(&c, &t) > 0);
    c.trial.is_other = true;
    CHECK(spni_coalesce_wait_ns(&c, 1) > 0);
    CHECK(spni_coalesce_wait_ns(&c, 1) < 100 * MICROSECOND);
}

/* A burst within an idle time looks like the mean rate. */
static void leaves_bursts_alone(void)
{
    spni_coalesce c = bound(100, 16 << 20);
    c.trial.is_other = true;
    for (uint64_t burst = 1; burst < 20; burst++) {
        for (uint64_t i = 0; i < 100; i++) {
            uint64_t now_ns = (burst * 10000 + i * 5) * MICROSECOND;
            if (spni_coalesce_count(&c, now_ns, 1, 1424))
                spni_coalesce_close(&c, now_ns, now_ns / 10);
            CHECK_EQ(spni_coalesce_wait_ns(&c, 1), 0);
        }
    }
}

int main(void)
{
    waits_where_it_pays();
    can_be_off();
    minds_the_buffer();
    leaves_bursts_alone();
    return 0;
}
