/* SPDX-License-Identifier: Apache-2.0 */
/* An eventfd that is either raised (readable) or not: a level, not a count.
 * The owner keeps its lock around raise and lower so that they agree with the
 * state that the level tells of. */
#ifndef SPNI_EVENT_H
#define SPNI_EVENT_H

#include <stdbool.h>

typedef struct {
    int fd;      /* -1: not made */
    bool raised;
} spni_event;

int spni_event_init(spni_event *event); /* 0 or -errno */
void spni_event_fini(spni_event *event);
void spni_event_raise(spni_event *event);
void spni_event_lower(spni_event *event);

#endif
