/* SPDX-License-Identifier: Apache-2.0 */
#include "base/event.h"

#include <poll.h>
#include <stdint.h>
#include <unistd.h>

#include "check.h"

static int is_readable(const spni_event *event)
{
    struct pollfd poller = {.fd = event->fd, .events = POLLIN};
    return poll(&poller, 1, 0);
}

static void raise_is_a_level(void)
{
    spni_event event;
    CHECK_EQ(spni_event_init(&event), 0);
    CHECK_EQ(is_readable(&event), 0);
    spni_event_raise(&event);
    spni_event_raise(&event);
    CHECK_EQ(is_readable(&event), 1);
    spni_event_lower(&event);
    CHECK_EQ(is_readable(&event), 0);
    spni_event_lower(&event);
    spni_event_fini(&event);
    CHECK_EQ(event.fd, -1);
    spni_event_fini(&event);
}

static void lowering_survives_a_foreign_read(void)
{
    spni_event event;
    uint64_t count;
    CHECK_EQ(spni_event_init(&event), 0);
    spni_event_raise(&event);
    CHECK(read(event.fd, &count, sizeof count) == sizeof count);
    spni_event_lower(&event);
    spni_event_raise(&event);
    CHECK_EQ(is_readable(&event), 1);
    spni_event_fini(&event);
}

int main(void)
{
    raise_is_a_level();
    lowering_survives_a_foreign_read();
    return 0;
}
