/* SPDX-License-Identifier: Apache-2.0 */
/* Each loss takes one off, each window of replies adds one. A board that holds
 * eight loses exactly one of nine, so one off is the right step: it leaves
 * what was not lost. (Halving, as TCP does, would leave a lossy link too small
 * a window, and here nothing is shared with strangers.)
 *
 * What that alone would get wrong is to run into the same wall once a window.
 * So the level that worked is kept as the ceiling; above it we go only after
 * `patience` windows, twice as many after each try that failed. Losses at
 * random, below the ceiling, lower it slowly. */
#include "scp/size.h"

#include <limits.h>

enum {
    FLOOR = 4, /* the fewest with which three later replies can overtake */
    PATIENCE_MIN = 8,
    PATIENCE_MAX = 256,
    STRIKES = 4,
    RUN = 3, /* losses with fewer replies between them are one event */
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

static int step(const spni_size *size)
{
    if (size->current > size->ceiling)
        return 2 * size->current;
    if (size->current < size->ceiling)
        return size->current;
    return size->patience * size->current;
}

void spni_size_replied(spni_size *size, bool was_full)
{
    if (size->since_loss < INT_MAX)
        size->since_loss++;
    if (!was_full || ++size->credits < step(size))
        return;
    size->credits = 0;
    if (size->current > size->ceiling)
        size->ceiling = size->current; /* the try went well */
    else if (size->current < size->maximum)
        size->current++;
}

static void lower_ceiling(spni_size *size)
{
    int below = larger(size->current - 1, size->floor);
    if (size->ceiling == INT_MAX || size->since_loss < RUN) {
        size->ceiling = below;
    } else if (size->current > size->ceiling) {
        size->patience = smaller(2 * size->patience, PATIENCE_MAX);
        size->credits = 0;
    } else if (++size->strikes == STRIKES) {
        size->strikes = 0;
        size->ceiling = larger(size->ceiling - 1, size->floor);
    }
}

void spni_size_lost(spni_size *size)
{
    lower_ceiling(size);
    size->since_loss = 0;
    size->current = larger(size->current - 1, size->floor);
}
