/* SPDX-License-Identifier: Apache-2.0 */
/* Records for Python's logging, through a bounded ring: a thread that receives
 * packets must never wait for an interpreter. When the ring is full a record
 * is counted and lost; one that repeats the newest in the ring only adds to
 * its count. */
#ifndef SPNI_LOG_H
#define SPNI_LOG_H

#include "pyspin.h"

/* Any thread; never waits for a reader. `level` is one of SPN_LOG_.... */
void spni_log(int level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
