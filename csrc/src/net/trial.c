/* SPDX-License-Identifier: Apache-2.0 */
#include "net/trial.h"

enum {
    PHASES = 8,
    PHASE = 8,       /* samples, the first of which is thrown away */
    KEEPING_MIN = 500, /* samples */
    KEEPING_MAX = 8000,
};

#define CLEARLY 0.95 /* less than this part of the plain way's cost */

static void begin(spni_trial *trial)
{
    trial->is_other = false;
    trial->phases = PHASES;
    trial->left = PHASE;
    trial->costs[0] = trial->costs[1] = (spni_cost){0};
}

void spni_trial_init(spni_trial *trial)
{
    *trial = (spni_trial){.keeping = KEEPING_MIN};
    begin(trial);
}

static double cost(const spni_cost *of)
{
    return (double)of->cpu_ns / (double)(of->bytes > 0 ? of->bytes : 1);
}

static void decide(spni_trial *trial)
{
    bool is_other =
        cost(&trial->costs[1]) < CLEARLY * cost(&trial->costs[0]);

    trial->keeping = is_other == trial->had_other ? 2 * trial->keeping
                                                  : KEEPING_MIN;
    if (trial->keeping > KEEPING_MAX)
        trial->keeping = KEEPING_MAX;
    trial->is_other = trial->had_other = is_other;
    trial->left = trial->keeping;
}

void spni_trial_add(spni_trial *trial, uint64_t cpu_ns, uint64_t bytes)
{
    if (trial->phases > 0 && trial->left < PHASE) {
        trial->costs[trial->is_other].cpu_ns += cpu_ns;
        trial->costs[trial->is_other].bytes += bytes;
    }
    if (--trial->left > 0)
        return;
    if (trial->phases == 0) {
        begin(trial);
    } else if (--trial->phases == 0) {
        decide(trial);
    } else {
        trial->is_other = !trial->is_other;
        trial->left = PHASE;
    }
}
