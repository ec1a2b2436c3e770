/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting is on a futex and not on a condition variable: a condition variable
 * hides signals, and a blocked Python caller must see them. A change bumps the
 * word under the lock; a waiter reads the word under the lock before it looks,
 * so no change is missed.
 */
#include "net/outbox.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "spead/packets.h"

/* ---- lists ---- */

void spni_jobs_init(spni_jobs *jobs)
{
    jobs->first = NULL;
    jobs->end = &jobs->first;
}

void spni_jobs_append(spni_jobs *jobs, spni_job *job)
{
    job->next = NULL;
    *jobs->end = job;
    jobs->end = &job->next;
}

spni_job *spni_jobs_shift(spni_jobs *jobs)
{
    spni_job *job = jobs->first;
    if (job != NULL) {
        jobs->first = job->next;
        if (jobs->first == NULL) {
            jobs->end = &jobs->first;
        }
    }
    return job;
}

void spni_jobs_join(spni_jobs *jobs, spni_jobs *from)
{
    if (from->first != NULL) {
        *jobs->end = from->first;
        jobs->end = from->end;
        spni_jobs_init(from);
    }
}

/* Where a job hangs; NULL if there is none of this token. */
static spni_job **find_token(spni_jobs *jobs, uint64_t token)
{
    spni_job **at = &jobs->first;
    while (*at != NULL && (*at)->token != token) {
        at = &(*at)->next;
    }
    return *at == NULL ? NULL : at;
}

static spni_job *remove_job(spni_jobs *jobs, spni_job **at)
{
    spni_job *job = *at;
    *at = job->next;
    if (*at == NULL) {
        jobs->end = at;
    }
    return job;
}

static void free_jobs(spni_jobs *jobs)
{
    spni_job *job;
    while ((job = spni_jobs_shift(jobs)) != NULL) {
        spni_job_free(job);
    }
}

/* ---- jobs ---- */

spni_job *spni_job_new(const spn_heap_reference *heaps, size_t count, int mode,
                       uint64_t token)
{
    spni_job *job = malloc(sizeof *job + count * sizeof *job->members);
    if (job == NULL) {
        return NULL;
    }
    *job = (spni_job){
        .token = token,
        .group = {.mode = mode, .count = count, .members = job->members}};
    for (size_t i = 0; i < count; i++) {
        job->members[i] =
            (spni_member){.packets = heaps[i].packets,
                          .endpoint = heaps[i].endpoint,
                          .count = spn_packets_count(heaps[i].packets)};
        spni_packets_ref(heaps[i].packets);
    }
    return job;
}

void spni_job_free(spni_job *job)
{
    for (size_t i = 0; i < job->group.count; i++) {
        spn_packets_unref(job->members[i].packets);
    }
    free(job);
}

static int64_t result_of(const spni_job *job)
{
    return job->error < 0 ? job->error : (int64_t)job->bytes;
}

/* ---- life ---- */

void spni_outbox_init(spni_outbox *outbox, size_t max_heaps)
{
    *outbox = (spni_outbox){.max_heaps = max_heaps,
                            .next_cnt = 1,
                            .cnt_step = 1,
                            .event.fd = -1};
    pthread_mutex_init(&outbox->lock, NULL);
    spni_jobs_init(&outbox->incoming);
    spni_jobs_init(&outbox->done);
}

/* The lock once more, as what other threads left must be seen. */
void spni_outbox_fini(spni_outbox *outbox)
{
    pthread_mutex_lock(&outbox->lock);
    pthread_mutex_unlock(&outbox->lock);
    free_jobs(&outbox->incoming);
    free_jobs(&outbox->done);
    spni_event_fini(&outbox->event);
    pthread_mutex_destroy(&outbox->lock);
}

/* ---- waiting ---- */

/* True when somebody is to be woken, after the lock has been left. */
static bool change_locked(spni_outbox *outbox)
{
    __atomic_add_fetch(&outbox->changes, 1, __ATOMIC_RELEASE);
    return outbox->waiters > 0;
}

static void wake(spni_outbox *outbox)
{
    syscall(SYS_futex, &outbox->changes, FUTEX_WAKE_PRIVATE, INT_MAX, NULL,
            NULL, 0);
}

/* 0: something may have changed; -EINTR; -EAGAIN: the time is up. */
static int sleep_until(spni_outbox *outbox, uint32_t seen, uint64_t deadline_ns)
{
    struct timespec left, *timeout = NULL;
    if (deadline_ns != UINT64_MAX) {
        uint64_t now_ns = spni_now_ns();
        if (now_ns >= deadline_ns) {
            return -EAGAIN;
        }
        uint64_t ns = deadline_ns - now_ns;
        left = (struct timespec){.tv_sec = (time_t)(ns / SPNI_SECOND_NS),
                                 .tv_nsec = (long)(ns % SPNI_SECOND_NS)};
        timeout = &left;
    }
    long code = syscall(SYS_futex, &outbox->changes, FUTEX_WAIT_PRIVATE, seen,
                        timeout, NULL, 0);
    return code < 0 && errno == EINTR ? -EINTR : 0;
}

static int wait_locked(spni_outbox *outbox, uint64_t deadline_ns)
{
    uint32_t seen = __atomic_load_n(&outbox->changes, __ATOMIC_ACQUIRE);
    outbox->waiters++;
    pthread_mutex_unlock(&outbox->lock);
    int code = sleep_until(outbox, seen, deadline_ns);
    pthread_mutex_lock(&outbox->lock);
    outbox->waiters--;
    return code;
}

static uint64_t deadline_after(int timeout_ms)
{
    return timeout_ms < 0
               ? UINT64_MAX
               : spni_now_ns() + (uint64_t)timeout_ms * UINT64_C(1000000);
}

/* ---- the way in ---- */

static void give_turn_locked(spni_outbox *outbox, bool direct, spni_turn *turn)
{
    *turn = SPNI_TURN_NOBODY;
    if (outbox->turn == SPNI_TURN_NOBODY) {
        outbox->turn = direct ? SPNI_TURN_CALLER : SPNI_TURN_LOOP;
        *turn = outbox->turn;
    }
}

static uint64_t take_cnt_locked(spni_outbox *outbox, const spn_packets *packets)
{
    uint64_t cnt = spni_packets_wrap_cnt(packets, outbox->next_cnt);
    outbox->next_cnt += outbox->cnt_step;
    return cnt;
}

static int submit_locked(spni_outbox *outbox, spni_job *job,
                         const spn_heap_reference *heaps)
{
    size_t count = job->group.count;
    if (outbox->is_stopped) {
        return SPN_ESTOPPED;
    }
    if (count > outbox->max_heaps - outbox->in_flight) {
        outbox->stats.refused += count;
        return -EAGAIN;
    }
    for (size_t i = 0; i < count; i++) {
        job->members[i].cnt = heaps[i].cnt < 0
                                  ? take_cnt_locked(outbox, heaps[i].packets)
                                  : (uint64_t)heaps[i].cnt;
    }
    outbox->in_flight += count;
    outbox->submitted++;
    spni_jobs_append(&outbox->incoming, job);
    return 0;
}

int spni_outbox_submit(spni_outbox *outbox, spni_job *job,
                       const spn_heap_reference *heaps, bool direct,
                       spni_turn *turn)
{
    pthread_mutex_lock(&outbox->lock);
    int code = submit_locked(outbox, job, heaps);
    if (code == 0) {
        give_turn_locked(outbox, direct, turn);
    }
    pthread_mutex_unlock(&outbox->lock);
    return code;
}

/* ---- for whoever has the turn ---- */

void spni_outbox_take(spni_outbox *outbox, spni_jobs *jobs)
{
    pthread_mutex_lock(&outbox->lock);
    spni_jobs_join(jobs, &outbox->incoming);
    pthread_mutex_unlock(&outbox->lock);
}

void spni_outbox_finish(spni_outbox *outbox, spni_jobs *jobs,
                        const spn_sender_stats *driven)
{
    bool is_wanted = false;
    pthread_mutex_lock(&outbox->lock);
    uint64_t refused = outbox->stats.refused;
    outbox->stats = *driven;
    outbox->stats.refused = refused;
    if (jobs->first != NULL) {
        for (spni_job *job = jobs->first; job != NULL; job = job->next) {
            outbox->in_flight -= job->group.count;
            outbox->completed++;
        }
        spni_jobs_join(&outbox->done, jobs);
        spni_event_raise(&outbox->event);
        is_wanted = change_locked(outbox);
    }
    pthread_mutex_unlock(&outbox->lock);
    if (is_wanted) {
        wake(outbox);
    }
}

static void set_turn_locked(spni_outbox *outbox, spni_turn turn)
{
    outbox->turn = turn;
    if (outbox->is_stopped && change_locked(outbox)) {
        wake(outbox);
    }
}

bool spni_outbox_give_up_turn(spni_outbox *outbox)
{
    pthread_mutex_lock(&outbox->lock);
    bool is_idle = outbox->incoming.first == NULL;
    if (is_idle) {
        set_turn_locked(outbox, SPNI_TURN_NOBODY);
    }
    pthread_mutex_unlock(&outbox->lock);
    return is_idle;
}

void spni_outbox_pass_turn_to_loop(spni_outbox *outbox)
{
    pthread_mutex_lock(&outbox->lock);
    set_turn_locked(outbox, SPNI_TURN_LOOP);
    pthread_mutex_unlock(&outbox->lock);
}

bool spni_outbox_is_stopped(const spni_outbox *outbox)
{
    return __atomic_load_n(&outbox->is_stopped, __ATOMIC_RELAXED);
}

void spni_outbox_stop(spni_outbox *outbox)
{
    pthread_mutex_lock(&outbox->lock);
    __atomic_store_n(&outbox->is_stopped, true, __ATOMIC_RELAXED);
    while (outbox->turn == SPNI_TURN_CALLER) {
        wait_locked(outbox, UINT64_MAX);
    }
    pthread_mutex_unlock(&outbox->lock);
}

/* ---- the way out ---- */

static spn_completion collect_locked(spni_outbox *outbox, spni_job **at)
{
    spni_job *job = remove_job(&outbox->done, at);
    spn_completion done = {.token = job->token, .result = result_of(job)};
    if (outbox->done.first == NULL) {
        spni_event_lower(&outbox->event);
    }
    spni_job_free(job);
    return done;
}

int64_t spni_outbox_collect_sent(spni_outbox *outbox, uint64_t token)
{
    int64_t sent = 0;
    pthread_mutex_lock(&outbox->lock);
    spni_job **at = find_token(&outbox->done, token);
    if (at != NULL && (*at)->error == 0) {
        sent = collect_locked(outbox, at).result;
    }
    pthread_mutex_unlock(&outbox->lock);
    return sent;
}

int spni_outbox_wait(spni_outbox *outbox, uint64_t token, int timeout_ms,
                     int64_t *result)
{
    uint64_t deadline_ns = deadline_after(timeout_ms);
    int code = 0;
    spni_job **at;
    pthread_mutex_lock(&outbox->lock);
    while ((at = find_token(&outbox->done, token)) == NULL && code == 0) {
        code = wait_locked(outbox, deadline_ns);
    }
    if (at != NULL) {
        *result = collect_locked(outbox, at).result;
        code = 0;
    }
    pthread_mutex_unlock(&outbox->lock);
    return code;
}

int spni_outbox_flush(spni_outbox *outbox, int timeout_ms)
{
    uint64_t deadline_ns = deadline_after(timeout_ms);
    int code = 0;
    pthread_mutex_lock(&outbox->lock);
    uint64_t target = outbox->submitted;
    while (outbox->completed < target && code == 0) {
        code = wait_locked(outbox, deadline_ns);
    }
    if (outbox->completed >= target) {
        code = 0;
    }
    pthread_mutex_unlock(&outbox->lock);
    return code;
}

int spni_outbox_try_pop(spni_outbox *outbox, spn_completion *out, int count)
{
    int taken = 0;
    pthread_mutex_lock(&outbox->lock);
    while (taken < count && outbox->done.first != NULL) {
        out[taken++] = collect_locked(outbox, &outbox->done.first);
    }
    pthread_mutex_unlock(&outbox->lock);
    return taken > 0 ? taken : -EAGAIN;
}

int spni_outbox_fd(spni_outbox *outbox)
{
    int code = 0;
    pthread_mutex_lock(&outbox->lock);
    if (outbox->event.fd < 0) {
        code = spni_event_init(&outbox->event);
    }
    if (code == 0 && outbox->done.first != NULL) {
        spni_event_raise(&outbox->event);
    }
    if (code == 0) {
        code = outbox->event.fd;
    }
    pthread_mutex_unlock(&outbox->lock);
    return code;
}
