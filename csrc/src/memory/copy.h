/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SPNI_COPY_H
#define SPNI_COPY_H

#include <stddef.h>

/* As memcpy. */
typedef void (*spni_copy)(void *restrict to, const void *restrict from,
                          size_t length);

/* The function behind SPN_MEMCPY_..., or NULL for an unknown id. Chosen once
 * for this processor. Non-temporal stores are fenced before the function
 * returns. */
spni_copy spni_copy_find(int memcpy_id);

void spni_copy_plainly(void *restrict to, const void *restrict from,
                       size_t length);

/* The one behind SPN_MEMCPY_STD. */
spni_copy spni_copy_cached(void);

/* Those that SPN_MEMCPY_NONTEMPORAL chooses the last of, from 0 on, each wider
 * than the one before; NULL: the processor has no more. */
spni_copy spni_copy_nontemporal(int width, const char **name);

#endif
