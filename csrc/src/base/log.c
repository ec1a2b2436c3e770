/* SPDX-License-Identifier: Apache-2.0 */
/* A mutex guards the ring; it is held for the copying of one record. Readers
 * sleep on a futex, the count of changes, because a condition variable would
 * hide signals from them. A record is formatted before the lock is taken.
 */
#include "base/log.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#define CAPACITY 128U

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static spn_log_record ring[CAPACITY];
static unsigned first, count;
static unsigned long lost; /* since the last record was taken */
static bool is_stopped;
static unsigned sleepers;
static unsigned changes;              /* atomic; changed under the lock */
static int threshold = SPN_LOG_INFO; /* atomic */

void spn_log_set_level(int level)
{
    __atomic_store_n(&threshold, level, __ATOMIC_RELAXED);
}

static void wake_readers_locked(void)
{
    __atomic_add_fetch(&changes, 1, __ATOMIC_RELAXED);
    if (sleepers > 0)
        syscall(SYS_futex, &changes, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL,
                0);
}

static bool repeats_newest_locked(const spn_log_record *record)
{
    if (count == 0)
        return false;
    spn_log_record *newest = &ring[(first + count - 1) % CAPACITY];
    if (newest->level != record->level ||
        strcmp(newest->text, record->text) != 0)
        return false;
    newest->repeats++;
    return true;
}

void spni_log(int level, const char *format, ...)
{
    spn_log_record record = {.level = level};
    va_list arguments;
    if (level < __atomic_load_n(&threshold, __ATOMIC_RELAXED))
        return;
    va_start(arguments, format);
    vsnprintf(record.text, sizeof record.text, format, arguments);
    va_end(arguments);
    pthread_mutex_lock(&lock);
    if (!repeats_newest_locked(&record)) {
        if (count == CAPACITY) {
            lost++;
        } else {
            ring[(first + count) % CAPACITY] = record;
            count++;
            wake_readers_locked();
        }
    }
    pthread_mutex_unlock(&lock);
}

static int take_locked(spn_log_record *out)
{
    if (lost > 0 && count < CAPACITY) {
        /* What was lost came after the record that was taken before this. */
        *out = (spn_log_record){.level = SPN_LOG_WARNING};
        snprintf(out->text, sizeof out->text,
                 "%lu log records were lost, the queue was full", lost);
        lost = 0;
        return 0;
    }
    if (count == 0)
        return is_stopped ? SPN_ESTOPPED : -EAGAIN;
    *out = ring[first];
    first = (first + 1) % CAPACITY;
    count--;
    return 0;
}

int spn_log_try_pop(spn_log_record *out)
{
    pthread_mutex_lock(&lock);
    int result = take_locked(out);
    pthread_mutex_unlock(&lock);
    return result == SPN_ESTOPPED ? -EAGAIN : result;
}

/* Sleep until `changes` is no longer `seen`: 0, or -errno. */
static int sleep_until(unsigned seen, uint64_t deadline_ns)
{
    struct timespec timeout, *limit = NULL;
    if (deadline_ns != UINT64_MAX) {
        timeout.tv_sec = (time_t)(deadline_ns / SPNI_SECOND_NS);
        timeout.tv_nsec = (long)(deadline_ns % SPNI_SECOND_NS);
        limit = &timeout;
    }
    /* The bitset form takes an absolute time of CLOCK_MONOTONIC. */
    long result = syscall(SYS_futex, &changes, FUTEX_WAIT_BITSET_PRIVATE, seen,
                          limit, NULL, FUTEX_BITSET_MATCH_ANY);
    return result < 0 && errno != EAGAIN ? -errno : 0;
}

int spn_log_pop(int timeout_ms, spn_log_record *out)
{
    uint64_t deadline_ns = UINT64_MAX;
    if (timeout_ms >= 0)
        deadline_ns = spni_now_ns() + (uint64_t)timeout_ms * 1000000;
    pthread_mutex_lock(&lock);
    int result = take_locked(out);
    while (result == -EAGAIN) {
        unsigned seen = __atomic_load_n(&changes, __ATOMIC_RELAXED);
        sleepers++;
        pthread_mutex_unlock(&lock);
        int slept = sleep_until(seen, deadline_ns);
        pthread_mutex_lock(&lock);
        sleepers--;
        result = take_locked(out);
        if (slept < 0 && result == -EAGAIN) {
            result = slept == -EINTR ? -EINTR : -EAGAIN;
            break;
        }
    }
    pthread_mutex_unlock(&lock);
    return result;
}

void spn_log_stop(void)
{
    pthread_mutex_lock(&lock);
    is_stopped = true;
    wake_readers_locked();
    pthread_mutex_unlock(&lock);
}

/* ---- fork: a child starts with an empty ring and no readers ---- */

static void before_fork(void)
{
    pthread_mutex_lock(&lock);
}

static void after_fork_in_parent(void)
{
    pthread_mutex_unlock(&lock);
}

static void after_fork_in_child(void)
{
    /* The parent reports what was in the ring. */
    count = 0;
    lost = 0;
    sleepers = 0;
    is_stopped = false;
    pthread_mutex_unlock(&lock);
}

__attribute__((constructor)) static void watch_forks(void)
{
    pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}
