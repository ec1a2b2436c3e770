/* SPDX-License-Identifier: Apache-2.0 */
/* Copying from memory that is in no cache waits for it line by line, and the
 * processor's own prefetchers start anew at each page. So this asks for what
 * comes next itself: of the source, where packets usually lie one after
 * another, and of the target. A request beyond the end of all memory is void.
 * What lies in the caches is copied as fast as memcpy does it.
 */
#include <stdint.h>
#include <string.h>

#include "base/cache.h"
#include "memory/copy.h"

#define SHORTEST 256U /* below it memcpy is faster */

#if defined __x86_64__ || defined __i386__
#include <immintrin.h>

#define LINE SPNI_CACHE_LINE
#define BLOCK 128U
#define SOURCE_AHEAD 4096U
#define TARGET_AHEAD 512U

__attribute__((target("avx2,prfchw"))) static inline void
prefetch_for(const uint8_t *to, const uint8_t *from)
{
    for (size_t i = 0; i < BLOCK; i += LINE) {
        __builtin_prefetch(from + SOURCE_AHEAD + i, 0, 2);
        __builtin_prefetch(to + TARGET_AHEAD + i, 1, 3);
    }
}

/* `to` is aligned. */
__attribute__((target("avx2,prfchw"))) static inline void
copy_block(uint8_t *restrict to, const uint8_t *restrict from)
{
    const __m256i *source = (const __m256i *)(const void *)from;
    __m256i *target = (__m256i *)(void *)to;
    __m256i a = _mm256_loadu_si256(source);
    __m256i b = _mm256_loadu_si256(source + 1);
    __m256i c = _mm256_loadu_si256(source + 2);
    __m256i d = _mm256_loadu_si256(source + 3);
    _mm256_store_si256(target, a);
    _mm256_store_si256(target + 1, b);
    _mm256_store_si256(target + 2, c);
    _mm256_store_si256(target + 3, d);
}

__attribute__((target("avx2,prfchw"))) static void
copy_ahead(void *restrict to_void, const void *restrict from_void,
           size_t length)
{
    uint8_t *to = to_void;
    const uint8_t *from = from_void;
    size_t head = -(uintptr_t)to % sizeof(__m256i);
    if (length < SHORTEST) {
        memcpy(to, from, length);
        return;
    }
    memcpy(to, from, sizeof(__m256i)); /* more than the head: it inlines */
    for (to += head, from += head, length -= head; length >= BLOCK;
         to += BLOCK, from += BLOCK, length -= BLOCK) {
        prefetch_for(to, from);
        copy_block(to, from);
    }
    memcpy(to, from, length);
}

spni_copy spni_copy_cached(void)
{
    return __builtin_cpu_supports("avx2") ? copy_ahead : spni_copy_plainly;
}

#else

spni_copy spni_copy_cached(void)
{
    return spni_copy_plainly;
}

#endif
