/* SPDX-License-Identifier: Apache-2.0 */
/* Which of two ways of doing the same work is cheaper here and now. Pure.
 *
 * The ways take turns for some phases; the one that took less processor time a
 * byte is kept for a while, and then they are tried again, less often as long
 * as the answer stays the same. The plain way wins a tie. */
#ifndef SPNI_TRIAL_H
#define SPNI_TRIAL_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    uint64_t cpu_ns;
    uint64_t bytes;
} spni_cost;

typedef struct {
    bool is_other;    /* the way to go now; false: the plain one */
    bool had_other;   /* what the last trial found */
    unsigned left;    /* samples until this phase, or this keeping, is over */
    unsigned phases;  /* that are left of the trial; 0: keeping */
    unsigned keeping; /* samples that the next answer is kept for */
    spni_cost costs[2];
} spni_trial;

void spni_trial_init(spni_trial *trial);

/* The way to go now took so much processor time for so many bytes. */
void spni_trial_add(spni_trial *trial, uint64_t cpu_ns, uint64_t bytes);

#endif
