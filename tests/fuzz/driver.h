/* SPDX-License-Identifier: Apache-2.0 */
/* A fuzzer for any compiler. With clang's libFuzzer (-DLIBFUZZER) only
 * LLVMFuzzerTestOneInput is used. Else a main makes inputs from a seed: the
 * fuzzer's own examples, bytes of them changed, cut, repeated and exchanged.
 *
 *     fuzz_x [RUNS [SEED]]
 *     fuzz_x FILE...          (replay)
 */
#ifndef DRIVER_H
#define DRIVER_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Write a valid input of at most `capacity` bytes; its size. */
static size_t fuzz_example(uint8_t *data, size_t capacity, uint64_t *random);

static inline uint64_t fuzz_random(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static inline size_t fuzz_below(uint64_t *state, size_t limit)
{
    return limit == 0 ? 0 : (size_t)(fuzz_random(state) % limit);
}

#ifndef LIBFUZZER

enum { FUZZ_CAPACITY = 1 << 16 };

static size_t fuzz_mutate(uint8_t *data, size_t size, uint64_t *random)
{
    static const uint8_t edges[] = {0, 1, 0x7f, 0x80, 0xfe, 0xff, 8, 64};
    size_t at = fuzz_below(random, size);
    size_t to = fuzz_below(random, size);
    size_t count = fuzz_below(random, size - (at > to ? at : to));

    switch (fuzz_random(random) % 6) {
    case 0:
        data[at] ^= (uint8_t)(1u << fuzz_random(random) % 8);
        break;
    case 1:
        data[at] = edges[fuzz_random(random) % sizeof edges];
        break;
    case 2:
        data[at] = (uint8_t)fuzz_random(random);
        break;
    case 3:
        memmove(data + to, data + at, count);
        break;
    case 4:
        if (at > 0 && fuzz_random(random) % 8 == 0)
            return at;
        break;
    default:
        data[at] = (uint8_t)(data[at] + 1);
        break;
    }
    return size;
}

static void fuzz_run(uint64_t seed)
{
    static uint8_t scratch[FUZZ_CAPACITY];
    uint64_t random = seed;
    size_t size = fuzz_example(scratch, sizeof scratch, &random);
    size_t changes = fuzz_below(&random, 12);
    uint8_t *copy;

    for (size_t i = 0; i < changes && size > 0; i++)
        size = fuzz_mutate(scratch, size, &random);
    /* In memory of its own size: reads beyond it are seen. */
    copy = malloc(size > 0 ? size : 1);
    if (copy == NULL)
        abort();
    memcpy(copy, scratch, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static int fuzz_replay(const char *path)
{
    static uint8_t scratch[1 << 20];
    FILE *file = fopen(path, "rb");
    size_t size;

    if (file == NULL)
        return -1;
    size = fread(scratch, 1, sizeof scratch, file);
    fclose(file);
    LLVMFuzzerTestOneInput(scratch, size);
    return 0;
}

int main(int argc, char **argv)
{
    char *end = NULL;
    uint64_t runs = argc > 1 ? strtoull(argv[1], &end, 10) : 2000;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;

    if (end != NULL && *end != '\0') {
        for (int i = 1; i < argc; i++) {
            if (fuzz_replay(argv[i]) < 0)
                return 1;
        }
        return 0;
    }
    for (uint64_t i = 0; i < runs; i++)
        fuzz_run(seed * 1000003 + i);
    return 0;
}

#endif

#endif
