/* SPDX-License-Identifier: Apache-2.0 */
/* Until the first loss each window of replies adds one. From then on there is
 * a ceiling, the level that has been seen to work, and *tries* one above it. A
 * try that brings two windows of replies raises the ceiling; one that meets a
 * loss goes back to it, and the next comes after twice as many replies.
 *
 * A board that holds eight loses exactly one of nine, so one off is the right
 * step: it leaves what was not lost. (Halving, as TCP does, would leave a lossy
 * link too small a window, and here nothing is shared with strangers.) And a
 * loss at or below the ceiling is one at random, about which a smaller window
 * can do nothing, unless losses come so close together that the board must
 * hold less than it did. */
#include "scp/size.h"

#include <limits.h>

enum {
    FLOOR = 4, /* the fewest with which three later replies can overtake */
    PATIENCE_MIN = 2,
    PATIENCE_MAX = 256,
    RUN = 3,    /* losses with fewer replies between them are one event... */
    CLOSE = 12, /* ...and so many such gaps in a row are no chance */
    STRIKES = 6,
};

static int smaller(int a, int b)
{
    return a < b ? a : b;
}

static int larger(int a, int b)
{
    return a > b ? a : b;
}

void spni_size_init(spni_size *size, int start, int maximum)
{
    *size = (spni_size){
        .current = start,
        .maximum = maximum,
        .floor = smaller(FLOOR, maximum),
        .ceiling = INT_MAX,
        .patience = PATIENCE_MIN,
        .since_loss = INT_MAX,
    };
}

static bool is_trying(const spni_size *size)
{
    return size->current > size->ceiling;
}

static int step(const spni_size *size)
{
    if (size->ceiling == INT_MAX)
        return size->current;
    return size->current * (is_trying(size) ? 2 : size->patience);
}

void spni_size_replied(spni_size *size, bool was_full)
{
    if (size->since_loss < INT_MAX)
        size->since_loss++;
    if (!was_full || ++size->credits < step(size))
        return;
    size->credits = 0;
    if (is_trying(size)) {
        size->ceiling = size->current;
        size->patience = PATIENCE_MIN;
    } else if (size->current < size->maximum) {
        size->current++;
    }
}

static void lower(spni_size *size)
{
    size->current = larger(size->current - 1, size->floor);
    size->ceiling = size->current;
    size->credits = 0;
}

/* Whether a loss at or below the ceiling says that it is too high. */
static bool is_no_chance(spni_size *size)
{
    size->strikes = size->since_loss < CLOSE ? size->strikes + 1 : 0;
    if (size->strikes < STRIKES)
        return false;
    size->strikes = 0;
    return true;
}

void spni_size_lost(spni_size *size)
{
    if (is_trying(size)) {
        size->patience = smaller(2 * size->patience, PATIENCE_MAX);
        lower(size);
    } else if (size->ceiling == INT_MAX || size->since_loss < RUN ||
               is_no_chance(size)) {
        lower(size);
    }
    size->since_loss = 0;
}
