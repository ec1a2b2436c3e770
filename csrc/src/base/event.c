/* SPDX-License-Identifier: Apache-2.0 */
#include "base/event.h"

#include <errno.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

int spni_event_init(spni_event *event)
{
    event->raised = false;
    event->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return event->fd < 0 ? -errno : 0;
}

void spni_event_fini(spni_event *event)
{
    if (event->fd >= 0)
        close(event->fd);
    event->fd = -1;
    event->raised = false;
}

void spni_event_raise(spni_event *event)
{
    uint64_t one = 1;
    if (event->raised || event->fd < 0)
        return;
    event->raised = write(event->fd, &one, sizeof one) == sizeof one;
}

void spni_event_lower(spni_event *event)
{
    uint64_t count;
    if (!event->raised)
        return;
    event->raised = false;
    /* Somebody else who read it did what is wanted. */
    ssize_t length = read(event->fd, &count, sizeof count);
    (void)length;
}
