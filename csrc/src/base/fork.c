/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fork.h"

#include <pthread.h>

static unsigned forks;

unsigned spni_fork_count(void)
{
    return __atomic_load_n(&forks, __ATOMIC_RELAXED);
}

static void count_fork(void)
{
    __atomic_fetch_add(&forks, 1, __ATOMIC_RELAXED);
}

__attribute__((constructor)) static void watch_forks(void)
{
    pthread_atfork(NULL, NULL, count_fork);
}
