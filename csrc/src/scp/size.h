/* SPDX-License-Identifier: Apache-2.0 */
/* How many requests a board may hold at a time, found by trying. */
#ifndef SPNI_SCP_SIZE_H
#define SPNI_SCP_SIZE_H

#include <stdbool.h>

typedef struct {
    int current;
    int maximum;
    int floor;
    int ceiling;  /* what has been seen to work; above it we are *trying* */
    int patience; /* windows of replies at the ceiling before the next try */
    int credits;  /* replies towards the next step */
    int since_loss; /* replies */
    int strikes;  /* losses at the ceiling that came soon after another */
} spni_size;

void spni_size_init(spni_size *size, int start, int maximum);

/* A request was answered; `was_full`: the window was in the way of more. */
void spni_size_replied(spni_size *size, bool was_full);

/* A request or its reply was lost. */
void spni_size_lost(spni_size *size);

#endif
