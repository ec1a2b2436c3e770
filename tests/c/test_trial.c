/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"
#include "net/trial.h"

/* Samples of a kilobyte each; how many went the other way. */
static unsigned run(spni_trial *trial, unsigned samples, uint64_t plain_ns,
                    uint64_t other_ns)
{
    unsigned other = 0;
    for (unsigned i = 0; i < samples; i++) {
        other += trial->is_other;
        spni_trial_add(trial, trial->is_other ? other_ns : plain_ns, 1000);
    }
    return other;
}

static void begins_plainly(void)
{
    spni_trial trial;
    spni_trial_init(&trial);
    CHECK(!trial.is_other);
}

static void keeps_the_cheaper(void)
{
    spni_trial trial;
    spni_trial_init(&trial);
    CHECK(run(&trial, 100000, 200, 100) > 90000);
    CHECK(run(&trial, 100000, 100, 200) < 20000); /* it learns anew */
    CHECK(run(&trial, 100000, 100, 200) < 2000);  /* and tries less often */
    CHECK(run(&trial, 100000, 100, 200) > 0);
    CHECK(run(&trial, 100000, 200, 100) > 80000);
}

static void a_tie_is_plain(void)
{
    spni_trial trial;
    spni_trial_init(&trial);
    CHECK(run(&trial, 100000, 100, 100) < 3000);
    spni_trial_init(&trial);
    CHECK(run(&trial, 100000, 0, 0) < 3000); /* a clock that stands still */
}

int main(void)
{
    begins_plainly();
    keeps_the_cheaper();
    a_tie_is_plain();
    return 0;
}
