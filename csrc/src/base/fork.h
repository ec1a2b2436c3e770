/* SPDX-License-Identifier: Apache-2.0 */
/* Threads do not live on in a forked child. What has threads remembers the
 * count of forks when it was made; another count later means a child. */
#ifndef SPNI_FORK_H
#define SPNI_FORK_H

/* Forks between this process and the one that loaded the library. */
unsigned spni_fork_count(void);

#endif
