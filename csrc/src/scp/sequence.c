/* SPDX-License-Identifier: Apache-2.0 */
/* A board answers whatever reaches it, so one request sent twice may bring two
 * replies, the second of them any time later; were its number in use again by
 * then, old bytes would be taken for new. The common case, sent once and
 * answered once, cannot do that and must not wait: at 280 000 requests a second
 * the numbers come round four times a second. */
#include "scp/sequence.h"

#include <errno.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/fork.h"

#define REST_S 30

/* Marks in a slot that is not a pointer to a request. */
static char retired_mark, resting_mark;
#define RETIRED ((void *)&retired_mark)
#define RESTING ((void *)&resting_mark)

int spn_sequences_new(spn_sequences **out)
{
    spn_sequences *sequences = calloc(1, sizeof *sequences);
    if (!sequences)
        return -ENOMEM;
    sequences->references = 1;
    sequences->forks = spni_fork_count();
    pthread_mutex_init(&sequences->lock, NULL);
    *out = sequences;
    return 0;
}

void spni_sequences_ref(spn_sequences *sequences)
{
    __atomic_add_fetch(&sequences->references, 1, __ATOMIC_RELAXED);
}

void spn_sequences_unref(spn_sequences *sequences)
{
    if (!sequences ||
        __atomic_sub_fetch(&sequences->references, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    pthread_mutex_destroy(&sequences->lock);
    free(sequences);
}

bool spni_sequences_are_forked(const spn_sequences *sequences)
{
    return sequences->forks != spni_fork_count();
}

/* Whole seconds, which do not wrap while a machine is up. */
static uint32_t to_seconds(uint64_t now_ns)
{
    return (uint32_t)(now_ns / SPNI_SECOND_NS);
}

static void wake_oldest(spn_sequences *sequences)
{
    uint16_t oldest = sequences->resting[sequences->rest_first].sequence;
    sequences->slots[oldest] = RETIRED;
    sequences->rest_first = (sequences->rest_first + 1) % SPNI_RESTING_MAX;
    sequences->rest_count--;
}

static void wake_rested(spn_sequences *sequences, uint64_t now_ns)
{
    while (sequences->rest_count > 0 &&
           sequences->resting[sequences->rest_first].until_s <=
               to_seconds(now_ns))
        wake_oldest(sequences);
}

static bool is_free(const void *slot)
{
    return !slot || slot == RETIRED;
}

bool spni_sequence_any_locked(const spn_sequences *sequences)
{
    /* Half at most rest, so there is always a free one to be found. */
    return sequences->in_use < SPNI_SEQUENCES - SPNI_RESTING_MAX - 1;
}

int spni_sequence_take_locked(spn_sequences *sequences, uint64_t now_ns,
                              void *request)
{
    if (!spni_sequence_any_locked(sequences))
        return SPN_ENUMBERS;
    wake_rested(sequences, now_ns);
    while (!is_free(sequences->slots[sequences->next]))
        sequences->next++;
    uint16_t sequence = sequences->next++;
    sequences->slots[sequence] = request;
    sequences->in_use++;
    return sequence;
}

void *spni_sequence_find_locked(spn_sequences *sequences, uint16_t sequence,
                                bool *was_used)
{
    void *slot = sequences->slots[sequence];
    *was_used = slot != NULL;
    return is_free(slot) || slot == RESTING ? NULL : slot;
}

void spni_sequence_retire_locked(spn_sequences *sequences, uint16_t sequence,
                                 uint64_t now_ns, bool rests)
{
    sequences->in_use--;
    sequences->slots[sequence] = rests ? RESTING : RETIRED;
    if (!rests)
        return;
    if (sequences->rest_count == SPNI_RESTING_MAX)
        wake_oldest(sequences);
    uint32_t last = (sequences->rest_first + sequences->rest_count++) %
                    SPNI_RESTING_MAX;
    sequences->resting[last] = (spni_resting){
        .until_s = to_seconds(now_ns) + REST_S + 1,
        .sequence = sequence,
    };
}
