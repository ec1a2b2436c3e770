/* SPDX-License-Identifier: Apache-2.0 */
/* Heaps on their way through a sender: submitted, taken by whoever drives the
 * socket, complete, collected. The part of a sender that threads share.
 *
 * The *turn* says who drives: nobody (nothing is in flight), the loop, or the
 * thread of a caller. Whoever has it alone touches the socket.
 */
#ifndef SPNI_OUTBOX_H
#define SPNI_OUTBOX_H

#include <pthread.h>

#include "base/event.h"
#include "spead/group.h"

/* A group of heaps in flight, mostly of one. */
typedef struct spni_job {
    struct spni_job *next;
    uint64_t token;
    spni_place built; /* the first packet that the writer has not been given */
    spni_place sent;  /* the first that the kernel has not taken */
    size_t ended;     /* heaps that were sent or given up */
    uint64_t bytes;   /* of those that were sent */
    int error;        /* the first that a heap met, or 0 */
    spni_group group;
    spni_member members[];
} spni_job;

/* A job with references to the heaps' packets; NULL when memory runs out. */
spni_job *spni_job_new(const spn_heap_reference *heaps, size_t count, int mode,
                       uint64_t token);
void spni_job_free(spni_job *job);

typedef struct {
    spni_job *first;
    spni_job **end;
} spni_jobs;

void spni_jobs_init(spni_jobs *jobs);
void spni_jobs_append(spni_jobs *jobs, spni_job *job);
spni_job *spni_jobs_shift(spni_jobs *jobs);
/* Move all of `from` to the end of `jobs`. */
void spni_jobs_join(spni_jobs *jobs, spni_jobs *from);

typedef enum {
    SPNI_TURN_NOBODY,
    SPNI_TURN_LOOP,
    SPNI_TURN_CALLER,
} spni_turn;

typedef struct {
    pthread_mutex_t lock; /* everything below */
    spni_turn turn;
    bool is_stopped; /* also read without the lock, atomically */
    spni_jobs incoming;
    spni_jobs done;
    size_t in_flight; /* heaps */
    size_t max_heaps;
    uint64_t submitted; /* jobs, ever */
    uint64_t completed;
    uint64_t next_cnt;
    uint64_t cnt_step;
    spni_event event;  /* raised while `done` is not empty */
    uint32_t changes;  /* atomic, a futex: `completed` or `turn` changed */
    unsigned waiters;  /* on the futex */
    spn_sender_stats stats;
} spni_outbox;

void spni_outbox_init(spni_outbox *outbox, size_t max_heaps);

/* Frees what nobody collected. */
void spni_outbox_fini(spni_outbox *outbox);

/* Accept a job made of `heaps` (cnt -1: give it the next) and take the turn for
 * the caller, if wanted, or else the loop, unless somebody has it. 0 and in
 * *turn who has just got it (SPNI_TURN_NOBODY: no change); -EAGAIN;
 * SPN_ESTOPPED. */
int spni_outbox_submit(spni_outbox *outbox, spni_job *job,
                       const spn_heap_reference *heaps, bool direct,
                       spni_turn *turn);

/* For whoever has the turn: move what came in to the end of `jobs`. */
void spni_outbox_take(spni_outbox *outbox, spni_jobs *jobs);

/* Publish completions and the statistics that the driver keeps. */
void spni_outbox_finish(spni_outbox *outbox, spni_jobs *jobs,
                        const spn_sender_stats *driven);

/* Give the turn back if nothing has come in; false: there is more to do. */
bool spni_outbox_give_up_turn(spni_outbox *outbox);

/* A caller's thread leaves the rest to the loop. */
void spni_outbox_pass_turn_to_loop(spni_outbox *outbox);

bool spni_outbox_is_stopped(const spni_outbox *outbox);

/* Refuse jobs from now on and wait until no caller has the turn. */
void spni_outbox_stop(spni_outbox *outbox);

/* Collect a job that has been sent: the bytes. 0 if it is not done or failed,
 * and nothing has happened. */
int64_t spni_outbox_collect_sent(spni_outbox *outbox, uint64_t token);

/* The rest: see spn_sender_.... */
int spni_outbox_wait(spni_outbox *outbox, uint64_t token, int timeout_ms,
                     int64_t *result);
int spni_outbox_flush(spni_outbox *outbox, int timeout_ms);
int spni_outbox_try_pop(spni_outbox *outbox, spn_completion *out, int count);
int spni_outbox_fd(spni_outbox *outbox);

#endif
