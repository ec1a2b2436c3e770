/* SPDX-License-Identifier: Apache-2.0 */
/* Whether to go on guessing what comes. Misses in excess of hits end it for a
 * number of calls, then for twice as many, and so on; a hit begins anew. */
#ifndef SPNI_GUESS_H
#define SPNI_GUESS_H

#include <stdbool.h>

enum {
    SPNI_GUESS_MISSES = 8,
    SPNI_GUESS_PAUSE_MIN = 64, /* calls */
    SPNI_GUESS_PAUSE_MAX = 8192,
};

typedef struct {
    unsigned misses; /* lately */
    unsigned pause;  /* calls to go without a guess */
    unsigned next_pause;
} spni_guess;

static inline void spni_guess_init(spni_guess *guess)
{
    *guess = (spni_guess){.next_pause = SPNI_GUESS_PAUSE_MIN};
}

/* Whether to guess for this call. */
static inline bool spni_guess_may(spni_guess *guess)
{
    if (guess->pause == 0)
        return true;
    guess->pause--;
    return false;
}

/* What came of the guess. */
static inline void spni_guess_judge(spni_guess *guess, bool hit)
{
    if (hit) {
        guess->misses -= guess->misses > 0;
        guess->next_pause = SPNI_GUESS_PAUSE_MIN;
        return;
    }
    if (++guess->misses < SPNI_GUESS_MISSES)
        return;
    guess->misses = SPNI_GUESS_MISSES / 2;
    guess->pause = guess->next_pause;
    if (guess->next_pause < SPNI_GUESS_PAUSE_MAX)
        guess->next_pause *= 2;
}

#endif
