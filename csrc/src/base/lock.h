/* SPDX-License-Identifier: Apache-2.0 */
/* The mutex of what two threads that are at work share. It is held for some
 * loads and stores only, so who finds it taken tries again for a moment before
 * it sleeps, where the C library has such mutexes (glibc). */
#ifndef SPNI_LOCK_H
#define SPNI_LOCK_H

#include <pthread.h>

static inline void spni_lock_init(pthread_mutex_t *lock)
{
#ifdef PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ADAPTIVE_NP);
    pthread_mutex_init(lock, &attributes);
    pthread_mutexattr_destroy(&attributes);
#else
    pthread_mutex_init(lock, NULL);
#endif
}

#endif
