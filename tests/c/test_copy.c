/* SPDX-License-Identifier: Apache-2.0 */
#include "memory/copy.h"

#include <stdint.h>
#include <string.h>

#include "check.h"
#include "pyspin.h"

#define SPACE 9000
#define GUARD 128

static uint8_t source[SPACE], target[SPACE], expected[SPACE];

static void check_copy(spni_copy copy, size_t to, size_t from, size_t length)
{
    memset(target, 0xee, sizeof target);
    memset(expected, 0xee, sizeof expected);
    memcpy(expected + to, source + from, length);
    copy(target + to, source + from, length);
    CHECK(memcmp(target, expected, sizeof target) == 0);
}

static void any_alignment_and_length(spni_copy copy)
{
    for (size_t to = 0; to < 66; to += 3)
        for (size_t from = 0; from < 66; from += 5)
            for (size_t length = 0; length < 600; length += 7)
                check_copy(copy, GUARD + to, GUARD + from, length);
    for (size_t length = 0; length < 1100; length++)
        check_copy(copy, GUARD + length % 64, GUARD, length);
    check_copy(copy, GUARD + 5, GUARD + 9, 8192);
    check_copy(copy, GUARD, GUARD, 8192);
}

/* Those too that this processor would not choose. */
static void each_width_copies(void)
{
    static const char *const names[] = {"memcpy", "sse2", "avx2", "avx512"};
    spni_copy copy, last = NULL;
    const char *name = NULL;
    for (int width = 0; (copy = spni_copy_nontemporal(width, &name)) != NULL;
         width++) {
        CHECK(strcmp(name, names[width]) == 0);
        CHECK(copy != last);
        any_alignment_and_length(copy);
        last = copy;
    }
    CHECK(last == spni_copy_find(SPN_MEMCPY_NONTEMPORAL));
    CHECK(strcmp(name, spn_memcpy_nontemporal_name()) == 0);
}

int main(void)
{
    for (size_t i = 0; i < sizeof source; i++)
        source[i] = (uint8_t)(i * 2654435761u >> 13);
    any_alignment_and_length(spni_copy_find(SPN_MEMCPY_STD));
    each_width_copies();
    CHECK(spni_copy_find(2) == NULL);
    CHECK(spni_copy_find(-1) == NULL);
    return 0;
}
