/* SPDX-License-Identifier: Apache-2.0 */
/* Non-temporal stores write past the caches: a payload that nobody reads soon
 * does not push out what is in use. They pay from some lines on, need an
 * aligned target, and are weakly ordered: the fence at the end makes them
 * visible before whatever the caller publishes next. The ragged ends of a copy
 * go through memcpy.
 */
#include "memory/copy.h"

#include <stdint.h>
#include <string.h>

#include "base/cache.h"
#include "pyspin.h"

void spni_copy_plainly(void *restrict to, const void *restrict from,
                       size_t length)
{
    memcpy(to, from, length);
}

#if defined __x86_64__ || defined __i386__
#include <immintrin.h>

#define LINE SPNI_CACHE_LINE
#define SHORTEST 256U /* below it memcpy alone is faster */

/* Bytes up to the next line of the target. */
static size_t head_of(const void *to)
{
    return -(uintptr_t)to % LINE;
}

/* Each streams whole lines to an aligned target. */
__attribute__((target("sse2"))) static void
stream_sse2(uint8_t *restrict to, const uint8_t *restrict from, size_t length)
{
    for (; length >= LINE; to += LINE, from += LINE, length -= LINE) {
        const __m128i *source = (const __m128i *)(const void *)from;
        __m128i *target = (__m128i *)(void *)to;
        __m128i a = _mm_loadu_si128(source);
        __m128i b = _mm_loadu_si128(source + 1);
        __m128i c = _mm_loadu_si128(source + 2);
        __m128i d = _mm_loadu_si128(source + 3);
        _mm_stream_si128(target, a);
        _mm_stream_si128(target + 1, b);
        _mm_stream_si128(target + 2, c);
        _mm_stream_si128(target + 3, d);
    }
    _mm_sfence();
}

__attribute__((target("avx2"))) static void
stream_avx2(uint8_t *restrict to, const uint8_t *restrict from, size_t length)
{
    for (; length >= LINE; to += LINE, from += LINE, length -= LINE) {
        const __m256i *source = (const __m256i *)(const void *)from;
        __m256i *target = (__m256i *)(void *)to;
        __m256i a = _mm256_loadu_si256(source);
        __m256i b = _mm256_loadu_si256(source + 1);
        _mm256_stream_si256(target, a);
        _mm256_stream_si256(target + 1, b);
    }
    _mm_sfence();
}

__attribute__((target("avx512f"))) static void
stream_avx512(uint8_t *restrict to, const uint8_t *restrict from,
              size_t length)
{
    for (; length >= LINE; to += LINE, from += LINE, length -= LINE)
        _mm512_stream_si512((__m512i *)(void *)to, _mm512_loadu_si512(from));
    _mm_sfence();
}

typedef void (*stream_lines)(uint8_t *restrict to,
                             const uint8_t *restrict from, size_t length);

static inline void copy_with(stream_lines stream, uint8_t *restrict to,
                             const uint8_t *restrict from, size_t length)
{
    if (length < SHORTEST) {
        memcpy(to, from, length);
        return;
    }
    size_t head = head_of(to);
    memcpy(to, from, head);
    size_t tail = (length - head) % LINE;
    memcpy(to + length - tail, from + length - tail, tail);
    stream(to + head, from + head, length - head - tail);
}

static void copy_sse2(void *restrict to, const void *restrict from,
                      size_t length)
{
    copy_with(stream_sse2, to, from, length);
}

static void copy_avx2(void *restrict to, const void *restrict from,
                      size_t length)
{
    copy_with(stream_avx2, to, from, length);
}

static void copy_avx512(void *restrict to, const void *restrict from,
                        size_t length)
{
    copy_with(stream_avx512, to, from, length);
}

static const struct {
    const char *name;
    spni_copy copy;
} nontemporal[] = {
    {"memcpy", spni_copy_plainly},
    {"sse2", copy_sse2},
    {"avx2", copy_avx2},
    {"avx512", copy_avx512},
};

/* The index into nontemporal[] of the widest that the processor has. */
static int best_nontemporal(void)
{
    if (__builtin_cpu_supports("avx512f"))
        return 3;
    if (__builtin_cpu_supports("avx2"))
        return 2;
    return __builtin_cpu_supports("sse2") ? 1 : 0;
}

#else

static const struct {
    const char *name;
    spni_copy copy;
} nontemporal[] = {{"memcpy", spni_copy_plainly}};

static int best_nontemporal(void)
{
    return 0;
}

#endif

spni_copy spni_copy_nontemporal(int width, const char **name)
{
    if (width > best_nontemporal())
        return NULL;
    *name = nontemporal[width].name;
    return nontemporal[width].copy;
}

const char *spn_memcpy_nontemporal_name(void)
{
    return nontemporal[best_nontemporal()].name;
}

spni_copy spni_copy_find(int memcpy_id)
{
    switch (memcpy_id) {
    case SPN_MEMCPY_STD:
        return spni_copy_cached();
    case SPN_MEMCPY_NONTEMPORAL:
        return nontemporal[best_nontemporal()].copy;
    default:
        return NULL;
    }
}
